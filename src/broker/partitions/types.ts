import type { LeaderEpoch, NodeId, Offset, Uuid } from '../../lib/ids.js'
import type { LogManager } from '../../log/log-manager.js'
import type { LogSlice } from '../../log/types.js'
import type { BrokerServices } from '../services.js'
import type { InflationBudget } from './inflation-budget.js'

/** What the partitions need of their broker. */
export type PartitionServices = Pick<
  BrokerServices,
  | 'config'
  | 'clock'
  | 'random'
  | 'logger'
  | 'compression'
  | 'dialer'
  | 'quorum'
  | 'metadata'
  | 'configs'
  | 'brokerEpoch'
> & {
  readonly logs: Pick<
    LogManager,
    | 'get'
    | 'getOrCreate'
    | 'delete'
    | 'logs'
    | 'checkpointedHighWatermark'
    | 'namesake'
    | 'quarantined'
    | 'settleQuarantine'
    | 'isOffline'
    | 'hasRoom'
  >
  /** A follower's connection to this leader broke: its process may have died (MetadataCache's suspects). */
  readonly onLeaderLost?: (leader: NodeId) => void
  /** No word of the controller for a session's time: others may lead by now what this broker led. */
  readonly isCutOff?: () => boolean
}

export interface AppendOptions {
  requiredAcks: -1 | 0 | 1
  timeoutMs: number
  /** Coordinators may write to internal topics and are never held by admission. */
  origin: 'client' | 'coordinator'
  /** Answers NOT_LEADER_OR_FOLLOWER where the leadership has another epoch (KAFKA-20634). */
  expectedLeaderEpoch?: LeaderEpoch
  /** Of the Produce request; the newest where it is left out. */
  apiVersion?: number
  /** Of the Produce request, shared by its partitions; one of its own where it is left out. */
  inflation?: InflationBudget
}

/** Committed batches, from the local leader. */
export interface CommittedRead {
  /** 0, NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_ID, OFFSET_OUT_OF_RANGE or KAFKA_STORAGE_ERROR; then the slice is empty. */
  errorCode: number
  slice: LogSlice
  /** -1 where there is an error. */
  highWatermark: Offset
  logStartOffset: Offset
}

export interface LeadershipEvent {
  topicId: Uuid
  topic: string
  partitionId: number
  isLeader: boolean
  leaderEpoch: LeaderEpoch
  /** The log's end when this replica was elected, where the leader's epoch starts; -1 where it ceases to lead. */
  epochStartOffset: Offset
}

/** recovering: its log is being loaded; quarantined: damaged, it is fetched anew; offline: its directory failed. */
export type PartitionHealth = 'online' | 'recovering' | 'quarantined' | 'offline'

/** One local replica, for inspection. */
export interface PartitionStatus {
  topic: string
  topicId: Uuid
  partitionId: number
  role: 'leader' | 'follower' | 'none'
  /** -1: none. */
  leader: NodeId
  leaderEpoch: LeaderEpoch
  isr: { committed: readonly NodeId[]; maximal: readonly NodeId[] }
  logStartOffset: Offset
  logEndOffset: Offset
  durableEndOffset: Offset
  highWatermark: Offset
  sizeBytes: number
  state: PartitionHealth
}
