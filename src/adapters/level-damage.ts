import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { crc32c } from '../wire/crc32c.js'

const require = createRequire(import.meta.url)

/**
 * What is damaged in a LevelDB store, in words; null where it is sound, or not there at all. To be asked before it is
 * opened: LevelDB checks no checksum when it reads a table (`verify_checksums` is off, and `level` has no option for it),
 * so that a flipped bit makes entries vanish in silence or ends the process inside native code; and it skips a damaged
 * record in the middle of a journal. In a Raft log either would be an acknowledged entry lost.
 *
 * Checks every block of the tables that the manifest names, and every record of the journals that are not tables yet;
 * the newest journal's last record may be torn, since nobody was told of it. What else lies there is LevelDB's to delete, and of
 * a manifest it checks the checksums itself.
 *
 * Formats: `table_format.md`, `log_format.md` and `impl.md` of LevelDB's documentation.
 *
 * @throws the system's errors of reading a file
 */
export function findDamage(store: string): string | null {
  if (!existsSync(join(store, 'CURRENT'))) return null
  const current = readFileSync(join(store, 'CURRENT'), 'latin1')
  if (!/^MANIFEST-\d+\n$/.test(current)) return 'CURRENT names no manifest'
  const manifest = join(store, current.trim())
  if (!existsSync(manifest)) return null
  const version = readVersion(readFileSync(manifest))
  if (version === null) return null
  const files = new Set(readdirSync(store))
  for (const table of version.tables) {
    const name = [`${paddedNumber(table)}.ldb`, `${paddedNumber(table)}.sst`].find((one) => files.has(one))
    if (name === undefined) return `the table ${paddedNumber(table)}.ldb is missing`
    const damage = tableDamage(readFileSync(join(store, name)))
    if (damage !== null) return `the table ${name}: ${damage}`
  }
  const journals = [...files].filter(
    (name) => /^\d+\.log$/.test(name) && numberOf(name) >= version.firstJournal,
  )
  // An empty one was made by an opening that was cut short: the one before it may be torn still.
  let isNewest = true
  for (const name of journals.sort((a, b) => numberOf(b) - numberOf(a))) {
    const bytes = readFileSync(join(store, name))
    const damage = journalDamage(bytes, isNewest)
    if (damage !== null) return `the journal ${name}: ${damage}`
    if (bytes.length > 0) isNewest = false
  }
  return null
}

const numberOf = (name: string): number => Number.parseInt(name, 10)

const paddedNumber = (fileNumber: number): string => String(fileNumber).padStart(6, '0')

