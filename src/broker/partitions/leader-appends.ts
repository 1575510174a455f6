import type { Offset } from '../../lib/ids.js'
import type { AppendBatch } from '../../log/types.js'
import { type OffsetWaiter, OffsetWaiters } from '../../partition/offset-waiters.js'
import { ErrorCode } from '../../wire/errors.js'
import type { BatchView } from '../../wire/records.js'
import type { AppendResult } from '../services.js'
import type { Partition } from './partition.js'
import type { PartitionContext } from './partition-context.js'
import type { ProducerTable } from './producer-table.js'
import type { AppendOptions } from './types.js'
import { validateAppend } from './validate-append.js'

/** Appends of one partition that wait for an answer; beyond it they are refused. */
const MAX_WAITING = 50_000

interface Waiting {
  readonly result: AppendResult
  readonly done: (result: AppendResult) => void
  cancelDeadline: (() => void) | null
}

/**
 * The leader's append path: checks, assigns offsets at once, gathers what one turn brought into one write and one
 * fsync, and answers when the acknowledgement is true: acks=1 after the local fsync, acks=-1 after the high
 * watermark has passed.
 */
export class LeaderAppends {
  private gathered: AppendBatch[] = []
  /** Told why the write of their turn failed. */
  private gatheredAnswers: ((failure: AppendResult | null) => void)[] = []
  private isWriteQueued = false
  private nextOffset: Offset = -1
  private readonly untilPromised = new OffsetWaiters<Waiting>()
  private readonly untilCommitted = new OffsetWaiters<Waiting>()

  constructor(
    private readonly partition: Partition,
    private readonly producers: ProducerTable,
    private readonly context: PartitionContext,
  ) {}

  append(records: Uint8Array, options: AppendOptions, done: (result: AppendResult) => void): void {
    const refusal = this.refuse(options)
    if (refusal !== null) {
      this.answerLater(done, this.failure(refusal.errorCode, refusal.message))
      return
    }
    const config = this.context.configs.topic(this.partition.topic)
    const nowWallMs = this.context.clock.wallMs()
    const validation = validateAppend(records, options, config, this.context.compression, nowWallMs)
    if (validation.type === 'invalid') {
      this.answerLater(done, this.failure(validation.errorCode, validation.message))
      return
    }
    const first = validation.batches[0]!
    if (first.producerId >= 0 && !first.isControl) {
      const check = this.producers.check(first)
      if (check.type === 'error') {
        this.answerLater(done, this.failure(check.errorCode, check.message))
        return
      }
      if (check.type === 'duplicate') {
        const timeMs = config.messageTimestampType === 'LogAppendTime' ? check.batch.timestampMs : -1
        this.hold(check.batch.lastOffset + 1, this.success(check.batch.baseOffset, timeMs), options, done)
        return
      }
    }
    const appendTimeMs = config.messageTimestampType === 'LogAppendTime' ? nowWallMs : -1
    const baseOffset = this.assign(validation.batches, appendTimeMs)
    this.hold(this.nextOffset, this.success(baseOffset, appendTimeMs), options, done)
  }

  /** The batches of this turn, in one write. Also called before the leadership ends. */
  write(): void {
    if (this.gathered.length === 0 && this.gatheredAnswers.length === 0) return
    const batches = this.gathered
    const answers = this.gatheredAnswers
    let failure: AppendResult | null = null
    this.gathered = []
    this.gatheredAnswers = []
    this.nextOffset = -1
    if (batches.length > 0) {
      const firstOffset = batches[0]!.baseOffset
      const error = this.partition.writeAsLeader(batches)
      if (error !== null) failure = this.failFrom(firstOffset, error)
    }
    for (const answer of answers) answer(failure)
  }

  /** The leader's own log is safe up to here. */
  onPromised(offset: Offset): void {
    for (const waiting of this.untilPromised.takeUpTo(offset)) this.finish(waiting, waiting.result)
  }

  onHighWatermark(offset: Offset): void {
    for (const waiting of this.untilCommitted.takeUpTo(offset)) this.finish(waiting, waiting.result)
  }

  /** The leadership is lost or the replica goes: whether the records stay is not known here. */
  failAll(errorCode: number): void {
    this.write()
    const waiting = [...this.untilPromised.takeAll(), ...this.untilCommitted.takeAll()]
    if (waiting.length === 0) return
    const failure = this.failure(errorCode, null)
    for (const one of waiting) this.finish(one, failure)
  }

