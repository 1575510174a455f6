import type { Clock, Timer } from '../ports/clock.js'

/** Node's timers and monotonic clock. `endOfTurn` gathers what one turn of the loop brought into one setImmediate. */
export class SystemClock implements Clock {
  private pending: (() => void)[] = []

  monotonicMs(): number {
    return performance.now()
  }

  wallMs(): number {
    return Date.now()
  }

  after(delayMs: number, input: () => void): Timer {
    // Node clamps longer delays to 1 ms.
    const handle = setTimeout(input, Math.min(Math.max(0, delayMs), 0x7fff_ffff))
    return { cancel: () => clearTimeout(handle) }
  }

  endOfTurn(input: () => void): void {
    this.pending.push(input)
    if (this.pending.length === 1) setImmediate(this.runPending)
  }

  private readonly runPending = (): void => {
    const inputs = this.pending
    this.pending = []
    // An input that throws must not take the others with it: its error surfaces, the rest runs in the next turn.
    for (let i = 0; i < inputs.length; i++) {
      try {
        inputs[i]!()
      } catch (error) {
        const rest = inputs.slice(i + 1)
        if (rest.length > 0) {
          if (this.pending.length === 0) setImmediate(this.runPending)
          this.pending = [...rest, ...this.pending]
        }
        throw error
      }
    }
  }
}
