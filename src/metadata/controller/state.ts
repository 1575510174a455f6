import { assert } from '../../lib/assert.js'
import { NO_NODE, type NodeId, type Uuid, ZERO_UUID } from '../../lib/ids.js'
import type { Logger } from '../../ports/logger.js'
import type { Random } from '../../ports/random.js'
import { ErrorCode } from '../../wire/errors.js'
import { ConfigView, countedReplicas, effectiveMinIsr } from '../configs.js'
import { type FeatureRange, FLUSH_BEFORE_ACK_FEATURE, SUPPORTED_FEATURES } from '../features.js'
import type { PartitionImage, TopicImage } from '../image.js'
import type { MetadataRecord } from '../records.js'
import { changedPartition, MutableImage, partitionRecord } from '../replay.js'
import { CommandError } from './command-error.js'
import { changePartition, type PartitionGoal, type PartitionRules } from './partition-change.js'
import { isMoving, type MoveRules, planCompletion, type ReplicaPlan, withPlan } from './reassignment.js'
import { Sessions } from './sessions.js'
import { Sweeps } from './sweeps.js'
import { TopicIndex } from './topic-index.js'

export interface ControllerOptions {
  /** Of this node. */
  nodeId: NodeId
  /** Named in the founding entry of the Raft log. */
  clusterId: string
  /** The configured voters that are brokers too: how many brokers the cluster is meant to have. */
  voters: readonly NodeId[]
  /** It votes, or follows as a controller: a node that may have configurations without being a broker. */
  isController: (nodeId: NodeId) => boolean
  /** This node's static configuration, Kafka's keys. */
  properties: ReadonlyMap<string, string>
  random: Random
  logger: Logger
  /** By default those of this build. */
  supportedFeatures?: ReadonlyMap<string, FeatureRange>
  /** What concerns many partitions is decided in batches of about so many records. */
  maxBatchRecords?: number
  /** One command that names no end changes no more partitions than this. */
  maxCommandRecords?: number
}

/** Far below what an entry of the Raft log may have, beside the records of the partitions. */
const MAX_CONFIG_CHARS_PER_COMMAND = 1_000_000

/** Decided, encoded and replayed within a few milliseconds. */
export const DEFAULT_MAX_BATCH_RECORDS = 500

/** Far below what an entry of the Raft log may have, of however many replicas the partitions are. */
const DEFAULT_MAX_COMMAND_RECORDS = 10_000

/**
 * What the parts of the controller share: the speculative image, and the batch that is being decided. `emit` is the
 * only way to change the image.
 */
export class ControllerState {
  image = new MutableImage()
  readonly configs: ConfigView
  readonly sessions = new Sessions()
  readonly topicIndex = new TopicIndex()
  readonly sweeps: Sweeps
  readonly random: Random
  readonly logger: Logger
  private batch: MetadataRecord[] = []
  private configChars = 0

  constructor(readonly options: ControllerOptions) {
    this.random = options.random
    this.sweeps = new Sweeps(this)
    this.logger = options.logger
    this.configs = new ConfigView({
      nodeId: options.nodeId,
      properties: options.properties,
      configuredBrokers: options.voters.length,
      image: () => this.image,
    })
  }

  get supportedFeatures(): ReadonlyMap<string, FeatureRange> {
    return this.options.supportedFeatures ?? SUPPORTED_FEATURES
  }

  /** From here on it speculates on what has committed. */
  begin(committed: MutableImage): void {
    this.image = committed
    this.batch = []
    this.configChars = 0
    this.sweeps.clear()
    this.topicIndex.reset(committed)
  }

  emit(record: MetadataRecord): void {
    this.topicIndex.observe(record, this.image)
    this.image.apply(record)
    this.batch.push(record)
  }

