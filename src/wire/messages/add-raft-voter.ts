/**
 * AddRaftVoter (key 80), versions 0-1, all flexible (KIP-853).
 * v1 may be answered before the new set of voters is committed (KIP-1186).
 */
import {
  api,
  array,
  bool,
  type Infer,
  type InferInput,
  int16,
  int32,
  message,
  string,
  uint16,
  uuid,
} from '../schema.js'

export const AddRaftVoterRequest = message(
  { name: 'AddRaftVoterRequest', apiKey: 80, versions: '0-1', flexible: '0+' },
  {
    clusterId: string('0+', { nullable: '0+' }),
    timeoutMs: int32('0+'),
    voterId: int32('0+'),
    voterDirectoryId: uuid('0+'),
    listeners: array('0+', {
      name: string('0+'),
      host: string('0+'),
      port: uint16('0+'),
    }),
    ackWhenCommitted: bool('1+', { default: true }),
  },
)

export const AddRaftVoterResponse = message(
  { name: 'AddRaftVoterResponse', apiKey: 80, versions: '0-1', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
  },
)

export type AddRaftVoterRequest = Infer<typeof AddRaftVoterRequest>
export type AddRaftVoterResponse = InferInput<typeof AddRaftVoterResponse>

export const AddRaftVoter = api('AddRaftVoter', AddRaftVoterRequest, AddRaftVoterResponse)
