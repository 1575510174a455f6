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
import { crc32c } from '../wire/crc32c.js'
import {
  chunkKey,
  encodeEntry,
  encodeHardState,
  encodeSnapshotHead,
  entryKey,
  KEY_HARD_STATE,
  KEY_SNAPSHOT,
} from './raft-log-codec.js'
import { recover } from './raft-log-recovery.js'
import { type SlotState, type SlotsOpening, VoteSlots } from './vote-slots.js'

/** One `persist` effect of the Raft core, or what belongs to a snapshot of its own. */
export interface RaftLogWrite {
  hardState?: HardState
  /** A leader's snapshot: all entries go. */
  install?: Snapshot
  /** Drop every entry from this index on. */
  truncateFrom?: LogIndex
  entries?: readonly Entry[]
  /** A snapshot of this very log: entries up to and with `compactTo` go. */
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

const CHUNK_BYTES = 1024 * 1024

interface Waiting {
  write: RaftLogWrite
  done: () => void
}

/**
 * Raft's log on an ordered store that is not trusted, and two vote slots beside it. Group commit: one batch is in
 * flight, what comes meanwhile makes the next.
 *
 * The order that makes recovery sound: the slots never promise what the store does not yet hold. A bound is lowered
 * before the store truncates; a term, a vote or a higher bound is written after the store has it. Term and vote are
 * in both before the answer; the bound follows at once behind an append, so that it lags by one group at most.
 */
export class RaftLog {
  private queue: Waiting[] = []
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
    )
    return { type: 'open', log, contents: { hardState, snapshot, entries } }
  }

  /** Writes are made durable in the order of the calls, each whole or not at all; `done` is called once it is. */
  write(write: RaftLogWrite, done: () => void): void {
    if (this.stopped) return
    this.queue.push({ write, done })
    this.schedule()
  }

  /** No `done` follows. The store belongs to the caller. */
  close(): void {
    this.stopped = true
    this.queue = []
    this.slots.close()
  }

  private schedule(): void {
    if (this.flushing || this.scheduled || this.queue.length === 0) return
    this.scheduled = true
    this.options.clock.endOfTurn(() => {
      this.scheduled = false
      if (!this.stopped) this.flush()
    })
  }

  private flush(): void {
    const group = this.queue
    this.queue = []
    this.flushing = true
    const operations: StoreOperation[] = []
    let lowest = this.slot.lastIndexBound
    let { hardState } = this.slot
    for (const { write } of group) {
      lowest = Math.min(lowest, this.apply(write, operations))
      hardState = write.hardState ?? hardState
    }
    const finish = (): void => {
      this.flushing = false
      for (const { done } of group) if (!this.stopped) done()
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

  /** Turns one write into operations. Returns the lowest last index that the store passes through. */
  private apply(write: RaftLogWrite, operations: StoreOperation[]): LogIndex {
    if (write.hardState !== undefined) {
      operations.push({ type: 'put', key: KEY_HARD_STATE, value: encodeHardState(write.hardState) })
    }
    let lowest = this.last
    if (write.install !== undefined) {
      this.deleteEntries(this.first, this.last, operations)
      this.putSnapshot(write.install, operations)
      this.first = write.install.index + 1
      this.last = write.install.index
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
    if (write.save !== undefined) {
      const { snapshot, compactTo } = write.save
      // A newer one that was installed meanwhile stays.
      if (snapshot.index > (this.snapshot?.index ?? 0)) {
        this.putSnapshot(snapshot, operations)
        this.deleteEntries(this.first, Math.min(compactTo, this.last), operations)
        this.first = Math.max(this.first, compactTo + 1)
      }
    }
    return lowest
  }

  private deleteEntries(from: LogIndex, to: LogIndex, operations: StoreOperation[]): void {
    for (let index = from; index <= to; index++) operations.push({ type: 'del', key: entryKey(index) })
  }

  private putSnapshot(snapshot: Snapshot, operations: StoreOperation[]): void {
    for (let chunk = 0; chunk < (this.snapshot?.chunks ?? 0); chunk++) {
      operations.push({ type: 'del', key: chunkKey(this.snapshot!.index, chunk) })
    }
    const { data, ...rest } = snapshot
    const chunks = Math.ceil(data.length / CHUNK_BYTES)
    for (let chunk = 0; chunk < chunks; chunk++) {
      const value = data.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES)
      operations.push({ type: 'put', key: chunkKey(snapshot.index, chunk), value })
    }
    const head = { snapshot: rest, chunks, totalBytes: data.length, checksum: crc32c(data) }
    operations.push({ type: 'put', key: KEY_SNAPSHOT, value: encodeSnapshotHead(head) })
    this.snapshot = { index: snapshot.index, chunks }
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
    this.options.fatal(error)
  }
}
