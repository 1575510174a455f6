import { CRC_FROM, HEADER_BYTES, parseHeader } from '../../src/log/batch-header.js'
import { parsePartitionDirectory, parseSegmentFile } from '../../src/log/file-names.js'
import { crc32c } from '../../src/wire/crc32c.js'
import type { SimDisk } from './disk.js'

export interface StoredBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly start: number
  readonly end: number
  /** Base offset, leader epoch and CRC: the same on every replica that holds this very batch. */
  readonly identity: string
  /** 'producer id/epoch/first sequence'; null where no idempotent producer sent it. */
  readonly sequence: string | null
}

/**
 * Where each batch of a machine's partition logs lies, followed write by write and cut by cut on the disk itself: at
 * any moment it can be asked, cheaply, what the replica holds at an offset and whether that would survive the worst
 * power cut. It reads bytes, not what the broker says of them.
 */
export class LogIndex {
  /** Directory of a partition, 'topic-0', to the paths of its `.log` files, to their batches, ascending. */
  private readonly directories = new Map<string, Map<string, StoredBatch[]>>()
  /** By directory, the least offset that was written or cut since `takeTouched`. */
  private readonly touched = new Map<string, number>()

  /** Whether a path is that of a partition's segment: by its name alone, and asked at every write. */
  private readonly segments = new Map<string, boolean>()

  constructor(private readonly disk: SimDisk) {}

  onWrite(path: string, position: number, chunks: readonly Uint8Array[]): void {
    const batches = this.batchesOf(path)
    if (batches === null) return
    const directory = split(path)[0]
    this.cut(directory, batches, position)
    let at = position
    for (const chunk of chunks) {
      const from = batches.length
      this.scan(batches, chunk, at, false)
      if (batches.length > from) this.touch(directory, batches[from]!.baseOffset)
      at += chunk.length
    }
  }

  onTruncate(path: string, size: number): void {
    const batches = this.batchesOf(path)
    if (batches !== null) this.cut(split(path)[0], batches, size)
  }

  onMoved(from: string, to: string | null): void {
    const [directory, file] = split(from)
    this.touch(directory, 0)
    if (file !== '') this.directories.get(directory)?.delete(from)
    else this.directories.delete(directory)
    if (to !== null && this.batchesOf(to) !== null) throw new Error(`${from} became ${to}: not followed here`)
  }

  /** After a power cut: what is left is read from the disk. */
  rescan(): void {
    for (const directory of this.directories.keys()) this.touch(directory, 0)
    this.directories.clear()
    for (const name of this.disk.list('')) {
      const directory = name.slice(0, -1)
      if (!name.endsWith('/') || parsePartitionDirectory(directory) === null) continue
      for (const file of this.disk.list(directory)) {
        const path = `${directory}/${file}`
        const batches = this.batchesOf(path)
        if (batches === null) continue
        const open = this.disk.open(path)
        this.scan(batches, open.read(0, open.size()), 0, true)
        open.close()
      }
    }
  }

  /** What the page cache holds at this offset; undefined: nothing. */
  heldAt(directory: string, offset: number): string | undefined {
    return this.find(directory, offset)?.batch.identity
  }

  /** The same of what is durable. */
  durableAt(directory: string, offset: number): string | undefined {
    const found = this.find(directory, offset)
    if (found === undefined) return undefined
    const { path, batch } = found
    const bytes = this.disk.durableRead(path, batch.start, batch.end - batch.start)
    if (bytes === null || bytes.length < batch.end - batch.start) return undefined
    const header = parseHeader(bytes)
    return header !== null && identityOf(header) === batch.identity ? batch.identity : undefined
  }

  /** The batches that hold an offset in [from, to), in order. */
  between(directory: string, from: number, to: number): StoredBatch[] {
    const found: StoredBatch[] = []
    for (const batches of this.directories.get(directory)?.values() ?? []) {
      if (batches.length === 0 || batches.at(-1)!.lastOffset < from || batches[0]!.baseOffset >= to) continue
      for (let i = firstEndingAt(batches, from); i < batches.length && batches[i]!.baseOffset < to; i++)
        found.push(batches[i]!)
    }
    return found.sort((a, b) => a.baseOffset - b.baseOffset)
  }

