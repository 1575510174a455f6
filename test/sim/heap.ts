/** An event of the simulated world, ordered by (timeMs, sequence). */
export interface SimEvent {
  readonly timeMs: number
  readonly sequence: number
  readonly run: () => void
  readonly owner: EventOwner | null
  cancelled: boolean
}

/** Whose event it is: a dead owner's events are dropped, a paused one's wait for it. */
export interface EventOwner {
  readonly state: 'running' | 'paused' | 'dead'
  defer(event: SimEvent): void
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
      if (!before(event, items[parent]!)) break
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
      if (child + 1 < items.length && before(items[child + 1]!, items[child]!)) child++
      if (!before(items[child]!, last)) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return first
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.sequence < b.sequence)
}
