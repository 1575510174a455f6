import { assert } from '../lib/assert.js'
import { type Offset, type Uuid, uuidFromBytes, uuidToBytes } from '../lib/ids.js'
import type { Disk, DiskError, DiskFile, SyncTarget } from '../ports/disk.js'
import { crc32c } from '../wire/crc32c.js'

/**
 * Each log's recovery point and start, in one file of fixed slots that are written in place after every group commit:
 *
 *   0 topicId 16 bytes | 16 partition int32, its highest bit: settled | 20 recoveryPoint int64 | 28 logStart int64
 *   | 36 crc-32c of 0..36 | zeros to 64
 *
 * A slot never crosses the border of a sector, so it is there as a whole, old or new, whenever the process or the power ends.
 * What holds: everything below a slot's recovery point was fsynced. After the death of the process the slots are exact:
 * all that was ever reported durable lies below. After a power cut they may be older by what was written since they
 * were synced themselves (with each new log and truncation, else each second). Kafka's text checkpoint is written too,
 * less often, and stands in for a slot that cannot be read.
 */
const FILE = 'recovery-points'
const SLOT_BYTES = 64
const CRC_AT = 36

export interface RecoveryPoint {
  recoveryPoint: Offset
  logStartOffset: Offset
  /**
   * Nothing but appends waited for a sync when this was written, and nothing but appends was done since: a log that
   * ends at its recovery point is on the disk with all that belongs to it.
   */
  isSettled: boolean
}

const SETTLED_BIT = 0x8000_0000

export class RecoveryPoints {
  private file: DiskFile | null = null
  private readonly slots = new Map<string, number>()
  private readonly free: number[] = []
  private slotCount = 0
  private readonly loaded = new Map<string, RecoveryPoint>()
  /** Counts the writes; what was synced up to is `syncedVersion`. */
  version = 0
  syncedVersion = 0
  private syncsUnderWay = 0
  /** The next sync takes the data directory along. */
  private directoryChanged = false
  private waiters: { readonly version: number; readonly done: () => void }[] = []
  private isClosed = false

  constructor(private readonly disk: Disk) {}

  get size(): number {
    return this.slots.size
  }

  /** Reads the slots that are whole, and begins the file anew with them. @throws DiskError */
  open(): void {
    assert(this.file === null, 'opened twice')
    if (this.disk.exists(FILE)) {
      const old = this.disk.open(FILE)
      try {
        const bytes = old.read(0, old.size())
        for (let at = 0; at + SLOT_BYTES <= bytes.length; at += SLOT_BYTES)
          this.load(bytes.subarray(at, at + SLOT_BYTES))
      } finally {
        old.close()
      }
    }
    const temporary = this.disk.open(`${FILE}.tmp`, { create: true })
    try {
      temporary.truncate(0)
      const chunks = [...this.loaded].map(([key, point]) => {
        this.slots.set(key, this.slotCount++)
        return encodeSlot(key, point)
      })
      if (chunks.length > 0) temporary.write(0, chunks)
      this.disk.syncNow([temporary])
    } finally {
      temporary.close()
    }
    this.disk.rename(`${FILE}.tmp`, FILE)
    this.disk.syncNow([{ directory: '' }])
    this.file = this.disk.open(FILE)
  }

  /** As it was when the file was opened. */
  atOpen(topicId: Uuid, partition: number): RecoveryPoint | undefined {
    return this.loaded.get(keyOf(topicId, partition))
  }

  /** True where something durable is noted for this partition number of a topic that `isClaimed` does not know. */
  hasUnclaimed(partition: number, isClaimed: (topicId: Uuid) => boolean): boolean {
    for (const [key, point] of this.loaded) {
      if (point.recoveryPoint > 0 && Number(key.slice(23)) === partition && !isClaimed(key.slice(0, 22)))
        return true
    }
    return false
  }

  /** The logs that held records when the file was opened. */
  holders(): { topicId: Uuid; partition: number }[] {
    return [...this.loaded]
      .filter(([, point]) => point.recoveryPoint > point.logStartOffset)
      .map(([key]) => ({ topicId: key.slice(0, 22), partition: Number(key.slice(23)) }))
  }

  /** Written through the page cache. @throws DiskError */
  set(topicId: Uuid, partition: number, point: RecoveryPoint): void {
    const key = keyOf(topicId, partition)
    let slot = this.slots.get(key)
    if (slot === undefined) {
      slot = this.free.pop() ?? this.slotCount++
      this.slots.set(key, slot)
    }
    this.write(slot, encodeSlot(key, point))
  }

