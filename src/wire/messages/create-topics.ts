/**
 * CreateTopics (key 19), versions 2-7, flexible from 5.
 * v4 partitions and replication factor may be -1, the broker's defaults (KIP-464) · v5 flexible, the topic's
 * configuration in the response (KIP-525) · v6 may be throttled (KIP-599) · v7 topic id.
 */
import { ZERO_UUID } from '../../lib/ids.js'
import {
  api,
  array,
  bool,
  type Infer,
  type InferInput,
  int8,
  int16,
  int32,
  message,
  string,
  uuid,
} from '../schema.js'

export const CreateTopicsRequest = message(
  { name: 'CreateTopicsRequest', apiKey: 19, versions: '2-7', flexible: '5+' },
  {
    topics: array('0+', {
      name: string('0+'),
      numPartitions: int32('0+'),
      replicationFactor: int16('0+'),
      assignments: array('0+', {
        partitionIndex: int32('0+'),
        brokerIds: array('0+', int32),
      }),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    timeoutMs: int32('0+', { default: 60000 }),
    validateOnly: bool('1+', { default: false }),
  },
)

export const CreateTopicsResponse = message(
  { name: 'CreateTopicsResponse', apiKey: 19, versions: '2-7', flexible: '5+' },
  {
    throttleTimeMs: int32('2+', { default: 0 }),
    topics: array('0+', {
      name: string('0+'),
      topicId: uuid('7+', { default: ZERO_UUID }),
      errorCode: int16('0+'),
      errorMessage: string('1+', { nullable: '0+' }),
      topicConfigErrorCode: int16('5+', { tag: 0 }),
      numPartitions: int32('5+', { default: -1 }),
      replicationFactor: int16('5+', { default: -1 }),
      configs: array(
        '5+',
        {
          name: string('5+'),
          value: string('5+', { nullable: '5+' }),
          readOnly: bool('5+'),
          /** 1 topic, 2 dynamic broker, 3 dynamic default of brokers, 4 static broker, 5 default, 6 dynamic logger, 7 client metrics, 8 group. */
          configSource: int8('5+', { default: -1 }),
          isSensitive: bool('5+'),
        },
        { default: [], nullable: '5+' },
      ),
    }),
  },
)

export type CreateTopicsRequest = Infer<typeof CreateTopicsRequest>
export type CreateTopicsResponse = InferInput<typeof CreateTopicsResponse>

export const CreateTopics = api('CreateTopics', CreateTopicsRequest, CreateTopicsResponse)
