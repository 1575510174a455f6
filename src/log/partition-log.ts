import { assert } from '../lib/assert.js'
import type { LeaderEpoch, Offset, Uuid } from '../lib/ids.js'
import { DiskError } from '../ports/disk.js'
import type { EpochCache } from './epoch-cache.js'
import type { LogContext } from './log-context.js'
import { LogFaults } from './log-faults.js'
import { LogFiles } from './log-files.js'
import { type Durable, LogFlush } from './log-flush.js'
import type { FoundLog } from './log-opening.js'
import {
  type FoundBatch,
  findByTimestamp,
  maxTimestamp,
  readStored,
  readTail,
  scanHeaders,
} from './log-reads.js'
import { isExpired, retainedStart } from './log-retention.js'
import type { LogSegments } from './log-segments.js'
import { ProducerSnapshots } from './producer-snapshots.js'
import type { Segment } from './segment.js'
import { LogTail } from './tail-cache.js'
import type { AppendBatch, LogConfig, LogSlice, ReplicaLog } from './types.js'

/** Of a log without a newer snapshot so much is read, header by header, before its first append after a kill. */
const SNAPSHOT_INTERVAL_BYTES = 16 * 1024 * 1024
/** Where producers are many, their snapshots take no more than such a part of what is written. */
const SNAPSHOT_SHARE = 32

const NOTHING = (offset: Offset): LogSlice => ({ chunks: [], byteLength: 0, nextOffset: offset })

/**
 * A partition's log: segments below one directory. Made by LogManager alone. What is durable of it is told by
 * `log-flush.ts`, its files by `log-segments.ts`, its errors by `log-faults.ts`.
 */
export class PartitionLog implements ReplicaLog {
  onSnapshotDue: ((offset: Offset) => void) | null = null
  /** Null: not known, since this process wrote nothing yet or the newest snapshot went. */
  private bytesSinceSnapshot: number | null = null
  private snapshotBytes = 0
  readonly epochs: EpochCache
  /** The recovery point at the start: behind it may stand again what was truncated, and not synced, before. */
  readonly foundDurableEnd: Offset
  private startOffset: Offset
  private endOffset: Offset
  private readonly tail: LogTail
  private readonly faults: LogFaults
  private readonly flush: LogFlush
  private readonly snapshots: ProducerSnapshots
  private readonly files: LogFiles

  constructor(
    private readonly context: LogContext,
    readonly topic: string,
    readonly topicId: Uuid,
    readonly partition: number,
    /** Below the data directory; not a public name. */
    readonly directory: string,
    private config: LogConfig,
    found: FoundLog,
  ) {
    this.epochs = found.epochs
    this.startOffset = found.logStartOffset
    this.endOffset = found.logEndOffset
    this.tail = new LogTail(context.tail)
    this.snapshots = new ProducerSnapshots(context.disk, directory)
    this.faults = new LogFaults(context, directory, (reason) => context.onDamaged(this, reason))
    const { durableEndOffset, epochsAreStored, isSettled } = found
    this.foundDurableEnd = durableEndOffset
    this.flush = new LogFlush(context, this, this.faults, durableEndOffset, epochsAreStored, isSettled)
    this.files = new LogFiles(context, this, this.faults, this.flush, found.opening)
  }

  /** False: nothing was ever written. Such a log costs the disk nothing. */
  get isStored(): boolean {
    return this.files.areStored
  }

  /** Gets at the files where that was not done yet. @throws DiskError; damage is reported as well */
  open(): void {
    this.files.open()
  }

  private get segments(): LogSegments {
    return this.files.segments
  }

  get logStartOffset(): Offset {
    return this.startOffset
  }

  get logEndOffset(): Offset {
    return this.endOffset
  }

  get durableEndOffset(): Offset {
    return this.flush.durableEnd
  }

  get sizeBytes(): number {
    return this.files.sizeBytes
  }

  get latestEpoch(): LeaderEpoch {
    return this.epochs.latest
  }

  get fileDeleteDelayMs(): number {
    return this.config.fileDeleteDelayMs
  }

  get flushMessages(): number {
    return this.config.flushMessages
  }

  get flushMs(): number {
    return this.config.flushMs
  }

  /** False while the disk is full up to its reserve: appends are refused, everything else goes on. */
  get hasRoom(): boolean {
    return !this.context.space.isLow
  }

