import { describe, expect, it } from 'vitest'
import type { LogManagerConfig } from '../../src/log/log-manager.js'
import type { PartitionLog } from '../../src/log/partition-log.js'
import { appendMany, Bench, batchAt, readAll, TOPIC_ID } from './support.js'

const LOG = 'orders-0/00000000000000000000.log'
/** A clean stop leaves every log to be checked at its first use. */
const LAZY: Partial<LogManagerConfig> = { checkedAtCleanStart: 0 }

function lazily(): Bench {
  return Bench.started(1, {}, LAZY)
}

function stored(bench: Bench, partition = 0): PartitionLog {
  return bench.manager.get(TOPIC_ID, partition)!
}

describe('a log that holds nothing', () => {
  it('costs the disk nothing, neither to make nor to elect nor to stop nor to delete', () => {
    const bench = Bench.started()
    const before = bench.disk.list('')
    const writes = bench.disk.writeCount
    const log = bench.log()
    log.assignEpochStart(3, 0)
    expect(log.isSynced).toBe(true)
    expect(bench.sync(log)).toBe(0)
    expect([log.findByTimestamp(0), log.maxTimestamp(), log.readProducerSnapshot(0)]).toEqual([
      null,
      null,
      null,
    ])
    log.truncateTo(0)
    bench.manager.delete(TOPIC_ID, 0)
    bench.log()
    expect(bench.disk.list('')).toEqual(before)
    expect(bench.disk.writeCount).toBe(writes)
    bench.stop()
    expect(bench.start().logs).toEqual([])
  })

  it('stands in the way of another topic of its name until it is deleted', () => {
    const bench = Bench.started()
    bench.log()
    const other = { topic: 'orders', topicId: 'QUJDREVGR0hJSktMTU5PUQ', partition: 0, config: bench.config }
    expect(() => bench.manager.getOrCreate(other)).toThrow(/another topic id/)
    expect(bench.manager.namesake('orders', 0)?.topicId).toBe(TOPIC_ID)
    bench.manager.delete(TOPIC_ID, 0)
    expect(bench.manager.getOrCreate(other).topicId).toBe(other.topicId)
  })

  it('begins where the leader’s log does, on the disk from then on', () => {
    const bench = Bench.started()
    const log = bench.log()
    log.truncateFullyAndStartAt(40)
    bench.sync(log)
    bench.powerCut()
    bench.start()
    expect([stored(bench).logStartOffset, stored(bench).logEndOffset]).toEqual([40, 40])
  })
})

describe('after the death of the process', () => {
  it('trusts a log that was synced up to its end, without an fsync', () => {
    const bench = Bench.started()
    const log = bench.log()
    appendMany(log, 5)
    bench.sync(log)
    bench.kill()
    bench.start()
    expect(stored(bench).isSynced).toBe(true)
  })

  it.each([
    ['a truncation', (log: PartitionLog) => log.truncateTo(3)],
    [
      'a truncation of what was never synced',
      (log: PartitionLog) => {
        appendMany(log, 2)
        log.truncateTo(5)
      },
    ],
    [
      'an epoch that was cut off',
      (log: PartitionLog) => {
        log.assignEpochStart(7, 5)
        // No bytes go, and the epoch never held a batch (KAFKA-10706).
        log.truncateTo(5)
      },
    ],
    ['a new beginning', (log: PartitionLog) => log.truncateFullyAndStartAt(9)],
  ])('distrusts one with %s that was not synced', (_what, change) => {
    const bench = Bench.started()
    const log = bench.log()
    appendMany(log, 5)
    bench.sync(log)
    change(log)
    const end = log.logEndOffset
    bench.kill()
    bench.start()
    const again = stored(bench)
    expect(again.logEndOffset).toBe(end)
    expect(again.isSynced).toBe(_what === 'an epoch that was cut off')
    bench.sync(again)
    bench.powerCut()
    bench.start()
    expect(stored(bench).logEndOffset).toBe(end)
  })

  it('syncs the directory of a segment that retention had begun before what is written to it', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const bench = Bench.started(seed, { segmentMs: 1000 })
      const log = bench.log()
      appendMany(log, 3, { timestampMs: 1 })
      bench.sync(log)
      bench.world.runFor(5_000)
      log.maintain(1e9, 3)
      bench.kill()
      bench.start()
      appendMany(stored(bench), 3)
      bench.sync(stored(bench))
      bench.powerCut()
      expect(bench.start().quarantined).toEqual([])
      expect(stored(bench).logEndOffset, `seed ${seed}`).toBe(6)
    }
  })
})

