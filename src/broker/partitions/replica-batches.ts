import type { LeaderEpoch, Offset } from '../../lib/ids.js'
import type { AppendBatch } from '../../log/types.js'
import { type BatchView, iterateBatches, verifyCrc } from '../../wire/records.js'

export interface FetchedBatches {
  readonly batches: readonly AppendBatch[]
  readonly headers: readonly BatchView[]
  /** Why the rest was not taken; null where all was. */
  readonly fault: string | null
}

/**
 * What a leader sent to its follower, up to the first batch that must not be appended: one that is damaged, or of a
 * later epoch than the one that was asked (KAFKA-18723), or not next in the log. A cut-off last batch is left out.
 */
export function parseFetched(
  records: Uint8Array,
  fetchOffset: Offset,
  leaderEpoch: LeaderEpoch,
): FetchedBatches {
  const batches: AppendBatch[] = []
  const headers: BatchView[] = []
  let next = fetchOffset
  for (const batch of iterateBatches(records)) {
    const fault = checkFetched(batch, next, leaderEpoch)
    if (fault !== null) return { batches, headers, fault }
    batches.push({
      bytes: batch.bytes,
      baseOffset: batch.baseOffset,
      lastOffset: batch.lastOffset,
      leaderEpoch: batch.partitionLeaderEpoch,
      maxTimestampMs: batch.maxTimestamp,
    })
    headers.push(batch)
    next = batch.nextOffset
  }
  return { batches, headers, fault: batches.length === 0 ? 'no whole batch in the answer' : null }
}

function checkFetched(batch: BatchView, next: Offset, leaderEpoch: LeaderEpoch): string | null {
  if (batch.magic !== 2) return `magic ${batch.magic} at offset ${next}`
  if (!verifyCrc(batch)) return `the CRC-32C does not match at offset ${next}`
  if (batch.baseOffset < next) return `base offset ${batch.baseOffset} lies below the log's end ${next}`
  if (batch.baseOffset > next)
    return `base offset ${batch.baseOffset} leaves a gap after the log's end ${next}`
  if (batch.lastOffsetDelta < 0) return `last offset delta ${batch.lastOffsetDelta} at offset ${next}`
  if (batch.partitionLeaderEpoch > leaderEpoch) {
    return `epoch ${batch.partitionLeaderEpoch} at offset ${next} is later than the epoch ${leaderEpoch} that was asked`
  }
  return null
}
