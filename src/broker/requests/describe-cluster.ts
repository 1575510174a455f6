import { ErrorCode } from '../../wire/errors.js'
import {
  DescribeCluster,
  type DescribeClusterRequest,
  type DescribeClusterResponse,
} from '../../wire/messages/describe-cluster.js'
import type { ApiHandler } from '../handler.js'
import type { BrokerServices } from '../services.js'
import { advertisedController, clusterOperations, endpointOf } from './admin.js'

const BROKERS = 1

/**
 * DescribeCluster, versions 0 to 2. Brokers with the endpoints of the listener that took the request; fenced ones
 * where asked for (v2). Controllers' endpoints are not to be had on a broker's listener: MISMATCHED_ENDPOINT_TYPE.
 */
export function describeClusterHandler(
  services: BrokerServices,
): ApiHandler<DescribeClusterRequest, DescribeClusterResponse> {
  return {
    api: DescribeCluster,
    handle(request, context, responder) {
      const { image } = services.metadata
      const { clusterId } = image
      const { endpointType } = request
      if (endpointType !== BROKERS) {
        const errorMessage = 'this listener is for clients of the brokers: only brokers can be described here'
        const errorCode = ErrorCode.MISMATCHED_ENDPOINT_TYPE
        return responder.send({ errorCode, errorMessage, endpointType, clusterId, brokers: [] })
      }
      const brokers = []
      for (const broker of image.brokers.values()) {
        const endpoint = endpointOf(broker, context.listener)
        if (endpoint === undefined || (broker.fenced && !request.includeFencedBrokers)) continue
        const { host, port } = endpoint
        brokers.push({ brokerId: broker.id, host, port, rack: broker.rack ?? null, isFenced: broker.fenced })
      }
      responder.send({
        errorCode: ErrorCode.NONE,
        endpointType,
        clusterId,
        controllerId: advertisedController(services, context.listener),
        brokers: brokers.sort((a, b) => a.brokerId - b.brokerId),
        clusterAuthorizedOperations: clusterOperations(request.includeClusterAuthorizedOperations),
      })
    },
  }
}
