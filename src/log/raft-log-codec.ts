import type { LogIndex } from '../lib/ids.js'
import type { Configuration, Entry, HardState, Snapshot, Voter } from '../raft/types.js'
import { crc32c } from '../wire/crc32c.js'

/** How Raft's log lies on disk. Every value is sealed: a CRC-32C behind it, over its key's index as well. */
export class ByteWriter {
  private chunks: Uint8Array[] = []

  uint8(value: number): void {
    this.chunks.push(Uint8Array.of(value))
  }

  uint32(value: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, value)
    this.chunks.push(bytes)
  }

  /** A safe integer. */
  uint64(value: number): void {
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
    this.chunks.push(bytes)
  }

  bytes(value: Uint8Array): void {
    this.uint32(value.length)
    this.chunks.push(value)
  }

  string(value: string): void {
    this.bytes(Buffer.from(value, 'utf8'))
  }

  voter(value: Voter): void {
    this.uint32(value.nodeId)
    this.string(value.directoryId)
  }

  configuration(value: Configuration): void {
    this.uint32(value.voters.length)
    for (const voter of value.voters) this.voter(voter)
  }

  finish(): Uint8Array {
    return Buffer.concat(this.chunks)
  }
}

/** Reads what a CRC has vouched for. @throws RangeError beyond the end */
export class ByteReader {
  private readonly view: DataView
  private position = 0

  constructor(private readonly source: Uint8Array) {
    this.view = new DataView(source.buffer, source.byteOffset, source.byteLength)
  }

  uint8(): number {
    return this.view.getUint8(this.advance(1))
  }

  uint32(): number {
    return this.view.getUint32(this.advance(4))
  }

  uint64(): number {
    return Number(this.view.getBigUint64(this.advance(8)))
  }

  bytes(): Uint8Array {
    const length = this.uint32()
    const from = this.advance(length)
    return this.source.subarray(from, from + length)
  }

  string(): string {
    const bytes = this.bytes()
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
  }

  voter(): Voter {
    return { nodeId: this.uint32(), directoryId: this.string() }
  }

  configuration(): Configuration {
    const voters: Voter[] = []
    for (let left = this.uint32(); left > 0; left--) voters.push(this.voter())
    return { voters }
  }

  private advance(length: number): number {
    const from = this.position
    if (from + length > this.source.length) throw new RangeError('the value ends early')
    this.position += length
    return from
  }
}

export type Checked = { type: 'ok'; body: Uint8Array } | { type: 'damaged'; reason: string }

/** `salt`: what the bytes belong to and do not hold themselves, such as the key's index. */
export function seal(body: Uint8Array, salt = 0): Uint8Array {
  const sealed = new Uint8Array(body.length + 4)
  sealed.set(body)
  new DataView(sealed.buffer).setUint32(body.length, sealOf(body, salt))
  return sealed
}

export function checkSealed(bytes: Uint8Array, salt = 0): Checked {
  if (bytes.length < 4) return { type: 'damaged', reason: 'too short' }
  const body = bytes.subarray(0, bytes.length - 4)
  const stored = new DataView(bytes.buffer, bytes.byteOffset + body.length).getUint32(0)
  if (stored !== sealOf(body, salt)) return { type: 'damaged', reason: 'its CRC-32C does not match' }
  return { type: 'ok', body }
}

function sealOf(body: Uint8Array, salt: number): number {
  const prefix = new Uint8Array(8)
  new DataView(prefix.buffer).setBigUint64(0, BigInt(salt))
  return crc32c(body, crc32c(prefix))
}

export const KEY_HARD_STATE = Uint8Array.of(0x68)
export const KEY_SNAPSHOT = Uint8Array.of(0x6d)
const PREFIX_ENTRY = 0x65
const PREFIX_CHUNK = 0x63

/** 'e', index u64: in the order of the log. */
export function entryKey(index: LogIndex): Uint8Array {
  const key = new Uint8Array(9)
  key[0] = PREFIX_ENTRY
  new DataView(key.buffer).setBigUint64(1, BigInt(index))
  return key
}

