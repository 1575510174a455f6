import { describe, expect, it } from 'vitest'
import type { PartitionLog } from '../../src/log/partition-log.js'
import { DiskError } from '../../src/ports/disk.js'
import { appendMany, Bench, batchAt, readAll, TOPIC_ID } from './support.js'

const RESERVE = 100_000

function started(): Bench {
  return Bench.started(1, {}, { reservedBytes: RESERVE })
}

/** Leaves so many bytes. */
function fill(bench: Bench, left: number): void {
  bench.disk.capacityBytes = Number.MAX_SAFE_INTEGER
  bench.disk.capacityBytes = Number.MAX_SAFE_INTEGER - bench.disk.freeBytes() + left
}

describe('a full disk', () => {
  it('takes back what a write left behind, at each byte, and goes on when there is room', () => {
    for (let part = 0; part <= 202; part += 7) {
      const bench = started()
      appendMany(bench.log(), 3)
      bench.stop()
      failNextWrite(bench, 'orders-0/00000000000000000000.log', part)
      bench.start()
      const log = bench.log()
      expect(() => log.append([batchAt(3), batchAt(4)])).toThrow(/ENOSPC/)
      expect(log.logEndOffset).toBe(3)
      expect(bench.fileBytes('orders-0/00000000000000000000.log').length).toBe(303)
      bench.world.runFor(2_000)
      appendMany(log, 60)
      bench.sync(log)
      bench.powerCut()
      expect(bench.start().quarantined).toEqual([])
      expect(readAll(bench.manager.get(TOPIC_ID, 0)!).length).toBe(63 * 101)
    }
  })

  it('appends all of a call or nothing, also where it rolls in between', () => {
    const bench = started()
    const log = bench.log()
    log.onSnapshotDue = (base) => log.writeProducerSnapshot(base, new Uint8Array(100))
    appendMany(log, 30)
    log.assignEpochStart(3, 30)
    const batches = Array.from({ length: 30 }, (_, i) => batchAt(30 + i, { epoch: 3 }))
    fill(bench, 15 * 101) // enough for the first segment's part
    expect(() => log.append(batches)).toThrow(/ENOSPC/)
    expect(log).toMatchObject({ logEndOffset: 30, latestEpoch: 3, sizeBytes: 30 * 101 })
    expect(bench.disk.list('orders-0').filter((name) => name.endsWith('.log'))).toHaveLength(1)
    fill(bench, 1e9)
    bench.world.runFor(2_000)
    log.append(batches)
    bench.sync(log)
    bench.kill()
    expect(bench.start().quarantined).toEqual([])
    const again = bench.manager.get(TOPIC_ID, 0)!
    expect(again.logEndOffset).toBe(60)
    expect(again.endOffsetForEpoch(0)).toEqual({ epoch: 0, endOffset: 30 })
    expect(readAll(again).length).toBe(60 * 101)
  })

  it('needs no producer snapshot and no index to go on', () => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 39)
    fill(bench, 0)
    expect(() => log.writeProducerSnapshot(39, new Uint8Array(100))).not.toThrow()
    expect(log.readProducerSnapshot(39)).toBeNull()
    expect(() => log.flushIndexes()).not.toThrow()
    expect(bench.offline).toBeNull()
  })

  it.each(['.index', '.timeindex'])('takes back what a write of entries left behind in the %s', (suffix) => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 20)
    failNextWrite(bench, `orders-0/00000000000000000000${suffix}`, 30)
    log.flushIndexes()
    expect(bench.fileBytes(`orders-0/00000000000000000000${suffix}`).length).toBe(0)
    expect(bench.offline).toBeNull()
  })

  it('needs no sync of an index for which there was no room', () => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 20)
    bench.sync(log)
    refuseNewFiles(bench, (path) => path.endsWith('index'))
    log.flushIndexes()
    expect(bench.sync(log)).toBe(20)
    expect(bench.offline).toBeNull()
  })

  it('survives a checkpoint that cannot take its place', () => {
    const bench = started()
    appendMany(bench.log(), 3)
    const rename = bench.disk.rename.bind(bench.disk)
    bench.disk.rename = (from, to) => {
      if (to.endsWith('-checkpoint')) throw new DiskError('ENOSPC', to, 'ENOSPC: no space left on device')
      rename(from, to)
    }
    bench.highWatermark = 2
    bench.world.runFor(10_000)
    bench.disk.rename = rename
    fill(bench, 1e9)
    bench.world.runFor(10_000)
    expect(bench.offline).toBeNull()
    const text = Buffer.from(bench.fileBytes('replication-offset-checkpoint')).toString()
    expect(text).toMatch(/^0\n1\norders 0 2 QUJDREVGR0hJSktMTU5PUA\ncrc32c [0-9a-f]+\n$/)
  })

  it('keeps who waits for a new leader epoch waiting, and stays online', () => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 3)
    bench.sync(log)
    appendMany(log, 3, { epoch: 7 })
    fill(bench, 0)
    const ends: number[] = []
    log.sync((error, end) => ends.push(error === null ? end : -1))
    bench.world.runFor(10_000)
    expect(ends).toEqual([])
    expect(bench.offline).toBeNull()
    fill(bench, 1e9)
    bench.world.runFor(2_000)
    expect(ends).toEqual([6])
    bench.powerCut()
    bench.start()
    expect(bench.manager.get(TOPIC_ID, 0)!.endOffsetForEpoch(0)).toEqual({ epoch: 0, endOffset: 3 })
  })

  it('lets no second sync of a log begin because the group has ended with which it had met the full disk', () => {
    const bench = Bench.started(1, {}, { reservedBytes: RESERVE, maxConcurrentSyncs: 2 })
    const logs = Array.from({ length: 4 }, (_, i) => bench.log(i))
    for (const log of logs) {
      appendMany(log, 3)
      bench.sync(log)
    }
    const [log, other, longest] = logs as [PartitionLog, PartitionLog, PartitionLog]
    // Of the four, the first and the third make a group; the first alone has something to write: its new epoch.
    appendMany(log, 1, { epoch: 7 })
    for (const each of logs.slice(1)) appendMany(each, 1)
    fill(bench, 0)
    const latencies = [5_000, 10, 10_000]
    bench.disk.faults.syncLatencyMs = () => latencies.shift() ?? 10
    const ended: string[] = []
    logs.forEach((each, i) => {
      each.sync((error, end) => ended.push(`${i} ${error?.message ?? end}`))
    })
    bench.world.runFor(100)
    expect(ended).toEqual(['1 4', '3 4'])
    fill(bench, 1e9)
    bench.world.runFor(1_000)
    // The first is being synced by itself now, which takes until long after the third's group ends.
    appendMany(log, 5, { epoch: 7 })
    log.sync((error, end) => ended.push(`0 ${error?.message ?? end}`))
    bench.world.runFor(6_000)
    expect(ended).toEqual(['1 4', '3 4', '2 4'])
    expect([log.durableEndOffset, longest.durableEndOffset, other.isSynced]).toEqual([3, 4, true])
    bench.world.runFor(10_000)
    expect(ended.slice(3)).toEqual(['0 4', '0 9'])
    expect(bench.offline).toBeNull()
  })

  it('can be stopped, though not cleanly', () => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 3)
    fill(bench, 0)
    let stopped: Error | null | undefined
    bench.manager.close((error) => {
      stopped = error
    })
    bench.world.runFor(10_000)
    expect(stopped).toBeInstanceOf(DiskError)
    expect(bench.disk.exists('.kafka_cleanshutdown')).toBe(false)
  })

  it('deletes by retention even where no segment can be begun', () => {
    const bench = Bench.started(1, { retentionBytes: 3000, segmentMs: 1000 }, { reservedBytes: RESERVE })
    const log = bench.log()
    appendMany(log, 100)
    fill(bench, 0)
    bench.world.runFor(301_000)
    expect(log.logStartOffset).toBe(40)
    bench.world.runFor(120_000)
    expect(bench.disk.freeBytes()).toBeGreaterThan(3000)
  })

  it('goes on writing checkpoints afterwards', () => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 3)
    bench.highWatermark = 2
    fill(bench, 0)
    bench.world.runFor(20_000)
    fill(bench, 1e9)
    bench.highWatermark = 3
    bench.world.runFor(10_000)
    const text = Buffer.from(bench.fileBytes('replication-offset-checkpoint')).toString()
    expect(text).toMatch(/^0\n1\norders 0 3 QUJDREVGR0hJSktMTU5PUA\ncrc32c [0-9a-f]+\n$/)
  })
})

