import type { LogConfig } from '../../log/types.js'
import type { TopicConfig } from '../../metadata/configs.js'

const NEVER = 2n ** 63n - 1n

/** The part of a topic's configuration that its logs follow. */
export function logConfigOf(config: TopicConfig): LogConfig {
  const { cleanupCompact, cleanupDelete, flushBeforeAck } = config
  // What is synced before its acknowledgement needs no other occasion.
  const flushLimit = (value: bigint): number =>
    flushBeforeAck || value === NEVER ? Number.POSITIVE_INFINITY : Number(value)
  return {
    segmentBytes: config.segmentBytes,
    segmentMs: config.segmentMs,
    indexIntervalBytes: config.indexIntervalBytes,
    segmentIndexBytes: config.segmentIndexBytes,
    retentionBytes: config.retentionBytes,
    retentionMs: config.retentionMs,
    cleanupPolicy: cleanupCompact ? (cleanupDelete ? 'compact,delete' : 'compact') : 'delete',
    fileDeleteDelayMs: config.fileDeleteDelayMs,
    flushMessages: flushLimit(config.flushMessages),
    flushMs: flushLimit(config.flushMs),
  }
}
