import type { NodeId } from '../../lib/ids.js'
import type { ConfigView } from '../../metadata/configs.js'
import type { Eligibility } from '../../partition/leader-state.js'
import type { Clock } from '../../ports/clock.js'
import type { Compression } from '../../ports/compression.js'
import type { Logger } from '../../ports/logger.js'
import type { Deadlines } from './deadlines.js'
import type { Partition } from './partition.js'

/** What all partitions of a node share. */
export interface PartitionContext {
  readonly nodeId: NodeId
  readonly clock: Clock
  readonly logger: Logger
  readonly configs: Pick<ConfigView, 'topic'>
  readonly compression: Compression
  readonly deadlines: Deadlines
  /** `replica.lag.time.max.ms`. */
  readonly lagTimeMaxMs: number
  /** `producer.id.expiration.ms`. */
  readonly producerExpirationMs: number
  readonly eligibility: Eligibility
  /** The loop stood still just now: `Partition.onStall` will come, and no follower is judged before. */
  isStalled(): boolean
  /** See PartitionServices. */
  isCutOff(): boolean
  /** `Partition.proposeIsr` is called soon, and its result carried to the controller. */
  onIsrWanted(partition: Partition): void
  /** The leader that the image names now, for the hint of KIP-951. */
  currentLeader(partition: Partition): { leaderId: NodeId; leaderEpoch: number }
  /** An fsync of this replica's log failed, so nothing it holds may be promised any more. */
  onDiskFailure(partition: Partition, error: Error): void
}
