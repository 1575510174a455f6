import type { NodeId } from '../lib/ids.js'
import type { MetadataImage } from './image.js'

export interface ConfigViewOptions {
  nodeId: NodeId
  /** The static broker configuration: Kafka's keys as given. */
  properties: ReadonlyMap<string, string>
  /** Brokers that are configured (voters with the broker role). */
  configuredBrokers: number
  /** The image of the moment. */
  image: () => MetadataImage
}

/** A topic's effective configuration. Bytes and milliseconds; −1: without limit. Immutable: kept by identity until it changes. */
export interface TopicConfig {
  readonly cleanupCompact: boolean
  readonly cleanupDelete: boolean
  readonly cleanupPolicy: string
  readonly compressionType: string
  readonly deleteRetentionMs: number
  readonly fileDeleteDelayMs: number
  readonly flushBeforeAck: boolean
  /** Kafka's default is 2⁶³−1. */
  readonly flushMessages: bigint
  readonly flushMs: bigint
  readonly indexIntervalBytes: number
  readonly maxCompactionLagMs: bigint
  readonly maxMessageBytes: number
  readonly messageTimestampAfterMaxMs: bigint
  readonly messageTimestampBeforeMaxMs: bigint
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime'
  readonly minCleanableDirtyRatio: number
  readonly minCompactionLagMs: bigint
  /** Before the minimum with the partition's number of replicas: see `effectiveMinIsr`. */
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

/** Kafka's codes for DescribeConfigs (v1+). */
export type ConfigSource =
  | 'topic' // 1
  | 'dynamicBroker' // 2
  | 'dynamicDefaultBroker' // 3
  | 'staticBroker' // 4
  | 'default' // 5

export interface DescribedConfig {
  name: string
  /** null: sensitive, or without a value. */
  value: string | null
  source: ConfigSource
  sensitive: boolean
  readOnly: boolean
  type: ConfigType
  documentation: string
  /** In order of precedence; the first is the effective one. */
  synonyms: { name: string; value: string | null; source: ConfigSource }[]
}

export type ConfigType = 'boolean' | 'string' | 'int' | 'short' | 'long' | 'double' | 'list' | 'class' | 'password'

/** Effective configurations: dynamic, static, default. */
export declare class ConfigView {
  constructor(options: ConfigViewOptions)
  /** The same object until something changes. Also for a topic that does not exist: the defaults. */
  topic(name: string): TopicConfig
  /** Of this broker. @throws AssertionError where the key is none of the table or of another type */
  int(name: string): number
  bigint(name: string): bigint
  double(name: string): number
  bool(name: string): boolean
  /** '' where there is no value. */
  string(name: string): string
  list(name: string): string[]
  /** All keys of a topic, sorted. */
  describeTopic(name: string): DescribedConfig[]
  /** All keys of this broker, or of the default of all brokers (''): then only what is set there. */
  describeBroker(id: NodeId | ''): DescribedConfig[]
}

/** The minimum of `min.insync.replicas` and the number of replicas (Kafka since 3.7): for acks=all, for the HW and for the ELR. */
export function effectiveMinIsr(minInsyncReplicas: number, replicas: number): number {
  return Math.min(minInsyncReplicas, replicas)
}
