import type { GroupDescription } from '../../coordinator/group/types.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  DescribeGroups,
  type DescribeGroupsRequest,
  type DescribeGroupsResponse,
} from '../../wire/messages/describe-groups.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

type DescribedGroup = DescribeGroupsResponse['groups'][number]

/** Of a group's operations: READ 3, DELETE 6, DESCRIBE 8 and, since 4.0, DESCRIBE_CONFIGS 10 and ALTER_CONFIGS 11. */
const ALL_GROUP_OPERATIONS = [3, 6, 8, 10, 11].reduce((bits, operation) => bits | (1 << operation), 0)
const NOT_ASKED_FOR = -0x8000_0000

/**
 * DescribeGroups v0-6. An unknown group is GROUP_ID_NOT_FOUND with a message from v6 on (KIP-1043), and a Dead one
 * without error before. Deviations: without authorisers all operations of a group are allowed, and named when asked.
 */
export function describeGroupsHandler(
  services: BrokerServices,
): ApiHandler<DescribeGroupsRequest, DescribeGroupsResponse> {
  return {
    api: DescribeGroups,
    handle(request, context, responder) {
      const groups: DescribedGroup[] = new Array(request.groups.length)
      let open = request.groups.length
      if (open === 0) responder.send({ groups })
      request.groups.forEach((groupId, at) => {
        services.groups.describeGroup(groupId, (description) => {
          const operations = request.includeAuthorizedOperations ? ALL_GROUP_OPERATIONS : NOT_ASKED_FOR
          groups[at] = toResponse(description, context.apiVersion, operations)
          if (--open === 0) responder.send({ groups })
        })
      })
    },
  }
}

function toResponse(group: GroupDescription, apiVersion: number, operations: number): DescribedGroup {
  const hidden = group.errorCode === ErrorCode.GROUP_ID_NOT_FOUND && apiVersion < 6
  return {
    errorCode: hidden ? ErrorCode.NONE : group.errorCode,
    errorMessage: hidden ? null : group.errorMessage,
    groupId: group.groupId,
    groupState: group.groupState,
    protocolType: group.protocolType,
    protocolData: group.protocolData,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: member.metadata,
      memberAssignment: member.assignment,
    })),
    authorizedOperations: operations,
  }
}
