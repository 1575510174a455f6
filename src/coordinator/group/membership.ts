import { ErrorCode } from '../../wire/errors.js'
import type { ClassicGroup, Member } from './classic-group.js'
import type { GroupContext } from './context.js'
import type { Ticket } from './effects.js'
import {
  dropMember,
  maybeCompleteJoin,
  maybePrepareRebalance,
  persistAssignment,
  syncError,
  synced,
  syncedReply,
} from './rebalance.js'
import type {
  ErrorReply,
  HeartbeatRequest,
  LeaveReply,
  LeaveRequest,
  SyncReply,
  SyncRequest,
} from './types.js'

/** SyncGroup, Heartbeat and LeaveGroup. */

/** Is this a member, and under its newest id? NONE, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID (KIP-345). */
export function checkMember(group: ClassicGroup, memberId: string, groupInstanceId: string | null): number {
  if (groupInstanceId !== null) {
    const current = group.staticMembers.get(groupInstanceId)
    if (current === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    if (current !== memberId) return ErrorCode.FENCED_INSTANCE_ID
  }
  return group.members.has(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
}

/** As checkMember, and the generation with it. */
export function checkGeneration(
  group: ClassicGroup | undefined,
  request: { memberId: string; groupInstanceId: string | null; generationId: number },
): number {
  if (group === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
  if (group.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
  const errorCode = checkMember(group, request.memberId, request.groupInstanceId)
  if (errorCode !== ErrorCode.NONE) return errorCode
  return request.generationId === group.generationId ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION
}

/** The leader brings the assignment; everybody gets its own once that is committed. */
export function sync(ctx: GroupContext, ticket: Ticket<SyncReply>, request: SyncRequest): void {
  const group = ctx.groups.get(request.groupId)
  const errorCode = checkGeneration(group, request)
  if (group === undefined || errorCode !== ErrorCode.NONE) {
    ctx.reply(ticket, syncError(errorCode))
    return
  }
  const { protocolType, protocolName } = request
  if (
    (protocolType !== null && protocolType !== group.protocolType) ||
    (protocolName !== null && protocolName !== group.protocolName)
  ) {
    ctx.reply(ticket, syncError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
    return
  }
  const member = group.members.get(request.memberId)!
  switch (group.state) {
    case 'CompletingRebalance':
      awaitAssignment(ctx, group, member, ticket, request)
      return
    case 'Stable':
      synced(ctx, group, member.memberId)
      ctx.touchSession(member)
      ctx.reply(ticket, syncedReply(group, member))
      return
    case 'PreparingRebalance':
      ctx.reply(ticket, syncError(ErrorCode.REBALANCE_IN_PROGRESS))
      return
    default:
      ctx.reply(ticket, syncError(ErrorCode.UNKNOWN_MEMBER_ID))
      return
  }
}

function awaitAssignment(
  ctx: GroupContext,
  group: ClassicGroup,
  member: Member,
  ticket: Ticket<SyncReply>,
  request: SyncRequest,
): void {
  // Asked twice: the earlier request still needs its answer.
  if (member.syncTicket !== null) ctx.reply(member.syncTicket, syncError(ErrorCode.REBALANCE_IN_PROGRESS))
  member.syncTicket = ticket
  synced(ctx, group, member.memberId)
  if (group.leaderId !== member.memberId || group.assignmentInFlight) return
  const assignments = new Map(request.assignments.map((each) => [each.memberId, each.assignment]))
  persistAssignment(ctx, group, assignments)
}

/** A sign of life; REBALANCE_IN_PROGRESS calls the member into the join phase. */
export function heartbeat(ctx: GroupContext, ticket: Ticket<ErrorReply>, request: HeartbeatRequest): void {
  const group = ctx.groups.get(request.groupId)
  let errorCode = checkGeneration(group, request)
  if (group !== undefined && errorCode === ErrorCode.NONE) {
    ctx.touchSession(group.members.get(request.memberId)!)
    if (group.state === 'PreparingRebalance') errorCode = ErrorCode.REBALANCE_IN_PROGRESS
  }
  ctx.reply(ticket, { errorCode })
}

/** Each member named leaves, or is removed by an administrator who names its instance id alone (KIP-345). */
export function leave(ctx: GroupContext, ticket: Ticket<LeaveReply>, request: LeaveRequest): void {
  const group = ctx.groups.get(request.groupId)
  if (group?.state === 'Dead') {
    ctx.reply(ticket, { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, members: [] })
    return
  }
  let changed = false
  const members = request.members.map(({ memberId, groupInstanceId }) => {
    const errorCode =
      group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : leaveOne(ctx, group, memberId, groupInstanceId)
    if (errorCode === ErrorCode.NONE) changed = true
    return { memberId, groupInstanceId, errorCode }
  })
  ctx.reply(ticket, { errorCode: ErrorCode.NONE, members })
  if (group === undefined || !changed) return
  if (group.state === 'Stable' || group.state === 'CompletingRebalance') maybePrepareRebalance(ctx, group)
  else maybeCompleteJoin(ctx, group)
  ctx.forgetIfUnused(group)
}

function leaveOne(
  ctx: GroupContext,
  group: ClassicGroup,
  memberId: string,
  groupInstanceId: string | null,
): number {
  if (memberId === '' && groupInstanceId !== null) {
    const member = group.staticMember(groupInstanceId)
    if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
    dropMember(ctx, group, member)
    return ErrorCode.NONE
  }
  if (groupInstanceId === null && group.pendingMembers.delete(memberId)) {
    ctx.cancelTimer({ kind: 'pendingMember', groupId: group.groupId, memberId })
    return ErrorCode.NONE
  }
  const errorCode = checkMember(group, memberId, groupInstanceId)
  if (errorCode === ErrorCode.NONE) dropMember(ctx, group, group.members.get(memberId)!)
  return errorCode
}
