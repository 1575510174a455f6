import type { Clock, Timer } from '../../ports/clock.js'
import type { Entry } from '../../raft/types.js'

/** About a thousand records: decoded and applied within a few milliseconds. One larger entry goes alone. */
const SLICE_BYTES = 64 * 1024

/** A snapshot that takes the place of all that came before. */
export interface Restoring<T> {
  readonly parts: readonly T[]
  /** Before anything else of it, however many parts it has: another one may have been read by half. */
  onBegin(): void
  /** Each one in a turn of its own, but for the first and the last. */
  onPart(part: T): void
  onDone(last: T | undefined): void
}

/**
 * Applies committed entries in their order, the first ones at once, and where they are many so many in each turn of the
 * loop that heartbeats and votes get through: a node that starts again hears of its whole log in one message.
 */
export class SlicedApply {
  private waiting: Entry[] = []
  private next = 0
  private timer: Timer | null = null
  private isApplying = false
  private restoring: (() => void) | null = null

  constructor(
    private readonly clock: Pick<Clock, 'after'>,
    private readonly apply: (entries: readonly Entry[]) => void,
  ) {}

  add(entries: readonly Entry[]): void {
    for (const entry of entries) this.waiting.push(entry)
    if (this.timer === null && !this.isApplying && this.restoring === null) this.applySlice()
  }

  /** Nothing of what waits will be applied. */
  clear(): void {
    this.timer?.cancel()
    this.timer = null
    this.waiting = []
    this.next = 0
    this.restoring = null
  }

  /** Nothing of what waits will be applied; what is added from now on comes after the snapshot. */
  restore<T>({ parts, onBegin, onPart, onDone }: Restoring<T>): void {
    this.clear()
    let next = 0
    const step = (): void => {
      if (next === 0) onBegin()
      if (next < parts.length - 1) {
        onPart(parts[next]!)
        next++
        return
      }
      this.restoring = null
      onDone(parts[next])
    }
    this.restoring = step
    if (!this.isApplying) this.restoreSlice()
  }

  private restoreSlice(): void {
    this.isApplying = true
    this.restoring?.()
    this.isApplying = false
    this.goOn()
  }

  private applySlice(): void {
    this.isApplying = true
    this.apply(this.takeSlice())
    this.isApplying = false
    this.goOn()
  }

  /** In the next turn. */
  private goOn(): void {
    if (this.restoring === null && this.waiting.length === 0) return
    this.timer = this.clock.after(0, () => {
      this.timer = null
      if (this.restoring !== null) this.restoreSlice()
      else this.applySlice()
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
