import {
  type GroupEffect,
  type GroupInput,
  type GroupReply,
  type GroupSettings,
  type GroupTimer,
  timerKey,
} from '../../../src/coordinator/group/effects.js'
import { GroupShard } from '../../../src/coordinator/group/group-shard.js'
import type { GroupRecord } from '../../../src/coordinator/group/records.js'
import type {
  DeleteGroupReply,
  ErrorReply,
  JoinReply,
  JoinRequest,
  LeaveReply,
  OffsetCommitReply,
  OffsetCommitRequest,
  SyncReply,
} from '../../../src/coordinator/group/types.js'
import { ZERO_UUID } from '../../../src/lib/ids.js'

const encoder = new TextEncoder()
const decoder = new TextDecoder()
export const bytes = (text: string): Uint8Array => encoder.encode(text)
export const text = (value: Uint8Array): string => decoder.decode(value)

/** A reply that may not have come yet. */
export class Pending<Reply> {
  reply: Reply | null = null

  get isOpen(): boolean {
    return this.reply === null
  }

  get(): Reply {
    if (this.reply === null) throw new Error('no reply yet')
    return this.reply
  }
}

export const GROUP = 'orders'

/** One shard with a clock set by hand and a log whose commits succeed at once, wait, or fail. */
export class GroupWorld {
  settings: GroupSettings = {
    minSessionTimeoutMs: 6_000,
    maxSessionTimeoutMs: 300_000,
    initialRebalanceDelayMs: 3_000,
    maxSize: 100,
    offsetMetadataMaxBytes: 16,
    offsetsRetentionMs: 60_000,
  }
  nowMs = 0
  /** hold: appends wait for `commit` or `fail`. */
  log: 'commits' | 'holds' = 'commits'
  readonly records: GroupRecord[] = []
  shard: GroupShard
  private readonly held: { write: number; records: readonly GroupRecord[] }[] = []
  private readonly pending = new Map<number, Pending<GroupReply>>()
  private readonly timers = new Map<string, { timer: GroupTimer; dueMs: number }>()
  private nextTicket = 1
  private nextId = 1

  constructor() {
    this.shard = this.newShard()
  }

  private newShard(): GroupShard {
    return new GroupShard(
      () => this.settings,
      () => String(this.nextId++),
    )
  }

  /** Another node takes over with what the log holds. */
  failOver(): void {
    this.shard = this.newShard()
    this.timers.clear()
    this.held.length = 0
    for (const record of this.records) this.shard.replay(record)
    this.perform(this.shard.activate(this.time()))
  }