describe('after a clean stop', () => {
  it('knows each log without a look at its files', () => {
    const bench = lazily()
    for (let partition = 0; partition < 3; partition++) {
      const log = bench.log(partition)
      for (let i = 0; i < 50 + partition; i++) log.append([batchAt(i, { epoch: Math.floor(i / 20) })])
      log.advanceLogStartOffset(10)
      // Promised to nobody, and known again all the same.
      log.assignEpochStart(9, log.logEndOffset)
    }
    const whole = readAll(bench.log(1))
    bench.stop()
    const opened: string[] = []
    const open = bench.disk.open.bind(bench.disk)
    bench.disk.open = (path, options) => {
      if (path.startsWith('orders-')) opened.push(path)
      return open(path, options)
    }
    expect(bench.start().cleanStart).toBe(true)
    const log = stored(bench, 1)
    expect([log.logStartOffset, log.logEndOffset, log.durableEndOffset, log.latestEpoch]).toEqual([
      10, 51, 51, 9,
    ])
    expect(log.endOffsetForEpoch(1)).toEqual({ epoch: 1, endOffset: 40 })
    expect(log.isSynced).toBe(true)
    expect(log.sizeBytes).toBe(51 * 101)
    expect(opened).toEqual([])
    expect(readAll(log).equals(whole)).toBe(true)
    log.append([batchAt(51, { epoch: 9 })])
    expect(bench.sync(log)).toBe(52)
    bench.powerCut()
    bench.start()
    expect(stored(bench, 1).logEndOffset).toBe(52)
  })

  it.each([
    ['append', (log: PartitionLog) => log.append([batchAt(20)])],
    ['read', (log: PartitionLog) => log.read(0, 20, 1000, true)],
    ['truncation', (log: PartitionLog) => log.truncateTo(3)],
  ])('finds rot at the first %s', (_what, use) => {
    const bench = lazily()
    appendMany(bench.log(), 20)
    bench.stop()
    bench.disk.flipBit(LOG, 19 * 101 + 70)
    expect(bench.start().quarantined).toEqual([])
    expect(() => use(stored(bench))).toThrow(/damaged/)
    bench.world.runFor(1)
    expect(bench.quarantined).toHaveLength(1)
    expect(bench.offline).toBeNull()
  })

  it.each([
    ['append', (log: PartitionLog) => log.append([batchAt(20)])],
    ['read', (log: PartitionLog) => log.read(0, 20, 1000, true)],
  ])('finds at the first %s that the whole directory is gone: that costs this replica alone', (_what, use) => {
    const bench = lazily()
    appendMany(bench.log(), 20)
    bench.stop()
    bench.start()
    bench.disk.removeTree('orders-0')
    expect(() => use(stored(bench))).toThrow(/missing or damaged/)
    bench.world.runFor(1)
    expect(bench.quarantined).toMatchObject([{ topic: 'orders', partition: 0, topicId: TOPIC_ID }])
    expect(bench.offline).toBeNull()
    // Nobody may have heard of it before the next start.
    bench.kill()
    bench.start()
    expect(bench.manager.quarantined).toMatchObject([{ topic: 'orders', partition: 0, topicId: TOPIC_ID }])
  })

  it.each([
    ['records', (bench: Bench) => bench.disk.flipBit(LOG, 19 * 101 + 70)],
    ['its identity', (bench: Bench) => bench.disk.flipBit('orders-0/partition.metadata', 3)],
    [
      'its last record',
      (bench: Bench) => {
        const file = bench.disk.open(LOG)
        file.truncate(19 * 101)
        file.close()
      },
    ],
  ])('finds that a log lost %s within a minute, unasked', (_what, damage) => {
    const bench = lazily()
    appendMany(bench.log(), 20)
    bench.stop()
    damage(bench)
    expect(bench.start().quarantined).toEqual([])
    bench.world.runFor(60_000)
    expect(bench.quarantined).toHaveLength(1)
  })

  it('looks at each log where the mark is damaged', () => {
    for (const at of [0, 20, 60]) {
      const bench = lazily()
      appendMany(bench.log(), 20)
      bench.stop()
      bench.disk.flipBit('.kafka_cleanshutdown', at)
      bench.disk.flipBit(LOG, 19 * 101 + 70)
      expect(bench.start().quarantined, `at ${at}`).toHaveLength(1)
    }
  })

  it('stops again without having looked', () => {
    const bench = lazily()
    appendMany(bench.log(), 20)
    bench.stop()
    bench.start()
    bench.stop()
    bench.start()
    expect(stored(bench).logEndOffset).toBe(20)
    expect(readAll(stored(bench)).length).toBe(20 * 101)
  })
})
