import type { Clock } from '../../ports/clock.js'

/** The loop goes on after so long. */
const TURN_MS = 10

/** Does the next piece of a request's work. Returns whether there is more of it. */
type Step = () => boolean

/**
 * Lookups that read the disk and decompress, each of which may take tenths of a second: of all requests together, as many in
 * a turn of the loop as 10 ms allow, so that heartbeats leave in between. Connections take turns: who asks for much
 * waits behind itself.
 */
export class LookupTurns {
  /** By connection, in the order in which they are next. */
  private readonly waiting = new Map<number, Step[]>()
  private isScheduled = false

  constructor(private readonly clock: Pick<Clock, 'monotonicMs' | 'after'>) {}

  /** Never runs `step` before this returned. */
  add(connectionId: number, step: Step): void {
    const before = this.waiting.get(connectionId)
    if (before === undefined) this.waiting.set(connectionId, [step])
    else before.push(step)
    this.runLater()
  }

  /** The connection is gone. */
  drop(connectionId: number): void {
    this.waiting.delete(connectionId)
  }

  private runLater(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    this.clock.after(0, () => {
      this.isScheduled = false
      this.run()
    })
  }

  private run(): void {
    const begunMs = this.clock.monotonicMs()
    // A connection that is set anew comes again at the end of the round.
    for (const [connectionId, steps] of this.waiting) {
      if (!steps[0]!()) steps.shift()
      const isOpen = this.waiting.delete(connectionId)
      if (isOpen && steps.length > 0) this.waiting.set(connectionId, steps)
      if (this.clock.monotonicMs() - begunMs > TURN_MS) break
    }
    if (this.waiting.size > 0) this.runLater()
  }
}
