import type { LeaderEpoch, LogIndex, NodeId, Term } from '../../lib/ids.js'
import type { RoleCause } from '../../raft/api.js'

/** One change of leadership as this node saw it. Times are monotonic milliseconds of this node but `wallMs`. */
export type PostMortem = PostMortemBody & { sequence: number; wallMs: number }

export type PostMortemBody = RaftElection | PartitionElections

interface Interval {
  /**
   * Nobody serves from then on: the last sign of life of the former leader, or the decision that it is to go. Of several
   * partitions the one that waited the longest. Undefined: not known here.
   */
  fromMs: number | undefined
  /**
   * Raft: the first entry of the new term is committed and applied here; where none was, that leadership's end.
   * Partitions: the new leaders are applied here, or that there is none: that outage ends with another change.
   */
  untilMs: number
}

export interface RaftElection extends Interval {
  type: 'raft'
  /** Undefined: the first one that this process knows. */
  formerLeader: NodeId | undefined
  leader: NodeId
  term: Term
  /** Why the former leadership ended, as far as this node knows. */
  cause: RoleCause
  /** This node noticed that the leader was gone; it learned of the new one. */
  noticedMs: number
  electedMs: number
  /**
   * Nothing of its term is committed: not yet, as far as this node has applied the log (`untilMs` is now); or the next
   * leader came before, whose outage counts from the same moment.
   */
  noCommit: boolean
}

/** All partitions that one batch of the metadata log moved for one cause from one leader; those left without one apart. */
export interface PartitionElections extends Interval {
  type: 'partitions'
  /** −1: they had none. */
  formerLeader: NodeId
  cause: PartitionElectionCause
  /** Of the metadata log, up to and with which they were applied. */
  index: LogIndex
  count: number
  /** All of the newest changes, the first `LISTED_PARTITIONS` of those before; an answer holds no more of any. */
  partitions: MovedPartition[]
}

export interface MovedPartition {
  topic: string
  partition: number
  /** −1: none. */
  leader: NodeId
  leaderEpoch: LeaderEpoch
}

/**
 * brokerFenced: dead, or silent for a session; brokerRestarted: a new incarnation (KIP-903); controlledShutdown:
 * KIP-841; unclean: a leader outside ISR and ELR; recovered: it had no leader; preferred: back to the first replica;
 * reassigned: the leader is no replica any more (KIP-455); elected: by any other decision; unknown: learnt from a
 * snapshot, which does not say.
 */
export type PartitionElectionCause =
  | 'brokerFenced'
  | 'brokerRestarted'
  | 'brokerUnregistered'
  | 'controlledShutdown'
  | 'unclean'
  | 'recovered'
  | 'preferred'
  | 'reassigned'
  | 'elected'
  | 'unknown'

/** Absent: any. */
export interface PartitionFilter {
  topic?: string | undefined
  partition?: number | undefined
}

export const LISTED_PARTITIONS = 100
