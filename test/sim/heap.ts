import type { Timer } from '../../src/ports/clock.js'

/** Whose event it is: a dead owner's events are dropped, a paused one's wait for it. */
export interface EventOwner {
  readonly state: 'running' | 'paused' | 'dead'
  /** It has no time for another event. */
  isBusyAt(timeMs: number): boolean
  postpone(event: SimEvent): void
  ran(): void
  defer(event: SimEvent): void
}

/** An event of the simulated world, ordered by (timeMs, sequence). It is its own timer. */
export class SimEvent implements Timer {
  constructor(
    readonly timeMs: number,
    readonly sequence: number,
    public owner: EventOwner | null,
    /** Null once it is cancelled: nothing that it held is kept until its time. */
    public run: (() => void) | null,
  ) {}

  cancel(): void {
    this.run = null
  }

  isBefore(other: SimEvent): boolean {
    return this.timeMs < other.timeMs || (this.timeMs === other.timeMs && this.sequence < other.sequence)
  }
}

/** A binary heap: the same pushes give the same pops. */
export class EventHeap {
  private readonly items: SimEvent[] = []

  get size(): number {
    return this.items.length
  }

  peek(): SimEvent | undefined {
    return this.items[0]
  }

  push(event: SimEvent): void {
    const items = this.items
    let at = items.length
    items.push(event)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!event.isBefore(items[parent]!)) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = event
  }

  pop(): SimEvent | undefined {
    const items = this.items
    const first = items[0]
    const last = items.pop()
    if (first === undefined || last === undefined || items.length === 0) return first
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= items.length) break
      if (child + 1 < items.length && items[child + 1]!.isBefore(items[child]!)) child++
      if (!items[child]!.isBefore(last)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return first
  }
}

/** First in, first out. */
export class EventQueue {
  private readonly items: SimEvent[] = []
  private head = 0

  peek(): SimEvent | undefined {
    return this.items[this.head]
  }

  push(event: SimEvent): void {
    this.items.push(event)
  }

  pop(): SimEvent | undefined {
    const first = this.items[this.head++]
    if (this.head >= this.items.length) {
      this.items.length = 0
      this.head = 0
    }
    return first
  }
}
