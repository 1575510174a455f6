import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as grpc from '@grpc/grpc-js'
import type { InspectStatus } from '../../src/adapters/grpc-inspect.js'
import { serviceDefinition } from '../../src/adapters/grpc-service.js'
import { cleanEnvironment, LAUNCHER } from '../support/cluster.js'
import { monotonicNowMs } from '../support/load-client.js'

const POLL_MS = 10

export type Roles = 'broker,controller' | 'broker' | 'controller'

interface InspectMethods {
  getStatus(
    request: object,
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, status?: InspectStatus) => void,
  ): void
  transferLeadership(
    request: { to: number },
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null) => void,
  ): void
}

export type Exit = number | NodeJS.Signals

/** One node's process, through its deaths. */
export class ProcessNode {
  readonly dataDirectory: string
  private readonly logFile: string
  private child: ChildProcess | undefined
  private exited: Promise<Exit> = Promise.resolve(0)
  private inspection: (grpc.Client & InspectMethods) | undefined

  constructor(
    readonly id: number,
    readonly roles: Roles,
    readonly kafkaPort: number,
    readonly directory: string,
    private readonly overrides: readonly string[],
  ) {
    this.dataDirectory = join(directory, 'data')
    this.logFile = join(directory, 'kogge.log')
    mkdirSync(directory, { recursive: true })
  }

  get grpcPort(): number {
    return this.kafkaPort + 1
  }

  get isBroker(): boolean {
    return this.roles !== 'controller'
  }

  get isController(): boolean {
    return this.roles !== 'broker'
  }

  /** Writes its server.properties: what follows from its place, and these lines. */
  configure(lines: readonly string[]): void {
    const kafka = this.isBroker ? `PLAINTEXT://127.0.0.1:${this.kafkaPort},` : ''
    writeFileSync(
      join(this.directory, 'server.properties'),
      [
        `node.id=${this.id}`,
        `process.roles=${this.roles}`,
        `listeners=${kafka}CONTROLLER://127.0.0.1:${this.grpcPort}`,
        'controller.listener.names=CONTROLLER',
        'log.dirs=data',
        ...lines,
        '',
      ].join('\n'),
    )
  }

  get isRunning(): boolean {
    return this.child !== undefined
  }

  log(): string {
    return readFileSync(this.logFile, 'utf8')
  }

  start(extraOverrides: readonly string[] = []): void {
    if (this.child !== undefined) throw new Error(`node ${this.id} runs`)
    const log = openSync(this.logFile, 'a')
    const child = spawn(
      process.execPath,
      [
        LAUNCHER,
        'start',
        '--config',
        join(this.directory, 'server.properties'),
        '--exit-with-parent',
        '--log-level',
        process.env.KOGGE_CHAOS_LOG ?? 'info',
        ...[...this.overrides, ...extraOverrides].flatMap((pair) => ['--override', pair]),
      ],
      { stdio: ['ignore', log, log, 'ipc'], env: cleanEnvironment() },
    )
    closeSync(log)
    this.child = child
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.child = undefined
        resolve(code ?? signal!)
      })
    })
  }

  /** Returns the moment of the signal, on the clock of the load clients. */
  signal(signal: NodeJS.Signals): number {
    if (this.child === undefined) throw new Error(`node ${this.id} does not run`)
    this.child.kill(signal)
    return monotonicNowMs()
  }

  /** Resolves when the process is gone. */
  waitForExit(): Promise<Exit> {
    return this.exited
  }

  async kill(): Promise<void> {
    if (this.child !== undefined) this.signal('SIGKILL')
    await this.exited
  }

  /** SIGTERM, to the end. */
  stop(): Promise<Exit> {
    this.signal('SIGTERM')
    return this.exited
  }

  /** Of a node that does not run: as if its disk had been replaced. */
  wipe(): void {
    if (this.child !== undefined) throw new Error(`node ${this.id} runs`)
    rmSync(this.dataDirectory, { recursive: true, force: true })
  }

  status(): Promise<InspectStatus> {
    return new Promise((resolve, reject) => {
      this.inspect().getStatus({}, { deadline: Date.now() + 2_000 }, (error, status) =>
        error === null ? resolve(status!) : reject(error),
      )
    })
  }

  transferLeadership(to: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.inspect().transferLeadership({ to }, { deadline: Date.now() + 2_000 }, (error) =>
        error === null ? resolve() : reject(error),
      )
    })
  }

  closeInspection(): void {
    this.inspection?.close()
  }

  private inspect(): grpc.Client & InspectMethods {
    if (this.inspection === undefined) {
      const Client = grpc.makeGenericClientConstructor(
        serviceDefinition('kogge.inspect.v1.Inspect'),
        'Inspect',
      )
      this.inspection = new Client(`127.0.0.1:${this.grpcPort}`, grpc.credentials.createInsecure(), {
        'grpc.initial_reconnect_backoff_ms': 20,
        'grpc.max_reconnect_backoff_ms': 100,
      }) as unknown as grpc.Client & InspectMethods
    }
    return this.inspection
  }
}

/** Polls; a failure of `condition` counts as not yet, and is told when the time is over. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = monotonicNowMs() + timeoutMs
  let failure: unknown
  for (;;) {
    try {
      if (await condition()) return
      failure = undefined
    } catch (error) {
      failure = error
    }
    if (monotonicNowMs() > deadline)
      throw new Error(
        `not within ${timeoutMs} ms: ${what}${failure === undefined ? '' : ` (${String(failure)})`}`,
      )
    await sleep(POLL_MS)
  }
}
