import { ErrorCode } from '../../wire/errors.js'
import { type ClassicGroup, type Member, NO_BYTES } from './classic-group.js'
import type { GroupContext } from './context.js'
import type { GroupTimer } from './effects.js'
import type { JoinReply, SyncReply } from './types.js'

/** The join and sync phases: when they begin, when they end, who is told. */

export function joinError(memberId: string, errorCode: number): JoinReply {
  return {
    errorCode,
    memberId,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    members: [],
  }
}

export function syncError(errorCode: number): SyncReply {
  return { errorCode, protocolType: null, protocolName: null, assignment: NO_BYTES }
}

function joinTimer(group: ClassicGroup): GroupTimer {
  return { kind: 'join', groupId: group.groupId, memberId: '' }
}

function syncTimer(group: ClassicGroup): GroupTimer {
  return { kind: 'sync', groupId: group.groupId, memberId: '' }
}

/** Begins a join phase. The first one of a group lasts `group.initial.rebalance.delay.ms` (KIP-134). */
export function prepareRebalance(ctx: GroupContext, group: ClassicGroup): void {
  if (group.state === 'CompletingRebalance') endSyncPhase(ctx, group, ErrorCode.REBALANCE_IN_PROGRESS)
  const wasEmpty = group.state === 'Empty'
  group.transition('PreparingRebalance', ctx.wallMs)
  const timeoutMs = group.rebalanceTimeoutMs()
  if (wasEmpty) {
    const delayMs = Math.min(ctx.settings().initialRebalanceDelayMs, timeoutMs)
    group.newMemberAdded = false
    group.initialDelayLeftMs = timeoutMs - delayMs
    ctx.setTimer(joinTimer(group), delayMs)
  } else {
    group.initialDelayLeftMs = null
    ctx.setTimer(joinTimer(group), timeoutMs)
    maybeCompleteJoin(ctx, group)
  }
}

/** Members come or go: a new round, unless one is on or the group has come to its end. */
export function maybePrepareRebalance(ctx: GroupContext, group: ClassicGroup): void {
  if (group.state === 'Stable' || group.state === 'CompletingRebalance' || group.state === 'Empty') {
    prepareRebalance(ctx, group)
  } else if (group.state === 'PreparingRebalance') {
    maybeCompleteJoin(ctx, group)
  }
}

/** Ends the join phase once everybody is there; the initial delay always runs its time. */
export function maybeCompleteJoin(ctx: GroupContext, group: ClassicGroup): void {
  if (group.state !== 'PreparingRebalance') return
  const delayed = group.initialDelayLeftMs !== null && group.members.size > 0
  if (!delayed && group.hasAllJoined()) completeJoin(ctx, group)
}

export function onJoinTimer(ctx: GroupContext, group: ClassicGroup): void {
  if (group.state !== 'PreparingRebalance') return
  const leftMs = group.initialDelayLeftMs
  if (leftMs !== null && leftMs > 0 && group.newMemberAdded) {
    const delayMs = Math.min(ctx.settings().initialRebalanceDelayMs, leftMs)
    group.newMemberAdded = false
    group.initialDelayLeftMs = leftMs - delayMs
    ctx.setTimer(joinTimer(group), delayMs)
    return
  }
  completeJoin(ctx, group)
}

function completeJoin(ctx: GroupContext, group: ClassicGroup): void {
  for (const member of [...group.members.values()]) {
    // A static member that is away keeps its place until its session ends (KIP-345).
    if (member.joinTicket === null && member.groupInstanceId === null) dropMember(ctx, group, member)
  }
  ctx.cancelTimer(joinTimer(group))
  if (group.members.size > 0 && !group.electJoinedLeader()) {
    group.initialDelayLeftMs = null
    ctx.setTimer(joinTimer(group), Math.max(1, group.rebalanceTimeoutMs()))
    return
  }
  group.initialDelayLeftMs = null
  group.newMemberAdded = false
  group.generationId = group.generationId >= 0x7fff_ffff ? 1 : group.generationId + 1
  if (group.members.size === 0) becomeEmpty(ctx, group)
  else beginSyncPhase(ctx, group)
}

/** The last member has gone: what the log says of members must go too. A failed write only leaves them to time out. */
function becomeEmpty(ctx: GroupContext, group: ClassicGroup): void {
  group.protocolName = null
  group.leaderId = null
  group.transition('Empty', ctx.wallMs)
  if (!ctx.committed.groups.has(group.groupId) && !ctx.hasPendingWrites(group.groupId)) {
    // Never reached a Stable generation: nothing of it is in the log, nor need be.
    ctx.forgetIfUnused(group)
    return
  }
  const value = group.toMetadata(() => NO_BYTES)
  ctx.append([{ type: 'group', groupId: group.groupId, value }], () => ctx.forgetIfUnused(group))
}

function beginSyncPhase(ctx: GroupContext, group: ClassicGroup): void {
  group.protocolName = group.selectProtocol()
  group.transition('CompletingRebalance', ctx.wallMs)
  group.assignmentInFlight = false
  group.pendingSync.clear()
  for (const member of group.members.values()) {
    const ticket = member.joinTicket
    if (ticket === null) continue
    member.joinTicket = null
    member.isNew = false
    group.pendingSync.add(member.memberId)
    ctx.reply(ticket, joinedReply(group, member))
    ctx.startSession(group, member)
  }
  ctx.setTimer(syncTimer(group), group.rebalanceTimeoutMs())
}

