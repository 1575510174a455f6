import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as grpc from '@grpc/grpc-js'
import type { InspectStatus } from '../../src/adapters/grpc-inspect.js'
import { serviceDefinition } from '../../src/adapters/grpc-service.js'
import { type ClusterTopic, KafkaClient } from '../../src/adapters/kafka-client/index.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { cleanEnvironment, freeBasePort, LAUNCHER } from '../support/cluster.js'
import { monotonicNowMs } from '../support/load-client.js'

const PORT_STEP = 100
const POLL_MS = 10

export interface ProcessClusterOptions {
  /** `key=value`, for every node. */
  readonly overrides?: readonly string[]
  readonly nodes?: number
}

/**
 * Three processes of `kogge start`, each of which the test itself starts, kills, stops and wipes: what `kogge dev`
 * does between a death and the next start would be one supervisor's choice only.
 */
export class ProcessCluster {
  readonly nodes: readonly ProcessNode[]
  readonly bootstrap: string
  readonly client: KafkaClient

  private constructor(
    readonly directory: string,
    port: number,
    options: ProcessClusterOptions,
  ) {
    const ids = Array.from({ length: options.nodes ?? 3 }, (_, i) => i + 1)
    const portOf = (id: number) => port + PORT_STEP * (id - 1)
    const voters = ids.map((id) => `${id}@127.0.0.1:${portOf(id) + 1}`).join(',')
    this.nodes = ids.map(
      (id) => new ProcessNode(id, portOf(id), join(directory, `node-${id}`), voters, options.overrides ?? []),
    )
    this.bootstrap = ids.map((id) => `127.0.0.1:${portOf(id)}`).join(',')
    this.client = new KafkaClient({
      bootstrap: ids.map((id) => ({ host: '127.0.0.1', port: portOf(id) })),
      clientId: 'chaos',
      connectTimeoutMs: 1_000,
      requestTimeoutMs: 3_000,
    })
  }

  /** Starts all and waits until every broker is unfenced. */
  static async start(options: ProcessClusterOptions = {}): Promise<ProcessCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'kogge-chaos-'))
    const cluster = new ProcessCluster(directory, await freeBasePort(options.nodes ?? 3), options)
    for (const node of cluster.nodes) node.start()
    await cluster.waitForBrokers(cluster.nodes.length)
    return cluster
  }

  node(id: number): ProcessNode {
    return this.nodes[id - 1]!
  }

  /** Ends what still runs and deletes the directory. */
  async close(): Promise<void> {
    this.client.close()
    await Promise.all(this.nodes.map((node) => node.kill()))
    for (const node of this.nodes) node.closeInspection()
    if (process.env.KOGGE_CHAOS_KEEP === undefined) rmSync(this.directory, { recursive: true, force: true })
    else console.log(`kept: ${this.directory}`)
  }

  async createTopic(
    name: string,
    partitions = 1,
    configs: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    await this.client.retrying(async () => {
      const answer = await this.client.request(CreateTopics, {
        topics: [
          {
            name,
            numPartitions: partitions,
            replicationFactor: 3,
            assignments: [],
            configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
          },
        ],
        timeoutMs: 10_000,
      })
      const { errorCode, errorMessage } = answer.topics[0]!
      if (errorCode !== 0 && errorCode !== ErrorCode.TOPIC_ALREADY_EXISTS)
        throw new Error(`topic ${name}: ${errorMessage} (${errorCode})`)
    })
    await this.waitForFullIsr(name)
  }

  async waitForBrokers(count: number, timeoutMs = 30_000): Promise<void> {
    await until(
      `${count} brokers are unfenced`,
      async () => {
        const statuses = await Promise.all(this.nodes.filter((node) => node.isRunning).map((n) => n.status()))
        return statuses.filter(({ broker }) => broker.state === 'running').length === count
      },
      timeoutMs,
    )
  }

  /** Every partition of the topic has all its replicas in sync, whichever node is asked. */
  async waitForFullIsr(topic: string, timeoutMs = 30_000): Promise<ClusterTopic> {
    let found: ClusterTopic | undefined
    await until(
      `every replica of ${topic} is in sync`,
      async () => {
        found = await this.client.topic(topic)
        return found.partitions.every((p) => p.isr.length === p.replicas.length && p.leader > 0)
      },
      timeoutMs,
    )
    return found!
  }

  async leaderOf(topic: string, partition = 0): Promise<number> {
    return (await this.client.topic(topic)).partitions[partition]!.leader
  }

  /** The Raft leader, when all living nodes agree on it. */
  async raftLeader(timeoutMs = 15_000): Promise<number> {
    let leader = 0
    await until(
      'the nodes agree on a Raft leader',
      async () => {
        const living = this.nodes.filter((node) => node.isRunning)
        const statuses = await Promise.all(living.map((node) => node.status()))
        const named = new Set(statuses.map(({ quorum }) => quorum.leader))
        leader = [...named][0] ?? 0
        return named.size === 1 && leader > 0
      },
      timeoutMs,
    )
    return leader
  }

  async moveRaftLeaderTo(target: number): Promise<void> {
    for (let tries = 0; ; tries++) {
      const leader = await this.raftLeader()
      if (leader === target) return
      if (tries >= 10) throw new Error(`node ${target} did not become the Raft leader`)
      // Refused while another transfer is under way; the next turn tells.
      await this.node(leader)
        .transferLeadership(target)
        .catch(() => undefined)
      await sleep(200)
    }
  }
}

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
    readonly kafkaPort: number,
    readonly directory: string,
    voters: string,
    private readonly overrides: readonly string[],
  ) {
    this.dataDirectory = join(directory, 'data')
    this.logFile = join(directory, 'kogge.log')
    mkdirSync(directory, { recursive: true })
    writeFileSync(
      join(directory, 'server.properties'),
      [
        `node.id=${id}`,
        'process.roles=broker,controller',
        `listeners=PLAINTEXT://127.0.0.1:${kafkaPort},CONTROLLER://127.0.0.1:${kafkaPort + 1}`,
        'controller.listener.names=CONTROLLER',
        `controller.quorum.voters=${voters}`,
        'log.dirs=data',
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
      this.inspection = new Client(`127.0.0.1:${this.kafkaPort + 1}`, grpc.credentials.createInsecure(), {
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
