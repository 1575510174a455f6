import type * as grpc from '@grpc/grpc-js'
import type { QuorumStatus } from '../broker/quorum/handle.js'
import type { LogIndex, NodeId, Term, Uuid } from '../lib/ids.js'
import type { MetadataRecord } from '../metadata/records.js'

/** What the inspection service shows: the node's shell implements it. Plain data; nothing here may wait. */
export interface InspectSource {
  status(): InspectStatus
  /** Calls `listener` at each event until the returned function is called. */
  subscribe(listener: (event: InspectEvent) => void): () => void
  /** Committed entries of the metadata log from `from` (or the first one that is held) on, at most `limit`. */
  readLog(from: LogIndex, limit: number): readonly InspectLogEntry[]
  listPartitions(): readonly InspectPartition[]
  /** Asks Raft to hand leadership over. Returns a sentence where it can't (not the leader, no such voter), else undefined. */
  transferLeadership?(to: NodeId): string | undefined
}

export interface InspectStatus {
  quorum: QuorumStatus
  broker: InspectBrokerStatus
  version: string
}

export interface InspectBrokerStatus {
  state: 'starting' | 'recovering' | 'fenced' | 'running' | 'controlledShutdown' | 'stopped'
  /** 0 before the first registration. */
  brokerEpoch: number
  /** The metadata that the broker has applied. */
  appliedIndex: LogIndex
}

export type InspectEvent =
  | { type: 'role'; role: QuorumStatus['role']; term: Term }
  | { type: 'term'; term: Term }
  | { type: 'leader'; leader: NodeId | undefined; term: Term }
  | { type: 'election'; term: Term; cause: string; won: boolean; durationMs: number }
  | { type: 'commit'; commitIndex: LogIndex }
  | { type: 'snapshot'; index: LogIndex; sizeBytes: number; installed: boolean }

/** `records`: of the metadata log; none for a no-op or a configuration. */
export interface InspectLogEntry {
  index: LogIndex
  term: Term
  kind: 'data' | 'noOp' | 'configuration'
  records: readonly MetadataRecord[]
}

export interface InspectPartition {
  topic: string
  topicId: Uuid
  partitionId: number
  leader: NodeId
  leaderEpoch: number
  isLeader: boolean
  replicas: readonly NodeId[]
  isr: readonly NodeId[]
  logStartOffset: number
  logEndOffset: number
  highWatermark: number
  sizeBytes: number
}

export interface InspectService {
  addTo(server: grpc.Server): void
  /** Ends all watches. */
  close(): void
}

export function createInspectService(_source: InspectSource): InspectService {
  throw new Error('being written')
}
