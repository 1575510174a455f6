import {
  LeaveGroup,
  type LeaveGroupRequest,
  type LeaveGroupResponse,
} from '../../wire/messages/leave-group.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

/**
 * LeaveGroup v0-5. v3+ several members, also by their instance id alone (KIP-345); below that one, whose error is the
 * response's own. Deviations: none.
 */
export function leaveGroupHandler(
  services: BrokerServices,
): ApiHandler<LeaveGroupRequest, LeaveGroupResponse> {
  return {
    api: LeaveGroup,
    handle(request, context, responder) {
      const severalMembers = context.apiVersion >= 3
      const members = severalMembers
        ? request.members
        : [{ memberId: request.memberId, groupInstanceId: null }]
      services.groups.leave({ groupId: request.groupId, members }, (reply) => {
        if (severalMembers) responder.send({ errorCode: reply.errorCode, members: [...reply.members] })
        else responder.send({ errorCode: reply.errorCode || (reply.members[0]?.errorCode ?? 0) })
      })
    },
  }
}
