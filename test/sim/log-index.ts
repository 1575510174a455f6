import { CRC_FROM, HEADER_BYTES, parseHeader } from '../../src/log/batch-header.js'
import { parsePartitionDirectory, parseSegmentFile } from '../../src/log/file-names.js'
import { crc32c } from '../../src/wire/crc32c.js'
import type { SimDisk } from './disk.js'

interface StoredBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly start: number
  readonly end: number
  /** Base offset, leader epoch and CRC: the same on every replica that holds this very batch. */
  readonly identity: string
}

/**
 * Where each batch of a machine's partition logs lies, followed write by write and cut by cut on the disk itself: at
 * any moment it can be asked, cheaply, what the replica holds at an offset and whether that would survive the worst
 * power cut. It reads bytes, not what the broker says of them.
 */
export class LogIndex {
  /** Directory of a partition, 'topic-0', to the paths of its `.log` files, to their batches, ascending. */
  private readonly directories = new Map<string, Map<string, StoredBatch[]>>()

  constructor(private readonly disk: SimDisk) {}

  onWrite(path: string, position: number, chunks: readonly Uint8Array[]): void {
    const batches = this.batchesOf(path)
    if (batches === null) return
    cutFrom(batches, position)
    let at = position
    for (const chunk of chunks) {
      this.scan(batches, chunk, at, false)
      at += chunk.length
    }
  }

  onTruncate(path: string, size: number): void {
    const batches = this.batchesOf(path)
    if (batches !== null) cutFrom(batches, size)
  }

  onMoved(from: string, to: string | null): void {
    const [directory, file] = split(from)
    if (file !== '') this.directories.get(directory)?.delete(from)
    else this.directories.delete(directory)
    if (to !== null && this.batchesOf(to) !== null) throw new Error(`${from} became ${to}: not followed here`)
  }

  /** After a power cut: what is left is read from the disk. */
  rescan(): void {
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

  private find(directory: string, offset: number): { path: string; batch: StoredBatch } | undefined {
    for (const [path, batches] of this.directories.get(directory) ?? []) {
      const batch = search(batches, offset)
      if (batch !== undefined) return { path, batch }
    }
    return undefined
  }

  /** Null: no segment of a partition. */
  private batchesOf(path: string): StoredBatch[] | null {
    const [directory, file] = split(path)
    const name = parseSegmentFile(file)
    if (name === null || name.suffix !== '.log' || name.isDeleted) return null
    if (parsePartitionDirectory(directory) === null) return null
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
      if (mayBeTorn && crc32c(bytes.subarray(at + CRC_FROM, at + sizeInBytes)) !== header.crc) return
      const start = position + at
      batches.push({ baseOffset, lastOffset, start, end: start + sizeInBytes, identity: identityOf(header) })
      at += sizeInBytes
    }
  }
}

function identityOf(header: { baseOffset: number; leaderEpoch: number; crc: number }): string {
  return `${header.baseOffset}@${header.leaderEpoch}#${header.crc.toString(16)}`
}

function split(path: string): [string, string] {
  const at = path.indexOf('/')
  return at < 0 ? [path, ''] : [path.slice(0, at), path.slice(at + 1)]
}

function cutFrom(batches: StoredBatch[], position: number): void {
  while (batches.length > 0 && batches[batches.length - 1]!.end > position) batches.pop()
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
