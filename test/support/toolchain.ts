import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PROJECT } from './cluster.js'

/** Where `.ci/install-clients` puts what is not in node_modules. */
const CACHE = join(PROJECT, '.cache/clients')
export const PYTHON = join(CACHE, 'python/bin/python')
export const FRANZ = join(CACHE, 'franz')
export const GRPCURL = join(CACHE, 'grpcurl')
const JARS = join(CACHE, 'java')

/** A JVM's start takes a second, and ten on a machine that does much else: these tests measure nothing. */
const TOOL_TIMEOUT_MS = 60_000
const TEST_TIMEOUT_MS = 180_000

/** Says why a tool cannot be used; undefined: it can. */
const TOOLS = {
  kcat: () => (starts('kcat', ['-V']) ? undefined : 'kcat is not installed'),
  'librdkafka (confluent-kafka)': () =>
    existsSync(PYTHON) && starts(PYTHON, ['-c', 'import confluent_kafka'])
      ? undefined
      : `${PYTHON} cannot import confluent_kafka`,
  "Kafka's own tools": () =>
    !existsSync(join(JARS, '.complete'))
      ? `${JARS} is not complete`
      : starts('java', ['-version'])
        ? undefined
        : 'java is not installed',
  grpcurl: () => (existsSync(GRPCURL) ? undefined : `${GRPCURL} has not been built`),
  'franz-go': () => (existsSync(FRANZ) ? undefined : `${FRANZ} has not been built`),
} as const

export type Tool = keyof typeof TOOLS

/**
 * Tests that need a client of another language. Where it is missing they are skipped by name, one by one, so that the
 * run counts them; with CI=true, where all of them must be there, that is a failure.
 */
export function describeWith(tool: Tool, body: () => void): void {
  const missing = TOOLS[tool]()
  if (missing === undefined) describe(tool, { timeout: TEST_TIMEOUT_MS }, body)
  else if (isCi())
    it(`${tool} is there`, () => expect.fail(`${missing}; .ci/install-clients should have brought it`))
  else describe.skip(`${tool} (${missing}: run .ci/install-clients)`, body)
}

/** For tests that can do without it. @throws with CI=true, where it must be there */
export function hasTool(tool: Tool): boolean {
  const missing = TOOLS[tool]()
  if (missing !== undefined && isCi())
    throw new Error(`${missing}; .ci/install-clients should have brought it`)
  return missing === undefined
}

function isCi(): boolean {
  const { CI } = process.env
  return CI !== undefined && CI !== '' && CI !== 'false'
}

function starts(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 20_000 }).status === 0
}

export interface ToolResult {
  readonly code: number | NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
}

export interface ToolOptions {
  readonly input?: string | Buffer
  readonly environment?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

/** Runs a program to its end. @throws where it does not end within the time, with all that it said */
export function runTool(
  command: string,
  args: readonly string[],
  { input = '', environment = {}, timeoutMs = TOOL_TIMEOUT_MS }: ToolOptions = {},
): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...process.env, ...environment } })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    const text = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString('utf8')
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, timeoutMs)
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      if (!late) resolve({ code: code ?? signal!, stdout: text(out), stderr: text(err) })
      else {
        const line = [command, ...args].join(' ')
        reject(new Error(`not done within ${timeoutMs} ms: ${line}\n${text(out)}\n${text(err)}`))
      }
    })
    child.stdin.on('error', () => undefined) // it may end before it has read everything
    child.stdin.end(input)
  })
}

/** A class of Kafka's own tools, unmodified, in a JVM that is set to start fast rather than to run fast. */
export function runJava(
  mainClass: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolResult> {
  const jvm = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto', '-Xmx256m']
  return runTool('java', [...jvm, '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', mainClass, ...args], {
    ...options,
    environment: { CLASSPATH: join(JARS, '*'), ...options.environment },
  })
}

/**
 * The largest value of a record without key and headers that `max.message.bytes` lets pass: the limit is for the
 * whole batch, which adds 61 bytes of its own header and 11 of the record's.
 */
export const LARGEST_VALUE_BYTES = 1_048_588 - 61 - 11
