/**
 * SyncGroup (key 14), versions 0-5, flexible from 4.
 * v1 throttle time · v3 static members (KIP-345) · v4 flexible · v5 protocol type and name (KIP-559).
 */
import { api, array, bytes, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const SyncGroupRequest = message(
  { name: 'SyncGroupRequest', apiKey: 14, versions: '0-5', flexible: '4+' },
  {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { default: null, nullable: '3+' }),
    protocolType: string('5+', { default: null, nullable: '5+' }),
    protocolName: string('5+', { default: null, nullable: '5+' }),
    assignments: array('0+', {
      memberId: string('0+'),
      assignment: bytes('0+'),
    }),
  },
)

export const SyncGroupResponse = message(
  { name: 'SyncGroupResponse', apiKey: 14, versions: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { default: 0 }),
    errorCode: int16('0+'),
    protocolType: string('5+', { default: null, nullable: '5+' }),
    protocolName: string('5+', { default: null, nullable: '5+' }),
    assignment: bytes('0+'),
  },
)

export type SyncGroupRequest = Infer<typeof SyncGroupRequest>
export type SyncGroupResponse = InferInput<typeof SyncGroupResponse>

export const SyncGroup = api('SyncGroup', SyncGroupRequest, SyncGroupResponse)
