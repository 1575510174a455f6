/** RemoveRaftVoter (key 81), version 0, flexible (KIP-853). */
import { api, type Infer, type InferInput, int16, int32, message, string, uuid } from '../schema.js'

export const RemoveRaftVoterRequest = message(
  { name: 'RemoveRaftVoterRequest', apiKey: 81, versions: '0', flexible: '0+' },
  {
    clusterId: string('0+', { nullable: '0+' }),
    voterId: int32('0+'),
    voterDirectoryId: uuid('0+'),
  },
)

export const RemoveRaftVoterResponse = message(
  { name: 'RemoveRaftVoterResponse', apiKey: 81, versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
  },
)

export type RemoveRaftVoterRequest = Infer<typeof RemoveRaftVoterRequest>
export type RemoveRaftVoterResponse = InferInput<typeof RemoveRaftVoterResponse>

export const RemoveRaftVoter = api('RemoveRaftVoter', RemoveRaftVoterRequest, RemoveRaftVoterResponse)
