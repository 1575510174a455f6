import { assert } from '../lib/assert.js'
import type { LogIndex, Term } from '../lib/ids.js'
import type { Configuration, Entry, Snapshot } from './types.js'

/** What an entry counts for in limits: its payload and a flat share for the rest. */
export function entryBytes(entry: Entry): number {
  return 32 + (entry.type === 'data' ? entry.payload.length : 0)
}

const NO_CONFIGURATION: Configuration = { voters: [] }

interface ConfigurationAt {
  index: LogIndex
  configuration: Configuration
  clusterId: string
}

/**
 * The log as the core sees it: the newest snapshot and the entries behind its cut, in memory. Entries may be appended
 * here and not yet durable. Invariant: entries[i].index = cut + 1 + i, cut <= snapshot.index <= lastIndex.
 */
export class LogView {
  snapshot: Snapshot | undefined
  /** Entries up to and with `cutIndex` are gone; its term is still known, for the consistency check. */
  private cutIndex: LogIndex = 0
  private cutTerm: Term = 0
  private entries: Entry[]
  /** Configuration entries beyond the snapshot, ascending; truncation reverts to the one before (KIP-853). */
  private configurations: ConfigurationAt[] = []

  constructor(snapshot: Snapshot | undefined, entries: readonly Entry[]) {
    this.snapshot = snapshot
    this.entries = [...entries]
    const first = this.entries[0]
    const snapshotIndex = snapshot?.index ?? 0
    if (first === undefined || first.index === snapshotIndex + 1) {
      this.cutIndex = snapshotIndex
      this.cutTerm = snapshot?.term ?? 0
    } else if (first.index > 1) {
      // A tail behind the snapshot: its oldest entry serves as the cut, whose term must be known.
      assert(first.index <= snapshotIndex, 'the log has a gap behind its snapshot')
      this.cutIndex = first.index
      this.cutTerm = first.term
      this.entries.shift()
    }
    for (const [i, entry] of this.entries.entries()) {
      assert(entry.index === this.cutIndex + 1 + i, `the log has a gap at ${this.cutIndex + 1 + i}`)
      this.noteConfiguration(entry)
    }
    assert(this.lastIndex >= snapshotIndex, 'the log ends before its snapshot')
  }

  get firstIndex(): LogIndex {
    return this.cutIndex + 1
  }

  get lastIndex(): LogIndex {
    return this.cutIndex + this.entries.length
  }

  get lastTerm(): Term {
    return this.entries[this.entries.length - 1]?.term ?? this.cutTerm
  }

  get configuration(): Configuration {
    return this.newestConfiguration()?.configuration ?? NO_CONFIGURATION
  }

  /** The one that the newest took the place of, where that is still an entry of the log. */
  get configurationBefore(): Configuration | undefined {
    if (this.configurations.length === 0) return undefined
    return (this.configurations.at(-2) ?? this.snapshot)?.configuration
  }

  get configurationIndex(): LogIndex {
    return this.newestConfiguration()?.index ?? 0
  }

  get clusterId(): string | undefined {
    return this.newestConfiguration()?.clusterId
  }

  /** undefined: cut away, or beyond the end. */
  termAt(index: LogIndex): Term | undefined {
    if (index === this.cutIndex) return this.cutTerm
    return this.entries[index - this.cutIndex - 1]?.term
  }

  /** From `from` on, at least one entry where there is one, else as many as the limits allow. */
  slice(from: LogIndex, maxEntries: number, maxBytes: number): Entry[] {
    assert(from > this.cutIndex, `entry ${from} was cut away`)
    const result: Entry[] = []
    let bytes = 0
    for (let i = from - this.cutIndex - 1; i < this.entries.length && result.length < maxEntries; i++) {
      const entry = this.entries[i]!
      bytes += entryBytes(entry)
      if (result.length > 0 && bytes > maxBytes) break
      result.push(entry)
    }
    return result
  }

  /** Entries in [from, to]. */
  range(from: LogIndex, to: LogIndex): Entry[] {
    assert(from > this.cutIndex && to <= this.lastIndex, `[${from}, ${to}] is not in the log`)
    return this.entries.slice(from - this.cutIndex - 1, to - this.cutIndex)
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, `entry ${entry.index} does not follow ${this.lastIndex}`)
    assert(entry.term >= this.lastTerm, 'terms never go back in a log')
    this.entries.push(entry)
    this.noteConfiguration(entry)
  }

  truncateFrom(index: LogIndex): void {
    assert(index > (this.snapshot?.index ?? 0) && index > this.cutIndex, 'what a snapshot holds stays')
    this.entries.length = index - this.cutIndex - 1
    while ((this.configurations.at(-1)?.index ?? 0) >= index) this.configurations.pop()
  }

  /**
   * The largest index <= `index` whose term is <= `term`: where two logs may still agree (Raft §5.3, the
   * optimisation that skips whole terms). At least the cut.
   */
  lastIndexUpToTerm(index: LogIndex, term: Term): LogIndex {
    let at = Math.min(index, this.lastIndex)
    while (at > this.cutIndex && this.termAt(at)! > term) at--
    return at
  }

  /** Raft §5.4.1: is a log that ends with (index, term) at least as good as this one? */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  /** The configuration that counted at `index`, for a snapshot of it. */
  configurationAt(index: LogIndex): { configuration: Configuration; clusterId: string } {
    for (let i = this.configurations.length - 1; i >= 0; i--) {
      if (this.configurations[i]!.index <= index) return this.configurations[i]!
    }
    assert(this.snapshot !== undefined, 'entry 1 is a configuration')
    return this.snapshot
  }

  /** The first index of the longest tail up to and with `index` that keeps to the limits; index + 1: an empty one. */
  tailStart(index: LogIndex, maxEntries: number, maxBytes: number): LogIndex {
    let first = index + 1
    let bytes = 0
    while (first > this.firstIndex && index - first + 1 < maxEntries) {
      bytes += entryBytes(this.entries[first - 1 - this.cutIndex - 1]!)
      if (bytes > maxBytes) break
      first--
    }
    return first
  }

  /** A snapshot of this very log: entries up to and with `cutIndex` go. */
  compact(snapshot: Snapshot, cutIndex: LogIndex): void {
    assert(cutIndex <= snapshot.index && snapshot.index <= this.lastIndex, 'a snapshot lies within its log')
    assert(this.termAt(snapshot.index) === snapshot.term, 'a snapshot has the term of its last entry')
    const cutTerm = this.termAt(cutIndex)
    assert(cutTerm !== undefined, 'the cut never goes back')
    this.entries = this.entries.slice(cutIndex - this.cutIndex)
    this.cutIndex = cutIndex
    this.cutTerm = cutTerm
    this.snapshot = snapshot
    this.configurations = this.configurations.filter((at) => at.index > snapshot.index)
  }

  /** A leader's snapshot takes the place of everything. */
  reset(snapshot: Snapshot): void {
    this.snapshot = snapshot
    this.cutIndex = snapshot.index
    this.cutTerm = snapshot.term
    this.entries = []
    this.configurations = []
  }

  private newestConfiguration():
    | { index: LogIndex; configuration: Configuration; clusterId: string }
    | undefined {
    return this.configurations.at(-1) ?? this.snapshot
  }

  private noteConfiguration(entry: Entry): void {
    if (entry.type !== 'configuration' || entry.index <= (this.snapshot?.index ?? 0)) return
    this.configurations.push(entry)
  }
}
