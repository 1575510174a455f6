/**
 * The LZ4 frame format, read with a cap:
 *
 *   uint32LE magic · FLG · BD · [uint64LE content size] · [uint32LE dictionary id] · header checksum byte
 *   (uint32LE size, top bit: stored · block · [uint32LE block checksum])* · uint32LE 0 · [uint32LE content checksum]
 *
 * Checksums are not verified: the batch's CRC-32C covers the same bytes.
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
/** Loaded when the first frame needs it; see compression.ts. */
const lz4 = (): typeof import('lz4-napi') => require('lz4-napi')

const MAGIC = 0x184d2204
const STORED_BIT = 0x8000_0000
/** As the library words it. */
const OUTPUT_TOO_SMALL = /output is too small/
/** What a block may refer back to in the blocks before it, where they are linked. */
const WINDOW_BYTES = 64 * 1024

interface FrameHeader {
  readonly maxBlockBytes: number
  readonly isLinked: boolean
  readonly hasBlockChecksums: boolean
  /** Where the first block begins. */
  readonly bodyAt: number
}

/** @throws RangeError where the output would pass `maxBytes`, Error where the frame is damaged */
export function decompressLz4Frame(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const header = readHeader(frame, maxBytes)
  const blocks: Uint8Array[] = []
  let total = 0
  let window: Buffer = Buffer.alloc(0)
  let at = header.bodyAt
  for (;;) {
    if (frame.length - at < 4) throw new Error('the lz4 frame is cut off')
    const word = frame.readUInt32LE(at)
    at += 4
    if (word === 0) break
    const size = word % STORED_BIT
    if (size > header.maxBlockBytes || size > frame.length - at) throw new Error('an lz4 block is cut off')
    const stored = frame.subarray(at, at + size)
    const limit = Math.min(header.maxBlockBytes, maxBytes - total)
    const block = word >= STORED_BIT ? stored : decompressBlock(stored, limit, header, window)
    total += block.length
    if (total > maxBytes) throw new RangeError(`the decompressed records would pass ${maxBytes} bytes`)
    blocks.push(block)
    if (header.isLinked) window = Buffer.concat([window, block]).subarray(-WINDOW_BYTES)
    at += size + (header.hasBlockChecksums ? 4 : 0)
  }
  return Buffer.concat(blocks, total)
}

function readHeader(frame: Buffer, maxBytes: number): FrameHeader {
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw new Error('not an lz4 frame')
  const flags = frame[4]!
  if (flags >> 6 !== 1) throw new Error(`lz4 frame version ${flags >> 6} is not known`)
  const blockSizeId = (frame[5]! >> 4) & 0x07
  if (blockSizeId < 4) throw new Error(`lz4 block size ${blockSizeId} is not known`)
  const hasContentSize = (flags & 0x08) !== 0
  if ((flags & 0x01) !== 0) throw new Error('lz4 frames with a dictionary are not supported')
  const bodyAt = 4 + 2 + (hasContentSize ? 8 : 0) + 1
  if (frame.length < bodyAt) throw new Error('the lz4 frame header is cut off')
  if (hasContentSize && frame.readBigUInt64LE(6) > BigInt(maxBytes)) {
    throw new RangeError(`the decompressed records would pass ${maxBytes} bytes`)
  }
  return {
    maxBlockBytes: 2 ** (8 + 2 * blockSizeId),
    isLinked: (flags & 0x20) === 0,
    hasBlockChecksums: (flags & 0x10) !== 0,
    bodyAt,
  }
}

/** The library wants the output's size in front of the block; it is an upper bound. */
function decompressBlock(block: Buffer, limit: number, header: FrameHeader, window: Buffer): Uint8Array {
  const sized = Buffer.allocUnsafe(4 + block.length)
  sized.writeUInt32LE(limit, 0)
  block.copy(sized, 4)
  try {
    return header.isLinked && window.length > 0
      ? lz4().uncompressSync(sized, window)
      : lz4().uncompressSync(sized)
  } catch (error) {
    const isCapped =
      limit < header.maxBlockBytes && error instanceof Error && OUTPUT_TOO_SMALL.test(error.message)
    if (isCapped)
      throw new RangeError(`the decompressed records would pass the cap: ${limit} bytes are left of it`)
    throw error
  }
}
