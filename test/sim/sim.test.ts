import { beforeAll, describe, expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import type { Compression } from '../../src/ports/compression.js'
import { PROFILES, profileByName } from './profiles.js'
import { REGRESSIONS } from './regressions.js'
import { RARE } from './tally.js'
import { type RunResult, SimRun } from './world.js'

/** Of a life of each kind. */
const SECONDS = 10
/** Of one in which voters come and go: rarely, and not always does it come to that in ten. */
const SECONDS_OF_CHANGES = 40
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
  const checks = new Map<string, number>()

  it.each(
    PROFILES.filter(({ percent }) => percent > 0).map((profile) => [profile.name, profile] as const),
  )('lives through %s', (_name, profile) => {
    const seconds = profile.load.changeVotersWithinMs > 0 ? SECONDS_OF_CHANGES : SECONDS
    const result = new SimRun({ seed: 35, nodes: 3, seconds, profile, compression }).run()
    expect(result.violation).toBeNull()
    expect(result.counts.acknowledgements).toBeGreaterThan(50)
    for (const [name, count] of Object.entries(result.checks))
      checks.set(name, (checks.get(name) ?? 0) + count)
  })

  it('is looked at by every invariant', () => {
    expect(checks.size).toBeGreaterThan(25)
    expect([...checks].filter(([name, count]) => count === 0 && !RARE.has(name))).toEqual([])
  })

  it.each([
    { nodes: 1, voters: 1, isDedicated: false },
    { nodes: 5, voters: 5, isDedicated: false },
    { nodes: 5, voters: 3, isDedicated: false },
    { nodes: 6, voters: 3, isDedicated: true },
    { nodes: 5, voters: 3, controllers: 5, isDedicated: false },
  ])('lives with $nodes nodes, $voters of them voters, controllers: $controllers, dedicated: $isDedicated', (shape) => {
    expect(new SimRun({ seed: 36, ...shape, seconds: SECONDS, compression }).run().violation).toBeNull()
  })

  it.each(REGRESSIONS)('lives through seed $seed again: $about', ({ seed, nodes, profile, seconds }) => {
    const run = new SimRun({ seed, nodes, seconds, profile: profileByName(profile)!, compression })
    expect(run.run().violation).toBeNull()
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
