import { describe, expect, it } from 'vitest'
import { appendMany, Bench, batchAt, bytesOf, readAll, TOPIC_ID } from './support.js'

describe('append and read', () => {
  it('reads whole batches back, from the tail and from disk', () => {
    const bench = Bench.started()
    const log = bench.log()
    const batches = Array.from({ length: 200 }, (_, i) =>
      batchAt(i * 3, { records: 3, payload: Buffer.alloc(50, i) }),
    )
    for (const batch of batches) log.append([batch])
    expect(log.logEndOffset).toBe(600)
    expect(log.sizeBytes).toBe(200 * 111)
    expect(readAll(log).equals(Buffer.concat(batches.map((b) => b.bytes)))).toBe(true)
    for (const offset of [0, 1, 2, 3, 299, 300, 598, 599]) {
      const slice = log.read(offset, 600, 1, true)
      expect(bytesOf(slice).equals(Buffer.from(batches[Math.floor(offset / 3)]!.bytes))).toBe(true)
      expect(slice.nextOffset).toBe(Math.floor(offset / 3) * 3 + 3)
    }
  })

  it('never splits a batch, and honours the limits', () => {
    const log = Bench.started().log()
    appendMany(log, 100)
    expect(log.read(0, 100, 250, true).byteLength).toBe(202)
    expect(log.read(0, 100, 100, false)).toMatchObject({ byteLength: 0, nextOffset: 0 })
    expect(log.read(99, 100, 100, false)).toMatchObject({ byteLength: 0, nextOffset: 99 })
    expect(log.read(5, 7, 10_000, true)).toMatchObject({ byteLength: 202, nextOffset: 7 })
    expect(log.read(97, 99, 10_000, true)).toMatchObject({ byteLength: 202, nextOffset: 99 })
    expect(log.read(100, 100, 10_000, true).byteLength).toBe(0)
    expect(() => log.read(101, 200, 1, true)).toThrow(RangeError)
  })

  it('writes once for a call', () => {
    const bench = Bench.started()
    const log = bench.log()
    log.append([batchAt(0)])
    const before = bench.disk.writeCount
    log.append([batchAt(1), batchAt(2), batchAt(3)])
    expect(bench.disk.writeCount).toBe(before + 1)
  })

  it('rolls by size within one call, and takes neither a gap nor a step back', () => {
    const bench = Bench.started()
    const log = bench.log()
    const rolled: number[] = []
    log.onSnapshotDue = (base) => rolled.push(base)
    log.append(Array.from({ length: 90 }, (_, i) => batchAt(i)))
    expect(() => log.append([batchAt(91)])).toThrow(/gap/)
    expect(() => log.append([batchAt(89)])).toThrow(/go back/)
    expect(() => log.append([batchAt(90), batchAt(92)])).toThrow(/gap/)
    expect(rolled).toEqual([40, 80])
    expect(log.logEndOffset).toBe(90)
    expect(readAll(log).length).toBe(90 * 101)
    expect(bench.disk.list('orders-0')).toContain('00000000000000000040.log')
  })

  it('finds batches by timestamp', () => {
    const log = Bench.started().log()
    for (let i = 0; i < 200; i++) log.append([batchAt(i, { timestampMs: 1000 + i * 10 - (i % 3) * 15 })])
    for (const target of [0, 1000, 1001, 1495, 2000, 2985, 2990]) {
      let first = -1
      for (let i = 199; i >= 0; i--) if (1000 + i * 10 - (i % 3) * 15 >= target) first = i
      expect(log.findByTimestamp(target)?.baseOffset ?? -1, `at ${target}`).toBe(first)
    }
    expect(log.findByTimestamp(9999)).toBeNull()
    expect(log.maxTimestamp()).toMatchObject({ baseOffset: 198, maxTimestampMs: 2980 })
  })

  it('visits headers', () => {
    const log = Bench.started().log()
    appendMany(log, 120)
    const seen: number[] = []
    log.scanHeaders(50, (header) => {
      expect(header.length).toBe(61)
      seen.push(Number(Buffer.from(header).readBigInt64BE(0)))
    })
    expect(seen).toEqual(Array.from({ length: 70 }, (_, i) => 50 + i))
  })
})

