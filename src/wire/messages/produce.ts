/**
 * Produce (key 0), versions 3-13, flexible from 9.
 * Advertised from version 0, since librdkafka before 2.11.1 turns compression off when the minimum is above 0
 * (KAFKA-18659); versions 0 to 2 have no schema and are answered with UNSUPPORTED_VERSION.
 * v3 transactional id, record batches of magic 2 only · v5 log start offset · v7 zstd (KIP-110) ·
 * v8 errors of single records (KIP-467) · v9 flexible · v10 the new leader inside the error reply (KIP-951) ·
 * v11, v12 transactions, second version (KIP-890) · v13 topic ids instead of names (KIP-516).
 */
import { ZERO_UUID } from '../../lib/ids.js'
import {
  api,
  array,
  type Infer,
  type InferInput,
  int16,
  int32,
  int64,
  message,
  records,
  string,
  struct,
  uuid,
} from '../schema.js'

export const ProduceRequest = message(
  { name: 'ProduceRequest', apiKey: 0, versions: '3-13', flexible: '9+' },
  {
    transactionalId: string('3+', { default: null, nullable: '3+' }),
    /** 0 none, 1 the leader, -1 all in-sync replicas. */
    acks: int16('0+'),
    timeoutMs: int32('0+'),
    topicData: array('0+', {
      name: string('0-12', { default: '' }),
      topicId: uuid('13+', { default: ZERO_UUID }),
      partitionData: array('0+', {
        index: int32('0+'),
        records: records('0+', { nullable: '0+' }),
      }),
    }),
  },
)

export const ProduceResponse = message(
  { name: 'ProduceResponse', apiKey: 0, versions: '3-13', flexible: '9+' },
  {
    responses: array('0+', {
      name: string('0-12', { default: '' }),
      topicId: uuid('13+', { default: ZERO_UUID }),
      partitionResponses: array('0+', {
        index: int32('0+'),
        errorCode: int16('0+'),
        baseOffset: int64('0+'),
        /** -1 unless the topic uses LogAppendTime. */
        logAppendTimeMs: int64('2+', { default: -1 }),
        logStartOffset: int64('5+', { default: -1 }),
        recordErrors: array(
          '8+',
          {
            batchIndex: int32('8+'),
            batchIndexErrorMessage: string('8+', { default: null, nullable: '8+' }),
          },
          { default: [] },
        ),
        errorMessage: string('8+', { default: null, nullable: '8+' }),
        currentLeader: struct(
          '10+',
          {
            leaderId: int32('10+', { default: -1 }),
            leaderEpoch: int32('10+', { default: -1 }),
          },
          { tag: 0 },
        ),
      }),
    }),
    throttleTimeMs: int32('1+', { default: 0 }),
    nodeEndpoints: array(
      '10+',
      {
        nodeId: int32('10+'),
        host: string('10+'),
        port: int32('10+'),
        rack: string('10+', { default: null, nullable: '10+' }),
      },
      { tag: 0 },
    ),
  },
)

export type ProduceRequest = Infer<typeof ProduceRequest>
export type ProduceResponse = InferInput<typeof ProduceResponse>

export const Produce = api('Produce', ProduceRequest, ProduceResponse, { advertisedMinVersion: 0 })
