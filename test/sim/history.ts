import { badAnomalies, checkHistory } from '../../src/checker/checker.js'
import type { History, MicroOp, Operation, Outcome } from '../../src/checker/history.js'
import type { SimWorldClock } from './clock.js'
import { Violation } from './invariants/invariant.js'

/** An operation that was begun; `end` is called once, or never where nobody will know what came of it. */
export interface OpenOperation {
  /** It says nothing, and is forgotten. */
  drop(): void
  end(type: Exclude<Outcome, 'invoke'>, ops?: readonly MicroOp[]): void
}

/** What all clients of a life did and saw, in the order in which they began it. */
export class HistoryRecorder {
  /** Null: dropped. */
  private readonly recorded: (Operation | null)[] = []
  private processes = 0

  constructor(private readonly clock: SimWorldClock) {}

  /** A number for a client; a new one for a client that does not know what came of its last write. */
  process(): number {
    return this.processes++
  }

  begin(process: number, f: Operation['f'], ops: readonly MicroOp[] = []): OpenOperation {
    const tStart = this.clock.nowMs
    const at = this.recorded.push({ process, type: 'invoke', f, tStart, tEnd: tStart, ops }) - 1
    return {
      drop: () => {
        this.recorded[at] = null
      },
      end: (type, result = ops) => {
        this.recorded[at] = { process, type, f, tStart, tEnd: this.clock.nowMs, ops: result }
      },
    }
  }

  get size(): number {
    return this.recorded.length
  }

  /** @throws Violation naming the first of what is wrong */
  judge(isComplete: boolean): void {
    const history: History = this.recorded.filter((operation) => operation !== null)
    const bad = badAnomalies(checkHistory(history, { isComplete }))
    const [first] = bad
    if (first === undefined) return
    const ops = first.ops.map((op) => `\n  ${op}: ${JSON.stringify(history[op])}`).join('')
    throw new Violation(`history: ${first.type}`, `${first.detail} (${bad.length} anomalies in all)${ops}`)
  }
}
