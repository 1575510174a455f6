import type { Offset } from '../lib/ids.js'
import type { DiskFile } from '../ports/disk.js'
import { type BatchHeader, HEADER_BYTES, parseHeader } from './batch-header.js'
import { type SegmentSuffix, segmentFile } from './file-names.js'
import type { HandleCache } from './handle-cache.js'
import { IndexFile } from './index-file.js'

const READ_AHEAD_BYTES = 16 * 1024

/** What stands in the log cannot be what was written there. The log is set aside and fetched anew. */
export class LogDamage extends Error {
  override name = 'LogDamage'
}

export interface LocatedBatch {
  header: BatchHeader
  position: number
}

/** One `.log` file with its sparse indexes. Offsets in the indexes are relative to the base (Kafka's formats). */
export class Segment {
  /** (relative last offset of the batch int32, its position int32) */
  readonly offsetIndex: IndexFile
  /** (largest timestamp so far int64, relative last offset of its batch int32) */
  readonly timeIndex: IndexFile
  sizeInBytes = 0
  bytesSinceIndex = 0
  /** The first batch's, against which `segment.ms` is measured; -1: not known or empty. */
  firstTimestampMs = -1
  /** Of what was written since the segment was opened; older ones stand in the time index. */
  private largest: { timestampMs: number; lastOffset: Offset } | null = null

  constructor(
    private readonly handles: HandleCache,
    readonly directory: string,
    readonly baseOffset: Offset,
  ) {
    this.offsetIndex = new IndexFile(handles, this.path('.index'), 8)
    this.timeIndex = new IndexFile(handles, this.path('.timeindex'), 12)
  }

  path(suffix: SegmentSuffix): string {
    return `${this.directory}/${segmentFile(this.baseOffset, suffix)}`
  }

  get file(): DiskFile {
    return this.handles.get(this.path('.log'))
  }

  /** The largest timestamp with the last offset of the batch that has it; null where empty. */
  get largestTimestamp(): { timestampMs: number; lastOffset: Offset } | null {
    if (this.largest === null && this.sizeInBytes > 0) this.largest = this.loadLargestTimestamp()
    return this.largest
  }

  /** A batch was written at `position`: notes it, and makes an index entry once in `intervalBytes`. */
  noteBatch(
    batch: { lastOffset: Offset; maxTimestampMs: number },
    position: number,
    size: number,
    intervalBytes: number,
  ): void {
    const largest = this.largestTimestamp
    if (position === 0) this.firstTimestampMs = batch.maxTimestampMs
    if (largest === null || batch.maxTimestampMs > largest.timestampMs) {
      this.largest = { timestampMs: batch.maxTimestampMs, lastOffset: batch.lastOffset }
    }
    if (this.bytesSinceIndex > intervalBytes) {
      const entry = new Uint8Array(8)
      const view = new DataView(entry.buffer)
      view.setInt32(0, batch.lastOffset - this.baseOffset)
      view.setInt32(4, position)
      this.offsetIndex.append(entry)
      this.noteLargestTimestamp()
      this.bytesSinceIndex = 0
    }
    this.bytesSinceIndex += size
    this.sizeInBytes = position + size
  }

  /** Puts the largest timestamp into the time index, where it is new: with each index entry and when the segment ends. */
  noteLargestTimestamp(): void {
    const largest = this.largestTimestamp
    const last = this.timeIndex.last()
    if (largest === null || (last !== null && timestampOf(last) >= largest.timestampMs)) return
    const entry = new Uint8Array(12)
    const view = new DataView(entry.buffer)
    view.setBigInt64(0, BigInt(largest.timestampMs))
    view.setInt32(8, largest.lastOffset - this.baseOffset)
    this.timeIndex.append(entry)
  }

  /** The batch that holds `offset`; null: the segment ends below it. @throws LogDamage */
  locate(offset: Offset): LocatedBatch | null {
    const at = this.indexedAtOrBelow(offset)
    if (at >= 0) {
      const entry = this.offsetIndex.entry(at)
      const found = this.locateFrom(offset, entry.getInt32(4), this.baseOffset + entry.getInt32(0))
      if (found !== 'damaged') return found
    }
    // The index may be what is damaged: only the log itself counts.
    const found = this.locateFrom(offset, 0, null)
    if (found === 'damaged')
      throw new LogDamage(`${this.path('.log')} is damaged: looking for offset ${offset}`)
    return found
  }

  /**
   * Visits batches from `position` on until `visit` says false. Their base offsets must follow on each other, and the
   * first one's on the segment's name: the CRC does not cover them, and nothing here compacts. @throws LogDamage
   */
  walk(
    position: number,
    visit: (header: BatchHeader, position: number, bytes: () => Uint8Array) => boolean,
  ): void {
    const reader = new HeaderReader(this.file)
    let expected = position === 0 ? this.baseOffset : -1
    while (position < this.sizeInBytes) {
      const header = reader.header(position)
      if (header === null || position + header.sizeInBytes > this.sizeInBytes) {
        throw new LogDamage(`${this.path('.log')} is damaged at ${position}: no batch stands there`)
      }
      if (expected >= 0) this.checkFollows(header, position, expected)
      expected = header.lastOffset + 1
      const at = position
      if (!visit(header, at, () => reader.bytes(at, HEADER_BYTES))) return
      position += header.sizeInBytes
    }
  }

