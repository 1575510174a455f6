import { assert } from '../lib/assert.js'
import type { LeaderEpoch, Offset } from '../lib/ids.js'

/** The largest epoch that the leader has at or below the one that was asked for, and where it ends (KIP-279). */
export interface EpochEnd {
  readonly epoch: LeaderEpoch
  readonly endOffset: Offset
}

/** What a follower reads of its own log. */
export interface FollowerLog {
  readonly logStartOffset: Offset
  readonly logEndOffset: Offset
  readonly latestEpoch: LeaderEpoch
  endOffsetForEpoch(epoch: LeaderEpoch): EpochEnd
}

/**
 * Where to cut after the leader answered a Fetch with a diverging epoch (KIP-101, KIP-279, KIP-595's use in Fetch
 * v12). One answer may not be enough: the next Fetch carries the new last epoch, and the leader diverges again
 * until both agree, at most once for each epoch.
 */
export function truncationOffset(log: FollowerLog, diverging: EpochEnd): Offset {
  const { logEndOffset, logStartOffset } = log
  const within = (offset: Offset): Offset => Math.max(logStartOffset, Math.min(offset, logEndOffset))
  // The leader knows no such epoch: all that is certain is that it agrees below its own offset.
  if (diverging.epoch < 0) return within(Math.max(diverging.endOffset, logStartOffset))
  const own = log.endOffsetForEpoch(diverging.epoch)
  if (own.epoch === diverging.epoch) return within(Math.min(own.endOffset, diverging.endOffset))
  // The leader's epoch is unknown here. What follows our own next smaller epoch came from nobody it knows.
  if (own.epoch >= 0) return within(own.endOffset)
  return within(diverging.endOffset)
}

/**
 * One leader epoch of one follower. The high watermark only ever covers what a leader of this very epoch has
 * confirmed: an answer without divergence proves that the log agrees up to the offset of its request.
 */
export class FollowerState {
  readonly leaderEpoch: LeaderEpoch
  private highWatermarkValue: Offset
  private isReconciledValue = false

  constructor(start: { leaderEpoch: LeaderEpoch; highWatermark: Offset }) {
    this.leaderEpoch = start.leaderEpoch
    this.highWatermarkValue = start.highWatermark
  }

  get highWatermark(): Offset {
    return this.highWatermarkValue
  }
  get isReconciled(): boolean {
    return this.isReconciledValue
  }

  /** The log was cut at `offset` (KAFKA-14704: before the high watermark may move again). */
  onTruncated(offset: Offset): void {
    this.isReconciledValue = false
    this.highWatermarkValue = Math.min(this.highWatermarkValue, offset)
  }

  /** The log begins anew at the leader's start. */
  onRestarted(offset: Offset): void {
    this.isReconciledValue = false
    this.highWatermarkValue = offset
  }

  /**
   * The leader answered a Fetch at `fetchOffset` without divergence, and what it sent was appended. Returns whether
   * the high watermark moved.
   */
  onFetched(fetchOffset: Offset, logEndOffset: Offset, leaderHighWatermark: Offset): boolean {
    assert(fetchOffset <= logEndOffset, 'the fetch began at the log end or below')
    this.isReconciledValue = true
    const next = Math.min(leaderHighWatermark, logEndOffset)
    if (next <= this.highWatermarkValue) return false
    this.highWatermarkValue = next
    return true
  }
}
