import type { Clock, Timer } from '../../ports/clock.js'
import type { Entry } from '../../raft/types.js'

/** About a thousand records: decoded and applied within a few milliseconds. One larger entry goes alone. */
const SLICE_BYTES = 64 * 1024

/**
 * Applies committed entries in their order, the first ones at once, and where they are many so many in each turn of the
 * loop that heartbeats and votes get through: a node that starts again hears of its whole log in one message.
 */
export class SlicedApply {
  private waiting: Entry[] = []
  private next = 0
  private timer: Timer | null = null
  private isApplying = false

  constructor(
    private readonly clock: Pick<Clock, 'after'>,
    private readonly apply: (entries: readonly Entry[]) => void,
  ) {}

  add(entries: readonly Entry[]): void {
    for (const entry of entries) this.waiting.push(entry)
    if (this.timer === null && !this.isApplying) this.applySlice()
  }

  /** Nothing of what waits will be applied. */
  clear(): void {
    this.timer?.cancel()
    this.timer = null
    this.waiting = []
    this.next = 0
  }

  private applySlice(): void {
    this.isApplying = true
    this.apply(this.takeSlice())
    this.isApplying = false
    if (this.waiting.length === 0) return
    this.timer = this.clock.after(0, () => {
      this.timer = null
      this.applySlice()
    })
  }

  private takeSlice(): Entry[] {
    const from = this.next
    let bytes = 0
    while (this.next < this.waiting.length) {
      const entry = this.waiting[this.next]!
      bytes += entry.type === 'data' ? entry.payload.length : 0
      if (bytes > SLICE_BYTES && this.next > from) break
      this.next++
    }
    const slice = this.waiting.slice(from, this.next)
    if (this.next === this.waiting.length) {
      this.waiting = []
      this.next = 0
    }
    return slice
  }
}
