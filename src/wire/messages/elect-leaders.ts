/**
 * ElectLeaders (key 43), versions 0-2, flexible from 2.
 * v0 knows preferred elections only · v1 unclean elections and an error of the whole request (KIP-460) ·
 * v2 flexible.
 */
import { api, array, type Infer, type InferInput, int8, int16, int32, message, string } from '../schema.js'

export const ElectLeadersRequest = message(
  { name: 'ElectLeadersRequest', apiKey: 43, versions: '0-2', flexible: '2+' },
  {
    /** 0 preferred, 1 unclean. */
    electionType: int8('1+', { default: 0 }),
    topicPartitions: array(
      '0+',
      {
        topic: string('0+'),
        partitions: array('0+', int32),
      },
      { nullable: '0+' },
    ),
    timeoutMs: int32('0+', { default: 60000 }),
  },
)

export const ElectLeadersResponse = message(
  { name: 'ElectLeadersResponse', apiKey: 43, versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('1+', { default: 0 }),
    replicaElectionResults: array('0+', {
      topic: string('0+'),
      partitionResult: array('0+', {
        partitionId: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      }),
    }),
  },
)

export type ElectLeadersRequest = Infer<typeof ElectLeadersRequest>
export type ElectLeadersResponse = InferInput<typeof ElectLeadersResponse>

export const ElectLeaders = api('ElectLeaders', ElectLeadersRequest, ElectLeadersResponse)
