import { assert } from '../lib/assert.js'
import type { LogIndex } from '../lib/ids.js'
import type { Clock } from '../ports/clock.js'
import { type Disk, DiskError } from '../ports/disk.js'
import {
  type OrderedStore,
  type StoreEntry,
  StoreError,
  type StoreOperation,
} from '../ports/ordered-store.js'
import type { Entry, HardState, Snapshot } from '../raft/types.js'
import { encodeEntry, encodeHardState, entryKey, KEY_HARD_STATE } from './raft-log-codec.js'
import { recover } from './raft-log-recovery.js'
import { deleteChunks, orphanedChunks, SnapshotPieces } from './snapshot-pieces.js'
import { type SlotState, type SlotsOpening, VoteSlots } from './vote-slots.js'

/** One `persist` effect of the Raft core, or what belongs to a snapshot of its own. */
export interface RaftLogWrite {
  hardState?: HardState
  /** A leader's snapshot: all entries go. */
  install?: Snapshot
  /** Drop every entry from this index on. */
  truncateFrom?: LogIndex
  entries?: readonly Entry[]
  /**
   * A snapshot of this very log: entries up to and with `compactTo` go. It is written beside what comes after it, and
   * `done` is called when it is durable, or when a newer one took its place.
   */
  save?: { snapshot: Snapshot; compactTo: LogIndex }
}

export interface RaftLogOptions {
  store: OrderedStore
  disk: Disk
  /** Of the vote slots, relative to `disk`. */
  directory: string
  clock: Clock
  /** A write or a sync failed: nothing more is written, and no `done` follows. The process must stop. */
  fatal: (error: Error) => void
}

export interface RaftLogContents {
  hardState: HardState
  snapshot: Snapshot | undefined
  entries: Entry[]
}

export type RaftLogOpening =
  | { type: 'open'; log: RaftLog; contents: RaftLogContents }
  /** Damaged, or behind what it has promised: it must be moved aside, never repaired. */
  | { type: 'quarantined'; reason: string }
  /** It could not be read at all. */
  | { type: 'failed'; error: Error }

/** Of the entries that a snapshot made superfluous, in one batch. */
const MAX_DELETES = 1000

interface Waiting {
  write: RaftLogWrite
  done: () => void
  /** Of a snapshot to be installed: written before the batch that installs it. */
  pieces: SnapshotPieces | undefined
}

interface Save {
  pieces: SnapshotPieces
  compactTo: LogIndex
  done: () => void
}

/**
 * Raft's log on an ordered store that is not trusted, and two vote slots beside it. Group commit: one batch is in
 * flight, what comes meanwhile makes the next.
 *
 * The order that makes recovery sound: the slots never promise what the store does not yet hold. A bound is lowered
 * before the store truncates; a term, a vote or a higher bound is written after the store has it. Term and vote are
 * in both before the answer; the bound follows at once behind an append, so that it lags by one group at most.
 *
 * Snapshots are written in pieces, one to a batch, so that no append waits for a whole one; the head that makes the
 * pieces count comes last. Entries that a snapshot made superfluous go in bounded batches behind it, oldest first.
 */
export class RaftLog {
  private queue: Waiting[] = []
  private save: Save | undefined
  /** Entries up to and with this index are superfluous. */
  private compactTo: LogIndex = 0
  private flushing = false
  private scheduled = false
  private stopped = false

  private constructor(
    private readonly options: RaftLogOptions,
    private readonly slots: VoteSlots,
    /** As the newest slot has it, or will. */
    private slot: SlotState,
    /** Of the store, writes under way included; first > last: no entries. */
    private first: LogIndex,
    private last: LogIndex,
    private snapshot: { index: LogIndex; chunks: number } | undefined,
    /** What a process that died left behind; gone with the first batch. */
    private orphans: StoreOperation[],
  ) {}

  static open(options: RaftLogOptions, done: (opening: RaftLogOpening) => void): void {
    options.store.scan({ gte: Uint8Array.of(0), lt: Uint8Array.of(0xff) }, (error, found) => {
      if (error !== null) {
        const isDamaged = error instanceof StoreError && error.isDamaged
        done(isDamaged ? { type: 'quarantined', reason: error.message } : { type: 'failed', error })
        return
      }
      done(RaftLog.judge(options, found))
    })
  }

