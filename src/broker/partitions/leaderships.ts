import type { LeaderEpoch, Offset } from '../../lib/ids.js'
import type { Partition } from './partition.js'
import type { LeadershipEvent } from './types.js'

/** The replicas that lead here, and whoever wants to hear of it. */
export class Leaderships {
  private readonly listeners: ((event: LeadershipEvent) => void)[] = []
  /** Leaderships that the listeners were told of. */
  private readonly announced = new Map<Partition, LeaderEpoch>()

  /** Called when a local replica begins to lead (after the epoch's start was recorded), and when it ceases to. */
  listen(listener: (event: LeadershipEvent) => void): void {
    this.listeners.push(listener)
  }

  leaders(): Iterable<Partition> {
    return this.announced.keys()
  }

  get count(): number {
    return this.announced.size
  }

  /** A new leader epoch began. */
  begin(partition: Partition): void {
    this.end(partition)
    this.announced.set(partition, partition.leaderEpoch)
    this.announce(partition, true, partition.leaderEpoch, partition.leading!.epochStartOffset)
  }

  /** It leads no more, if it did. */
  end(partition: Partition): void {
    const leaderEpoch = this.announced.get(partition)
    if (leaderEpoch === undefined) return
    this.announced.delete(partition)
    this.announce(partition, false, leaderEpoch, -1)
  }

  /** The broker stops: nobody is told any more. */
  clear(): void {
    this.announced.clear()
  }

  private announce(
    partition: Partition,
    isLeader: boolean,
    leaderEpoch: LeaderEpoch,
    epochStartOffset: Offset,
  ): void {
    const { topicId, topic, partitionId } = partition
    for (const listener of this.listeners) {
      listener({ topicId, topic, partitionId, isLeader, leaderEpoch, epochStartOffset })
    }
  }
}
