import type { Offset } from '../lib/ids.js'
import { ErrorCode } from '../wire/errors.js'

/** Kafka remembers five batches of each producer: as many as an idempotent client keeps in flight (KIP-98). */
const REMEMBERED_BATCHES = 5
const SEQUENCES = 0x8000_0000

/** The part of a batch's header that idempotence looks at. */
export interface ProducerBatch {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly lastSequence: number
  readonly baseOffset: Offset
  readonly lastOffset: Offset
  readonly timestampMs: number
}

export interface RememberedBatch {
  readonly baseSequence: number
  readonly lastSequence: number
  readonly baseOffset: Offset
  readonly lastOffset: Offset
  readonly timestampMs: number
}

export interface ProducerEntry {
  producerEpoch: number
  /** Oldest first; at most five. */
  batches: RememberedBatch[]
  /**
   * Monotonic milliseconds at the last append, or the last load: what expiry counts from. Not the wall clock: one that
   * jumped ahead would make the leader forget every producer, and take a retry for a new batch.
   */
  lastUsedMs: number
  /** Transactions, kept so that a snapshot loses nothing: -1 where there was none. */
  coordinatorEpoch: number
  currentTxnFirstOffset: Offset
}

export type SequenceCheck =
  | { readonly type: 'ok' }
  /** Appended already: answer with these. */
  | { readonly type: 'duplicate'; readonly batch: RememberedBatch }
  | { readonly type: 'error'; readonly errorCode: number; readonly message: string }

const OK: SequenceCheck = { type: 'ok' }

/**
 * The idempotent producers of one partition (KIP-98, KIP-360). The same state comes from appends at the leader,
 * from what a follower fetched and from the headers of the log: so a retry is recognised across elections.
 */
export class ProducerState {
  /** Least recently used first. */
  private readonly entries = new Map<number, ProducerEntry>()

  constructor(private readonly limits: { maxProducers: number; expirationMs: number }) {}

  get size(): number {
    return this.entries.size
  }
  get(producerId: number): Readonly<ProducerEntry> | undefined {
    return this.entries.get(producerId)
  }

  /** Whether the leader may append this batch; its offsets are not looked at. */
  check(batch: Omit<ProducerBatch, 'baseOffset' | 'lastOffset' | 'timestampMs'>): SequenceCheck {
    const { producerId, producerEpoch, baseSequence, lastSequence } = batch
    const entry = this.entries.get(producerId)
    // Nothing known (expired, or deleted by retention): any sequence may begin.
    if (entry === undefined) return OK
    if (producerEpoch < entry.producerEpoch) {
      return {
        type: 'error',
        errorCode: ErrorCode.INVALID_PRODUCER_EPOCH,
        message: `producer ${producerId} has epoch ${entry.producerEpoch} by now: epoch ${producerEpoch} is fenced`,
      }
    }
    if (producerEpoch > entry.producerEpoch) {
      return baseSequence === 0 ? OK : outOfOrder(producerId, baseSequence, 0)
    }
    const duplicate = entry.batches.find(
      (known) => known.baseSequence === baseSequence && known.lastSequence === lastSequence,
    )
    if (duplicate !== undefined) return { type: 'duplicate', batch: duplicate }
    const last = entry.batches.at(-1)
    if (last === undefined) return OK
    const expected = nextSequence(last.lastSequence)
    return baseSequence === expected ? OK : outOfOrder(producerId, baseSequence, expected)
  }

  /** The batch was appended, or was read from the log. */
  record(batch: ProducerBatch, nowMs: number): void {
    const { producerId, producerEpoch } = batch
    const known = this.entries.get(producerId)
    const entry: ProducerEntry =
      known !== undefined && known.producerEpoch === producerEpoch ? known : newEntry(producerEpoch, known)
    // What a snapshot holds is read again from the headers that follow it: never remember a batch twice.
    const last = entry.batches.at(-1)
    if (last === undefined || batch.baseOffset > last.lastOffset) {
      entry.batches.push({
        baseSequence: batch.baseSequence,
        lastSequence: batch.lastSequence,
        baseOffset: batch.baseOffset,
        lastOffset: batch.lastOffset,
        timestampMs: batch.timestampMs,
      })
      if (entry.batches.length > REMEMBERED_BATCHES) entry.batches.shift()
    }
    entry.lastUsedMs = nowMs
    this.put(producerId, entry)
  }

  /** Forgets whoever was silent for `producer.id.expiration.ms`. Cheap: the longest silent come first. */
  expire(nowMs: number): void {
    for (const [producerId, entry] of this.entries) {
      if (nowMs - entry.lastUsedMs < this.limits.expirationMs) return
      this.entries.delete(producerId)
    }
  }

  clear(): void {
    this.entries.clear()
  }

  all(): Iterable<[number, Readonly<ProducerEntry>]> {
    return this.entries
  }

  /** From a snapshot. */
  restore(producerId: number, entry: ProducerEntry): void {
    this.put(producerId, entry)
  }

  private put(producerId: number, entry: ProducerEntry): void {
    this.entries.delete(producerId)
    this.entries.set(producerId, entry)
    if (this.entries.size > this.limits.maxProducers) {
      for (const oldest of this.entries.keys()) {
        this.entries.delete(oldest)
        break
      }
    }
  }
}

/** Sequences run from 0 to 2³¹−1 and begin again. */
export function nextSequence(sequence: number): number {
  return (sequence + 1) % SEQUENCES
}

/** The last sequence of a batch of `lastOffsetDelta + 1` records. */
export function lastSequenceOf(baseSequence: number, lastOffsetDelta: number): number {
  return (baseSequence + lastOffsetDelta) % SEQUENCES
}

/** How many records lie between two sequences, less one. */
export function sequenceDelta(baseSequence: number, lastSequence: number): number {
  return (lastSequence - baseSequence + SEQUENCES) % SEQUENCES
}

function newEntry(producerEpoch: number, former: ProducerEntry | undefined): ProducerEntry {
  return {
    producerEpoch,
    batches: [],
    lastUsedMs: 0,
    coordinatorEpoch: former?.coordinatorEpoch ?? -1,
    currentTxnFirstOffset: former?.currentTxnFirstOffset ?? -1,
  }
}

function outOfOrder(producerId: number, sequence: number, expected: number): SequenceCheck {
  return {
    type: 'error',
    errorCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    message: `producer ${producerId} sent sequence ${sequence} where ${expected} was expected`,
  }
}