  private get isEmpty(): boolean {
    return this.startOffset === this.endOffset
  }

  get isClosed(): boolean {
    return this.faults.failure !== null
  }

  /** All of the batches or, where it throws, none. */
  append(batches: readonly AppendBatch[]): void {
    this.faults.checkOpen()
    this.open()
    const { endOffset, latestEpoch } = this
    try {
      this.faults.guard(() =>
        this.context.space.take(batches.reduce((bytes, batch) => bytes + batch.bytes.length, 0)),
      )
      this.appendOpen(batches)
    } catch (error) {
      if (!this.isClosed && !this.context.flusher.hasFailed) this.takeBack(endOffset, latestEpoch)
      throw error
    }
  }

  /** Of an append that failed halfway. */
  private takeBack(endOffset: Offset, latestEpoch: LeaderEpoch): void {
    if (this.endOffset > endOffset) {
      this.truncateTo(endOffset)
      // An epoch that begins where the log ended was known before.
      if (latestEpoch > this.latestEpoch) this.epochs.assign(latestEpoch, endOffset)
      return
    }
    const { active } = this.segments
    // Whole batches behind the log's end would be taken for its own by the next start, or for damage.
    this.faults.guard(
      () => {
        if (active.file.size() > active.sizeInBytes) active.file.truncate(active.sizeInBytes)
      },
      () => {
        throw new DiskError('EOTHER', this.directory, 'a failed append could not be taken back')
      },
    )
  }

  private appendOpen(batches: readonly AppendBatch[]): void {
    let from = 0
    let bytes = 0
    let expected = this.endOffset
    // One write for all that goes to one segment: for all, unless it rolls within the call.
    for (let i = 0; i < batches.length; i++) {
      const batch = batches[i]!
      assert(
        batch.baseOffset === expected && batch.lastOffset >= batch.baseOffset,
        'the offsets of a batch do not follow on the log: go back, or leave a gap',
      )
      expected = batch.lastOffset + 1
      if (this.segments.mustRoll(batch, bytes, this.config)) {
        this.write(batches.slice(from, i))
        this.roll()
        from = i
        bytes = 0
      }
      bytes += batch.bytes.length
    }
    this.write(from === 0 ? batches : batches.slice(from))
  }

  private write(batches: readonly AppendBatch[]): void {
    if (batches.length === 0) return
    const { active } = this.segments
    let sinceSnapshot = this.bytesSinceSnapshot ?? this.bytesBehindSnapshot()
    let position = active.sizeInBytes
    this.faults.guard(
      () =>
        active.file.write(
          position,
          batches.map((batch) => batch.bytes),
        ),
      () => active.file.truncate(position),
    )
    this.flush.noteFile(active.path('.log'))
    for (const batch of batches) {
      const size = batch.bytes.length
      this.faults.guard(() => active.noteBatch(batch, position, size, this.config.indexIntervalBytes))
      this.epochs.noteBatch(batch.leaderEpoch, batch.baseOffset)
      position += size
      this.segments.noteResized(size)
      this.endOffset = batch.lastOffset + 1
      this.tail.add(batch)
      sinceSnapshot += size
    }
    this.flush.noteAppended()
    this.bytesSinceSnapshot = sinceSnapshot
    if (sinceSnapshot >= Math.max(SNAPSHOT_INTERVAL_BYTES, this.snapshotBytes * SNAPSHOT_SHARE)) {
      this.askForSnapshot()
    }
  }

  /** What a start would read. */
  private bytesBehindSnapshot(): number {
    const { segments } = this
    if (segments.totalBytes === 0) return 0
    return this.faults.detectDamage(() => segments.bytesFrom(this.snapshots.newestOffset(this.endOffset)))
  }

  private askForSnapshot(): void {
    this.bytesSinceSnapshot = 0
    this.onSnapshotDue?.(this.endOffset)
  }

  /** Always at the log's end: so a segment that lost its last batches is seen. */
  private roll(): void {
    const baseOffset = this.endOffset
    this.segments.finishActive()
    this.segments.start(baseOffset)
    // Also where no acknowledgement waits for it: an unclean start checks all that lies behind the recovery point.
    this.flush.queue()
    this.askForSnapshot()
  }

