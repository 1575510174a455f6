/** A fraction of one window: what is left is given out in pieces of at least that size. */
const SMALLEST_SHARE = 1 / 20
/** After a lull the missed bytes may be made up for, in one window no more than this many times its share. */
const MAX_BURST = 2

export interface ReplicationQuotaOptions {
  /** `replication.quota.window.num`. */
  readonly windows: number
  /** `replication.quota.window.size.seconds`, in milliseconds. */
  readonly windowMs: number
}

/**
 * A rate of bytes held over sampled windows (KIP-73): what was recorded in the last `windows` windows stays below
 * the rate times the time since they began. A single batch may go beyond what is left; the excess is waited out.
 * Times are monotonic milliseconds. Pure.
 */
export class ReplicationQuota {
  /** Bytes of the windows, by their number modulo their count. */
  private readonly samples: number[]
  private total = 0
  /** The number of the newest window. */
  private window = Number.NEGATIVE_INFINITY
  /** When recording began; anew after a time without any. */
  private beganMs = 0
  private bytesPerSecond = Number.POSITIVE_INFINITY

  constructor(private readonly options: ReplicationQuotaOptions) {
    this.samples = new Array<number>(options.windows).fill(0)
  }

  /** What was recorded under another rate says nothing about this one. */
  setRate(bytesPerSecond: number): void {
    if (bytesPerSecond === this.bytesPerSecond) return
    this.bytesPerSecond = bytesPerSecond
    this.samples.fill(0)
    this.total = 0
  }

  record(bytes: number, nowMs: number): void {
    this.advance(nowMs)
    if (this.total === 0) this.beganMs = nowMs
    const slot = this.slotOf(this.window)
    this.samples[slot] = this.samples[slot]! + bytes
    this.total += bytes
  }

  /** Bytes that may be sent now; 0 where it is less than is worth a fetch. */
  available(nowMs: number): number {
    const { bytesPerSecond } = this
    if (bytesPerSecond === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY
    this.advance(nowMs)
    const left = Math.floor(Math.min(this.leftOfAll(nowMs), this.leftOfWindow()))
    return left >= Math.max(1, this.share * SMALLEST_SHARE) ? left : 0
  }

  /** How long until something is available, at the latest; 0: it is. Ask again then: others may have been faster. */
  delayMs(nowMs: number): number {
    if (this.available(nowMs) > 0) return 0
    const { windowMs } = this.options
    const toNextWindowMs = (this.window + 1) * windowMs - nowMs
    if (this.leftOfWindow() < this.share * SMALLEST_SHARE) return Math.max(1, toNextWindowMs)
    const missing = Math.max(1, this.share * SMALLEST_SHARE) - this.leftOfAll(nowMs)
    const refillMs = this.bytesPerSecond > 0 ? (missing * 1_000) / this.bytesPerSecond : windowMs
    return Math.max(1, Math.min(windowMs, Math.ceil(refillMs)))
  }

  /** Bytes a second over the windows that are looked at. */
  rate(nowMs: number): number {
    this.advance(nowMs)
    return (this.total * 1_000) / this.spanMs(nowMs)
  }

  /** The bytes of one window. */
  private get share(): number {
    return (this.bytesPerSecond * this.options.windowMs) / 1_000
  }

  private leftOfAll(nowMs: number): number {
    return (this.bytesPerSecond * this.spanMs(nowMs)) / 1_000 - this.total
  }

  private leftOfWindow(): number {
    return MAX_BURST * this.share - this.samples[this.slotOf(this.window)]!
  }

  /** Since the oldest window began, or the recording did; at least one window. */
  private spanMs(nowMs: number): number {
    const { windows, windowMs } = this.options
    const oldestMs = (this.window - windows + 1) * windowMs
    return this.total === 0 ? windowMs : Math.max(windowMs, nowMs - Math.max(oldestMs, this.beganMs))
  }

  /** Windows that have passed drop out. */
  private advance(nowMs: number): void {
    const { windows, windowMs } = this.options
    const now = Math.floor(nowMs / windowMs)
    if (now <= this.window) return
    const passed = Math.min(windows, now - this.window)
    this.window = now
    for (let i = 0; i < passed; i++) {
      const slot = this.slotOf(now - i)
      this.total -= this.samples[slot]!
      this.samples[slot] = 0
    }
  }

  private slotOf(window: number): number {
    const { windows } = this.options
    return ((window % windows) + windows) % windows
  }
}
