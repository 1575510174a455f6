import type { OffsetFetchReply } from '../../coordinator/group/types.js'
import { ZERO_UUID } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  OffsetFetch,
  type OffsetFetchRequest,
  type OffsetFetchResponse,
} from '../../wire/messages/offset-fetch.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

type RequestedGroup = OffsetFetchRequest['groups'][number]
type AnsweredGroup = NonNullable<OffsetFetchResponse['groups']>[number]
type AnsweredPartition = OffsetFetchReply['topics'][number]['partitions'][number]

/**
 * OffsetFetch v1-10, from committed offsets alone; one that is missing is -1 and no error. v2+ null topics = all, and
 * an error of the whole group; v1 has it at each partition. v8+ several groups, v10 topic ids.
 *
 * Deviations: `requireStable` (v7+) has nothing to wait for, since there are no transactional commits; `memberId` and
 * `memberEpoch` (v9+, KIP-848) are not checked for groups of the classic protocol, as in Kafka.
 */
export function offsetFetchHandler(
  services: BrokerServices,
): ApiHandler<OffsetFetchRequest, OffsetFetchResponse> {
  return {
    api: OffsetFetch,
    handle(request, context, responder) {
      if (context.apiVersion >= 8) {
        fetchGroups(services, request.groups, context.apiVersion, (groups) => responder.send({ groups }))
        return
      }
      const { groupId, topics } = request
      services.groups.fetchOffsets({ groupId, topics }, (reply) => {
        if (reply.errorCode !== ErrorCode.NONE && context.apiVersion < 2) {
          responder.send({ topics: failedTopics(topics ?? [], reply.errorCode) })
          return
        }
        const answered = reply.topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(answeredPartition),
        }))
        responder.send({ errorCode: reply.errorCode, topics: answered })
      })
    },
  }
}

function answeredPartition(partition: AnsweredPartition) {
  return {
    partitionIndex: partition.partitionIndex,
    committedOffset: partition.offset,
    committedLeaderEpoch: partition.leaderEpoch,
    metadata: partition.metadata,
    errorCode: ErrorCode.NONE,
  }
}

function failedTopics(
  topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[],
  errorCode: number,
) {
  return topics.map(({ name, partitionIndexes }) => ({
    name,
    partitions: failedPartitions(partitionIndexes, errorCode),
  }))
}

function failedPartitions(partitionIndexes: readonly number[], errorCode: number) {
  return partitionIndexes.map((partitionIndex) => ({
    partitionIndex,
    committedOffset: -1,
    committedLeaderEpoch: -1,
    metadata: '',
    errorCode,
  }))
}

function fetchGroups(
  services: BrokerServices,
  groups: readonly RequestedGroup[],
  apiVersion: number,
  done: (answered: AnsweredGroup[]) => void,
): void {
  const answered: AnsweredGroup[] = new Array(groups.length)
  let open = groups.length
  if (open === 0) done([])
  groups.forEach((group, at) => {
    fetchGroup(services, group, apiVersion, (answer) => {
      answered[at] = answer
      if (--open === 0) done(answered)
    })
  })
}

function fetchGroup(
  services: BrokerServices,
  group: RequestedGroup,
  apiVersion: number,
  done: (answer: AnsweredGroup) => void,
): void {
  const { groupId } = group
  const byId = apiVersion >= 10
  const { image } = services.metadata
  const unknown: AnsweredGroup['topics'][number][] = []
  const topics = group.topics?.flatMap((topic) => {
    const name = byId ? image.topicsById.get(topic.topicId)?.name : topic.name
    if (name !== undefined) return [{ name, partitionIndexes: topic.partitionIndexes }]
    const partitions = failedPartitions(topic.partitionIndexes, ErrorCode.UNKNOWN_TOPIC_ID)
    unknown.push({ topicId: topic.topicId, name: '', partitions })
    return []
  })
  services.groups.fetchOffsets({ groupId, topics: topics ?? null }, (reply) => {
    if (reply.errorCode !== ErrorCode.NONE) {
      done({ groupId, topics: [], errorCode: reply.errorCode })
      return
    }
    const found = reply.topics.flatMap(({ name, partitions }) => {
      const topicId = byId ? image.topicsByName.get(name)?.id : ZERO_UUID
      // All were asked for, and this one is no more: it has no id to be named by.
      if (topicId === undefined) return []
      return [{ name, topicId, partitions: partitions.map(answeredPartition) }]
    })
    done({ groupId, topics: [...found, ...unknown], errorCode: ErrorCode.NONE })
  })
}
