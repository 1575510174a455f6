import { ErrorCode } from '../../wire/errors.js'
import { type ClassicGroup, type Member, NO_BYTES } from './classic-group.js'
import { type GroupContext, MAX_PENDING_MEMBERS } from './context.js'
import type { Ticket } from './effects.js'
import { checkMember } from './membership.js'
import {
  dropMember,
  failWaits,
  joinError,
  joinedReply,
  maybeCompleteJoin,
  maybePrepareRebalance,
  prepareRebalance,
} from './rebalance.js'
import { isStorableMember } from './storable.js'
import type { JoinReply, JoinRequest, MemberProtocol } from './types.js'

/** How long one that never got through a join phase is kept, in milliseconds: as Kafka's. */
const NEW_MEMBER_TIMEOUT_MS = 300_000

/** JoinGroup. The reply comes when the join phase ends. */
export function join(ctx: GroupContext, ticket: Ticket<JoinReply>, request: JoinRequest): void {
  const { groupId, memberId, sessionTimeoutMs } = request
  const { minSessionTimeoutMs, maxSessionTimeoutMs } = ctx.settings()
  const refuse = (errorCode: number): void => ctx.reply(ticket, joinError(memberId, errorCode))
  if (groupId === '') {
    refuse(ErrorCode.INVALID_GROUP_ID)
    return
  }
  if (!isStorableMember(request)) {
    // Without its own member id: that may be what no answer can hold either.
    ctx.reply(ticket, joinError('', ErrorCode.INVALID_REQUEST))
    return
  }
  if (sessionTimeoutMs < minSessionTimeoutMs || sessionTimeoutMs > maxSessionTimeoutMs) {
    refuse(ErrorCode.INVALID_SESSION_TIMEOUT)
    return
  }
  if (memberId !== '' && !ctx.groups.has(groupId)) {
    refuse(ErrorCode.UNKNOWN_MEMBER_ID)
    return
  }

  const group = ctx.liveGroup(groupId)
  if (group.state === 'Dead') {
    refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    return
  }
  if (!group.supports(request.protocolType, request.protocols)) {
    refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  } else if (!hasRoom(group, request, ctx.settings().maxSize)) {
    const member = group.members.get(memberId)
    if (member !== undefined) dropMember(ctx, group, member)
    ctx.reply(ticket, joinError('', ErrorCode.GROUP_MAX_SIZE_REACHED))
  } else if (memberId === '') {
    joinAsNewcomer(ctx, group, ticket, request)
  } else {
    joinAsKnown(ctx, group, ticket, request)
  }
  ctx.forgetIfUnused(group)
}

function hasRoom(group: ClassicGroup, request: JoinRequest, maxSize: number): boolean {
  const existing =
    request.groupInstanceId === null
      ? group.members.get(request.memberId)
      : group.staticMember(request.groupInstanceId)
  if (group.state === 'PreparingRebalance') {
    return existing?.joinTicket != null || group.joinedCount() < maxSize
  }
  return existing !== undefined || group.members.size < maxSize
}

function joinAsNewcomer(
  ctx: GroupContext,
  group: ClassicGroup,
  ticket: Ticket<JoinReply>,
  request: JoinRequest,
): void {
  if (request.groupInstanceId !== null) {
    const newMemberId = `${request.groupInstanceId}-${ctx.newId()}`
    const existing = group.staticMember(request.groupInstanceId)
    if (existing === undefined) addMember(ctx, group, ticket, request, newMemberId)
    else replaceStatic(ctx, group, ticket, request, existing, newMemberId)
    return
  }
  const newMemberId = `${request.clientId}-${ctx.newId()}`
  if (!request.requireKnownMemberId) {
    addMember(ctx, group, ticket, request, newMemberId)
    return
  }
  // KIP-394: one that never comes back with its id leaves nothing but this, and that for a session's time.
  if (group.pendingMembers.size >= MAX_PENDING_MEMBERS) {
    ctx.reply(ticket, joinError('', ErrorCode.GROUP_MAX_SIZE_REACHED))
    return
  }
  group.pendingMembers.add(newMemberId)
  ctx.setTimer(
    { kind: 'pendingMember', groupId: group.groupId, memberId: newMemberId },
    request.sessionTimeoutMs,
  )
  ctx.reply(ticket, joinError(newMemberId, ErrorCode.MEMBER_ID_REQUIRED))
}

