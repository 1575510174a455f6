import type { ElectLeadersResult } from '../../metadata/commands.js'
import {
  ElectLeaders,
  type ElectLeadersRequest,
  type ElectLeadersResponse,
} from '../../wire/messages/elect-leaders.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { forward, messageOrNull } from './admin.js'

const UNCLEAN = 1

/** ElectLeaders, versions 0 to 2: preferred and unclean elections (v1, KIP-460); null asks for all partitions. Forwarded. */
export function electLeadersHandler(
  services: BrokerServices,
): ApiHandler<ElectLeadersRequest, ElectLeadersResponse> {
  return {
    api: ElectLeaders,
    handle(request, context, responder) {
      const asked = request.topicPartitions
      const partitions = (asked ?? []).flatMap(({ topic, partitions: ids }) =>
        ids.map((partitionId) => ({ topic, partitionId })),
      )
      const command = {
        type: 'electLeaders' as const,
        unclean: request.electionType === UNCLEAN,
        all: asked === null,
        partitions,
      }
      forward(services, command, context, request.timeoutMs, (reply) => {
        const { errorCode } = reply
        const results =
          reply.type === 'failed'
            ? partitions.map((partition) => ({ ...partition, errorCode, errorMessage: reply.errorMessage }))
            : reply.partitions
        responder.send({ errorCode, replicaElectionResults: byTopic(results) })
      })
    },
  }
}

function byTopic(results: readonly ElectLeadersResult[]): ElectLeadersResponse['replicaElectionResults'] {
  const topics = new Map<string, ElectLeadersResult[]>()
  for (const result of results) {
    const known = topics.get(result.topic)
    if (known === undefined) topics.set(result.topic, [result])
    else known.push(result)
  }
  return [...topics].map(([topic, partitions]) => ({
    topic,
    partitionResult: partitions.map(({ partitionId, errorCode, errorMessage }) => ({
      partitionId,
      errorCode,
      errorMessage: messageOrNull(errorMessage),
    })),
  }))
}
