import type { Clock, Timer } from '../../ports/clock.js'

/** Waits of one length or another end together, up to this much late: a timer each would cost more than it gives. */
const BUCKET_MS = 10

interface Bucket {
  readonly members: Set<() => void>
  readonly timer: Timer
}

/** Many time-outs on few timers. What was called off leaves nothing behind, however far away it was. */
export class Deadlines {
  private readonly buckets = new Map<number, Bucket>()

  constructor(private readonly clock: Clock) {}

  /** Timers that run. */
  get size(): number {
    return this.buckets.size
  }

  /** Runs `input` once after `delayMs` (and up to 10 ms more), unless the returned function was called before. */
  add(delayMs: number, input: () => void): () => void {
    const nowMs = this.clock.monotonicMs()
    const bucketId = Math.ceil((nowMs + delayMs) / BUCKET_MS)
    let bucket = this.buckets.get(bucketId)
    if (bucket === undefined) {
      const timer = this.clock.after(Math.max(0, bucketId * BUCKET_MS - nowMs), () => this.run(bucketId))
      this.buckets.set(bucketId, (bucket = { members: new Set(), timer }))
    }
    const { members, timer } = bucket
    members.add(input)
    return () => {
      members.delete(input)
      if (members.size > 0 || this.buckets.get(bucketId)?.members !== members) return
      timer.cancel()
      this.buckets.delete(bucketId)
    }
  }

  private run(bucketId: number): void {
    const bucket = this.buckets.get(bucketId)
    this.buckets.delete(bucketId)
    if (bucket === undefined) return
    for (const input of bucket.members) input()
  }
}
