import { assert } from '../lib/assert.js'
import type { Offset, Uuid } from '../lib/ids.js'
import type { Timer } from '../ports/clock.js'
import type { DiskFile } from '../ports/disk.js'
import { encodeEpochCheckpoint, writeWhole } from './checkpoint-files.js'
import type { EpochCache } from './epoch-cache.js'
import { EPOCH_CHECKPOINT } from './file-names.js'
import type { FlushJob, FlushSource } from './flush-scheduler.js'
import type { PinnedFile } from './handle-cache.js'
import type { LogContext } from './log-context.js'
import type { LogFaults } from './log-faults.js'

export type Durable = (error: Error | null, endOffset: Offset) => void

/** The log whose durability this is. */
export interface FlushedLog {
  readonly topicId: Uuid
  readonly partition: number
  readonly directory: string
  readonly epochs: EpochCache
  readonly logStartOffset: Offset
  readonly logEndOffset: Offset
  /** False: nothing of it is on the disk yet, and nothing was promised. */
  readonly isStored: boolean
  /** As `LogConfig` says. */
  readonly flushMessages: number
  readonly flushMs: number
  /** Brings the files into the state that is to be synced. @throws DiskError */
  finishRestart(): void
}

/** What of one log is on the disk, what is not yet, and who waits for it. */
export class LogFlush implements FlushSource {
  private durableEndValue: Offset
  private waiters: Durable[] = []
  /** The job under way promises what lies below; a truncation lowers it. */
  private flushingEnd: Offset = 0
  private readonly dirtyFiles = new Set<string>()
  private directoryDirty = false
  private parentDirty = false
  private pointDirty = false
  private storedEpochVersion: number
  /** As far as the disk must have the epochs: see `isSynced`. */
  private promisedEpochVersion: number
  private isFlushing = false
  private truncations = 0
  private syncedTruncations = 0
  /** What the recovery point on the disk says: see `RecoveryPoint.isSettled`. */
  private isSettled: boolean
  /** Until `flush.ms` have passed since the oldest record that no sync covers; null: there is none, or no such limit. */
  private timer: Timer | null = null

  constructor(
    private readonly context: LogContext,
    private readonly log: FlushedLog,
    private readonly faults: LogFaults,
    durableEnd: Offset,
    epochsAreStored: boolean,
    isSettled: boolean,
  ) {
    this.isSettled = isSettled
    this.durableEndValue = durableEnd
    this.storedEpochVersion = epochsAreStored ? log.epochs.version : -1
    this.promisedEpochVersion = isSettled ? log.epochs.version : this.storedEpochVersion
  }

  get durableEnd(): Offset {
    return this.durableEndValue
  }

  get hasStoredEpochs(): boolean {
    return this.storedEpochVersion === this.log.epochs.version
  }

  noteFile(path: string): void {
    this.dirtyFiles.add(path)
  }

  /** It was removed: nothing of it is to be synced. */
  forgetFile(path: string): void {
    this.dirtyFiles.delete(path)
  }

  /** The log's own directory is about to get or lose an entry. */
  noteDirectory(): void {
    this.directoryDirty = true
    if (this.isSettled) this.storePoint()
  }

  /** The log's directory, its entry in the data directory and its recovery point may all be unsynced. */
  noteEverything(): void {
    this.directoryDirty = true
    this.parentDirty = true
    this.pointDirty = true
  }

  noteTruncation(): void {
    this.truncations++
  }

  get hasUnsyncedTruncation(): boolean {
    return this.syncedTruncations < this.truncations
  }

  /** Changes the epochs by what no promise rests on, unless there was already something unsynced. */
  changeUnpromisedEpochs(change: () => void): void {
    const wasPromised = this.log.epochs.version === this.promisedEpochVersion
    change()
    if (wasPromised) this.promisedEpochVersion = this.log.epochs.version
  }

  /**
   * All that a promise rests on is on the disk. That a leader's epoch began may be missing there: its batches name
   * it themselves, their sync takes the checkpoint with it, and an epoch without batches says nothing. So an election
   * of many partitions costs no fsync.
   */
  get isSynced(): boolean {
    return (
      this.durableEndValue === this.log.logEndOffset &&
      this.dirtyFiles.size === 0 &&
      !(this.isFlushing || this.directoryDirty || this.parentDirty || this.pointDirty) &&
      this.log.epochs.version === this.promisedEpochVersion
    )
  }

  sync(durable: Durable): void {
    this.waiters.push(durable)
    this.queue()
  }

  queue(): void {
    this.context.flusher.queue(this)
  }

  /** Has records that nobody waits for synced within the limits of the configuration. */
  noteAppended(): void {
    const { flushMessages, flushMs } = this.log
    if (this.uncoveredRecords >= flushMessages) {
      this.queue()
    } else if (flushMs !== Number.POSITIVE_INFINITY) {
      this.timer ??= this.context.clock.after(flushMs, () => {
        this.timer = null
        this.queue()
      })
    }
  }

  onLimitsChanged(): void {
    this.stopTimer()
    if (this.uncoveredRecords > 0) this.noteAppended()
  }

  /** Neither synced nor about to be by the job under way. */
  private get uncoveredRecords(): number {
    return this.log.logEndOffset - Math.max(this.durableEndValue, this.flushingEnd)
  }

  private stopTimer(): void {
    this.timer?.cancel()
    this.timer = null
  }

