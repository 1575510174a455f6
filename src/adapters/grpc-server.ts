import type { Address } from '../ports/network.js'
import type { HealthService } from './grpc-health.js'
import type { InspectService } from './grpc-inspect.js'
import type { GrpcPeers } from './grpc-peers.js'

export interface GrpcServerOptions {
  /** What this port offers: the peer service, inspection (with health and reflection), or both. */
  readonly peers?: GrpcPeers
  readonly inspect?: InspectService
  readonly health?: HealthService
}

export interface GrpcServer {
  /** Binds; one of the two is called, once. `failed` gets a sentence that names the port and the cause. */
  listen(address: Address, listening: (bound: Address) => void, failed: (error: Error) => void): void
  /** Cuts all connections; `done` when the port is free. */
  close(done: () => void): void
}

export function createGrpcServer(_options: GrpcServerOptions): GrpcServer {
  throw new Error('being written')
}