  /**
   * Before configurations are emitted: a batch is one entry of the Raft log, which has a size, and each record repeats
   * the resource's name. @throws CommandError
   */
  chargeConfigs(
    resourceName: string,
    configs: Iterable<readonly [name: string, value: string | undefined]>,
  ): void {
    for (const [name, value = ''] of configs) {
      this.configChars += resourceName.length + name.length + value.length
    }
    if (this.configChars <= MAX_CONFIG_CHARS_PER_COMMAND) return
    const message = `one request may set configurations of at most ${MAX_CONFIG_CHARS_PER_COMMAND} characters: ask in several requests`
    throw new CommandError(ErrorCode.INVALID_REQUEST, message)
  }

  takeBatch(): MetadataRecord[] {
    const batch = this.batch
    this.batch = []
    this.configChars = 0
    return batch
  }

  get isBatchEmpty(): boolean {
    return this.batch.length === 0
  }

  /** The present batch takes more of a sweep. */
  get hasRoom(): boolean {
    return this.batch.length < (this.options.maxBatchRecords ?? DEFAULT_MAX_BATCH_RECORDS)
  }

  /** The present command may change more partitions. */
  get hasRoomForCommand(): boolean {
    return this.batch.length < (this.options.maxCommandRecords ?? DEFAULT_MAX_COMMAND_RECORDS)
  }

  isActive(node: NodeId): boolean {
    const broker = this.image.brokers.get(node)
    return broker !== undefined && !broker.fenced && !broker.inControlledShutdown
  }

  isFenced(node: NodeId): boolean {
    return this.image.brokers.get(node)?.fenced ?? true
  }

  get sessionTimeoutMs(): number {
    return this.configs.int('broker.session.timeout.ms')
  }

  flushBeforeAck(): boolean {
    const level = this.image.features.get(FLUSH_BEFORE_ACK_FEATURE)
    assert(level !== undefined, 'flush.before.ack is finalised when a controller becomes active')
    return level > 0
  }

  minIsr(topic: TopicImage, partition: PartitionImage): number {
    return effectiveMinIsr(this.configs.topic(topic.name).minInsyncReplicas, countedReplicas(partition))
  }

  /** The turn of a partition comes early where somebody asks: as if the fencing had been one batch. */
  evictFenced(topic: TopicImage | undefined, partitionId: number): void {
    const partition = topic?.partitions[partitionId]
    if (topic === undefined || partition === undefined || this.sweeps.isIdle) return
    const members = [partition.leader, ...partition.isr].filter((node) => node !== NO_NODE)
    if (members.some((node) => this.isFenced(node))) this.change(topic, partitionId, {})
  }

  /** Emits what reaching the goal takes; where that ends a reassignment, its end too. False: nothing changed. */
  change(topic: TopicImage, partitionId: number, goal: PartitionGoal, unclean = false): boolean {
    const partition = this.partition(topic, partitionId)
    const isr = (goal.isr ?? partition.isr).filter((node) => node !== goal.lost && !this.isFenced(node))
    if (this.completeMove(topic, partitionId, isr, goal, unclean)) return true
    const record = changePartition(
      topic.id,
      partitionId,
      partition,
      goal,
      this.rules(topic, partition, unclean),
    )
    const directories = this.directoriesAfter(partition, record?.isr?.nodes ?? partition.isr, goal)
    if (directories !== undefined) {
      const next = changedPartition(
        partition,
        record ?? { type: 'partitionChangeRecord', topicId: topic.id, partitionId },
      )
      this.emit(partitionRecord(topic.id, partitionId, { ...next, directories }))
    } else if (record === undefined) return false
    else this.emit(record)
    // An election may have made an ISR that ends a reassignment.
    this.completeMove(topic, partitionId, this.partition(topic, partitionId).isr, {}, false)
    return true
  }

