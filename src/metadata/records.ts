import type { BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, Uuid } from '../lib/ids.js'

/**
 * The metadata log's records, after Kafka's (KIP-631). A plain union: `type` is also the name of the field that
 * carries the rest in `proto/metadata.proto`, so one generic codec serves them all. A field that may be absent is
 * `undefined` (never null).
 */
export type MetadataRecord =
  | ClusterRecord
  | FeatureLevelRecord
  | RegisterBrokerRecord
  | UnregisterBrokerRecord
  | BrokerRegistrationChangeRecord
  | TopicRecord
  | RemoveTopicRecord
  | PartitionRecord
  | PartitionChangeRecord
  | ConfigRecord
  | ProducerIdsRecord
  | NoOpRecord

/** Written once, by the first controller. */
export interface ClusterRecord {
  type: 'clusterRecord'
  clusterId: string
}

/** A finalised feature level (KIP-1022): 'kogge.version', 'metadata.version' … Level 0 takes it away. */
export interface FeatureLevelRecord {
  type: 'featureLevelRecord'
  name: string
  level: number
}

export interface BrokerEndpoint {
  /** The listener's name, in capitals. */
  name: string
  host: string
  port: number
  securityProtocol: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
}

/** What a process understands of a feature (KIP-584). */
export interface SupportedFeature {
  name: string
  minLevel: number
  maxLevel: number
}

/** A registration or a new incarnation. The broker starts fenced. */
export interface RegisterBrokerRecord {
  type: 'registerBrokerRecord'
  brokerId: NodeId
  brokerEpoch: BrokerEpoch
  /** Drawn at each start of the process. */
  incarnationId: Uuid
  /** Drawn once for each data directory; the same id after a restart proves that the old process is dead. */
  directoryIds: Uuid[]
  endpoints: BrokerEndpoint[]
  /** The gRPC endpoint, for peers. */
  controlEndpoint?: BrokerEndpoint
  rack?: string
  /** Empty from a version before kogge.version 2. */
  features: SupportedFeature[]
  fenced: boolean
  inControlledShutdown: boolean
}

export interface UnregisterBrokerRecord {
  type: 'unregisterBrokerRecord'
  brokerId: NodeId
  brokerEpoch: BrokerEpoch
}

export interface BrokerRegistrationChangeRecord {
  type: 'brokerRegistrationChangeRecord'
  brokerId: NodeId
  brokerEpoch: BrokerEpoch
  fenced?: boolean
  inControlledShutdown?: boolean
}

export interface TopicRecord {
  type: 'topicRecord'
  name: string
  topicId: Uuid
}

export interface RemoveTopicRecord {
  type: 'removeTopicRecord'
  topicId: Uuid
}

/** A partition's whole state. */
export interface PartitionRecord {
  type: 'partitionRecord'
  topicId: Uuid
  partitionId: number
  replicas: NodeId[]
  /** The directory of each replica, as `replicas`; ZERO_UUID while unassigned. */
  directories: Uuid[]
  isr: NodeId[]
  /** Eligible leader replicas (KIP-966). */
  elr: NodeId[]
  lastKnownElr: NodeId[]
  addingReplicas: NodeId[]
  removingReplicas: NodeId[]
  /** −1: none. */
  leader: NodeId
  /** After an unclean election the leader must recover what the coordinators know. */
  leaderRecovering: boolean
  leaderEpoch: LeaderEpoch
  partitionEpoch: PartitionEpoch
}

/**
 * What changed. Replay adds 1 to the partition epoch; and 1 to the leader epoch where `leader` is present, the same
 * leader's id included (KIP-903: a new incarnation of the leader).
 */
export interface PartitionChangeRecord {
  type: 'partitionChangeRecord'
  topicId: Uuid
  partitionId: number
  leader?: NodeId
  leaderRecovering?: boolean
  /** Lists are whole; an absent list is unchanged. */
  isr?: NodeList
  elr?: NodeList
  lastKnownElr?: NodeList
  replicas?: NodeList
  addingReplicas?: NodeList
  removingReplicas?: NodeList
}

/** Wrapped, since protobuf cannot tell an absent list from an empty one. */
export interface NodeList {
  nodes: NodeId[]
}

export interface ConfigRecord {
  type: 'configRecord'
  resourceType: ConfigResourceType
  /** A topic's name; a broker's id, or '' for the default of all brokers; a name of one's own for client metrics. */
  resourceName: string
  name: string
  /** Absent: deleted. */
  value?: string
}

/** clientMetrics: KIP-714, from kogge.version 2 on. */
export type ConfigResourceType = 'topic' | 'broker' | 'clientMetrics'

/** Hands a block of 1,000 producer ids, [nextProducerId − 1000, nextProducerId), to a broker (KIP-730). */
export interface ProducerIdsRecord {
  type: 'producerIdsRecord'
  brokerId: NodeId
  brokerEpoch: BrokerEpoch
  nextProducerId: number
}

export interface NoOpRecord {
  type: 'noOpRecord'
}
