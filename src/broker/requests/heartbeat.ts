import { Heartbeat, type HeartbeatRequest, type HeartbeatResponse } from '../../wire/messages/heartbeat.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'

/** Heartbeat v0-4. REBALANCE_IN_PROGRESS calls the member into the join phase. Deviations: none. */
export function heartbeatHandler(services: BrokerServices): ApiHandler<HeartbeatRequest, HeartbeatResponse> {
  return {
    api: Heartbeat,
    handle(request, _context, responder) {
      services.groups.heartbeat(request, ({ errorCode }) => responder.send({ errorCode }))
    },
  }
}
