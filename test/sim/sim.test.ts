import { beforeAll, describe, expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import type { Compression } from '../../src/ports/compression.js'
import { LEFT_TO_CHANCE, type RunResult, SimRun } from './world.js'

/** Together these lives see every fault and every event that is counted. */
const SEEDS = [35, 295, 399]
const SECONDS = 15
/** Of a life that is only compared, or only has to turn red. */
const SHORT_SECONDS = 4
const TIMEOUT_MS = 180_000

let compression: Compression
beforeAll(async () => {
  compression = await loadCompression()
})

function live(seed: number, seconds: number, keepTrace = false): RunResult {
  return new SimRun({ seed, nodes: 3, seconds, compression, keepTrace }).run()
}

describe('a cluster in a simulated world', { timeout: TIMEOUT_MS }, () => {
  const lives = new Map<number, RunResult>()

  it.each(SEEDS)('lives through seed %i without a violation', (seed) => {
    const result = live(seed, SECONDS)
    lives.set(seed, result)
    expect(result.violation).toBeNull()
  })

  it('meets every kind of fault, and every invariant is looked at', () => {
    const totals = new Map<string, number>()
    for (const { counts, checks } of lives.values()) {
      for (const [name, count] of Object.entries({ ...counts, ...checks }))
        totals.set(name, (totals.get(name) ?? 0) + count)
    }
    expect([...totals].filter(([name, count]) => count === 0 && !LEFT_TO_CHANCE.has(name))).toEqual([])
    expect(totals.size).toBeGreaterThan(30)
  })

  it('lives the same life again, whether or not anyone keeps its timeline', () => {
    const once = live(7, SHORT_SECONDS)
    const again = live(7, SHORT_SECONDS, true)
    expect(again.traceHash).toBe(once.traceHash)
    expect(again.events).toBe(once.events)
    expect(again.timeline.length).toBeGreaterThan(20)
    expect(live(8, SHORT_SECONDS).traceHash).not.toBe(once.traceHash)
  })
})
