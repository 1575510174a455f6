import { loadCompression } from '../../src/adapters/compression.js'
import { HELP, lifeOf, parseOptions, type SimOptions, UsageError } from './options.js'
import { reportOf } from './report.js'
import { Sweep } from './sweep.js'
import { type RunResult, SimRun } from './world.js'

/** npm run sim: see HELP. Exits with 0, 1 on a violation, 2 on a wrong command line. */
const options = optionsOrExit()
const compression = await loadCompression()

function live(seed: number, onLine?: (line: string) => void): RunResult {
  const { voters, controllers, ...life } = lifeOf(options, seed)
  return new SimRun({
    ...life,
    voters: voters ?? life.nodes,
    controllers: controllers ?? undefined,
    compression,
    onLine,
  }).run()
}

if (options.isWorker) {
  process.on('message', (seed: number) => process.send!(live(seed)))
} else if (options.seed === null) {
  process.exitCode = (await new Sweep(options).run(live)) ? 0 : 1
} else {
  const result = live(options.seed, options.trace ? (line) => console.log(line) : undefined)
  console.log(reportOf(result, lifeOf(options, options.seed)))
  process.exitCode = result.violation === null ? 0 : 1
}

function optionsOrExit(): SimOptions {
  try {
    const parsed = parseOptions(process.argv.slice(2), Date.now())
    if (parsed !== 'help') return parsed
    console.log(HELP)
    process.exit(0)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\nnpm run sim -- --help says more`)
    process.exit(2)
  }
}