/** Both formats mask a checksum that lies beside what it covers. */
function isMaskedCrcOf(masked: number, bytes: Uint8Array): boolean {
  const crc = crc32c(bytes)
  return masked === (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

// Journals (log_format.md): blocks of 32 KiB; a record is crc 4, length 2, type 1, and lies within one block.

const JOURNAL_BLOCK_BYTES = 32 * 1024
const RECORD_HEADER_BYTES = 7
const FULL = 1
const FIRST = 2
const LAST = 4

interface JournalRecord {
  type: number
  data: Uint8Array
}

/** The record that begins at `position`; null where none does whose checksum holds. */
function readRecord(bytes: Buffer, position: number): JournalRecord | null {
  const blockEnd = Math.min(bytes.length, blockAfter(position))
  if (position + RECORD_HEADER_BYTES > blockEnd) return null
  const type = bytes[position + 6]!
  const end = position + RECORD_HEADER_BYTES + bytes.readUInt16LE(position + 4)
  if (type < FULL || type > LAST || end > blockEnd) return null
  if (!isMaskedCrcOf(bytes.readUInt32LE(position), bytes.subarray(position + 6, end))) return null
  return { type, data: bytes.subarray(position + RECORD_HEADER_BYTES, end) }
}

const blockAfter = (position: number): number =>
  position - (position % JOURNAL_BLOCK_BYTES) + JOURNAL_BLOCK_BYTES

/** The records up to the first that is not sound, and where that one begins; the file's end where all are. */
function readRecords(bytes: Buffer): { records: JournalRecord[]; end: number } {
  const records: JournalRecord[] = []
  let position = 0
  while (position < bytes.length) {
    // The last bytes of a block, where no header fits, are filled up.
    if (blockAfter(position) - position < RECORD_HEADER_BYTES) position = blockAfter(position)
    const record = readRecord(bytes, position)
    if (record === null) break
    records.push(record)
    position += RECORD_HEADER_BYTES + record.data.length
  }
  return { records, end: Math.min(position, bytes.length) }
}

/**
 * A journal is synced after each batch, so that only the last batch of the newest can be torn, in whichever of its
 * pieces; a batch that begins after a damaged one, there or in a newer journal, was written when that one was on the disk.
 */
function journalDamage(bytes: Buffer, isNewest: boolean): string | null {
  const { end } = readRecords(bytes)
  if (!isNewest && end < bytes.length)
    return `the record at byte ${end} is damaged, and a newer journal follows`
  for (let position = end + 1; position + RECORD_HEADER_BYTES <= bytes.length; position++) {
    const type = bytes[position + 6]!
    if (type !== FULL && type !== FIRST) continue
    if (readRecord(bytes, position) !== null)
      return `the record at byte ${end} is damaged, and a sound one follows it at byte ${position}`
  }
  return null
}

// The manifest (impl.md): a journal whose records are edits of the list of live files.

interface StoreVersion {
  tables: Set<number>
  /** Journals of lower numbers are tables by now. */
  firstJournal: number
}

/** Null for what is not a manifest, or not all there: LevelDB will say so. */
function readVersion(bytes: Buffer): StoreVersion | null {
  const version: StoreVersion = { tables: new Set(), firstJournal: 0 }
  const pieces: Uint8Array[] = []
  for (const { type, data } of readRecords(bytes).records) {
    pieces.push(data)
    if (type !== FULL && type !== LAST) continue
    if (!applyEdit(version, new Cursor(Buffer.concat(pieces.splice(0))))) return null
  }
  return version
}

function applyEdit(version: StoreVersion, edit: Cursor): boolean {
  let previousJournal = 0
  while (!edit.isAtEnd) {
    switch (edit.varint()) {
      case 1: // the comparator's name
        edit.bytes(edit.varint())
        break
      case 2:
        version.firstJournal = edit.varint()
        break
      case 3: // the next file number
      case 4: // the last sequence number
        edit.varint()
        break
      case 5: // where the next compaction of a level begins
        edit.varint()
        edit.bytes(edit.varint())
        break
      case 6: // a table of a level is gone
        edit.varint()
        version.tables.delete(edit.varint())
        break
      case 7: // a table of a level is new: its number, size, smallest and largest key
        edit.varint()
        version.tables.add(edit.varint())
        edit.varint()
        edit.bytes(edit.varint())
        edit.bytes(edit.varint())
        break
      case 9:
        previousJournal = edit.varint()
        break
      default:
        return false
    }
  }
  if (previousJournal > 0) version.firstJournal = Math.min(version.firstJournal, previousJournal)
  return !edit.isOverrun
}

// Tables (table_format.md): blocks with a trailer of type 1 and crc 4; a footer that names the two indexes.

const FOOTER_BYTES = 48
const TABLE_MAGIC = 0xdb4775248b80fb57n
const TRAILER_BYTES = 5
const COMPRESSED_WITH_SNAPPY = 1

interface BlockHandle {
  offset: number
  size: number
}

function tableDamage(bytes: Buffer): string | null {
  if (bytes.length < FOOTER_BYTES || bytes.readBigUInt64LE(bytes.length - 8) !== TABLE_MAGIC)
    return 'its footer is damaged'
  const footer = new Cursor(bytes.subarray(bytes.length - FOOTER_BYTES))
  const indexes = [readHandle(footer), readHandle(footer)]
  for (const index of indexes) {
    const block = readBlock(bytes, index)
    if (block === null) return `its index at byte ${index.offset} is damaged`
    const handles = readIndex(block)
    if (handles === null) return `its index at byte ${index.offset} makes no sense`
    for (const handle of handles)
      if (!isSound(bytes, handle)) return `its block at byte ${handle.offset} is damaged`
  }
  return null
}

const readHandle = (cursor: Cursor): BlockHandle => ({ offset: cursor.varint(), size: cursor.varint() })

function isSound(table: Buffer, { offset, size }: BlockHandle): boolean {
  const end = offset + size
  if (!Number.isSafeInteger(end) || end + TRAILER_BYTES > table.length - FOOTER_BYTES) return false
  return isMaskedCrcOf(table.readUInt32LE(end + 1), table.subarray(offset, end + 1))
}

function readBlock(table: Buffer, handle: BlockHandle): Buffer | null {
  if (!isSound(table, handle)) return null
  const { offset, size } = handle
  const content = table.subarray(offset, offset + size)
  if (table[offset + size] !== COMPRESSED_WITH_SNAPPY) return content
  return (require('snappy') as typeof import('snappy')).uncompressSync(content) as Buffer
}

/** The blocks that an index names; its keys are passed over. Null where its entries do not add up. */
function readIndex(block: Buffer): BlockHandle[] | null {
  if (block.length < 4) return null
  const restarts = block.readUInt32LE(block.length - 4)
  const end = block.length - 4 - 4 * restarts
  if (end < 0) return null
  const entries = new Cursor(block.subarray(0, end))
  const handles: BlockHandle[] = []
  while (!entries.isAtEnd) {
    entries.varint() // of the key before, shared
    const keyBytes = entries.varint()
    const valueBytes = entries.varint()
    entries.bytes(keyBytes)
    handles.push(readHandle(new Cursor(entries.bytes(valueBytes))))
  }
  return entries.isOverrun ? null : handles
}

/** Reads varints and bytes; past the end, nothing, and `isOverrun` says so. */
class Cursor {
  isOverrun = false
  private position = 0

  constructor(private readonly buffer: Uint8Array) {}

  get isAtEnd(): boolean {
    return this.position >= this.buffer.length
  }

  /** Of 64 bits at most, low groups of seven first; beyond 2^53 it is not exact. */
  varint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.buffer[this.position++]
      if (byte === undefined) {
        this.isOverrun = true
        return 0
      }
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }

  bytes(count: number): Uint8Array {
    const start = this.position
    this.position += count
    if (this.position > this.buffer.length) this.isOverrun = true
    return this.buffer.subarray(start, this.position)
  }
}
