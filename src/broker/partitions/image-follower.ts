import type { Uuid } from '../../lib/ids.js'
import { inTurns } from '../../log/in-turns.js'
import type { QuarantinedLog } from '../../log/log-manager.js'
import type { TopicImage } from '../../metadata/image.js'
import type { Timer } from '../../ports/clock.js'
import { DiskError } from '../../ports/disk.js'
import { ErrorCode } from '../../wire/errors.js'
import type { MetadataChange } from '../services.js'
import type { HostedPartitions } from './hosted-partitions.js'
import { ISR_REQUEST_TIMEOUT_MS } from './isr-updates.js'
import type { Leaderships } from './leaderships.js'
import { logConfigOf } from './log-config.js'
import { Partition } from './partition.js'
import type { PartitionContext } from './partition-context.js'
import { Quarantine } from './quarantine.js'
import type { ReplicaFetchers } from './replica-fetchers.js'
import type { PartitionServices } from './types.js'

/** So long one turn may bring replicas in line, and so many where time stands still within a turn. */
const TURN_MS = 10
const PARTITIONS_IN_TURN = 500

/**
 * Makes the replicas of this broker what the metadata image says: which there are, who leads, who follows whom.
 * Nothing leads or follows before the image holds this very registration: the image of an earlier run may still name
 * this broker the leader of an epoch in which it has already led (KIP-903 bumps it).
 */
export class ImageFollower {
  private readonly quarantine: Quarantine
  private brokerCount = 0
  private isRegistered = false
  private straysRemoved = false
  /** Topics that are not what the image says, perhaps; true: with a look at their configurations. */
  private readonly waiting = new Map<Uuid, boolean>()
  private timer: Timer | null = null
  private isrRound: Timer | null = null

  constructor(
    private readonly services: PartitionServices,
    private readonly context: PartitionContext,
    private readonly hosted: HostedPartitions,
    private readonly leaderships: Leaderships,
    private readonly fetchers: ReplicaFetchers,
  ) {
    this.quarantine = new Quarantine(services.config.nodeId, (directory) =>
      services.logs.settleQuarantine(directory),
    )
  }

  /** Every replica is what the image says, which holds this very registration. */
  isSettled(): boolean {
    if (!this.isRegistered) this.openWhenRegistered()
    return this.isRegistered && this.waiting.size === 0
  }

  /** After the image was applied. */
  onMetadata(change: MetadataChange): void {
    if (!this.isRegistered) {
      this.openWhenRegistered()
      return
    }
    if (change.everything) {
      this.reconcileAll()
      return
    }
    const { topicsByName, brokers } = this.services.metadata.image
    // The default of min.insync.replicas depends on how many there are.
    const isDefaultTouched = brokers.size !== this.brokerCount
    this.brokerCount = brokers.size
    for (const topicId of change.topicsDeleted.keys()) this.queue(topicId, false)
    for (const topicId of change.topicsChanged) this.queue(topicId, false)
    if (change.brokerConfigsChanged || isDefaultTouched)
      for (const topicId of this.hosted.topicIds()) this.queue(topicId, true)
    for (const name of change.topicConfigsChanged) {
      const topicId = topicsByName.get(name)?.id
      if (topicId !== undefined) this.queue(topicId, true)
    }
    this.work()
    if (change.brokersChanged.size > 0) this.checkIsrs()
    this.fetchers.onBrokersChanged(change.brokersChanged)
  }

  /** From time to time: what no change of the image will bring. */
  onTick(): void {
    if (!this.isRegistered) this.openWhenRegistered()
    // One that was out of the ISR already sees no change of the image that would end its quarantine.
    if (!this.isRegistered) return
    for (const { topicId } of this.quarantine.list()) this.queue(topicId, false)
    this.work()
  }

  /** Replicas whose logs were damaged: named in each broker heartbeat until they have left the ISR. */
  quarantined(): { topicId: Uuid; partitionId: number }[] {
    return this.quarantine.list()
  }

  /** LogManager's word: this log was set aside while it was open. It is made anew once it has left the ISR. */
  onQuarantined(log: QuarantinedLog): void {
    const topicId = log.topicId ?? this.services.metadata.image.topicsByName.get(log.topic)?.id
    const { clock } = this.services
    this.quarantine.add(log, clock.monotonicMs() + this.context.lagTimeMaxMs + ISR_REQUEST_TIMEOUT_MS)
    if (topicId === undefined) return
    const partition = this.hosted.get(topicId, log.partition)
    if (partition !== undefined) this.detach(partition, ErrorCode.KAFKA_STORAGE_ERROR)
  }

  /** LogManager's word: no disk, no replicas. */
  onLogsOffline(error: Error): void {
    this.services.logger.error({ error }, 'the log directory is offline: its replicas stop')
    for (const partition of this.hosted.all()) {
      if (partition.health !== 'offline') this.takeOffline(partition)
    }
  }

  /** The log directory as a whole is LogManager's to judge; this replica is done in any case. */
  onSyncFailure(partition: Partition, error: Error): void {
    if (this.services.logs.isOffline) this.onLogsOffline(error)
    else this.takeOffline(partition)
  }

  private takeOffline(partition: Partition): void {
    this.fetchers.remove(partition)
    partition.retire('offline', ErrorCode.KAFKA_STORAGE_ERROR)
    this.leaderships.end(partition)
  }

  private openWhenRegistered(): void {
    const epoch = this.services.brokerEpoch()
    const own = this.services.metadata.image.brokers.get(this.services.config.nodeId)
    if (epoch === 0 || own === undefined || own.epoch !== epoch) return
    this.isRegistered = true
    // What was promised under an earlier registration counts for nothing (KIP-903).
    for (const log of this.services.logs.quarantined) this.quarantine.add(log, 0)
    this.reconcileAll()
  }

