import type { NodeId } from '../../lib/ids.js'
import { isThrottledReplica } from '../../metadata/config/topic-config.js'
import { maximalIsr } from '../../partition/isr.js'
import { ReplicationQuota } from '../../partition/replication-quota.js'
import type { Partition } from './partition.js'
import type { PartitionServices } from './types.js'

/** What a side of replication may still send or fetch of throttled replicas (KIP-73). */
export interface ThrottledSide {
  /** Bytes that are left for this replica together with all other throttled ones; null: it is not throttled. */
  left(partition: Partition, replica: NodeId): number | null
  charge(bytes: number): void
  /** When to ask again after there was nothing left. */
  delayMs(): number
}

/**
 * The throttles of this broker: `leader.replication.throttled.rate` for what it sends, `follower.…` for what it
 * fetches. They hold for the replicas that the topic names, and only while these are not in sync: what is in the ISR
 * is never held back.
 */
export class ReplicationThrottle {
  readonly asLeader: ThrottledSide
  readonly asFollower: ThrottledSide

  constructor(services: PartitionServices) {
    const { configs, metadata, config } = services
    this.asLeader = new Side(services, 'leader.replication.throttled.rate', {
      isInSync: (partition, replica) => {
        const isr = partition.leading?.isr
        return isr === undefined || maximalIsr(isr).includes(replica)
      },
      isNamed: ({ topic, partitionId }) =>
        isThrottledReplica(configs.topic(topic).leaderThrottledReplicas, partitionId, config.nodeId),
    })
    this.asFollower = new Side(services, 'follower.replication.throttled.rate', {
      isInSync: ({ topicId, partitionId }, replica) => {
        const image = metadata.image.topicsById.get(topicId)?.partitions[partitionId]
        return image === undefined || image.isr.includes(replica)
      },
      isNamed: ({ topic, partitionId }, replica) =>
        isThrottledReplica(configs.topic(topic).followerThrottledReplicas, partitionId, replica),
    })
  }
}

/** The replica that is sent to, on the leader's side; this broker itself, on the follower's. */
interface SideRules {
  isInSync(partition: Partition, replica: NodeId): boolean
  isNamed(partition: Partition, replica: NodeId): boolean
}

class Side implements ThrottledSide {
  private readonly quota: ReplicationQuota

  constructor(
    private readonly services: PartitionServices,
    private readonly rateKey: string,
    private readonly rules: SideRules,
  ) {
    const { configs } = services
    this.quota = new ReplicationQuota({
      windows: configs.int('replication.quota.window.num'),
      windowMs: configs.int('replication.quota.window.size.seconds') * 1_000,
    })
  }

  left(partition: Partition, replica: NodeId): number | null {
    // Nearly always the answer.
    if (this.rules.isInSync(partition, replica)) return null
    const bytesPerSecond = this.services.configs.int(this.rateKey)
    if (bytesPerSecond === Number.MAX_SAFE_INTEGER || !this.rules.isNamed(partition, replica)) return null
    this.quota.setRate(bytesPerSecond)
    return this.quota.available(this.services.clock.monotonicMs())
  }

  charge(bytes: number): void {
    if (bytes > 0) this.quota.record(bytes, this.services.clock.monotonicMs())
  }

  delayMs(): number {
    return this.quota.delayMs(this.services.clock.monotonicMs())
  }
}