describe('the reserve', () => {
  it('refuses appends below it, and takes them again above', () => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 3)
    fill(bench, RESERVE - 1)
    bench.world.runFor(2_000)
    expect(log.hasRoom).toBe(false)
    expect(() => log.append([batchAt(3)])).toThrow(/reserve/)
    expect(bench.sync(log)).toBe(3)
    expect(bench.offline).toBeNull()
    fill(bench, RESERVE)
    bench.world.runFor(2_000)
    expect(log.hasRoom).toBe(true)
    appendMany(log, 1)
    expect(bench.sync(log)).toBe(4)
  })

  it('is noticed within one interval of time or a part of its bytes, without a look at the disk for each append', () => {
    const bench = started()
    const log = bench.log()
    fill(bench, RESERVE * 2)
    let looks = 0
    const original = bench.disk.freeBytes.bind(bench.disk)
    bench.disk.freeBytes = () => {
      looks++
      return original()
    }
    expect(() => appendMany(log, 10_000)).toThrow(/reserve/)
    expect(original()).toBeGreaterThan(RESERVE / 2)
    expect(looks).toBeLessThan(10)
  })
})

describe('a device that fails', () => {
  it('takes the directory offline when a write meets it', () => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 3)
    bench.disk.faults.failAccess = (path, operation) => operation === 'write' && path.endsWith('.log')
    expect(() => log.append([batchAt(3)])).toThrow(/EIO/)
    bench.world.runFor(100)
    expect(bench.offline?.message).toMatch(/EIO/)
  })

  it('takes it offline when an index or a recovery point meets it', () => {
    for (const suffix of ['index', 'recovery-points']) {
      const bench = started()
      const log = bench.log()
      appendMany(log, 38)
      bench.disk.faults.failAccess = (path, operation) => operation === 'write' && path.endsWith(suffix)
      let failed: Error | null = null
      try {
        appendMany(log, 10)
      } catch (error) {
        failed = error as Error
      }
      log.sync((error) => {
        failed ??= error
      })
      bench.world.runFor(100)
      expect(failed, suffix).toBeInstanceOf(Error)
      expect(bench.offline?.message, suffix).toMatch(/EIO/)
    }
  })

  it('sets the one log aside that cannot be read', () => {
    const bench = started()
    const log = bench.log()
    appendMany(log, 100)
    bench.sync(log)
    bench.disk.faults.failAccess = (path, operation) => operation === 'read' && path.endsWith('0000.log')
    expect(() => log.read(0, 100, 1000, true)).toThrow(/EIO/)
    bench.world.runFor(100)
    expect(bench.quarantined).toHaveLength(1)
    expect(bench.offline).toBeNull()
  })
})

