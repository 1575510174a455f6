import type { NodeId } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import { ListOffsets } from '../../wire/messages/list-offsets.js'
import type { KafkaClient } from './client.js'
import { KafkaConnectionError, KafkaError, throwIfError } from './errors.js'

/** Places in a log, as ListOffsets names them. */
export const EARLIEST = -2n
export const LATEST = -1n

/** The offset of a place in each partition, asked of its leader; tried again while leaders move. */
export function listOffsets(
  client: KafkaClient,
  topicName: string,
  partitions: readonly number[],
  place: bigint,
): Promise<Map<number, number>> {
  const found = new Map<number, number>()
  return client.retrying(async () => {
    const topic = await client.topic(topicName)
    const byLeader = new Map<NodeId, number[]>()
    for (const index of partitions.filter((p) => !found.has(p))) {
      const leader = topic.partitions.find((p) => p.index === index)?.leader ?? -1
      if (leader < 0)
        throw new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE, `Partition ${topicName}-${index} has no leader`)
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), index])
    }
    for (const [leader, indexes] of byLeader) {
      const answer = await client.requestFrom(leader, ListOffsets, {
        replicaId: -1,
        topics: [
          {
            name: topicName,
            partitions: indexes.map((partitionIndex) => ({ partitionIndex, timestamp: place })),
          },
        ],
      })
      const results = answer.topics[0]?.partitions
      if (results === undefined) throw new KafkaConnectionError('a ListOffsets answer without the topic')
      for (const result of results) {
        throwIfError(result.errorCode)
        found.set(result.partitionIndex, result.offset)
      }
    }
    return found
  })
}
