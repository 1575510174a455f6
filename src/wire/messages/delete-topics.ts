/**
 * DeleteTopics (key 20), versions 1-6, flexible from 4.
 * v3 TOPIC_DELETION_DISABLED · v4 flexible · v5 error message, may be throttled (KIP-599) · v6 by name or by
 * topic id (KIP-516).
 */
import { ZERO_UUID } from '../../lib/ids.js'
import { api, array, type Infer, type InferInput, int16, int32, message, string, uuid } from '../schema.js'

export const DeleteTopicsRequest = message(
  { name: 'DeleteTopicsRequest', apiKey: 20, versions: '1-6', flexible: '4+' },
  {
    topics: array(
      '6+',
      {
        name: string('6+', { default: null, nullable: '6+' }),
        topicId: uuid('6+'),
      },
      { default: [] },
    ),
    topicNames: array('0-5', string, { default: [] }),
    timeoutMs: int32('0+'),
  },
)

export const DeleteTopicsResponse = message(
  { name: 'DeleteTopicsResponse', apiKey: 20, versions: '1-6', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { default: 0 }),
    responses: array('0+', {
      name: string('0+', { nullable: '6+' }),
      topicId: uuid('6+', { default: ZERO_UUID }),
      errorCode: int16('0+'),
      errorMessage: string('5+', { default: null, nullable: '5+' }),
    }),
  },
)

export type DeleteTopicsRequest = Infer<typeof DeleteTopicsRequest>
export type DeleteTopicsResponse = InferInput<typeof DeleteTopicsResponse>

export const DeleteTopics = api('DeleteTopics', DeleteTopicsRequest, DeleteTopicsResponse)
