import type { Clock, Timer } from '../ports/clock.js'
import { type Disk, DiskError } from '../ports/disk.js'

/** A turn removes files for so long, or so many where time stands still within it; then others have the loop for as long. */
const TURN_MS = 5
const FILES_IN_TURN = 100

/**
 * What is to go from the disk: old segments, and the directories of deleted logs. However many are due at once, the
 * files go one after the other, some in each turn of the loop: the node's heartbeats share it, and the unlinking of a
 * large file takes milliseconds. It holds no more than there is on the disk, and what a stop leaves goes at the next start.
 */
export class Removals {
  /** Each removes one file, in the order of the set. */
  private readonly waiting = new Set<() => void>()
  private timer: Timer | null = null
  private isClosed = false

  constructor(
    private readonly disk: Pick<Disk, 'exists' | 'list' | 'unlink' | 'removeTree'>,
    private readonly clock: Pick<Clock, 'monotonicMs' | 'after'>,
    /** Of one file: the others go all the same. */
    private readonly onFailed: (error: DiskError) => void,
  ) {}

  /** `isWanted` is asked when its turn has come. */
  addFile(path: string, isWanted: () => boolean = () => true): void {
    this.add(() => {
      if (isWanted() && this.disk.exists(path)) this.disk.unlink(path)
    })
  }

  addTree(path: string): void {
    this.add(() => {
      if (!this.disk.exists(path)) return
      for (const name of this.disk.list(path)) if (!name.endsWith('/')) this.addFile(`${path}/${name}`)
      this.add(() => this.disk.removeTree(path))
    })
  }

  private add(remove: () => void): void {
    if (this.isClosed) return
    this.waiting.add(remove)
    this.timer ??= this.clock.after(0, () => this.work())
  }

  private work(): void {
    const begunMs = this.clock.monotonicMs()
    let count = 0
    for (const remove of this.waiting) {
      this.waiting.delete(remove)
      this.remove(remove)
      if (this.isClosed || ++count === FILES_IN_TURN || this.clock.monotonicMs() - begunMs >= TURN_MS) break
    }
    const isDone = this.isClosed || this.waiting.size === 0
    this.timer = isDone ? null : this.clock.after(TURN_MS, () => this.work())
  }

  private remove(remove: () => void): void {
    try {
      remove()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.onFailed(error)
    }
  }

  close(): void {
    this.isClosed = true
    this.timer?.cancel()
    this.timer = null
    this.waiting.clear()
  }
}
