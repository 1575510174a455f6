import { ZERO_UUID } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  DeleteTopics,
  type DeleteTopicsRequest,
  type DeleteTopicsResponse,
} from '../../wire/messages/delete-topics.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { forward, messageOrNull, whenKnown } from './admin.js'

/** DeleteTopics, versions 1 to 6: by name, or by id (v6). Forwarded; answered once this broker has forgotten the topics. */
export function deleteTopicsHandler(
  services: BrokerServices,
): ApiHandler<DeleteTopicsRequest, DeleteTopicsResponse> {
  return {
    api: DeleteTopics,
    handle(request, context, responder) {
      const named = request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }))
      const either = request.topics.map(({ name, topicId }) => ({ name: name ?? '', topicId }))
      const topics = [...named, ...either]
      forward(services, { type: 'deleteTopics', topics }, context, request.timeoutMs, (reply) => {
        const responses =
          reply.type === 'failed'
            ? topics.map((topic) => ({
                ...topic,
                errorCode: reply.errorCode,
                errorMessage: reply.errorMessage,
              }))
            : reply.topics
        const deleted = responses.filter(({ errorCode }) => errorCode === ErrorCode.NONE)
        whenKnown(
          services,
          (image) => deleted.every(({ topicId }) => !image.topicsById.has(topicId)),
          () => {
            responder.send({
              responses: responses.map(({ name, topicId, errorCode, errorMessage }) => ({
                // Null names a topic by its id alone, which v6 introduced.
                name: name === '' && context.apiVersion >= 6 ? null : name,
                topicId,
                errorCode,
                errorMessage: messageOrNull(errorMessage),
              })),
            })
          },
        )
      })
    },
  }
}
