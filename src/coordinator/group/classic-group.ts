import { assert } from '../../lib/assert.js'
import type { Ticket } from './effects.js'
import type { GroupMetadata } from './records.js'
import type { GroupState, JoinedMember, JoinReply, MemberProtocol, SyncReply } from './types.js'

/** A member as the coordinator knows it now. Soft state: only a generation with its assignment is a record. */
export interface Member {
  memberId: string
  readonly groupInstanceId: string | null
  clientId: string
  clientHost: string
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  protocols: readonly MemberProtocol[]
  assignment: Uint8Array
  /** Has not been through a join phase yet. */
  isNew: boolean
  /** Monotonic milliseconds; heartbeats move it. */
  sessionDeadlineMs: number
  /** Waiting in JoinGroup, in SyncGroup; null: not. */
  joinTicket: Ticket<JoinReply> | null
  syncTicket: Ticket<SyncReply> | null
}

export const NO_BYTES: Uint8Array = new Uint8Array(0)

/**
 * One group of the classic protocol (KIP-62, KIP-345). Keeps the members and what follows from them; who is answered
 * when is decided in join.ts, rebalance.ts and membership.ts.
 *
 *   Empty -> PreparingRebalance -> CompletingRebalance -> Stable
 *     ^______________/ ^_______________/______________________/       any -> Dead
 */
export class ClassicGroup {
  state: GroupState = 'Empty'
  /** Unix milliseconds of the last change of state. */
  stateSinceMs: number
  generationId = 0
  protocolType: string | null = null
  protocolName: string | null = null
  leaderId: string | null = null
  /** In the order of arrival. */
  readonly members = new Map<string, Member>()
  /** group.instance.id -> member id. */
  readonly staticMembers = new Map<string, string>()
  /** Ids that were given out with MEMBER_ID_REQUIRED and have not come back. */
  readonly pendingMembers = new Set<string>()
  /** Were told of the present generation and have not synced yet. */
  readonly pendingSync = new Set<string>()
  /** A member came during the initial delay, which is then prolonged, up to `initialDelayLeftMs`. */
  newMemberAdded = false
  /** Milliseconds by which the initial delay may still be prolonged; null: this is no first join phase. */
  initialDelayLeftMs: number | null = null
  /** The leader's assignment of this generation is on its way to the log. */
  assignmentInFlight = false

  constructor(
    readonly groupId: string,
    wallMs: number,
  ) {
    this.stateSinceMs = wallMs
  }

  transition(state: GroupState, wallMs: number): void {
    assert(this.state !== 'Dead' || state === 'Empty', `group ${this.groupId}: Dead -> ${state}`)
    this.state = state
    this.stateSinceMs = wallMs
  }

  add(member: Member): void {
    assert(
      !this.members.has(member.memberId),
      `group ${this.groupId}: ${member.memberId} is a member already`,
    )
    if (this.members.size === 0) this.protocolType = null
    this.members.set(member.memberId, member)
    if (member.groupInstanceId !== null) this.staticMembers.set(member.groupInstanceId, member.memberId)
    this.pendingMembers.delete(member.memberId)
    if (this.leaderId === null) this.leaderId = member.memberId
  }

  remove(member: Member): void {
    this.members.delete(member.memberId)
    this.pendingSync.delete(member.memberId)
    const { groupInstanceId } = member
    if (groupInstanceId !== null && this.staticMembers.get(groupInstanceId) === member.memberId) {
      this.staticMembers.delete(groupInstanceId)
    }
    if (this.leaderId === member.memberId) this.leaderId = this.members.keys().next().value ?? null
  }

  /** KIP-345: the same instance under a new member id, in the same place. */
  rename(member: Member, newMemberId: string): void {
    const oldMemberId = member.memberId
    const inOrder = [...this.members.values()]
    member.memberId = newMemberId
    this.members.clear()
    for (const each of inOrder) this.members.set(each.memberId, each)
    if (member.groupInstanceId !== null) this.staticMembers.set(member.groupInstanceId, newMemberId)
    if (this.leaderId === oldMemberId) this.leaderId = newMemberId
    if (this.pendingSync.delete(oldMemberId)) this.pendingSync.add(newMemberId)
  }

  staticMember(groupInstanceId: string): Member | undefined {
    const memberId = this.staticMembers.get(groupInstanceId)
    return memberId === undefined ? undefined : this.members.get(memberId)
  }

