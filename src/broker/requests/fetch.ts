import type { BrokerEpoch, NodeId, Uuid } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import { Fetch, type FetchRequest, type FetchResponse } from '../../wire/messages/fetch.js'
import type { ApiHandler, RequestContext } from '../handler.js'
import type { FetchAnswer } from '../partitions/fetch-task.js'
import type { FetchOutcome } from '../partitions/fetches.js'
import type { BrokerServices } from '../services.js'
import { nodeEndpoints } from './leader-hints.js'

type TopicResponse = FetchResponse['responses'][number]
type PartitionResponse = TopicResponse['partitions'][number]

const TOPIC_IDS_SINCE = 13
const REPLICA_STATE_SINCE = 15

/**
 * Fetch v4-18. Deviations: a replica id is honoured on the inter-broker listener only; there is no preferred read
 * replica; without transactions the last stable offset is the high watermark; a replica's session does not send a
 * partition again before the replica has named it (see FetchTask).
 */
export function fetchHandler(services: BrokerServices): ApiHandler<FetchRequest, FetchResponse> {
  return {
    api: Fetch,
    handle(request, context, responder) {
      const replica = replicaOf(request, context)
      if (replica !== null && !context.isInterBrokerListener) {
        responder.close(`replica ${replica.id} may fetch on the inter-broker listener only`)
        return
      }
      const usesTopicIds = context.apiVersion >= TOPIC_IDS_SINCE
      services.partitions.fetches.fetch(
        request,
        {
          replica,
          usesTopicIds,
          roomBytes: () => context.answerRoomBytes(),
          onClose: (input) => context.onClose(input),
        },
        (outcome) => responder.send(describe(services, outcome, context)),
      )
    },
  }
}

function replicaOf(
  request: FetchRequest,
  context: RequestContext,
): { id: NodeId; epoch: BrokerEpoch } | null {
  const { replicaState, replicaId } = request
  const state =
    context.apiVersion >= REPLICA_STATE_SINCE
      ? { id: replicaState.replicaId, epoch: replicaState.replicaEpoch }
      : { id: replicaId, epoch: -1 }
  return state.id >= 0 ? state : null
}

function describe(services: BrokerServices, outcome: FetchOutcome, context: RequestContext): FetchResponse {
  const topics = new Map<string, { topic: string; topicId: Uuid; partitions: PartitionResponse[] }>()
  const leaders: NodeId[] = []
  for (const answer of outcome.answers) {
    const { topic, topicId } = answer.asked
    const key = context.apiVersion >= TOPIC_IDS_SINCE ? topicId : topic
    let group = topics.get(key)
    if (group === undefined) topics.set(key, (group = { topic, topicId, partitions: [] }))
    group.partitions.push(describePartition(services, answer, context, leaders))
  }
  return {
    throttleTimeMs: 0,
    errorCode: outcome.errorCode,
    sessionId: outcome.sessionId,
    responses: [...topics.values()],
    nodeEndpoints: nodeEndpoints(services, leaders, context.listener),
  }
}

function describePartition(
  services: BrokerServices,
  { asked, read }: FetchAnswer,
  context: RequestContext,
  leaders: NodeId[],
): PartitionResponse {
  const response: PartitionResponse = {
    partitionIndex: asked.partitionId,
    errorCode: read.errorCode,
    highWatermark: read.highWatermark,
    lastStableOffset: read.highWatermark,
    logStartOffset: read.logStartOffset,
    abortedTransactions: null,
    preferredReadReplica: -1,
    records: read.chunks,
  }
  if (read.diverging !== null) return { ...response, divergingEpoch: read.diverging }
  if (
    read.errorCode !== ErrorCode.NOT_LEADER_OR_FOLLOWER &&
    read.errorCode !== ErrorCode.FENCED_LEADER_EPOCH
  ) {
    return response
  }
  const topicId =
    context.apiVersion >= TOPIC_IDS_SINCE
      ? asked.topicId
      : services.metadata.image.topicsByName.get(asked.topic)?.id
  if (topicId === undefined) return response
  const currentLeader = services.partitions.currentLeader(topicId, asked.partitionId)
  if (currentLeader.leaderId >= 0) leaders.push(currentLeader.leaderId)
  return { ...response, currentLeader }
}
