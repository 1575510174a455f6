import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { NODE_24 } from '../support/cluster.js'
import type { Catch, Hunt } from './mutants/hunt.js'
import { PLANTED_BUGS } from './mutants/index.js'
import { type PlantedBug, patched, plant } from './mutants/plant.js'
import { SCHEDULES } from './schedules/index.js'

const TIMEOUT_MS = 240_000
/** Caught by the first short life, each by other means. */
const EXAMPLES = [
  'acknowledges-before-replication',
  'confirms-entries-before-they-are-synced',
  'promises-before-its-fsync',
]
const SHORT_SECONDS = 4

const root = fileURLToPath(new URL('../..', import.meta.url))
const build = `${root}.cache/sim-test/build`

function bugNamed(name: string): PlantedBug {
  const bug = PLANTED_BUGS.find((each) => each.name === name)
  if (bug === undefined) throw new Error(`no bug is called ${name}`)
  return bug
}

function planted(name: string): string {
  const copy = `${root}.cache/sim-test/${name}`
  plant(bugNamed(name), build, copy)
  return copy
}

function run(copy: string, script: string, argument: string): { status: number | null; out: string } {
  const child = spawnSync(process.execPath, [`${copy}/test/sim/${script}`, argument], { encoding: 'utf8' })
  return { status: child.status, out: child.stdout + child.stderr }
}

function hunt(copy: string): Catch {
  const what: Hunt = { seeds: [1, 2], seconds: SHORT_SECONDS, profile: null, isBug: false, schedules: [] }
  const { status, out } = run(copy, 'mutants/hunt.js', JSON.stringify(what))
  expect(status, out).toBe(0)
  return JSON.parse(out) as Catch
}

function traceHash(node: string): string | undefined {
  const life = ['--seed', '42', '--seconds', String(SHORT_SECONDS)]
  const { stdout, stderr } = spawnSync(node, [`${build}/test/sim/run.js`, ...life], { encoding: 'utf8' })
  const [, hash] = /^trace hash: ([0-9a-f]{16})$/m.exec(stdout) ?? []
  expect(hash, stdout + stderr).toBeDefined()
  return hash
}

beforeAll(() => {
  const built = spawnSync(process.execPath, [`${root}test/sim/build.mjs`, build], { encoding: 'utf8' })
  expect(built.stdout + built.stderr).toBe('')
  expect(built.status).toBe(0)
}, TIMEOUT_MS)

describe('the same seed', { timeout: TIMEOUT_MS }, () => {
  it('is the same life in another process', () => {
    expect(traceHash(process.execPath)).toBe(traceHash(process.execPath))
  })

  it.runIf(existsSync(NODE_24))('is the same life on Node.js 24', () => {
    expect(traceHash(NODE_24)).toBe(traceHash(process.execPath))
  })
})

describe('planted bugs', { timeout: TIMEOUT_MS }, () => {
  it('are forty at least, each with a name of its own, and fit the source as it is', () => {
    expect(new Set(PLANTED_BUGS.map(({ name }) => name)).size).toBe(PLANTED_BUGS.length)
    expect(PLANTED_BUGS.length).toBeGreaterThanOrEqual(40)
    const stale = PLANTED_BUGS.flatMap((bug) => {
      try {
        patched(bug, build)
        return []
      } catch (error) {
        return [(error as Error).message]
      }
    })
    expect(stale).toEqual([])
  })

  it('that no longer fit the source fail loudly', () => {
    const stale = { ...PLANTED_BUGS[0]!, find: 'a line that nobody wrote' }
    expect(() => patched(stale, build)).toThrow('0 times')
  })

  it('are what turns short lives red: without one they pass', () => {
    const { broken, violation, seeds } = hunt(build)
    expect({ broken, violation, seeds }).toEqual({ broken: null, violation: null, seeds: 2 })
  })

  it.each(EXAMPLES)('%s is caught', (name) => {
    expect(hunt(planted(name)).violation).not.toBeNull()
  })

  it.each(SCHEDULES)('$mutant fails the schedule $name', ({ name, mutant }) => {
    const { status, out } = run(planted(mutant), 'schedules/main.js', name)
    expect(status, out).toBe(1)
    expect(out).toContain(`${name}: `)
  })
})