describe('a sector that cannot be read', () => {
  const unreadable = (suffix: string) => (path: string, operation: string) =>
    operation === 'read' && path.startsWith('orders-0/') && path.endsWith(suffix)

  function stopped(isClean: boolean): Bench {
    const bench = started()
    appendMany(bench.log(0), 100)
    appendMany(bench.log(1), 3)
    for (const partition of [0, 1]) bench.sync(bench.log(partition))
    if (isClean) bench.stop()
    else bench.kill()
    return bench
  }

  it('costs one log, not the directory, where the background finds it', () => {
    const bench = stopped(true)
    bench.start()
    bench.disk.faults.failAccess = unreadable('0000.log')
    bench.world.runFor(5_000)
    expect(bench.quarantined).toMatchObject([{ partition: 0 }])
    expect(bench.offline).toBeNull()
  })

  it.each([
    ['records', '.log'],
    ['its leader epochs', 'leader-epoch-checkpoint'],
    ['its identity', 'partition.metadata'],
  ])('costs one log, not the node, where a start meets it in %s', (_what, suffix) => {
    for (const isClean of [true, false]) {
      const bench = stopped(isClean)
      bench.disk.faults.failAccess = unreadable(suffix)
      expect(bench.start().quarantined, `clean: ${isClean}`).toMatchObject([
        { topic: 'orders', partition: 0 },
      ])
      expect(bench.manager.get(TOPIC_ID, 1)!.logEndOffset).toBe(3)
    }
  })
})

/** No room for a new file with such a path. */
function refuseNewFiles(bench: Bench, isRefused: (path: string) => boolean): void {
  const open = bench.disk.open.bind(bench.disk)
  bench.disk.open = (path, options) => {
    if (options?.create === true && isRefused(path) && !bench.disk.exists(path))
      throw new DiskError('ENOSPC', path, 'ENOSPC: no space left on device')
    return open(path, options)
  }
}

/** The next write to this file fails for want of space after so many bytes. */
function failNextWrite(bench: Bench, failing: string, part: number): void {
  let isDue = true
  const open = bench.disk.open.bind(bench.disk)
  bench.disk.open = (path, options) => {
    const file = open(path, options)
    const write = file.write.bind(file)
    file.write = (position, chunks) => {
      if (path !== failing || !isDue) return write(position, chunks)
      isDue = false
      write(position, [Buffer.concat(chunks).subarray(0, part)])
      throw new DiskError('ENOSPC', path, 'ENOSPC: no space left on device')
    }
    return file
  }
}