export function onPendingMemberTimer(ctx: GroupContext, group: ClassicGroup, memberId: string): void {
  if (!group.pendingMembers.delete(memberId)) return
  maybeCompleteJoin(ctx, group)
  ctx.forgetIfUnused(group)
}

function joinAsKnown(
  ctx: GroupContext,
  group: ClassicGroup,
  ticket: Ticket<JoinReply>,
  request: JoinRequest,
): void {
  const { memberId } = request
  if (group.pendingMembers.has(memberId)) {
    ctx.cancelTimer({ kind: 'pendingMember', groupId: group.groupId, memberId })
    addMember(ctx, group, ticket, request, memberId)
    return
  }
  const errorCode = checkMember(group, memberId, request.groupInstanceId)
  if (errorCode !== ErrorCode.NONE) {
    ctx.reply(ticket, joinError(memberId, errorCode))
    return
  }
  const member = group.members.get(memberId)!
  const unchanged = sameProtocols(member.protocols, request.protocols)
  const rejoins =
    group.state === 'PreparingRebalance' ||
    !unchanged ||
    (group.state === 'Stable' && group.leaderId === memberId)
  if (!rejoins) {
    // The answer to its join was lost, or a follower asks again: it hears of the generation that is.
    ctx.touchSession(member)
    ctx.reply(ticket, joinedReply(group, member))
    return
  }
  updateMember(member, request)
  awaitJoin(ctx, member, ticket)
  maybePrepareRebalance(ctx, group)
}

function addMember(
  ctx: GroupContext,
  group: ClassicGroup,
  ticket: Ticket<JoinReply>,
  request: JoinRequest,
  memberId: string,
): void {
  const member: Member = {
    memberId,
    groupInstanceId: request.groupInstanceId,
    clientId: request.clientId,
    clientHost: request.clientHost,
    sessionTimeoutMs: request.sessionTimeoutMs,
    rebalanceTimeoutMs: request.rebalanceTimeoutMs,
    protocols: copyProtocols(request.protocols),
    assignment: NO_BYTES,
    isNew: true,
    sessionDeadlineMs: 0,
    joinTicket: ticket,
    syncTicket: null,
  }
  group.add(member)
  group.protocolType ??= request.protocolType
  if (group.state === 'PreparingRebalance' && group.initialDelayLeftMs !== null) group.newMemberAdded = true
  ctx.startSession(group, member, NEW_MEMBER_TIMEOUT_MS)
  maybePrepareRebalance(ctx, group)
}

/**
 * KIP-345: a static member came back without its id. It takes its old place under a new id, and the old id is fenced.
 * In a Stable group, where the choice of protocol stays, nobody else hears of it: the record is all it takes.
 */
function replaceStatic(
  ctx: GroupContext,
  group: ClassicGroup,
  ticket: Ticket<JoinReply>,
  request: JoinRequest,
  member: Member,
  newMemberId: string,
): void {
  const oldMemberId = member.memberId
  const oldLeaderId = group.leaderId
  const before = { ...member }
  failWaits(ctx, member, ErrorCode.FENCED_INSTANCE_ID)
  ctx.stopSession(group, oldMemberId)
  group.rename(member, newMemberId)
  updateMember(member, request)
  ctx.startSession(group, member)
  if (group.state !== 'Stable' || group.selectProtocol() !== group.protocolName) {
    awaitJoin(ctx, member, ticket)
    if (group.state === 'PreparingRebalance') maybeCompleteJoin(ctx, group)
    else prepareRebalance(ctx, group)
    return
  }
  const value = group.toMetadata((each) => each.assignment)
  ctx.append([{ type: 'group', groupId: group.groupId, value }], (errorCode) => {
    const inPlace = group.members.get(newMemberId) === member
    if (!inPlace) {
      ctx.reply(ticket, joinError(newMemberId, ErrorCode.FENCED_INSTANCE_ID))
    } else if (errorCode !== ErrorCode.NONE) {
      revertReplacement(ctx, group, member, before)
      ctx.reply(ticket, joinError('', ErrorCode.UNKNOWN_MEMBER_ID))
    } else if (group.state !== 'Stable') {
      // A rebalance began meanwhile: this join is part of it, and its member has been in since the replacement.
      joinAgain(ctx, group, ticket, member)
    } else {
      ctx.reply(ticket, replacedReply(group, member, request.supportsSkippingAssignment, oldLeaderId))
    }
  })
}

