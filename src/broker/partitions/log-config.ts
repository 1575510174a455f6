import type { LogConfig } from '../../log/types.js'
import type { TopicConfig } from '../../metadata/configs.js'

/** The part of a topic's configuration that its logs follow. */
export function logConfigOf(config: TopicConfig): LogConfig {
  const { cleanupCompact, cleanupDelete } = config
  return {
    segmentBytes: config.segmentBytes,
    segmentMs: config.segmentMs,
    indexIntervalBytes: config.indexIntervalBytes,
    segmentIndexBytes: config.segmentIndexBytes,
    retentionBytes: config.retentionBytes,
    retentionMs: config.retentionMs,
    cleanupPolicy: cleanupCompact ? (cleanupDelete ? 'compact,delete' : 'compact') : 'delete',
    fileDeleteDelayMs: config.fileDeleteDelayMs,
  }
}
