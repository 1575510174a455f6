import { type ParseArgsConfig, parseArgs } from 'node:util'
import { nearestName } from '../metadata/config/definitions.js'
import { usageError } from './errors.js'

export interface OptionSpec {
  readonly type: 'string' | 'boolean'
  readonly short?: string
  readonly multiple?: boolean
  /** The value's name in the help text: 'host:port,…'. */
  readonly placeholder?: string
  readonly help: string
  /** Not in the help text: for kogge's own use. */
  readonly hidden?: boolean
}

export interface Command {
  /** As typed: 'topic create'. */
  readonly name: string
  readonly summary: string
  /** What follows the name: '<topic> [options]'. */
  readonly synopsis: string
  /** [fewest, most] arguments beside the options. */
  readonly positionals: readonly [number, number]
  readonly options: Readonly<Record<string, OptionSpec>>
  readonly example: string
  run(invocation: Invocation): Promise<void>
}

export const HELP: OptionSpec = { type: 'boolean', short: 'h', help: 'Print this text.' }

/** Options of every command that talks to a cluster. */
export const CLIENT_OPTIONS: Readonly<Record<string, OptionSpec>> = {
  'bootstrap-server': {
    type: 'string',
    placeholder: 'host:port,…',
    help: 'Brokers to begin with (default 127.0.0.1:9092,127.0.0.1:9192,127.0.0.1:9292).',
  },
  timeout: { type: 'string', placeholder: 'seconds', help: 'How long to keep trying (default 30).' },
  output: {
    type: 'string',
    short: 'o',
    placeholder: 'text|json',
    help: 'Text for people (default), or JSON.',
  },
}

/** A command's options and arguments as given, with typed readers that complain in sentences. */
export class Invocation {
  constructor(
    private readonly command: Command,
    private readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>,
    readonly positionals: readonly string[],
  ) {}

  flag(name: string): boolean {
    return this.values[name] === true
  }

  text(name: string): string | undefined {
    const value = this.values[name]
    return typeof value === 'string' ? value : undefined
  }

  texts(name: string): string[] {
    const value = this.values[name]
    return Array.isArray(value) ? value.filter((v) => typeof v === 'string') : []
  }

  wholeNumber(name: string, smallest: number, largest: number): number | undefined {
    const value = this.text(name)
    if (value === undefined) return undefined
    const number = /^-?\d+$/.test(value) ? Number(value) : Number.NaN
    if (number >= smallest && number <= largest) return number
    throw usageError(`--${name} ${value}: give a whole number from ${smallest} to ${largest}.`)
  }

  /** --timeout, in milliseconds. */
  timeoutMs(): number {
    const value = this.text('timeout')
    if (value === undefined) return 30_000
    const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : 0
    if (seconds > 0 && seconds <= 86_400) return seconds * 1000
    throw usageError(`--timeout ${value}: give a number of seconds above 0.`)
  }

  wantsJson(): boolean {
    const value = this.text('output') ?? 'text'
    if (value === 'json') return true
    if (value === 'text') return false
    throw usageError(`--output ${value}: write text or json.`)
  }

  /** 'key=value' pairs of a repeatable option. */
  pairs(name: string): [string, string][] {
    return this.texts(name).map((pair) => {
      const separator = pair.indexOf('=')
      if (separator <= 0) throw usageError(`--${name} ${pair}: write it as --${name} key=value.`)
      return [pair.slice(0, separator).trim(), pair.slice(separator + 1).trim()]
    })
  }

  usage(message: string): Error {
    return usageError(`${message} See 'kogge ${this.command.name} --help'.`)
  }
}

/** @throws CliError with exit code 2. 'help' where --help was asked for. */
export function parseInvocation(command: Command, argv: readonly string[]): Invocation | 'help' {
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const [name, { type, short, multiple }] of Object.entries({ ...command.options, help: HELP })) {
    options[name] = {
      type,
      ...(short === undefined ? {} : { short }),
      ...(multiple === true ? { multiple } : {}),
    }
  }
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const spec = options[token.name]
    if (spec === undefined) throw unknownOption(command, token.rawName, Object.keys(options))
    if (spec.type === 'boolean' && token.value !== undefined) {
      throw usageError(`--${token.name} takes no value. See 'kogge ${command.name} --help'.`)
    }
    const missing =
      token.value === undefined ||
      (token.value.startsWith('-') && !token.inlineValue && token.value.length > 1)
    if (spec.type === 'string' && missing) {
      throw usageError(`--${token.name} needs a value. See 'kogge ${command.name} --help'.`)
    }
  }
  const { values, positionals } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
  })
  if (values.help === true) return 'help'
  const [fewest, most] = command.positionals
  if (positionals.length < fewest || positionals.length > most) {
    const problem =
      positionals.length < fewest
        ? 'is missing an argument'
        : `does not know what to do with '${positionals[most]}'`
    throw usageError(
      `kogge ${command.name} ${problem}. Usage: kogge ${command.name} ${command.synopsis}`.trim(),
    )
  }
  return new Invocation(command, values, positionals)
}

function unknownOption(command: Command, given: string, known: string[]): Error {
  const near = nearestName(given.replace(/^-+/, ''), known)
  const advice = near === undefined ? '' : ` Did you mean --${near}?`
  return usageError(
    `kogge ${command.name} has no option ${given}.${advice} See 'kogge ${command.name} --help'.`,
  )
}

export function helpText(command: Command): string {
  const rows = Object.entries({ ...command.options, help: HELP })
    .filter(([, spec]) => spec.hidden !== true)
    .map(([name, spec]) => {
      const short = spec.short === undefined ? '    ' : `-${spec.short}, `
      return [`  ${short}--${name}${spec.placeholder === undefined ? '' : ` ${spec.placeholder}`}`, spec.help]
    })
  const width = Math.max(...rows.map(([left]) => left!.length))
  return [
    `${command.summary}`,
    '',
    `Usage: kogge ${command.name} ${command.synopsis}`.trimEnd(),
    '',
    'Options:',
    ...rows.map(([left, right]) => `${left!.padEnd(width)}  ${right}`),
    '',
    'Example:',
    ...command.example.split('\n').map((line) => `  ${line}`),
    '',
  ].join('\n')
}
