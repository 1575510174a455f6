import { readFileSync } from 'node:fs'
import { nearestName } from '../metadata/config/definitions.js'
import { helpText, parseInvocation } from './command.js'
import { CliError, ExitCode, usageError } from './errors.js'
import { COMMANDS } from './registry.js'

/** Runs one command line and leaves its exit code in `process.exitCode`. */
export async function main(argv: readonly string[]): Promise<void> {
  process.stdout.on('error', exitOnClosedPipe)
  try {
    await dispatch(argv)
  } catch (error) {
    process.exitCode = report(error)
  }
}

async function dispatch(argv: readonly string[]): Promise<void> {
  const [first, second] = argv
  if (first === '--version' || first === '-v') {
    process.stdout.write(`kogge ${version()}\n`)
    return
  }
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    process.stdout.write(overview())
    return
  }
  // The longest name that fits: 'raft members add' before 'raft members'.
  const words = [3, 2, 1].find((count) => COMMANDS[argv.slice(0, count).join(' ')] !== undefined) ?? 2
  const entry = COMMANDS[argv.slice(0, words).join(' ')]
  if (entry === undefined) {
    const group = Object.keys(COMMANDS).some((known) => known.startsWith(`${first} `))
    if (group && (second === '--help' || second === '-h')) {
      process.stdout.write(overview(first))
      return
    }
    throw unknownCommand(first, second, group)
  }
  const { command } = await entry.load()
  const invocation = parseInvocation(command, argv.slice(words))
  if (invocation === 'help') process.stdout.write(helpText(command))
  else await command.run(invocation)
}

function unknownCommand(first: string, second: string | undefined, group: boolean): Error {
  if (group && second === undefined) {
    const choices = Object.keys(COMMANDS)
      .filter((known) => known.startsWith(`${first} `))
      .map((known) => known.slice(first.length + 1))
    return usageError(`kogge ${first} needs one of: ${choices.join(', ')}. See 'kogge --help'.`)
  }
  const given = group ? `${first} ${second}` : first
  const near = nearestName(given, [
    ...Object.keys(COMMANDS),
    ...Object.keys(COMMANDS).map((name) => name.split(' ')[0]!),
  ])
  const advice = near === undefined ? '' : ` Did you mean 'kogge ${near}'?`
  return usageError(`There is no command '${given}'.${advice} See 'kogge --help'.`)
}

function overview(group?: string): string {
  const names = Object.keys(COMMANDS).filter((name) => group === undefined || name.startsWith(`${group} `))
  const width = Math.max(...names.map((name) => name.length))
  return [
    'kogge: a Kafka-compatible broker cluster.',
    '',
    'Usage: kogge <command> [options]',
    '',
    'Commands:',
    ...names.map((name) => `  ${name.padEnd(width)}  ${COMMANDS[name]!.summary}`),
    '',
    "See 'kogge <command> --help' for options and an example.",
    'Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 unreachable.',
    '',
  ].join('\n')
}

/** Sentences for what users and clusters do; a stack trace only for what should not happen. */
function report(error: unknown): ExitCode {
  if (error instanceof CliError) {
    process.stderr.write(`kogge: ${error.message}\n`)
    return error.exitCode
  }
  const known = error as { name?: string; message?: string }
  if (known.name === 'KafkaUnreachableError') {
    process.stderr.write(`kogge: ${known.message}\n`)
    return ExitCode.unreachable
  }
  if (known.name === 'KafkaError') {
    process.stderr.write(`kogge: ${known.message}\n`)
    return ExitCode.failed
  }
  process.stderr.write(`kogge: unexpected failure: ${error instanceof Error ? error.stack : String(error)}\n`)
  return ExitCode.failed
}

/** `kogge consume … | head` is no error, and a terminal may go away. */
function exitOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE' || error.code === 'EIO') process.exit(ExitCode.done)
  throw error
}

export function version(): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  return manifest.version
}
