import type { LogIndex, NodeId, Term, Uuid } from '../lib/ids.js'

/** Raft's vocabulary: inputs, messages and effects as data. No I/O, no clock, no randomness but what is handed in. */

/** KIP-853: a voter is a node together with its directory; a wiped disk is another voter. */
export interface Voter {
  nodeId: NodeId
  directoryId: Uuid
}

export interface Configuration {
  voters: Voter[]
}

export type Entry =
  /** The state machine's own bytes. */
  | { type: 'data'; term: Term; index: LogIndex; payload: Uint8Array }
  /** Proposed by a leader on its election (Raft §8). */
  | { type: 'noOp'; term: Term; index: LogIndex }
  /** Counts from the moment it is appended (Raft §6, KIP-853). Entry 1 is the founding one. */
  | { type: 'configuration'; term: Term; index: LogIndex; configuration: Configuration; clusterId: string }

/** What a node must never forget: fsynced before any message that tells of it. */
export interface HardState {
  term: Term
  /** The candidate that got this term's vote, by its directory too; undefined: none yet. */
  vote?: Voter
}

/** Everything up to and with (index, term), folded into `data`. */
export interface Snapshot {
  index: LogIndex
  term: Term
  configuration: Configuration
  clusterId: string
  data: Uint8Array
}

/** `type` names the field in `proto/raft.proto`. All carry the sender's term but preVote, which carries the next one. */
export type RaftMessage =
  | {
      type: 'preVote'
      term: Term
      candidate: Voter
      voterDirectoryId: Uuid
      lastIndex: LogIndex
      lastTerm: Term
      transfer: boolean
      /** The candidate led the present term and gave it up: why. What is not known counts as a death. */
      resigned?: string
    }
  | { type: 'preVoteReply'; term: Term; voter: Voter; granted: boolean }
  | {
      type: 'vote'
      term: Term
      candidate: Voter
      voterDirectoryId: Uuid
      lastIndex: LogIndex
      lastTerm: Term
      transfer: boolean
    }
  | { type: 'voteReply'; term: Term; voter: Voter; granted: boolean }
  /** Raft §5.3. `readContext` is echoed: read index (Raft thesis §6.4). */
  | {
      type: 'append'
      term: Term
      previousIndex: LogIndex
      previousTerm: Term
      entries: Entry[]
      commitIndex: LogIndex
    }
  /** On success matchIndex is the last index that is durable. On failure (conflictTerm, conflictIndex) say where to go back to. */
  | {
      type: 'appendReply'
      term: Term
      follower: Voter
      success: boolean
      matchIndex: LogIndex
      conflictIndex: LogIndex
      conflictTerm: Term
    }
  /** `commitTerm`: of the entry at commitIndex; 0: not known any more. A wiped disk may hold another one there. */
  | {
      type: 'heartbeat'
      term: Term
      commitIndex: LogIndex
      commitTerm: Term
      readContext: number
      /** By the leader's clock. Echoed. */
      sentMs: number
    }
  | {
      type: 'heartbeatReply'
      term: Term
      follower: Voter
      lastIndex: LogIndex
      readContext: number
      /** Absent: the follower is of a build that does not know it. */
      sentMs?: number
    }
  | {
      type: 'installSnapshot'
      term: Term
      index: LogIndex
      snapshotTerm: Term
      configuration: Configuration
      clusterId: string
      offset: number
      totalBytes: number
      checksum: number
      chunk: Uint8Array
    }
  | {
      type: 'installSnapshotReply'
      term: Term
      follower: Voter
      index: LogIndex
      nextOffset: number
      done: boolean
    }
  /** Leader transfer (Raft thesis §3.10). */
  | { type: 'timeoutNow'; term: Term }
