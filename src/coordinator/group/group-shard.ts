import { unreachable } from '../../lib/assert.js'
import { ErrorCode } from '../../wire/errors.js'
import { ClassicGroup, NO_BYTES } from './classic-group.js'
import { GroupContext } from './context.js'
import type { GroupEffect, GroupInput, GroupSettings, GroupTimer } from './effects.js'
import { join, onPendingMemberTimer } from './join.js'
import { heartbeat, leave, sync } from './membership.js'
import {
  commitOffsets,
  deleteGroup,
  expireOffsets,
  fetchOffsets,
  forgetTopics,
  type IsCurrentTopic,
} from './offsets.js'
import { onJoinTimer, onSessionTimer, onSyncTimer } from './rebalance.js'
import type { GroupRecord } from './records.js'
import type { GroupDescription, GroupListing, OffsetFetchReply, OffsetFetchRequest } from './types.js'

/** A timer that fires later than this means that the process stood still: what clients sent lies in the sockets. */
const LATE_TIMER_MS = 500

/** The time of an input: durations by the monotonic one, stamps of records by the other. */
export interface ShardTime {
  readonly nowMs: number
  readonly wallMs: number
}

/**
 * The groups of one partition of `__consumer_offsets`, as a pure function of what happens to them.
 *
 * Hard state (offsets, and a group's last Stable or Empty generation) is changed by `replay` alone, with records that
 * are committed; an input only decides which records to append. So a failed append leaves nothing to undo. Soft state
 * (members in a join or sync phase, sessions, ids given out) lives in memory and dies with the leadership: the
 * members of the last committed generation are then given fresh sessions, and everyone else joins again.
 */
export class GroupShard {
  private readonly ctx: GroupContext

  /**
   * @param settings read at each use
   * @param newId a fresh part of a member id, unlike any before
   */
  constructor(settings: () => GroupSettings, newId: () => string) {
    this.ctx = new GroupContext(settings, newId)
  }

  /** A committed record, in the order of the log. */
  replay(record: GroupRecord): void {
    this.ctx.committed.replay(record)
  }

  /** The log has been read to its end: the groups come to life, every member with a fresh session. */
  activate(time: ShardTime): GroupEffect[] {
    this.setTime(time)
    for (const [groupId, metadata] of this.ctx.committed.groups) {
      const group = ClassicGroup.fromMetadata(groupId, metadata, time.nowMs)
      this.ctx.groups.set(groupId, group)
      for (const member of group.members.values()) this.ctx.startSession(group, member)
    }
    return this.ctx.takeEffects()
  }

  step(input: GroupInput, time: ShardTime): GroupEffect[] {
    this.setTime(time)
    this.handle(input)
    return this.ctx.takeEffects()
  }

  private setTime(time: ShardTime): void {
    this.ctx.nowMs = time.nowMs
    this.ctx.wallMs = time.wallMs
  }

  private handle(input: GroupInput): void {
    const { ctx } = this
    switch (input.type) {
      case 'join':
        join(ctx, input.ticket, input.request)
        return
      case 'sync':
        sync(ctx, input.ticket, input.request)
        return
      case 'heartbeat':
        heartbeat(ctx, input.ticket, input.request)
        return
      case 'leave':
        leave(ctx, input.ticket, input.request)
        return
      case 'commitOffsets':
        commitOffsets(ctx, input.ticket, input.request)
        return
      case 'deleteGroup':
        deleteGroup(ctx, input.ticket, input.groupId)
        return
      case 'timer':
        this.onTimer(input.timer, input.lateMs)
        return
      case 'expireOffsets':
        expireOffsets(ctx)
        return
      case 'topicsDeleted':
        forgetTopics(ctx, input.topics)
        return
      case 'written':
        ctx.written(input.write, input.errorCode)
        return
      default:
        unreachable(input)
    }
  }

  private onTimer(timer: GroupTimer, lateMs: number): void {
    const group = this.ctx.groups.get(timer.groupId)
    if (group === undefined) return
    if (lateMs > LATE_TIMER_MS) {
      // Nobody is judged before they are drained.
      this.ctx.setTimer(timer, LATE_TIMER_MS)
      return
    }
    switch (timer.kind) {
      case 'session':
        onSessionTimer(this.ctx, group, timer.memberId)
        return
      case 'pendingMember':
        onPendingMemberTimer(this.ctx, group, timer.memberId)
        return
      case 'join':
        onJoinTimer(this.ctx, group)
        return
      case 'sync':
        onSyncTimer(this.ctx, group)
        return
      default:
        unreachable(timer)
    }
  }

  fetchOffsets(request: OffsetFetchRequest, isCurrent: IsCurrentTopic = () => true): OffsetFetchReply {
    return fetchOffsets(this.ctx, request, isCurrent)
  }

  /** Metadata and assignments are shown of a Stable group alone, as Kafka does. */
  describe(groupId: string): GroupDescription {
    const group = this.ctx.groups.get(groupId)
    if ((group === undefined && !this.ctx.exists(groupId)) || group?.state === 'Dead') {
      return {
        errorCode: ErrorCode.GROUP_ID_NOT_FOUND,
        errorMessage: `Group ${groupId} not found.`,
        groupId,
        groupState: 'Dead',
        protocolType: '',
        protocolData: '',
        members: [],
      }
    }
    const stable = group?.state === 'Stable'
    return {
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      groupId,
      groupState: group?.state ?? 'Empty',
      protocolType: group?.protocolType ?? '',
      protocolData: stable ? (group.protocolName ?? '') : '',
      members: [...(group?.members.values() ?? [])].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        metadata: stable ? group!.metadataOf(member) : NO_BYTES,
        assignment: stable ? member.assignment : NO_BYTES,
      })),
    }
  }

  list(): GroupListing[] {
    const groupIds = new Set([...this.ctx.groups.keys(), ...this.ctx.committed.groupsWithOffsets()])
    return [...groupIds].map((groupId) => {
      const group = this.ctx.groups.get(groupId)
      return {
        groupId,
        protocolType: group?.protocolType ?? '',
        groupState: group?.state ?? 'Empty',
        groupType: 'classic',
      }
    })
  }
}
