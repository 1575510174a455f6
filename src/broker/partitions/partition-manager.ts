import { type LeaderEpoch, NO_NODE, type NodeId, type Offset, type Uuid } from '../../lib/ids.js'
import type { QuarantinedLog } from '../../log/log-manager.js'
import type { TopicImage } from '../../metadata/image.js'
import type { Timer } from '../../ports/clock.js'
import { DiskError } from '../../ports/disk.js'
import { ErrorCode } from '../../wire/errors.js'
import type { AppendResult, MetadataChange } from '../services.js'
import { Deadlines } from './deadlines.js'
import type { FetchPartition } from './fetch-sessions.js'
import { Fetches } from './fetches.js'
import { ISR_REQUEST_TIMEOUT_MS, IsrUpdates } from './isr-updates.js'
import { logConfigOf } from './log-config.js'
import { Partition } from './partition.js'
import type { PartitionContext } from './partition-context.js'
import { leaderFor } from './partition-reads.js'
import { Quarantine } from './quarantine.js'
import { ReplicaFetchers } from './replica-fetchers.js'
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
/** A check that comes later than this met a stalled loop: what followers sent lies in the sockets. */
const STALL_MS = 500

export type Located = { readonly partition: Partition } | { readonly errorCode: number }

/**
 * All replicas of this broker: follows the metadata image, appends, reads, replicates. The logs are open already
 * when it is made. Nothing leads or follows before the image holds this very registration: the image of an earlier
 * run may still name this broker the leader of an epoch in which it has already led (KIP-903 bumps it).
 */
export class PartitionManager {
  readonly fetches: Fetches
  private readonly topics = new Map<Uuid, Map<number, Partition>>()
  private readonly context: PartitionContext
  private readonly isrUpdates: IsrUpdates
  private readonly fetchers: ReplicaFetchers
  private readonly quarantine: Quarantine
  private readonly listeners: ((event: LeadershipEvent) => void)[] = []
  /** Leaderships that the listeners were told of. */
  private readonly announced = new Map<Partition, LeaderEpoch>()
  private isRegistered = false
  /** Topics with a log that met a full disk when it was to be made. */
  private readonly withoutRoom = new Set<Uuid>()
  private straysRemoved = false
  private isClosed = false
  private timer: Timer
  private checkDueMs: number

