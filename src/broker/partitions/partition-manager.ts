import type { LeaderEpoch, Offset, Uuid } from '../../lib/ids.js'
import type { AppendResult, MetadataChange } from '../services.js'
import type {
  AppendOptions,
  CommittedRead,
  LeadershipEvent,
  PartitionServices,
  PartitionStatus,
} from './types.js'

export type { AppendOptions, CommittedRead, LeadershipEvent, PartitionServices, PartitionStatus }

/** All replicas of this broker: follows the metadata image, appends, reads, replicates. */
export class PartitionManager {
  constructor(private readonly services: PartitionServices) {}

  /**
   * Appends whole batches (exactly one for a client) through the local leader. `records` belongs to the partition
   * from here on: offsets and leader epoch are written in place. `done` is called once, never before this returned.
   */
  appendAsLeader(
    topicId: Uuid,
    partitionId: number,
    records: Uint8Array,
    options: AppendOptions,
    done: (result: AppendResult) => void,
  ): void {
    throw new Error(`not built yet ${topicId} ${partitionId} ${records} ${options} ${done} ${this.services}`)
  }

  /** Local leader only, below the high watermark: the coordinators' loader. The first batch comes whole. */
  readCommitted(topicId: Uuid, partitionId: number, offset: Offset, maxBytes: number): CommittedRead {
    throw new Error(`not built yet ${topicId} ${partitionId} ${offset} ${maxBytes}`)
  }

  /** Undefined: no such replica here. */
  leadership(topicId: Uuid, partitionId: number): { isLeader: boolean; leaderEpoch: LeaderEpoch } | undefined {
    throw new Error(`not built yet ${topicId} ${partitionId}`)
  }

  /** Called when a local replica begins to lead (after the epoch's start was recorded), and when it ceases to. */
  onLeadership(listener: (event: LeadershipEvent) => void): void {
    throw new Error(`not built yet ${listener}`)
  }

  list(): PartitionStatus[] {
    throw new Error('not built yet')
  }

  /** Replicas whose logs were damaged: named in the next broker heartbeat. */
  quarantined(): { topicId: Uuid; partitionId: number }[] {
    throw new Error('not built yet')
  }

  /** After the image was applied. */
  onMetadata(change: MetadataChange): void {
    throw new Error(`not built yet ${change}`)
  }

  /** Takes no new produce or fetch sessions; what waits is answered. */
  prepareShutdown(): void {
    throw new Error('not built yet')
  }

  close(done: () => void): void {
    throw new Error(`not built yet ${done}`)
  }
}
