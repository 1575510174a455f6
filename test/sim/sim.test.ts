import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import type { Compression } from '../../src/ports/compression.js'
import { PLANTED_BUGS, plant } from './planted-bugs.js'
import { LEFT_TO_CHANCE, type RunResult, SimRun } from './world.js'

/** Together these lives see every fault and every event that is counted. */
const SEEDS = [35, 295, 399]
const SECONDS = 15
/** Of a life that is only compared, or only has to turn red. */
const SHORT_SECONDS = 4
const TIMEOUT_MS = 180_000

const root = fileURLToPath(new URL('../..', import.meta.url))
const build = `${root}.cache/sim-test/build`

let compression: Compression
beforeAll(async () => {
  compression = await loadCompression()
})

function live(seed: number, seconds: number, keepTrace = false): RunResult {
  return new SimRun({ seed, nodes: 3, seconds, compression, keepTrace }).run()
}

function liveApart(
  directory: string,
  seed: number,
  args: readonly string[] = [],
): { status: number | null; out: string } {
  const command = [
    `${directory}/test/sim/run.js`,
    '--seed',
    `${seed}`,
    '--seconds',
    `${SHORT_SECONDS}`,
    ...args,
  ]
  const child = spawnSync(process.execPath, command, { encoding: 'utf8' })
  return { status: child.status, out: child.stdout + child.stderr }
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

describe('a planted bug', { timeout: TIMEOUT_MS }, () => {
  beforeAll(() => {
    const built = spawnSync(process.execPath, [`${root}test/sim/build.mjs`, build], { encoding: 'utf8' })
    expect(built.stdout + built.stderr).toBe('')
    expect(built.status).toBe(0)
  }, TIMEOUT_MS)

  it('is what turns these lives red: without one they pass, with the hash of any other process', () => {
    const seed = PLANTED_BUGS[0]!.seed
    const { status, out } = liveApart(build, seed, ['--trace'])
    expect(status, out).toBe(0)
    expect(out).toContain(live(seed, SHORT_SECONDS).traceHash)
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
