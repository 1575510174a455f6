import type { Offset } from '../lib/ids.js'
import { crc32c } from '../wire/crc32c.js'
import { CRC_FROM, parseHeader } from './batch-header.js'
import type { EpochCache } from './epoch-cache.js'
import { LogDamage, type Segment } from './segment.js'
import type { LogSlice } from './types.js'

/** One read from the device at most, however much was asked for: the loop must go on. A larger batch is read whole. */
const MAX_READ_BYTES = 4 * 1024 * 1024

/** What is known of a segment's batches apart from themselves: base offsets and epochs are not covered by the CRC. */
export interface SegmentEvidence {
  /** Where the next segment begins; of the last one, the log's end. */
  readonly endOffset: Offset
  readonly epochs: EpochCache
}

/**
 * Whole batches of one segment from the one that holds `offset` on, each checked by its CRC and against the evidence:
 * rot is never served. null: the segment holds nothing at or above `offset`.
 * @throws LogDamage, DiskError
 */
export function readSegment(
  segment: Segment,
  evidence: SegmentEvidence,
  offset: Offset,
  maxOffset: Offset,
  maxBytes: number,
  minOneBatch: boolean,
): LogSlice | null {
  const first = segment.locate(offset)
  if (first === null) return null
  const nothing = { chunks: [], byteLength: 0, nextOffset: offset }
  // Before it is taken for one that is not to be read yet: a rotten length would make readers wait for ever.
  checkEnds(segment, first.position, first.header.lastOffset, evidence)
  const firstBytes = first.header.sizeInBytes
  if (first.header.lastOffset >= maxOffset || (firstBytes > maxBytes && !minOneBatch)) return nothing
  const room = segment.sizeInBytes - first.position
  const wanted = Math.max(firstBytes, Math.min(maxBytes, MAX_READ_BYTES))
  const bytes = segment.file.read(first.position, Math.min(room, wanted))
  let at = 0
  let nextOffset = offset
  let expected = first.header.baseOffset
  while (at < bytes.length) {
    const header = parseHeader(bytes, at)
    if (header === null) {
      if (bytes.length - at < 61 && bytes.length < room) break
      throw new LogDamage(
        `${segment.path('.log')} is damaged at ${first.position + at}: no batch stands there`,
      )
    }
    if (at + header.sizeInBytes > bytes.length) {
      if (bytes.length < room) break
      throw new LogDamage(
        `${segment.path('.log')} is damaged at ${first.position + at}: a batch is cut short`,
      )
    }
    segment.checkFollows(header, first.position + at, expected)
    checkEnds(segment, first.position + at, header.lastOffset, evidence)
    if (header.lastOffset >= maxOffset) break
    if (crc32c(bytes.subarray(at + CRC_FROM, at + header.sizeInBytes)) !== header.crc) {
      throw new LogDamage(`${segment.path('.log')} is damaged at ${first.position + at}: wrong CRC`)
    }
    if (!evidence.epochs.agreesWith(header)) {
      throw new LogDamage(
        `${segment.path('.log')} is damaged at ${first.position + at}: epoch ${header.leaderEpoch} at offset ${header.baseOffset} is not what the leader epochs say`,
      )
    }
    expected = header.lastOffset + 1
    nextOffset = expected
    at += header.sizeInBytes
  }
  if (at === room && expected !== evidence.endOffset) {
    throw new LogDamage(`${segment.path('.log')} ends at ${expected} instead of ${evidence.endOffset}`)
  }
  if (at === 0) return nothing
  return { chunks: [bytes.subarray(0, at)], byteLength: at, nextOffset }
}

/** @throws LogDamage where the batch claims offsets that the segment cannot hold */
function checkEnds(segment: Segment, position: number, lastOffset: Offset, evidence: SegmentEvidence): void {
  if (lastOffset < evidence.endOffset) return
  throw new LogDamage(
    `${segment.path('.log')} is damaged at ${position}: a batch ends at ${lastOffset}, and the segment before ${evidence.endOffset}`,
  )
}
