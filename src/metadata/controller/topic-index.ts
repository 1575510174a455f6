import type { NodeId } from '../../lib/ids.js'
import type { MetadataImage, PartitionImage } from '../image.js'
import type { MetadataRecord } from '../records.js'
import { collisionKey } from '../topic-names.js'

type Replicas = PartitionImage['replicas']

/** What the creation of a topic would have to look at every other one for; kept along with the speculative image. */
export class TopicIndex {
  /** Names by what they collide under. */
  readonly collisions = new Map<string, string>()
  /** How many replicas each broker has, and of how many partitions it is the preferred leader. */
  readonly replicaCounts = new Map<NodeId, number>()
  readonly preferredCounts = new Map<NodeId, number>()

  reset(image: MetadataImage): void {
    this.collisions.clear()
    this.replicaCounts.clear()
    this.preferredCounts.clear()
    for (const topic of image.topicsById.values()) {
      this.collisions.set(collisionKey(topic.name), topic.name)
      for (const { replicas } of topic.partitions) this.count(replicas, 1)
    }
  }

  /** Before `image` has applied the record. */
  observe(record: MetadataRecord, image: MetadataImage): void {
    switch (record.type) {
      case 'topicRecord':
        this.collisions.set(collisionKey(record.name), record.name)
        return
      case 'removeTopicRecord': {
        const topic = image.topicsById.get(record.topicId)
        if (topic === undefined) return
        this.collisions.delete(collisionKey(topic.name))
        for (const { replicas } of topic.partitions) this.count(replicas, -1)
        return
      }
      case 'partitionRecord':
      case 'partitionChangeRecord': {
        const former = image.topicsById.get(record.topicId)?.partitions[record.partitionId]?.replicas ?? []
        const next = replicasOf(record)
        if (next === undefined) return
        this.count(former, -1)
        this.count(next, 1)
        return
      }
    }
  }

  private count(replicas: Replicas, change: 1 | -1): void {
    const preferred = replicas[0]
    if (preferred !== undefined) add(this.preferredCounts, preferred, change)
    for (const replica of replicas) add(this.replicaCounts, replica, change)
  }
}

function replicasOf(
  record: Extract<MetadataRecord, { type: 'partitionRecord' | 'partitionChangeRecord' }>,
): Replicas | undefined {
  return record.type === 'partitionRecord' ? record.replicas : record.replicas?.nodes
}

function add(counts: Map<NodeId, number>, node: NodeId, change: number): void {
  counts.set(node, (counts.get(node) ?? 0) + change)
}