/** The present generation, as its members hear of it. */
export function joinedReply(group: ClassicGroup, member: Member): JoinReply {
  return {
    errorCode: ErrorCode.NONE,
    memberId: member.memberId,
    generationId: group.generationId,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leader: group.leaderId ?? '',
    skipAssignment: false,
    members: group.leaderId === member.memberId ? group.joinedMembers() : [],
  }
}

/** The leader has spoken: the generation becomes a record, and Stable once that is committed. */
export function persistAssignment(
  ctx: GroupContext,
  group: ClassicGroup,
  assignments: ReadonlyMap<string, Uint8Array>,
): void {
  group.assignmentInFlight = true
  const { generationId } = group
  // Copied: the request's bytes belong to a buffer of the connection.
  const kept = new Map<Member, Uint8Array>()
  for (const member of group.members.values()) {
    kept.set(member, new Uint8Array(assignments.get(member.memberId) ?? NO_BYTES))
  }
  const value = group.toMetadata((member) => kept.get(member) ?? NO_BYTES)
  ctx.append([{ type: 'group', groupId: group.groupId, value }], (errorCode) => {
    // Members came or went meanwhile: those who waited were told so, and the next generation will be written.
    if (group.state !== 'CompletingRebalance' || group.generationId !== generationId) return
    group.assignmentInFlight = false
    if (errorCode !== ErrorCode.NONE) {
      endSyncPhase(ctx, group, errorCode)
      prepareRebalance(ctx, group)
      return
    }
    for (const member of group.members.values()) member.assignment = kept.get(member) ?? NO_BYTES
    group.transition('Stable', ctx.wallMs)
    for (const member of group.members.values()) answerSync(ctx, group, member)
  })
}

function answerSync(ctx: GroupContext, group: ClassicGroup, member: Member): void {
  if (member.syncTicket === null) return
  ctx.reply(member.syncTicket, syncedReply(group, member))
  member.syncTicket = null
  ctx.touchSession(member)
}

export function syncedReply(group: ClassicGroup, member: Member): SyncReply {
  return {
    errorCode: ErrorCode.NONE,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    assignment: member.assignment,
  }
}

function endSyncPhase(ctx: GroupContext, group: ClassicGroup, errorCode: number): void {
  ctx.cancelTimer(syncTimer(group))
  group.pendingSync.clear()
  group.assignmentInFlight = false
  for (const member of group.members.values()) {
    member.assignment = NO_BYTES
    if (member.syncTicket === null) continue
    ctx.reply(member.syncTicket, syncError(errorCode))
    member.syncTicket = null
    ctx.touchSession(member)
  }
}

export function synced(ctx: GroupContext, group: ClassicGroup, memberId: string): void {
  if (group.pendingSync.delete(memberId) && group.pendingSync.size === 0) ctx.cancelTimer(syncTimer(group))
}

/** Members that joined and did not sync within the rebalance time-out are taken for dead. */
export function onSyncTimer(ctx: GroupContext, group: ClassicGroup): void {
  if (group.state !== 'CompletingRebalance' && group.state !== 'Stable') return
  if (group.pendingSync.size === 0) return
  for (const memberId of [...group.pendingSync]) {
    const member = group.members.get(memberId)
    if (member !== undefined) dropMember(ctx, group, member)
  }
  group.pendingSync.clear()
  maybePrepareRebalance(ctx, group)
}

export function onSessionTimer(ctx: GroupContext, group: ClassicGroup, memberId: string): void {
  const member = group.members.get(memberId)
  if (member === undefined) return
  // One that waits in a join or a sync is alive as long as that phase lasts.
  const waiting = !member.isNew && (member.joinTicket !== null || member.syncTicket !== null)
  const leftMs = waiting ? member.sessionTimeoutMs : member.sessionDeadlineMs - ctx.nowMs
  if (leftMs > 0) {
    ctx.setTimer({ kind: 'session', groupId: group.groupId, memberId }, leftMs)
    return
  }
  dropMember(ctx, group, member)
  maybePrepareRebalance(ctx, group)
}

/** Takes a member out; if it waits, it hears UNKNOWN_MEMBER_ID. The caller sees to the rebalance. */
export function dropMember(ctx: GroupContext, group: ClassicGroup, member: Member): void {
  failWaits(ctx, member, ErrorCode.UNKNOWN_MEMBER_ID)
  ctx.stopSession(group, member.memberId)
  group.remove(member)
}

/** Ends a member's join and sync with an error. */
export function failWaits(ctx: GroupContext, member: Member, errorCode: number): void {
  if (member.joinTicket !== null) ctx.reply(member.joinTicket, joinError(member.memberId, errorCode))
  if (member.syncTicket !== null) ctx.reply(member.syncTicket, syncError(errorCode))
  member.joinTicket = null
  member.syncTicket = null
}
