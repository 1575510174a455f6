import type { LeaderEpoch, Offset } from '../../lib/ids.js'
import type { EpochEnd } from '../../partition/follower-state.js'
import type { LeaderState } from '../../partition/leader-state.js'
import { ErrorCode } from '../../wire/errors.js'
import type { Partition } from './partition.js'

export interface ReadOptions {
  fetchOffset: Offset
  currentLeaderEpoch: LeaderEpoch
  /** -1: do not look for a divergence. */
  lastFetchedEpoch: LeaderEpoch
  isReplica: boolean
  maxBytes: number
  minOneBatch: boolean
}

/** Offsets are -1 where this replica could not say. */
export interface PartitionRead {
  errorCode: number
  highWatermark: Offset
  logStartOffset: Offset
  diverging: EpochEnd | null
  chunks: readonly Uint8Array[]
  byteLength: number
}

/** KIP-320: the epoch that the asker knows must be ours. -1: not checked. */
export function checkLeaderEpoch(partition: Partition, currentLeaderEpoch: LeaderEpoch): number {
  if (currentLeaderEpoch < 0 || currentLeaderEpoch === partition.leaderEpoch) return ErrorCode.NONE
  return currentLeaderEpoch < partition.leaderEpoch
    ? ErrorCode.FENCED_LEADER_EPOCH
    : ErrorCode.UNKNOWN_LEADER_EPOCH
}

/** The leader's state where this replica leads under the epoch that the asker knows; else the error. */
export function leaderFor(
  partition: Partition,
  currentLeaderEpoch: LeaderEpoch,
): { state: LeaderState } | { errorCode: number } {
  if (partition.health === 'offline' || partition.health === 'quarantined') {
    return { errorCode: ErrorCode.KAFKA_STORAGE_ERROR }
  }
  const errorCode = checkLeaderEpoch(partition, currentLeaderEpoch)
  if (errorCode !== ErrorCode.NONE) return { errorCode }
  const state = partition.leading
  return state === undefined ? { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER } : { state }
}

export function failedRead(errorCode: number): PartitionRead {
  return { errorCode, highWatermark: -1, logStartOffset: -1, diverging: null, chunks: [], byteLength: 0 }
}

/**
 * One partition of a Fetch. Clients read below the high watermark, replicas to the log's end, before the leader's
 * own fsync. A position between the two is an empty answer, never OFFSET_OUT_OF_RANGE.
 */
export function readForFetch(partition: Partition, asked: ReadOptions): PartitionRead {
  const leader = leaderFor(partition, asked.currentLeaderEpoch)
  if ('errorCode' in leader) return failedRead(leader.errorCode)
  const { log } = partition
  const read: PartitionRead = {
    errorCode: ErrorCode.NONE,
    highWatermark: leader.state.highWatermark,
    logStartOffset: log.logStartOffset,
    diverging: null,
    chunks: [],
    byteLength: 0,
  }
  if (asked.fetchOffset < log.logStartOffset) return { ...read, errorCode: ErrorCode.OFFSET_OUT_OF_RANGE }
  const diverging = divergence(partition, asked)
  // A client cannot cut: it is told that its position is gone.
  if (diverging !== null && diverging.epoch < 0 && !asked.isReplica) return outOfRange(partition, read)
  if (diverging !== null) return { ...read, diverging }
  if (asked.fetchOffset > log.logEndOffset) return outOfRange(partition, read)
  const limit = asked.isReplica ? log.logEndOffset : leader.state.highWatermark
  if (asked.fetchOffset >= limit || (asked.maxBytes <= 0 && !asked.minOneBatch)) return read
  try {
    const slice = log.read(asked.fetchOffset, limit, asked.maxBytes, asked.minOneBatch)
    return { ...read, chunks: slice.chunks, byteLength: slice.byteLength }
  } catch (error) {
    partition.reportFailure(error as Error)
    return { ...read, errorCode: ErrorCode.KAFKA_STORAGE_ERROR }
  }
}

/** A client that is told so begins anew somewhere else: not on the word of a leader that others may have replaced. */
function outOfRange(partition: Partition, read: PartitionRead): PartitionRead {
  return partition.mayBeDeposed
    ? failedRead(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    : { ...read, errorCode: ErrorCode.OFFSET_OUT_OF_RANGE }
}

/** KIP-595's check in Fetch v12: does our log hold the asker's last record? Null where it does. */
function divergence(partition: Partition, asked: ReadOptions): EpochEnd | null {
  if (asked.lastFetchedEpoch < 0) return null
  const end = partition.log.endOffsetForEpoch(asked.lastFetchedEpoch)
  if (end.epoch < 0) return { epoch: -1, endOffset: partition.log.logStartOffset }
  return end.epoch < asked.lastFetchedEpoch || end.endOffset < asked.fetchOffset ? end : null
}
