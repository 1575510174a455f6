import type { Uuid } from '../../lib/ids.js'
import type { Partition } from './partition.js'

/** The replicas of this node, by topic and partition id. */
export class HostedPartitions {
  private readonly topics = new Map<Uuid, Map<number, Partition>>()
  /** Of all, until one is added or removed. */
  private list: readonly Partition[] | null = null

  get(topicId: Uuid, partitionId: number): Partition | undefined {
    return this.topics.get(topicId)?.get(partitionId)
  }

  topicIds(): Iterable<Uuid> {
    return this.topics.keys()
  }

  /** As they are now: what is added or removed meanwhile changes nothing in it. */
  all(): readonly Partition[] {
    this.list ??= [...this.topics.values()].flatMap((partitions) => [...partitions.values()])
    return this.list
  }

  ofTopic(topicId: Uuid): Partition[] {
    return [...(this.topics.get(topicId)?.values() ?? [])]
  }

  add(partition: Partition): void {
    this.list = null
    const { topicId, partitionId } = partition
    const partitions = this.topics.get(topicId)
    if (partitions === undefined) this.topics.set(topicId, new Map([[partitionId, partition]]))
    else partitions.set(partitionId, partition)
  }

  remove({ topicId, partitionId }: Partition): void {
    this.list = null
    const partitions = this.topics.get(topicId)
    partitions?.delete(partitionId)
    if (partitions?.size === 0) this.topics.delete(topicId)
  }
}
