import { type LeaderEpoch, NO_NODE, type NodeId, type Offset, type Uuid } from '../../lib/ids.js'
import type { QuarantinedLog } from '../../log/log-manager.js'
import type { Timer } from '../../ports/clock.js'
import { ErrorCode } from '../../wire/errors.js'
import type { AppendResult, MetadataChange } from '../services.js'
import { Deadlines } from './deadlines.js'
import type { FetchPartition } from './fetch-sessions.js'
import { Fetches } from './fetches.js'
import { HostedPartitions } from './hosted-partitions.js'
import { ImageFollower } from './image-follower.js'
import { IsrUpdates } from './isr-updates.js'
import { Leaderships } from './leaderships.js'
import type { Partition } from './partition.js'
import type { PartitionContext } from './partition-context.js'
import { leaderFor } from './partition-reads.js'
import { ReplicaFetchers } from './replica-fetchers.js'
import { ReplicationThrottle } from './replication-throttle.js'
import type {
  AppendOptions,
  CommittedRead,
  LeadershipEvent,
  PartitionServices,
  PartitionStatus,
} from './types.js'

export type { AppendOptions, CommittedRead, LeadershipEvent, PartitionServices, PartitionStatus }

/** How often leaders look for replicas that lag, and back-offs end. */
const CHECK_INTERVAL_MS = 100
const CHECKED_AT_ONCE = 500
/** A check that comes later than this met a stalled loop: what followers sent lies in the sockets. */
const STALL_MS = 500

export type Located = { readonly partition: Partition } | { readonly errorCode: number }

/**
 * All replicas of this broker: follows the metadata image, appends, reads, replicates. The logs are open already
 * when it is made.
 */
export class PartitionManager {
  readonly fetches: Fetches
  private readonly hosted = new HostedPartitions()
  private readonly leaderships = new Leaderships()
  private readonly context: PartitionContext
  private readonly isrUpdates: IsrUpdates
  private readonly fetchers: ReplicaFetchers
  private readonly follower: ImageFollower
  private isClosed = false
  private timer: Timer
  private checkDueMs: number
  private checkRound: Iterator<Partition>

  constructor(private readonly services: PartitionServices) {
    const { clock, configs, config } = services
    const deadlines = new Deadlines(clock)
    this.isrUpdates = new IsrUpdates(services)
    const throttle = new ReplicationThrottle(services)
    this.fetchers = new ReplicaFetchers(services, throttle.asFollower)
    this.fetches = new Fetches(services, deadlines, throttle.asLeader, (asked, byId) =>
      this.find(asked, byId),
    )
    this.context = {
      nodeId: config.nodeId,
      clock,
      logger: services.logger,
      configs,
      compression: services.compression,
      deadlines,
      lagTimeMaxMs: configs.int('replica.lag.time.max.ms'),
      producerExpirationMs: configs.int('producer.id.expiration.ms'),
      eligibility: (id) => services.metadata.image.brokers.get(id),
      isCutOff: () => services.isCutOff?.() ?? false,
      isStalled: () => clock.monotonicMs() - this.checkDueMs > STALL_MS,
      onIsrWanted: (partition) => this.isrUpdates.add(partition),
      currentLeader: (partition) => this.currentLeader(partition.topicId, partition.partitionId),
      onDiskFailure: (partition, error) => this.follower.onSyncFailure(partition, error),
    }
    const { context, hosted, leaderships, fetchers } = this
    this.follower = new ImageFollower(services, context, hosted, leaderships, fetchers)
    this.checkRound = leaderships.leaders()[Symbol.iterator]()
    this.checkDueMs = clock.monotonicMs() + CHECK_INTERVAL_MS
    this.timer = clock.after(CHECK_INTERVAL_MS, () => this.check())
  }

  /**
   * Appends whole batches (exactly one for a client) through the local leader. `records` belongs to the partition
   * from here on: offsets and leader epoch are written in place. `done` is called once, never before this returned.
   */
  appendAsLeader(
    topicId: Uuid,
    partitionId: number,
    records: Uint8Array,
    options: AppendOptions,
    done: (result: AppendResult) => void,
  ): void {
    const located = this.locate(topicId, partitionId)
    if ('partition' in located) {
      located.partition.append(records, options, done)
      return
    }
    const result: AppendResult = {
      errorCode: located.errorCode,
      errorMessage: null,
      baseOffset: -1,
      logAppendTimeMs: -1,
      logStartOffset: -1,
      ...this.currentLeader(topicId, partitionId),
    }
    this.services.clock.endOfTurn(() => done(result))
  }

  /** Local leader only, below the high watermark: the coordinators' loader. The first batch comes whole. */
  readCommitted(topicId: Uuid, partitionId: number, offset: Offset, maxBytes: number): CommittedRead {
    const slice = { chunks: [], byteLength: 0, nextOffset: offset }
    const failed = { slice, highWatermark: -1, logStartOffset: -1 }
    const located = this.locate(topicId, partitionId)
    if ('errorCode' in located) return { ...failed, errorCode: located.errorCode }
    const leader = leaderFor(located.partition, -1)
    if ('errorCode' in leader) return { ...failed, errorCode: leader.errorCode }
    const { log } = located.partition
    const { highWatermark } = leader.state
    const read = { errorCode: ErrorCode.NONE, slice, highWatermark, logStartOffset: log.logStartOffset }
    if (offset < log.logStartOffset || offset > log.logEndOffset) {
      return { ...read, errorCode: ErrorCode.OFFSET_OUT_OF_RANGE }
    }
    if (offset >= highWatermark) return read
    try {
      return { ...read, slice: log.read(offset, highWatermark, maxBytes, true) }
    } catch (error) {
      located.partition.reportFailure(error as Error)
      return { ...read, errorCode: ErrorCode.KAFKA_STORAGE_ERROR }
    }
  }

