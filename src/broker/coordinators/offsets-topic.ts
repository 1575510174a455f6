import type { TopicImage } from '../../metadata/image.js'
import { ErrorCode, errorName } from '../../wire/errors.js'
import { configuredBrokers } from '../node-config.js'
import type { CoordinatorServices } from './services.js'

export const OFFSETS_TOPIC = '__consumer_offsets'

const REPLICATION_FACTOR = 'offsets.topic.replication.factor'
const CREATE_TIMEOUT_MS = 30_000
/** After a refusal (brokers that are not there yet): clients ask far more often. */
const CREATE_RETRY_MS = 250

/** Kafka's mapping of a group to a partition: Java's String.hashCode, made positive, modulo the partitions. */
export function partitionOf(id: string, partitions: number): number {
  let hash = 0
  for (let i = 0; i < id.length; i++) hash = (Math.imul(31, hash) + id.charCodeAt(i)) | 0
  return (hash & 0x7fff_ffff) % partitions
}

/** `__consumer_offsets`: where it is, and how it comes to be. */
export class OffsetsTopic {
  private isAsking = false
  private notBeforeMs = 0

  constructor(private readonly services: CoordinatorServices) {}

  image(): TopicImage | undefined {
    return this.services.metadata.image.topicsByName.get(OFFSETS_TOPIC)
  }

  /** Has the controller make it, unless it was asked just now. */
  create(): void {
    const { clock, quorum, configs, config, logger } = this.services
    if (this.isAsking || clock.monotonicMs() < this.notBeforeMs) return
    this.isAsking = true
    const topic = {
      name: OFFSETS_TOPIC,
      numPartitions: configs.int('offsets.topic.num.partitions'),
      replicationFactor: this.replicationFactor(),
      assignments: [],
      configs: [
        { name: 'cleanup.policy', value: 'compact' },
        { name: 'compression.type', value: 'producer' },
        { name: 'segment.bytes', value: String(configs.int('offsets.topic.segment.bytes')) },
      ],
      internal: true,
    }
    const context = {
      principal: `Broker:${config.nodeId}`,
      clientId: 'group-coordinator',
      clientAddress: '',
      listener: config.interBrokerListenerName,
    }
    quorum.submit(
      { type: 'createTopics', validateOnly: false, topics: [topic] },
      context,
      CREATE_TIMEOUT_MS,
      (reply) => {
        this.isAsking = false
        const result =
          reply.type === 'createTopics' ? reply.topics[0] : reply.type === 'failed' ? reply : undefined
        const errorCode = result?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
        if (errorCode === ErrorCode.NONE || errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) return
        this.notBeforeMs = clock.monotonicMs() + CREATE_RETRY_MS
        logger.warn(
          { topic: OFFSETS_TOPIC, error: errorName(errorCode), message: result?.errorMessage },
          'the internal topic cannot be made yet; the next FindCoordinator tries again',
        )
      },
    )
  }

  /** As configured, or as many as the cluster has or is meant to have. */
  private replicationFactor(): number {
    const { configs, config, metadata } = this.services
    const configured = configuredBrokers(config).length
    // Nobody knows how many brokers are to come: only the owner can.
    if (configured === 0 && config.properties.has(REPLICATION_FACTOR)) return configs.int(REPLICATION_FACTOR)
    const brokers = Math.max(configured, metadata.image.brokers.size)
    return Math.min(configs.int(REPLICATION_FACTOR), brokers)
  }
}
