/** A pending timer. */
export interface Timer {
  cancel(): void
}

/** Time, and the turns of the loop. Durations are measured by `monotonicMs` alone; `wallMs` only stamps records. */
export interface Clock {
  /** Milliseconds since an arbitrary point; never goes back. May have a fraction. */
  monotonicMs(): number
  /** Unix time in whole milliseconds. May jump. */
  wallMs(): number
  /** Runs `input` once, no sooner than `delayMs` from now, as an input of its own. */
  after(delayMs: number, input: () => void): Timer
  /**
   * Runs `input` when the inputs of the present turn of the loop have been handled: where group commit gathers
   * what one turn brought. Calls run in the order in which they were made.
   */
  endOfTurn(input: () => void): void
}
