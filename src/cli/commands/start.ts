import type { Command, Invocation } from '../command.js'
import { loadConfigFile } from '../config/file.js'
import { ENVIRONMENT_PREFIX } from '../config/settings.js'
import { CliError, ExitCode, usageError } from '../errors.js'
import { note } from '../output.js'
import { boundListeners, portProblem } from '../ports.js'

/** All that a stop may take; then the process ends whatever still hangs. */
const STOP_LIMIT_MS = 4_500
const LEVELS = ['debug', 'info', 'warn', 'error', 'silent']

export const command: Command = {
  name: 'start',
  summary: 'Runs one node until SIGTERM or SIGINT.',
  synopsis: '--config <server.properties> [options]',
  positionals: [0, 0],
  options: {
    config: {
      type: 'string',
      placeholder: 'file',
      help: "The node's server.properties; may be left out where KOGGE_* or --override give every key.",
    },
    override: {
      type: 'string',
      multiple: true,
      placeholder: 'key=value',
      help: 'A key that beats the environment (KOGGE_NODE_ID is node.id) and the file. May be repeated.',
    },
    'log-level': { type: 'string', placeholder: 'level', help: `${LEVELS.join(', ')} (default warn).` },
    'exit-with-parent': {
      type: 'boolean',
      hidden: true,
      help: 'Stops when the channel to the parent closes.',
    },
  },
  example: 'kogge start --config deploy/local/server-1.properties --override log.dirs=/tmp/node-1',
  run,
}

async function run(invocation: Invocation): Promise<void> {
  const withParent = invocation.flag('exit-with-parent')
  try {
    await runNode(invocation, withParent)
  } catch (error) {
    const problem = asCliError(error)
    if (problem === undefined) {
      // Sockets and the channel to the parent would keep this process, which serves nobody and is not started again.
      note(`kogge: unexpected failure: ${error instanceof Error ? error.stack : String(error)}`)
      process.exit(ExitCode.failed)
    }
    if (withParent) process.send?.({ problem: problem.message })
    note(`kogge: ${problem.message}`)
    process.exit(problem.exitCode)
  }
}

async function runNode(invocation: Invocation, withParent: boolean): Promise<void> {
  const file = invocation.text('config')
  const overrides = invocation.texts('override')
  const fromEnvironment = Object.keys(process.env).some((name) => name.startsWith(ENVIRONMENT_PREFIX))
  if (file === undefined && overrides.length === 0 && !fromEnvironment) {
    throw invocation.usage('kogge start needs --config with a server.properties.')
  }
  const level = invocation.text('log-level') ?? 'warn'
  if (!LEVELS.includes(level)) throw usageError(`--log-level ${level}: write one of ${LEVELS.join(', ')}.`)
  const { config, warnings } = loadConfigFile(file, overrides)
  for (const warning of warnings) note(`kogge: warning: ${warning}`)

  for (const problem of await Promise.all(boundListeners(config).map((listener) => portProblem(listener)))) {
    if (problem !== undefined) throw usageError(`${problem}: stop what listens there, or change listeners.`)
  }

  const stop = new StopRequest(withParent)
  const { startNode } = await import('../../adapters/node.js')
  const starting = startNode(config, { logLevel: level })
  const node = await Promise.race([starting, stop.requested])
  // A stop during the start: nothing was promised to anybody yet, and the data is safe at every moment.
  if (node === undefined) process.exit(ExitCode.done)
  const failure = await Promise.race([node.closed, stop.requested])
  if (failure?.name === 'StartError') throw failure
  if (failure) throw new CliError(ExitCode.failed, `The node stopped: ${failure.message}`)
  setTimeout(() => process.exit(ExitCode.done), STOP_LIMIT_MS).unref()
  await node.stop({ timeoutMs: STOP_LIMIT_MS - 500 })
  process.exit(ExitCode.done)
}

/** SIGTERM, SIGINT or a parent that is gone. Repeated signals change nothing. */
class StopRequest {
  readonly requested: Promise<undefined>

  constructor(withParent: boolean) {
    this.requested = new Promise((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
        process.on(signal, () => resolve(undefined))
      if (!withParent) return
      process.on('disconnect', () => resolve(undefined))
      if (!process.connected) resolve(undefined)
    })
  }
}

/** A node that cannot start for a reason that its owner can mend says so in a sentence: no stack trace. */
function asCliError(error: unknown): CliError | undefined {
  if (error instanceof CliError) return error
  if (error instanceof Error && error.name === 'StartError')
    return new CliError(ExitCode.usage, error.message)
  return undefined
}
