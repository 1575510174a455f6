import { spawn } from 'node:child_process'
import { loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { InvariantMonitor } from './invariants/monitor.js'
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
  --seconds S    simulated seconds of each (default 60); the liveness phase comes on top
  --only NAME    bugs whose name contains this
  --no-schedules chance alone: no schedule is played`

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '2' },
    seeds: { type: 'string', default: '16' },
    start: { type: 'string', default: '101' },
    seconds: { type: 'string', default: '60' },
    only: { type: 'string', default: '' },
    'no-schedules': { type: 'boolean', default: false },
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
  const caught = await hunt(copy, {
    ...huntOf(bug.profile ?? null, Number(values.seeds)),
    isBug: true,
    schedules: schedulesOf(bug),
  })
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
    schedules: [],
  }
}

function schedulesOf(bug: PlantedBug): string[] {
  if (values['no-schedules']) return []
  return SCHEDULES.filter(({ name, mutant }) => bug.schedule === name || mutant === bug.name).map(
    ({ name }) => name,
  )
}

/** Every seed that caught something, under the same faults, and every schedule. */
async function control(): Promise<boolean> {
  const most = new Map<string | null, number>()
  for (const { bug, caught } of verdicts) {
    const profile = bug.profile ?? null
    most.set(profile, Math.max(caught.seeds, most.get(profile) ?? 0))
  }
  const hunts: Hunt[] = [{ ...huntOf(null, 0), schedules: [...new Set(bugs.flatMap(schedulesOf))] }]
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
  const areAllHeard = printTable()
  const caught = verdicts.length - missed.length - invalid.length
  const minutes = ((performance.now() - startedMs) / 60_000).toFixed(1)
  const cpuMinutes = verdicts.reduce((sum, verdict) => sum + verdict.caught.cpuMs, 0) / 60_000
  console.log(
    `\n${caught} of ${verdicts.length} bugs caught in ${minutes} minutes with ${values.jobs} processes (${cpuMinutes.toFixed(1)} minutes of CPU; load of the machine ${loadavg()[0]!.toFixed(1)})`,
  )
  for (const { bug } of missed) console.log(`MISSED: ${bug.name} (${bug.rule})`)
  for (const { bug } of invalid) console.log(`INVALID: ${bug.name} fails a minute without faults`)
  // A part of the bugs need not wake all invariants.
  return missed.length + invalid.length === 0 && (areAllHeard || values.only !== '')
}

/**
 * Of each invariant, and whoever else spoke up, the bugs that it caught; with a star where it was the first.
 * True: each has caught something.
 */
function printTable(): boolean {
  const catches = new Map<string, string[]>(invariantTitles().map((title): [string, string[]] => [title, []]))
  for (const { bug, caught } of verdicts) {
    caught.by.forEach((title, i) => {
      const names = catches.get(title)
      if (names === undefined) catches.set(title, [`${bug.name}*`])
      else names.push(i === 0 ? `${bug.name}*` : bug.name)
    })
  }
  console.log('\nwho spoke up, and at which bugs (*: before all others):')
  for (const [title, names] of catches) {
    console.log(`  ${title}: ${names.length === 0 ? 'NONE' : names.length}`)
    for (const name of names) console.log(`      ${name}`)
  }
  const silent = [...catches].filter(([, names]) => names.length === 0).map(([title]) => title)
  console.log(
    silent.length === 0 ? 'every invariant caught something' : `caught nothing: ${silent.join('; ')}`,
  )
  return silent.length === 0
}

function invariantTitles(): string[] {
  const nobody = {
    clock: { nowMs: 0 },
    nodes: [],
    minInsyncReplicas: 1,
    flushBeforeAck: true,
    damagedNodes: new Map<number, null>(),
  }
  return new InvariantMonitor(nobody, 'all', () => {}).all.map(({ title }) => title)
}

function lineOf({ bug, caught }: Verdict): string {
  const name = bug.name.padEnd(50)
  if (caught.broken !== null) return `INVALID  ${name} ${caught.broken.slice(0, 160)}`
  const cost = `${(caught.cpuMs / 1000).toFixed(0)} s CPU`.padStart(9)
  const seeds = caught.seeds === 1 ? '1 seed' : `${caught.seeds} seeds`
  const way = caught.violation?.startsWith('schedule ') ? /schedule [^:]*/.exec(caught.violation)![0] : seeds
  const how = `${way}${bug.profile === undefined || caught.seeds === 0 ? '' : ` of ${bug.profile}`}`.padEnd(
    36,
  )
  if (caught.violation === null) return `MISSED   ${name} ${how} ${cost}  ${bug.rule}`
  return `caught   ${name} ${how} ${cost}  by: ${caught.by[0]}; breaks ${bug.rule}`
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
    const child = spawn(process.execPath, [
      ...process.execArgv,
      `${copy}/test/sim/mutants/hunt.js`,
      JSON.stringify(what),
    ])
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
