import type { RemoveVoter } from '../../metadata/commands.js'
import {
  RemoveRaftVoter,
  type RemoveRaftVoterRequest,
  type RemoveRaftVoterResponse,
} from '../../wire/messages/remove-raft-voter.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { invalidVoter } from './add-raft-voter.js'
import { forward, messageOrNull } from './admin.js'

/** The request names no time-out. A removal waits for nothing but its commit. */
const TIMEOUT_MS = 10_000

/**
 * RemoveRaftVoter, version 0 (KIP-853): takes the vote of a controller, under the directory that is named. Forwarded to
 * the leader, which may be the one that goes: it leads until the change is committed, and hands over.
 *
 * - INCONSISTENT_CLUSTER_ID, INVALID_REQUEST (no directory, no such node id, the last voter), VOTER_NOT_FOUND;
 *   REQUEST_TIMED_OUT (another change is under way, or too few of the remaining voters answer), NOT_CONTROLLER: may be
 *   tried again.
 */
export function removeRaftVoterHandler(
  services: BrokerServices,
): ApiHandler<RemoveRaftVoterRequest, RemoveRaftVoterResponse> {
  return {
    api: RemoveRaftVoter,
    handle(request, context, responder) {
      const answer = (errorCode: number, errorMessage: string): void =>
        responder.send({ errorCode, errorMessage: messageOrNull(errorMessage) })
      const { voterId: nodeId, voterDirectoryId: directoryId, clusterId } = request
      const wrong = invalidVoter(services, nodeId, directoryId, clusterId)
      if (wrong !== undefined) return answer(...wrong)
      const command: RemoveVoter = { type: 'removeVoter', nodeId, directoryId }
      forward(services, command, context, TIMEOUT_MS, (reply) => answer(reply.errorCode, reply.errorMessage))
    },
  }
}
