import type { Offset } from '../lib/ids.js'
import type { AppendBatch } from './types.js'

interface Entry {
  bytes: Uint8Array
  readonly baseOffset: Offset
  readonly lastOffset: Offset
  readonly tail: LogTail
  /** Gone from its log's tail already: truncated, or its log closed. */
  isDropped: boolean
}

const NO_BYTES = new Uint8Array(0)

/** The batches that were appended last, over all logs, within a number of bytes; the oldest go first. */
export class TailCache {
  private readonly order: Entry[] = []
  private head = 0
  private usedBytes = 0

  constructor(private readonly limitBytes: number) {}

  get bytes(): number {
    return this.usedBytes
  }

  add(tail: LogTail, batch: AppendBatch): void {
    const { bytes } = batch
    // A small view would keep a whole socket buffer alive. (Buffer's own slice() is but another view.)
    const kept = bytes.byteLength * 2 < bytes.buffer.byteLength ? new Uint8Array(bytes) : bytes
    const entry: Entry = { ...batch, bytes: kept, tail, isDropped: false }
    tail.push(entry)
    this.order.push(entry)
    this.usedBytes += kept.byteLength
    while (this.usedBytes > this.limitBytes && this.head < this.order.length) this.evictOldest()
  }

  dropped(entry: Entry): void {
    entry.isDropped = true
    this.usedBytes -= entry.bytes.byteLength
    entry.bytes = NO_BYTES // the order below may hold the entry for a while yet
  }

  private evictOldest(): void {
    const entry = this.order[this.head++]!
    if (!entry.isDropped) {
      entry.tail.shift()
      this.dropped(entry)
    }
    if (this.head > 1024 && this.head * 2 > this.order.length) {
      this.order.splice(0, this.head)
      this.head = 0
    }
  }
}

/** One log's part of the tail: its last batches without a gap, up to the log's end. */
export class LogTail {
  private entries: Entry[] = []
  private head = 0

  constructor(private readonly cache: TailCache) {}

  add(batch: AppendBatch): void {
    this.cache.add(this, batch)
  }

  push(entry: Entry): void {
    this.entries.push(entry)
  }

  shift(): void {
    this.head++
    if (this.head === this.entries.length) {
      this.entries = []
      this.head = 0
    } else if (this.head > 64 && this.head * 2 > this.entries.length) {
      this.entries.splice(0, this.head)
      this.head = 0
    }
  }

  /** The position of the batch that holds `offset` or is the next one after it; -1 where the tail begins later. */
  find(offset: Offset): number {
    const { entries, head } = this
    if (head === entries.length || entries[head]!.baseOffset > offset) return -1
    let low = head
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (entries[middle]!.lastOffset < offset) low = middle + 1
      else high = middle
    }
    return low
  }

  at(position: number): { bytes: Uint8Array; baseOffset: Offset; lastOffset: Offset } | undefined {
    return this.entries[position]
  }

  truncateTo(offset: Offset): void {
    while (this.entries.length > this.head && this.entries[this.entries.length - 1]!.lastOffset >= offset) {
      this.cache.dropped(this.entries.pop()!)
    }
    if (this.entries.length === this.head) {
      this.entries = []
      this.head = 0
    }
  }

  clear(): void {
    this.truncateTo(0)
  }
}
