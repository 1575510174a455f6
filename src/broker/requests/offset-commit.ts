import type { OffsetCommitTopic } from '../../coordinator/group/types.js'
import { ZERO_UUID } from '../../lib/ids.js'
import type { MetadataImage, TopicImage } from '../../metadata/image.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  OffsetCommit,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
} from '../../wire/messages/offset-commit.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

type RequestedTopic = OffsetCommitRequest['topics'][number]
type RequestedPartition = RequestedTopic['partitions'][number]

/**
 * OffsetCommit v2-10. v2-4 may name a retention, v7+ the instance id, v9+ GROUP_ID_NOT_FOUND, v10 topic ids in place
 * of names. Answered once the offsets are committed in the log. Partitions that do not exist are refused one by one:
 * UNKNOWN_TOPIC_OR_PARTITION, or UNKNOWN_TOPIC_ID. Deviations: none.
 */
export function offsetCommitHandler(
  services: BrokerServices,
): ApiHandler<OffsetCommitRequest, OffsetCommitResponse> {
  return {
    api: OffsetCommit,
    handle(request, context, responder) {
      const { image } = services.metadata
      const known = request.topics.map((topic) => ({
        requested: topic,
        image: findTopic(image, topic, context.apiVersion),
      }))
      const commit = {
        groupId: request.groupId,
        memberId: request.memberId,
        groupInstanceId: request.groupInstanceId,
        generationId: request.generationIdOrMemberEpoch,
        retentionTimeMs:
          context.apiVersion <= 4 && request.retentionTimeMs >= 0 ? request.retentionTimeMs : null,
        groupIdNotFoundSupported: context.apiVersion >= 9,
        topics: known.flatMap(({ requested, image }) =>
          image === undefined ? [] : [toCommit(requested, image)],
        ),
      }
      services.groups.commitOffsets(commit, (reply) => {
        // The reply names the topics that exist, in the same order.
        let next = 0
        const topics = known.map(({ requested, image }) => {
          const errors = new Map<number, number>()
          for (const each of image === undefined ? [] : reply.topics[next++]!.partitions) {
            errors.set(each.partitionIndex, each.errorCode)
          }
          return {
            name: requested.name,
            topicId: requested.topicId,
            partitions: requested.partitions.map(({ partitionIndex }) => ({
              partitionIndex,
              errorCode: errors.get(partitionIndex) ?? missing(image, context.apiVersion),
            })),
          }
        })
        responder.send({ topics })
      })
    },
  }
}

function findTopic(image: MetadataImage, topic: RequestedTopic, apiVersion: number): TopicImage | undefined {
  return apiVersion >= 10 ? image.topicsById.get(topic.topicId) : image.topicsByName.get(topic.name)
}

function toCommit(topic: RequestedTopic, image: TopicImage): OffsetCommitTopic {
  const exists = (partition: RequestedPartition): boolean =>
    partition.partitionIndex >= 0 && partition.partitionIndex < image.partitions.length
  return {
    name: image.name,
    topicId: image.id ?? ZERO_UUID,
    partitions: topic.partitions.filter(exists).map((partition) => ({
      partitionIndex: partition.partitionIndex,
      offset: partition.committedOffset,
      leaderEpoch: partition.committedLeaderEpoch,
      metadata: partition.committedMetadata ?? '',
    })),
  }
}

function missing(image: TopicImage | undefined, apiVersion: number): number {
  return image === undefined && apiVersion >= 10
    ? ErrorCode.UNKNOWN_TOPIC_ID
    : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
}
