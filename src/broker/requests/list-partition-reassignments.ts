import type { PartitionImage, TopicImage } from '../../metadata/image.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  ListPartitionReassignments,
  type ListPartitionReassignmentsRequest,
  type ListPartitionReassignmentsResponse,
} from '../../wire/messages/list-partition-reassignments.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

type Topic = ListPartitionReassignmentsResponse['topics'][number]

/**
 * ListPartitionReassignments, version 0 (KIP-455), from what this broker has applied. As in Kafka, partitions that are
 * not being moved, or do not exist, are left out without an error.
 */
export function listPartitionReassignmentsHandler(
  services: BrokerServices,
): ApiHandler<ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse> {
  return {
    api: ListPartitionReassignments,
    handle(request, _context, responder) {
      const { image } = services.metadata
      const topics =
        request.topics === null
          ? [...image.topicsByName.values()].map((topic) => describe(topic, topic.partitions.keys()))
          : request.topics.flatMap(({ name, partitionIndexes }) => {
              const topic = image.topicsByName.get(name)
              return topic === undefined ? [] : [describe(topic, new Set(partitionIndexes))]
            })
      responder.send({
        errorCode: ErrorCode.NONE,
        errorMessage: null,
        topics: topics.filter(({ partitions }) => partitions.length > 0),
      })
    },
  }
}

function describe(topic: TopicImage, partitionIds: Iterable<number>): Topic {
  const partitions: Topic['partitions'][number][] = []
  for (const partitionIndex of partitionIds) {
    const partition = topic.partitions[partitionIndex]
    if (partition === undefined || !isMoving(partition)) continue
    const { replicas, addingReplicas, removingReplicas } = partition
    partitions.push({
      partitionIndex,
      replicas: [...replicas],
      addingReplicas: [...addingReplicas],
      removingReplicas: [...removingReplicas],
    })
  }
  return { name: topic.name, partitions }
}

function isMoving({ addingReplicas, removingReplicas }: PartitionImage): boolean {
  return addingReplicas.length > 0 || removingReplicas.length > 0
}