  read(offset: Offset, maxOffset: Offset, maxBytes: number, minOneBatch: boolean): LogSlice {
    this.faults.checkOpen()
    if (offset < this.startOffset || offset > this.endOffset) {
      throw new RangeError(`offset ${offset} is outside [${this.startOffset}, ${this.endOffset}]`)
    }
    if (offset >= maxOffset || offset === this.endOffset) return NOTHING(offset)
    const cached = this.tail.find(offset)
    if (cached >= 0) return readTail(this.tail, offset, cached, maxOffset, maxBytes, minOneBatch)
    return this.faults.detectDamage(() => this.readStored(offset, maxOffset, maxBytes, minOneBatch))
  }

  /** @throws LogDamage, DiskError */
  private readStored(offset: Offset, maxOffset: Offset, maxBytes: number, minOneBatch: boolean): LogSlice {
    const { segments, epochs, endOffset } = this
    return readStored(segments, epochs, endOffset, offset, maxOffset, maxBytes, minOneBatch)
  }

  get isSynced(): boolean {
    return this.flush.isSynced
  }

  get hasUnsyncedTruncation(): boolean {
    return this.flush.hasUnsyncedTruncation
  }

  /** The epoch checkpoint on disk says the same as `epochs`. */
  get hasStoredEpochs(): boolean {
    return this.flush.hasStoredEpochs
  }

  sync(durable: Durable): void {
    this.flush.sync(durable)
  }

  truncateTo(offset: Offset): void {
    this.faults.checkOpen()
    this.flush.noteTruncation()
    if (offset >= this.endOffset) {
      // KAFKA-10706: the epochs are trimmed even where no bytes are cut.
      this.epochs.truncateFromEnd(offset)
      return
    }
    this.open()
    if (offset <= this.startOffset && offset < this.segments.oldest.baseOffset) {
      this.truncateFullyAndStartAt(offset)
      return
    }
    this.flush.lowerDurableEnd(offset)
    this.tail.truncateTo(offset)
    this.faults.detectDamage(() => this.cut(offset))
    if (this.endOffset < this.startOffset) {
      this.startOffset = this.endOffset
      this.flush.storePoint()
    }
    this.flush.lowerDurableEnd(this.endOffset)
    this.epochs.truncateFromEnd(this.endOffset)
    if (!this.snapshots.dropAbove(this.endOffset)) return
    this.bytesSinceSnapshot = null
    this.flush.noteDirectory()
  }

  /** @throws LogDamage, DiskError */
  private cut(offset: Offset): void {
    const { segments } = this
    while (segments.all.length > 1 && segments.active.baseOffset >= offset) segments.dropActive()
    const { active } = segments
    const batch = active.locate(offset)
    const sizeBefore = active.sizeInBytes
    // A batch that holds the offset goes as a whole.
    const end = batch === null ? active.nextOffset() : batch.header.baseOffset
    if (batch !== null) this.faults.guard(() => active.truncate(batch.position, end))
    segments.noteResized(active.sizeInBytes - sizeBefore)
    this.flush.noteFile(active.path('.log'))
    this.endOffset = end
  }

  truncateFullyAndStartAt(offset: Offset): void {
    this.faults.checkOpen()
    this.open()
    // First what may fail and only saves work, then the point, and with it all else.
    this.bytesSinceSnapshot = null
    if (this.snapshots.dropAbove(-1)) this.flush.noteDirectory()
    this.flush.restartAt(offset)
    this.flush.noteTruncation()
    this.tail.clear()
    this.epochs.clear()
    this.startOffset = offset
    this.endOffset = offset
    this.segments.replaceAll(offset)
  }

  advanceLogStartOffset(offset: Offset): void {
    this.faults.checkOpen()
    assert(offset <= this.endOffset, 'the log starts past its end')
    if (offset <= this.startOffset) return
    this.open()
    this.startOffset = offset
    this.epochs.truncateFromStart(offset)
    this.flush.storeLogStart()
    this.deleteOldest()
  }

  private deleteOldest(): number {
    const bytes = this.segments.deleteOldest(this.startOffset, this.config.fileDeleteDelayMs)
    // Lists the directory: not at each round of retention for each log.
    if (bytes > 0) this.snapshots.dropBelow(this.segments.oldest.baseOffset)
    return bytes
  }

  assignEpochStart(epoch: LeaderEpoch, startOffset: Offset): void {
    assert(startOffset === this.endOffset, 'an epoch starts at the end of the log')
    // At the log's end it can only take the place of epochs that hold nothing.
    this.flush.changeUnpromisedEpochs(() => this.epochs.assign(epoch, startOffset))
  }