function joinAgain(ctx: GroupContext, group: ClassicGroup, ticket: Ticket<JoinReply>, member: Member): void {
  if (group.state === 'Empty' || group.state === 'Dead') {
    ctx.reply(ticket, joinError(member.memberId, ErrorCode.UNKNOWN_MEMBER_ID))
    return
  }
  awaitJoin(ctx, member, ticket)
  maybePrepareRebalance(ctx, group)
}

/** Back to the committed member id: the replacement that failed may have been one of several. */
function revertReplacement(ctx: GroupContext, group: ClassicGroup, member: Member, before: Member): void {
  const committed = ctx.committed.groups
    .get(group.groupId)
    ?.members.find((each) => each.groupInstanceId === member.groupInstanceId)
  failWaits(ctx, member, ErrorCode.UNKNOWN_MEMBER_ID)
  ctx.stopSession(group, member.memberId)
  group.rename(member, committed?.memberId ?? before.memberId)
  member.clientId = before.clientId
  member.clientHost = before.clientHost
  member.sessionTimeoutMs = before.sessionTimeoutMs
  member.rebalanceTimeoutMs = before.rebalanceTimeoutMs
  member.protocols = before.protocols
  ctx.startSession(group, member)
}

/**
 * KIP-814: a leader that came back must not compute the assignment anew. Below v9 it is kept from it by naming the
 * leader's old id; from v9 on by `skipAssignment`, and it gets the members, to watch their subscriptions.
 */
function replacedReply(
  group: ClassicGroup,
  member: Member,
  supportsSkipping: boolean,
  oldLeaderId: string | null,
): JoinReply {
  const isLeader = group.leaderId === member.memberId
  return {
    ...joinedReply(group, member),
    leader: (supportsSkipping ? group.leaderId : oldLeaderId) ?? '',
    skipAssignment: supportsSkipping && isLeader,
    members: supportsSkipping && isLeader ? group.joinedMembers() : [],
  }
}

function updateMember(member: Member, request: JoinRequest): void {
  member.clientId = request.clientId
  member.clientHost = request.clientHost
  member.sessionTimeoutMs = request.sessionTimeoutMs
  member.rebalanceTimeoutMs = request.rebalanceTimeoutMs
  member.protocols = copyProtocols(request.protocols)
}

function awaitJoin(ctx: GroupContext, member: Member, ticket: Ticket<JoinReply>): void {
  // Asked twice: the earlier answer would go to a client that gave up on it, yet it must come.
  if (member.joinTicket !== null) {
    ctx.reply(member.joinTicket, joinError(member.memberId, ErrorCode.REBALANCE_IN_PROGRESS))
  }
  member.joinTicket = ticket
}

/** The request's bytes belong to a buffer of the connection, and a member lives longer. */
function copyProtocols(protocols: readonly MemberProtocol[]): MemberProtocol[] {
  return protocols.map(({ name, metadata }) => ({ name, metadata: new Uint8Array(metadata) }))
}

function sameProtocols(a: readonly MemberProtocol[], b: readonly MemberProtocol[]): boolean {
  if (a.length !== b.length) return false
  return a.every((each, i) => each.name === b[i]!.name && sameBytes(each.metadata, b[i]!.metadata))
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
