import { NO_NODE, ZERO_UUID } from '../../lib/ids.js'
import type { MetadataImage, PartitionImage, TopicImage } from '../../metadata/image.js'
import { isInternalTopic } from '../../metadata/topic-names.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  DescribeTopicPartitions,
  type DescribeTopicPartitionsRequest,
  type DescribeTopicPartitionsResponse,
} from '../../wire/messages/describe-topic-partitions.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { offlineReplicas, topicOperations } from './admin.js'

type ResponseTopic = DescribeTopicPartitionsResponse['topics'][number]

/** Kafka's `max.request.partition.size.limit`. */
const MAX_PARTITIONS = 2_000

/**
 * DescribeTopicPartitions, version 0 (KIP-966): topics by name, from the cursor on, up to the limit; no names ask for
 * all topics. Eligible and last known leader replicas are given.
 */
export function describeTopicPartitionsHandler(
  services: BrokerServices,
): ApiHandler<DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse> {
  return {
    api: DescribeTopicPartitions,
    handle(request, _context, responder) {
      responder.send(page(services.metadata.image, request))
    },
  }
}

function page(
  image: MetadataImage,
  request: DescribeTopicPartitionsRequest,
): DescribeTopicPartitionsResponse {
  const { cursor } = request
  const asked =
    request.topics.length === 0 ? image.topicsByName.keys() : request.topics.map(({ name }) => name)
  const names = [...new Set(asked)].filter((name) => cursor === null || name >= cursor.topicName).sort()
  let left = Math.min(Math.max(request.responsePartitionLimit, 1), MAX_PARTITIONS)
  const topics: ResponseTopic[] = []
  for (const name of names) {
    const topic = image.topicsByName.get(name)
    if (topic === undefined) {
      topics.push(unknownTopic(name))
      continue
    }
    const first = cursor?.topicName === name ? Math.max(cursor.partitionIndex, 0) : 0
    if (left === 0) return { topics, nextCursor: { topicName: name, partitionIndex: first } }
    const described = describeTopic(image, topic, first, left)
    topics.push(described)
    left -= described.partitions.length
    const next = first + described.partitions.length
    if (next < topic.partitions.length)
      return { topics, nextCursor: { topicName: name, partitionIndex: next } }
  }
  return { topics, nextCursor: null }
}

function describeTopic(image: MetadataImage, topic: TopicImage, first: number, limit: number): ResponseTopic {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: isInternalTopic(topic.name),
    partitions: topic.partitions
      .slice(first, first + limit)
      .map((partition, i) => describePartition(image, partition, first + i)),
    topicAuthorizedOperations: topicOperations(true),
  }
}

function describePartition(
  image: MetadataImage,
  partition: PartitionImage,
  partitionIndex: number,
): ResponseTopic['partitions'][number] {
  return {
    errorCode: partition.leader === NO_NODE ? ErrorCode.LEADER_NOT_AVAILABLE : ErrorCode.NONE,
    partitionIndex,
    leaderId: partition.leader,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes: partition.replicas,
    isrNodes: partition.isr,
    eligibleLeaderReplicas: partition.elr,
    lastKnownElr: partition.lastKnownElr,
    offlineReplicas: offlineReplicas(image, partition.replicas),
  }
}

function unknownTopic(name: string): ResponseTopic {
  return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name, topicId: ZERO_UUID, partitions: [] }
}
