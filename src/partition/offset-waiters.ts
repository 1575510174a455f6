import type { Offset } from '../lib/ids.js'

/** One who waits for an offset to be passed. */
export interface OffsetWaiter<T> {
  readonly offset: Offset
  /** Null as soon as nothing is waited for any more: whatever it holds on to (a request, its records) may go then. */
  value: T | null
}

/** A shorter queue is not looked through for those who are done. */
const MIN_TIDIED = 1024

/**
 * Those who wait until a watermark reaches their offset, in the order of the offsets: appends come in order, so
 * a queue does (a duplicate of an earlier batch is sorted in). Bounded by the caller, through `size`: those who gave up
 * stay between the others while the watermark stands still, but never more of them than of these, or 1,024.
 */
export class OffsetWaiters<T extends object | string> {
  private queue: OffsetWaiter<T>[] = []
  /** All before it are done. */
  private head = 0
  private alive = 0

  get size(): number {
    return this.alive
  }

  /** Satisfied once `takeUpTo` is called with `offset` or more. */
  add(offset: Offset, value: T): OffsetWaiter<T> {
    const waiter: OffsetWaiter<T> = { offset, value }
    const last = this.queue.at(-1)
    if (last === undefined || last.offset <= offset) this.queue.push(waiter)
    else this.queue.splice(this.placeAfter(offset), 0, waiter)
    this.alive += 1
    return waiter
  }

  /** Whoever gave up (a time-out). Returns what it held; null where it was not waiting any more. */
  remove(waiter: OffsetWaiter<T>): T | null {
    const value = this.finish(waiter)
    this.tidy()
    return value
  }

  takeUpTo(watermark: Offset): T[] {
    const taken: T[] = []
    while (this.head < this.queue.length && this.queue[this.head]!.offset <= watermark) {
      const value = this.finish(this.queue[this.head]!)
      this.head += 1
      if (value !== null) taken.push(value)
    }
    this.tidy()
    return taken
  }

  /** Those who wait for more than `offset`, which will not come. */
  takeAbove(offset: Offset): T[] {
    const taken: T[] = []
    while (this.queue.length > this.head && this.queue.at(-1)!.offset > offset) {
      const value = this.finish(this.queue.pop()!)
      if (value !== null) taken.push(value)
    }
    this.tidy()
    return taken.reverse()
  }

  takeAll(): T[] {
    return this.takeUpTo(Number.POSITIVE_INFINITY)
  }

  private finish(waiter: OffsetWaiter<T>): T | null {
    const { value } = waiter
    if (value === null) return null
    waiter.value = null
    this.alive -= 1
    return value
  }

  /** Behind all that wait for as much or less. */
  private placeAfter(offset: Offset): number {
    let low = this.head
    let high = this.queue.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.queue[middle]!.offset <= offset) low = middle + 1
      else high = middle
    }
    return low
  }

  /** At least half of those that it looks at were done since the last time: so each costs it two looks. */
  private tidy(): void {
    const { length } = this.queue
    if (length === 0) return
    if (this.alive > 0 && (length <= MIN_TIDIED || this.alive * 2 >= length)) return
    this.queue = this.queue.filter((waiter) => waiter.value !== null)
    this.head = 0
  }
}
