import { ZERO_UUID } from '../../lib/ids.js'
import type { AddVoter } from '../../metadata/commands.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  AddRaftVoter,
  type AddRaftVoterRequest,
  type AddRaftVoterResponse,
} from '../../wire/messages/add-raft-voter.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { forward, messageOrNull } from './admin.js'

/**
 * AddRaftVoter, versions 0 and 1 (KIP-853): makes a controller, under the directory that is named, a voter of the
 * metadata quorum once it has caught up. Forwarded to the leader.
 *
 * - INCONSISTENT_CLUSTER_ID, INVALID_REQUEST (no directory, no such node id, no listener), DUPLICATE_VOTER,
 *   INVALID_VOTER_KEY (it answers from another directory); REQUEST_TIMED_OUT (it does not answer, lags too far behind,
 *   or another change is under way), NOT_CONTROLLER: may be tried again.
 * - v1's `ackWhenCommitted: false` (KIP-1186): answered when the leader has appended the change, which the next leader
 *   may undo. The voter must have caught up before all the same.
 */
export function addRaftVoterHandler(
  services: BrokerServices,
): ApiHandler<AddRaftVoterRequest, AddRaftVoterResponse> {
  return {
    api: AddRaftVoter,
    handle(request, context, responder) {
      const answer = (errorCode: number, errorMessage: string): void =>
        responder.send({ errorCode, errorMessage: messageOrNull(errorMessage) })
      const { voterId: nodeId, voterDirectoryId: directoryId, clusterId, listeners } = request
      const wrong = invalidVoter(services, nodeId, directoryId, clusterId)
      if (wrong !== undefined) return answer(...wrong)
      const { name } = services.config.controlListener
      const listener = listeners.find((each) => each.name === name) ?? listeners[0]
      if (listener === undefined) {
        return answer(
          ErrorCode.INVALID_REQUEST,
          `no listener is named: the leader needs the one called ${name}`,
        )
      }
      const { host, port } = listener
      const command: AddVoter = { type: 'addVoter', nodeId, directoryId, host, port }
      if (!request.ackWhenCommitted) command.ackWhenCommitted = false
      const callOff = forward(services, command, context, request.timeoutMs, (reply) =>
        answer(reply.errorCode, reply.errorMessage),
      )
      // Nobody waits any more, and meanwhile no other change would be taken.
      context.onClose(callOff)
    },
  }
}

/** What both changes of the voters check before they ask the leader. */
export function invalidVoter(
  services: BrokerServices,
  nodeId: number,
  directoryId: string,
  clusterId: string | null,
): [errorCode: number, errorMessage: string] | undefined {
  const own = services.metadata.image.clusterId
  if (clusterId !== null && clusterId !== own) {
    return [ErrorCode.INCONSISTENT_CLUSTER_ID, `the cluster id is ${own}, not ${clusterId}`]
  }
  if (nodeId < 0) return [ErrorCode.INVALID_REQUEST, `${nodeId} is no node id`]
  if (directoryId === ZERO_UUID) {
    return [ErrorCode.INVALID_REQUEST, 'a voter is a node and its directory: name the directory id too']
  }
  return undefined
}
