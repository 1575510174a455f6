import type { LeaderEpoch, Offset, Uuid } from '../../lib/ids.js'

/**
 * What the group coordinator is asked and what it answers, apart from the wire's versions: the request handlers
 * translate. All durations are milliseconds; `errorCode` is Kafka's (0 = none).
 */

/** JoinGroup. */
export interface JoinRequest {
  readonly groupId: string
  /** '' where the member has none yet. */
  readonly memberId: string
  /** `group.instance.id` (KIP-345); null: a dynamic member. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  readonly protocols: readonly MemberProtocol[]
  /** v4+ (KIP-394): a dynamic member without an id gets one with MEMBER_ID_REQUIRED and must ask again. */
  readonly requireKnownMemberId: boolean
  /** v9+ (KIP-814): a static leader that comes back may be told to leave the assignment alone. */
  readonly supportsSkippingAssignment: boolean
}

export interface MemberProtocol {
  readonly name: string
  readonly metadata: Uint8Array
}

export interface JoinReply {
  readonly errorCode: number
  readonly memberId: string
  readonly generationId: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  readonly skipAssignment: boolean
  /** Of the leader alone. */
  readonly members: readonly JoinedMember[]
}

export interface JoinedMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly metadata: Uint8Array
}

/** SyncGroup. */
export interface SyncRequest {
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generationId: number
  /** v5+ (KIP-559); null: not checked. */
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
}

export interface SyncReply {
  readonly errorCode: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Uint8Array
}

/** Heartbeat. */
export interface HeartbeatRequest {
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generationId: number
}

export interface ErrorReply {
  readonly errorCode: number
}

/** LeaveGroup; one member below v3. */
export interface LeaveRequest {
  readonly groupId: string
  readonly members: readonly { readonly memberId: string; readonly groupInstanceId: string | null }[]
}

export interface LeaveReply {
  readonly errorCode: number
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly errorCode: number
  }[]
}

/** OffsetCommit. Partitions that the handler already refused are not in it. */
export interface OffsetCommitRequest {
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** -1 with an empty member id: a commit from outside of the group's membership. */
  readonly generationId: number
  /** v2-4; null: the broker's `offsets.retention.minutes`. */
  readonly retentionTimeMs: number | null
  /** v9+: an unknown group is GROUP_ID_NOT_FOUND, not ILLEGAL_GENERATION. */
  readonly groupIdNotFoundSupported: boolean
  readonly topics: readonly OffsetCommitTopic[]
}

export interface OffsetCommitTopic {
  readonly name: string
  /** ZERO_UUID where unknown. */
  readonly topicId: Uuid
  readonly partitions: readonly {
    readonly partitionIndex: number
    readonly offset: Offset
    /** -1: unknown. */
    readonly leaderEpoch: LeaderEpoch
    readonly metadata: string
  }[]
}

/** Topics and partitions in the order of the request. */
export interface OffsetCommitReply {
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
  }[]
}

/** OffsetFetch of one group. */
export interface OffsetFetchRequest {
  readonly groupId: string
  /** null: all that the group has committed. */
  readonly topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null
}

/** A partition without a committed offset has offset -1 and no error. */
export interface OffsetFetchReply {
  readonly errorCode: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partitionIndex: number
      readonly offset: Offset
      readonly leaderEpoch: LeaderEpoch
      readonly metadata: string
    }[]
  }[]
}

/** DescribeGroups, of one group. */
export interface GroupDescription {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly groupId: string
  readonly groupState: GroupState | ''
  readonly protocolType: string
  /** The chosen protocol; '' unless Stable. */
  readonly protocolData: string
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly clientId: string
    readonly clientHost: string
    readonly metadata: Uint8Array
    readonly assignment: Uint8Array
  }[]
}

/** ListGroups. */
export interface GroupListing {
  readonly groupId: string
  readonly protocolType: string
  readonly groupState: GroupState
  readonly groupType: 'classic'
}

export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

/** DeleteGroups, of one group. */
export interface DeleteGroupReply {
  readonly groupId: string
  readonly errorCode: number
  readonly errorMessage: string | null
}
