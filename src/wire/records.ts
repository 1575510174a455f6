/**
 * Record batches, magic 2 (KIP-98), as views over bytes. The layout, big-endian:
 *
 *    0  int64   base offset             rewritten in place by the leader
 *    8  int32   length of all that follows
 *   12  int32   partition leader epoch  rewritten in place by the leader
 *   16  int8    magic = 2
 *   17  uint32  CRC-32C of all that follows: what lies before may change without it
 *   21  int16   attributes: bits 0-2 compression, 3 LogAppendTime, 4 transactional, 5 control, 6 delete horizon
 *   23  int32   last offset delta
 *   27  int64   base timestamp
 *   35  int64   max timestamp
 *   43  int64   producer id             -1: none
 *   51  int16   producer epoch
 *   53  int32   base sequence           -1: none
 *   57  int32   record count
 *   61          records, compressed as a whole
 *
 * A record: varint length, int8 attributes, varlong timestamp delta, varint offset delta, key and value (varint
 * length, -1 is null), varint header count, headers (varint length + UTF-8 key, value like the record's).
 */
import { assert } from '../lib/assert.js'
import type { LeaderEpoch, Offset } from '../lib/ids.js'
import type { Compression } from '../ports/compression.js'
import { crc32c } from './crc32c.js'
import { joinChunks, Reader, WireError, Writer } from './primitives.js'

/** Base offset and length: what a reader needs to find the batch's end. */
export const LOG_OVERHEAD_BYTES = 12
export const BATCH_HEADER_BYTES = 61
/** Sequences wrap to 0 after this. */
export const MAX_SEQUENCE = 0x7fff_ffff
export const NO_PRODUCER_ID = -1
export const NO_SEQUENCE = -1

const LENGTH_AT = 8
const LEADER_EPOCH_AT = 12
const MAGIC_AT = 16
const CRC_AT = 17
const ATTRIBUTES_AT = 21
const LAST_OFFSET_DELTA_AT = 23
const BASE_TIMESTAMP_AT = 27
const MAX_TIMESTAMP_AT = 35
const PRODUCER_ID_AT = 43
const PRODUCER_EPOCH_AT = 51
const BASE_SEQUENCE_AT = 53
const RECORD_COUNT_AT = 57

const CODEC_MASK = 0x07
const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
/** Length, attributes, two deltas, key and value lengths, header count: one byte each at least. */
const MIN_RECORD_BYTES = 7

export const CompressionCodec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const

export type TimestampType = 'CreateTime' | 'LogAppendTime'

/** A batch inside `bytes`, from `start` on. Copies nothing; setters write into the bytes. */
export class BatchView {
  private readonly buffer: Buffer
  private readonly start: number

  /** The header must lie within the bytes; `iterateBatches` sees to it that the whole batch does. */
  constructor(bytes: Uint8Array, start = 0) {
    assert(start + BATCH_HEADER_BYTES <= bytes.length, 'a batch view needs a whole batch header')
    this.buffer = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.start = start
  }

  get baseOffset(): Offset {
    return this.int64(0)
  }

  set baseOffset(offset: Offset) {
    this.setInt64(0, offset)
  }

  /** The whole batch in bytes, the 12-byte prefix included. */
  get sizeInBytes(): number {
    return LOG_OVERHEAD_BYTES + this.buffer.readInt32BE(this.start + LENGTH_AT)
  }

  get partitionLeaderEpoch(): LeaderEpoch {
    return this.buffer.readInt32BE(this.start + LEADER_EPOCH_AT)
  }

  set partitionLeaderEpoch(epoch: LeaderEpoch) {
    this.buffer.writeInt32BE(epoch, this.start + LEADER_EPOCH_AT)
  }

  get magic(): number {
    return this.buffer.readInt8(this.start + MAGIC_AT)
  }

  /** As stored. */
  get crc(): number {
    return this.buffer.readUInt32BE(this.start + CRC_AT)
  }

  get attributes(): number {
    return this.buffer.readInt16BE(this.start + ATTRIBUTES_AT)
  }

