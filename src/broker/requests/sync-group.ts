import { ErrorCode } from '../../wire/errors.js'
import { SyncGroup, type SyncGroupRequest, type SyncGroupResponse } from '../../wire/messages/sync-group.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

/**
 * SyncGroup v0-5. The leader's carries the assignment; all are answered once it is committed. v5 names the protocol
 * and is refused with INCONSISTENT_GROUP_PROTOCOL without it (KIP-559). Deviations: none.
 */
export function syncGroupHandler(services: BrokerServices): ApiHandler<SyncGroupRequest, SyncGroupResponse> {
  return {
    api: SyncGroup,
    handle(request, context, responder) {
      const { protocolType, protocolName } = request
      if (context.apiVersion >= 5 && (protocolType === null || protocolName === null)) {
        const errorCode = ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        responder.send({ errorCode, assignment: new Uint8Array(0) })
        return
      }
      services.groups.sync(request, (reply) => responder.send(reply))
    },
  }
}
