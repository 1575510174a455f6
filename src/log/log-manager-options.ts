import type { BrokerEpoch, Offset, Uuid } from '../lib/ids.js'
import type { Clock } from '../ports/clock.js'
import type { Disk } from '../ports/disk.js'
import type { Logger } from '../ports/logger.js'
import type { PartitionLog } from './partition-log.js'
import type { LogConfig } from './types.js'

export interface LogManagerConfig {
  /** At most so many fsyncs of partition data in flight: the thread pool's size less two. */
  maxConcurrentSyncs: number
  /** Bytes of recently appended batches kept for followers and tailing consumers, over all logs. */
  tailCacheBytes: number
  /** File handles kept open, over all logs. */
  maxOpenFiles: number
  /** Appends are refused while less is free on the disk: the Raft log lives there too. 0: no reserve. */
  reservedBytes: number
  /** After a clean stop so many logs are checked at once, all others before their first use. */
  checkedAtCleanStart: number
  /** `log.retention.check.interval.ms`. */
  retentionCheckIntervalMs: number
  /** `replica.high.watermark.checkpoint.interval.ms`, for the start offsets and recovery points too. */
  checkpointIntervalMs: number
}

export const DEFAULT_LOG_MANAGER_CONFIG: LogManagerConfig = {
  maxConcurrentSyncs: 8,
  tailCacheBytes: 64 * 1024 * 1024,
  maxOpenFiles: 2048,
  reservedBytes: 64 * 1024 * 1024,
  checkedAtCleanStart: 500,
  retentionCheckIntervalMs: 300_000,
  checkpointIntervalMs: 5_000,
}

export interface LogManagerOptions {
  disk: Disk
  clock: Clock
  logger: Logger
  config: LogManagerConfig
  /** What retention may not pass, and what the checkpoint of high watermarks holds; undefined: not hosted now. */
  highWatermarkOf(topicId: Uuid, partition: number): Offset | undefined
  /** Of this process, for the mark of a clean shutdown (KIP-966); 0: never registered. */
  brokerEpoch?(): BrokerEpoch
  /** A failed fsync or an EIO: nothing of this directory may be trusted or written any more. Called once. */
  onOffline(error: Error): void
  /** A log turned out to be damaged while it was open. It was set aside already; fetch the replica anew. */
  onQuarantined(quarantined: QuarantinedLog): void
}

export interface QuarantinedLog {
  topic: string
  /** undefined where the directory does not tell it any more. */
  topicId: Uuid | undefined
  partition: number
  reason: string
  /** Where its bytes were moved to, below the data directory. */
  directory: string
}

export interface LogSpec {
  /** Validated by the controller (Kafka's rules for names). */
  topic: string
  topicId: Uuid
  partition: number
  config: LogConfig
}

export interface OpenResult {
  /** Kafka's clean-shutdown mark was found. */
  cleanStart: boolean
  logs: readonly PartitionLog[]
  quarantined: readonly QuarantinedLog[]
}
