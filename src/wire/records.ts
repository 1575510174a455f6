/**
 * Record batches, magic 2 (KIP-98): found in bytes, read and built. Their header: batch-view.ts. A record:
 *
 *   varint length, int8 attributes, varlong timestamp delta, varint offset delta, key and value (varint length, -1
 *   is null), varint header count, headers (varint length + UTF-8 key, value like the record's)
 */
import { assert } from '../lib/assert.js'
import type { Offset } from '../lib/ids.js'
import type { Compression } from '../ports/compression.js'
import {
  BATCH_HEADER_BYTES,
  type BatchIdentity,
  BatchView,
  CompressionCodec,
  encodeBatchHeader,
} from './batch-view.js'
import { joinChunks, Reader, WireError, Writer } from './primitives.js'

export * from './batch-view.js'

/** Length, attributes, two deltas, key and value lengths, header count: one byte each at least. */
const MIN_RECORD_BYTES = 7

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
  const reader = openRecords(view, compression, maxBytes)
  const { baseOffset, baseTimestamp, recordCount } = view
  const appendTime = appendTimeOf(view)
  for (let i = 0; i < recordCount; i++) yield readRecord(reader, baseOffset, baseTimestamp, appendTime)
  endRecords(reader)
}

/**
 * The same records for whoever does not ask what they hold, until `visit` returns false; then this does too. Nothing
 * is made of a record: a batch of 64 MiB may have nine million of them, or one with thirty million headers.
 * @throws WireError like `readRecords`
 */
export function walkRecords(
  view: BatchView,
  compression: Compression,
  maxBytes: number,
  visit: (offset: Offset, timestamp: number, hasKey: boolean) => boolean,
): boolean {
  const reader = openRecords(view, compression, maxBytes)
  const { baseOffset, baseTimestamp, recordCount } = view
  const appendTime = appendTimeOf(view)
  for (let i = 0; i < recordCount; i++) {
    const outer = reader.enter(readLength(reader))
    reader.skip(1)
    const timestampDelta = reader.varlong()
    const offset = baseOffset + reader.varint()
    const hasKey = skipNullableBytes(reader)
    skipNullableBytes(reader)
    skipHeaders(reader)
    reader.leave(outer)
    if (!visit(offset, appendTime ?? baseTimestamp + timestampDelta, hasKey)) return false
  }
  endRecords(reader)
  return true
}

function openRecords(view: BatchView, compression: Compression, maxBytes: number): Reader {
  const reader = new Reader(decompressed(view, compression, maxBytes))
  const count = view.recordCount
  if (count < 0 || count * MIN_RECORD_BYTES > reader.remaining) {
    throw new WireError(`declares ${count} records, ${reader.remaining} bytes remain`)
  }
  return reader
}

function endRecords(reader: Reader): void {
  if (reader.remaining !== 0) throw new WireError(`${reader.remaining} bytes follow the last record`)
}

/** Null where each record has a timestamp of its own. */
function appendTimeOf(view: BatchView): number | null {
  return view.timestampType === 'LogAppendTime' ? view.maxTimestamp : null
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

/** Whether there are any, empty ones too. */
function skipNullableBytes(reader: Reader): boolean {
  const length = reader.varint()
  if (length < -1) throw new WireError(`a length of ${length}`)
  if (length > 0) reader.skip(length)
  return length >= 0
}

function readHeaderCount(reader: Reader): number {
  const count = readLength(reader)
  if (count * 2 > reader.remaining) {
    throw new WireError(`declares ${count} headers, ${reader.remaining} bytes remain`)
  }
  return count
}

function skipHeaders(reader: Reader): void {
  const count = readHeaderCount(reader)
  for (let i = 0; i < count; i++) {
    reader.skip(readLength(reader))
    skipNullableBytes(reader)
  }
}

function readHeaders(reader: Reader): RecordHeader[] {
  const count = readHeaderCount(reader)
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

export interface BatchOptions extends BatchIdentity {
  /** Default: none. */
  compression?: { codec: number; port: Compression }
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
  encodeBatchHeader(batch, {
    ...options,
    compressionCodec: options.compression?.codec ?? CompressionCodec.none,
    lastOffsetDelta: options.lastOffsetDelta ?? records.at(-1)!.offsetDelta ?? records.length - 1,
    baseTimestamp,
    maxTimestamp: records.reduce((max, record) => Math.max(max, record.timestamp), baseTimestamp),
    recordCount: records.length,
  })
  return batch
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