  endOffsetForEpoch(epoch: LeaderEpoch): { epoch: LeaderEpoch; endOffset: Offset } {
    return this.epochs.endOffsetFor(epoch, this.endOffset)
  }

  epochForOffset(offset: Offset): LeaderEpoch {
    return this.epochs.epochFor(offset)
  }

  findByTimestamp(timestampMs: number): FoundBatch | null {
    if (this.isEmpty) return null
    return this.faults.detectDamage(() => findByTimestamp(this.segments, this.startOffset, timestampMs))
  }

  maxTimestamp(): FoundBatch | null {
    if (this.isEmpty) return null
    return this.faults.detectDamage(() => maxTimestamp(this.segments, this.startOffset))
  }

  scanHeaders(from: Offset, visit: (header: Uint8Array) => void): void {
    if (this.isEmpty) return
    this.faults.detectDamage(() => scanHeaders(this.segments, from, visit))
  }

  writeProducerSnapshot(offset: Offset, bytes: Uint8Array): void {
    this.faults.checkOpen()
    this.snapshotBytes = bytes.length
    if (this.isStored) this.faults.guard(() => this.snapshots.write(offset, bytes))
  }

  readProducerSnapshot(atMost: Offset): { offset: Offset; bytes: Uint8Array } | null {
    return this.isStored ? this.snapshots.read(atMost) : null
  }

  maintain(nowWallMs: number, highWatermark: Offset): number {
    if (this.isClosed || !this.isStored) return 0
    const { config } = this
    return this.faults.detectDamage(() => {
      const { active } = this.segments
      const age = nowWallMs - active.firstTimestampMs
      if (active.sizeInBytes > 0 && active.firstTimestampMs >= 0 && age > config.segmentMs) this.rollIfRoom()
      if (!config.cleanupPolicy.includes('delete')) return this.deleteOldest()
      return this.retain(nowWallMs, Math.min(highWatermark, this.endOffset))
    })
  }

  /** A full disk must not keep retention from making room. */
  private rollIfRoom(): void {
    try {
      this.roll()
    } catch (error) {
      if (!(error instanceof DiskError) || error.code !== 'ENOSPC') throw error
    }
  }

  private retain(nowWallMs: number, limit: Offset): number {
    const { segments, config } = this
    const isSpent = (segment: Segment): boolean => isExpired(segment, config.retentionMs, nowWallMs)
    if (this.endOffset <= limit && segments.active.sizeInBytes > 0 && segments.all.every(isSpent)) {
      this.rollIfRoom()
    }
    const { all, totalBytes } = segments
    const start = retainedStart(all, totalBytes, config, this.startOffset, limit, nowWallMs)
    if (start > this.startOffset) {
      this.startOffset = start
      this.epochs.truncateFromStart(start)
      this.flush.storeLogStart()
    }
    return this.deleteOldest()
  }

  updateConfig(config: LogConfig): void {
    const { flushMessages, flushMs } = this.config
    this.config = config
    if (config.flushMessages !== flushMessages || config.flushMs !== flushMs) this.flush.onLimitsChanged()
  }

  /** Checks so many bytes of old segments by CRC, from `cursor` on. Returns what was read; null: all was seen. */
  scrub(cursor: Offset, maxBytes: number): { byteLength: number; nextOffset: Offset } | null {
    if (this.isClosed || !this.isStored) return null
    this.open()
    return this.faults.detectDamage(() => {
      const from = Math.max(cursor, this.startOffset)
      if (from >= this.endOffset) return null
      return this.readStored(from, this.endOffset, maxBytes, true)
    })
  }

  /** What a full disk kept from being done when the log began anew. @throws DiskError */
  finishRestart(): void {
    this.files.openSegments?.finishRestart()
  }

  /** Writes what indexes still hold back: before a clean stop. */
  flushIndexes(): void {
    this.files.openSegments?.flushIndexes()
  }

  close(): void {
    this.fail(new Error(`the log ${this.topic}-${this.partition} was closed`))
  }

  /** No more reads and writes; whoever waits for a sync gets the error, in an input of its own. */
  fail(error: Error): void {
    if (this.isClosed) return
    this.faults.close(error)
    this.files.openSegments?.close()
    this.tail.clear()
    this.context.handles.closeUnder(this.directory)
    this.flush.close(error)
  }
}