  constructor(private readonly services: PartitionServices) {
    const { clock, configs, config } = services
    const deadlines = new Deadlines(clock)
    this.isrUpdates = new IsrUpdates(services)
    this.fetchers = new ReplicaFetchers(services)
    this.quarantine = new Quarantine(config.nodeId)
    this.fetches = new Fetches(services, deadlines, (asked, byId) => this.find(asked, byId))
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
      isStalled: () => clock.monotonicMs() - this.checkDueMs > STALL_MS,
      proposeIsr: (partition, proposal) => this.isrUpdates.propose(partition, proposal),
      currentLeader: (partition) => this.currentLeader(partition.topicId, partition.partitionId),
      onDiskFailure: (partition, error) => this.onSyncFailure(partition, error),
    }
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
    const partition = this.topics.get(topicId)?.get(partitionId)
    if (partition === undefined) return undefined
    return { isLeader: partition.leading !== undefined, leaderEpoch: partition.leaderEpoch }
  }

  /** Called when a local replica begins to lead (after the epoch's start was recorded), and when it ceases to. */
  onLeadership(listener: (event: LeadershipEvent) => void): void {
    this.listeners.push(listener)
  }

  list(): PartitionStatus[] {
    const statuses: PartitionStatus[] = []
    for (const partitions of this.topics.values())
      for (const partition of partitions.values()) statuses.push(partition.status())
    return statuses
  }

  /** Replicas whose logs were damaged: named in each broker heartbeat until they have left the ISR. */
  quarantined(): { topicId: Uuid; partitionId: number }[] {
    return this.quarantine.list()
  }

  /** The log directory failed: nothing is served from it. */
  get isOffline(): boolean {
    return this.services.logs.isOffline
  }

  /** For the checkpoint and retention; undefined: not hosted here. */
  highWatermark(topicId: Uuid, partitionId: number): Offset | undefined {
    return this.topics.get(topicId)?.get(partitionId)?.highWatermark
  }

  /** The replica, or why a request for it fails. */
  locate(topicId: Uuid, partitionId: number): Located {
    const partition = this.topics.get(topicId)?.get(partitionId)
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
    if (this.isClosed) return
    if (!this.isRegistered) {
      this.openWhenRegistered()
      return
    }
    if (change.everything) {
      this.reconcileAll()
      this.applyConfigs(change)
    } else {
      for (const topicId of change.topicsDeleted.keys()) this.removeTopic(topicId)
      for (const topicId of change.topicsChanged) this.reconcileTopic(topicId)
      this.applyConfigs(change)
      if (change.brokersChanged.size > 0) for (const partition of this.announced.keys()) partition.checkIsr()
      this.fetchers.onBrokersChanged(change.brokersChanged)
    }
    this.removeStrays()
  }

  /** LogManager's word: this log was set aside while it was open. It is made anew once it has left the ISR. */
  onQuarantined(log: QuarantinedLog): void {
    const topicId = log.topicId ?? this.services.metadata.image.topicsByName.get(log.topic)?.id
    const { clock } = this.services
    this.quarantine.add(log, clock.monotonicMs() + this.context.lagTimeMaxMs + ISR_REQUEST_TIMEOUT_MS)
    if (topicId === undefined) return
    const partition = this.topics.get(topicId)?.get(log.partition)
    if (partition !== undefined) this.detach(partition, ErrorCode.KAFKA_STORAGE_ERROR)
  }

  /** LogManager's word: no disk, no replicas. */
  onLogsOffline(error: Error): void {
    this.services.logger.error({ error }, 'the log directory is offline: its replicas stop')
    for (const partition of this.all()) {
      if (partition.health !== 'offline') this.takeOffline(partition)
    }
  }

  /** The leaderships were handed over: fetches that wait are answered, and none waits any more. */
  prepareShutdown(): void {
    this.fetches.stop()
  }

  /** Answers all that waits and stops following; the logs are left for LogManager to close. */
  close(done: () => void): void {
    this.isClosed = true
    this.timer.cancel()
    this.announced.clear()
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

  /** The log directory as a whole is LogManager's to judge; this replica is done in any case. */
  private onSyncFailure(partition: Partition, error: Error): void {
    if (this.isOffline) this.onLogsOffline(error)
    else this.takeOffline(partition)
  }

  private takeOffline(partition: Partition): void {
    this.fetchers.remove(partition)
    partition.retire('offline', ErrorCode.KAFKA_STORAGE_ERROR)
    this.announceLoss(partition)
  }

  *all(): Iterable<Partition> {
    for (const partitions of this.topics.values()) yield* partitions.values()
  }

  private find(asked: FetchPartition, usesTopicIds: boolean): Located {
    return usesTopicIds
      ? this.locate(asked.topicId, asked.partitionId)
      : this.locateByName(asked.topic, asked.partitionId)
  }

  private check(): void {
    if (this.isClosed) return
    if (!this.isRegistered) this.openWhenRegistered()
    const { clock } = this.services
    const lateMs = clock.monotonicMs() - this.checkDueMs
    this.checkDueMs = clock.monotonicMs() + CHECK_INTERVAL_MS
    for (const partition of this.announced.keys()) {
      if (lateMs > STALL_MS) partition.onStall(lateMs)
      partition.checkIsr()
    }
    // One that was out of the ISR already sees no change of the image that would end its quarantine.
    if (this.isRegistered) for (const { topicId } of this.quarantine.list()) this.reconcileTopic(topicId)
    if (this.services.logs.hasRoom) {
      const topicIds = [...this.withoutRoom]
      this.withoutRoom.clear()
      for (const topicId of topicIds) this.reconcileTopic(topicId)
    }
    this.timer = clock.after(CHECK_INTERVAL_MS, () => this.check())
  }

  private openWhenRegistered(): void {
    const epoch = this.services.brokerEpoch()
    const own = this.services.metadata.image.brokers.get(this.services.config.nodeId)
    if (epoch === 0 || own === undefined || own.epoch !== epoch) return
    this.isRegistered = true
    // What was promised under an earlier registration counts for nothing (KIP-903).
    for (const log of this.services.logs.quarantined) this.quarantine.add(log, 0)
    this.reconcileAll()
    this.removeStrays()
  }

  private reconcileAll(): void {
    const { image } = this.services.metadata
    for (const topicId of [...this.topics.keys()]) {
      if (!image.topicsById.has(topicId)) this.removeTopic(topicId)
    }
    for (const topic of image.topicsById.values()) this.reconcile(topic)
    for (const partition of this.announced.keys()) partition.checkIsr()
    this.fetchers.onBrokersChanged(null)
  }

  private reconcileTopic(topicId: Uuid): void {
    const topic = this.services.metadata.image.topicsById.get(topicId)
    if (topic !== undefined) this.reconcile(topic)
  }

  private reconcile(topic: TopicImage): void {
    topic.partitions.forEach((image, partitionId) => {
      const hosted = this.topics.get(topic.id)?.get(partitionId)
      if (!image.replicas.includes(this.services.config.nodeId)) {
        if (hosted !== undefined) this.remove(hosted, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        return
      }
      this.quarantine.onImage(topic, partitionId, image, this.services.clock.monotonicMs())
      if (this.quarantine.has(topic.id, topic.name, partitionId)) return
      const partition = hosted ?? this.create(topic, partitionId)
      if (partition === undefined || partition.health !== 'online') return
      try {
        this.applyRole(partition, topic, partitionId)
      } catch (error) {
        // A log that was found damaged refuses everything until LogManager has set it aside.
        if (!(error instanceof DiskError)) throw error
        partition.reportFailure(error)
        this.takeOffline(partition)
      }
    })
  }

  private create(topic: TopicImage, partitionId: number): Partition | undefined {
    const { logs, configs, logger } = this.services
    try {
      const config = logConfigOf(configs.topic(topic.name))
      this.removeNamesake(topic, partitionId)
      const log = logs.getOrCreate({ topic: topic.name, topicId: topic.id, partition: partitionId, config })
      log.updateConfig(config)
      const highWatermark = logs.checkpointedHighWatermark(topic.id, partitionId)
      const partition = new Partition(topic.name, topic.id, partitionId, log, this.context, highWatermark)
      const partitions = this.topics.get(topic.id)
      if (partitions === undefined) this.topics.set(topic.id, new Map([[partitionId, partition]]))
      else partitions.set(partitionId, partition)
      return partition
    } catch (error) {
      logger.error({ topic: topic.name, partition: partitionId, error }, 'the log cannot be opened')
      if (error instanceof DiskError && error.code === 'ENOSPC') this.withoutRoom.add(topic.id)
      return undefined
    }
  }

  /** A topic of this name was deleted while the broker was away: its log stands where the new one belongs. */
  private removeNamesake(topic: TopicImage, partitionId: number): void {
    for (const log of [...this.services.logs.logs()]) {
      if (log.topic === topic.name && log.partition === partitionId && log.topicId !== topic.id) {
        this.services.logs.delete(log.topicId, partitionId)
      }
    }
  }

  private applyRole(partition: Partition, topic: TopicImage, partitionId: number): void {
    const image = topic.partitions[partitionId]!
    if (image.leader === this.services.config.nodeId) {
      this.fetchers.remove(partition)
      if (partition.lead(image)) this.announceLeader(partition)
      return
    }
    if (!partition.follow(image)) return
    this.announceLoss(partition)
    this.fetchers.assign(partition, image.leader)
  }

  private removeTopic(topicId: Uuid): void {
    for (const partition of [...(this.topics.get(topicId)?.values() ?? [])]) {
      this.remove(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    }
    this.quarantine.forgetTopic(topicId)
  }

  private remove(partition: Partition, errorCode: number): void {
    this.detach(partition, errorCode)
    this.services.logs.delete(partition.topicId, partition.partitionId)
  }

  private detach(partition: Partition, errorCode: number): void {
    this.fetchers.remove(partition)
    const partitions = this.topics.get(partition.topicId)
    partitions?.delete(partition.partitionId)
    if (partitions?.size === 0) this.topics.delete(partition.topicId)
    partition.retire('offline', errorCode)
    this.announceLoss(partition)
  }

  /**
   * Logs that no image names for this broker: topics deleted while it was away. Only once it is unfenced, for until
   * then the image may be older than the logs.
   */
  private removeStrays(): void {
    if (this.straysRemoved) return
    const { metadata, logs, config, logger } = this.services
    const own = metadata.image.brokers.get(config.nodeId)
    if (own === undefined || own.fenced || own.epoch !== this.services.brokerEpoch()) return
    this.straysRemoved = true
    for (const log of [...logs.logs()]) {
      if (this.topics.get(log.topicId)?.has(log.partition)) continue
      const image = metadata.image.topicsById.get(log.topicId)?.partitions[log.partition]
      if (image?.replicas.includes(config.nodeId)) continue
      logger.info(
        { topic: log.topic, topicId: log.topicId, partition: log.partition },
        'deleting a stray log',
      )
      logs.delete(log.topicId, log.partition)
    }
  }

  private applyConfigs(change: MetadataChange): void {
    const { topicConfigsChanged, brokerConfigsChanged } = change
    if (!brokerConfigsChanged && topicConfigsChanged.size === 0) return
    const { image } = this.services.metadata
    for (const partition of this.all()) {
      if (!brokerConfigsChanged && !topicConfigsChanged.has(partition.topic)) continue
      partition.log.updateConfig(logConfigOf(this.services.configs.topic(partition.topic)))
      const partitionImage = image.topicsById.get(partition.topicId)?.partitions[partition.partitionId]
      if (partition.leading !== undefined && partitionImage?.leader === this.services.config.nodeId) {
        partition.lead(partitionImage)
      }
    }
  }

  private announceLeader(partition: Partition): void {
    this.announceLoss(partition)
    this.announced.set(partition, partition.leaderEpoch)
    this.announce(partition, true, partition.leaderEpoch, partition.leading!.epochStartOffset)
  }

  private announceLoss(partition: Partition): void {
    const leaderEpoch = this.announced.get(partition)
    if (leaderEpoch === undefined) return
    this.announced.delete(partition)
    this.announce(partition, false, leaderEpoch, -1)
  }

  private announce(
    partition: Partition,
    isLeader: boolean,
    leaderEpoch: LeaderEpoch,
    epochStartOffset: Offset,
  ): void {
    const { topicId, topic, partitionId } = partition
    for (const listener of this.listeners) {
      listener({ topicId, topic, partitionId, isLeader, leaderEpoch, epochStartOffset })
    }
  }
}
