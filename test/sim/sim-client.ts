import type { SeededRandom } from '../../src/lib/prng.js'
import { randomBelow } from '../../src/lib/prng.js'
import type { ControllerCommand, ControllerReply } from '../../src/metadata/commands.js'
import type { Compression } from '../../src/ports/compression.js'
import type { Dialer } from '../../src/ports/network.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { FindCoordinator } from '../../src/wire/messages/find-coordinator.js'
import { Metadata } from '../../src/wire/messages/metadata.js'
import type { Api } from '../../src/wire/schema.js'
import { SimConnection } from './client.js'
import type { SimProcess } from './clock.js'
import type { HistoryRecorder } from './history.js'
import { hostOf, KAFKA_PORT } from './node.js'
import type { Load } from './profiles.js'

/** What the workload tells the invariants. */
export interface WorkloadObserver {
  /** A client sends a request. */
  onRequest(): void
  onAcknowledged(partition: string, offset: number, value: string): void
  /** Of a topic that keeps the newest records alone: nobody looks for them in the end. */
  onAcknowledgedForNow(partition: string, offset: number, value: string): void
  /** With acks=1: nothing is promised. */
  onUnpromised(): void
  /** A client saw this value at this offset, which was its next one. */
  onConsumed(consumer: string, partition: string, offset: number, value: string): void
  /** The same, wherever it stands. */
  onSeen(consumer: string, partition: string, offset: number, value: string): void
  /** What a fetch said of the partition, before its records. */
  onFetched(consumer: string, partition: string, highWatermark: number, lastStable: number): void
  onLatestOffset(client: string, partition: string, offset: number): void
  onOffsetReset(consumer: string, partition: string, offset: number): void
  onCommitAcknowledged(group: string, offset: number): void
  onCommitFetched(group: string, offset: number, nodeId: number): void
  /** An administrative command, or a step of a group, succeeded. */
  onDone(what: WorkloadEvent): void
  /** An answer that a correct cluster never gives. */
  onImpossible(client: string, what: string): void
  /** The client gave up waiting for this node. */
  onTimeOut(client: string, nodeId: number, askedAtMs: number): void
  /** A response was thrown away on purpose: the client does not know what came of its request. */
  onResponseLost(): void
  /** No image that any node ever had names a later leader than this node of the partition. */
  isNewestLeader(partition: string, nodeId: number): boolean
}

export const WORKLOAD_EVENTS = [
  'configChanges',
  'minimumChanges',
  'topicsCreated',
  'topicsDeleted',
  'partitionsCreated',
  'preferredElections',
  'reassignments',
  'throttleChanges',
  'votersAdded',
  'votersPromoted',
  'votersRemoved',
  'leadersRemoved',
  'groupJoins',
  'groupLeaves',
  'groupDeaths',
  'groupCommits',
] as const
export type WorkloadEvent = (typeof WORKLOAD_EVENTS)[number]

export interface ClientWorld {
  readonly process: SimProcess
  readonly dialer: Dialer
  readonly random: SeededRandom
  readonly compression: Compression
  readonly nodeIds: readonly number[]
  /** Who may be a voter. */
  readonly controllers: readonly number[]
  /** By the inspection service of this node, where it runs; else `done` never comes. */
  command(
    nodeId: number,
    command: ControllerCommand,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): void
  readonly load: Load
  /** Nobody has lost what gave it its vote: another's may be taken. */
  maySpareVote(): boolean
  readonly observer: WorkloadObserver
  readonly history: HistoryRecorder
}

export const RETRY_MS = 100
export const REQUEST_TIMEOUT_MS = 3_000
export const NOT_ANSWERED = -2
const NO_LEADER = { id: -1, epoch: -1 }

export interface LeaderKnown {
  readonly id: number
  readonly epoch: number
}

/** What every client of the workload does: connections to brokers, metadata, leaders. */
export abstract class SimClient {
  private readonly connections = new Map<number, SimConnection>()
  private readonly leaders = new Map<number, LeaderKnown>()
  private turn: number
  protected stopped = false

  constructor(
    protected readonly world: ClientWorld,
    readonly name: string,
    protected readonly topic: string,
    protected readonly partitions: number,
  ) {
    this.turn = this.draw(world.nodeIds.length)
  }

  stop(): void {
    this.stopped = true
  }

  protected after(delayMs: number, run: () => void): void {
    this.world.process.clock.after(delayMs, () => {
      if (!this.stopped) run()
    })
  }

  protected draw(bound: number): number {
    return randomBelow(this.world.random, bound)
  }

  protected nameOf(partition: number): string {
    return `${this.topic}-${partition}`
  }

  protected leaderOf(partition: number): LeaderKnown {
    return this.leaders.get(partition) ?? NO_LEADER
  }

  private connection(nodeId: number): SimConnection {
    const known = this.connections.get(nodeId)
    if (known !== undefined && !known.isClosed) return known
    const fresh = new SimConnection(this.world.dialer, { host: hostOf(nodeId), port: KAFKA_PORT }, this.name)
    this.connections.set(nodeId, fresh)
    return fresh
  }

  /** `done` comes once: with the response, or with null after a break or the time-out, which closes the connection. */
  protected call<Req, Res, ReqIn, ResOut>(
    nodeId: number,
    api: Api<Req, Res, ReqIn, ResOut>,
    version: number,
    body: ReqIn,
    done: (response: ResOut | null) => void,
    timeoutMs = REQUEST_TIMEOUT_MS,
  ): void {
    this.world.observer.onRequest()
    const connection = this.connection(nodeId)
    const askedAtMs = this.world.process.world.nowMs
    const timer = this.world.process.clock.after(timeoutMs, () => {
      if (!this.stopped) this.world.observer.onTimeOut(this.name, nodeId, askedAtMs)
      connection.close()
    })
    connection.request(api, version, body, (response) => {
      timer.cancel()
      done(response)
    })
  }

  /** One after the other: a node that is cut off knows no news, and must not be asked for ever. */
  protected anyNode(): number {
    const { nodeIds } = this.world
    return nodeIds[this.turn++ % nodeIds.length]!
  }

  protected refreshMetadata(done: () => void): void {
    const body = { topics: [{ name: this.topic }], allowAutoTopicCreation: false }
    this.call(this.anyNode(), Metadata, 12, body as never, (response) => {
      const topic = response?.topics[0]
      if (
        topic === undefined ||
        topic.errorCode !== ErrorCode.NONE ||
        topic.partitions.length < this.partitions
      )
        return this.after(RETRY_MS, () => this.refreshMetadata(done))
      for (const { partitionIndex, leaderId, leaderEpoch } of topic.partitions) {
        // KIP-320: a broker that lags behind names a leader of the past; what a newer epoch said holds.
        if ((leaderEpoch ?? -1) >= this.leaderOf(partitionIndex).epoch)
          this.leaders.set(partitionIndex, { id: leaderId, epoch: leaderEpoch ?? -1 })
      }
      done()
    })
  }

  /** -1: nobody knows now. */
  protected findCoordinator(group: string, done: (nodeId: number) => void): void {
    const body = { keyType: 0, coordinatorKeys: [group] }
    this.call(this.anyNode(), FindCoordinator, 4, body, (response) => {
      const found = response?.coordinators?.[0]
      done(found !== undefined && found.errorCode === ErrorCode.NONE ? found.nodeId : -1)
    })
  }
}
