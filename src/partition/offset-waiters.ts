import type { Offset } from '../lib/ids.js'

/** One who waits for an offset to be passed. */
export interface OffsetWaiter<T> {
  readonly offset: Offset
  readonly value: T
  isDone: boolean
}

/**
 * Those who wait until a watermark reaches their offset, in the order of the offsets: appends come in order, so
 * a queue does (a duplicate of an earlier batch is sorted in). Bounded by the caller, through `size`.
 */
export class OffsetWaiters<T> {
  private queue: OffsetWaiter<T>[] = []
  private head = 0
  private alive = 0

  get size(): number {
    return this.alive
  }

  /** Satisfied once `takeUpTo` is called with `offset` or more. */
  add(offset: Offset, value: T): OffsetWaiter<T> {
    const waiter: OffsetWaiter<T> = { offset, value, isDone: false }
    let at = this.queue.length
    while (at > this.head && this.queue[at - 1]!.offset > offset) at -= 1
    if (at === this.queue.length) this.queue.push(waiter)
    else this.queue.splice(at, 0, waiter)
    this.alive += 1
    return waiter
  }

  /** Whoever gave up (a time-out) is passed over later. Returns whether it was still waiting. */
  remove(waiter: OffsetWaiter<T>): boolean {
    if (waiter.isDone) return false
    waiter.isDone = true
    this.alive -= 1
    if (this.alive === 0) this.reset()
    return true
  }

  takeUpTo(watermark: Offset): T[] {
    const taken: T[] = []
    while (this.head < this.queue.length && this.queue[this.head]!.offset <= watermark) {
      const waiter = this.queue[this.head]!
      this.head += 1
      if (waiter.isDone) continue
      waiter.isDone = true
      this.alive -= 1
      taken.push(waiter.value)
    }
    if (this.alive === 0) this.reset()
    else if (this.head > 1024) {
      this.queue = this.queue.slice(this.head)
      this.head = 0
    }
    return taken
  }

  /** Those who wait for more than `offset`, which will not come. */
  takeAbove(offset: Offset): T[] {
    const taken: T[] = []
    while (this.queue.length > this.head && this.queue.at(-1)!.offset > offset) {
      const waiter = this.queue.pop()!
      if (waiter.isDone) continue
      waiter.isDone = true
      this.alive -= 1
      taken.push(waiter.value)
    }
    return taken.reverse()
  }

  takeAll(): T[] {
    return this.takeUpTo(Number.POSITIVE_INFINITY)
  }

  private reset(): void {
    this.queue = []
    this.head = 0
  }
}
