import type { GroupSettings } from '../../coordinator/group/effects.js'
import type { ConfigView } from '../../metadata/configs.js'

const MINUTE_MS = 60_000

/** Kafka's keys, at their present values. */
export function groupSettings(configs: ConfigView): GroupSettings {
  return {
    minSessionTimeoutMs: configs.int('group.min.session.timeout.ms'),
    maxSessionTimeoutMs: configs.int('group.max.session.timeout.ms'),
    initialRebalanceDelayMs: configs.int('group.initial.rebalance.delay.ms'),
    maxSize: configs.int('group.max.size'),
    offsetMetadataMaxBytes: configs.int('offset.metadata.max.bytes'),
    offsetsRetentionMs: configs.int('offsets.retention.minutes') * MINUTE_MS,
  }
}