  private reconcileAll(): void {
    const { topicsById } = this.services.metadata.image
    for (const topicId of this.hosted.topicIds()) if (!topicsById.has(topicId)) this.queue(topicId, false)
    for (const topicId of topicsById.keys()) this.queue(topicId, true)
    this.work()
    this.checkIsrs()
    this.fetchers.onBrokersChanged(null)
  }

  private queue(topicId: Uuid, withConfigs: boolean): void {
    this.waiting.set(topicId, withConfigs || this.waiting.get(topicId) === true)
  }

  /**
   * Brings topics in line with the image, so many in a turn that the loop goes on: an election of ten thousand leaders
   * is a series of small ones. What waits acts under the epoch that it knows, as on a broker that hears of it later.
   */
  private work(): void {
    if (this.timer !== null) return
    const { clock } = this.services
    const begunMs = clock.monotonicMs()
    let partitions = 0
    for (const [topicId, withConfigs] of this.waiting) {
      this.waiting.delete(topicId)
      partitions += this.settle(topicId, withConfigs)
      if (partitions >= PARTITIONS_IN_TURN || clock.monotonicMs() - begunMs > TURN_MS) break
    }
    if (this.waiting.size === 0) {
      this.removeStrays()
      return
    }
    this.timer = clock.after(0, () => {
      this.timer = null
      this.work()
    })
  }

  /** Returns how many partitions it looked at. */
  private settle(topicId: Uuid, withConfigs: boolean): number {
    const topic = this.services.metadata.image.topicsById.get(topicId)
    if (topic === undefined) {
      const count = this.hosted.ofTopic(topicId).length
      this.removeTopic(topicId)
      return count
    }
    this.reconcile(topic)
    if (withConfigs) this.applyConfigs(topic)
    return topic.partitions.length
  }

  /** A broker was fenced, came back or is gone: each leader looks whether its ISR has to change. */
  private checkIsrs(): void {
    this.isrRound?.cancel()
    const leaders = [...this.leaderships.leaders()]
    this.isrRound = inTurns(
      this.services.clock,
      leaders,
      (partition) => partition.checkIsr(),
      () => {},
    )
  }

  private reconcile(topic: TopicImage): void {
    topic.partitions.forEach((image, partitionId) => {
      const hosted = this.hosted.get(topic.id, partitionId)
      if (!image.replicas.includes(this.services.config.nodeId)) {
        if (hosted !== undefined) this.remove(hosted, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        this.quarantine.forget(topic, partitionId)
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
      this.hosted.add(partition)
      return partition
    } catch (error) {
      logger.error({ topic: topic.name, partition: partitionId, error }, 'the log cannot be opened')
      return undefined
    }
  }

  /** A topic of this name was deleted while the broker was away: its log stands where the new one belongs. */
  private removeNamesake(topic: TopicImage, partitionId: number): void {
    const { logs } = this.services
    const log = logs.namesake(topic.name, partitionId)
    if (log !== undefined && log.topicId !== topic.id) logs.delete(log.topicId, partitionId)
  }

  private applyRole(partition: Partition, topic: TopicImage, partitionId: number): void {
    const image = topic.partitions[partitionId]!
    if (image.leader === this.services.config.nodeId) {
      this.fetchers.remove(partition)
      if (partition.lead(image)) this.leaderships.begin(partition)
      return
    }
    if (!partition.follow(image)) return
    this.leaderships.end(partition)
    this.fetchers.assign(partition, image.leader)
  }

  private removeTopic(topicId: Uuid): void {
    for (const partition of this.hosted.ofTopic(topicId)) {
      this.remove(partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    }
    this.quarantine.forgetTopic(topicId)
  }

  private remove(partition: Partition, errorCode: number): void {
    this.detach(partition, errorCode)
    this.deleteLog(partition.topicId, partition.partitionId)
  }

  /** One that a full disk does not let go is a stray at the next start; what else fails, LogManager reports. */
  private deleteLog(topicId: Uuid, partition: number): void {
    const { logs, logger } = this.services
    try {
      logs.delete(topicId, partition)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      logger.error({ topicId, partition, error }, 'a log could not be deleted')
    }
  }

  private detach(partition: Partition, errorCode: number): void {
    this.fetchers.remove(partition)
    this.hosted.remove(partition)
    partition.retire('offline', errorCode)
    this.leaderships.end(partition)
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
      if (this.hosted.get(log.topicId, log.partition) !== undefined) continue
      const image = metadata.image.topicsById.get(log.topicId)?.partitions[log.partition]
      if (image?.replicas.includes(config.nodeId)) continue
      logger.info(
        { topic: log.topic, topicId: log.topicId, partition: log.partition },
        'deleting a stray log',
      )
      this.deleteLog(log.topicId, log.partition)
    }
  }

  private applyConfigs(topic: TopicImage): void {
    const { configs, config } = this.services
    const partitions = this.hosted.ofTopic(topic.id)
    if (partitions.length === 0) return
    const logConfig = logConfigOf(configs.topic(topic.name))
    for (const partition of partitions) {
      partition.log.updateConfig(logConfig)
      const image = topic.partitions[partition.partitionId]
      if (partition.leading !== undefined && image?.leader === config.nodeId) partition.lead(image)
    }
  }

  close(): void {
    this.timer?.cancel()
    this.isrRound?.cancel()
    this.waiting.clear()
  }
}
