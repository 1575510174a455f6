import type { GroupRecord } from './records.js'
import type {
  DeleteGroupReply,
  ErrorReply,
  HeartbeatRequest,
  JoinReply,
  JoinRequest,
  LeaveReply,
  LeaveRequest,
  OffsetCommitReply,
  OffsetCommitRequest,
  SyncReply,
  SyncRequest,
} from './types.js'

/** Names a waiting request; its reply's type rides along. */
export type Ticket<Reply> = number & { readonly __reply?: Reply }

/** All that can happen to a shard. Reads are methods of the shard. */
export type GroupInput =
  | { type: 'join'; ticket: Ticket<JoinReply>; request: JoinRequest }
  | { type: 'sync'; ticket: Ticket<SyncReply>; request: SyncRequest }
  | { type: 'heartbeat'; ticket: Ticket<ErrorReply>; request: HeartbeatRequest }
  | { type: 'leave'; ticket: Ticket<LeaveReply>; request: LeaveRequest }
  | { type: 'commitOffsets'; ticket: Ticket<OffsetCommitReply>; request: OffsetCommitRequest }
  | { type: 'deleteGroup'; ticket: Ticket<DeleteGroupReply>; groupId: string }
  | { type: 'timer'; timer: GroupTimer; lateMs: number }
  /** From time to time: drop offsets past their retention. */
  | { type: 'expireOffsets' }
  | { type: 'topicsDeleted'; topics: ReadonlySet<string> }
  /** An append's outcome: 0 = committed and replayed, else the coordinator's error for those who wait. */
  | { type: 'written'; write: number; errorCode: number }

export type GroupReply =
  | JoinReply
  | SyncReply
  | ErrorReply
  | LeaveReply
  | OffsetCommitReply
  | DeleteGroupReply

export type GroupEffect =
  | { type: 'reply'; ticket: number; reply: GroupReply }
  /** To be appended as one unit and committed before anything that waits for it is told. */
  | { type: 'append'; write: number; records: readonly GroupRecord[] }
  /** Replaces a timer of the same key. */
  | { type: 'setTimer'; timer: GroupTimer; delayMs: number }
  | { type: 'cancelTimer'; timer: GroupTimer }

export type GroupTimer =
  /** A member's session, or the wait of one that has not been through a join phase yet. */
  | { kind: 'session'; groupId: string; memberId: string }
  /** Someone was given a member id and has not come back with it. */
  | { kind: 'pendingMember'; groupId: string; memberId: string }
  /** The join phase ends: the initial delay, or the rebalance time-out. */
  | { kind: 'join'; groupId: string; memberId: '' }
  /** The sync phase ends: members that did not sync are dropped. */
  | { kind: 'sync'; groupId: string; memberId: '' }

export function timerKey(timer: GroupTimer): string {
  return `${timer.kind}\0${timer.groupId}\0${timer.memberId}`
}

/** Kafka's settings, read at each use: they may change at run time. */
export interface GroupSettings {
  /** `group.min.session.timeout.ms`, `group.max.session.timeout.ms`. */
  readonly minSessionTimeoutMs: number
  readonly maxSessionTimeoutMs: number
  /** `group.initial.rebalance.delay.ms`. */
  readonly initialRebalanceDelayMs: number
  /** `group.max.size`. */
  readonly maxSize: number
  /** `offset.metadata.max.bytes`. */
  readonly offsetMetadataMaxBytes: number
  /** `offsets.retention.minutes`, in milliseconds. */
  readonly offsetsRetentionMs: number
}
