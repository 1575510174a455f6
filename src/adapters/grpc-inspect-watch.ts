import type * as grpc from '@grpc/grpc-js'
import type { QuorumEvent } from '../broker/quorum/events.js'
import type { InspectStatus } from './grpc-inspect.js'

/** Of inspect.proto. */
export type WatchEvent =
  | { type: 'status'; status: InspectStatus }
  | { type: 'event'; event: QuorumEvent }
  | { type: 'missed'; count: number }

/** Events that wait for a watcher that reads slowly. */
const MAX_QUEUED = 256

/** One watcher. What it is too slow for is dropped, oldest first, and it is told how much that was. */
export class EventWatch {
  private readonly queue: QuorumEvent[] = []
  private missed = 0
  private isBlocked = false
  private isScheduled = false
  private isEnded = false

  constructor(
    private readonly call: grpc.ServerWritableStream<object, WatchEvent>,
    private readonly onEnd: () => void,
  ) {
    const ended = () => this.finish()
    call.on('cancelled', ended).on('close', ended).on('error', ended)
    call.on('drain', () => {
      this.isBlocked = false
      this.flush()
    })
  }

  begin(status: InspectStatus): void {
    this.write({ type: 'status', status })
  }

  /** Never throws and never writes before it returned: it is called from within the quorum's own turn. */
  push(event: QuorumEvent): void {
    const last = this.queue.length - 1
    // Of a run of commits that nobody has read the last one says it all.
    if (event.type === 'commit' && this.queue[last]?.type === 'commit') this.queue[last] = event
    else this.queue.push(event)
    if (this.queue.length > MAX_QUEUED) {
      this.queue.shift()
      this.missed++
    }
    if (this.isScheduled || this.isBlocked) return
    this.isScheduled = true
    setImmediate(() => {
      this.isScheduled = false
      this.flush()
    })
  }

  end(): void {
    if (this.isEnded) return
    this.finish()
    this.call.end()
  }

  private flush(): void {
    if (this.missed > 0 && !this.isBlocked && !this.isEnded) {
      this.write({ type: 'missed', count: this.missed })
      this.missed = 0
    }
    let sent = 0
    while (sent < this.queue.length && !this.isBlocked && !this.isEnded) {
      this.write({ type: 'event', event: this.queue[sent++]! })
    }
    this.queue.splice(0, sent)
  }

  private write(event: WatchEvent): void {
    if (!this.call.write(event)) this.isBlocked = true
  }

  private finish(): void {
    if (this.isEnded) return
    this.isEnded = true
    this.queue.length = 0
    this.onEnd()
  }
}