  hasAllJoined(): boolean {
    if (this.pendingMembers.size > 0) return false
    for (const member of this.members.values()) if (member.joinTicket === null) return false
    return true
  }

  joinedCount(): number {
    let count = 0
    for (const member of this.members.values()) if (member.joinTicket !== null) count++
    return count
  }

  /** The longest of the members' own, in milliseconds. */
  rebalanceTimeoutMs(): number {
    let longest = 0
    for (const member of this.members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs)
    return longest
  }

  /** Keeps a leader that takes part in the join phase, or names the first that does. False: nobody does. */
  electJoinedLeader(): boolean {
    const leader = this.leaderId === null ? undefined : this.members.get(this.leaderId)
    if (leader !== undefined && leader.joinTicket !== null) return true
    for (const member of this.members.values()) {
      if (member.joinTicket === null) continue
      this.leaderId = member.memberId
      return true
    }
    return false
  }

  /** May one with these protocols join? The type must be the group's, and one protocol be known to all. */
  supports(protocolType: string, protocols: readonly MemberProtocol[]): boolean {
    if (protocolType === '' || protocols.length === 0) return false
    if (this.members.size === 0) return true
    if (this.protocolType !== protocolType) return false
    const common = this.commonProtocols()
    return protocols.some((protocol) => common.has(protocol.name))
  }

  /** Each member votes for its first choice among those that all know; the earliest voted for wins a tie. */
  selectProtocol(): string {
    const common = this.commonProtocols()
    const votes = new Map<string, number>()
    for (const member of this.members.values()) {
      const choice = member.protocols.find((protocol) => common.has(protocol.name))
      if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1)
    }
    let winner: string | null = null
    for (const [name, count] of votes) if (winner === null || count > votes.get(winner)!) winner = name
    assert(winner !== null, `group ${this.groupId}: its members share no protocol`)
    return winner
  }

  private commonProtocols(): Set<string> {
    let common: Set<string> | null = null
    for (const member of this.members.values()) {
      const own = new Set<string>(member.protocols.map((protocol) => protocol.name))
      if (common === null) common = own
      else for (const name of common) if (!own.has(name)) common.delete(name)
    }
    return common ?? new Set<string>()
  }

  /** The members with their metadata for the chosen protocol, for the leader. */
  joinedMembers(): JoinedMember[] {
    return [...this.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      metadata: this.metadataOf(member),
    }))
  }

  metadataOf(member: Member): Uint8Array {
    return member.protocols.find((protocol) => protocol.name === this.protocolName)?.metadata ?? NO_BYTES
  }

  /** The record of the present generation, with these assignments. */
  toMetadata(assignmentOf: (member: Member) => Uint8Array): GroupMetadata {
    return {
      protocolType: this.protocolType ?? '',
      generation: this.generationId,
      protocol: this.protocolName,
      leader: this.leaderId,
      currentStateTimestampMs: this.stateSinceMs,
      members: [...this.members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeoutMs: member.rebalanceTimeoutMs,
        sessionTimeoutMs: member.sessionTimeoutMs,
        subscription: this.metadataOf(member),
        assignment: assignmentOf(member),
      })),
    }
  }

  /** What the log knows of a group, brought to life: Stable with fresh sessions, or Empty. */
  static fromMetadata(groupId: string, metadata: GroupMetadata, nowMs: number): ClassicGroup {
    const group = new ClassicGroup(groupId, metadata.currentStateTimestampMs)
    group.generationId = metadata.generation
    group.protocolName = metadata.protocol
    for (const saved of metadata.members) {
      group.add({
        memberId: saved.memberId,
        groupInstanceId: saved.groupInstanceId,
        clientId: saved.clientId,
        clientHost: saved.clientHost,
        sessionTimeoutMs: saved.sessionTimeoutMs,
        rebalanceTimeoutMs: saved.rebalanceTimeoutMs >= 0 ? saved.rebalanceTimeoutMs : saved.sessionTimeoutMs,
        protocols:
          metadata.protocol === null ? [] : [{ name: metadata.protocol, metadata: saved.subscription }],
        assignment: saved.assignment,
        isNew: false,
        sessionDeadlineMs: nowMs + saved.sessionTimeoutMs,
        joinTicket: null,
        syncTicket: null,
      })
    }
    group.protocolType = metadata.protocolType === '' ? null : metadata.protocolType
    group.leaderId = metadata.leader
    group.state = group.members.size > 0 ? 'Stable' : 'Empty'
    return group
  }
}
