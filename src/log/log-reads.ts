import type { Offset } from '../lib/ids.js'
import type { EpochCache } from './epoch-cache.js'
import type { LogSegments } from './log-segments.js'
import { LogDamage, type Segment } from './segment.js'
import { readSegment } from './segment-read.js'
import type { LogTail } from './tail-cache.js'
import type { LogSlice } from './types.js'

/** A batch that a query by time found. */
export interface FoundBatch {
  baseOffset: Offset
  lastOffset: Offset
  maxTimestampMs: number
}

/** From the segments on disk, checked. @throws LogDamage, DiskError */
export function readStored(
  segments: LogSegments,
  epochs: EpochCache,
  logEndOffset: Offset,
  offset: Offset,
  maxOffset: Offset,
  maxBytes: number,
  minOneBatch: boolean,
): LogSlice {
  const at = segments.indexOf(offset)
  const segment = segments.all[at]!
  const endOffset = segments.all[at + 1]?.baseOffset ?? logEndOffset
  const slice = readSegment(segment, { endOffset, epochs }, offset, maxOffset, maxBytes, minOneBatch)
  if (slice === null) throw new LogDamage(`${segment.path('.log')} lacks offset ${offset}`)
  return slice
}

/** From the batches in memory, `at` on. */
export function readTail(
  tail: LogTail,
  offset: Offset,
  at: number,
  maxOffset: Offset,
  maxBytes: number,
  minOneBatch: boolean,
): LogSlice {
  const chunks: Uint8Array[] = []
  let byteLength = 0
  let nextOffset = offset
  for (let entry = tail.at(at); entry !== undefined; entry = tail.at(++at)) {
    if (entry.lastOffset >= maxOffset) break
    const fits = byteLength + entry.bytes.length <= maxBytes
    if (!fits && !(minOneBatch && chunks.length === 0)) break
    chunks.push(entry.bytes)
    byteLength += entry.bytes.length
    nextOffset = entry.lastOffset + 1
  }
  return { chunks, byteLength, nextOffset }
}

/** The first batch from the log's start on whose max timestamp is >= `timestampMs`. @throws LogDamage, DiskError */
export function findByTimestamp(
  segments: LogSegments,
  logStartOffset: Offset,
  timestampMs: number,
): FoundBatch | null {
  for (const segment of segments.all) {
    const largest = segment.largestTimestamp
    if (largest === null || largest.timestampMs < timestampMs) continue
    let found: FoundBatch | null = null
    const from = segment.indexedPosition(segment.indexedOffset(timestampMs) - 1)
    segment.walk(from, (header) => {
      if (header.lastOffset < logStartOffset || header.maxTimestampMs < timestampMs) return true
      found = header
      return false
    })
    if (found !== null) return found
  }
  return null
}

/** The batch with the largest timestamp. @throws LogDamage, DiskError */
export function maxTimestamp(segments: LogSegments, logStartOffset: Offset): FoundBatch | null {
  let best: { timestampMs: number; lastOffset: Offset; segment: Segment } | null = null
  for (const segment of segments.all) {
    const largest = segment.largestTimestamp
    if (largest === null || largest.lastOffset < logStartOffset) continue
    if (best === null || largest.timestampMs > best.timestampMs) best = { ...largest, segment }
  }
  return best === null ? null : (best.segment.locate(best.lastOffset)?.header ?? null)
}

/** Visits the header of each batch at or above `from`. @throws LogDamage, DiskError */
export function scanHeaders(segments: LogSegments, from: Offset, visit: (header: Uint8Array) => void): void {
  for (let at = segments.indexOf(from); at < segments.all.length; at++) {
    const segment = segments.all[at]!
    segment.walk(segment.indexedPosition(from), (header, _position, bytes) => {
      if (header.lastOffset >= from) visit(bytes())
      return true
    })
  }
}