  /** See CompressionCodec; 5 to 7 are undefined. */
  get compressionCodec(): number {
    return this.attributes & CODEC_MASK
  }

  get timestampType(): TimestampType {
    return (this.attributes & LOG_APPEND_TIME) === 0 ? 'CreateTime' : 'LogAppendTime'
  }

  get isTransactional(): boolean {
    return (this.attributes & TRANSACTIONAL) !== 0
  }

  get isControl(): boolean {
    return (this.attributes & CONTROL) !== 0
  }

  get lastOffsetDelta(): number {
    return this.buffer.readInt32BE(this.start + LAST_OFFSET_DELTA_AT)
  }

  get lastOffset(): Offset {
    return this.baseOffset + this.lastOffsetDelta
  }

  get nextOffset(): Offset {
    return this.lastOffset + 1
  }

  /** Milliseconds. Exact where it is a safe integer, which validation sees to. */
  get baseTimestamp(): number {
    return this.int64(BASE_TIMESTAMP_AT)
  }

  /** Milliseconds. Exact where it is a safe integer, which validation sees to. */
  get maxTimestamp(): number {
    return this.int64(MAX_TIMESTAMP_AT)
  }

  /** -1: none. */
  get producerId(): number {
    return this.int64(PRODUCER_ID_AT)
  }

  get producerEpoch(): number {
    return this.buffer.readInt16BE(this.start + PRODUCER_EPOCH_AT)
  }

  /** -1: none. */
  get baseSequence(): number {
    return this.buffer.readInt32BE(this.start + BASE_SEQUENCE_AT)
  }

  /** Past 2³¹−1 sequences begin at 0 again. -1: none. */
  get lastSequence(): number {
    return this.baseSequence === NO_SEQUENCE
      ? NO_SEQUENCE
      : incrementSequence(this.baseSequence, this.lastOffsetDelta)
  }

  get recordCount(): number {
    return this.buffer.readInt32BE(this.start + RECORD_COUNT_AT)
  }

  /** The whole batch, without a copy. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(this.start, this.start + this.sizeInBytes)
  }

  /** The records as stored, compressed or not, without a copy. */
  get recordBytes(): Uint8Array {
    return this.buffer.subarray(this.start + BATCH_HEADER_BYTES, this.start + this.sizeInBytes)
  }

  computeCrc(): number {
    return crc32c(this.buffer.subarray(this.start + ATTRIBUTES_AT, this.start + this.sizeInBytes))
  }

  /** message.timestamp.type=LogAppendTime: every record counts as written at `timestampMs`. Recomputes the CRC. */
  setLogAppendTime(timestampMs: number): void {
    this.buffer.writeInt16BE(this.attributes | LOG_APPEND_TIME, this.start + ATTRIBUTES_AT)
    this.setInt64(MAX_TIMESTAMP_AT, timestampMs)
    this.buffer.writeUInt32BE(this.computeCrc(), this.start + CRC_AT)
  }

  private int64(at: number): number {
    const high = this.buffer.readInt32BE(this.start + at)
    return high * 0x1_0000_0000 + this.buffer.readUInt32BE(this.start + at + 4)
  }

  private setInt64(at: number, value: number): void {
    assert(Number.isSafeInteger(value), 'offsets and timestamps are safe integers')
    const high = Math.floor(value / 0x1_0000_0000)
    this.buffer.writeInt32BE(high, this.start + at)
    this.buffer.writeUInt32BE(value - high * 0x1_0000_0000, this.start + at + 4)
  }
}

/** `sequence` + `increment`, wrapping from 2³¹−1 to 0. */
export function incrementSequence(sequence: number, increment: number): number {
  const next = sequence + increment
  return next > MAX_SEQUENCE ? next - MAX_SEQUENCE - 1 : next
}

/** The whole batches in `bytes`, in order; stops before the first one that is cut off or whose length cannot be. */
export function* iterateBatches(bytes: Uint8Array): Generator<BatchView, void, undefined> {
  let at = 0
  while (at + BATCH_HEADER_BYTES <= bytes.length) {
    const view = new BatchView(bytes, at)
    const size = view.sizeInBytes
    if (size < BATCH_HEADER_BYTES || at + size > bytes.length) return
    yield view
    at += size
  }
}

