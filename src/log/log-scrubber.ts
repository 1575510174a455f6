import type { Offset } from '../lib/ids.js'
import type { PartitionLog } from './partition-log.js'

const SCRUB_BYTES = 1024 * 1024

/** Reads every log through in the background, once from each start on, so that rot is found before it is needed. */
export class LogScrubber {
  private queue: PartitionLog[] = []
  /** Where the first of the queue goes on; -1: all was read. */
  private cursor: Offset = 0

  constructor(private readonly logs: () => Iterable<PartitionLog>) {}

  /** @throws DiskError where a log is damaged: it has reported that itself, and the next one is due */
  step(): void {
    if (this.queue.length === 0) {
      if (this.cursor < 0) return
      this.queue = [...this.logs()]
      this.cursor = 0
    }
    const log = this.queue[0]
    const { cursor } = this
    // Should it throw, it has reported the damage, and the next log is due.
    this.cursor = 0
    this.queue.shift()
    const next = log === undefined || log.isClosed ? null : log.scrub(cursor, SCRUB_BYTES)
    if (log !== undefined && next !== null) {
      this.cursor = next
      this.queue.unshift(log)
    }
    if (this.queue.length === 0) this.cursor = -1
  }
}
