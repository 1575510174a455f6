import { describe, expect, it } from 'vitest'
import { appendMany, Bench, TOPIC_ID } from './support.js'

describe('what an election asks of the disk', () => {
  it('nothing, where the log is synced: an epoch that begins is no promise yet', () => {
    const bench = Bench.started()
    const log = bench.log()
    expect(log.isSynced).toBe(true)
    appendMany(log, 10)
    expect(log.isSynced).toBe(false)
    bench.sync(log)
    expect(log.isSynced).toBe(true)
    log.assignEpochStart(3, 10)
    log.assignEpochStart(4, 10)
    expect(log.isSynced).toBe(true)
    appendMany(log, 1, { epoch: 4 })
    expect(log.isSynced).toBe(false)
  })

  it('a sync, where a truncation, an append or another sync is under way', () => {
    const bench = Bench.started()
    const log = bench.log()
    appendMany(log, 10, { epoch: 1 })
    bench.sync(log)
    log.truncateTo(8)
    log.assignEpochStart(3, 8)
    expect(log.isSynced).toBe(false)
    log.sync(() => {})
    bench.world.step()
    expect(log.isSynced).toBe(false)
    bench.world.runFor(100)
    expect(log.isSynced).toBe(true)
    // No bytes go, but the epoch that began at the end does (KAFKA-10706).
    log.truncateTo(8)
    expect(log.latestEpoch).toBe(1)
    expect(log.isSynced).toBe(false)
  })

  it('whoever promises what is not durable still waits for a truncation to be', () => {
    const bench = Bench.started()
    const log = bench.log()
    appendMany(log, 10)
    expect(log.hasUnsyncedTruncation).toBe(false)
    log.truncateTo(8)
    expect(log.hasUnsyncedTruncation).toBe(true)
    appendMany(log, 3)
    bench.sync(log)
    expect(log.hasUnsyncedTruncation).toBe(false)
    // One that comes while a sync is under way is none of its.
    log.truncateTo(10)
    log.sync(() => {})
    bench.world.step()
    log.truncateTo(9)
    bench.world.runFor(100)
    expect(log.hasUnsyncedTruncation).toBe(true)
    bench.sync(log)
    expect(log.hasUnsyncedTruncation).toBe(false)
  })

  it('a log that holds nothing has no truncation to wait for', () => {
    const bench = Bench.started()
    const log = bench.log()
    log.truncateTo(0)
    bench.sync(log)
    expect(log.hasUnsyncedTruncation).toBe(false)
  })

  it('the epoch is known after a power cut as soon as one of its batches is durable', () => {
    const bench = Bench.started()
    const log = bench.log()
    appendMany(log, 10)
    bench.sync(log)
    log.assignEpochStart(3, 10)
    appendMany(log, 2, { epoch: 3 })
    bench.sync(log)
    bench.powerCut()
    expect(bench.start().quarantined).toEqual([])
    const again = bench.manager.get(TOPIC_ID, 0)!
    expect([again.logEndOffset, again.latestEpoch]).toEqual([12, 3])
    expect(again.endOffsetForEpoch(0)).toEqual({ epoch: 0, endOffset: 10 })
  })
})
