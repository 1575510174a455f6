import { loadCompression } from '../../src/adapters/compression.js'
import { type RunResult, SimRun } from './world.js'

/**
 * npm run sim -- --seed 42                  replays one life, with its timeline
 * npm run sim -- --seeds 100 [--start N]    sweeps; --seconds simulated seconds for each (default 30)
 * Exits with 1 on a violation or where a kind of event never came.
 */
const options = parse(process.argv.slice(2))
const compression = await loadCompression()
let failed = 0

if (options.seed !== null) {
  const result = new SimRun({ ...common(options.seed), keepTrace: true }).run()
  if (options.trace) for (const line of result.timeline) console.log(line)
  report(result)
} else {
  const totals: Record<string, number> = {}
  let simulatedSeconds = 0
  const startedMs = performance.now()
  console.log(`start seed: ${options.start}`)
  for (let seed = options.start; seed < options.start + options.seeds; seed++) {
    const result = new SimRun(common(seed)).run()
    simulatedSeconds += result.simulatedSeconds
    for (const [name, count] of Object.entries(result.counts)) totals[name] = (totals[name] ?? 0) + count
    if (result.violation !== null) report(result)
    if (options.minutes > 0 && performance.now() - startedMs > options.minutes * 60_000) {
      console.log(`time is over after ${seed - options.start + 1} seeds`)
      break
    }
  }
  const seconds = (performance.now() - startedMs) / 1000
  console.log(
    `${simulatedSeconds.toFixed(0)} simulated seconds in ${seconds.toFixed(0)} s (${(simulatedSeconds / seconds).toFixed(0)} a second)`,
  )
  console.log(
    Object.entries(totals)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  )
  const never = Object.entries(totals).filter(([, count]) => count === 0)
  if (never.length > 0 && options.seeds >= 10) {
    failed++
    console.log(`never seen: ${never.map(([name]) => name).join(', ')}`)
  }
}
process.exit(failed > 0 ? 1 : 0)

function common(seed: number) {
  return { seed, nodes: options.nodes, seconds: options.seconds, compression }
}

function report(result: RunResult): void {
  console.log(`seed ${result.seed}: ${result.violation ?? 'no violation'}`)
  console.log(
    `trace hash: ${result.traceHash}; ${result.simulatedSeconds.toFixed(1)} simulated seconds, ${result.events} events`,
  )
  console.log(
    Object.entries(result.counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', '),
  )
  if (result.violation === null) return
  failed++
  if (!options.trace) for (const line of result.timeline.slice(-60)) console.log(`  ${line}`)
  console.log(
    `replay: npm run sim -- --seed ${result.seed} --nodes ${options.nodes} --seconds ${options.seconds} --trace`,
  )
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
  }
  for (let i = 0; i < args.length; i++) {
    const name = args[i]!
    if (name === '--trace') parsed.trace = true
    else if (['--seed', '--seeds', '--start', '--nodes', '--seconds', '--minutes'].includes(name)) {
      const value = Number(args[++i])
      if (!Number.isSafeInteger(value) || value < 0) usage(`${name} takes a whole number`)
      parsed[name.slice(2) as 'seed'] = value
    } else usage(`unknown argument ${name}`)
  }
  return parsed
}

function usage(problem: string): never {
  console.error(
    `${problem}\nusage: npm run sim -- --seed N [--trace] | --seeds N [--start N] [--minutes N], [--nodes N] [--seconds N]`,
  )
  process.exit(2)
}
