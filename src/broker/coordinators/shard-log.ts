import { assert } from '../../lib/assert.js'
import type { LeaderEpoch, Offset, Uuid } from '../../lib/ids.js'
import type { Timer } from '../../ports/clock.js'
import { ErrorCode, errorName } from '../../wire/errors.js'
import { BATCH_HEADER_BYTES, buildBatch, iterateBatches, readRecords } from '../../wire/records.js'
import type { AppendResult } from '../services.js'
import { LOAD_TURN_BYTES, type LoadQueue } from './load-queue.js'
import { OFFSETS_TOPIC } from './offsets-topic.js'
import type { CoordinatorServices } from './services.js'

/** A record as the log has it; a null value is a tombstone. */
export interface KeyValue {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

export interface ShardLogListener {
  /** A committed record, in the order of the log. @throws where it cannot be read: the shard then does not serve. */
  onRecord(key: Uint8Array, value: Uint8Array | null): void
  /** Everything that the log held when this node was elected is committed and has been handed over. */
  onLoaded(): void
  /** The log can no longer be followed: the owner must drop the shard, and may load it anew. */
  onBroken(reason: string): void
}

/** While the high watermark lags the election's log end (no member of the ISR has fetched in this epoch yet). */
const LOAD_POLL_MS = 10
const LOAD_RETRY_MS = 500
/** One batch at most, where the topic's max.message.bytes allows that much. */
const MAX_BATCH_BYTES = 512 * 1024
/** Besides key and value, at most: lengths, deltas, attributes, header count. */
const RECORD_OVERHEAD_BYTES = 24
const DOUBT_POLL_MS = 1_000
const DOUBT_POLLS_MAX = 60
const MAX_RECORD_BYTES = 64 << 20

interface Write {
  /** Batches that still hold some of it. */
  open: number
  errorCode: number
  readonly done: (errorCode: number) => void
}

interface Batch {
  readonly records: KeyValue[]
  /** Of the records. */
  bytes: number
  readonly writes: Set<Write>
}

/**
 * One partition of a coordinator's topic under one leadership of this node: reads it, follows it, appends to it.
 *
 * Invariant: what was handed to `onRecord` is exactly the log below `appliedOffset`, and all of it is committed. An
 * append that succeeds is handed over from memory; one whose outcome is unknown (a time-out after it was written)
 * is found in the log once a later one commits, or by looking again, so that memory never differs from the log.
 */
export class ShardLog {
  private appliedOffset: Offset = 0
  private state: 'loading' | 'active' | 'closed' = 'loading'
  private queue: { records: readonly KeyValue[]; write: Write }[] = []
  private flushAsked = false
  private timer: Timer | null = null
  private doubtPolls = 0

  /**
   * @param loads where it waits for its turns of being read
   * @param epochStartOffset the log's end at the election: nothing is served before it is committed and read
   */
  constructor(
    private readonly services: CoordinatorServices,
    private readonly loads: LoadQueue,
    readonly topicId: Uuid,
    readonly partitionId: number,
    readonly leaderEpoch: LeaderEpoch,
    private readonly epochStartOffset: Offset,
    private readonly listener: ShardLogListener,
  ) {}

  get isActive(): boolean {
    return this.state === 'active'
  }

  load(): void {
    this.timer?.cancel()
    this.timer = this.loads.add((maxBytes) => {
      this.timer = null
      return this.loadSlice(maxBytes)
    })
  }

  /** Nothing is called any more: the owner has answered those who wait. */
  close(): void {
    this.state = 'closed'
    this.timer?.cancel()
    this.timer = null
    this.queue = []
  }

  /**
   * Appends with what else this turn of the loop brings. `done` hears 0 after the records were committed and handed
   * to `onRecord`, else Kafka's error of the append.
   */
  append(records: readonly KeyValue[], done: (errorCode: number) => void): void {
    assert(this.state === 'active', 'an append to a shard that is not active')
    this.queue.push({ records, write: { open: 0, errorCode: ErrorCode.NONE, done } })
    if (this.flushAsked) return
    this.flushAsked = true
    this.services.clock.endOfTurn(() => this.flush())
  }

  private schedule(delayMs: number, input: () => void): void {
    this.timer?.cancel()
    this.timer = this.services.clock.after(delayMs, () => {
      this.timer = null
      if (this.state !== 'closed') input()
    })
  }

  /** Returns how many bytes it read. */
  private loadSlice(maxBytes: number): number {
    const before = this.appliedOffset
    const { errorCode, byteLength } = this.readSlice(maxBytes)
    if (this.state !== 'loading') return byteLength
    if (errorCode !== ErrorCode.NONE) {
      this.services.logger.warn(
        { partition: this.partitionId, leaderEpoch: this.leaderEpoch, error: errorName(errorCode) },
        'a coordinator cannot read its log; it tries again',
      )
      this.schedule(LOAD_RETRY_MS, () => this.load())
    } else if (this.appliedOffset >= this.epochStartOffset) {
      this.state = 'active'
      this.listener.onLoaded()
    } else if (this.appliedOffset === before) {
      this.schedule(LOAD_POLL_MS, () => this.load())
    } else {
      this.load()
    }
    return byteLength
  }

