import type * as grpc from '@grpc/grpc-js'

/** grpc.health.v1. Services: '' and 'kogge.inspect.v1.Inspect' and 'liveness' while the process runs; 'quorum' while a quorum makes progress. */
export interface HealthService {
  addTo(server: grpc.Server): void
  /** Readiness: '' and 'quorum' and the inspect service follow it; 'liveness' is always SERVING. */
  setReady(ready: boolean): void
}

export function createHealthService(): HealthService {
  throw new Error('being written')
}
