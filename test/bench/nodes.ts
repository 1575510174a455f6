import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { cpuSeconds } from './processes.js'

const PORT_STEP = 100
/** Compiled, this file lies in .cache/bench/test/bench. */
const PROJECT = resolve(import.meta.dirname, '../../../..')

/** Nodes as processes of their own, each to be killed, stopped and started again over the data that it has. */
export class Nodes {
  readonly directory = mkdtempSync(join(tmpdir(), 'kogge-bench-'))
  private readonly children = new Map<number, ChildProcess>()
  private endedCpuSeconds = 0

  constructor(
    readonly ids: readonly number[],
    private readonly firstPort: number,
    private readonly overrides: readonly string[],
  ) {
    const voters = ids.map((id) => `${id}@127.0.0.1:${this.port(id) + 1}`).join(',')
    for (const id of ids) {
      mkdirSync(join(this.directory, `node-${id}`))
      const properties = [
        `node.id=${id}`,
        'process.roles=broker,controller',
        `listeners=PLAINTEXT://127.0.0.1:${this.port(id)},CONTROLLER://127.0.0.1:${this.port(id) + 1}`,
        'controller.listener.names=CONTROLLER',
        `controller.quorum.voters=${voters}`,
        'log.dirs=data',
        '',
      ]
      writeFileSync(this.path(id, 'server.properties'), properties.join('\n'))
    }
  }

  port(id: number): number {
    return this.firstPort + PORT_STEP * this.ids.indexOf(id)
  }

  path(id: number, name: string): string {
    return join(this.directory, `node-${id}`, name)
  }

  pid(id: number): number {
    return this.children.get(id)!.pid!
  }

  /** Of those that run, and of those that ended up to when they were told to. */
  cpuSeconds(): number {
    const running = [...this.children.values()].filter(isRunning)
    return this.endedCpuSeconds + cpuSeconds(running.map((child) => child.pid!))
  }

  start(id: number): void {
    const log = createWriteStream(this.path(id, 'kogge.log'), { flags: 'a' })
    const overrides = this.overrides.flatMap((pair) => ['--override', pair])
    const child = spawn(
      process.execPath,
      [
        ...process.execArgv,
        join(PROJECT, 'dist/main.cjs'),
        'start',
        '--config',
        this.path(id, 'server.properties'),
        ...overrides,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    child.stdout.pipe(log)
    child.stderr.pipe(log)
    this.children.set(id, child)
  }

  /** Resolves when the process has ended. */
  async end(id: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.children.get(id)
    if (child === undefined || !isRunning(child)) return
    const ended = new Promise<void>((done) => child.once('exit', () => done()))
    const spent = cpuSeconds([child.pid!])
    child.kill(signal)
    await ended
    this.endedCpuSeconds += spent
  }

  /** Ends what still runs and deletes the data. */
  async dispose(keep: boolean): Promise<void> {
    await Promise.all(this.ids.map((id) => this.end(id, 'SIGKILL')))
    if (!keep) rmSync(this.directory, { recursive: true, force: true })
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}
