/**
 * ListGroups (key 16), versions 0-5, flexible from 3.
 * v1 throttle time · v3 flexible · v4 filter by state (KIP-518) · v5 filter by type (KIP-848).
 */
import { api, array, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const ListGroupsRequest = message(
  { name: 'ListGroupsRequest', apiKey: 16, versions: '0-5', flexible: '3+' },
  {
    statesFilter: array('4+', string, { default: [] }),
    typesFilter: array('5+', string, { default: [] }),
  },
)

export const ListGroupsResponse = message(
  { name: 'ListGroupsResponse', apiKey: 16, versions: '0-5', flexible: '3+' },
  {
    throttleTimeMs: int32('1+', { default: 0 }),
    errorCode: int16('0+'),
    groups: array('0+', {
      groupId: string('0+'),
      protocolType: string('0+'),
      groupState: string('4+', { default: '' }),
      groupType: string('5+', { default: '' }),
    }),
  },
)

export type ListGroupsRequest = Infer<typeof ListGroupsRequest>
export type ListGroupsResponse = InferInput<typeof ListGroupsResponse>

export const ListGroups = api('ListGroups', ListGroupsRequest, ListGroupsResponse)
