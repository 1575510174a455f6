import { assert } from '../lib/assert.js'
import { DiskError } from '../ports/disk.js'
import type { HandleCache } from './handle-cache.js'

/** Entries that wait in memory for their write; the log itself can always make up for them. */
const PENDING_LIMIT = 64

/**
 * A file of fixed entries in ascending order: Kafka's `.index` and `.timeindex`. Looked up on disk (the page cache
 * holds what is hot), so an idle log keeps nothing of it in memory. Made with its first entry: most logs among many
 * are shorter than one index interval.
 */
export class IndexFile {
  private storedCount = -1
  private pending: Uint8Array[] = []
  /** The file differs from what was last taken to be synced. */
  private isChanged = false

  constructor(
    private readonly handles: HandleCache,
    readonly path: string,
    readonly entryBytes: number,
  ) {}

  /** @throws DiskError */
  get count(): number {
    if (this.storedCount < 0) {
      const file = this.handles.getIfExists(this.path)
      this.storedCount = file === null ? 0 : Math.floor(file.size() / this.entryBytes)
    }
    return this.storedCount + this.pending.length
  }

  get sizeInBytes(): number {
    return this.count * this.entryBytes
  }

  entry(at: number): DataView {
    const stored = this.count - this.pending.length
    assert(at >= 0 && at < stored + this.pending.length, `no entry ${at} in ${this.path}`)
    const bytes =
      at >= stored
        ? this.pending[at - stored]!
        : this.handles.get(this.path).read(at * this.entryBytes, this.entryBytes)
    return new DataView(bytes.buffer, bytes.byteOffset, this.entryBytes)
  }

  last(): DataView | null {
    return this.count === 0 ? null : this.entry(this.count - 1)
  }

  /** The last entry for which `isAtMost` holds; -1: none. */
  floor(isAtMost: (entry: DataView) => boolean): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >> 1
      if (isAtMost(this.entry(middle))) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Adds nothing where it throws. @throws DiskError */
  append(entry: Uint8Array): void {
    assert(entry.length === this.entryBytes, 'an entry of another size')
    if (this.pending.length >= PENDING_LIMIT) this.flush()
    this.pending.push(entry)
  }

  get hasPending(): boolean {
    return this.pending.length > 0
  }

  /** Writes what waits. On a full disk it goes on waiting: the log's own writes meet the disk next. @throws DiskError */
  flush(): void {
    if (this.pending.length === 0) return
    const stored = this.count - this.pending.length
    try {
      this.handles.get(this.path, true).write(stored * this.entryBytes, this.pending)
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'ENOSPC')) throw error
      // A part of it may stand there, which the next start would count as entries.
      this.handles.getIfExists(this.path)?.truncate(stored * this.entryBytes)
      return
    }
    this.storedCount = stored + this.pending.length
    this.pending = []
    this.isChanged = true
  }

  /**
   * Whether the file is to be synced, once. What was cut off counts as well: entries that a power cut brings back
   * would speak of other batches.
   */
  takeChanged(): boolean {
    const { isChanged } = this
    this.isChanged = false
    return isChanged
  }

  /** Writes nothing, so that it works on a full disk as well. @throws DiskError */
  truncate(count: number): void {
    const stored = this.count - this.pending.length
    this.pending = this.pending.slice(0, Math.max(0, count - stored))
    if (count >= stored) return
    this.storedCount = count
    this.isChanged = true
    this.handles.get(this.path).truncate(count * this.entryBytes)
  }

  /** All stored entries at once, for checks at start-up. */
  all(): DataView[] {
    const { count } = this
    const entries: DataView[] = []
    if (count === 0) return entries
    const bytes = this.handles.get(this.path).read(0, count * this.entryBytes)
    for (let at = 0; at < count; at++) {
      entries.push(new DataView(bytes.buffer, bytes.byteOffset + at * this.entryBytes, this.entryBytes))
    }
    return entries
  }
}