  /** @throws LogDamage where the batch at `position` does not begin at `expected` */
  checkFollows(header: BatchHeader, position: number, expected: Offset): void {
    if (header.baseOffset === expected) return
    throw new LogDamage(
      `${this.path('.log')} is damaged at ${position}: base offset ${header.baseOffset} where ${expected} is next`,
    )
  }

  /** One past the last offset that stands in this segment; its base where it is empty. @throws LogDamage */
  nextOffset(): Offset {
    return this.endOffset(Number.POSITIVE_INFINITY)!
  }

  /** The same; null where more than `maxBytes` would have to be walked. @throws LogDamage */
  endOffset(maxBytes: number): Offset | null {
    const from = this.positionAt(this.offsetIndex.count - 1)
    if (this.sizeInBytes - from > maxBytes) return null
    let next = this.baseOffset
    this.walk(from, (header) => {
      next = header.lastOffset + 1
      return true
    })
    return next
  }

  /** A position from which a walk meets `offset`. */
  indexedPosition(offset: Offset): number {
    return this.positionAt(this.indexedAtOrBelow(offset))
  }

  /** Of an entry of the offset index. The segment's beginning where it is none, or where no such batch stands there. */
  private positionAt(at: number): number {
    if (at < 0) return 0
    const entry = this.offsetIndex.entry(at)
    const position = entry.getInt32(4)
    if (position < 0 || position >= this.sizeInBytes) return 0
    const header = new HeaderReader(this.file).header(position)
    return header?.lastOffset === this.baseOffset + entry.getInt32(0) ? position : 0
  }

  private indexedAtOrBelow(offset: Offset): number {
    return this.offsetIndex.floor((entry) => this.baseOffset + entry.getInt32(0) <= offset)
  }

  /** An offset at or below the first batch whose max timestamp is at least `timestampMs`. */
  indexedOffset(timestampMs: number): Offset {
    const at = this.timeIndex.floor((entry) => timestampOf(entry) <= timestampMs)
    return at < 0 ? this.baseOffset : this.baseOffset + this.timeIndex.entry(at).getInt32(8)
  }

  /** Cuts the file at `position`, the indexes at `offset`, which is the log's new end. */
  truncate(position: number, offset: Offset): void {
    this.file.truncate(position)
    this.sizeInBytes = position
    this.truncateIndexes(position, offset)
    this.largest = null
    if (position === 0) this.firstTimestampMs = -1
    if (position > 0) this.largest = this.loadLargestTimestamp()
  }

  /** Drops the index entries that speak of `position` or `offset` and what follows. */
  truncateIndexes(position: number, offset: Offset): void {
    this.offsetIndex.truncate(this.offsetIndex.floor((entry) => entry.getInt32(4) < position) + 1)
    this.timeIndex.truncate(this.timeIndex.floor((entry) => this.baseOffset + entry.getInt32(8) < offset) + 1)
    this.largest = null
    this.bytesSinceIndex = 0
  }

  /** `indexedOffset`: the last offset of the batch at `position`, by the index; null at the segment's beginning. */
  private locateFrom(
    offset: Offset,
    position: number,
    indexedOffset: Offset | null,
  ): LocatedBatch | null | 'damaged' {
    const reader = new HeaderReader(this.file)
    let expected = indexedOffset === null ? this.baseOffset : -1
    while (position < this.sizeInBytes) {
      const header = reader.header(position)
      if (header === null || position + header.sizeInBytes > this.sizeInBytes) return 'damaged'
      const follows = expected < 0 ? header.lastOffset === indexedOffset : header.baseOffset === expected
      if (!follows || header.baseOffset < this.baseOffset) return 'damaged'
      if (header.lastOffset >= offset) return { header, position }
      expected = header.lastOffset + 1
      position += header.sizeInBytes
    }
    return indexedOffset !== null && position > this.sizeInBytes ? 'damaged' : null
  }

  private loadLargestTimestamp(): { timestampMs: number; lastOffset: Offset } | null {
    const last = this.timeIndex.last()
    let largest =
      last === null
        ? null
        : { timestampMs: timestampOf(last), lastOffset: this.baseOffset + last.getInt32(8) }
    const from = largest === null ? 0 : this.indexedPosition(largest.lastOffset)
    this.walk(from, (header) => {
      if (largest === null || header.maxTimestampMs > largest.timestampMs) {
        largest = { timestampMs: header.maxTimestampMs, lastOffset: header.lastOffset }
      }
      return true
    })
    return largest
  }
}

export function timestampOf(entry: DataView): number {
  return Number(entry.getBigInt64(0))
}

/** Reads headers through a small buffer: batches of a few kilobytes cost one read for several. */
export class HeaderReader {
  private buffer: Uint8Array = new Uint8Array(0)
  private start = 0

  constructor(private readonly file: DiskFile) {}

  header(position: number): BatchHeader | null {
    return parseHeader(this.bytes(position, HEADER_BYTES))
  }

  /** Fewer only at the end of the file. */
  bytes(position: number, length: number): Uint8Array {
    if (position < this.start || position + length > this.start + this.buffer.length) {
      this.buffer = this.file.read(position, Math.max(length, READ_AHEAD_BYTES))
      this.start = position
    }
    return this.buffer.subarray(position - this.start, position - this.start + length)
  }
}
