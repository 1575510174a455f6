import type { Clock, Timer } from '../ports/clock.js'

/** The loop goes on after so long, or after so many where time stands still within a turn. */
const TURN_MS = 10
const ITEMS_IN_TURN = 500

/** Visits all items in their order, some in each turn of the loop, the first ones at once; then `done`, perhaps at once too. */
export function inTurns<T>(
  clock: Pick<Clock, 'monotonicMs' | 'after'>,
  items: readonly T[],
  visit: (item: T) => void,
  done: () => void,
): Timer {
  let at = 0
  let timer: Timer | null = null
  const next = (): void => {
    const begunMs = clock.monotonicMs()
    for (let i = 0; i < ITEMS_IN_TURN && at < items.length; i++) {
      visit(items[at++]!)
      if (i % 16 === 15 && clock.monotonicMs() - begunMs > TURN_MS) break
    }
    if (at === items.length) done()
    else timer = clock.after(0, next)
  }
  next()
  return { cancel: () => timer?.cancel() }
}