  join(options: Partial<JoinRequest> = {}): Pending<JoinReply> {
    const request: JoinRequest = {
      groupId: GROUP,
      memberId: '',
      groupInstanceId: null,
      clientId: 'client',
      clientHost: '/127.0.0.1',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: bytes('topics') }],
      requireKnownMemberId: false,
      supportsSkippingAssignment: true,
      ...options,
    }
    return this.ask((ticket) => ({ type: 'join', ticket, request }))
  }

  sync(joined: JoinReply, assignments: Record<string, string> = {}): Pending<SyncReply> {
    const request = {
      groupId: GROUP,
      memberId: joined.memberId,
      groupInstanceId: null,
      generationId: joined.generationId,
      protocolType: null,
      protocolName: null,
      assignments: Object.entries(assignments).map(([memberId, assignment]) => ({
        memberId,
        assignment: bytes(assignment),
      })),
    }
    return this.ask((ticket) => ({ type: 'sync', ticket, request }))
  }

  heartbeat(joined: JoinReply, groupInstanceId: string | null = null): number {
    const { memberId, generationId } = joined
    const request = { groupId: GROUP, memberId, groupInstanceId, generationId }
    return this.ask<ErrorReply>((ticket) => ({ type: 'heartbeat', ticket, request })).get().errorCode
  }

  leave(...members: { memberId: string; groupInstanceId: string | null }[]): LeaveReply {
    const request = { groupId: GROUP, members }
    return this.ask<LeaveReply>((ticket) => ({ type: 'leave', ticket, request })).get()
  }

  commit(
    offset: number,
    options: Partial<OffsetCommitRequest> = {},
    metadata = '',
  ): Pending<OffsetCommitReply> {
    const request: OffsetCommitRequest = {
      groupId: GROUP,
      memberId: '',
      groupInstanceId: null,
      generationId: -1,
      retentionTimeMs: null,
      groupIdNotFoundSupported: false,
      topics: [
        {
          name: 't',
          topicId: ZERO_UUID,
          partitions: [{ partitionIndex: 0, offset, leaderEpoch: 3, metadata }],
        },
      ],
      ...options,
    }
    return this.ask((ticket) => ({ type: 'commitOffsets', ticket, request }))
  }

  /** The committed offset of t-0; -1: none. */
  fetch(groupId = GROUP): number {
    const reply = this.shard.fetchOffsets({ groupId, topics: [{ name: 't', partitionIndexes: [0] }] })
    return reply.topics[0]!.partitions[0]!.offset
  }

  delete(groupId = GROUP): Pending<DeleteGroupReply> {
    return this.ask((ticket) => ({ type: 'deleteGroup', ticket, groupId }))
  }

  expire(): void {
    this.step({ type: 'expireOffsets' })
  }

  step(input: GroupInput): void {
    this.perform(this.shard.step(input, this.time()))
  }

  /** Lets time pass; timers run at their times. */
  pass(ms: number): void {
    const until = this.nowMs + ms
    for (;;) {
      const [next] = [...this.timers.values()].sort((a, b) => a.dueMs - b.dueMs)
      if (next === undefined || next.dueMs > until) break
      this.nowMs = Math.max(this.nowMs, next.dueMs)
      this.timers.delete(timerKey(next.timer))
      this.step({ type: 'timer', timer: next.timer, lateMs: 0 })
    }
    this.nowMs = until
  }

  /** Resolves the oldest append that is held. */
  resolve(errorCode: number): void {
    const next = this.held.shift()
    if (next === undefined) throw new Error('nothing is being written')
    if (errorCode === 0) this.commitRecords(next.records)
    this.step({ type: 'written', write: next.write, errorCode })
  }

  describe(groupId = GROUP) {
    return this.shard.describe(groupId)
  }

  /** The members of these instances or of new dynamic ones, joined and synced: a Stable group. */
  stable(...members: Partial<JoinRequest>[]): JoinReply[] {
    const joins = members.map((options) => this.join(options))
    this.pass(this.settings.initialRebalanceDelayMs * (members.length + 1))
    const joined = joins.map((join) => join.get())
    const assignments = Object.fromEntries(joined.map(({ memberId }, i) => [memberId, `part ${i}`]))
    for (const each of joined) if (each.leader !== each.memberId) this.sync(each)
    const leader = joined.find((each) => each.leader === each.memberId)!
    this.sync(leader, assignments)
    return joined
  }

  private time() {
    return { nowMs: this.nowMs, wallMs: 1_000_000 + this.nowMs }
  }

  private ask<Reply extends GroupReply>(input: (ticket: number) => GroupInput): Pending<Reply> {
    const ticket = this.nextTicket++
    const pending = new Pending<Reply>()
    this.pending.set(ticket, pending as unknown as Pending<GroupReply>)
    this.step(input(ticket))
    return pending
  }

  private commitRecords(records: readonly GroupRecord[]): void {
    for (const record of records) {
      this.records.push(record)
      this.shard.replay(record)
    }
  }

  private perform(effects: readonly GroupEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'reply') {
        const pending = this.pending.get(effect.ticket)
        if (pending === undefined) throw new Error(`ticket ${effect.ticket} was answered twice`)
        this.pending.delete(effect.ticket)
        pending.reply = effect.reply
      } else if (effect.type === 'append') {
        this.held.push({ write: effect.write, records: effect.records })
        if (this.log === 'commits') this.resolve(0)
      } else if (effect.type === 'setTimer') {
        const dueMs = this.nowMs + effect.delayMs
        this.timers.set(timerKey(effect.timer), { timer: effect.timer, dueMs })
      } else {
        this.timers.delete(timerKey(effect.timer))
      }
    }
  }
}
