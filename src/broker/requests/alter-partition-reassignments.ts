import type { ReassignmentResult } from '../../metadata/commands.js'
import type { MetadataImage } from '../../metadata/image.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  AlterPartitionReassignments,
  type AlterPartitionReassignmentsRequest,
  type AlterPartitionReassignmentsResponse,
} from '../../wire/messages/alter-partition-reassignments.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { forward, messageOrNull, whenKnown } from './admin.js'

interface Asked {
  readonly topic: string
  readonly partitionId: number
  /** null: cancel. */
  readonly target: readonly number[] | null
}

/** AlterPartitionReassignments, versions 0 and 1 (KIP-455, KIP-860). Forwarded; answered once this broker knows of it. */
export function alterPartitionReassignmentsHandler(
  services: BrokerServices,
): ApiHandler<AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse> {
  return {
    api: AlterPartitionReassignments,
    handle(request, context, responder) {
      const { timeoutMs, allowReplicationFactorChange } = request
      const asked = request.topics.flatMap(({ name, partitions }): Asked[] =>
        partitions.map(({ partitionIndex, replicas }) => ({
          topic: name,
          partitionId: partitionIndex,
          target: replicas,
        })),
      )
      const partitions = asked.map(({ topic, partitionId, target }) => ({
        topic,
        partitionId,
        ...(target === null ? {} : { replicas: { nodes: [...target] } }),
      }))
      const command = {
        type: 'alterPartitionReassignments' as const,
        allowReplicationFactorChange,
        partitions,
      }
      forward(services, command, context, timeoutMs, (reply) => {
        if (reply.type === 'failed') {
          const { errorCode, errorMessage } = reply
          responder.send({ allowReplicationFactorChange, errorCode, errorMessage, responses: [] })
          return
        }
        const begun = asked.filter((_, i) => reply.partitions[i]?.errorCode === ErrorCode.NONE)
        whenKnown(
          services,
          (image) => begun.every((one) => isKnown(image, one)),
          () => {
            responder.send({
              allowReplicationFactorChange,
              errorCode: ErrorCode.NONE,
              errorMessage: null,
              responses: byTopic(reply.partitions),
            })
          },
        )
      })
    },
  }
}

/** A move to these replicas is on its way or done; a cancelled one is over. Also where the topic is gone. */
function isKnown(image: MetadataImage, { topic, partitionId, target }: Asked): boolean {
  const partition = image.topicsByName.get(topic)?.partitions[partitionId]
  if (partition === undefined) return true
  const { replicas, addingReplicas, removingReplicas } = partition
  if (target === null) return addingReplicas.length === 0 && removingReplicas.length === 0
  return (
    replicas.length - removingReplicas.length === target.length &&
    target.every((node, i) => replicas[i] === node)
  )
}

function byTopic(results: readonly ReassignmentResult[]): AlterPartitionReassignmentsResponse['responses'] {
  const topics = new Map<string, ReassignmentResult[]>()
  for (const result of results) {
    const known = topics.get(result.topic)
    if (known === undefined) topics.set(result.topic, [result])
    else known.push(result)
  }
  return [...topics].map(([name, partitions]) => ({
    name,
    partitions: partitions.map(({ partitionId, errorCode, errorMessage }) => ({
      partitionIndex: partitionId,
      errorCode,
      errorMessage: messageOrNull(errorMessage),
    })),
  }))
}
