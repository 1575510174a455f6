import type {
  GroupEffect,
  GroupInput,
  GroupReply,
  GroupTimer,
  Ticket,
} from '../../coordinator/group/effects.js'
import { timerKey } from '../../coordinator/group/effects.js'
import { GroupShard, type ShardTime } from '../../coordinator/group/group-shard.js'
import { unreachable } from '../../lib/assert.js'
import type { LeaderEpoch, Offset, Uuid } from '../../lib/ids.js'
import { randomUuid } from '../../lib/prng.js'
import type { Timer } from '../../ports/clock.js'
import { ErrorCode } from '../../wire/errors.js'
import { WireError } from '../../wire/primitives.js'
import { decodeGroupRecord, encodeGroupRecord } from './group-records.js'
import { groupSettings } from './group-settings.js'
import type { LoadQueue } from './load-queue.js'
import type { CoordinatorServices } from './services.js'
import { type KeyValue, ShardLog } from './shard-log.js'

/** Requests that may wait in one shard; more are refused, to be asked again. */
export const MAX_WAITING_REQUESTS = 50_000

/** How soon a confirmation that failed is tried again. */
const CONFIRM_RETRY_MS = 500

type Answer = (reply: GroupReply) => void

interface Waiting {
  readonly answer: Answer
  readonly refuse: (errorCode: number) => void
}

/** One partition of `__consumer_offsets` that this node leads: joins the pure shard to the log, timers and requests. */
export class GroupShardDriver {
  private readonly shard: GroupShard
  private readonly log: ShardLog
  private readonly waiting = new Map<number, Waiting>()
  private readonly timers = new Map<string, Timer>()
  private nextTicket = 1
  private isClosed = false
  private confirmationAsked = 0
  private confirmed = 0

  /**
   * @param loads the node's own, of all its shards
   * @param onBroken the log cannot be followed any more: the owner closes this driver, and may begin anew
   */
  constructor(
    private readonly services: CoordinatorServices,
    loads: LoadQueue,
    readonly topicId: Uuid,
    readonly partitionId: number,
    readonly leaderEpoch: LeaderEpoch,
    epochStartOffset: Offset,
    onBroken: (reason: string) => void,
  ) {
    this.shard = new GroupShard(
      () => groupSettings(services.configs),
      () => randomUuid(services.random),
    )
    this.log = new ShardLog(services, loads, topicId, partitionId, leaderEpoch, epochStartOffset, {
      onRecord: (key, value) => {
        const record = decodeGroupRecord(key, value)
        if (record !== null) this.shard.replay(record)
      },
      onLoaded: () => {
        services.logger.info({ partition: partitionId, leaderEpoch }, 'a shard of the groups is loaded')
        this.perform(this.shard.activate(this.time()))
        if (!this.isConfirmed) this.writeConfirmation(this.confirmationAsked)
      },
      onBroken,
    })
  }

  /** Closed by a log that cannot be followed: it refuses all until the leadership moves. */
  get isLost(): boolean {
    return this.isClosed
  }

  get isActive(): boolean {
    return this.log.isActive
  }

  /** False while the leadership is in doubt: nothing must be read then. */
  get isConfirmed(): boolean {
    return this.confirmed === this.confirmationAsked
  }

  /**
   * The process stood still, perhaps for so long that another node leads by now and has acknowledged commits that are
   * not here. A write that commits under this leadership's epoch disproves it: a tombstone of a key that none has.
   */
  confirmLeadership(): void {
    const asked = ++this.confirmationAsked
    if (this.isActive) this.writeConfirmation(asked)
  }

  private writeConfirmation(asked: number): void {
    this.log.append([encodeGroupRecord({ type: 'group', groupId: '', value: null })], (errorCode) => {
      if (errorCode === ErrorCode.NONE) {
        this.confirmed = Math.max(this.confirmed, asked)
      } else if (asked === this.confirmationAsked) {
        this.services.clock.after(CONFIRM_RETRY_MS, () => {
          if (!this.isClosed && asked === this.confirmationAsked) this.writeConfirmation(asked)
        })
      }
    })
  }

  /** For the reads, which need no effects. */
  get groups(): GroupShard {
    return this.shard
  }

  load(): void {
    this.log.load()
  }

