/**
 * LeaveGroup (key 13), versions 0-5, flexible from 4.
 * v0 to v2 name one member, v3 on several (KIP-345) · v1 throttle time · v4 flexible · v5 reason (KIP-800).
 */
import { api, array, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const LeaveGroupRequest = message(
  { name: 'LeaveGroupRequest', apiKey: 13, versions: '0-5', flexible: '4+' },
  {
    groupId: string('0+'),
    memberId: string('0-2', { default: '' }),
    members: array(
      '3+',
      {
        memberId: string('3+'),
        groupInstanceId: string('3+', { default: null, nullable: '3+' }),
        reason: string('5+', { default: null, nullable: '5+' }),
      },
      { default: [] },
    ),
  },
)

export const LeaveGroupResponse = message(
  { name: 'LeaveGroupResponse', apiKey: 13, versions: '0-5', flexible: '4+' },
  {
    throttleTimeMs: int32('1+', { default: 0 }),
    errorCode: int16('0+'),
    members: array(
      '3+',
      {
        memberId: string('3+'),
        groupInstanceId: string('3+', { nullable: '3+' }),
        errorCode: int16('3+'),
      },
      { default: [] },
    ),
  },
)

export type LeaveGroupRequest = Infer<typeof LeaveGroupRequest>
export type LeaveGroupResponse = InferInput<typeof LeaveGroupResponse>

export const LeaveGroup = api('LeaveGroup', LeaveGroupRequest, LeaveGroupResponse)
