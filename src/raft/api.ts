import type { LogIndex, NodeId, Term } from '../lib/ids.js'
import type { Random } from '../ports/random.js'
import type { MembershipChange, MembershipFailure, MembershipStage } from './membership.js'
import type { Configuration, Entry, HardState, RaftMessage, Snapshot, Voter } from './types.js'

/** All that can happen to a Raft node. Each is handled to completion by one call of `RaftNode.step`. */
export type RaftInput =
  /** Time passed: `nextDeadlineMs` was reached. A tick that comes early changes nothing. */
  | { type: 'tick' }
  | { type: 'message'; from: NodeId; message: RaftMessage }
  /** Entries to be replicated, in order, all or none. A node that does not lead drops them (`proposalDropped`). */
  | { type: 'propose'; payloads: readonly Uint8Array[]; proposalId: number }
  /** Everything up to and with the `persist` effect of this sequence is durable. */
  | { type: 'persisted'; sequence: number }
  /** The connection to a peer broke and a fresh dial was refused: its process is dead. */
  | { type: 'peerDead'; peer: NodeId }
  /** Raft thesis §3.10. `to` undefined: the voter that holds the most. */
  | { type: 'transferLeadership'; to: NodeId | undefined }
  /** Raft thesis §6.4. Answered by `readReady` or `readFailed`. */
  | { type: 'readIndex'; requestId: number }
  /**
   * The state machine folded everything up to `index` into `data`; the log keeps of it the newest `keepEntries`, as
   * far as they hold no more than `keepBytes` (default: `maxTailBytes`).
   */
  | { type: 'snapshotTaken'; index: LogIndex; data: Uint8Array; keepEntries: number; keepBytes?: number }
  /** This node is about to stop: it campaigns no more. */
  | { type: 'leave' }
  /**
   * Nodes to replicate to beside the voters; they never count. Replaces the list: who is new is probed at once, who
   * is missing is forgotten. Whoever may lead one day must be told, so give it to every node.
   */
  | { type: 'learners'; nodeIds: readonly NodeId[] }
  /**
   * KIP-853. Answered once, by `membershipChanged` or `membershipFailed`, on the leader alone; `requestId` is the
   * caller's. A voter to be added has `catchUpTimeoutMs` to catch up; after that the change is only a matter of its
   * commit, which knows no time-out but the loss of the leadership.
   */
  | {
      type: 'changeMembership'
      requestId: number
      change: MembershipChange
      catchUpTimeoutMs: number
      /** Of a voter that is added: whoever asks wants to know when its entry is appended, too (KIP-1186). */
      tellsWhenAppended?: boolean
    }
  /** The caller gave up: a change that still catches up ends as `cancelled`; one that is appended goes on. */
  | { type: 'cancelMembership'; requestId: number }

export interface Outgoing {
  to: NodeId
  message: RaftMessage
}

/**
 * What must become durable, in the order of the sequences: first the hard state, a snapshot that replaces the log,
 * the truncation, then the entries; all of one effect at once. `messages` may leave only when it is durable: this
 * is where "persist before send" lives. Until `persisted` comes, later steps may put more there, and replace some.
 */
export interface PersistEffect {
  type: 'persist'
  sequence: number
  hardState?: HardState
  /** Received from a leader: replaces the log, except entries beyond `snapshot.index` that `entries` repeats. */
  snapshot?: Snapshot
  /** Drop every entry from this index on, before `entries` are written. */
  truncateFrom?: LogIndex
  entries: readonly Entry[]
  messages: readonly Outgoing[]
}

export type RaftRole = 'follower' | 'preCandidate' | 'candidate' | 'leader' | 'observer'

/** Why a role changed. */
export type RoleCause =
  | 'started'
  | 'electionTimeout'
  | 'leaderDead'
  | 'transfer'
  | 'preVoteWon'
  | 'electionWon'
  | 'electionLost'
  | 'leaderFound'
  | 'higherTerm'
  | Resignation
  | 'configuration'

/** Why a leader gave its term up by itself: `stalled` is its own process, that stood still for an election time-out. */
export type Resignation = 'noQuorum' | 'diskStalled' | 'stalled'

export interface RoleChangedEffect {
  type: 'roleChanged'
  role: RaftRole
  term: Term
  leader: NodeId | undefined
  cause: RoleCause
  /** From the start of the pre-vote to the victory; only where `electionWon`. */
  electionMs?: number
  /** Where this node's own leadership ended: since when it had been unable to commit, or had taken no proposals. */
  sinceMs?: number
}

export type RaftEffect =
  | PersistEffect
  /** May leave at once. */
  | ({ type: 'send' } & Outgoing)
  /** Committed and durable here, in order, each once. */
  | { type: 'apply'; entries: readonly Entry[] }
  /** A leader's snapshot is durable and takes the place of the state machine's state. */
  | { type: 'restoreSnapshot'; snapshot: Snapshot }
  /** Write this snapshot and drop entries up to and with `compactTo`; may be done whenever it suits. */
  | { type: 'saveSnapshot'; snapshot: Snapshot; compactTo: LogIndex }
  | RoleChangedEffect
  /** The entries of this proposal lie at [firstIndex, lastIndex] in `term`; committed where those are applied in the same term. */
  | { type: 'proposalAccepted'; proposalId: number; firstIndex: LogIndex; lastIndex: LogIndex; term: Term }
  /** Nothing of it was appended. */
  | { type: 'proposalDropped'; proposalId: number; reason: ProposalRefusal }
  /** The leader was still one after the request came; what is applied up to `index` is linearizable. */
  | { type: 'readReady'; requestId: number; index: LogIndex }
  | { type: 'readFailed'; requestId: number; reason: 'notLeader' | 'busy' }
  | { type: 'transferEnded'; to: NodeId | undefined; done: boolean }
  /** Counts from now on, committed or not; truncation tells of the one before it in the same way. */
  | { type: 'configurationChanged'; configuration: Configuration; index: LogIndex }
  /** Where it was asked for: the configuration entry lies at `index`, and may still be lost with this leadership. */
  | { type: 'membershipAppended'; requestId: number; index: LogIndex }
  /** The configuration entry at `index` has committed. */
  | { type: 'membershipChanged'; requestId: number; configuration: Configuration; index: LogIndex }
  /** `message` names the cause and what to do. See `MembershipFailure` for what may be tried again. */
  | { type: 'membershipFailed'; requestId: number; reason: MembershipFailure; message: string }