  /** The leadership is lost, or the node stops: all that wait hear `errorCode`. */
  close(errorCode: number): void {
    this.isClosed = true
    this.log.close()
    for (const timer of this.timers.values()) timer.cancel()
    this.timers.clear()
    const waiting = [...this.waiting.values()]
    this.waiting.clear()
    for (const { refuse } of waiting) refuse(errorCode)
  }

  /** An input that one reply answers, now or later. `refuse` stands in for it where the shard goes away. */
  ask<Reply extends GroupReply>(
    input: (ticket: Ticket<Reply>) => GroupInput,
    answer: (reply: Reply) => void,
    refuse: (errorCode: number) => void,
  ): void {
    if (this.waiting.size >= MAX_WAITING_REQUESTS) {
      refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
      return
    }
    const ticket = this.nextTicket++
    // The ticket carries the reply's type: the shard answers it with nothing else.
    this.waiting.set(ticket, { answer: answer as Answer, refuse })
    this.step(input(ticket))
  }

  /** An input that nobody waits for. */
  step(input: GroupInput): void {
    this.perform(this.shard.step(input, this.time()))
  }

  private time(): ShardTime {
    return { nowMs: this.services.clock.monotonicMs(), wallMs: this.services.clock.wallMs() }
  }

  private perform(effects: readonly GroupEffect[]): void {
    for (const effect of effects) {
      if (this.isClosed) return
      switch (effect.type) {
        case 'reply':
          this.answer(effect.ticket, effect.reply)
          break
        case 'append':
          this.append(effect)
          break
        case 'setTimer':
          this.setTimer(effect.timer, effect.delayMs)
          break
        case 'cancelTimer':
          this.cancelTimer(timerKey(effect.timer))
          break
        default:
          unreachable(effect)
      }
    }
  }

  private answer(ticket: number, reply: GroupReply): void {
    const waiting = this.waiting.get(ticket)
    this.waiting.delete(ticket)
    waiting?.answer(reply)
  }

  private append(effect: Extract<GroupEffect, { type: 'append' }>): void {
    const { write } = effect
    const written = (errorCode: number): void => {
      this.step({ type: 'written', write, errorCode: coordinatorError(errorCode) })
    }
    let records: KeyValue[]
    try {
      records = effect.records.map(encodeGroupRecord)
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.failUnencoded(error, written)
      return
    }
    this.log.append(records, written)
  }

  /**
   * A request that brings what no record can hold should have been refused. Where it was not, it fails like any other
   * write, and not while the effects of its own input are still being performed: the node serves everybody else.
   */
  private failUnencoded(error: WireError, written: (errorCode: number) => void): void {
    const { services, partitionId } = this
    services.logger.error(
      { partition: partitionId, error: error.message },
      'a record of the groups cannot be encoded; its request is refused',
    )
    services.clock.endOfTurn(() => {
      if (!this.isClosed) written(ErrorCode.UNKNOWN_SERVER_ERROR)
    })
  }

  private setTimer(timer: GroupTimer, delayMs: number): void {
    const { clock } = this.services
    const key = timerKey(timer)
    this.cancelTimer(key)
    const dueMs = clock.monotonicMs() + delayMs
    const running = clock.after(delayMs, () => {
      this.timers.delete(key)
      this.step({ type: 'timer', timer, lateMs: clock.monotonicMs() - dueMs })
    })
    this.timers.set(key, running)
  }

  private cancelTimer(key: string): void {
    this.timers.get(key)?.cancel()
    this.timers.delete(key)
  }
}

/** What an append's error means to a member of a group, as Kafka translates it. */
export function coordinatorError(errorCode: number): number {
  switch (errorCode) {
    case ErrorCode.NONE:
      return ErrorCode.NONE
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode.UNKNOWN_TOPIC_ID:
    case ErrorCode.NOT_ENOUGH_REPLICAS:
    case ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case ErrorCode.REQUEST_TIMED_OUT:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE
    case ErrorCode.NOT_LEADER_OR_FOLLOWER:
    case ErrorCode.FENCED_LEADER_EPOCH:
    case ErrorCode.KAFKA_STORAGE_ERROR:
      return ErrorCode.NOT_COORDINATOR
    case ErrorCode.MESSAGE_TOO_LARGE:
    case ErrorCode.RECORD_LIST_TOO_LARGE:
    case ErrorCode.INVALID_FETCH_SIZE:
      return ErrorCode.INVALID_COMMIT_OFFSET_SIZE
    default:
      return errorCode
  }
}
