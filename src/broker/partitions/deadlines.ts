import type { Clock } from '../../ports/clock.js'

/** Waits of one length or another end together, up to this much late: a timer each would cost more than it gives. */
const BUCKET_MS = 10

/** Many time-outs on few timers. */
export class Deadlines {
  private readonly buckets = new Map<number, Set<() => void>>()

  constructor(private readonly clock: Clock) {}

  /** Runs `input` once after `delayMs` (and up to 10 ms more), unless the returned function was called before. */
  add(delayMs: number, input: () => void): () => void {
    const nowMs = this.clock.monotonicMs()
    const bucketId = Math.ceil((nowMs + delayMs) / BUCKET_MS)
    let bucket = this.buckets.get(bucketId)
    if (bucket === undefined) {
      bucket = new Set()
      this.buckets.set(bucketId, bucket)
      this.clock.after(Math.max(0, bucketId * BUCKET_MS - nowMs), () => this.run(bucketId))
    }
    const members = bucket
    members.add(input)
    return () => members.delete(input)
  }

  private run(bucketId: number): void {
    const bucket = this.buckets.get(bucketId)
    this.buckets.delete(bucketId)
    if (bucket === undefined) return
    for (const input of bucket) input()
  }
}
