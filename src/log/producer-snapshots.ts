import type { Offset } from '../lib/ids.js'
import { type Disk, DiskError } from '../ports/disk.js'
import { crc32c } from '../wire/crc32c.js'
import { readWhole, writeWhole } from './checkpoint-files.js'
import { parseSegmentFile, segmentFile } from './file-names.js'

/** The newest ones kept: an older one serves where a truncation or damage takes the last. */
const KEPT_OF_SEGMENTS = 3
/** Of those between: they only spare a start the reading of the active segment. */
const KEPT_BETWEEN = 2

/**
 * `.snapshot` files, opaque bytes with a CRC-32C of 4 bytes behind them: they are never synced, since a missing or
 * damaged one only means that more batches are read at the next start.
 */
export class ProducerSnapshots {
  constructor(
    private readonly disk: Disk,
    private readonly directory: string,
  ) {}

  /** Does without on a full disk. @throws DiskError */
  write(offset: Offset, bytes: Uint8Array): void {
    const path = `${this.directory}/${segmentFile(offset, '.snapshot')}`
    const crc = new Uint8Array(4)
    new DataView(crc.buffer).setUint32(0, crc32c(bytes))
    try {
      writeWhole(this.disk, path, Buffer.concat([bytes, crc])).close()
    } catch (error) {
      if (!(error instanceof DiskError && error.code === 'ENOSPC')) throw error
      if (this.disk.exists(path)) this.disk.unlink(path)
      return
    }
    this.thinOut()
  }

  private thinOut(): void {
    const bases = new Set<Offset>()
    const offsets: Offset[] = []
    for (const name of this.disk.list(this.directory)) {
      const parsed = parseSegmentFile(name)
      if (parsed === null || parsed.isDeleted) continue
      if (parsed.suffix === '.log') bases.add(parsed.baseOffset)
      if (parsed.suffix === '.snapshot') offsets.push(parsed.baseOffset)
    }
    offsets.sort((a, b) => a - b)
    const ofSegments = offsets.filter((offset) => bases.has(offset))
    const between = offsets.filter((offset) => !bases.has(offset))
    for (const old of ofSegments.slice(0, -KEPT_OF_SEGMENTS)) this.remove(old)
    for (const old of between.slice(0, -KEPT_BETWEEN)) this.remove(old)
  }

  read(atMost: Offset): { offset: Offset; bytes: Uint8Array } | null {
    for (const offset of this.offsets().reverse()) {
      if (offset > atMost) continue
      const stored = readWhole(this.disk, `${this.directory}/${segmentFile(offset, '.snapshot')}`)
      if (stored.length < 4) continue
      const bytes = stored.slice(0, stored.length - 4)
      const crc = new DataView(stored.buffer, stored.byteOffset + bytes.length, 4).getUint32(0)
      if (crc32c(bytes) === crc) return { offset, bytes }
    }
    return null
  }

  /** As the names of the files have it; 0: there is none. */
  newestOffset(atMost: Offset): Offset {
    return (
      this.offsets()
        .filter((offset) => offset <= atMost)
        .at(-1) ?? 0
    )
  }

  /** True: the directory has to be synced, or they come back with a power cut. */
  dropAbove(offset: Offset): boolean {
    const stale = this.offsets().filter((at) => at > offset)
    for (const at of stale) this.remove(at)
    return stale.length > 0
  }

  /** All but the newest of those at or below: the state at the log's start still begins there. */
  dropBelow(offset: Offset): void {
    const below = this.offsets().filter((at) => at <= offset)
    for (const at of below.slice(0, -1)) this.remove(at)
  }

  private offsets(): Offset[] {
    const offsets: Offset[] = []
    for (const name of this.disk.list(this.directory)) {
      const parsed = parseSegmentFile(name)
      if (parsed?.suffix === '.snapshot' && !parsed.isDeleted) offsets.push(parsed.baseOffset)
    }
    return offsets.sort((a, b) => a - b)
  }

  private remove(offset: Offset): void {
    this.disk.unlink(`${this.directory}/${segmentFile(offset, '.snapshot')}`)
  }
}
