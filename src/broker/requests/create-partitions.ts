import { ErrorCode } from '../../wire/errors.js'
import {
  CreatePartitions,
  type CreatePartitionsRequest,
  type CreatePartitionsResponse,
} from '../../wire/messages/create-partitions.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { forward, messageOrNull, whenKnown } from './admin.js'

/** CreatePartitions, versions 0 to 3. Forwarded; answered once this broker knows the new partitions. */
export function createPartitionsHandler(
  services: BrokerServices,
): ApiHandler<CreatePartitionsRequest, CreatePartitionsResponse> {
  return {
    api: CreatePartitions,
    handle(request, context, responder) {
      const topics = request.topics.map(({ name, count, assignments }) => ({
        name,
        count,
        assignments: (assignments ?? []).map(({ brokerIds }) => ({ replicas: brokerIds })),
      }))
      const { validateOnly, timeoutMs } = request
      forward(services, { type: 'createPartitions', validateOnly, topics }, context, timeoutMs, (reply) => {
        const results =
          reply.type === 'failed'
            ? topics.map(({ name }) => ({
                name,
                errorCode: reply.errorCode,
                errorMessage: reply.errorMessage,
              }))
            : reply.topics
        const failed = new Set(
          results.filter((result) => result.errorCode !== ErrorCode.NONE).map(({ name }) => name),
        )
        const grown = validateOnly ? [] : topics.filter(({ name }) => !failed.has(name))
        whenKnown(
          services,
          (image) =>
            grown.every(
              ({ name, count }) => (image.topicsByName.get(name)?.partitions.length ?? count) >= count,
            ),
          () => {
            responder.send({
              results: results.map((result) => ({
                ...result,
                errorMessage: messageOrNull(result.errorMessage),
              })),
            })
          },
        )
      })
    },
  }
}
