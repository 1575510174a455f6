import { assert } from '../lib/assert.js'
import type { LeaderEpoch, Offset, Uuid } from '../lib/ids.js'
import type { Clock, Timer } from '../ports/clock.js'
import { type Disk, DiskError, type DiskFile } from '../ports/disk.js'
import { encodeEpochCheckpoint, writeWhole } from './checkpoint-files.js'
import type { DiskSpace } from './disk-space.js'
import type { EpochCache } from './epoch-cache.js'
import { DELETED_SUFFIX, EPOCH_CHECKPOINT, PARTITION_METADATA } from './file-names.js'
import type { FlushJob, FlushScheduler, FlushSource } from './flush-scheduler.js'
import type { HandleCache, PinnedFile } from './handle-cache.js'
import { ProducerSnapshots } from './producer-snapshots.js'
import type { RecoveredLog } from './recovery.js'
import { removeSegment } from './recovery.js'
import type { RecoveryPoints } from './recovery-points.js'
import { LogDamage, Segment } from './segment.js'
import { readSegment } from './segment-read.js'
import { LogTail, type TailCache } from './tail-cache.js'
import type { AppendBatch, LogConfig, LogSlice, ReplicaLog } from './types.js'

/** What all logs of a directory share. */
export interface LogContext {
  readonly disk: Disk
  readonly clock: Clock
  readonly handles: HandleCache
  readonly tail: TailCache
  readonly flusher: FlushScheduler
  readonly points: RecoveryPoints
  readonly space: DiskSpace
  /** The log is damaged: it will be set aside in an input of its own. */
  onDamaged(log: PartitionLog, reason: string): void
}

type Durable = (error: Error | null, endOffset: Offset) => void

const MAX_RELATIVE_OFFSET = 0x7fff_ffff
/** A file's position must fit the index's int32. */
const MAX_SEGMENT_BYTES = 0x7fff_ffff
const NOTHING = (offset: Offset): LogSlice => ({ chunks: [], byteLength: 0, nextOffset: offset })

/** A partition's log: segments below one directory. Made by LogManager alone. */
export class PartitionLog implements ReplicaLog, FlushSource {
  onRoll: ((baseOffset: Offset) => void) | null = null
  private segments: Segment[]
  private startOffset: Offset
  private endOffset: Offset
  private durableEnd: Offset
  private readonly epochs: EpochCache
  private readonly tail: LogTail
  private readonly snapshots: ProducerSnapshots
  private totalBytes = 0
  private waiters: Durable[] = []
  /** The job under way promises what lies below; a truncation lowers it. */
  private flushingEnd: Offset = 0
  private dirtyFiles = new Set<string>()
  private directoryDirty = false
  private parentDirty = false
  private pointDirty = false
  private storedEpochVersion: number
  /** As far as the disk must have the epochs: see `isSynced`. */
  private promisedEpochVersion: number
  private isFlushing = false
  private failure: Error | null = null
  private readonly deletions = new Set<Timer>()

  constructor(
    private readonly context: LogContext,
    readonly topic: string,
    readonly topicId: Uuid,
    readonly partition: number,
    /** Below the data directory; not a public name. */
    readonly directory: string,
    private config: LogConfig,
    recovered: RecoveredLog,
    isNew: boolean,
  ) {
    this.segments = recovered.segments
    this.epochs = recovered.epochs
    this.startOffset = recovered.logStartOffset
    this.endOffset = recovered.logEndOffset
    this.durableEnd = isNew ? this.endOffset : recovered.durableEndOffset
    for (const segment of this.segments) this.totalBytes += segment.sizeInBytes
    this.storedEpochVersion = isNew || recovered.epochsAreStored ? this.epochs.version : -1
    this.promisedEpochVersion = this.storedEpochVersion
    this.tail = new LogTail(context.tail)
    this.snapshots = new ProducerSnapshots(context.disk, directory)
    // What recovery read may stand in the page cache alone.
    for (const segment of this.segments) {
      if (segment === this.active || segment.baseOffset >= this.durableEnd)
        this.dirtyFiles.add(segment.path('.log'))
    }
    const before = this.segments[this.segments.findIndex((s) => s.baseOffset >= this.durableEnd) - 1]
    if (before !== undefined) this.dirtyFiles.add(before.path('.log'))
    // Nor is it known what the process before had synced of what makes a new log.
    this.directoryDirty = true
    this.parentDirty = true
    this.pointDirty = true
    this.dirtyFiles.add(`${directory}/${PARTITION_METADATA}`)
  }

