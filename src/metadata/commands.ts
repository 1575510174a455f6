import type { BrokerEpoch, LeaderEpoch, LogIndex, NodeId, PartitionEpoch, Uuid } from '../lib/ids.js'
import type { BrokerEndpoint, ConfigResourceType, NodeList, SupportedFeature } from './records.js'

/**
 * What a broker asks of the active controller, for itself or for a client. As with the records, `type` names the
 * field in `proto/controller.proto`, an absent field is `undefined`, and every result has an `errorCode` of Kafka's
 * table (0 = done) with a message that names the cause.
 */
export type ControllerCommand =
  | RegisterBroker
  | BrokerHeartbeat
  | AlterPartitions
  | CreateTopics
  | DeleteTopics
  | CreatePartitions
  | AlterConfigs
  | ElectLeaders
  | AlterPartitionReassignments
  | AllocateProducerIds
  | UnregisterBroker
  | UpdateFeatures
  | DescribeQuorum
  | AddVoter
  | RemoveVoter
  | PromoteVoter

/** What the quorum answers for itself; not the controller's to decide. */
export type QuorumCommand = DescribeQuorum | AddVoter | RemoveVoter | PromoteVoter

/** What the controller itself decides. */
export type DecidedCommand = Exclude<ControllerCommand, QuorumCommand>

export type ControllerReply =
  /** For any command: the controller could not take it. NOT_CONTROLLER (41) and REQUEST_TIMED_OUT (7) may be tried again. */
  | { type: 'failed'; errorCode: number; errorMessage: string }
  | {
      type: 'registerBroker'
      brokerEpoch: BrokerEpoch
      clusterId: string
      errorCode: number
      errorMessage: string
    }
  | BrokerHeartbeatReply
  | { type: 'alterPartitions'; errorCode: number; partitions: AlterPartitionResult[] }
  | { type: 'createTopics'; topics: CreateTopicResult[] }
  | { type: 'deleteTopics'; topics: DeleteTopicResult[] }
  | { type: 'createPartitions'; topics: NamedResult[] }
  | { type: 'alterConfigs'; resources: AlterConfigsResult[] }
  | { type: 'electLeaders'; errorCode: number; partitions: ElectLeadersResult[] }
  | { type: 'alterPartitionReassignments'; partitions: ReassignmentResult[] }
  | {
      type: 'allocateProducerIds'
      errorCode: number
      errorMessage: string
      firstProducerId: number
      count: number
    }
  | { type: 'unregisterBroker'; errorCode: number; errorMessage: string }
  | { type: 'updateFeatures'; errorCode: number; errorMessage: string; feature: string }
  | DescribeQuorumReply
  | { type: 'addVoter'; errorCode: number; errorMessage: string }
  | { type: 'removeVoter'; errorCode: number; errorMessage: string }
  | { type: 'promoteVoter'; errorCode: number; errorMessage: string }

/** Who asked, carried with every request and every forwarded command. */
export interface CommandContext {
  /** 'User:ANONYMOUS' on PLAINTEXT; 'Broker:<id>' for a broker's own commands. */
  principal: string
  clientId: string
  clientAddress: string
  listener: string
}

export interface RegisterBroker {
  type: 'registerBroker'
  brokerId: NodeId
  clusterId: string
  incarnationId: Uuid
  directoryIds: Uuid[]
  endpoints: BrokerEndpoint[]
  controlEndpoint?: BrokerEndpoint
  rack?: string
  /** Empty from a version before kogge.version 2. */
  features: SupportedFeature[]
  /** KIP-966: the epoch in which this directory was cleanly closed; absent: it was not. */
  previousBrokerEpoch?: BrokerEpoch
}

/** Every 500 ms; also the answer to being fenced, and how a controlled shutdown is asked for. */
export interface BrokerHeartbeat {
  type: 'brokerHeartbeat'
  brokerId: NodeId
  brokerEpoch: BrokerEpoch
  /** The metadata that this broker has applied. */
  appliedIndex: LogIndex
  /** Recovery is done: unfence me when I have caught up. */
  wantFence: boolean
  wantShutDown: boolean
  /** Replicas that were quarantined and must leave the ISR and the ELR at once. */
  quarantined: { topicId: Uuid; partitionId: number }[]
}

export interface BrokerHeartbeatReply {
  type: 'brokerHeartbeat'
  errorCode: number
  errorMessage: string
  isFenced: boolean
  isCaughtUp: boolean
  /** All leaderships have moved (or can't): go. */
  shouldShutDown: boolean
  /** After which silence this controller fences a broker, as its own configuration says; absent from a version before it. */
  sessionTimeoutMs?: number
}

/** KIP-497, with the broker epochs of KIP-903. */
export interface AlterPartitions {
  type: 'alterPartitions'
  brokerId: NodeId
  brokerEpoch: BrokerEpoch
  /** The metadata that this broker had applied when it decided; absent: as its last heartbeat said. */
  appliedIndex?: LogIndex
  partitions: AlterPartition[]
}

export interface AlterPartition {
  topicId: Uuid
  partitionId: number
  leaderEpoch: LeaderEpoch
  partitionEpoch: PartitionEpoch
  newIsr: { brokerId: NodeId; brokerEpoch: BrokerEpoch }[]
  leaderRecovering: boolean
}

/** errorCode 0: what now holds. Else INVALID_UPDATE_VERSION, FENCED_LEADER_EPOCH, INELIGIBLE_REPLICA, … */
export interface AlterPartitionResult {
  topicId: Uuid
  partitionId: number
  errorCode: number
  leader: NodeId
  leaderEpoch: LeaderEpoch
  isr: NodeId[]
  partitionEpoch: PartitionEpoch
  leaderRecovering: boolean
}