/**
 * busy: too much is uncommitted; transferring: a new leader is on its way; notLeader: ask the leader. All three may
 * be tried again. tooLarge: a payload passes `maxEntryBytes`, and will again; split it.
 */
export type ProposalRefusal = 'notLeader' | 'transferring' | 'busy' | 'tooLarge'

/** Milliseconds. RELIABILITY: election >= 5 x heartbeat. */
export interface RaftTiming {
  heartbeatIntervalMs: number
  electionTimeoutMinMs: number
  electionTimeoutMaxMs: number
  /** After a refused dial of the leader: pre-vote starts after up to this, ranked and seeded. */
  deadLeaderDelayMaxMs: number
  /** A voter that is to be added is given up after so long without a step forward: meanwhile no other change is possible. */
  catchUpStallMs: number
}

export const DEFAULT_RAFT_TIMING: RaftTiming = {
  heartbeatIntervalMs: 100,
  electionTimeoutMinMs: 1000,
  electionTimeoutMaxMs: 2000,
  deadLeaderDelayMaxMs: 50,
  catchUpStallMs: 5000,
}

export interface RaftLimits {
  /** Of one payload; a larger one is refused (`tooLarge`). Must fit into one message of the transport. */
  maxEntryBytes: number
  /** Of one append message; an entry larger than that goes alone. */
  maxAppendBytes: number
  maxAppendEntries: number
  /** In flight to one follower. */
  maxInflightMessages: number
  maxInflightBytes: number
  /** Appended by this leader and not yet committed. */
  maxUncommittedEntries: number
  maxUncommittedBytes: number
  maxPendingReads: number
  snapshotChunkBytes: number
  /**
   * Of the entries kept behind a snapshot. What the log holds in memory is thus bounded: this, the committed entries up
   * to the next snapshot (the driver takes one by count and by bytes), and what is uncommitted.
   */
  maxTailBytes: number
  /** A snapshot that claims to be larger is refused. */
  maxSnapshotBytes: number
  /** Raft thesis §4.2.1: so many rounds a new voter gets to catch up in; the last must be short. */
  maxCatchUpRounds: number
  /** It lags by no more than this when its configuration entry is appended. */
  maxCatchUpLagEntries: number
}

export const DEFAULT_RAFT_LIMITS: RaftLimits = {
  maxEntryBytes: 8 * 1024 * 1024,
  maxAppendBytes: 256 * 1024,
  maxAppendEntries: 1024,
  maxInflightMessages: 64,
  maxInflightBytes: 4 * 1024 * 1024,
  maxUncommittedEntries: 4096,
  maxUncommittedBytes: 16 * 1024 * 1024,
  maxPendingReads: 1024,
  snapshotChunkBytes: 256 * 1024,
  maxTailBytes: 16 * 1024 * 1024,
  maxSnapshotBytes: 1024 * 1024 * 1024,
  maxCatchUpRounds: 10,
  maxCatchUpLagEntries: 1024,
}

/** What was read back from disk. */
export interface RestoredState {
  hardState: HardState
  snapshot?: Snapshot
  /** Contiguous; the first at most one past `snapshot.index`, and index 1 where there is none. */
  entries: readonly Entry[]
}

export interface RaftOptions {
  self: Voter
  random: Random
  restored: RestoredState
  learners: readonly NodeId[]
  timing: RaftTiming
  limits: RaftLimits
  /** CRC-32C, of snapshots in transit. */
  checksum: (bytes: Uint8Array) => number
  nowMs: number
}

export interface RaftStatus {
  role: RaftRole
  term: Term
  leader: NodeId | undefined
  commitIndex: LogIndex
  appliedIndex: LogIndex
  durableIndex: LogIndex
  lastIndex: LogIndex
  firstIndex: LogIndex
  snapshotIndex: LogIndex
  configuration: Configuration
  clusterId: string | undefined
  progress: FollowerProgress[]
  hasQuorum: boolean
  /** Of a leader's snapshot that is on its way in; held in memory until it is whole. */
  assemblyBytes: number
  /** Of a leader: the one change of membership under way. */
  membership: MembershipStatus | undefined
}

export interface MembershipStatus {
  requestId: number
  change: MembershipChange
  stage: MembershipStage
  /** catchingUp: the round, from 1. */
  round: number
  /** committing: where its entry lies; 0 before. */
  index: LogIndex
}

export interface FollowerProgress {
  voter: Voter
  isVoter: boolean
  matchIndex: LogIndex
  nextIndex: LogIndex
  /** Monotonic milliseconds; -1: never. */
  lastContactMs: number
  lastCaughtUpMs: number
  state: 'probe' | 'replicate' | 'snapshot'
}
