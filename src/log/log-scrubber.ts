import type { Offset } from '../lib/ids.js'
import type { Clock } from '../ports/clock.js'
import type { PartitionLog } from './partition-log.js'

/** In one step: so many bytes at least, from as many logs as it takes, but no longer than the loop may stand still. */
const STEP_BYTES = 1024 * 1024
const STEP_MS = 10

/** Reads every log through in the background, once from each start on, so that rot is found before it is needed. */
export class LogScrubber {
  private queue: PartitionLog[] = []
  private at = 0
  /** Where the log `at` goes on. */
  private cursor: Offset = 0
  private state: 'new' | 'reading' | 'done' = 'new'

  constructor(
    private readonly clock: Pick<Clock, 'monotonicMs'>,
    private readonly logs: () => Iterable<PartitionLog>,
  ) {}

  /** @throws DiskError where a log is damaged: it has reported that itself, and the next one is due */
  step(): void {
    if (this.state === 'new') {
      this.queue = [...this.logs()]
      this.state = 'reading'
    }
    if (this.state === 'done') return
    const begunMs = this.clock.monotonicMs()
    for (let bytes = 0; bytes < STEP_BYTES && this.clock.monotonicMs() - begunMs < STEP_MS; ) {
      const log = this.queue[this.at]
      if (log === undefined) {
        this.state = 'done'
        this.queue = []
        return
      }
      bytes += this.read(log)
    }
  }

  /** Returns how many bytes were read. */
  private read(log: PartitionLog): number {
    const { cursor } = this
    // Should it throw, it has reported the damage, and the next log is due.
    this.at++
    this.cursor = 0
    const read = log.scrub(cursor, STEP_BYTES)
    if (read === null) return 0
    this.at--
    this.cursor = read.nextOffset
    return read.byteLength
  }
}
