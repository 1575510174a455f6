import type { Uuid } from '../../lib/ids.js'
import type { Partition } from './partition.js'

/** The replicas of this node, by topic and partition id. */
export class HostedPartitions {
  private readonly topics = new Map<Uuid, Map<number, Partition>>()

  get(topicId: Uuid, partitionId: number): Partition | undefined {
    return this.topics.get(topicId)?.get(partitionId)
  }

  topicIds(): Iterable<Uuid> {
    return this.topics.keys()
  }

  *all(): Iterable<Partition> {
    for (const partitions of this.topics.values()) yield* partitions.values()
  }

  ofTopic(topicId: Uuid): Partition[] {
    return [...(this.topics.get(topicId)?.values() ?? [])]
  }

  add(partition: Partition): void {
    const { topicId, partitionId } = partition
    const partitions = this.topics.get(topicId)
    if (partitions === undefined) this.topics.set(topicId, new Map([[partitionId, partition]]))
    else partitions.set(partitionId, partition)
  }

  remove({ topicId, partitionId }: Partition): void {
    const partitions = this.topics.get(topicId)
    partitions?.delete(partitionId)
    if (partitions?.size === 0) this.topics.delete(topicId)
  }
}
