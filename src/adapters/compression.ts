/**
 * Kafka's four codecs. Every one caps its output *before* it allocates: a batch of a kilobyte may claim a gigabyte.
 *
 * - gzip: node:zlib.
 * - snappy: the `snappy` package (napi-rs builds of Rust's `snap`): prebuilt per platform as optional packages, so
 *   `npm ci` neither downloads by itself nor compiles. Raw blocks only; xerial's framing is read and written here.
 * - lz4: the `lz4-napi` package (napi-rs builds of Rust's `lz4_flex`), installed likewise. Its own frame decoder has
 *   no cap, so frames are walked here (lz4-frame.ts) and only the blocks are handed over.
 * - zstd: the `@bokuweb/zstd-wasm` package (the reference implementation as WebAssembly): Node 20's zlib has no
 *   zstd, and the native bindings download or compile when they are installed.
 */
import { createRequire } from 'node:module'
import { gunzipSync, gzipSync } from 'node:zlib'
import { init as loadZstd, compress as zstdCompress, decompress as zstdDecompress } from '@bokuweb/zstd-wasm'
import type { Compression } from '../ports/compression.js'
import { decompressLz4Frame } from './lz4-frame.js'

const require = createRequire(import.meta.url)

/** The native ones are loaded when the first batch needs them: a node that never sees one saves 15 MB and its time. */
const snappy = (): typeof import('snappy') => require('snappy')
const lz4 = (): typeof import('lz4-napi') => require('lz4-napi')

const GZIP = 1
const SNAPPY = 2
const LZ4 = 3
const ZSTD = 4

/** Loads the WebAssembly of zstd; the codecs themselves are synchronous. */
export async function loadCompression(): Promise<Compression> {
  await loadZstd()
  return { decompress, compress }
}

function decompress(codec: number, bytes: Uint8Array, maxBytes: number): Uint8Array {
  switch (codec) {
    case GZIP:
      return decompressGzip(bytes, maxBytes)
    case SNAPPY:
      return decompressSnappy(bytes, maxBytes)
    case LZ4:
      return decompressLz4Frame(bytes, maxBytes)
    case ZSTD:
      return decompressZstd(bytes, maxBytes)
    default:
      throw new Error(`unknown compression codec ${codec}`)
  }
}

function compress(codec: number, bytes: Uint8Array): Uint8Array {
  switch (codec) {
    case GZIP:
      return gzipSync(bytes)
    case SNAPPY:
      return compressSnappy(bytes)
    case LZ4:
      return lz4().compressFrameSync(asBuffer(bytes))
    case ZSTD:
      return zstdCompress(asBuffer(bytes), 3)
    default:
      throw new Error(`unknown compression codec ${codec}`)
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function tooLarge(maxBytes: number): RangeError {
  return new RangeError(`the decompressed records would pass ${maxBytes} bytes`)
}

function decompressGzip(bytes: Uint8Array, maxBytes: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: Math.max(1, maxBytes) })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes)
    throw error
  }
}

/** xerial's stream: this magic, int32 version, int32 oldest compatible version, then (int32 length, raw block)*. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
const XERIAL_HEADER_BYTES = 16
const XERIAL_BLOCK_BYTES = 32 * 1024

function decompressSnappy(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const buffer = asBuffer(bytes)
  const isFramed =
    buffer.length >= XERIAL_HEADER_BYTES && buffer.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)
  if (!isFramed) return decompressSnappyBlock(buffer, maxBytes)
  const blocks: Uint8Array[] = []
  let total = 0
  for (let at = XERIAL_HEADER_BYTES; at < buffer.length; ) {
    if (buffer.length - at < 4) throw new Error('a snappy block is cut off')
    const length = buffer.readUInt32BE(at)
    at += 4
    if (length > buffer.length - at) throw new Error('a snappy block is cut off')
    const block = decompressSnappyBlock(buffer.subarray(at, at + length), maxBytes - total)
    blocks.push(block)
    total += block.length
    at += length
  }
  return Buffer.concat(blocks, total)
}

function decompressSnappyBlock(block: Buffer, maxBytes: number): Uint8Array {
  if (snappyUncompressedLength(block) > maxBytes) throw tooLarge(maxBytes)
  return snappy().uncompressSync(block, { asBuffer: true }) as Buffer
}

/** A raw block begins with its uncompressed length as a varint of at most 32 bits. */
function snappyUncompressedLength(block: Buffer): number {
  let length = 0
  for (let i = 0; i < 5 && i < block.length; i++) {
    length += (block[i]! & 0x7f) * 2 ** (7 * i)
    if (block[i]! < 0x80) return length
  }
  throw new Error('a snappy block without a length')
}

/** Framed, as the Java client writes it: some readers know nothing else. */
function compressSnappy(bytes: Uint8Array): Uint8Array {
  const header = Buffer.alloc(XERIAL_HEADER_BYTES)
  XERIAL_MAGIC.copy(header)
  header.writeInt32BE(1, 8)
  header.writeInt32BE(1, 12)
  const chunks: Uint8Array[] = [header]
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) {
    const block = snappy().compressSync(asBuffer(bytes.subarray(at, at + XERIAL_BLOCK_BYTES)))
    const length = Buffer.alloc(4)
    length.writeUInt32BE(block.length)
    chunks.push(length, block)
  }
  return Buffer.concat(chunks)
}

const ZSTD_MAGIC = 0xfd2fb528
/** ZSTD_error_dstSize_tooSmall, as the library's message shows it. */
const ZSTD_OUTPUT_TOO_SMALL = /code -70$/
const FIRST_ZSTD_OUTPUT_BYTES = 64 * 1024

/**
 * The library allocates what the frame declares, so that is read first; where nothing is declared (streaming
 * writers, as in the Java client), the output grows step by step up to the cap.
 */
function decompressZstd(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const buffer = asBuffer(bytes)
  const declared = zstdContentSize(buffer)
  if (declared !== null && declared > maxBytes) throw tooLarge(maxBytes)
  if (declared === 0) return new Uint8Array(0)
  let outputBytes = Math.max(1, Math.min(maxBytes, Math.max(FIRST_ZSTD_OUTPUT_BYTES, buffer.length * 4)))
  for (;;) {
    try {
      return zstdDecompress(buffer, { defaultHeapSize: outputBytes })
    } catch (error) {
      const isTooSmall = error instanceof Error && ZSTD_OUTPUT_TOO_SMALL.test(error.message)
      if (!isTooSmall || declared !== null) throw new Error('the zstd frame is damaged', { cause: error })
      if (outputBytes >= maxBytes) throw tooLarge(maxBytes)
      outputBytes = Math.min(maxBytes, outputBytes * 4)
    }
  }
}

/** The frame header's content size (RFC 8878, 3.1.1.1); null where it declares none. */
function zstdContentSize(frame: Buffer): number | null {
  if (frame.length < 6 || frame.readUInt32LE(0) !== ZSTD_MAGIC) throw new Error('not a zstd frame')
  const descriptor = frame[4]!
  const isSingleSegment = (descriptor & 0x20) !== 0
  const sizeFlag = descriptor >> 6
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 0x03]!
  const at = 5 + (isSingleSegment ? 0 : 1) + dictionaryIdBytes
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** sizeFlag
  if (sizeBytes === 0) return null
  if (frame.length < at + sizeBytes) throw new Error('the zstd frame header is cut off')
  if (sizeBytes === 8) return Number(frame.readBigUInt64LE(at))
  return frame.readUIntLE(at, sizeBytes) + (sizeBytes === 2 ? 256 : 0)
}
