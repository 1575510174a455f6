import { describe, expect, it } from 'vitest'
import type { LogConfig } from '../../src/log/types.js'
import { appendMany, Bench, TOPIC_ID } from './support.js'

/** Nobody asks for a sync of this log. */
function unasked(config: Partial<LogConfig>): Bench {
  const bench = Bench.started(1, config)
  bench.log()
  return bench
}

const FIRST = 'orders-0/00000000000000000000.log'

function syncsOf(bench: Bench, path: string): number {
  return bench.disk.recordSync.filter((sync) => sync.path === path).length
}

describe('a log that no acknowledgement waits for', () => {
  it('is synced when a segment ends, so that a start need not check it', () => {
    const bench = unasked({})
    const log = bench.log()
    appendMany(log, 40)
    bench.world.runFor(60_000)
    expect([log.durableEndOffset, syncsOf(bench, FIRST)]).toEqual([0, 0])
    appendMany(log, 1)
    bench.world.runFor(10)
    expect(log.durableEndOffset).toBe(41)
    appendMany(log, 30)
    bench.kill()
    bench.start()
    const again = bench.manager.get(TOPIC_ID, 0)!
    expect([again.foundDurableEnd, again.logEndOffset]).toEqual([41, 71])
  })

  it('is synced when retention begins a segment', () => {
    const bench = unasked({ segmentMs: 1_000 })
    const log = bench.log()
    appendMany(log, 3)
    log.maintain(1e9, 0)
    bench.world.runFor(10)
    expect(log.durableEndOffset).toBe(3)
  })
})

describe('flush.messages', () => {
  it('has so many records synced, however they come', () => {
    const bench = unasked({ flushMessages: 10 })
    const log = bench.log()
    appendMany(log, 3, { records: 3 })
    bench.world.runFor(60_000)
    expect(log.durableEndOffset).toBe(0)
    appendMany(log, 1)
    bench.world.runFor(10)
    expect(log.durableEndOffset).toBe(10)
    appendMany(log, 9)
    bench.world.runFor(60_000)
    expect(log.durableEndOffset).toBe(10)
    appendMany(log, 1, { records: 30 })
    bench.world.runFor(10)
    expect(log.durableEndOffset).toBe(49)
  })

  it('counts from the sync that is under way', () => {
    const bench = unasked({ flushMessages: 10 })
    const log = bench.log()
    bench.disk.faults.syncLatencyMs = () => 100
    appendMany(log, 10)
    bench.world.runFor(50)
    appendMany(log, 9)
    bench.world.runFor(1_000)
    expect(log.durableEndOffset).toBe(10)
  })

  it('counts what stands after a truncation', () => {
    const bench = unasked({ flushMessages: 10 })
    const log = bench.log()
    appendMany(log, 10)
    bench.world.runFor(10)
    log.truncateTo(5)
    appendMany(log, 9)
    bench.world.runFor(10)
    expect(log.durableEndOffset).toBe(5)
    appendMany(log, 1)
    bench.world.runFor(10)
    expect(log.durableEndOffset).toBe(15)
  })
})

describe('flush.ms', () => {
  it('has a record synced so long after it came, and costs an idle log nothing', () => {
    const bench = unasked({ flushMs: 500 })
    const log = bench.log()
    appendMany(log, 1)
    bench.world.runFor(300)
    appendMany(log, 1)
    bench.world.runFor(199)
    expect(log.durableEndOffset).toBe(0)
    bench.world.runFor(10)
    expect(log.durableEndOffset).toBe(2)
    bench.world.runFor(600_000)
    expect(syncsOf(bench, FIRST)).toBe(1)
  })

  it('counts from the first record that no other sync took', () => {
    const bench = unasked({ flushMs: 500 })
    const log = bench.log()
    appendMany(log, 1)
    bench.world.runFor(300)
    bench.sync(log)
    appendMany(log, 1)
    bench.world.runFor(450)
    expect(log.durableEndOffset).toBe(1)
    bench.world.runFor(60)
    expect(log.durableEndOffset).toBe(2)
  })

  it('holds for what stands there when it is altered', () => {
    const bench = unasked({})
    const log = bench.log()
    appendMany(log, 1)
    bench.world.runFor(10_000)
    log.updateConfig({ ...bench.config, flushMs: 500 })
    bench.world.runFor(510)
    expect(log.durableEndOffset).toBe(1)
    appendMany(log, 1)
    log.updateConfig(bench.config)
    bench.world.runFor(10_000)
    expect(log.durableEndOffset).toBe(1)
  })

  it('ends with the log', () => {
    const bench = unasked({ flushMs: 500 })
    appendMany(bench.log(), 1)
    bench.manager.delete(TOPIC_ID, 0)
    bench.world.runFor(10_000)
    expect([syncsOf(bench, FIRST), bench.offline]).toEqual([0, null])
  })
})