  /** A replica that is lost as a whole holds nothing, until it is in sync again. Undefined: as they were. */
  private directoriesAfter(
    partition: PartitionImage,
    isr: readonly NodeId[],
    goal: PartitionGoal,
  ): Uuid[] | undefined {
    const { replicas, directories } = partition
    let changed: Uuid[] | undefined
    for (let i = 0; i < replicas.length; i++) {
      const node = replicas[i]!
      const isLost = goal.lostWhole === true && goal.lost === node
      if (!isLost && (directories[i] !== ZERO_UUID || !isr.includes(node))) continue
      const directory = isLost ? ZERO_UUID : this.directoryOf(node)
      if (directory === directories[i]) continue
      changed ??= [...directories]
      changed[i] = directory
    }
    return changed
  }

  directoryOf(node: NodeId): Uuid {
    return this.image.brokers.get(node)?.directoryIds[0] ?? ZERO_UUID
  }

  /** False: the partition is not being moved, or this ISR does not end it. */
  private completeMove(
    topic: TopicImage,
    partitionId: number,
    isr: readonly NodeId[],
    goal: PartitionGoal,
    unclean: boolean,
  ): boolean {
    const partition = this.partition(topic, partitionId)
    if (!isMoving(partition)) return false
    const plan = planCompletion(partition, isr, this.moveRules(topic))
    if (plan === undefined) return false
    this.changeReplicas(topic, partitionId, plan, goal, unclean)
    const { replicas } = plan
    this.logger.info({ topic: topic.name, partition: partitionId, replicas }, 'reassignment completed')
    return true
  }

  /**
   * As `change`, with other replicas. The record is whole, since the directories go with the replicas. Where a replica
   * leaves, a new leader epoch begins, so that nothing that the leader knew of it counts should it ever come back.
   */
  changeReplicas(
    topic: TopicImage,
    partitionId: number,
    plan: ReplicaPlan,
    goal: PartitionGoal,
    unclean = false,
  ): void {
    const former = this.partition(topic, partitionId)
    const base = withPlan(former, plan, () => undefined)
    const isr = (goal.isr ?? base.isr).filter((node) => plan.replicas.includes(node))
    const rules = this.rules(topic, base, unclean)
    const change = changePartition(topic.id, partitionId, base, { ...goal, isr }, rules)
    const next = changedPartition(
      base,
      change ?? { type: 'partitionChangeRecord', topicId: topic.id, partitionId },
    )
    const leaves = former.replicas.some((node) => !plan.replicas.includes(node))
    const leaderEpoch = leaves ? former.leaderEpoch + 1 : next.leaderEpoch
    const directories = this.directoriesAfter(next, next.isr, goal) ?? next.directories
    this.emit(partitionRecord(topic.id, partitionId, { ...next, leaderEpoch, directories }))
  }

  moveRules(topic: TopicImage): MoveRules {
    return {
      canLead: (node) => this.isActive(node),
      minInsyncReplicas: this.configs.topic(topic.name).minInsyncReplicas,
    }
  }

  /** byCommand: an unclean election was asked for; else as the topic is configured. */
  rules(topic: TopicImage, partition: PartitionImage, byCommand = false): PartitionRules {
    return {
      canLead: (node) => this.isActive(node),
      isFenced: (node) => this.isFenced(node),
      minIsr: this.minIsr(topic, partition),
      uncleanByCommand: byCommand,
      unclean: byCommand || this.configs.topic(topic.name).uncleanLeaderElectionEnable,
      lastKnownLeader: !this.flushBeforeAck(),
    }
  }

  /** Visits every partition; `visit` may change the one it is given. */
  forEachPartition(visit: (topic: TopicImage, partitionId: number, partition: PartitionImage) => void): void {
    for (const id of [...this.image.topicsById.keys()]) {
      const topic = this.image.topicsById.get(id)!
      for (let i = 0; i < topic.partitions.length; i++) visit(topic, i, topic.partitions[i]!)
    }
  }

  /** As it is now: `topic` may have been copied by a change since it was looked up. */
  partition(topic: TopicImage, partitionId: number): PartitionImage {
    const partition = this.image.topicsById.get(topic.id)?.partitions[partitionId]
    assert(partition !== undefined, `partition ${topic.name}-${partitionId} does not exist`)
    return partition
  }
}
