import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Catch, Hunt } from './mutants/hunt.js'
import { PLANTED_BUGS } from './mutants/index.js'
import { type PlantedBug, patched, plant } from './mutants/plant.js'
import { SCHEDULES } from './schedules/index.js'

/**
 * npm run sim:mutants: does the simulation find what it is there to find? Each planted bug, in a copy of the build,
 * must turn a sweep red, though it works as long as nothing goes wrong; the unpatched control must pass the same seeds.
 */
const HELP = `Plants bugs in copies of the build and lets the simulation look for them.

  --jobs J       processes (default 2)
  --seeds N      lives that a bug may survive before it counts as missed (default 16)
  --start SEED   the first of them (default 101)
  --seconds S    simulated seconds of each (default 30); the liveness phase comes on top
  --only NAME    bugs whose name contains this`

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '2' },
    seeds: { type: 'string', default: '16' },
    start: { type: 'string', default: '101' },
    seconds: { type: 'string', default: '30' },
    only: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) {
  console.log(HELP)
  process.exit(0)
}
const build = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
const copies = fileURLToPath(new URL('../../../sim-mutants', import.meta.url))
const start = Number(values.start)
const seconds = Number(values.seconds)
const bugs = PLANTED_BUGS.filter(({ name }) => name.includes(values.only))
const CONTROL_CHUNK = 4
/** A bug that a schedule is there for is given to chance for no longer. */
const SEEDS_BEFORE_SCHEDULE = 4

interface Verdict {
  readonly bug: PlantedBug
  readonly caught: Catch
}

// Before anything runs: a patch that does not fit any more is no result.
for (const bug of PLANTED_BUGS) patched(bug, build)

const startedMs = performance.now()
const verdicts = await inParallel(bugs, async (bug): Promise<Verdict> => {
  const copy = `${copies}/${bug.name}`
  plant(bug, build, copy)
  const schedule = bug.schedule ?? SCHEDULES.find(({ mutant }) => mutant === bug.name)?.name ?? null
  const seeds =
    schedule === null ? Number(values.seeds) : Math.min(Number(values.seeds), SEEDS_BEFORE_SCHEDULE)
  const caught = await hunt(copy, { ...huntOf(bug.profile ?? null, seeds), isBug: true, schedule })
  const verdict = { bug, caught }
  console.log(lineOf(verdict))
  return verdict
})
const passed = await control()
process.exit(summarise() && passed ? 0 : 1)

function huntOf(profile: string | null, count: number): Hunt {
  return {
    seeds: Array.from({ length: count }, (_, i) => start + i),
    seconds,
    profile,
    isBug: false,
    schedule: null,
  }
}

/** Every seed that caught something, under the same faults. */
async function control(): Promise<boolean> {
  const most = new Map<string | null, number>()
  for (const { bug, caught } of verdicts) {
    const profile = bug.profile ?? null
    most.set(profile, Math.max(caught.seeds, most.get(profile) ?? 0))
  }
  const hunts: Hunt[] = []
  for (const [profile, count] of most) {
    const whole = huntOf(profile, count)
    for (let i = 0; i < count; i += CONTROL_CHUNK)
      hunts.push({ ...whole, seeds: whole.seeds.slice(i, i + CONTROL_CHUNK) })
  }
  const outcomes = await inParallel(hunts, (each) => hunt(build, each))
  const lives = outcomes.reduce((sum, { seeds }) => sum + seeds, 0)
  const failures = outcomes.filter(({ violation }) => violation !== null)
  for (const { violation } of failures) console.log(`control FAILED: ${violation}`)
  if (failures.length === 0) console.log(`control: unpatched, the same ${lives} lives pass`)
  return failures.length === 0
}

function summarise(): boolean {
  const missed = verdicts.filter(({ caught }) => caught.broken === null && caught.violation === null)
  const invalid = verdicts.filter(({ caught }) => caught.broken !== null)
  const catches = new Map<string, number>()
  for (const { caught } of verdicts)
    for (const title of new Set(caught.by)) catches.set(title, (catches.get(title) ?? 0) + 1)
  const known = new Set(verdicts.flatMap(({ caught }) => Object.keys(caught.checks)))
  console.log('\nwho spoke up, and at how many of the bugs:')
  for (const title of [...new Set([...known, ...catches.keys()])])
    console.log(`  ${String(catches.get(title) ?? 'never').padStart(5)}  ${title}`)
  const caught = verdicts.length - missed.length - invalid.length
  const minutes = ((performance.now() - startedMs) / 60_000).toFixed(1)
  console.log(`\n${caught} of ${verdicts.length} bugs caught in ${minutes} minutes`)
  for (const { bug } of missed) console.log(`MISSED: ${bug.name} (${bug.rule})`)
  for (const { bug } of invalid) console.log(`INVALID: ${bug.name} fails a minute without faults`)
  return missed.length + invalid.length === 0
}

function lineOf({ bug, caught }: Verdict): string {
  const name = bug.name.padEnd(50)
  if (caught.broken !== null) return `INVALID  ${name} ${caught.broken.slice(0, 160)}`
  const seeds = `${caught.seeds} ${caught.seeds === 1 ? 'seed' : 'seeds'}`.padEnd(9)
  if (caught.violation === null) return `MISSED   ${name} ${seeds} ${bug.rule}`
  return `caught   ${name} ${seeds} by: ${caught.by[0]}; breaks ${bug.rule}`
}

async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const at = next++
      results[at] = await work(items[at]!)
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, worker))
  return results
}

function hunt(copy: string, what: Hunt): Promise<Catch> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [`${copy}/test/sim/mutants/hunt.js`, JSON.stringify(what)])
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(out) as Catch)
      else reject(new Error(`the hunt in ${copy} ended with ${code}: ${err.slice(-1_000)}`))
    })
  })
}
