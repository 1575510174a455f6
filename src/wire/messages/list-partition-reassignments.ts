/** ListPartitionReassignments (key 46), version 0, flexible (KIP-455). */
import { api, array, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const ListPartitionReassignmentsRequest = message(
  { name: 'ListPartitionReassignmentsRequest', apiKey: 46, versions: '0', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60000 }),
    /** null asks for all that are going on. */
    topics: array(
      '0+',
      {
        name: string('0+'),
        partitionIndexes: array('0+', int32),
      },
      { nullable: '0+', default: null },
    ),
  },
)

export const ListPartitionReassignmentsResponse = message(
  { name: 'ListPartitionReassignmentsResponse', apiKey: 46, versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicas: array('0+', int32),
        addingReplicas: array('0+', int32),
        removingReplicas: array('0+', int32),
      }),
    }),
  },
)

export type ListPartitionReassignmentsRequest = Infer<typeof ListPartitionReassignmentsRequest>
export type ListPartitionReassignmentsResponse = InferInput<typeof ListPartitionReassignmentsResponse>

export const ListPartitionReassignments = api(
  'ListPartitionReassignments',
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponse,
)
