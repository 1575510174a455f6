import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import type { Compression } from '../../src/ports/compression.js'
import { PLANTED_BUGS, plant } from './planted-bugs.js'
import { type RunResult, SimRun } from './world.js'

/** Together these lives see every fault and every event that is counted. */
const SEEDS = [1, 2, 3]
const SECONDS = 10

const root = fileURLToPath(new URL('../..', import.meta.url))
const build = `${root}.cache/sim-test/build`

let compression: Compression
beforeAll(async () => {
  compression = await loadCompression()
})

function live(seed: number, options: { keepTrace?: boolean } = {}): RunResult {
  return new SimRun({ seed, nodes: 3, seconds: SECONDS, compression, ...options }).run()
}

function liveApart(
  directory: string,
  seed: number,
  args: readonly string[] = [],
): { status: number | null; out: string } {
  const command = [`${directory}/test/sim/run.js`, '--seed', `${seed}`, '--seconds', `${SECONDS}`, ...args]
  const child = spawnSync(process.execPath, command, { encoding: 'utf8' })
  return { status: child.status, out: child.stdout + child.stderr }
}

describe('a cluster in a simulated world', () => {
  const lives = new Map<number, RunResult>()

  it.each(SEEDS)('lives through seed %i without a violation', (seed) => {
    const result = live(seed)
    lives.set(seed, result)
    expect(result.violation).toBeNull()
  })

  it('meets every kind of fault, and every invariant is looked at', () => {
    const totals = new Map<string, number>()
    for (const { counts, checks } of lives.values()) {
      for (const [name, count] of Object.entries({ ...counts, ...checks }))
        totals.set(name, (totals.get(name) ?? 0) + count)
    }
    expect([...totals].filter(([, count]) => count === 0)).toEqual([])
    expect(totals.size).toBeGreaterThan(30)
  })

  it('lives the same life again, whether or not anyone keeps its timeline', () => {
    const again = live(SEEDS[0]!, { keepTrace: true })
    expect(again.traceHash).toBe(lives.get(SEEDS[0]!)!.traceHash)
    expect(again.timeline.length).toBeGreaterThan(50)
    expect(live(SEEDS[1]!).traceHash).not.toBe(again.traceHash)
  })
})

describe('a planted bug', () => {
  beforeAll(() => {
    const built = spawnSync(process.execPath, [`${root}test/sim/build.mjs`, build], { encoding: 'utf8' })
    expect(built.stdout + built.stderr).toBe('')
    expect(built.status).toBe(0)
  })

  it('is what turns these lives red: without one they pass, with the hash of any other process', () => {
    const { status, out } = liveApart(build, SEEDS[0]!, ['--trace'])
    expect(status, out).toBe(0)
    expect(out).toContain(live(SEEDS[0]!).traceHash)
  })

  it.each(PLANTED_BUGS)('$name is caught', (bug) => {
    const copy = `${root}.cache/sim-test/${bug.name}`
    plant(bug, build, copy)
    const { status, out } = liveApart(copy, bug.seed)
    expect(status, out).toBe(1)
    const violation = /^seed \d+: (.*)$/m.exec(out)?.[1] ?? out
    expect(
      bug.caughtBy.some((title) => violation.startsWith(title)),
      violation,
    ).toBe(true)
  })

  it('that no longer fits the source fails loudly', () => {
    const stale = { ...PLANTED_BUGS[0]!, find: 'a line that nobody wrote' }
    expect(() => plant(stale, build, `${root}.cache/sim-test/stale`)).toThrow('0 times')
  })
})
