import type * as grpc from '@grpc/grpc-js'
import type { PeerMessage } from '../broker/peer-message.js'
import type { NodeId } from '../lib/ids.js'
import type { Logger } from '../ports/logger.js'
import type { PeerHandler, PeerTransport } from '../ports/peers.js'

export interface GrpcPeersOptions {
  readonly nodeId: NodeId
  /** The cluster that this node belongs to; undefined before it was founded or joined. */
  clusterId(): string | undefined
  readonly logger: Logger
  readonly handler: PeerHandler<PeerMessage>
}

/** The transport, and the service that a server must offer so that others reach it. */
export interface GrpcPeers extends PeerTransport<PeerMessage> {
  /** Adds the peer service; before the server is bound. */
  addTo(server: grpc.Server): void
}

export function createGrpcPeers(_options: GrpcPeersOptions): GrpcPeers {
  throw new Error('being written')
}