  beginFlush(): FlushJob {
    assert(!this.isFlushing, 'one flush of a log at a time')
    if (!this.log.isStored) return this.nothingToFlush()
    this.log.finishRestart()
    const { disk, points } = this.context
    const { directory, epochs } = this.log
    const { version } = epochs
    const checkpoint = `${directory}/${EPOCH_CHECKPOINT}`
    const { pinned, temporary } = this.openForFlush(version, checkpoint)
    const { truncations } = this
    this.stopTimer()
    this.isFlushing = true
    const waiters = this.waiters
    this.waiters = []
    this.flushingEnd = this.log.logEndOffset
    this.dirtyFiles.clear()
    // A lowered recovery point goes first: files are synced one after another.
    const files: DiskFile[] = this.pointDirty ? [points.syncTarget()] : []
    for (const pin of pinned) files.push(pin.file)
    const directories: string[] = []
    if (temporary !== null) files.push(temporary)
    if (this.directoryDirty) directories.push(directory)
    if (this.parentDirty) directories.push('')
    this.directoryDirty = false
    this.parentDirty = false
    this.pointDirty = false
    return {
      files,
      directories,
      afterFiles:
        temporary === null
          ? null
          : () => {
              if (this.faults.failure !== null) return null
              disk.rename(`${checkpoint}.tmp`, checkpoint)
              return directory
            },
      done: (error) => {
        for (const pin of pinned) pin.release()
        temporary?.close()
        this.isFlushing = false
        let reported: Error | null = null
        if (error === null && this.faults.failure === null) {
          this.storedEpochVersion = version
          this.promisedEpochVersion = Math.max(this.promisedEpochVersion, version)
          this.syncedTruncations = Math.max(this.syncedTruncations, truncations)
          this.durableEndValue = Math.max(this.durableEndValue, this.flushingEnd)
          reported = this.storeReachedPoint()
        }
        reported ??= error ?? this.faults.failure
        for (const waiter of waiters) waiter(reported, this.flushingEnd)
      },
    }
  }

  private nothingToFlush(): FlushJob {
    const waiters = this.waiters
    this.waiters = []
    this.syncedTruncations = this.truncations
    const done = (error: Error | null): void => {
      for (const waiter of waiters) waiter(error ?? this.faults.failure, this.durableEndValue)
    }
    return { files: [], directories: [], afterFiles: null, done }
  }

  /** Leaves nothing open where it throws. */
  private openForFlush(
    version: number,
    checkpoint: string,
  ): { pinned: PinnedFile[]; temporary: DiskFile | null } {
    const { handles, disk } = this.context
    const pinned: PinnedFile[] = []
    try {
      for (const path of this.dirtyFiles) pinned.push(handles.pin(path))
      if (version === this.storedEpochVersion) return { pinned, temporary: null }
      const bytes = encodeEpochCheckpoint(this.log.epochs.all)
      return { pinned, temporary: writeWhole(disk, `${checkpoint}.tmp`, bytes) }
    } catch (error) {
      for (const pin of pinned) pin.release()
      throw error
    }
  }

  /** What was made durable but cannot be told to a start to come is not reported: the directory is offline then. */
  private storeReachedPoint(): Error | null {
    try {
      const { directoryDirty, parentDirty, pointDirty, dirtyFiles } = this
      this.storePoint(!(directoryDirty || parentDirty || pointDirty) && dirtyFiles.size === 0)
      return null
    } catch (error) {
      this.context.flusher.fail(error as Error)
      return error as Error
    }
  }

  failFlush(error: Error): void {
    const waiters = this.waiters
    this.waiters = []
    for (const waiter of waiters) waiter(error, this.durableEndValue)
  }

  /** Before the bytes go, so that no start takes the shorter log for a damaged one. */
  lowerDurableEnd(offset: Offset): void {
    this.flushingEnd = Math.min(this.flushingEnd, offset)
    if (this.durableEndValue <= offset) {
      if (this.isSettled) this.storePoint()
      return
    }
    this.durableEndValue = offset
    this.storePoint()
    this.pointDirty = true
  }

  /**
   * The log begins anew at `offset`. Durable at once: the old segments must not come back in front of the new start. Where
   * it throws, nothing has begun. @throws DiskError
   */
  restartAt(offset: Offset): void {
    const { points, flusher } = this.context
    const { topicId, partition } = this.log
    const point = { recoveryPoint: offset, logStartOffset: offset, isSettled: false }
    this.faults.guard(() => points.set(topicId, partition, point))
    this.isSettled = false
    try {
      points.syncNow()
    } catch (error) {
      // Whatever the reason: a sync that failed is never tried again.
      flusher.fail(error as Error)
      throw error
    }
    this.durableEndValue = offset
    this.flushingEnd = Math.min(this.flushingEnd, offset)
  }

  /** The log's start moved, nothing else. */
  storeLogStart(): void {
    this.storePoint(this.isSettled)
  }

  storePoint(isSettled = false): void {
    const { topicId, partition, logStartOffset } = this.log
    this.isSettled = isSettled
    const point = { recoveryPoint: this.durableEndValue, logStartOffset, isSettled }
    this.faults.guard(() => this.context.points.set(topicId, partition, point))
  }

  /** No more flushes; whoever waits gets the error, in an input of its own. */
  close(error: Error): void {
    this.stopTimer()
    this.context.flusher.forget(this)
    if (this.waiters.length > 0) this.context.clock.endOfTurn(() => this.failFlush(error))
  }
}
