import type { LeaderEpoch, Offset } from '../lib/ids.js'
import type { EpochEntry } from './checkpoint-files.js'

/** Where each leader epoch began (KIP-101, KIP-279). Both columns grow strictly from entry to entry. */
export class EpochCache {
  private entries: EpochEntry[] = []
  /** Counts the changes, so that the log knows when its checkpoint is behind. */
  version = 0

  get all(): readonly EpochEntry[] {
    return this.entries
  }

  get latest(): LeaderEpoch {
    const { length } = this.entries
    return length === 0 ? -1 : this.entries[length - 1]!.epoch
  }

  load(entries: readonly EpochEntry[]): void {
    this.entries = []
    for (const entry of entries) this.assign(entry.epoch, entry.startOffset)
  }

  /**
   * A new epoch at `startOffset`. Whatever entry contradicts it (an epoch as high, or a start as high) goes: what was
   * written last is right. The epoch that is newest already is left as it is.
   */
  assign(epoch: LeaderEpoch, startOffset: Offset): void {
    if (epoch < 0 || epoch === this.latest) return
    const kept = this.entries.filter((entry) => entry.epoch < epoch && entry.startOffset < startOffset)
    kept.push({ epoch, startOffset })
    this.entries = kept
    this.version++
  }

  /**
   * A batch of `epoch` stands at `baseOffset`, the log's end so far. A later epoch that was noted there or beyond
   * never wrote anything, and goes (its leader was replaced by one that had not seen it).
   */
  noteBatch(epoch: LeaderEpoch, baseOffset: Offset): void {
    if (epoch < this.latest) this.truncateFromEnd(baseOffset)
    if (epoch > this.latest) this.assign(epoch, baseOffset)
  }

  /** The log ends at `offset` now. An entry that starts there holds nothing any more, and goes too. */
  truncateFromEnd(offset: Offset): void {
    const kept = this.entries.filter((entry) => entry.startOffset < offset)
    if (kept.length === this.entries.length) return
    this.entries = kept
    this.version++
  }

  /** The log starts at `offset` now: of the entries at or below it, the last one stays and starts there. */
  truncateFromStart(offset: Offset): void {
    let last = -1
    while (last + 1 < this.entries.length && this.entries[last + 1]!.startOffset <= offset) last++
    if (last < 0 || this.entries[last]!.startOffset === offset) {
      if (last <= 0) return
      this.entries = this.entries.slice(last)
    } else {
      const { epoch } = this.entries[last]!
      this.entries = [{ epoch, startOffset: offset }, ...this.entries.slice(last + 1)]
    }
    this.version++
  }

  clear(): void {
    if (this.entries.length === 0) return
    this.entries = []
    this.version++
  }

  /** See ReplicaLog.endOffsetForEpoch; as Kafka's LeaderEpochFileCache answers. */
  endOffsetFor(epoch: LeaderEpoch, logEndOffset: Offset): { epoch: LeaderEpoch; endOffset: Offset } {
    if (epoch < 0 || epoch > this.latest) return { epoch: -1, endOffset: -1 }
    if (epoch === this.latest) return { epoch, endOffset: logEndOffset }
    let at = this.entries.length - 1
    while (at >= 0 && this.entries[at]!.epoch > epoch) at--
    // Older than all that is known: it ended no later than where the first known one began.
    return { epoch: this.entries[at]?.epoch ?? epoch, endOffset: this.entries[at + 1]!.startOffset }
  }

  epochFor(offset: Offset): LeaderEpoch {
    for (let at = this.entries.length - 1; at >= 0; at--) {
      if (this.entries[at]!.startOffset <= offset) return this.entries[at]!.epoch
    }
    return -1
  }

  /**
   * The CRC does not cover a batch's leader epoch, so it counts only where it agrees with the epochs that are kept
   * apart from the batches. False where it does not; true too where nothing is known (below the log's start).
   */
  agreesWith(batch: { lastOffset: Offset; leaderEpoch: LeaderEpoch }): boolean {
    const epoch = this.epochFor(batch.lastOffset)
    return epoch < 0 || epoch === batch.leaderEpoch
  }
}
