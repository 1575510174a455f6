import { JoinGroup, type JoinGroupRequest, type JoinGroupResponse } from '../../wire/messages/join-group.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

/**
 * JoinGroup v0-9: the classic protocol. v4+ MEMBER_ID_REQUIRED (KIP-394), v5+ static members (KIP-345), v9+
 * skipAssignment (KIP-814). The answer comes when the join phase ends. Deviations: none.
 */
export function joinGroupHandler(services: BrokerServices): ApiHandler<JoinGroupRequest, JoinGroupResponse> {
  return {
    api: JoinGroup,
    handle(request, context, responder) {
      const { sessionTimeoutMs } = request
      const joining = {
        groupId: request.groupId,
        memberId: request.memberId,
        groupInstanceId: request.groupInstanceId,
        clientId: context.clientId ?? '',
        clientHost: `/${context.clientAddress}`,
        sessionTimeoutMs,
        rebalanceTimeoutMs: context.apiVersion >= 1 ? request.rebalanceTimeoutMs : sessionTimeoutMs,
        protocolType: request.protocolType,
        protocols: request.protocols,
        requireKnownMemberId: context.apiVersion >= 4 && request.groupInstanceId === null,
        supportsSkippingAssignment: context.apiVersion >= 9,
      }
      services.groups.join(joining, (reply) =>
        responder.send({
          errorCode: reply.errorCode,
          generationId: reply.generationId,
          protocolType: reply.protocolType,
          // Not nullable below v7.
          protocolName: reply.protocolName ?? (context.apiVersion >= 7 ? null : ''),
          leader: reply.leader,
          skipAssignment: reply.skipAssignment,
          memberId: reply.memberId,
          members: [...reply.members],
        }),
      )
    },
  }
}
