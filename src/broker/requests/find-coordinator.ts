import { ErrorCode } from '../../wire/errors.js'
import {
  FindCoordinator,
  type FindCoordinatorRequest,
  type FindCoordinatorResponse,
} from '../../wire/messages/find-coordinator.js'
import type { FoundCoordinator } from '../coordinators/group-runtime.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { holdWhileSuspect } from './suspect-hold.js'

const GROUP = 0
const TRANSACTION = 1

/**
 * FindCoordinator v0-6. Makes `__consumer_offsets` where it is missing, and answers COORDINATOR_NOT_AVAILABLE until
 * the group's partition has a leader. v4+ several keys. An answer that names a node whose connection has just broken is
 * held as Metadata's are.
 *
 * Deviations: there are no transactions. Key type 1 is answered with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, as
 * InitProducerId is: librdkafka tries anything else again until its time is over. Key type 2 (share groups) is
 * INVALID_REQUEST.
 */
export function findCoordinatorHandler(
  services: BrokerServices,
): ApiHandler<FindCoordinatorRequest, FindCoordinatorResponse> {
  return {
    api: FindCoordinator,
    handle(request, context, responder) {
      const find = (key: string): FoundCoordinator =>
        request.keyType === GROUP
          ? services.groups.findCoordinator(key, context.listener)
          : notCoordinated(request.keyType)
      const keys = context.apiVersion >= 4 ? request.coordinatorKeys : [request.key]
      holdWhileSuspect(
        services,
        context,
        () => keys.map((key) => find(key).nodeId),
        () => {
          const coordinators = keys.map((key) => ({ key, ...find(key) }))
          responder.send(context.apiVersion >= 4 ? { coordinators } : find(request.key))
        },
      )
    },
  }
}

function notCoordinated(keyType: number): FoundCoordinator {
  const kinds: Record<number, string> = { [TRANSACTION]: 'transactions', 2: 'share groups' }
  return {
    errorCode:
      keyType === TRANSACTION ? ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED : ErrorCode.INVALID_REQUEST,
    errorMessage: `this cluster coordinates consumer groups, not ${kinds[keyType] ?? `key type ${keyType}`}`,
    nodeId: -1,
    host: '',
    port: -1,
  }
}
