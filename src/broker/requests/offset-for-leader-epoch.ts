import { ErrorCode } from '../../wire/errors.js'
import {
  OffsetForLeaderEpoch,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponse,
} from '../../wire/messages/offset-for-leader-epoch.js'
import type { ApiHandler } from '../handler.js'
import { leaderFor } from '../partitions/partition-reads.js'
import type { BrokerServices } from '../services.js'

type PartitionRequest = OffsetForLeaderEpochRequest['topics'][number]['partitions'][number]
type PartitionResponse = OffsetForLeaderEpochResponse['topics'][number]['partitions'][number]

/** OffsetForLeaderEpoch v2-4 (KIP-279, KIP-320): the largest epoch at or below the asked one, and where it ends. Deviations: none. */
export function offsetForLeaderEpochHandler(
  services: BrokerServices,
): ApiHandler<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse> {
  return {
    api: OffsetForLeaderEpoch,
    handle(request, _context, responder) {
      responder.send({
        throttleTimeMs: 0,
        topics: request.topics.map(({ topic, partitions }) => ({
          topic,
          partitions: partitions.map((asked) => answer(services, topic, asked)),
        })),
      })
    },
  }
}

function answer(services: BrokerServices, topic: string, asked: PartitionRequest): PartitionResponse {
  const unknown = { partition: asked.partition, leaderEpoch: -1, endOffset: -1 }
  const located = services.partitions.locateByName(topic, asked.partition)
  if ('errorCode' in located) return { ...unknown, errorCode: located.errorCode }
  const { partition } = located
  const leader = leaderFor(partition, asked.currentLeaderEpoch)
  if ('errorCode' in leader) return { ...unknown, errorCode: leader.errorCode }
  const { epoch, endOffset } = partition.log.endOffsetForEpoch(asked.leaderEpoch)
  return { partition: asked.partition, errorCode: ErrorCode.NONE, leaderEpoch: epoch, endOffset }
}