  /** @throws DiskError */
  remove(topicId: Uuid, partition: number): void {
    const key = keyOf(topicId, partition)
    const slot = this.slots.get(key)
    if (slot === undefined) return
    this.slots.delete(key)
    this.free.push(slot)
    this.write(slot, new Uint8Array(SLOT_BYTES))
  }

  /** An entry of the data directory changed with a slot: `synced` is to tell of both. */
  noteDirectory(): void {
    this.directoryChanged = true
    this.version++
  }

  /** What a sync has to cover. */
  syncTarget(): DiskFile {
    assert(this.file !== null, 'not open')
    return this.file
  }

  syncNow(): void {
    const { version } = this
    this.disk.syncNow(this.takeTargets())
    this.syncedVersion = Math.max(this.syncedVersion, version)
  }

  /** Syncs in the background what was written since the last sync. */
  syncSoon(failed: (error: DiskError) => void): void {
    if (this.version !== this.syncedVersion) this.sync(failed)
  }

  /** `done` when all that was written until now is synced. However many ask, no more than one sync of theirs is under way. */
  synced(done: () => void, failed: (error: DiskError) => void): void {
    if (this.version === this.syncedVersion) return done()
    this.waiters.push({ version: this.version, done })
    if (this.waiters.length === 1) this.syncForWaiters(failed)
  }

  private syncForWaiters(failed: (error: DiskError) => void): void {
    const fail = (error: DiskError): void => {
      this.waiters = []
      failed(error)
    }
    this.sync(fail, () => {
      const isServed = ({ version }: { version: number }): boolean => version <= this.syncedVersion
      const served = this.waiters.filter(isServed)
      this.waiters = this.waiters.filter((waiter) => !isServed(waiter))
      for (const { done } of served) done()
      if (this.waiters.length > 0 && !this.isClosed) this.syncForWaiters(failed)
    })
  }

  private takeTargets(): SyncTarget[] {
    const directories = this.directoryChanged ? [{ directory: '' }] : []
    this.directoryChanged = false
    return [this.syncTarget(), ...directories]
  }

  private sync(failed: (error: DiskError) => void, done: () => void = () => {}): void {
    const { version } = this
    this.syncsUnderWay++
    this.disk.sync(this.takeTargets(), (error) => {
      this.syncsUnderWay--
      if (error === null) this.syncedVersion = Math.max(this.syncedVersion, version)
      if (this.isClosed) this.close()
      if (error === null) done()
      else failed(error)
    })
  }

  /** The file is closed after the syncs that are under way: another file may get its descriptor, or none may have it. */
  close(): void {
    this.isClosed = true
    if (this.syncsUnderWay > 0) return
    this.file?.close()
    this.file = null
  }

  private write(slot: number, bytes: Uint8Array): void {
    this.syncTarget().write(slot * SLOT_BYTES, [bytes])
    this.version++
  }

  private load(slot: Uint8Array): void {
    const view = new DataView(slot.buffer, slot.byteOffset, SLOT_BYTES)
    if (view.getUint32(CRC_AT) !== crc32c(slot.subarray(0, CRC_AT)) || slot.every((byte) => byte === 0))
      return
    const recoveryPoint = Number(view.getBigInt64(20))
    const logStartOffset = Number(view.getBigInt64(28))
    const partition = view.getUint32(16)
    const point = { recoveryPoint, logStartOffset, isSettled: partition >= SETTLED_BIT }
    this.loaded.set(keyOf(uuidFromBytes(slot), partition % SETTLED_BIT), point)
  }
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}:${partition}`
}

function encodeSlot(key: string, point: RecoveryPoint): Uint8Array {
  const slot = new Uint8Array(SLOT_BYTES)
  const view = new DataView(slot.buffer)
  slot.set(uuidToBytes(key.slice(0, 22)))
  view.setUint32(16, Number(key.slice(23)) + (point.isSettled ? SETTLED_BIT : 0))
  view.setBigInt64(20, BigInt(point.recoveryPoint))
  view.setBigInt64(28, BigInt(point.logStartOffset))
  view.setUint32(CRC_AT, crc32c(slot.subarray(0, CRC_AT)))
  return slot
}
