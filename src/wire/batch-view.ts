/**
 * The header of a record batch, magic 2 (KIP-98), as a view over its bytes. The layout, big-endian:
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
 */
import { assert } from '../lib/assert.js'
import type { LeaderEpoch, Offset } from '../lib/ids.js'
import { crc32c } from './crc32c.js'

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

/** What a batch says of itself apart from its records. */
export interface BatchIdentity {
  /** Default: 0, which a leader rewrites. */
  baseOffset?: Offset
  /** Default: -1. */
  partitionLeaderEpoch?: LeaderEpoch
  producerId?: number
  producerEpoch?: number
  baseSequence?: number
  isTransactional?: boolean
  isControl?: boolean
  timestampType?: TimestampType
}

export interface BatchHeader extends BatchIdentity {
  compressionCodec: number
  lastOffsetDelta: number
  baseTimestamp: number
  maxTimestamp: number
  recordCount: number
}

/** Writes the header of a batch whose records are in place already, its CRC included. */
export function encodeBatchHeader(batch: Buffer, header: BatchHeader): void {
  batch.writeBigInt64BE(BigInt(header.baseOffset ?? 0), 0)
  batch.writeInt32BE(batch.length - LOG_OVERHEAD_BYTES, LENGTH_AT)
  batch.writeInt32BE(header.partitionLeaderEpoch ?? -1, LEADER_EPOCH_AT)
  batch.writeInt8(2, MAGIC_AT)
  batch.writeInt16BE(attributesOf(header), ATTRIBUTES_AT)
  batch.writeInt32BE(header.lastOffsetDelta, LAST_OFFSET_DELTA_AT)
  batch.writeBigInt64BE(BigInt(header.baseTimestamp), BASE_TIMESTAMP_AT)
  batch.writeBigInt64BE(BigInt(header.maxTimestamp), MAX_TIMESTAMP_AT)
  batch.writeBigInt64BE(BigInt(header.producerId ?? NO_PRODUCER_ID), PRODUCER_ID_AT)
  batch.writeInt16BE(header.producerEpoch ?? -1, PRODUCER_EPOCH_AT)
  batch.writeInt32BE(header.baseSequence ?? NO_SEQUENCE, BASE_SEQUENCE_AT)
  batch.writeInt32BE(header.recordCount, RECORD_COUNT_AT)
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT)
}

function attributesOf(header: BatchHeader): number {
  return (
    header.compressionCodec |
    (header.timestampType === 'LogAppendTime' ? LOG_APPEND_TIME : 0) |
    (header.isTransactional === true ? TRANSACTIONAL : 0) |
    (header.isControl === true ? CONTROL : 0)
  )
}
