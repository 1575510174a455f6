import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaClient } from '../../src/adapters/kafka-client/index.js'
import { run } from './processes.js'

/** What is measured: its address, and the processes of its nodes where they run on this machine. */
export interface Cluster {
  readonly name: string
  readonly bootstrap: string
  readonly pids: readonly number[]
  /** From the command to three brokers in a client's Metadata. */
  readonly seenAfterSeconds?: number
  /** From the command to its own word that it is ready. */
  readonly readyAfterSeconds?: number
  stop(): Promise<void>
}

const NODES = 3
const FIRST_PORT = 23_092
const PORT_STEP = 100
/** Compiled, this file lies in .cache/bench/test/bench. */
const PROJECT = resolve(import.meta.dirname, '../../../..')
const POLL_MS = 10

function ports(): number[] {
  return Array.from({ length: NODES }, (_, i) => FIRST_PORT + PORT_STEP * i)
}

const BOOTSTRAP = ports()
  .map((port) => `127.0.0.1:${port}`)
  .join(',')

/** From an empty directory, by `npm start` or by the command itself. */
export async function startKogge(
  how: 'npm start' | 'kogge dev',
  overrides: readonly string[],
): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), 'kogge-bench-'))
  const options = ['--port', String(FIRST_PORT), '--data-dir', directory]
  for (const override of overrides) options.push('--override', override)
  const startedAt = performance.now()
  const child =
    how === 'npm start'
      ? spawn('npm', ['start', '--silent', '--', ...options], {
          cwd: PROJECT,
          stdio: ['ignore', 'pipe', 'inherit'],
        })
      : spawn(process.execPath, [join(PROJECT, 'dist/main.cjs'), 'dev', ...options], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
  const ready = line(child, /^ready in/m).then(() => secondsSince(startedAt))
  const seenAfterSeconds = await seen(startedAt)
  const readyAfterSeconds = await ready
  const pids = readdirSync(directory)
    .filter((name) => name.startsWith('node-'))
    .map((name) => Number(readFileSync(join(directory, name, 'kogge.pid'), 'utf8')))
  return {
    name: `kogge (${how})`,
    bootstrap: BOOTSTRAP,
    pids,
    seenAfterSeconds,
    readyAfterSeconds,
    stop: () => stop([child], directory),
  }
}

/** Apache Kafka in KRaft mode out of a directory of jars, formatted and started from nothing, with its own defaults. */
export async function startKafka(jars: string): Promise<Cluster> {
  const directory = mkdtempSync(join(tmpdir(), 'kafka-bench-'))
  const voters = ports().map((port, i) => `${i + 1}@127.0.0.1:${port + 1}`)
  const files = ports().map((port, i) => {
    const file = join(directory, `server-${i + 1}.properties`)
    mkdirSync(join(directory, `node-${i + 1}`))
    const properties = [
      `node.id=${i + 1}`,
      'process.roles=broker,controller',
      `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 1}`,
      'controller.listener.names=CONTROLLER',
      `controller.quorum.voters=${voters.join(',')}`,
      `log.dirs=${join(directory, `node-${i + 1}`, 'data')}`,
    ]
    writeFileSync(file, properties.join('\n'))
    return file
  })
  const classPath = ['-cp', join(jars, '*')]
  const startedAt = performance.now()
  const clusterId = 'a29nZ2UtYmVuY2gtaWQAAA'
  await Promise.all(
    files.map((file) =>
      run('java', [...classPath, 'kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', file]),
    ),
  )
  // As bin/kafka-server-start.sh does it.
  const jvm = ['-Xmx1G', '-Xms1G', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-Djava.awt.headless=true']
  const children = files.map((file) =>
    spawn('java', [...jvm, ...classPath, 'kafka.Kafka', file], { stdio: 'ignore' }),
  )
  return {
    name: 'Apache Kafka',
    bootstrap: BOOTSTRAP,
    pids: children.map((child) => child.pid!),
    seenAfterSeconds: await seen(startedAt),
    stop: () => stop(children, directory),
  }
}

/** Whoever runs it elsewhere. */
export function foreign(bootstrap: string, pids: readonly number[]): Cluster {
  return { name: bootstrap, bootstrap, pids, stop: async () => {} }
}

async function seen(startedAt: number): Promise<number> {
  for (;;) {
    const bootstrap = ports().map((port) => ({ host: '127.0.0.1', port }))
    const client = new KafkaClient({ bootstrap, timeoutMs: 1_000 })
    try {
      const { brokers } = await client.metadata([])
      if (brokers.length === NODES) return secondsSince(startedAt)
    } catch {
      // Not there yet; `line` and the user's patience end the wait where it never comes.
    } finally {
      client.close()
    }
    await sleep(POLL_MS)
  }
}

function secondsSince(startedAt: number): number {
  return (performance.now() - startedAt) / 1000
}

function line(child: ChildProcess, pattern: RegExp): Promise<void> {
  let text = ''
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      if (pattern.test(text)) resolve()
    })
    child.once('close', (code) => reject(new Error(`the cluster ended with ${code}:\n${text}`)))
  })
}

async function stop(children: readonly ChildProcess[], directory: string): Promise<void> {
  const ended = children.map((child) => new Promise<void>((resolve) => child.once('close', () => resolve())))
  for (const child of children) child.kill('SIGTERM')
  await Promise.all(ended)
  rmSync(directory, { recursive: true, force: true })
}