  private static judge(options: RaftLogOptions, found: readonly StoreEntry[]): RaftLogOpening {
    const { disk, directory } = options
    // Slots that were made now would vouch for a store that they never saw.
    if (found.length > 0 && !VoteSlots.exist(disk, directory)) {
      return { type: 'quarantined', reason: 'the vote slots are missing' }
    }
    let opening: SlotsOpening
    try {
      opening = VoteSlots.open(disk, directory)
    } catch (error) {
      if (error instanceof DiskError) return { type: 'failed', error }
      throw error
    }
    if (opening.type === 'damaged') return { type: 'quarantined', reason: opening.reason }
    const recovered = recover(found, opening.newest)
    if (typeof recovered === 'string') {
      opening.slots.close()
      return { type: 'quarantined', reason: recovered }
    }
    const { hardState, snapshot, head, entries } = recovered
    const last = entries.at(-1)?.index ?? snapshot?.index ?? 0
    const log = new RaftLog(
      options,
      opening.slots,
      opening.newest,
      entries[0]?.index ?? last + 1,
      last,
      head === undefined ? undefined : { index: head.snapshot.index, chunks: head.chunks },
      orphanedChunks(found, head),
    )
    return { type: 'open', log, contents: { hardState, snapshot, entries } }
  }

  /** Writes are made durable in the order of the calls, each whole or not at all; `done` is called once it is. */
  write(write: RaftLogWrite, done: () => void): void {
    if (this.stopped) return
    const { save, install } = write
    if (save !== undefined) {
      this.startSave({ pieces: new SnapshotPieces(save.snapshot), compactTo: save.compactTo, done })
    } else {
      this.queue.push({
        write,
        done,
        pieces: install === undefined ? undefined : new SnapshotPieces(install),
      })
    }
    this.schedule()
  }

  /** One at a time, the newest. */
  private startSave(save: Save): void {
    const isNewer = save.pieces.index > Math.max(this.snapshot?.index ?? 0, this.save?.pieces.index ?? 0)
    if (!isNewer) {
      this.options.clock.endOfTurn(() => this.settle([save.done]))
      return
    }
    const former = this.save
    this.save = save
    if (former === undefined) return
    this.orphans.push(...former.pieces.abandon())
    this.options.clock.endOfTurn(() => this.settle([former.done]))
  }

  private settle(done: readonly (() => void)[]): void {
    for (const each of done) if (!this.stopped) each()
  }

  /** No `done` follows. The store belongs to the caller. */
  close(): void {
    this.stopped = true
    this.queue = []
    this.save = undefined
    this.slots.close()
  }

  private schedule(): void {
    if (this.flushing || this.scheduled || !this.hasWork) return
    this.scheduled = true
    this.options.clock.endOfTurn(() => {
      this.scheduled = false
      if (!this.stopped) this.flush()
    })
  }

  private get hasWork(): boolean {
    return this.queue.length > 0 || this.save !== undefined || this.compactTo >= this.first
  }

  private flush(): void {
    const group = this.takeGroup()
    this.flushing = true
    const operations = this.orphans
    this.orphans = []
    let lowest = this.slot.lastIndexBound
    let { hardState } = this.slot
    for (const { write, pieces } of group) {
      lowest = Math.min(lowest, this.apply(write, pieces, operations))
      hardState = write.hardState ?? hardState
    }
    const dones = [...group.map(({ done }) => done), ...this.writeBeside(operations)]
    const finish = (): void => {
      this.flushing = false
      this.settle(dones)
      this.schedule()
    }
    const isHardStateNew = hardState !== this.slot.hardState
    const afterStore = (): void => {
      const bound = this.last
      if (isHardStateNew) this.writeSlot({ hardState, lastIndexBound: bound }, finish)
      else {
        if (bound !== this.slot.lastIndexBound) this.writeSlot({ hardState, lastIndexBound: bound }, () => {})
        finish()
      }
    }
    const store = (): void => {
      if (operations.length === 0) afterStore()
      else this.options.store.batch(operations, (error) => this.guard(error, afterStore))
    }
    if (lowest < this.slot.lastIndexBound) {
      this.writeSlot({ hardState: this.slot.hardState, lastIndexBound: lowest }, store)
    } else store()
  }

