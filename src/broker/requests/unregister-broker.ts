import {
  UnregisterBroker,
  type UnregisterBrokerRequest,
  type UnregisterBrokerResponse,
} from '../../wire/messages/unregister-broker.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { forward, messageOrNull, whenKnown } from './admin.js'

const TIMEOUT_MS = 30_000

/**
 * UnregisterBroker (KIP-631), version 0. Forwarded. A broker that lives registers anew at its next heartbeat, as with
 * Kafka; one that is not registered is BROKER_ID_NOT_REGISTERED.
 */
export function unregisterBrokerHandler(
  services: BrokerServices,
): ApiHandler<UnregisterBrokerRequest, UnregisterBrokerResponse> {
  return {
    api: UnregisterBroker,
    handle({ brokerId }, context, responder) {
      const formerEpoch = services.metadata.image.brokers.get(brokerId)?.epoch
      const command = { type: 'unregisterBroker' as const, brokerId }
      forward(services, command, context, TIMEOUT_MS, ({ errorCode, errorMessage }) => {
        whenKnown(
          services,
          ({ brokers }) => {
            const epoch = brokers.get(brokerId)?.epoch
            return errorCode !== 0 || epoch === undefined || epoch !== formerEpoch
          },
          () => responder.send({ errorCode, errorMessage: messageOrNull(errorMessage) }),
        )
      })
    },
  }
}
