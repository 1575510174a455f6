import * as grpc from '@grpc/grpc-js'
import type { Address } from '../ports/network.js'
import type { HealthService } from './grpc-health.js'
import type { InspectService } from './grpc-inspect.js'
import { CHANNEL_OPTIONS, target } from './grpc-peer-lane.js'
import type { GrpcPeers } from './grpc-peers.js'
import { addReflection } from './grpc-reflection.js'

export interface GrpcServerOptions {
  /** What this port offers: the peer service, inspection, health, or all. Reflection tells of what there is. */
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

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  // grpc-js would write lines of its own to stderr; what matters comes back as an error.
  if (process.env.GRPC_VERBOSITY === undefined) grpc.setLogVerbosity(grpc.logVerbosity.NONE)
  const server = new grpc.Server({
    'grpc.max_receive_message_length': CHANNEL_OPTIONS['grpc.max_receive_message_length'],
    'grpc.max_send_message_length': CHANNEL_OPTIONS['grpc.max_send_message_length'],
    'grpc.keepalive_time_ms': CHANNEL_OPTIONS['grpc.keepalive_time_ms'],
    'grpc.keepalive_timeout_ms': CHANNEL_OPTIONS['grpc.keepalive_timeout_ms'],
    // A second process on the same port must fail, not share it.
    'grpc.so_reuseport': 0,
  })
  const services: string[] = []
  if (options.peers) {
    options.peers.addTo(server)
    services.push('kogge.peer.v1.Peer')
  }
  if (options.inspect) {
    options.inspect.addTo(server)
    services.push('kogge.inspect.v1.Inspect')
  }
  if (options.health) {
    options.health.addTo(server)
    services.push('grpc.health.v1.Health')
  }
  addReflection(server, services)
  return {
    listen(address, listening, failed) {
      server.bindAsync(target(address), grpc.ServerCredentials.createInsecure(), (error, port) => {
        if (error) failed(bindError(address, error))
        else listening({ host: address.host, port })
      })
    },
    close(done) {
      options.inspect?.close()
      server.forceShutdown()
      // forceShutdown closes the listening socket but does not tell when; tryShutdown does.
      server.tryShutdown(() => done())
    },
  }
}

function bindError(address: Address, error: Error): Error {
  const where = target(address)
  if (error.message.includes('EADDRINUSE')) {
    return new Error(
      `cannot listen on ${where} for gRPC: the port is in use; stop who holds it or set another one`,
    )
  }
  if (error.message.includes('EACCES')) {
    return new Error(`cannot listen on ${where} for gRPC: the system does not permit this port`)
  }
  return new Error(`cannot listen on ${where} for gRPC: ${error.message}`)
}