export function verifyCrc(view: BatchView): boolean {
  return view.crc === view.computeCrc()
}

export interface RecordHeader {
  key: string
  value: Uint8Array | null
}

/** Keys and values are views over the (decompressed) batch. */
export interface Record {
  offset: Offset
  /** Milliseconds. */
  timestamp: number
  key: Uint8Array | null
  value: Uint8Array | null
  headers: RecordHeader[]
}

/**
 * The records of a batch, in order. `maxBytes` caps what decompression may yield.
 * @throws WireError where the records are damaged or too large; what came before it was yielded
 */
export function* readRecords(
  view: BatchView,
  compression: Compression,
  maxBytes: number,
): Generator<Record, void, undefined> {
  const reader = new Reader(decompressed(view, compression, maxBytes))
  const count = view.recordCount
  if (count < 0 || count * MIN_RECORD_BYTES > reader.remaining) {
    throw new WireError(`declares ${count} records, ${reader.remaining} bytes remain`)
  }
  const { baseOffset, baseTimestamp } = view
  const appendTime = view.timestampType === 'LogAppendTime' ? view.maxTimestamp : null
  for (let i = 0; i < count; i++) yield readRecord(reader, baseOffset, baseTimestamp, appendTime)
  if (reader.remaining !== 0) throw new WireError(`${reader.remaining} bytes follow the last record`)
}

function decompressed(view: BatchView, compression: Compression, maxBytes: number): Uint8Array {
  const codec = view.compressionCodec
  if (codec === CompressionCodec.none) return view.recordBytes
  try {
    return compression.decompress(codec, view.recordBytes, maxBytes)
  } catch (error) {
    throw new WireError(
      `the records cannot be decompressed: ${error instanceof Error ? error.message : error}`,
    )
  }
}

function readRecord(
  reader: Reader,
  baseOffset: Offset,
  baseTimestamp: number,
  appendTime: number | null,
): Record {
  const outer = reader.enter(readLength(reader))
  reader.skip(1)
  const timestampDelta = reader.varlong()
  const record: Record = {
    timestamp: appendTime ?? baseTimestamp + timestampDelta,
    offset: baseOffset + reader.varint(),
    key: readNullableBytes(reader),
    value: readNullableBytes(reader),
    headers: readHeaders(reader),
  }
  reader.leave(outer)
  return record
}

function readLength(reader: Reader): number {
  const length = reader.varint()
  if (length < 0) throw new WireError(`a length of ${length}`)
  return length
}

function readNullableBytes(reader: Reader): Uint8Array | null {
  const length = reader.varint()
  if (length < -1) throw new WireError(`a length of ${length}`)
  return length === -1 ? null : reader.bytes(length)
}

function readHeaders(reader: Reader): RecordHeader[] {
  const count = readLength(reader)
  if (count * 2 > reader.remaining) {
    throw new WireError(`declares ${count} headers, ${reader.remaining} bytes remain`)
  }
  const headers: RecordHeader[] = []
  for (let i = 0; i < count; i++) {
    headers.push({ key: reader.utf8(readLength(reader)), value: readNullableBytes(reader) })
  }
  return headers
}

export interface NewRecord {
  key: Uint8Array | null
  value: Uint8Array | null
  headers?: readonly RecordHeader[]
  /** Milliseconds; must be a safe integer. */
  timestamp: number
  /** Default: its place in the batch. Ascending. */
  offsetDelta?: number
}

export interface BatchOptions {
  /** Default: 0, which a leader rewrites. */
  baseOffset?: Offset
  /** Default: -1. */
  partitionLeaderEpoch?: LeaderEpoch
  /** Default: none. */
  compression?: { codec: number; port: Compression }
  producerId?: number
  producerEpoch?: number
  baseSequence?: number
  isTransactional?: boolean
  isControl?: boolean
  timestampType?: TimestampType
  /** Default: that of the last record. Compaction keeps the original batch's. */
  lastOffsetDelta?: number
}

