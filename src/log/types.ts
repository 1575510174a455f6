import type { LeaderEpoch, Offset } from '../lib/ids.js'

/** What the partitions need of a log. `PartitionLog` (partition-log.ts) is the implementation over Disk. */
export interface ReplicaLog {
  /** The first offset that may be read; moved by retention, DeleteRecords and snapshots of a leader's start. */
  readonly logStartOffset: Offset
  /** The next offset to be written. */
  readonly logEndOffset: Offset
  /** Everything below is fsynced, with the epoch checkpoint and directory entries that belong to it. */
  readonly durableEndOffset: Offset
  /** Bytes of all segments. */
  readonly sizeBytes: number

  /**
   * Appends whole batches that already carry their offsets and leader epochs; each base offset follows on the one
   * before, the first one on the log's end. (Nothing compacts yet, so a gap on disk is known to be rot.) One gathered write for each call. Records the leader epoch where it is new. Readable at once,
   * durable after `sync`.
   * @throws DiskError
   */
  append(batches: readonly AppendBatch[]): void

  /**
   * Whole batches from the one that holds `offset`, below `maxOffset`, up to `maxBytes`; with `minOneBatch` the
   * first one in full even where it is larger. Empty at the log's end. From the tail cache where it can.
   * @throws DiskError; RangeError where offset lies outside [logStartOffset, logEndOffset]
   */
  read(offset: Offset, maxOffset: Offset, maxBytes: number, minOneBatch: boolean): LogSlice

  /** Queues the log for the next group commit; `durable` is called once with the end offset that it made durable. */
  sync(durable: (error: Error | null, endOffset: Offset) => void): void
  /** A sync now would make nothing durable that a promise rests on. */
  readonly isSynced: boolean
  /**
   * A power cut might bring back what was truncated, in the midst of what was appended since. So no append is promised
   * before a sync, also where acknowledgements do not wait for the disk.
   */
  readonly hasUnsyncedTruncation: boolean

  /** Drops everything at or above `offset`, indexes and epochs with it; durable before the next `sync` reports. */
  truncateTo(offset: Offset): void
  /** Drops everything and starts anew at `offset` (out of the leader's range). Where it throws, the log is as it was, or closed. */
  truncateFullyAndStartAt(offset: Offset): void
  /** Retention or DeleteRecords: segments wholly below may go. Never past the high watermark. */
  advanceLogStartOffset(offset: Offset): void

  /** The newest leader epoch of the log; -1 where empty. */
  readonly latestEpoch: LeaderEpoch
  /** Records that a leader epoch starts at the log's end, even when nothing was appended (KIP-279). */
  assignEpochStart(epoch: LeaderEpoch, startOffset: Offset): void
  /** KIP-279: the largest epoch <= `epoch` and where it ends; {-1, -1} where unknown. */
  endOffsetForEpoch(epoch: LeaderEpoch): { epoch: LeaderEpoch; endOffset: Offset }
  /** The epoch that holds this offset; -1 where unknown. */
  epochForOffset(offset: Offset): LeaderEpoch

  /** The first batch whose max timestamp is >= `timestampMs`, from `from` on; null: none. */
  findByTimestamp(
    timestampMs: number,
  ): { baseOffset: Offset; lastOffset: Offset; maxTimestampMs: number } | null
  /** The batch with the largest timestamp; null where empty. */
  maxTimestamp(): { baseOffset: Offset; lastOffset: Offset; maxTimestampMs: number } | null
  /** Visits the 61-byte header of each batch at or above `from`, in order: how producer state is rebuilt. */
  scanHeaders(from: Offset, visit: (header: Uint8Array) => void): void

  /** Kafka's `.snapshot` files: written when one is due and at a clean stop; opaque here. */
  writeProducerSnapshot(offset: Offset, bytes: Uint8Array): void
  /** The newest snapshot at or below `offset`. */
  readProducerSnapshot(atMost: Offset): { offset: Offset; bytes: Uint8Array } | null
  /**
   * Called with the log's end just after a new active segment began, and each time that so much was appended that whoever
   * reads on from the last snapshot after a kill would hold the loop up.
   */
  onSnapshotDue: ((offset: Offset) => void) | null
  /** Rolls, deletes by retention.bytes / retention.ms below `highWatermark`. Returns the deleted bytes. */
  maintain(nowWallMs: number, highWatermark: Offset): number
  updateConfig(config: LogConfig): void
  close(): void
}

export interface AppendBatch {
  /** The whole batch, magic 2, with base offset and leader epoch in place. */
  bytes: Uint8Array
  baseOffset: Offset
  lastOffset: Offset
  leaderEpoch: LeaderEpoch
  maxTimestampMs: number
}

export interface LogSlice {
  /** Whole batches, in order, to be written without copying. */
  chunks: readonly Uint8Array[]
  byteLength: number
  /** One past the last offset in it; `offset` itself where it is empty. */
  nextOffset: Offset
}

export interface LogConfig {
  segmentBytes: number
  segmentMs: number
  indexIntervalBytes: number
  segmentIndexBytes: number
  /** -1: without limit. */
  retentionBytes: number
  retentionMs: number
  cleanupPolicy: 'delete' | 'compact' | 'compact,delete'
  fileDeleteDelayMs: number
  /** Synced once so many records are not, and so long after the oldest of them; Infinity: never for that reason. */
  flushMessages: number
  flushMs: number
}