  /** By directory, the offset behind its last batch. */
  ends(): Map<string, number> {
    const ends = new Map<string, number>()
    for (const [directory, files] of this.directories)
      for (const batches of files.values())
        ends.set(directory, Math.max(ends.get(directory) ?? 0, (batches.at(-1)?.lastOffset ?? -1) + 1))
    return ends
  }

  /** The least offset of this directory that changed since the last call; infinite: none did. */
  takeTouched(directory: string): number {
    const touched = this.touched.get(directory) ?? Number.POSITIVE_INFINITY
    this.touched.delete(directory)
    return touched
  }

  private touch(directory: string, offset: number): void {
    this.touched.set(directory, Math.min(offset, this.touched.get(directory) ?? offset))
  }

  private cut(directory: string, batches: StoredBatch[], position: number): void {
    while (batches.length > 0 && batches[batches.length - 1]!.end > position)
      this.touch(directory, batches.pop()!.baseOffset)
  }

  private find(directory: string, offset: number): { path: string; batch: StoredBatch } | undefined {
    for (const [path, batches] of this.directories.get(directory) ?? []) {
      const batch = search(batches, offset)
      if (batch !== undefined) return { path, batch }
    }
    return undefined
  }

  /** Null: no segment of a partition. */
  private batchesOf(path: string): StoredBatch[] | null {
    let isOne = this.segments.get(path)
    if (isOne === undefined) this.segments.set(path, (isOne = isSegment(path)))
    if (!isOne) return null
    const [directory] = split(path)
    let files = this.directories.get(directory)
    if (files === undefined) {
      files = new Map()
      this.directories.set(directory, files)
    }
    let batches = files.get(path)
    if (batches === undefined) {
      batches = []
      files.set(path, batches)
    }
    return batches
  }

  private scan(batches: StoredBatch[], bytes: Uint8Array, position: number, mayBeTorn: boolean): void {
    for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
      const header = parseHeader(bytes, at)
      if (header === null || at + header.sizeInBytes > bytes.length) return
      const { baseOffset, lastOffset, sizeInBytes } = header
      // Torn, or rotten: what stands behind it stands there all the same.
      if (mayBeTorn && crc32c(bytes.subarray(at + CRC_FROM, at + sizeInBytes)) !== header.crc) {
        at += sizeInBytes
        continue
      }
      const start = position + at
      const end = start + sizeInBytes
      const sequence = sequenceOf(bytes, at)
      batches.push({ baseOffset, lastOffset, start, end, identity: identityOf(header), sequence })
      at += sizeInBytes
    }
  }
}

function identityOf(header: { baseOffset: number; leaderEpoch: number; crc: number }): string {
  return `${header.baseOffset}@${header.leaderEpoch}#${header.crc.toString(16)}`
}

function isSegment(path: string): boolean {
  const [directory, file] = split(path)
  const name = parseSegmentFile(file)
  if (name === null || name.suffix !== '.log' || name.isDeleted) return false
  return parsePartitionDirectory(directory) !== null
}

function split(path: string): [string, string] {
  const at = path.indexOf('/')
  return at < 0 ? [path, ''] : [path.slice(0, at), path.slice(at + 1)]
}

/** Its producer's id, epoch and base sequence, at the places that the protocol guide names. */
function sequenceOf(bytes: Uint8Array, at: number): string | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES)
  const baseSequence = view.getInt32(53)
  return baseSequence < 0 ? null : `${view.getBigInt64(43)}/${view.getInt16(51)}/${baseSequence}`
}

/** The first batch that ends at `offset` or behind it. */
function firstEndingAt(batches: readonly StoredBatch[], offset: number): number {
  let low = 0
  let high = batches.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (batches[middle]!.lastOffset < offset) low = middle + 1
    else high = middle
  }
  return low
}

function search(batches: readonly StoredBatch[], offset: number): StoredBatch | undefined {
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
