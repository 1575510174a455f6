import { loadCompression } from '../../src/adapters/compression.js'
import { DEFAULT_PROFILE, PROFILES, type Profile } from './profiles.js'
import { LEFT_TO_CHANCE, type RunResult, SimRun } from './world.js'

/**
 * npm run sim -- --seed 42 [--trace]        one life; with its timeline
 * npm run sim -- --seeds 100 [--start N]    a sweep; --minutes ends it earlier, --seconds is each life's length
 *
 * Exits with 1 on a violation, and where a sweep of 25 lives or more never saw a kind of fault or event, or never
 * looked at an invariant.
 */
const SEEDS_THAT_SHOW_ALL = 25

const options = parse(process.argv.slice(2))
const compression = await loadCompression()
process.exit((options.seed !== null ? one(options.seed) : sweep()) ? 0 : 1)

function one(seed: number): boolean {
  const onLine = options.trace ? (line: string) => console.log(line) : undefined
  const result = new SimRun({ ...common(seed), onLine }).run()
  report(result)
  return result.violation === null
}

function sweep(): boolean {
  const totals: Record<string, number> = {}
  const checks: Record<string, number> = {}
  let simulatedSeconds = 0
  let seeds = 0
  let failed = 0
  const startedMs = performance.now()
  console.log(`start seed: ${options.start}`)
  for (let seed = options.start; seed < options.start + options.seeds; seed++) {
    const result = new SimRun(common(seed)).run()
    seeds++
    simulatedSeconds += result.simulatedSeconds
    addTo(totals, result.counts)
    addTo(checks, result.checks)
    if (result.violation !== null) {
      failed++
      report(result)
    }
    if (options.minutes > 0 && performance.now() - startedMs > options.minutes * 60_000) break
  }
  const seconds = (performance.now() - startedMs) / 1000
  const rate = (simulatedSeconds / seconds).toFixed(0)
  console.log(
    `${seeds} seeds, ${simulatedSeconds.toFixed(0)} simulated seconds in ${seconds.toFixed(0)} s (${rate} a second)`,
  )
  console.log(list(totals))
  console.log(`checks: ${list(checks)}`)
  console.log(`${failed} of ${seeds} seeds failed`)
  const never = Object.entries({ ...totals, ...checks }).filter(
    ([name, count]) => count === 0 && !LEFT_TO_CHANCE.has(name),
  )
  if (never.length > 0 && seeds >= SEEDS_THAT_SHOW_ALL) {
    console.log(`never seen: ${never.map(([name]) => name).join(', ')}`)
    return false
  }
  return failed === 0
}

function common(seed: number) {
  return { seed, nodes: options.nodes, seconds: options.seconds, profile: options.profile, compression }
}

function report(result: RunResult): void {
  if (result.violation !== null && !options.trace)
    for (const line of result.timeline) console.log(`  ${line}`)
  console.log(`seed ${result.seed}: ${result.violation ?? 'no violation'}`)
  console.log(
    `trace hash ${result.traceHash}, ${result.simulatedSeconds.toFixed(1)} simulated seconds, ${result.events} events`,
  )
  console.log(list(result.counts))
  if (result.violation === null) return
  const { nodes, seconds, profile } = options
  console.log(
    `replay: npm run sim -- --seed ${result.seed} --nodes ${nodes} --seconds ${seconds} --profile ${profile.name} --trace`,
  )
}

function addTo(totals: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + count
}

function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ')
}

function parse(args: readonly string[]) {
  const parsed = {
    seed: null as number | null,
    seeds: 20,
    start: 1,
    nodes: 3,
    seconds: 30,
    minutes: 0,
    trace: false,
    profile: DEFAULT_PROFILE,
  }
  for (let i = 0; i < args.length; i++) {
    const name = args[i]!
    if (name === '--trace') parsed.trace = true
    else if (name === '--profile') parsed.profile = profileOf(args[++i])
    else if (['--seed', '--seeds', '--start', '--nodes', '--seconds', '--minutes'].includes(name)) {
      const value = Number(args[++i])
      if (!Number.isSafeInteger(value) || value < 0) usage(`${name} takes a whole number`)
      parsed[name.slice(2) as 'seed'] = value
    } else usage(`unknown argument ${name}`)
  }
  return parsed
}

function profileOf(name: string | undefined): Profile {
  const found = PROFILES.find((profile) => profile.name === name)
  return found ?? usage(`--profile takes one of ${PROFILES.map((profile) => profile.name).join(', ')}`)
}

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: npm run sim -- --seed N [--trace] | --seeds N [--start N] [--minutes N], [--nodes N] [--seconds N], [--profile ${PROFILES.map((profile) => profile.name).join('|')}]`,
  )
  process.exit(2)
}