describe('truncation', () => {
  it('cuts at every offset', () => {
    for (let offset = 0; offset <= 100; offset += 1) {
      const bench = Bench.started()
      const log = bench.log()
      for (let i = 0; i < 100; i++) log.append([batchAt(i, { epoch: Math.floor(i / 30) })])
      bench.sync(log)
      const whole = readAll(log)
      log.truncateTo(offset)
      expect(log.logEndOffset).toBe(offset)
      expect(log.durableEndOffset).toBe(offset)
      expect(log.sizeBytes).toBe(offset * 101)
      expect(readAll(log).equals(whole.subarray(0, offset * 101))).toBe(true)
      expect(log.latestEpoch).toBe(offset === 0 ? -1 : Math.floor((offset - 1) / 30))
      log.append([batchAt(offset, { epoch: 9 })])
      expect(bench.sync(log)).toBe(offset + 1)
      expect(log.read(offset, offset + 1, 1, true).byteLength).toBe(101)
      bench.kill()
      expect(bench.start().quarantined).toEqual([])
      const again = bench.manager.get(TOPIC_ID, 0)!
      expect(again.logEndOffset).toBe(offset + 1)
      expect(again.latestEpoch).toBe(9)
      expect(again.endOffsetForEpoch(0).endOffset).toBe(Math.min(30, offset))
    }
  })

  it('a truncation during a sync lowers what the sync reports', () => {
    const bench = Bench.started()
    const log = bench.log()
    appendMany(log, 10)
    let reported = -1
    log.sync((_error, end) => {
      reported = end
    })
    bench.world.step() // the turn ends, the sync is under way
    log.truncateTo(4)
    bench.world.runFor(100)
    expect(reported).toBe(4)
    expect(log.durableEndOffset).toBe(4)
  })

  it('starts anew at another offset', () => {
    const bench = Bench.started()
    const log = bench.log()
    appendMany(log, 100)
    bench.sync(log)
    log.truncateFullyAndStartAt(5000)
    expect([log.logStartOffset, log.logEndOffset, log.sizeBytes, log.latestEpoch]).toEqual([
      5000, 5000, 0, -1,
    ])
    appendMany(log, 3)
    bench.sync(log)
    bench.powerCut()
    bench.start()
    const again = bench.manager.get(TOPIC_ID, 0)!
    expect([again.logStartOffset, again.logEndOffset]).toEqual([5000, 5003])
  })
})

describe('retention', () => {
  it('deletes by size, not past the high watermark', () => {
    const bench = Bench.started(1, { retentionBytes: 5000 })
    const log = bench.log()
    appendMany(log, 200)
    bench.highWatermark = 50
    let deleted = 0
    bench.manager.maintain((bytes) => {
      deleted = bytes
    })
    expect(deleted).toBe(40 * 101)
    expect(log.logStartOffset).toBe(40)
    bench.highWatermark = 200
    bench.manager.maintain()
    expect(log.sizeBytes).toBeGreaterThanOrEqual(5000)
    expect(log.sizeBytes).toBeLessThan(5000 + 4096)
    expect(() => log.read(39, 200, 1, true)).toThrow(RangeError)
    expect(bench.disk.list('orders-0').filter((name) => name.endsWith('.deleted')).length).toBeGreaterThan(0)
    bench.world.runFor(60_001)
    expect(bench.disk.list('orders-0').filter((name) => name.endsWith('.deleted'))).toEqual([])
  })

  it('deletes by time, the active segment too', () => {
    const bench = Bench.started(1, { retentionMs: 1000 })
    const log = bench.log()
    appendMany(log, 100, { timestampMs: bench.process.clock.wallMs() })
    bench.manager.maintain()
    expect(log.logStartOffset).toBe(0)
    bench.world.runFor(1500)
    bench.manager.maintain()
    expect([log.logStartOffset, log.logEndOffset, log.sizeBytes]).toEqual([100, 100, 0])
  })

  it('deletes what lies below an advanced start, and remembers the start', () => {
    const bench = Bench.started()
    const log = bench.log()
    for (let i = 0; i < 100; i++) log.append([batchAt(i, { epoch: Math.floor(i / 30) })])
    bench.sync(log)
    log.advanceLogStartOffset(75)
    expect(log.logStartOffset).toBe(75)
    expect(log.sizeBytes).toBe(60 * 101)
    expect(log.epochForOffset(75)).toBe(2)
    bench.kill()
    bench.start()
    expect(bench.manager.get(TOPIC_ID, 0)!.logStartOffset).toBe(75)
  })
})

