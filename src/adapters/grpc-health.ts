import * as grpc from '@grpc/grpc-js'
import { serviceDefinition } from './grpc-service.js'

/** These follow readiness: a quorum makes progress, as this node knows it. */
const READINESS_SERVICES = ['', 'kogge.inspect.v1.Inspect', 'quorum']
/** Serving for as long as the process answers at all. */
const LIVENESS_SERVICE = 'liveness'
const MAX_WATCHERS = 1000

type ServingStatus = 'serving' | 'notServing' | 'serviceUnknown'
interface HealthRequest {
  service: string
}
interface HealthResponse {
  status: ServingStatus
}
type WatchCall = grpc.ServerWritableStream<HealthRequest, HealthResponse>

/** grpc.health.v1. Not ready until it is said to be. */
export interface HealthService {
  addTo(server: grpc.Server): void
  /** Readiness: '', 'quorum' and the inspection service follow it; 'liveness' is always SERVING. */
  setReady(ready: boolean): void
}

export function createHealthService(): HealthService {
  return new Health()
}

class Health implements HealthService {
  private isReady = false
  private readonly watchers = new Set<WatchCall>()

  addTo(server: grpc.Server): void {
    server.addService(serviceDefinition('grpc.health.v1.Health'), {
      check: (
        call: grpc.ServerUnaryCall<HealthRequest, HealthResponse>,
        done: grpc.sendUnaryData<HealthResponse>,
      ) => {
        const status = this.statusOf(call.request.service)
        if (status !== 'serviceUnknown') done(null, { status })
        else
          done({ code: grpc.status.NOT_FOUND, details: `no service ${JSON.stringify(call.request.service)}` })
      },
      watch: (call: WatchCall) => this.watch(call),
    })
  }

  setReady(ready: boolean): void {
    if (ready === this.isReady) return
    this.isReady = ready
    for (const call of this.watchers) {
      if (!READINESS_SERVICES.includes(call.request.service)) continue
      if (call.writableLength > call.writableHighWaterMark) {
        // Reads nothing: it would fill our memory, and must ask anew when it wakes up.
        this.watchers.delete(call)
        call.emit('error', { code: grpc.status.RESOURCE_EXHAUSTED, details: 'the watcher does not read' })
      } else call.write({ status: this.statusOf(call.request.service) })
    }
  }

  private watch(call: WatchCall): void {
    if (this.watchers.size >= MAX_WATCHERS) {
      call.emit('error', { code: grpc.status.RESOURCE_EXHAUSTED, details: `${MAX_WATCHERS} watch already` })
      return
    }
    this.watchers.add(call)
    const forget = () => this.watchers.delete(call)
    call.on('cancelled', forget).on('close', forget).on('error', forget)
    call.write({ status: this.statusOf(call.request.service) })
  }

  private statusOf(service: string): ServingStatus {
    if (service === LIVENESS_SERVICE) return 'serving'
    if (!READINESS_SERVICES.includes(service)) return 'serviceUnknown'
    return this.isReady ? 'serving' : 'notServing'
  }
}