/** One whole batch. At least one record. */
export function buildBatch(records: readonly NewRecord[], options: BatchOptions = {}): Uint8Array {
  assert(records.length > 0, 'a batch holds at least one record')
  const baseTimestamp = records[0]!.timestamp
  const body = encodeRecords(records, baseTimestamp, options.compression)
  const batch = Buffer.allocUnsafe(BATCH_HEADER_BYTES + body.length)
  batch.set(body, BATCH_HEADER_BYTES)
  writeHeader(batch, records, baseTimestamp, options)
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT)
  return batch
}

function writeHeader(
  batch: Buffer,
  records: readonly NewRecord[],
  baseTimestamp: number,
  options: BatchOptions,
): void {
  const maxTimestamp = records.reduce((max, record) => Math.max(max, record.timestamp), baseTimestamp)
  const lastDelta = records.at(-1)!.offsetDelta ?? records.length - 1
  batch.writeBigInt64BE(BigInt(options.baseOffset ?? 0), 0)
  batch.writeInt32BE(batch.length - LOG_OVERHEAD_BYTES, LENGTH_AT)
  batch.writeInt32BE(options.partitionLeaderEpoch ?? -1, LEADER_EPOCH_AT)
  batch.writeInt8(2, MAGIC_AT)
  batch.writeInt16BE(attributesOf(options), ATTRIBUTES_AT)
  batch.writeInt32BE(options.lastOffsetDelta ?? lastDelta, LAST_OFFSET_DELTA_AT)
  batch.writeBigInt64BE(BigInt(baseTimestamp), BASE_TIMESTAMP_AT)
  batch.writeBigInt64BE(BigInt(maxTimestamp), MAX_TIMESTAMP_AT)
  batch.writeBigInt64BE(BigInt(options.producerId ?? NO_PRODUCER_ID), PRODUCER_ID_AT)
  batch.writeInt16BE(options.producerEpoch ?? -1, PRODUCER_EPOCH_AT)
  batch.writeInt32BE(options.baseSequence ?? NO_SEQUENCE, BASE_SEQUENCE_AT)
  batch.writeInt32BE(records.length, RECORD_COUNT_AT)
}

function attributesOf(options: BatchOptions): number {
  return (
    (options.compression?.codec ?? CompressionCodec.none) |
    (options.timestampType === 'LogAppendTime' ? LOG_APPEND_TIME : 0) |
    (options.isTransactional === true ? TRANSACTIONAL : 0) |
    (options.isControl === true ? CONTROL : 0)
  )
}

function encodeRecords(
  records: readonly NewRecord[],
  baseTimestamp: number,
  compression: BatchOptions['compression'],
): Uint8Array {
  const writer = new Writer(4096)
  for (let i = 0; i < records.length; i++) {
    const record = new Writer(256)
    writeRecordBody(record, records[i]!, i, baseTimestamp)
    writer.varint(record.byteLength)
    writer.append(record)
  }
  const plain = joinChunks(writer.finish())
  if (compression === undefined || compression.codec === CompressionCodec.none) return plain
  return compression.port.compress(compression.codec, plain)
}

function writeRecordBody(writer: Writer, record: NewRecord, place: number, baseTimestamp: number): void {
  writer.int8(0)
  writer.varlong(record.timestamp - baseTimestamp)
  writer.varint(record.offsetDelta ?? place)
  writeNullableBytes(writer, record.key)
  writeNullableBytes(writer, record.value)
  const headers = record.headers ?? []
  writer.varint(headers.length)
  for (const header of headers) {
    const keyBytes = Buffer.byteLength(header.key)
    writer.varint(keyBytes)
    writer.utf8(header.key, keyBytes)
    writeNullableBytes(writer, header.value)
  }
}

function writeNullableBytes(writer: Writer, value: Uint8Array | null): void {
  writer.varint(value === null ? -1 : value.length)
  if (value !== null) writer.bytes(value)
}