  /** Everything that waits, up to a snapshot to be installed of which more than one piece is left. */
  private takeGroup(): Waiting[] {
    const unready = this.queue.findIndex(({ pieces }) => pieces?.isNearlyWhole === false)
    return this.queue.splice(0, unready === -1 ? this.queue.length : unready)
  }

  /** What goes along with a group: a piece of a snapshot, or the next few superfluous entries. Returns who is done. */
  private writeBeside(operations: StoreOperation[]): (() => void)[] {
    const installing = this.queue[0]?.pieces
    if (installing !== undefined) {
      operations.push(...installing.next())
      return []
    }
    if (this.compactTo >= this.first) {
      const to = Math.min(this.compactTo, this.first + MAX_DELETES - 1)
      this.deleteEntries(this.first, to, operations)
      this.first = to + 1
    }
    const { save } = this
    if (save === undefined) return []
    if (!save.pieces.isNearlyWhole) {
      operations.push(...save.pieces.next())
      return []
    }
    this.putSnapshot(save.pieces, operations)
    this.compactTo = Math.min(save.compactTo, this.last)
    this.save = undefined
    return [save.done]
  }

  /** Turns one write into operations. Returns the lowest last index that the store passes through. */
  private apply(
    write: RaftLogWrite,
    pieces: SnapshotPieces | undefined,
    operations: StoreOperation[],
  ): LogIndex {
    if (write.hardState !== undefined) {
      operations.push({ type: 'put', key: KEY_HARD_STATE, value: encodeHardState(write.hardState) })
    }
    let lowest = this.last
    if (pieces !== undefined) {
      this.deleteEntries(this.first, this.last, operations)
      this.abandonSave(operations)
      this.putSnapshot(pieces, operations)
      this.first = pieces.index + 1
      this.last = pieces.index
      this.compactTo = 0
      lowest = Math.min(lowest, this.last)
    }
    if (write.truncateFrom !== undefined && write.truncateFrom <= this.last) {
      assert(write.truncateFrom > (this.snapshot?.index ?? 0), 'a truncation spares the snapshot')
      this.deleteEntries(write.truncateFrom, this.last, operations)
      this.last = write.truncateFrom - 1
      lowest = Math.min(lowest, this.last)
    }
    for (const entry of write.entries ?? []) {
      assert(entry.index === this.last + 1, `entry ${entry.index} does not follow ${this.last}`)
      operations.push({ type: 'put', key: entryKey(entry.index), value: encodeEntry(entry) })
      this.last = entry.index
    }
    return lowest
  }

  /** A leader's snapshot, which is newer, took its place. */
  private abandonSave(operations: StoreOperation[]): void {
    const { save } = this
    if (save === undefined) return
    this.save = undefined
    operations.push(...save.pieces.abandon())
    this.options.clock.endOfTurn(() => this.settle([save.done]))
  }

  private deleteEntries(from: LogIndex, to: LogIndex, operations: StoreOperation[]): void {
    for (let index = from; index <= to; index++) operations.push({ type: 'del', key: entryKey(index) })
  }

  /** All but its last piece are in the store: from this batch on they count, and those of the one before go. */
  private putSnapshot(pieces: SnapshotPieces, operations: StoreOperation[]): void {
    operations.push(...pieces.next())
    assert(pieces.isWhole, 'the head of a snapshot comes behind its pieces')
    if (this.snapshot !== undefined) {
      operations.push(...deleteChunks(this.snapshot.index, this.snapshot.chunks))
    }
    operations.push(pieces.head())
    this.snapshot = { index: pieces.index, chunks: pieces.count }
  }

  private writeSlot(state: SlotState, done: () => void): void {
    this.slot = state
    this.slots.write(state, (error) => this.guard(error, done))
  }

  /** After a failed write or sync nothing may be assumed of the disk (fsyncgate): there is no second try. */
  private guard(error: Error | null, done: () => void): void {
    if (this.stopped) return
    if (error === null) {
      done()
      return
    }
    this.stopped = true
    this.queue = []
    this.save = undefined
    this.options.fatal(error)
  }
}