  /** Undefined: no such replica here. */
  leadership(
    topicId: Uuid,
    partitionId: number,
  ): { isLeader: boolean; leaderEpoch: LeaderEpoch } | undefined {
    const partition = this.hosted.get(topicId, partitionId)
    if (partition === undefined) return undefined
    return { isLeader: partition.leading !== undefined, leaderEpoch: partition.leaderEpoch }
  }

  /** Called when a local replica begins to lead (after the epoch's start was recorded), and when it ceases to. */
  onLeadership(listener: (event: LeadershipEvent) => void): void {
    this.leaderships.listen(listener)
  }

  list(): PartitionStatus[] {
    const statuses: PartitionStatus[] = []
    for (const partition of this.hosted.all()) statuses.push(partition.status())
    return statuses
  }

  /** Replicas whose logs were damaged: named in each broker heartbeat until they have left the ISR. */
  quarantined(): { topicId: Uuid; partitionId: number }[] {
    return this.follower.quarantined()
  }

  /** The log directory failed: nothing is served from it. */
  get isOffline(): boolean {
    return this.services.logs.isOffline
  }

  /** For the checkpoint and retention; undefined: not hosted here. */
  highWatermark(topicId: Uuid, partitionId: number): Offset | undefined {
    return this.hosted.get(topicId, partitionId)?.highWatermark
  }

  /** The replica, or why a request for it fails. */
  locate(topicId: Uuid, partitionId: number): Located {
    const partition = this.hosted.get(topicId, partitionId)
    if (partition !== undefined) return { partition }
    const topic = this.services.metadata.image.topicsById.get(topicId)
    if (topic === undefined) return { errorCode: ErrorCode.UNKNOWN_TOPIC_ID }
    const isKnown = topic.partitions[partitionId] !== undefined
    return { errorCode: isKnown ? ErrorCode.NOT_LEADER_OR_FOLLOWER : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
  }

  locateByName(topic: string, partitionId: number): Located {
    const known = this.services.metadata.image.topicsByName.get(topic)
    return known === undefined
      ? { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
      : this.locate(known.id, partitionId)
  }

  /** The leader that the image names, for the hint of KIP-951; -1 where there is none. */
  currentLeader(topicId: Uuid, partitionId: number): { leaderId: NodeId; leaderEpoch: LeaderEpoch } {
    const image = this.services.metadata.image.topicsById.get(topicId)?.partitions[partitionId]
    return image === undefined
      ? { leaderId: NO_NODE, leaderEpoch: -1 }
      : { leaderId: image.leader, leaderEpoch: image.leaderEpoch }
  }

  /** After the image was applied. */
  onMetadata(change: MetadataChange): void {
    if (!this.isClosed) this.follower.onMetadata(change)
  }

  /** Every replica is what the image says: nothing waits for its turn. */
  isSettled(): boolean {
    return this.follower.isSettled()
  }

  /** LogManager's word: this log was set aside while it was open. It is made anew once it has left the ISR. */
  onQuarantined(log: QuarantinedLog): void {
    this.follower.onQuarantined(log)
  }

  /** LogManager's word: no disk, no replicas. */
  onLogsOffline(error: Error): void {
    this.follower.onLogsOffline(error)
  }

  /** The leaderships were handed over: fetches that wait are answered, and none waits any more. */
  prepareShutdown(): void {
    this.fetches.stop()
  }

  /** Answers all that waits and stops following; the logs are left for LogManager to close. */
  close(done: () => void): void {
    this.isClosed = true
    this.timer.cancel()
    this.follower.close()
    this.leaderships.clear()
    this.fetchers.close()
    this.isrUpdates.close()
    for (const partition of this.all()) {
      if (partition.health !== 'online') continue
      partition.retire('online', ErrorCode.NOT_LEADER_OR_FOLLOWER)
      partition.writeProducerSnapshot()
    }
    this.fetches.stop()
    this.services.clock.endOfTurn(done)
  }

  all(): readonly Partition[] {
    return this.hosted.all()
  }

  private find(asked: FetchPartition, usesTopicIds: boolean): Located {
    return usesTopicIds
      ? this.locate(asked.topicId, asked.partitionId)
      : this.locateByName(asked.topic, asked.partitionId)
  }

  /** All of a few leaders, a share of many: each one within a second. */
  private checkSome(): void {
    const { count } = this.leaderships
    const due = Math.min(count, Math.max(CHECKED_AT_ONCE, Math.ceil((count * CHECK_INTERVAL_MS) / 1_000)))
    for (let i = 0; i < due; i++) {
      let next = this.checkRound.next()
      if (next.done === true) {
        this.checkRound = this.leaderships.leaders()[Symbol.iterator]()
        next = this.checkRound.next()
      }
      if (next.done === true) return
      next.value.checkIsr()
    }
  }

  private check(): void {
    if (this.isClosed) return
    const { clock } = this.services
    const lateMs = clock.monotonicMs() - this.checkDueMs
    this.checkDueMs = clock.monotonicMs() + CHECK_INTERVAL_MS
    if (lateMs > STALL_MS) for (const partition of this.leaderships.leaders()) partition.onStall(lateMs)
    this.checkSome()
    this.follower.onTick()
    this.timer = clock.after(CHECK_INTERVAL_MS, () => this.check())
  }
}
