/**
 * DeleteGroups (key 42), versions 0-2, flexible from 2.
 * v2 flexible. v3 (error message) came after Kafka 4.3 and is not offered.
 */
import { api, array, type Infer, type InferInput, int16, int32, message, string } from '../schema.js'

export const DeleteGroupsRequest = message(
  { name: 'DeleteGroupsRequest', apiKey: 42, versions: '0-2', flexible: '2+' },
  {
    groupsNames: array('0+', string),
  },
)

export const DeleteGroupsResponse = message(
  { name: 'DeleteGroupsResponse', apiKey: 42, versions: '0-2', flexible: '2+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      groupId: string('0+'),
      errorCode: int16('0+'),
    }),
  },
)

export type DeleteGroupsRequest = Infer<typeof DeleteGroupsRequest>
export type DeleteGroupsResponse = InferInput<typeof DeleteGroupsResponse>

export const DeleteGroups = api('DeleteGroups', DeleteGroupsRequest, DeleteGroupsResponse)
