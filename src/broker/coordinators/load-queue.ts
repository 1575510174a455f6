import type { Clock, Timer } from '../../ports/clock.js'

/** What one turn of the loop reads and decodes of logs, all shards together: 15 to 35 ms of work. */
export const LOAD_TURN_BYTES = 1 << 20

/** Reads `maxBytes` of a log at most, though always one whole batch; returns how many it read. */
export type LoadSlice = (maxBytes: number) => number

interface Entry {
  readonly slice: LoadSlice
}

/**
 * The shards of a node that are being read. A node that takes over many of them at once must not read a slice of each
 * in one turn: it would stand still for up to a second, and its heartbeats and ISR changes with it. So one turn reads
 * what one slice may have, round robin: large logs take turns, and many small ones share a turn.
 */
export class LoadQueue {
  /** In the order in which they came. */
  private readonly waiting = new Set<Entry>()
  private timer: Timer | null = null

  constructor(private readonly clock: Clock) {}

  /** Runs `slice` once, behind all that wait; who has more to read comes again. */
  add(slice: LoadSlice): Timer {
    const entry = { slice }
    this.waiting.add(entry)
    this.timer ??= this.nextTurn()
    return { cancel: () => void this.waiting.delete(entry) }
  }

  private nextTurn(): Timer {
    return this.clock.after(0, () => this.runTurn())
  }

  private runTurn(): void {
    let leftBytes = LOAD_TURN_BYTES
    // Who comes again in this turn has its next slice in a later one.
    for (const entry of [...this.waiting]) {
      if (leftBytes <= 0) break
      // Another's slice may have taken it out.
      if (this.waiting.delete(entry)) leftBytes -= entry.slice(leftBytes)
    }
    // Asked for after the work: a timer that came due meanwhile would run before anything else of the node.
    this.timer = this.waiting.size > 0 ? this.nextTurn() : null
  }
}
