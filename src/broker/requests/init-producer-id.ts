import { ErrorCode } from '../../wire/errors.js'
import {
  InitProducerId,
  type InitProducerIdRequest,
  type InitProducerIdResponse,
} from '../../wire/messages/init-producer-id.js'
import type { ApiHandler, Responder } from '../handler.js'
import type { BrokerServices } from '../services.js'

/**
 * InitProducerId, versions 0 to 5, for idempotent producers: a fresh id with epoch 0, from a block of 1,000 that the
 * controller gave this broker (KIP-730). A producer that resumes (KIP-360) gets a fresh id as well.
 *
 * There are no transactions. A transactional id is answered with TRANSACTIONAL_ID_AUTHORIZATION_FAILED: the one code
 * that Java, librdkafka and kafkajs all report as fatal at once, naming the transactional id; none of the others has
 * a message field to say more in.
 */
export function initProducerIdHandler(
  services: BrokerServices,
): ApiHandler<InitProducerIdRequest, InitProducerIdResponse> {
  const ids = new ProducerIdCache(services)
  return {
    api: InitProducerId,
    handle(request, _context, responder) {
      if (request.transactionalId !== null) {
        return responder.send({
          errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
          producerEpoch: -1,
        })
      }
      ids.next(responder)
    },
  }
}

const TIMEOUT_MS = 10_000
const MAX_WAITING = 10_000
/** Ids left when the next block is asked for. */
const PREFETCH_BELOW = 100

interface Block {
  next: number
  end: number
}

class ProducerIdCache {
  private block: Block = { next: 0, end: 0 }
  private following: Block | undefined
  private isAsking = false
  private waiting: Responder<InitProducerIdResponse>[] = []

  constructor(private readonly services: BrokerServices) {}

  next(responder: Responder<InitProducerIdResponse>): void {
    if (this.block.next === this.block.end && this.following !== undefined) {
      this.block = this.following
      this.following = undefined
    }
    if (this.block.next < this.block.end) {
      responder.send({ errorCode: ErrorCode.NONE, producerId: this.block.next++, producerEpoch: 0 })
    } else if (this.waiting.length < MAX_WAITING) {
      this.waiting.push(responder)
    } else {
      responder.send(tryAgain())
    }
    if (this.block.end - this.block.next < PREFETCH_BELOW && this.following === undefined) this.ask()
  }

  private ask(): void {
    if (this.isAsking) return
    this.isAsking = true
    const { quorum, config } = this.services
    const context = {
      principal: `Broker:${config.nodeId}`,
      clientId: '',
      clientAddress: '',
      listener: config.interBrokerListenerName,
    }
    const brokerEpoch = this.services.brokerEpoch()
    const command = { type: 'allocateProducerIds' as const, brokerId: config.nodeId, brokerEpoch }
    quorum.submit(command, context, TIMEOUT_MS, (reply) => {
      this.isAsking = false
      const waiting = this.waiting
      this.waiting = []
      if (reply.type === 'allocateProducerIds' && reply.errorCode === ErrorCode.NONE) {
        this.following = { next: reply.firstProducerId, end: reply.firstProducerId + reply.count }
        for (const responder of waiting) this.next(responder)
        return
      }
      const errorMessage = 'errorMessage' in reply ? reply.errorMessage : reply.type
      this.services.logger.warn({ error: errorMessage }, 'the controller gave no block of producer ids')
      for (const responder of waiting) responder.send(tryAgain())
    })
  }
}

/** As Kafka answers while it waits for a block; all clients retry on it. */
function tryAgain(): InitProducerIdResponse {
  return { errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, producerEpoch: -1 }
}
