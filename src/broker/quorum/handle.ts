import type { LogIndex, NodeId, Term } from '../../lib/ids.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../../metadata/commands.js'
import type { MetadataRecord } from '../../metadata/records.js'
import type { Voter } from '../../raft/types.js'
import type { PeerAddress } from '../peer-message.js'

/** What the broker reactor may ask of its node's quorum reactor. Plain data both ways, so that a thread may lie between. */
export interface QuorumHandle {
  /**
   * Sends a command to the active controller, wherever it is; waits for a leader where there is none. `done` is
   * called once, with 'failed' / REQUEST_TIMED_OUT after `timeoutMs`. A command is never sent twice by itself: after
   * a lost connection the outcome is unknown and the reply is 'failed' / NOT_CONTROLLER.
   *
   * Returns what calls it off where whoever asked is gone: a command that still waits, or a voter that still catches
   * up. What is done already stays done; `done` is called in any case.
   */
  submit(
    command: ControllerCommand,
    context: CommandContext,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): () => void
  status(): QuorumStatus
}

/** What the quorum reactor tells the broker reactor. Each call is one input. */
export interface QuorumListener {
  /** A new state in place of all that came before: at start-up from the local snapshot, later where this node lagged. */
  onSnapshot(records: readonly MetadataRecord[], index: LogIndex): void
  /** Before each `onSnapshot` and its parts: those to which no `onSnapshot` came count no more. */
  onSnapshotBegun(): void
  /**
   * What comes before the records of the next `onSnapshot`, in turns of its own: with all of a large state in one turn
   * nobody's heartbeat would leave.
   */
  onSnapshotPart(records: readonly MetadataRecord[]): void
  /** Committed records, in order. `index` is the last one's. May be empty (a no-op): `index` moves all the same. */
  onCommitted(records: readonly MetadataRecord[], index: LogIndex): void
  /** The active controller as far as this node knows; undefined: none. */
  onLeader(leader: NodeId | undefined, term: Term): void
  /** A connection to this peer broke, or a fresh dial was refused (`dead`): Metadata answers may be held. */
  onPeerLost(peer: NodeId, dead: boolean): void
}

export interface QuorumStatus {
  nodeId: NodeId
  directoryId: string
  clusterId: string | undefined
  role: 'founding' | 'follower' | 'preCandidate' | 'candidate' | 'leader' | 'observer'
  term: Term
  leader: NodeId | undefined
  commitIndex: LogIndex
  lastIndex: LogIndex
  firstIndex: LogIndex
  snapshotIndex: LogIndex
  voters: Voter[]
  /** Of the leader alone: each follower's progress. */
  progress: PeerProgress[]
  /** A leader heard a majority within the election time-out; a follower knows a live leader. */
  hasQuorum: boolean
  /** How late the heartbeats of this leader left, since it was elected; undefined: it does not lead. */
  heartbeatJitter?: JitterStatus
  /** Of this node's last leadership before, with the round that came too late where it ended so; undefined: none. */
  formerHeartbeatJitter?: JitterStatus
  /** Where this node's peers are reached, itself included. */
  addresses: PeerAddress[]
  /** A controller without a vote: why, and what to do about it. */
  advice?: string
}

/** Milliseconds between the planned and the actual moment. */
export interface JitterStatus {
  count: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

export interface PeerProgress {
  voter: Voter
  isVoter: boolean
  matchIndex: LogIndex
  nextIndex: LogIndex
  /** Monotonic milliseconds since this peer was last heard; -1: never. */
  lastContactMs: number
  /** When it last held the whole log, the same way. */
  lastCaughtUpMs: number
  state: 'probe' | 'replicate' | 'snapshot'
}

/** Before this node belongs to a cluster. */
export const NOT_A_MEMBER = {
  role: 'founding',
  term: 0,
  leader: undefined,
  commitIndex: 0,
  lastIndex: 0,
  firstIndex: 0,
  snapshotIndex: 0,
  voters: [],
  progress: [],
  hasQuorum: false,
} satisfies Partial<QuorumStatus>
