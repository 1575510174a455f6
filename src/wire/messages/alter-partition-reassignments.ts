/**
 * AlterPartitionReassignments (key 45), versions 0-1, all flexible (KIP-455).
 * v1 says whether the replication factor may change (KIP-860).
 */
import { api, array, bool, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const AlterPartitionReassignmentsRequest = message(
  { name: 'AlterPartitionReassignmentsRequest', apiKey: 45, versions: '0-1', flexible: '0+' },
  {
    timeoutMs: int32('0+', { default: 60000 }),
    allowReplicationFactorChange: bool('1+', { default: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        /** null cancels what is going on. */
        replicas: array('0+', int32, { nullable: '0+', default: null }),
      }),
    }),
  },
)

export const AlterPartitionReassignmentsResponse = message(
  { name: 'AlterPartitionReassignmentsResponse', apiKey: 45, versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    allowReplicationFactorChange: bool('1+', { default: true }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    responses: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      }),
    }),
  },
)

export type AlterPartitionReassignmentsRequest = Infer<typeof AlterPartitionReassignmentsRequest>
export type AlterPartitionReassignmentsResponse = InferInput<typeof AlterPartitionReassignmentsResponse>

export const AlterPartitionReassignments = api(
  'AlterPartitionReassignments',
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponse,
)