export interface CreateTopics {
  type: 'createTopics'
  validateOnly: boolean
  topics: NewTopic[]
}

export interface NewTopic {
  name: string
  /** −1: the default. */
  numPartitions: number
  replicationFactor: number
  /** By hand: a list of replicas for each partition; then the two above are −1. */
  assignments: { partitionId: number; replicas: NodeId[] }[]
  configs: { name: string; value?: string }[]
  /** Made by the broker itself (`__consumer_offsets`): an internal topic. */
  internal: boolean
}

export interface CreateTopicResult {
  name: string
  errorCode: number
  errorMessage: string
  topicId: Uuid
  numPartitions: number
  replicationFactor: number
}

/** Each by its name, or by its id where name is ''; exactly one of the two is given, the other one is '' or zero. */
export interface DeleteTopics {
  type: 'deleteTopics'
  topics: { name: string; topicId: Uuid }[]
}

export interface DeleteTopicResult {
  name: string
  topicId: Uuid
  errorCode: number
  errorMessage: string
}

export interface CreatePartitions {
  type: 'createPartitions'
  validateOnly: boolean
  /** count: the new total. assignments: one list of replicas for each new partition, or empty. */
  topics: { name: string; count: number; assignments: { replicas: NodeId[] }[] }[]
}

export interface NamedResult {
  name: string
  errorCode: number
  errorMessage: string
}

/** IncrementalAlterConfigs (KIP-339), and the whole replacement of AlterConfigs. */
export interface AlterConfigs {
  type: 'alterConfigs'
  validateOnly: boolean
  /** replaceAll: what is not named goes back to its default. */
  replaceAll: boolean
  resources: {
    resourceType: ConfigResourceType
    resourceName: string
    operations: { name: string; operation: 'set' | 'delete' | 'append' | 'subtract'; value?: string }[]
  }[]
}

export interface AlterConfigsResult {
  resourceType: ConfigResourceType
  resourceName: string
  errorCode: number
  errorMessage: string
}

export interface ElectLeaders {
  type: 'electLeaders'
  unclean: boolean
  /** Named partitions; all of them where `all`. */
  all: boolean
  partitions: { topic: string; partitionId: number }[]
}

export interface ElectLeadersResult {
  topic: string
  partitionId: number
  errorCode: number
  errorMessage: string
}

/** KIP-455. */
export interface AlterPartitionReassignments {
  type: 'alterPartitionReassignments'
  /** KIP-860. */
  allowReplicationFactorChange: boolean
  /** replicas: the whole target, the preferred leader first; absent: what is going on is cancelled. */
  partitions: { topic: string; partitionId: number; replicas?: NodeList }[]
}

/** INVALID_REPLICA_ASSIGNMENT, NO_REASSIGNMENT_IN_PROGRESS, INVALID_REPLICATION_FACTOR, UNKNOWN_TOPIC_OR_PARTITION. */
export interface ReassignmentResult {
  topic: string
  partitionId: number
  errorCode: number
  errorMessage: string
}

export interface AllocateProducerIds {
  type: 'allocateProducerIds'
  brokerId: NodeId
  brokerEpoch: BrokerEpoch
}

export interface UnregisterBroker {
  type: 'unregisterBroker'
  brokerId: NodeId
}

/** KIP-584, KIP-778, KIP-1022: all of the updates or none. In the reply `feature` names the one that failed, else ''. */
export interface UpdateFeatures {
  type: 'updateFeatures'
  validateOnly: boolean
  /** level 0: no longer finalised. A downgrade is safe where nothing is lost. */
  updates: { name: string; level: number; upgradeType: 'upgrade' | 'safeDowngrade' | 'unsafeDowngrade' }[]
}

/** Only the Raft leader knows how far the others are. */
export interface DescribeQuorum {
  type: 'describeQuorum'
}

/** End offsets are the last index plus one, as Kafka counts them; the high watermark is the commit index plus one. */
export interface DescribeQuorumReply {
  type: 'describeQuorum'
  leaderId: NodeId
  leaderEpoch: number
  highWatermark: number
  voters: QuorumReplica[]
  observers: QuorumReplica[]
}

/** Times are Unix milliseconds of the leader's clock; −1: never. */
export interface QuorumReplica {
  replicaId: NodeId
  directoryId: Uuid
  logEndOffset: number
  lastFetchTimestampMs: number
  lastCaughtUpTimestampMs: number
}

/**
 * KIP-853. The node is replicated to, and becomes a voter once it has caught up; done when that has committed, or
 * `failed` when the caller's time is over. DUPLICATE_VOTER, INVALID_VOTER_KEY (it answers from another directory),
 * REQUEST_TIMED_OUT (it lags or does not answer; again later) …
 */
export interface AddVoter {
  type: 'addVoter'
  nodeId: NodeId
  directoryId: Uuid
  /** Its control listener, where it has not introduced itself: only the node's own word beats this. */
  host?: string
  port?: number
  /** False: done as soon as the leader has appended it, and perhaps undone by the next leader (KIP-1186). */
  ackWhenCommitted?: boolean
}

/** KIP-853. VOTER_NOT_FOUND where no voter has this id and directory. The leader itself may go: it leads until then. */
export interface RemoveVoter {
  type: 'removeVoter'
  nodeId: NodeId
  directoryId: Uuid
  /** REQUEST_TIMED_OUT while it answers: for who takes the place of a voter that is gone. Operators decide themselves. */
  onlyIfSilent?: boolean
}

/** `addVoter` for a node that follows already, under the directory that it answers from. */
export interface PromoteVoter {
  type: 'promoteVoter'
  nodeId: NodeId
}
