import type { SimDisk } from './disk.js'

/**
 * What one disk durably holds of each partition's log, followed write by write: at any moment it can be asked, cheaply,
 * whether a record would survive the worst power cut. It reads the bytes, not what the broker says of them.
 */
export class DurableLogIndex {
  /** By path of a `.log` file: its batches, ascending. */
  private readonly files = new Map<string, { lastOffset: number; baseOffset: number; end: number }[]>()

  constructor(private readonly disk: SimDisk) {}

  onWrite(path: string, position: number, chunks: readonly Uint8Array[]): void {
    if (!path.endsWith('.log')) return
    let batches = this.files.get(path)
    if (batches === undefined) {
      batches = []
      this.files.set(path, batches)
    }
    while (batches.length > 0 && batches[batches.length - 1]!.end > position) batches.pop()
    const bytes = chunks.length === 1 ? Buffer.from(chunks[0]!) : Buffer.concat(chunks)
    for (let at = 0; at + 61 <= bytes.length; ) {
      const baseOffset = Number(bytes.readBigInt64BE(at))
      const size = 12 + bytes.readInt32BE(at + 8)
      const lastOffset = baseOffset + bytes.readInt32BE(at + 23)
      batches.push({ baseOffset, lastOffset, end: position + at + size })
      at += size
    }
  }

  /** `directory`: of the partition, 'topic-0'. */
  holds(directory: string, offset: number): boolean {
    for (const [path, batches] of this.files) {
      if (!path.startsWith(`${directory}/`)) continue
      const batch = find(batches, offset)
      if (batch !== undefined && this.disk.durableSize(path) >= batch.end) return true
    }
    return false
  }
}

function find<B extends { baseOffset: number; lastOffset: number }>(
  batches: readonly B[],
  offset: number,
): B | undefined {
  let low = 0
  let high = batches.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const batch = batches[middle]!
    if (offset < batch.baseOffset) high = middle - 1
    else if (offset > batch.lastOffset) low = middle + 1
    else return batch
  }
  return undefined
}
