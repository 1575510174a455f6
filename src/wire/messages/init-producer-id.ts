/**
 * InitProducerId (key 22), versions 0-5, flexible from 2.
 * v2 flexible · v3 a producer may resume with its id and epoch (KIP-360) · v4 PRODUCER_FENCED (KIP-588) ·
 * v5 TRANSACTION_ABORTABLE (KIP-890). v6 (two-phase commit, KIP-939) is unstable in Kafka and not offered.
 */
import { api, type Infer, type InferInput, int16, int32, int64, message, string } from '../schema.js'

export const InitProducerIdRequest = message(
  { name: 'InitProducerIdRequest', apiKey: 22, versions: '0-5', flexible: '2+' },
  {
    transactionalId: string('0+', { nullable: '0+' }),
    transactionTimeoutMs: int32('0+'),
    producerId: int64('3+', { default: -1 }),
    producerEpoch: int16('3+', { default: -1 }),
  },
)

export const InitProducerIdResponse = message(
  { name: 'InitProducerIdResponse', apiKey: 22, versions: '0-5', flexible: '2+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    producerId: int64('0+', { default: -1 }),
    producerEpoch: int16('0+'),
  },
)

export type InitProducerIdRequest = Infer<typeof InitProducerIdRequest>
export type InitProducerIdResponse = InferInput<typeof InitProducerIdResponse>

export const InitProducerId = api('InitProducerId', InitProducerIdRequest, InitProducerIdResponse)
