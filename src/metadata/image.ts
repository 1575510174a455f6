import type { BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, Uuid } from '../lib/ids.js'
import type { BrokerEndpoint, SupportedFeature } from './records.js'

/** The state that the metadata log amounts to, read-only. `MutableImage` (replay.ts) is the one thing that changes it. */
export interface MetadataImage {
  readonly clusterId: string
  readonly features: ReadonlyMap<string, number>
  readonly brokers: ReadonlyMap<NodeId, BrokerImage>
  readonly topicsByName: ReadonlyMap<string, TopicImage>
  readonly topicsById: ReadonlyMap<Uuid, TopicImage>
  /** Overrides set by hand, by resource: `topic(name)` and `broker(id)`; '' is the default of all brokers. */
  topicConfig(topic: string): ReadonlyMap<string, string>
  brokerConfig(id: NodeId | ''): ReadonlyMap<string, string>
  /** Subscriptions of client metrics (KIP-714), by name. */
  readonly clientMetrics: ReadonlyMap<string, ReadonlyMap<string, string>>
  readonly nextBrokerEpoch: BrokerEpoch
  readonly nextProducerId: number
}

export interface BrokerImage {
  readonly id: NodeId
  readonly epoch: BrokerEpoch
  readonly incarnationId: Uuid
  readonly directoryIds: readonly Uuid[]
  readonly endpoints: readonly BrokerEndpoint[]
  readonly controlEndpoint?: BrokerEndpoint
  readonly rack?: string
  /** Empty from a version before kogge.version 2. */
  readonly features: readonly SupportedFeature[]
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
}

export interface TopicImage {
  readonly name: string
  readonly id: Uuid
  /** By partition id, without gaps. */
  readonly partitions: readonly PartitionImage[]
}

export interface PartitionImage {
  readonly replicas: readonly NodeId[]
  /** As `replicas`. ZERO_UUID: it holds nothing yet, or nothing any more (see `holdsNothing`). */
  readonly directories: readonly Uuid[]
  readonly isr: readonly NodeId[]
  readonly elr: readonly NodeId[]
  readonly lastKnownElr: readonly NodeId[]
  readonly addingReplicas: readonly NodeId[]
  readonly removingReplicas: readonly NodeId[]
  /** −1: none. */
  readonly leader: NodeId
  readonly leaderRecovering: boolean
  readonly leaderEpoch: LeaderEpoch
  readonly partitionEpoch: PartitionEpoch
}