  private refuse(options: AppendOptions): { errorCode: number; message: string | null } | null {
    const { partition } = this
    if (partition.health !== 'online') return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, message: null }
    const state = partition.leading
    if (state === undefined) return { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, message: null }
    if (options.expectedLeaderEpoch !== undefined && options.expectedLeaderEpoch !== state.leaderEpoch) {
      return {
        errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER,
        message: `leader epoch ${options.expectedLeaderEpoch} is over: it is ${state.leaderEpoch} now`,
      }
    }
    if (!partition.log.hasRoom) {
      return {
        errorCode: ErrorCode.KAFKA_STORAGE_ERROR,
        message: 'the disk is full: try again when it has room',
      }
    }
    try {
      this.producers.ensureLoaded()
    } catch (error) {
      partition.reportFailure(error as Error)
      return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, message: 'the log is damaged' }
    }
    if (options.requiredAcks === -1 && !state.hasEnoughInSync) {
      return {
        errorCode: ErrorCode.NOT_ENOUGH_REPLICAS,
        message: `only replicas ${state.isr.isr.join(', ')} are in sync, fewer than min.insync.replicas`,
      }
    }
    if (this.untilCommitted.size + this.untilPromised.size >= MAX_WAITING) {
      return { errorCode: ErrorCode.NOT_ENOUGH_REPLICAS, message: `${MAX_WAITING} appends wait already` }
    }
    return null
  }

  /** Offsets and the leader epoch, in place: the CRC does not cover them. */
  private assign(batches: readonly BatchView[], appendTimeMs: number): Offset {
    if (this.gathered.length === 0) this.nextOffset = this.partition.log.logEndOffset
    const baseOffset = this.nextOffset
    for (const batch of batches) {
      batch.baseOffset = this.nextOffset
      batch.partitionLeaderEpoch = this.partition.leaderEpoch
      if (appendTimeMs >= 0) batch.setLogAppendTime(appendTimeMs)
      this.nextOffset = batch.nextOffset
      this.gathered.push({
        bytes: batch.bytes,
        baseOffset: batch.baseOffset,
        lastOffset: batch.lastOffset,
        leaderEpoch: this.partition.leaderEpoch,
        maxTimestampMs: batch.maxTimestamp,
      })
      this.producers.recordHeader(batch)
    }
    this.queueWrite()
    return baseOffset
  }

  private hold(
    offset: Offset,
    result: AppendResult,
    options: AppendOptions,
    done: (result: AppendResult) => void,
  ): void {
    const { requiredAcks } = options
    const state = this.partition.leading!
    if (requiredAcks === 0) {
      this.queueWrite((failure) => done(failure ?? result))
      return
    }
    if (requiredAcks === -1 && state.highWatermark >= offset) {
      this.answerLater(done, result)
      return
    }
    const waiting: Waiting = { result, done, cancelDeadline: null }
    const waiters = requiredAcks === 1 ? this.untilPromised : this.untilCommitted
    const place = waiters.add(offset, waiting)
    if (requiredAcks === -1) {
      waiting.cancelDeadline = this.context.deadlines.add(options.timeoutMs, () =>
        this.timeOut(waiters, place),
      )
      return
    }
    // A duplicate may be safe already, and nothing else may come that says so.
    const { promisedEnd } = this.partition
    if (promisedEnd >= offset) this.queueWrite(() => this.onPromised(promisedEnd))
  }

  private timeOut(waiters: OffsetWaiters<Waiting>, place: OffsetWaiter<Waiting>): void {
    const waiting = waiters.remove(place)
    if (waiting === null) return
    const hasEnough = this.partition.leading?.hasEnoughInSync ?? true
    const errorCode = hasEnough ? ErrorCode.REQUEST_TIMED_OUT : ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND
    this.finish(waiting, this.failure(errorCode, null))
  }

  /** The write failed: what came of it is known to be nothing, for the log was not moved. */
  private failFrom(offset: Offset, error: Error): AppendResult {
    const failure = this.failure(
      ErrorCode.KAFKA_STORAGE_ERROR,
      `the log could not be written: ${error.message}`,
    )
    const waiting = [...this.untilPromised.takeAbove(offset), ...this.untilCommitted.takeAbove(offset)]
    for (const one of waiting) this.finish(one, failure)
    return failure
  }

  private finish(waiting: Waiting, result: AppendResult): void {
    waiting.cancelDeadline?.()
    waiting.done(result)
  }

  /** Never before the asking call returned, and not before the write of its turn. */
  private answerLater(done: (result: AppendResult) => void, result: AppendResult): void {
    this.queueWrite(() => done(result))
  }

  private queueWrite(answer?: (failure: AppendResult | null) => void): void {
    if (answer !== undefined) this.gatheredAnswers.push(answer)
    if (this.isWriteQueued) return
    this.isWriteQueued = true
    this.context.clock.endOfTurn(() => {
      this.isWriteQueued = false
      this.write()
    })
  }

  private success(baseOffset: Offset, logAppendTimeMs: number): AppendResult {
    return { ...this.outcome(), errorCode: ErrorCode.NONE, errorMessage: null, baseOffset, logAppendTimeMs }
  }

  private failure(errorCode: number, errorMessage: string | null): AppendResult {
    return { ...this.outcome(), errorCode, errorMessage, baseOffset: -1, logAppendTimeMs: -1 }
  }

  private outcome(): Pick<AppendResult, 'logStartOffset' | 'leaderId' | 'leaderEpoch'> {
    return {
      logStartOffset: this.partition.log.logStartOffset,
      ...this.context.currentLeader(this.partition),
    }
  }
}
