/**
 * CreatePartitions (key 37), versions 0-3, flexible from 2.
 * v2 flexible · v3 may be throttled (KIP-599).
 */
import { api, array, bool, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const CreatePartitionsRequest = message(
  { name: 'CreatePartitionsRequest', apiKey: 37, versions: '0-3', flexible: '2+' },
  {
    topics: array('0+', {
      name: string('0+'),
      count: int32('0+'),
      assignments: array(
        '0+',
        {
          brokerIds: array('0+', int32),
        },
        { nullable: '0+' },
      ),
    }),
    timeoutMs: int32('0+'),
    validateOnly: bool('0+'),
  },
)

export const CreatePartitionsResponse = message(
  { name: 'CreatePartitionsResponse', apiKey: 37, versions: '0-3', flexible: '2+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      name: string('0+'),
      errorCode: int16('0+'),
      errorMessage: string('0+', { default: null, nullable: '0+' }),
    }),
  },
)

export type CreatePartitionsRequest = Infer<typeof CreatePartitionsRequest>
export type CreatePartitionsResponse = InferInput<typeof CreatePartitionsResponse>

export const CreatePartitions = api('CreatePartitions', CreatePartitionsRequest, CreatePartitionsResponse)