/** 'c', snapshot index u64, number u32. */
export function chunkKey(index: LogIndex, chunk: number): Uint8Array {
  const key = new Uint8Array(13)
  const view = new DataView(key.buffer)
  key[0] = PREFIX_CHUNK
  view.setBigUint64(1, BigInt(index))
  view.setUint32(9, chunk)
  return key
}

export function keyKind(key: Uint8Array): 'entry' | 'chunk' | 'hardState' | 'snapshot' | 'unknown' {
  if (key.length === 9 && key[0] === PREFIX_ENTRY) return 'entry'
  if (key.length === 13 && key[0] === PREFIX_CHUNK) return 'chunk'
  if (key.length === 1 && key[0] === KEY_HARD_STATE[0]) return 'hardState'
  return key.length === 1 && key[0] === KEY_SNAPSHOT[0] ? 'snapshot' : 'unknown'
}

/** Of an entry's or a chunk's key. */
export function keyIndex(key: Uint8Array): LogIndex {
  return Number(new DataView(key.buffer, key.byteOffset).getBigUint64(1))
}

const TYPE_DATA = 1
const TYPE_NO_OP = 2
const TYPE_CONFIGURATION = 3

/** term u64, type u8, then by type; sealed with the index. */
export function encodeEntry(entry: Entry): Uint8Array {
  const writer = new ByteWriter()
  writer.uint64(entry.term)
  switch (entry.type) {
    case 'data':
      writer.uint8(TYPE_DATA)
      writer.bytes(entry.payload)
      break
    case 'noOp':
      writer.uint8(TYPE_NO_OP)
      break
    case 'configuration':
      writer.uint8(TYPE_CONFIGURATION)
      writer.configuration(entry.configuration)
      writer.string(entry.clusterId)
      break
  }
  return seal(writer.finish(), entry.index)
}

/** A string is the reason why it is damaged. */
export function decodeEntry(index: LogIndex, bytes: Uint8Array): Entry | string {
  const checked = checkSealed(bytes, index)
  if (checked.type === 'damaged') return checked.reason
  const reader = new ByteReader(checked.body)
  const term = reader.uint64()
  const type = reader.uint8()
  if (type === TYPE_DATA) return { type: 'data', term, index, payload: reader.bytes() }
  if (type === TYPE_NO_OP) return { type: 'noOp', term, index }
  if (type !== TYPE_CONFIGURATION) return `its type ${type} is unknown`
  return {
    type: 'configuration',
    term,
    index,
    configuration: reader.configuration(),
    clusterId: reader.string(),
  }
}

export function encodeHardState(hardState: HardState): Uint8Array {
  const writer = new ByteWriter()
  writer.uint64(hardState.term)
  writer.uint8(hardState.vote === undefined ? 0 : 1)
  if (hardState.vote !== undefined) writer.voter(hardState.vote)
  return seal(writer.finish())
}

export function decodeHardState(bytes: Uint8Array): HardState | string {
  const checked = checkSealed(bytes)
  if (checked.type === 'damaged') return checked.reason
  const reader = new ByteReader(checked.body)
  const term = reader.uint64()
  return reader.uint8() === 1 ? { term, vote: reader.voter() } : { term }
}

/** What describes a snapshot; its bytes lie in `chunks` keys of their own. */
export interface SnapshotHead {
  snapshot: Omit<Snapshot, 'data'>
  chunks: number
  totalBytes: number
  checksum: number
}

export function encodeSnapshotHead(head: SnapshotHead): Uint8Array {
  const writer = new ByteWriter()
  writer.uint64(head.snapshot.index)
  writer.uint64(head.snapshot.term)
  writer.configuration(head.snapshot.configuration)
  writer.string(head.snapshot.clusterId)
  writer.uint32(head.chunks)
  writer.uint64(head.totalBytes)
  writer.uint32(head.checksum)
  return seal(writer.finish())
}

export function decodeSnapshotHead(bytes: Uint8Array): SnapshotHead | string {
  const checked = checkSealed(bytes)
  if (checked.type === 'damaged') return checked.reason
  const reader = new ByteReader(checked.body)
  return {
    snapshot: {
      index: reader.uint64(),
      term: reader.uint64(),
      configuration: reader.configuration(),
      clusterId: reader.string(),
    },
    chunks: reader.uint32(),
    totalBytes: reader.uint64(),
    checksum: reader.uint32(),
  }
}
