import { assert } from '../lib/assert.js'
import type { Clock, Timer } from '../ports/clock.js'
import { type Disk, DiskError, type DiskFile, type SyncTarget } from '../ports/disk.js'

/** One log's part in a sync: what it wrote up to now, and whom to tell. */
export interface FlushJob {
  /** Files to fsync, open until the job ends. */
  readonly files: readonly DiskFile[]
  /** Directories to fsync with them. */
  readonly directories: readonly string[]
  /**
   * Called when all that is durable: puts the epoch checkpoint in its place and names the directory to fsync then; null
   * where the log was closed meanwhile. It must never be durable before the truncation that it speaks of.
   */
  readonly afterFiles: (() => string | null) | null
  /** Once, at the end. */
  readonly done: (error: Error | null) => void
}

export interface FlushSource {
  /**
   * What is to be synced now. Called in a turn of the scheduler, never while a job of this source is under way. Should
   * it throw, nothing was begun; ENOSPC is tried again later.
   */
  beginFlush(): FlushJob
  /** The directory is offline: whoever waits gets this error. */
  failFlush(error: Error): void
}

/** Each holds files open until its group is synced; more logs than the groups may hold wait for the next ones. */
const MAX_LOGS_IN_GROUP = 64
const FULL_DISK_RETRY_MS = 500

/**
 * Group commit. Logs that were dirtied in one turn of the loop are synced together; one job a log and
 * `maxConcurrentSyncs` calls of `disk.sync` are under way at a time, so a slow device makes the groups larger. A failed
 * sync is never repeated: it takes the directory offline.
 */
export class FlushScheduler {
  private dirty = new Set<FlushSource>()
  private readonly busy = new Set<FlushSource>()
  private inFlight = 0
  private isScheduled = false
  /** Met a full disk; queued again when the timer fires. */
  private readonly waiting = new Set<FlushSource>()
  private retry: Timer | null = null
  private isStopping = false
  private failure: Error | null = null

  constructor(
    private readonly disk: Disk,
    private readonly clock: Clock,
    private readonly maxConcurrentSyncs: number,
    private readonly onFailure: (error: Error) => void,
  ) {
    assert(maxConcurrentSyncs > 0, 'at least one sync must be allowed')
  }

  get hasFailed(): boolean {
    return this.failure !== null
  }

  /** Has the source flushed at the end of this turn, or as soon as its job under way has ended. */
  queue(source: FlushSource): void {
    this.dirty.add(source)
    this.schedule()
  }

  forget(source: FlushSource): void {
    this.dirty.delete(source)
    this.waiting.delete(source)
  }

  /** Nobody waits for space any more: what meets a full disk from now on fails. */
  stopWaiting(): void {
    this.isStopping = true
    this.queueWaiting()
  }

  /** Nothing is synced any more. */
  fail(error: Error): void {
    if (this.failure !== null) return
    this.failure = error
    this.onFailure(error)
    this.queueWaiting()
    this.schedule()
  }

  private queueWaiting(): void {
    this.retry?.cancel()
    this.retry = null
    for (const source of this.waiting) this.queue(source)
    this.waiting.clear()
  }

  /** A full disk is no reason to give up: who waits for durability goes on waiting. */
  private waitForSpace(source: FlushSource): void {
    this.waiting.add(source)
    this.retry ??= this.clock.after(FULL_DISK_RETRY_MS, () => this.queueWaiting())
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    this.clock.endOfTurn(() => {
      this.isScheduled = false
      this.run()
    })
  }

  private run(): void {
    if (this.failure !== null) {
      const sources = [...this.dirty]
      this.dirty.clear()
      for (const source of sources) source.failFlush(this.failure)
      return
    }
    const room = this.maxConcurrentSyncs - this.inFlight
    if (room <= 0) return
    const ready: FlushSource[] = []
    for (const source of this.dirty) {
      if (ready.length === room * MAX_LOGS_IN_GROUP) break
      if (!this.busy.has(source)) ready.push(source)
    }
    const groups = Math.min(room, ready.length)
    for (let group = 0; group < groups; group++) {
      this.start(ready.filter((_source, i) => i % groups === group))
    }
  }

  private start(sources: readonly FlushSource[]): void {
    const jobs: FlushJob[] = []
    // Not all of them: whoever met a full disk may have begun anew, with others, by the time this group ends.
    const begun: FlushSource[] = []
    for (const source of sources) {
      this.dirty.delete(source)
      try {
        jobs.push(source.beginFlush())
        begun.push(source)
      } catch (error) {
        const isFull = error instanceof DiskError && error.code === 'ENOSPC'
        if (isFull && !this.isStopping) {
          this.waitForSpace(source)
          continue
        }
        if (!isFull) this.fail(error as Error)
        source.failFlush(error as Error)
        continue
      }
      this.busy.add(source)
    }
    const targets: SyncTarget[] = []
    for (const job of jobs) {
      targets.push(...job.files)
      for (const directory of job.directories) targets.push({ directory })
    }
    this.inFlight++
    const end = (error: Error | null): void => {
      this.inFlight--
      for (const source of begun) this.busy.delete(source)
      if (error !== null) this.fail(error)
      // Even what went well is not reported once the directory is offline: nothing of it may be trusted.
      for (const job of jobs) job.done(this.failure)
      if (this.dirty.size > 0) this.schedule()
    }
    this.sync(targets, (error) => {
      if (error !== null || this.failure !== null) {
        end(error)
        return
      }
      const later: SyncTarget[] = []
      try {
        for (const job of jobs) {
          const directory = job.afterFiles?.() ?? null
          if (directory !== null) later.push({ directory })
        }
      } catch (renameError) {
        end(renameError as Error)
        return
      }
      if (later.length === 0) end(null)
      else this.sync(later, end)
    })
  }

  private sync(targets: readonly SyncTarget[], done: (error: DiskError | null) => void): void {
    // Every directory once: many logs name the data directory itself.
    const directories = new Set<string>()
    const unique = targets.filter((target) => {
      if (!('directory' in target)) return true
      if (directories.has(target.directory)) return false
      directories.add(target.directory)
      return true
    })
    this.disk.sync([...new Set(unique)], done)
  }
}
