/**
 * JoinGroup (key 11), versions 0-9, flexible from 6.
 * v0 has no rebalance time-out: the session time-out takes its place · v4 a new member gets its id first, with
 * MEMBER_ID_REQUIRED (KIP-394) · v5 static members (KIP-345) · v6 flexible · v7 protocol type in the response
 * (KIP-559) · v8 reason (KIP-800) · v9 the leader may be told to skip the assignment (KIP-814).
 */
import {
  api,
  array,
  bool,
  bytes,
  type Infer,
  type InferInput,
  int16,
  int32,
  message,
  string,
} from '../schema.js'

export const JoinGroupRequest = message(
  { name: 'JoinGroupRequest', apiKey: 11, versions: '0-9', flexible: '6+' },
  {
    groupId: string('0+'),
    sessionTimeoutMs: int32('0+'),
    /** -1 (v0): the session time-out counts. */
    rebalanceTimeoutMs: int32('1+', { default: -1 }),
    memberId: string('0+'),
    groupInstanceId: string('5+', { default: null, nullable: '5+' }),
    protocolType: string('0+'),
    protocols: array('0+', {
      name: string('0+'),
      metadata: bytes('0+'),
    }),
    reason: string('8+', { default: null, nullable: '8+' }),
  },
)

export const JoinGroupResponse = message(
  { name: 'JoinGroupResponse', apiKey: 11, versions: '0-9', flexible: '6+' },
  {
    throttleTimeMs: int32('2+', { default: 0 }),
    errorCode: int16('0+'),
    generationId: int32('0+', { default: -1 }),
    protocolType: string('7+', { default: null, nullable: '7+' }),
    protocolName: string('0+', { nullable: '7+' }),
    leader: string('0+'),
    skipAssignment: bool('9+', { default: false }),
    memberId: string('0+'),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('5+', { default: null, nullable: '5+' }),
      metadata: bytes('0+'),
    }),
  },
)

export type JoinGroupRequest = Infer<typeof JoinGroupRequest>
export type JoinGroupResponse = InferInput<typeof JoinGroupResponse>

export const JoinGroup = api('JoinGroup', JoinGroupRequest, JoinGroupResponse)
