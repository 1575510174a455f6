import type { NodeId } from '../../lib/ids.js'
import type { BrokerServices } from '../services.js'

export interface NodeEndpoint {
  nodeId: NodeId
  host: string
  port: number
  rack: string | null
}

/** KIP-951: where the leaders named in an answer listen, on the listener that took the request. */
export function nodeEndpoints(
  services: Pick<BrokerServices, 'metadata'>,
  leaders: Iterable<NodeId>,
  listener: string,
): NodeEndpoint[] {
  const endpoints: NodeEndpoint[] = []
  for (const nodeId of new Set(leaders)) {
    const broker = services.metadata.image.brokers.get(nodeId)
    const endpoint = broker?.endpoints.find((one) => one.name === listener)
    if (broker === undefined || endpoint === undefined) continue
    endpoints.push({ nodeId, host: endpoint.host, port: endpoint.port, rack: broker.rack ?? null })
  }
  return endpoints
}
