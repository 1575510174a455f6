import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ExitCode } from '../errors.js'
import type { DevNode } from './layout.js'

const LAUNCHER = fileURLToPath(new URL('../../main.cjs', import.meta.url))
/** Then the children that still run are killed, so that a stop takes five seconds at most. */
const KILL_AFTER_MS = 4_700

export interface SupervisorOptions {
  readonly nodes: readonly DevNode[]
  readonly overrides: readonly string[]
  /** undefined: a node that died stays dead. */
  readonly restartAfterMs: number | undefined
  /** One line about a node. */
  say(line: string): void
  /** A node could not start, for a reason that starting it again does not mend. */
  onRefused(node: DevNode, problem: string): void
}

/** The children of `kogge dev`: one process a node, started again when one dies that was not told to. */
export class Supervisor {
  private readonly children = new Map<DevNode, ChildProcess>()
  private readonly restarts = new Set<NodeJS.Timeout>()
  private stopping = false
  private onEmpty: (() => void) | undefined

  constructor(private readonly options: SupervisorOptions) {}

  startAll(): void {
    for (const node of this.options.nodes) this.start(node)
  }

  pidOf(node: DevNode): number | undefined {
    return this.children.get(node)?.pid
  }

  /** SIGTERM for all, SIGKILL for those that do not follow. Resolves when none runs. Calling it again changes nothing. */
  stop(): Promise<void> {
    this.stopping = true
    for (const timer of this.restarts) clearTimeout(timer)
    const empty = new Promise<void>((resolve) => {
      if (this.children.size === 0) resolve()
      else this.onEmpty = resolve
    })
    for (const child of this.children.values()) child.kill('SIGTERM')
    const killer = setTimeout(() => {
      for (const child of this.children.values()) child.kill('SIGKILL')
    }, KILL_AFTER_MS)
    return empty.finally(() => clearTimeout(killer))
  }

  private start(node: DevNode): void {
    if (this.stopping) return
    const log = openSync(node.logFile, 'a')
    const overrides = this.options.overrides.flatMap((pair) => ['--override', pair])
    const child = spawn(
      process.execPath,
      [
        LAUNCHER,
        'start',
        '--config',
        node.configFile,
        '--exit-with-parent',
        '--log-level',
        'info',
        ...overrides,
      ],
      // The channel's end tells the child that this process is gone, however it went.
      { stdio: ['ignore', log, log, 'ipc'], env: { UV_THREADPOOL_SIZE: '16', ...process.env } },
    )
    closeSync(log)
    this.children.set(node, child)
    let problem: string | undefined
    child.on('message', (message: { problem?: string }) => {
      problem = message.problem ?? problem
    })
    child.on('error', (error) => {
      problem = `its process could not be started: ${error.message}`
      if (child.pid === undefined) this.onExit(node, child, ExitCode.failed, null, problem)
    })
    child.on('exit', (code, signal) => this.onExit(node, child, code, signal, problem))
    if (child.pid !== undefined) writePidFile(node.pidFile, child.pid)
  }

  private onExit(
    node: DevNode,
    child: ChildProcess,
    code: number | null,
    signal: NodeJS.Signals | null,
    problem: string | undefined,
  ): void {
    if (this.children.get(node) !== child) return
    this.children.delete(node)
    removePidFile(node.pidFile, child.pid)
    if (this.stopping) {
      if (this.children.size === 0) this.onEmpty?.()
      return
    }
    const id = node.config.nodeId
    const how = signal === null ? `exited with code ${code}` : `was killed by ${signal}`
    if (code === ExitCode.usage) {
      this.options.onRefused(node, problem ?? `see ${node.logFile}`)
      return
    }
    const { restartAfterMs } = this.options
    if (restartAfterMs === undefined) {
      this.options.say(
        `node ${id} (process ${child.pid}) ${how}; it is not started again (--restart-after off)`,
      )
      return
    }
    this.options.say(
      `node ${id} (process ${child.pid}) ${how}; it is started again in ${restartAfterMs / 1000} s`,
    )
    const timer = setTimeout(() => {
      this.restarts.delete(timer)
      this.start(node)
      this.options.say(`node ${id} is started again (process ${this.pidOf(node)})`)
    }, restartAfterMs)
    this.restarts.add(timer)
  }
}

/** Whole or not at all, so that nobody reads half a number. */
function writePidFile(path: string, pid: number): void {
  writeFileSync(`${path}.new`, `${pid}\n`)
  renameSync(`${path}.new`, path)
}

/** Only its own: a dead process's number may soon belong to somebody else. */
function removePidFile(path: string, pid: number | undefined): void {
  try {
    if (Number(readFileSync(path, 'utf8')) === pid) rmSync(path, { force: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
