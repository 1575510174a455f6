import { assert } from '../../lib/assert.js'
import type { NodeId } from '../../lib/ids.js'
import type { Logger } from '../../ports/logger.js'
import type { Random } from '../../ports/random.js'
import { ConfigView, effectiveMinIsr } from '../configs.js'
import { FLUSH_BEFORE_ACK_FEATURE } from '../features.js'
import type { PartitionImage, TopicImage } from '../image.js'
import type { MetadataRecord } from '../records.js'
import { MutableImage } from '../replay.js'
import { changePartition, type PartitionGoal, type PartitionRules } from './partition-change.js'
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
    return effectiveMinIsr(this.configs.topic(topic.name).minInsyncReplicas, partition.replicas.length)
  }

  /** Emits what reaching the goal takes. False: nothing changed. */
  change(topic: TopicImage, partitionId: number, goal: PartitionGoal, unclean = false): boolean {
    const partition = this.partition(topic, partitionId)
    const record = changePartition(
      topic.id,
      partitionId,
      partition,
      goal,
      this.rules(topic, partition, unclean),
    )
    if (record !== undefined) this.emit(record)
    return record !== undefined
  }

  /** unclean: as the command says; else as the topic is configured. */
  rules(topic: TopicImage, partition: PartitionImage, unclean = false): PartitionRules {
    return {
      canLead: (node) => this.isActive(node),
      minIsr: this.minIsr(topic, partition),
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
