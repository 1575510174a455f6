import type { Offset } from '../lib/ids.js'
import type { Segment } from './segment.js'
import type { LogConfig } from './types.js'

/** The segment's newest record is older than `retention.ms`. */
export function isExpired(segment: Segment, retentionMs: number, nowWallMs: number): boolean {
  const newest = segment.largestTimestamp?.timestampMs ?? -1
  return retentionMs >= 0 && newest >= 0 && nowWallMs - newest > retentionMs
}

/**
 * Where the log starts once retention took what it may: whole segments from the oldest on, too many bytes or expired,
 * below `limit` and never the active one.
 */
export function retainedStart(
  segments: readonly Segment[],
  totalBytes: number,
  config: Pick<LogConfig, 'retentionBytes' | 'retentionMs'>,
  startOffset: Offset,
  limit: Offset,
  nowWallMs: number,
): Offset {
  const { retentionMs, retentionBytes } = config
  let excess = retentionBytes < 0 ? 0 : totalBytes - retentionBytes
  let start = startOffset
  for (let at = 0; at + 1 < segments.length; at++) {
    const segment = segments[at]!
    const end = segments[at + 1]!.baseOffset
    if (end > limit) break
    const tooMuch = retentionBytes >= 0 && excess >= segment.sizeInBytes
    if (!tooMuch && !isExpired(segment, retentionMs, nowWallMs)) break
    excess -= segment.sizeInBytes
    start = Math.max(start, end)
  }
  return start
}
