import { assert } from '../../lib/assert.js'
import type { NodeId } from '../../lib/ids.js'
import { parseList } from './definitions.js'

/** A topic's effective configuration. Bytes and milliseconds; −1: without limit. Immutable: kept by identity until it changes. */
export interface TopicConfig {
  readonly cleanupCompact: boolean
  readonly cleanupDelete: boolean
  readonly cleanupPolicy: string
  readonly compressionType: string
  readonly compressionLevels: { readonly gzip: number; readonly lz4: number; readonly zstd: number }
  readonly deleteRetentionMs: number
  readonly fileDeleteDelayMs: number
  readonly flushBeforeAck: boolean
  /** Kafka's default is 2⁶³−1, hence a bigint. */
  readonly flushMessages: bigint
  readonly flushMs: bigint
  readonly followerThrottledReplicas: ThrottledReplicas
  readonly indexIntervalBytes: number
  readonly leaderThrottledReplicas: ThrottledReplicas
  readonly maxCompactionLagMs: bigint
  readonly maxMessageBytes: number
  readonly messageTimestampAfterMaxMs: bigint
  readonly messageTimestampBeforeMaxMs: bigint
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime'
  readonly minCleanableDirtyRatio: number
  readonly minCompactionLagMs: bigint
  /** As configured: `effectiveMinIsr` takes the number of replicas into account. */
  readonly minInsyncReplicas: number
  readonly preallocate: boolean
  readonly retentionBytes: number
  readonly retentionMs: number
  readonly segmentBytes: number
  readonly segmentIndexBytes: number
  readonly segmentJitterMs: number
  readonly segmentMs: number
  readonly uncleanLeaderElectionEnable: boolean
}

/** KIP-73: `partition:broker` of each, or all of the topic's. */
export type ThrottledReplicas = 'all' | ReadonlySet<string>

export function isThrottledReplica(list: ThrottledReplicas, partitionId: number, broker: NodeId): boolean {
  return list === 'all' || (list.size > 0 && list.has(`${partitionId}:${broker}`))
}

function throttledReplicas(value: string): ThrottledReplicas {
  const elements = parseList(value)
  return elements.includes('*') ? 'all' : new Set(elements)
}

/** value: the effective, validated value of a topic's key. */
export function buildTopicConfig(value: (key: string) => string, flushBeforeAck: boolean): TopicConfig {
  const number = (key: string): number => Math.min(Number.MAX_SAFE_INTEGER, Number(value(key)))
  const bigint = (key: string): bigint => BigInt(value(key))
  const bool = (key: string): boolean => value(key).toLowerCase() === 'true'
  const policies = parseList(value('cleanup.policy'))
  const timestampType = value('message.timestamp.type')
  assert(
    timestampType === 'CreateTime' || timestampType === 'LogAppendTime',
    'message.timestamp.type was validated',
  )
  return {
    cleanupCompact: policies.includes('compact'),
    cleanupDelete: policies.includes('delete'),
    cleanupPolicy: value('cleanup.policy'),
    compressionType: value('compression.type'),
    compressionLevels: {
      gzip: number('compression.gzip.level'),
      lz4: number('compression.lz4.level'),
      zstd: number('compression.zstd.level'),
    },
    deleteRetentionMs: number('delete.retention.ms'),
    fileDeleteDelayMs: number('file.delete.delay.ms'),
    flushBeforeAck,
    flushMessages: bigint('flush.messages'),
    flushMs: bigint('flush.ms'),
    followerThrottledReplicas: throttledReplicas(value('follower.replication.throttled.replicas')),
    indexIntervalBytes: number('index.interval.bytes'),
    leaderThrottledReplicas: throttledReplicas(value('leader.replication.throttled.replicas')),
    maxCompactionLagMs: bigint('max.compaction.lag.ms'),
    maxMessageBytes: number('max.message.bytes'),
    messageTimestampAfterMaxMs: bigint('message.timestamp.after.max.ms'),
    messageTimestampBeforeMaxMs: bigint('message.timestamp.before.max.ms'),
    messageTimestampType: timestampType,
    minCleanableDirtyRatio: number('min.cleanable.dirty.ratio'),
    minCompactionLagMs: bigint('min.compaction.lag.ms'),
    minInsyncReplicas: number('min.insync.replicas'),
    preallocate: bool('preallocate'),
    retentionBytes: number('retention.bytes'),
    retentionMs: number('retention.ms'),
    segmentBytes: number('segment.bytes'),
    segmentIndexBytes: number('segment.index.bytes'),
    segmentJitterMs: number('segment.jitter.ms'),
    segmentMs: number('segment.ms'),
    uncleanLeaderElectionEnable: bool('unclean.leader.election.enable'),
  }
}