describe('producer snapshots', () => {
  it('asks for a producer snapshot within a long segment too, and keeps few of them', () => {
    const bench = Bench.started(1, { segmentBytes: 100 * 1024 * 1024 })
    const log = bench.log()
    const due: number[] = []
    let bytes = 10
    log.onSnapshotDue = (offset) => {
      due.push(offset)
      log.writeProducerSnapshot(offset, new Uint8Array(bytes))
    }
    const payload = new Uint8Array(1024 * 1024)
    appendMany(log, 95, { payload })
    expect(due).toEqual([16, 32, 48, 64, 80])
    // A segment's own snapshots are kept apart: they serve where a truncation goes far back.
    appendMany(log, 6, { payload })
    expect(due.slice(-2)).toEqual([96, 99])
    expect([1000, 98, 95].map((atMost) => log.readProducerSnapshot(atMost)?.offset)).toEqual([99, 96, 80])
    expect(log.readProducerSnapshot(79)).toBeNull()
    // Many producers: a snapshot of a MiB comes every 32 MiB.
    due.length = 0
    bytes = payload.length
    log.writeProducerSnapshot(log.logEndOffset, new Uint8Array(bytes))
    appendMany(log, 29, { payload })
    expect(due).toEqual([])
    appendMany(log, 2, { payload })
    expect(due).toHaveLength(1)
  })

  it('asks for the next one by what lies behind the newest one, also where a start lies between or a cut took it', () => {
    const bench = Bench.started(1, { segmentBytes: 100 * 1024 * 1024 })
    const due: number[] = []
    const opened = () => {
      const log = bench.log()
      log.onSnapshotDue = (offset) => {
        due.push(offset)
        log.writeProducerSnapshot(offset, new Uint8Array(10))
      }
      return log
    }
    const payload = new Uint8Array(1024 * 1024)
    // Each life writes less than what a snapshot takes.
    for (let life = 0; life < 5; life++) {
      appendMany(opened(), 10, { payload })
      bench.kill()
      bench.start()
    }
    expect(due).toEqual([16, 32, 48])
    const log = opened()
    log.truncateTo(40)
    due.length = 0
    appendMany(log, 10, { payload })
    expect(due).toEqual([48])
  })

  it('gives the newest one at or below an offset and skips a damaged one', () => {
    const bench = Bench.started()
    const log = bench.log()
    appendMany(log, 10)
    log.writeProducerSnapshot(3, Buffer.from('three'))
    log.writeProducerSnapshot(7, Buffer.from('seven'))
    expect(Buffer.from(log.readProducerSnapshot(9)!.bytes).toString()).toBe('seven')
    expect(log.readProducerSnapshot(6)!.offset).toBe(3)
    bench.disk.flipBit('orders-0/00000000000000000007.snapshot', 2)
    expect(log.readProducerSnapshot(9)!.offset).toBe(3)
    log.truncateTo(5)
    expect(bench.disk.exists('orders-0/00000000000000000007.snapshot')).toBe(false)
  })
})