  /** Hands over the next committed batches. Returns Kafka's error, and how many bytes there were. */
  private readSlice(maxBytes = LOAD_TURN_BYTES): { errorCode: number; byteLength: number } {
    const { partitions, compression } = this.services
    const read = partitions.readCommitted(this.topicId, this.partitionId, this.appliedOffset, maxBytes)
    const { errorCode } = read
    const { byteLength } = read.slice
    if (errorCode === ErrorCode.OFFSET_OUT_OF_RANGE && read.logStartOffset > this.appliedOffset) {
      this.appliedOffset = read.logStartOffset
      return { errorCode: ErrorCode.NONE, byteLength }
    }
    if (errorCode !== ErrorCode.NONE) return { errorCode, byteLength }
    try {
      for (const chunk of read.slice.chunks) {
        for (const batch of iterateBatches(chunk)) {
          if (batch.lastOffset < this.appliedOffset) continue
          if (!batch.isControl) {
            for (const record of readRecords(batch, compression, MAX_RECORD_BYTES)) {
              if (record.offset < this.appliedOffset || record.key === null) continue
              this.listener.onRecord(record.key, record.value)
            }
          }
          this.appliedOffset = batch.lastOffset + 1
        }
      }
    } catch (error) {
      this.listener.onBroken(`offset ${this.appliedOffset} cannot be read: ${String(error)}`)
      return { errorCode, byteLength }
    }
    // Compaction may have left nothing of the last offsets.
    this.appliedOffset = Math.max(this.appliedOffset, read.slice.nextOffset)
    return { errorCode, byteLength }
  }

  private flush(): void {
    this.flushAsked = false
    if (this.state !== 'active') return
    const queue = this.queue
    this.queue = []
    const maxBytes = this.maxBatchBytes() - BATCH_HEADER_BYTES
    const batches: Batch[] = []
    let batch: Batch | undefined
    for (const { records, write } of queue) {
      for (const record of records) {
        const bytes = record.key.length + (record.value?.length ?? 0) + RECORD_OVERHEAD_BYTES
        if (batch === undefined || (batch.bytes > 0 && batch.bytes + bytes > maxBytes)) {
          batches.push((batch = { records: [], bytes: 0, writes: new Set() }))
        }
        batch.records.push(record)
        batch.bytes += bytes
        batch.writes.add(write)
      }
    }
    for (const each of batches) for (const write of each.writes) write.open++
    for (const each of batches) this.appendBatch(each)
  }

  /** A batch that the topic does not take is refused whole: one request's records must not fail another's. */
  private maxBatchBytes(): number {
    return Math.min(MAX_BATCH_BYTES, this.services.configs.topic(OFFSETS_TOPIC).maxMessageBytes)
  }

  private appendBatch(batch: Batch): void {
    const timestampMs = this.services.clock.wallMs()
    const bytes = buildBatch(batch.records.map((record) => ({ ...record, timestamp: timestampMs })))
    this.services.partitions.appendAsLeader(
      this.topicId,
      this.partitionId,
      bytes,
      {
        requiredAcks: -1,
        timeoutMs: this.services.configs.int('offsets.commit.timeout.ms'),
        origin: 'coordinator',
        expectedLeaderEpoch: this.leaderEpoch,
      },
      (result) => this.appended(batch, result),
    )
  }

  private appended(batch: Batch, result: AppendResult): void {
    // Under another leadership those who waited have been answered; the log decides what became of it.
    if (this.state !== 'active') return
    if (result.errorCode === ErrorCode.NONE) {
      this.applyCommitted(batch, result.baseOffset)
    } else {
      this.services.logger.warn(
        { partition: this.partitionId, error: errorName(result.errorCode), message: result.errorMessage },
        'a coordinator’s append failed',
      )
      this.watchDoubt()
    }
    for (const write of batch.writes) {
      if (this.state !== 'active') return
      if (result.errorCode !== ErrorCode.NONE) write.errorCode = result.errorCode
      if (--write.open === 0) write.done(write.errorCode)
    }
  }

  private applyCommitted(batch: Batch, baseOffset: Offset): void {
    // Between lies an append that was given up and has committed after all.
    while (this.appliedOffset < baseOffset && this.state === 'active') {
      const before = this.appliedOffset
      const { errorCode } = this.readSlice()
      if (errorCode === ErrorCode.NONE && this.appliedOffset > before) continue
      this.listener.onBroken(`offset ${before} is committed and cannot be read: ${errorName(errorCode)}`)
      return
    }
    if (this.state !== 'active' || this.appliedOffset !== baseOffset) return
    for (const { key, value } of batch.records) this.listener.onRecord(key, value)
    this.appliedOffset = baseOffset + batch.records.length
  }

  /** After a failure of unknown outcome: look for a while whether the records commit after all. */
  private watchDoubt(): void {
    this.doubtPolls = DOUBT_POLLS_MAX
    if (this.timer === null) this.schedule(DOUBT_POLL_MS, () => this.pollDoubt())
  }

  private pollDoubt(): void {
    this.readSlice()
    if (--this.doubtPolls > 0 && this.state === 'active' && this.timer === null) {
      this.schedule(DOUBT_POLL_MS, () => this.pollDoubt())
    }
  }
}