  get logStartOffset(): Offset {
    return this.startOffset
  }

  get logEndOffset(): Offset {
    return this.endOffset
  }

  get durableEndOffset(): Offset {
    return this.durableEnd
  }

  get sizeBytes(): number {
    return this.totalBytes
  }

  get latestEpoch(): LeaderEpoch {
    return this.epochs.latest
  }

  get fileDeleteDelayMs(): number {
    return this.config.fileDeleteDelayMs
  }

  /** False while the disk is full up to its reserve: appends are refused, everything else goes on. */
  get hasRoom(): boolean {
    return !this.context.space.isLow
  }

  get isClosed(): boolean {
    return this.failure !== null
  }

  private get active(): Segment {
    return this.segments[this.segments.length - 1]!
  }

  /** All of the batches or, where it throws, none. */
  append(batches: readonly AppendBatch[]): void {
    this.checkOpen()
    const { endOffset, latestEpoch } = this
    try {
      this.guard(
        () => this.context.space.take(batches.reduce((bytes, batch) => bytes + batch.bytes.length, 0)),
        () => {},
      )
      this.appendOpen(batches)
    } catch (error) {
      if (this.endOffset > endOffset && this.failure === null && !this.context.flusher.hasFailed) {
        this.truncateTo(endOffset)
        // An epoch that begins where the log ended was known before.
        if (latestEpoch > this.latestEpoch) this.epochs.assign(latestEpoch, endOffset)
      }
      throw error
    }
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
      if (this.mustRoll(batch, bytes)) {
        this.write(batches.slice(from, i))
        this.roll()
        from = i
        bytes = 0
      }
      bytes += batch.bytes.length
    }
    this.write(from === 0 ? batches : batches.slice(from))
  }

  private mustRoll(batch: AppendBatch, pendingBytes: number): boolean {
    const { active, config } = this
    const size = active.sizeInBytes + pendingBytes
    if (size === 0) return false
    const first = active.firstTimestampMs
    return (
      size + batch.bytes.length > Math.min(config.segmentBytes, MAX_SEGMENT_BYTES) ||
      batch.lastOffset - active.baseOffset > MAX_RELATIVE_OFFSET ||
      (first >= 0 && batch.maxTimestampMs - first > config.segmentMs) ||
      active.offsetIndex.sizeInBytes + 8 > config.segmentIndexBytes ||
      active.timeIndex.sizeInBytes + 12 > config.segmentIndexBytes
    )
  }

  private write(batches: readonly AppendBatch[]): void {
    if (batches.length === 0) return
    const { active } = this
    let position = active.sizeInBytes
    this.guard(
      () =>
        active.file.write(
          position,
          batches.map((batch) => batch.bytes),
        ),
      () => active.file.truncate(position),
    )
    this.dirtyFiles.add(active.path('.log'))
    for (const batch of batches) {
      const size = batch.bytes.length
      this.epochs.noteBatch(batch.leaderEpoch, batch.baseOffset)
      this.guard(
        () => active.noteBatch(batch, position, size, this.config.indexIntervalBytes),
        () => {},
      )
      position += size
      this.totalBytes += size
      this.endOffset = batch.lastOffset + 1
      this.tail.add(batch)
    }
  }

  /** Always at the log's end: so a segment that lost its last batches is seen. */
  private roll(): void {
    const baseOffset = this.endOffset
    this.finish(this.active)
    this.startSegment(baseOffset)
    this.onRoll?.(baseOffset)
  }

  private startSegment(baseOffset: Offset): void {
    const segment = new Segment(this.context.handles, this.directory, baseOffset)
    this.guard(
      () => this.context.handles.get(segment.path('.log'), true),
      () => {},
    )
    this.segments.push(segment)
    this.dirtyFiles.add(segment.path('.log'))
    this.directoryDirty = true
  }

  /** The segment gets no more batches: its indexes are completed, and synced with the next group commit. */
  private finish(segment: Segment): void {
    segment.noteLargestTimestamp()
    for (const index of [segment.offsetIndex, segment.timeIndex]) {
      this.guard(
        () => index.flush(),
        () => {},
      )
      if (index.count > 0) this.dirtyFiles.add(index.path)
    }
  }

  read(offset: Offset, maxOffset: Offset, maxBytes: number, minOneBatch: boolean): LogSlice {
    this.checkOpen()
    if (offset < this.startOffset || offset > this.endOffset) {
      throw new RangeError(`offset ${offset} is outside [${this.startOffset}, ${this.endOffset}]`)
    }
    if (offset >= maxOffset || offset === this.endOffset) return NOTHING(offset)
    const cached = this.tail.find(offset)
    if (cached >= 0) return this.readTail(offset, cached, maxOffset, maxBytes, minOneBatch)
    return this.detectDamage(() => {
      return this.readStored(offset, maxOffset, maxBytes, minOneBatch)
    })
  }

  /** @throws LogDamage, DiskError */
  private readStored(offset: Offset, maxOffset: Offset, maxBytes: number, minOneBatch: boolean): LogSlice {
    const at = this.segmentAt(offset)
    const segment = this.segments[at]!
    const endOffset = this.segments[at + 1]?.baseOffset ?? this.endOffset
    const evidence = { endOffset, epochs: this.epochs }
    const slice = readSegment(segment, evidence, offset, maxOffset, maxBytes, minOneBatch)
    if (slice === null) throw new LogDamage(`${segment.path('.log')} lacks offset ${offset}`)
    return slice
  }

  private readTail(
    offset: Offset,
    at: number,
    maxOffset: Offset,
    maxBytes: number,
    minOneBatch: boolean,
  ): LogSlice {
    const chunks: Uint8Array[] = []
    let byteLength = 0
    let nextOffset = offset
    for (let entry = this.tail.at(at); entry !== undefined; entry = this.tail.at(++at)) {
      if (entry.lastOffset >= maxOffset) break
      const fits = byteLength + entry.bytes.length <= maxBytes
      if (!fits && !(minOneBatch && chunks.length === 0)) break
      chunks.push(entry.bytes)
      byteLength += entry.bytes.length
      nextOffset = entry.lastOffset + 1
    }
    return { chunks, byteLength, nextOffset }
  }

  /** The index of the segment that holds `offset`. */
  private segmentAt(offset: Offset): number {
    let low = 0
    let high = this.segments.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.segments[middle]!.baseOffset <= offset) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  /**
   * All that a promise rests on is on the disk. That a leader's epoch began may be missing there: its batches name
   * it themselves, their sync takes the checkpoint with it, and an epoch without batches says nothing. So an election
   * of many partitions costs no fsync.
   */
  get isSynced(): boolean {
    return (
      this.durableEnd === this.endOffset &&
      this.dirtyFiles.size === 0 &&
      !(this.isFlushing || this.directoryDirty || this.parentDirty || this.pointDirty) &&
      this.epochs.version === this.promisedEpochVersion
    )
  }

  sync(durable: Durable): void {
    this.waiters.push(durable)
    this.context.flusher.queue(this)
  }

  beginFlush(): FlushJob {
    const { disk, points } = this.context
    const { version } = this.epochs
    const checkpoint = `${this.directory}/${EPOCH_CHECKPOINT}`
    const { pinned, temporary } = this.openForFlush(version, checkpoint)
    this.isFlushing = true
    const waiters = this.waiters
    this.waiters = []
    this.flushingEnd = this.endOffset
    this.dirtyFiles.clear()
    // A lowered recovery point goes first: files are synced one after another.
    const files: DiskFile[] = this.pointDirty ? [points.syncTarget()] : []
    for (const pin of pinned) files.push(pin.file)
    const directories: string[] = []
    if (temporary !== null) files.push(temporary)
    if (this.directoryDirty) directories.push(this.directory)
    if (this.parentDirty) directories.push('')
    this.directoryDirty = false
    this.parentDirty = false
    this.pointDirty = false
    return {
      files,
      directories,
      afterFiles:
        temporary === null
          ? null
          : () => {
              if (this.failure !== null) return null
              disk.rename(`${checkpoint}.tmp`, checkpoint)
              return this.directory
            },
      done: (error) => {
        for (const pin of pinned) pin.release()
        temporary?.close()
        this.isFlushing = false
        let reported: Error | null = null
        if (error === null && this.failure === null) {
          this.storedEpochVersion = version
          this.promisedEpochVersion = Math.max(this.promisedEpochVersion, version)
          this.durableEnd = Math.max(this.durableEnd, this.flushingEnd)
          reported = this.storeReachedPoint()
        }
        reported ??= error ?? this.failure
        for (const waiter of waiters) waiter(reported, this.flushingEnd)
      },
    }
  }

  /** Leaves nothing open where it throws. */
  private openForFlush(
    version: number,
    checkpoint: string,
  ): { pinned: PinnedFile[]; temporary: DiskFile | null } {
    const { handles, disk } = this.context
    const pinned: PinnedFile[] = []
    try {
      for (const path of this.dirtyFiles) pinned.push(handles.pin(path))
      if (version === this.storedEpochVersion) return { pinned, temporary: null }
      const bytes = encodeEpochCheckpoint(this.epochs.all)
      return { pinned, temporary: writeWhole(disk, `${checkpoint}.tmp`, bytes) }
    } catch (error) {
      for (const pin of pinned) pin.release()
      throw error
    }
  }

  /** What was made durable but cannot be told to a start to come is not reported: the directory is offline then. */
  private storeReachedPoint(): Error | null {
    try {
      this.storePoint()
      return null
    } catch (error) {
      this.context.flusher.fail(error as Error)
      return error as Error
    }
  }

  failFlush(error: Error): void {
    const waiters = this.waiters
    this.waiters = []
    for (const waiter of waiters) waiter(error, this.durableEnd)
  }

  truncateTo(offset: Offset): void {
    this.checkOpen()
    if (offset >= this.endOffset) {
      // KAFKA-10706: the epochs are trimmed even where no bytes are cut.
      this.epochs.truncateFromEnd(offset)
      return
    }
    if (offset <= this.startOffset && offset < this.segments[0]!.baseOffset) {
      this.truncateFullyAndStartAt(offset)
      return
    }
    this.lowerDurableEnd(offset)
    this.tail.truncateTo(offset)
    this.detectDamage(() => {
      while (this.segments.length > 1 && this.active.baseOffset >= offset) this.dropLast()
      const { active } = this
      const batch = active.locate(offset)
      this.totalBytes -= active.sizeInBytes
      // A batch that holds the offset goes as a whole.
      const end = batch === null ? active.nextOffset() : batch.header.baseOffset
      if (batch !== null)
        this.guard(
          () => active.truncate(batch.position, end),
          () => {},
        )
      this.totalBytes += active.sizeInBytes
      this.dirtyFiles.add(active.path('.log'))
      this.endOffset = end
    })
    if (this.endOffset < this.startOffset) {
      this.startOffset = this.endOffset
      this.storePoint()
    }
    this.lowerDurableEnd(this.endOffset)
    this.epochs.truncateFromEnd(this.endOffset)
    this.snapshots.dropAbove(this.endOffset)
  }

  truncateFullyAndStartAt(offset: Offset): void {
    this.checkOpen()
    const old = this.segments
    this.segments = []
    this.tail.clear()
    this.epochs.clear()
    this.totalBytes = 0
    this.durableEnd = offset
    this.flushingEnd = Math.min(this.flushingEnd, offset)
    this.startOffset = offset
    this.endOffset = offset
    this.snapshots.dropAbove(-1)
    // Durable at once: the old segments must not come back in front of the new start.
    this.storePoint()
    this.guard(
      () => this.context.points.syncNow(),
      () => {},
    )
    for (const segment of old) this.removeNow(segment)
    this.startSegment(offset)
  }

  private dropLast(): void {
    const segment = this.segments.pop()!
    this.totalBytes -= segment.sizeInBytes
    this.removeNow(segment)
  }

  private removeNow(segment: Segment): void {
    for (const suffix of ['.log', '.index', '.timeindex'] as const)
      this.dirtyFiles.delete(segment.path(suffix))
    this.guard(
      () => removeSegment(this.context.disk, this.context.handles, segment),
      () => {},
    )
    this.directoryDirty = true
  }

  /** Before the bytes go, so that no start takes the shorter log for a damaged one. */
  private lowerDurableEnd(offset: Offset): void {
    this.flushingEnd = Math.min(this.flushingEnd, offset)
    if (this.durableEnd <= offset) return
    this.durableEnd = offset
    this.storePoint()
    this.pointDirty = true
  }

  private storePoint(): void {
    const point = { recoveryPoint: this.durableEnd, logStartOffset: this.startOffset }
    this.guard(
      () => this.context.points.set(this.topicId, this.partition, point),
      () => {},
    )
  }

  advanceLogStartOffset(offset: Offset): void {
    this.checkOpen()
    assert(offset <= this.endOffset, 'the log starts past its end')
    if (offset <= this.startOffset) return
    this.startOffset = offset
    this.epochs.truncateFromStart(offset)
    this.storePoint()
    this.deleteOldest(() => true)
  }

  /** Deletes segments from the oldest on, as long as they lie below the start offset and `mayGo`. Returns their bytes. */
  private deleteOldest(mayGo: (segment: Segment) => boolean): number {
    let bytes = 0
    while (
      this.segments.length > 1 &&
      this.segments[1]!.baseOffset <= this.startOffset &&
      mayGo(this.segments[0]!)
    ) {
      const segment = this.segments.shift()!
      bytes += segment.sizeInBytes
      this.totalBytes -= segment.sizeInBytes
      this.deleteLater(segment)
    }
    // Lists the directory: not at each round of retention for each log.
    if (bytes > 0) this.snapshots.dropBelow(this.segments[0]!.baseOffset)
    return bytes
  }

  /** Renamed now, so that a start knows; unlinked when no answer under way can need its bytes. */
  private deleteLater(segment: Segment): void {
    const { disk, handles, clock } = this.context
    const paths = (['.log', '.index', '.timeindex'] as const).map((suffix) => segment.path(suffix))
    for (const path of paths) {
      this.dirtyFiles.delete(path)
      handles.close(path)
      if (disk.exists(path))
        this.guard(
          () => disk.rename(path, path + DELETED_SUFFIX),
          () => {},
        )
    }
    this.directoryDirty = true
    this.context.flusher.queue(this)
    const timer = clock.after(this.config.fileDeleteDelayMs, () => {
      this.deletions.delete(timer)
      for (const path of paths) if (disk.exists(path + DELETED_SUFFIX)) disk.unlink(path + DELETED_SUFFIX)
    })
    this.deletions.add(timer)
  }

  assignEpochStart(epoch: LeaderEpoch, startOffset: Offset): void {
    assert(startOffset === this.endOffset, 'an epoch starts at the end of the log')
    const wasPromised = this.epochs.version === this.promisedEpochVersion
    this.epochs.assign(epoch, startOffset)
    // At the log's end it can only take the place of epochs that hold nothing.
    if (wasPromised) this.promisedEpochVersion = this.epochs.version
  }

  endOffsetForEpoch(epoch: LeaderEpoch): { epoch: LeaderEpoch; endOffset: Offset } {
    return this.epochs.endOffsetFor(epoch, this.endOffset)
  }

  epochForOffset(offset: Offset): LeaderEpoch {
    return this.epochs.epochFor(offset)
  }

  findByTimestamp(
    timestampMs: number,
  ): { baseOffset: Offset; lastOffset: Offset; maxTimestampMs: number } | null {
    return this.detectDamage(() => {
      for (const segment of this.segments) {
        const largest = segment.largestTimestamp
        if (largest === null || largest.timestampMs < timestampMs) continue
        let found: { baseOffset: Offset; lastOffset: Offset; maxTimestampMs: number } | null = null
        const from = segment.indexedPosition(segment.indexedOffset(timestampMs) - 1)
        segment.walk(from, (header) => {
          if (header.lastOffset < this.startOffset || header.maxTimestampMs < timestampMs) return true
          found = header
          return false
        })
        if (found !== null) return found
      }
      return null
    })
  }

  maxTimestamp(): { baseOffset: Offset; lastOffset: Offset; maxTimestampMs: number } | null {
    return this.detectDamage(() => {
      let best: { timestampMs: number; lastOffset: Offset; segment: Segment } | null = null
      for (const segment of this.segments) {
        const largest = segment.largestTimestamp
        if (largest === null || largest.lastOffset < this.startOffset) continue
        if (best === null || largest.timestampMs > best.timestampMs) best = { ...largest, segment }
      }
      return best === null ? null : (best.segment.locate(best.lastOffset)?.header ?? null)
    })
  }

  scanHeaders(from: Offset, visit: (header: Uint8Array) => void): void {
    this.detectDamage(() => {
      for (let at = this.segmentAt(from); at < this.segments.length; at++) {
        const segment = this.segments[at]!
        segment.walk(segment.indexedPosition(from), (header, _position, bytes) => {
          if (header.lastOffset >= from) visit(bytes())
          return true
        })
      }
    })
  }

  writeProducerSnapshot(offset: Offset, bytes: Uint8Array): void {
    this.checkOpen()
    this.guard(
      () => this.snapshots.write(offset, bytes),
      () => {},
    )
  }

  readProducerSnapshot(atMost: Offset): { offset: Offset; bytes: Uint8Array } | null {
    return this.snapshots.read(atMost)
  }

  maintain(nowWallMs: number, highWatermark: Offset): number {
    if (this.failure !== null) return 0
    const { config } = this
    return this.detectDamage(() => {
      const age = nowWallMs - this.active.firstTimestampMs
      if (this.active.sizeInBytes > 0 && this.active.firstTimestampMs >= 0 && age > config.segmentMs) {
        this.rollIfRoom()
      }
      if (!config.cleanupPolicy.includes('delete')) return this.deleteOldest(() => true)
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
    const { retentionMs, retentionBytes } = this.config
    const expired = (segment: Segment): boolean => {
      const newest = segment.largestTimestamp?.timestampMs ?? -1
      return retentionMs >= 0 && newest >= 0 && nowWallMs - newest > retentionMs
    }
    if (this.endOffset <= limit && this.active.sizeInBytes > 0 && this.segments.every(expired)) {
      this.rollIfRoom()
    }
    let excess = retentionBytes < 0 ? 0 : this.totalBytes - retentionBytes
    let start = this.startOffset
    for (let at = 0; at + 1 < this.segments.length; at++) {
      const segment = this.segments[at]!
      const end = this.segments[at + 1]!.baseOffset
      if (end > limit) break
      const tooMuch = retentionBytes >= 0 && excess >= segment.sizeInBytes
      if (!tooMuch && !expired(segment)) break
      excess -= segment.sizeInBytes
      start = Math.max(start, end)
    }
    if (start > this.startOffset) {
      this.startOffset = start
      this.epochs.truncateFromStart(start)
      this.storePoint()
    }
    return this.deleteOldest(() => true)
  }

  updateConfig(config: LogConfig): void {
    this.config = config
  }

  /** Checks so many bytes of old segments by CRC, from `cursor` on. Returns where to go on; null: all was seen. */
  scrub(cursor: Offset, maxBytes: number): Offset | null {
    if (this.failure !== null) return null
    return this.detectDamage(() => {
      const from = Math.max(cursor, this.startOffset)
      if (from >= this.endOffset) return null
      return this.readStored(from, this.endOffset, maxBytes, true).nextOffset
    })
  }

  /** Writes what indexes still hold back: before a clean stop. */
  flushIndexes(): void {
    this.finish(this.active)
  }

  close(): void {
    this.fail(new Error(`the log ${this.topic}-${this.partition} was closed`))
  }

  /** No more reads and writes; whoever waits for a sync gets the error, in an input of its own. */
  fail(error: Error): void {
    if (this.failure !== null) return
    this.failure = error
    for (const timer of this.deletions) timer.cancel()
    this.deletions.clear()
    this.tail.clear()
    this.context.flusher.forget(this)
    this.context.handles.closeUnder(this.directory)
    if (this.waiters.length > 0) this.context.clock.endOfTurn(() => this.failFlush(error))
  }

  private checkOpen(): void {
    if (this.failure === null) return
    throw new DiskError('EIO', this.directory, this.failure.message)
  }

  /** A failed write: `undo` takes back what it left; anything but a full disk takes the directory offline. */
  private guard(write: () => void, undo: () => void): void {
    try {
      write()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      if (error.code === 'EIO') {
        this.context.flusher.fail(error)
        throw error
      }
      if (error.code === 'ENOSPC') this.context.space.noteFull()
      try {
        undo()
      } catch (undoError) {
        this.context.flusher.fail(undoError as Error)
      }
      throw error
    }
  }

  private detectDamage<T>(action: () => T): T {
    try {
      return action()
    } catch (error) {
      // A sector that cannot be read costs this log alone, unless setting it aside fails as well.
      const isUnreadable = error instanceof DiskError && error.code === 'EIO' && this.failure === null
      if (isUnreadable) this.context.onDamaged(this, error.message)
      if (!(error instanceof LogDamage)) throw error
      this.context.onDamaged(this, error.message)
      throw new DiskError('EOTHER', this.directory, error.message)
    }
  }
}
