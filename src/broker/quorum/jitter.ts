import type { JitterStatus } from './handle.js'

/** Upper bounds of the buckets: from 0.05 ms on, each a fifth above the last; 64 of them reach 4.8 s. */
const FIRST_BOUND_MS = 0.05
const GROWTH = 1.2
const BUCKETS = 64

/** A histogram of delays. Percentiles are the upper bound of their bucket, so at most a fifth too high; the maximum is exact. */
export class JitterHistogram {
  private readonly counts = new Uint32Array(BUCKETS + 1)
  private count = 0
  private maxMs = 0

  record(delayMs: number): void {
    this.counts[bucketOf(delayMs)]!++
    this.count++
    this.maxMs = Math.max(this.maxMs, delayMs)
  }

  status(): JitterStatus {
    const { count, maxMs } = this
    return { count, p50Ms: this.percentile(0.5), p99Ms: this.percentile(0.99), maxMs }
  }

  private percentile(share: number): number {
    const rank = Math.ceil(this.count * share)
    let seen = 0
    for (let i = 0; i <= BUCKETS; i++) {
      seen += this.counts[i]!
      if (seen >= rank && seen > 0) return Math.min(FIRST_BOUND_MS * GROWTH ** i, this.maxMs)
    }
    return 0
  }
}

function bucketOf(delayMs: number): number {
  if (delayMs <= FIRST_BOUND_MS) return 0
  return Math.min(BUCKETS, Math.ceil(Math.log(delayMs / FIRST_BOUND_MS) / Math.log(GROWTH)))
}
