import { assert } from '../../lib/assert.js'
import type { NodeId } from '../../lib/ids.js'
import type { Logger } from '../../ports/logger.js'
import type { Random } from '../../ports/random.js'
import { ConfigView, countedReplicas, effectiveMinIsr } from '../configs.js'
import { FLUSH_BEFORE_ACK_FEATURE } from '../features.js'
import type { PartitionImage, TopicImage } from '../image.js'
import type { MetadataRecord } from '../records.js'
import { changedPartition, MutableImage, partitionRecord } from '../replay.js'
import { changePartition, type PartitionGoal, type PartitionRules } from './partition-change.js'
import { isMoving, type MoveRules, planCompletion, type ReplicaPlan, withPlan } from './reassignment.js'
import { Sessions } from './sessions.js'

export interface ControllerOptions {
  /** Of this node. */
  nodeId: NodeId
  /** Named in the founding entry of the Raft log. */
  clusterId: string
  /** The configured voters that are brokers too: how many brokers the cluster is meant to have. */
  voters: readonly NodeId[]
  /** This node's static configuration, Kafka's keys. */
  properties: ReadonlyMap<string, string>
  random: Random
  logger: Logger
}

/**
 * What the parts of the controller share: the speculative image, and the batch that is being decided. `emit` is the
 * only way to change the image.
 */
export class ControllerState {
  image = new MutableImage()
  readonly configs: ConfigView
  readonly sessions = new Sessions()
  readonly random: Random
  readonly logger: Logger
  private batch: MetadataRecord[] = []

  constructor(readonly options: ControllerOptions) {
    this.random = options.random
    this.logger = options.logger
    this.configs = new ConfigView({
      nodeId: options.nodeId,
      properties: options.properties,
      configuredBrokers: options.voters.length,
      image: () => this.image,
    })
  }

  emit(record: MetadataRecord): void {
    this.image.apply(record)
    this.batch.push(record)
  }

  takeBatch(): MetadataRecord[] {
    const batch = this.batch
    this.batch = []
    return batch
  }

  isActive(node: NodeId): boolean {
    const broker = this.image.brokers.get(node)
    return broker !== undefined && !broker.fenced && !broker.inControlledShutdown
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

  /** Emits what reaching the goal takes; where that ends a reassignment, its end too. False: nothing changed. */
  change(topic: TopicImage, partitionId: number, goal: PartitionGoal, unclean = false): boolean {
    const partition = this.partition(topic, partitionId)
    const isr = (goal.isr ?? partition.isr).filter((node) => node !== goal.lost)
    if (this.completeMove(topic, partitionId, isr, goal, unclean)) return true
    const record = changePartition(
      topic.id,
      partitionId,
      partition,
      goal,
      this.rules(topic, partition, unclean),
    )
    if (record === undefined) return false
    this.emit(record)
    // An election may have made an ISR that ends a reassignment.
    this.completeMove(topic, partitionId, this.partition(topic, partitionId).isr, {}, false)
    return true
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
    const base = withPlan(former, plan, (node) => this.image.brokers.get(node)?.directoryIds[0])
    const isr = (goal.isr ?? base.isr).filter((node) => plan.replicas.includes(node))
    const rules = this.rules(topic, base, unclean)
    const change = changePartition(topic.id, partitionId, base, { ...goal, isr }, rules)
    const next = changedPartition(
      base,
      change ?? { type: 'partitionChangeRecord', topicId: topic.id, partitionId },
    )
    const leaves = former.replicas.some((node) => !plan.replicas.includes(node))
    const leaderEpoch = leaves ? former.leaderEpoch + 1 : next.leaderEpoch
    this.emit(partitionRecord(topic.id, partitionId, { ...next, leaderEpoch }))
  }

  moveRules(topic: TopicImage): MoveRules {
    return {
      canLead: (node) => this.isActive(node),
      minInsyncReplicas: this.configs.topic(topic.name).minInsyncReplicas,
    }
  }

  /** unclean: as the command says; else as the topic is configured. */
  rules(topic: TopicImage, partition: PartitionImage, unclean = false): PartitionRules {
    return {
      canLead: (node) => this.isActive(node),
      minIsr: this.minIsr(topic, partition),
      uncleanByCommand: unclean,
      unclean: unclean || this.configs.topic(topic.name).uncleanLeaderElectionEnable,
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
