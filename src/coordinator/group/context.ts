import { assert } from '../../lib/assert.js'
import { ClassicGroup, type Member } from './classic-group.js'
import type { GroupEffect, GroupReply, GroupSettings, GroupTimer, Ticket } from './effects.js'
import { CommittedState, type GroupRecord } from './records.js'

/** Ids given out and not used yet, a group. Kafka bounds them by group.max.size alone. */
export const MAX_PENDING_MEMBERS = 1_000

/** What may wait for a group's writes to land. */
const MAX_DEFERRED = 100

interface PendingWrite {
  readonly groupIds: readonly string[]
  readonly done: (errorCode: number) => void
}

/** One shard's state and the effects of the input at hand: what the functions of this folder work on. */
export class GroupContext {
  readonly committed = new CommittedState()
  /** Live groups of the classic protocol; a group that only has offsets need not be here. */
  readonly groups = new Map<string, ClassicGroup>()
  /** Monotonic and Unix milliseconds of the input at hand. */
  nowMs = 0
  wallMs = 0

  private effects: GroupEffect[] = []
  private nextWrite = 1
  private readonly writes = new Map<number, PendingWrite>()
  private readonly writesByGroup = new Map<string, number>()
  private readonly deferred = new Map<string, (() => void)[]>()

  /** @param newId a fresh part of a member id, unlike any before */
  constructor(
    readonly settings: () => GroupSettings,
    readonly newId: () => string,
  ) {}

  takeEffects(): GroupEffect[] {
    const taken = this.effects
    this.effects = []
    return taken
  }

  reply<Reply extends GroupReply>(ticket: Ticket<Reply>, reply: Reply): void {
    this.effects.push({ type: 'reply', ticket, reply })
  }

  setTimer(timer: GroupTimer, delayMs: number): void {
    this.effects.push({ type: 'setTimer', timer, delayMs: Math.max(0, delayMs) })
  }

  cancelTimer(timer: GroupTimer): void {
    this.effects.push({ type: 'cancelTimer', timer })
  }

  /** `done` runs once the records are committed and replayed (0), or their append failed. */
  append(records: readonly GroupRecord[], done: (errorCode: number) => void): void {
    const write = this.nextWrite++
    const groupIds = [...new Set(records.map((record) => record.groupId))]
    this.writes.set(write, { groupIds, done })
    for (const id of groupIds) this.writesByGroup.set(id, (this.writesByGroup.get(id) ?? 0) + 1)
    this.effects.push({ type: 'append', write, records })
  }

  written(write: number, errorCode: number): void {
    const pending = this.writes.get(write)
    assert(pending !== undefined, `the outcome of an unknown write ${write}`)
    this.writes.delete(write)
    for (const id of pending.groupIds) {
      const left = this.writesByGroup.get(id)! - 1
      if (left === 0) this.writesByGroup.delete(id)
      else this.writesByGroup.set(id, left)
    }
    pending.done(errorCode)
    for (const id of pending.groupIds) this.runDeferred(id)
  }

  /** Runs `action` when nothing of the group is on its way to the log any more. False: too many wait for that. */
  afterWrites(groupId: string, action: () => void): boolean {
    const waiting = this.deferred.get(groupId) ?? []
    if (waiting.length >= MAX_DEFERRED) return false
    waiting.push(action)
    this.deferred.set(groupId, waiting)
    return true
  }

  private runDeferred(groupId: string): void {
    const waiting = this.deferred.get(groupId)
    if (waiting === undefined || this.hasPendingWrites(groupId)) return
    this.deferred.delete(groupId)
    for (const action of waiting) action()
  }

  hasPendingWrites(groupId: string): boolean {
    return this.writesByGroup.has(groupId)
  }

  /** The live group, made where there is none. */
  liveGroup(groupId: string): ClassicGroup {
    let group = this.groups.get(groupId)
    if (group === undefined) this.groups.set(groupId, (group = new ClassicGroup(groupId, this.wallMs)))
    return group
  }

  exists(groupId: string): boolean {
    return this.groups.has(groupId) || this.committed.offsets(groupId) !== undefined
  }

  /** Drops the live part of a group that nobody joined and that the log knows nothing of. */
  forgetIfUnused(group: ClassicGroup): void {
    const unused =
      group.state === 'Empty' &&
      group.members.size === 0 &&
      group.pendingMembers.size === 0 &&
      !this.committed.groups.has(group.groupId) &&
      !this.hasPendingWrites(group.groupId)
    if (unused) this.groups.delete(group.groupId)
  }

  /** The member's session begins anew, `timeoutMs` from now. */
  startSession(group: ClassicGroup, member: Member, timeoutMs: number = member.sessionTimeoutMs): void {
    member.sessionDeadlineMs = this.nowMs + timeoutMs
    this.setTimer({ kind: 'session', groupId: group.groupId, memberId: member.memberId }, timeoutMs)
  }

  /** A sign of life. The timer in place finds the later deadline when it fires. */
  touchSession(member: Member): void {
    member.sessionDeadlineMs = this.nowMs + member.sessionTimeoutMs
  }

  stopSession(group: ClassicGroup, memberId: string): void {
    this.cancelTimer({ kind: 'session', groupId: group.groupId, memberId })
  }
}
