/**
 * DescribeGroups (key 15), versions 0-6, flexible from 5.
 * v1 throttle time · v3 authorised operations (KIP-430) · v4 static members (KIP-345) · v5 flexible ·
 * v6 GROUP_ID_NOT_FOUND with a message for a group that does not exist (KIP-1043).
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

export const DescribeGroupsRequest = message(
  { name: 'DescribeGroupsRequest', apiKey: 15, versions: '0-6', flexible: '5+' },
  {
    groups: array('0+', string),
    includeAuthorizedOperations: bool('3+', { default: false }),
  },
)

export const DescribeGroupsResponse = message(
  { name: 'DescribeGroupsResponse', apiKey: 15, versions: '0-6', flexible: '5+' },
  {
    throttleTimeMs: int32('1+', { default: 0 }),
    groups: array('0+', {
      errorCode: int16('0+'),
      errorMessage: string('6+', { default: null, nullable: '6+' }),
      groupId: string('0+'),
      groupState: string('0+'),
      protocolType: string('0+'),
      protocolData: string('0+'),
      members: array('0+', {
        memberId: string('0+'),
        groupInstanceId: string('4+', { default: null, nullable: '4+' }),
        clientId: string('0+'),
        clientHost: string('0+'),
        memberMetadata: bytes('0+'),
        memberAssignment: bytes('0+'),
      }),
      /** One bit for each operation; -2³¹: not asked for (KIP-430). */
      authorizedOperations: int32('3+', { default: -0x80000000 }),
    }),
  },
)

export type DescribeGroupsRequest = Infer<typeof DescribeGroupsRequest>
export type DescribeGroupsResponse = InferInput<typeof DescribeGroupsResponse>

export const DescribeGroups = api('DescribeGroups', DescribeGroupsRequest, DescribeGroupsResponse)
