import type { Offset } from '../lib/ids.js'
import type { Timer } from '../ports/clock.js'
import { DiskError } from '../ports/disk.js'
import { DELETED_SUFFIX } from './file-names.js'
import type { LogContext } from './log-context.js'
import type { LogFaults } from './log-faults.js'
import type { LogFlush } from './log-flush.js'
import { removeSegment } from './recovery.js'
import { Segment } from './segment.js'
import type { AppendBatch, LogConfig } from './types.js'

const MAX_RELATIVE_OFFSET = 0x7fff_ffff
/** A file's position must fit the index's int32. */
const MAX_SEGMENT_BYTES = 0x7fff_ffff
const SUFFIXES = ['.log', '.index', '.timeindex'] as const

/** The segments of one log, oldest first, at least one: how they begin, end and go. */
export class LogSegments {
  private readonly deletions = new Set<Timer>()
  private bytes = 0
  private isClosed = false
  /** Every segment is to go, these are left, and one is to begin here; null: nothing of the kind. */
  private restart: { readonly offset: Offset; readonly leaving: Segment[] } | null = null

  constructor(
    private readonly context: LogContext,
    private readonly directory: string,
    private readonly faults: LogFaults,
    private readonly flush: LogFlush,
    private segments: Segment[],
  ) {
    for (const segment of segments) this.bytes += segment.sizeInBytes
  }

  get all(): readonly Segment[] {
    return this.segments
  }

  get active(): Segment {
    return this.segments[this.segments.length - 1]!
  }

  get oldest(): Segment {
    return this.segments[0]!
  }

  get totalBytes(): number {
    return this.bytes
  }

  /** The active segment grew or was cut by so many bytes. */
  noteResized(bytes: number): void {
    this.bytes += bytes
  }

  /** The index of the segment that holds `offset`. */
  indexOf(offset: Offset): number {
    let low = 0
    let high = this.segments.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.segments[middle]!.baseOffset <= offset) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  /** Of the batches from `offset` on, and of a few before it. @throws LogDamage, DiskError */
  bytesFrom(offset: Offset): number {
    const from = this.indexOf(offset)
    let bytes = -this.segments[from]!.indexedPosition(offset)
    for (let at = from; at < this.segments.length; at++) bytes += this.segments[at]!.sizeInBytes
    return bytes
  }

  /** The batch, behind `pendingBytes` that are to be written first, does not go into the active segment any more. */
  mustRoll(batch: AppendBatch, pendingBytes: number, config: LogConfig): boolean {
    const { active } = this
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

  start(baseOffset: Offset): void {
    const segment = new Segment(this.context.handles, this.directory, baseOffset)
    this.flush.noteDirectory()
    this.faults.guard(() => this.context.handles.get(segment.path('.log'), true))
    this.segments.push(segment)
    this.flush.noteFile(segment.path('.log'))
  }

  /** The active segment gets no more batches: its indexes are completed, and synced with the next group commit. */
  finishActive(): void {
    this.active.noteLargestTimestamp()
    this.flushIndexes()
  }

  /** Writes what the active segment's indexes still hold back. */
  flushIndexes(): void {
    if (this.restart === null) this.flushIndexesOf(this.active)
  }

  flushIndexesOf({ offsetIndex, timeIndex }: Segment): void {
    for (const index of [offsetIndex, timeIndex]) {
      // On a full disk it goes on waiting, and may not even exist: there is nothing to sync.
      this.faults.guard(() => index.flush())
      if (index.takeChanged()) this.flush.noteFile(index.path)
    }
  }

  /** The active segment goes at once, with all that it holds. */
  dropActive(): void {
    const segment = this.segments.pop()!
    this.bytes -= segment.sizeInBytes
    this.removeNow(segment)
  }

  /** Every segment goes; a new one begins at `offset`. What a full disk refuses is done before the next use. */
  replaceAll(offset: Offset): void {
    this.restart = { offset, leaving: this.segments }
    this.segments = []
    this.bytes = 0
    this.flush.noteDirectory()
    try {
      this.finishRestart()
    } catch (error) {
      if (!isFull(error)) throw error
    }
  }

  /** What `replaceAll` left to do. On any fault but a full disk the log takes nothing more. @throws DiskError */
  finishRestart(): void {
    if (this.restart === null) return
    const { offset, leaving } = this.restart
    try {
      for (; leaving.length > 0; leaving.shift()) this.removeNow(leaving[0]!)
      this.start(offset)
    } catch (error) {
      if (!isFull(error)) this.faults.close(error as Error)
      throw error
    }
    this.restart = null
  }

  private removeNow(segment: Segment): void {
    for (const suffix of SUFFIXES) this.flush.forgetFile(segment.path(suffix))
    this.flush.noteDirectory()
    this.faults.guard(() => removeSegment(this.context.disk, this.context.handles, segment))
  }

  /** Deletes segments from the oldest on, as long as they lie below the start offset. Returns their bytes. */
  deleteOldest(startOffset: Offset, delayMs: number): number {
    let bytes = 0
    while (this.segments.length > 1 && this.segments[1]!.baseOffset <= startOffset) {
      const segment = this.segments.shift()!
      bytes += segment.sizeInBytes
      this.bytes -= segment.sizeInBytes
      this.deleteLater(segment, delayMs)
    }
    return bytes
  }

  /** Renamed now, so that a start knows; unlinked when no answer under way can need its bytes. */
  private deleteLater(segment: Segment, delayMs: number): void {
    const { disk, handles, clock } = this.context
    const paths = SUFFIXES.map((suffix) => segment.path(suffix))
    this.flush.noteDirectory()
    for (const path of paths) {
      this.flush.forgetFile(path)
      this.faults.guard(() => {
        handles.close(path)
        if (disk.exists(path)) disk.rename(path, path + DELETED_SUFFIX)
      })
    }
    this.flush.queue()
    const timer = clock.after(delayMs, () => {
      this.deletions.delete(timer)
      // The log's new start must be durable before the files go that explain to the next start what is missing.
      const { points, flusher } = this.context
      points.synced(
        () => this.remove(paths),
        (error) => flusher.fail(error),
      )
    })
    this.deletions.add(timer)
  }

  private remove(paths: readonly string[]): void {
    // Once the log is closed, another one's files may have these names.
    const isWanted = (): boolean => !this.isClosed
    for (const path of paths) this.context.removals.addFile(path + DELETED_SUFFIX, isWanted)
  }

  close(): void {
    this.isClosed = true
    for (const timer of this.deletions) timer.cancel()
    this.deletions.clear()
  }
}

function isFull(error: unknown): boolean {
  return error instanceof DiskError && error.code === 'ENOSPC'
}
