import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { compressFrameSync } from 'lz4-napi'
import { compressSync as snappyRaw } from 'snappy'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import type { Compression } from '../../src/ports/compression.js'

const CODECS = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 }
const MIB = 1024 * 1024
let compression: Compression

beforeAll(async () => {
  compression = await loadCompression()
})

const inputs: [string, Buffer][] = [
  ['nothing', Buffer.alloc(0)],
  ['one byte', Buffer.from([7])],
  ['text', Buffer.from('the quick brown fox '.repeat(5000))],
  ['noise', randomBytes(300_000)],
  ['more than one lz4 block and many snappy blocks', Buffer.alloc(9 * MIB, 'abcdefg')],
]

describe.each(Object.entries(CODECS))('%s', (_name, codec) => {
  it.each(inputs)('round-trips %s', (_what, input) => {
    const packed = compression.compress(codec, input)
    expect(Buffer.from(compression.decompress(codec, packed, Math.max(1, input.length))).equals(input)).toBe(
      true,
    )
  })

  it('refuses an output that passes the cap by one byte', () => {
    const packed = compression.compress(codec, Buffer.alloc(10_000, 'x'))
    expect(() => compression.decompress(codec, packed, 9_999)).toThrow(RangeError)
    expect(compression.decompress(codec, packed, 10_000)).toHaveLength(10_000)
  })

  it('stops a bomb without holding what it claims', () => {
    const bomb = compression.compress(codec, Buffer.alloc(128 * MIB))
    const before = process.memoryUsage.rss()
    expect(() => compression.decompress(codec, bomb, MIB)).toThrow(RangeError)
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * MIB)
  })

  it('refuses damage with an error, whatever the byte', () => {
    const packed = Buffer.from(compression.compress(codec, Buffer.from('damage me '.repeat(50))))
    for (let at = 0; at < packed.length; at++) {
      const bad = Buffer.from(packed)
      bad[at] = bad[at]! ^ 0xff
      try {
        expect(compression.decompress(codec, bad, 10_000).length).toBeLessThanOrEqual(10_000)
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
    }
    for (let length = 0; length < packed.length; length++) {
      try {
        const cut = compression.decompress(codec, packed.subarray(0, length), 10_000)
        expect(cut.length).toBeLessThanOrEqual(500)
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
    }
  })
})

it('reads snappy without framing, as librdkafka writes it', () => {
  const input = Buffer.from('raw snappy '.repeat(100))
  expect(Buffer.from(compression.decompress(CODECS.snappy, snappyRaw(input), 2000)).equals(input)).toBe(true)
  expect(() => compression.decompress(CODECS.snappy, snappyRaw(input), 1099)).toThrow(RangeError)
})

it('reads lz4 frames with block and content checksums', () => {
  const input = Buffer.alloc(700_000, 'checked')
  const frame = compressFrameSync(input, { blockChecksums: true, contentChecksum: true })
  expect(Buffer.from(compression.decompress(CODECS.lz4, frame, MIB)).equals(input)).toBe(true)
})

it('reads lz4 frames with linked blocks and with stored ones', () => {
  // Written by hand: one stored block "abcdefgh", then one that repeats it from the block before (offset 8).
  const header = [0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0xc0]
  const stored = [8, 0, 0, 0x80, ...Buffer.from('abcdefgh')]
  const linked = [9, 0, 0, 0, 0x04, 8, 0, 0x50, ...Buffer.from('ABCDE')]
  const frame = Buffer.from([...header, ...stored, ...linked, 0, 0, 0, 0])
  expect(Buffer.from(compression.decompress(CODECS.lz4, frame, 100)).toString()).toBe('abcdefghabcdefghABCDE')
})

it('refuses a zstd frame that declares more than the cap before it decodes anything', () => {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0])
  expect(() => compression.decompress(CODECS.zstd, header, MIB)).toThrow(RangeError)
})

it('grows the output of a zstd frame that declares no size, up to the cap and no further', () => {
  // Sixteen blocks of one repeated byte, 128 KiB each, in a window of 1 MiB (RFC 8878, 3.1.1.2).
  const blocks = Array.from({ length: 16 }, (_, i) => {
    const header = (131_072 << 3) | (1 << 1) | (i === 15 ? 1 : 0)
    return [header & 0xff, (header >> 8) & 0xff, header >> 16, 0x61]
  })
  const frame = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50, ...blocks.flat()])
  expect(
    Buffer.from(compression.decompress(CODECS.zstd, frame, 2 * MIB)).equals(Buffer.alloc(2 * MIB, 'a')),
  ).toBe(true)
  expect(() => compression.decompress(CODECS.zstd, frame, 2 * MIB - 1)).toThrow(RangeError)
})

it('refuses codecs that do not exist', () => {
  expect(() => compression.decompress(5, gzipSync('x'), 10)).toThrow(/unknown compression codec 5/)
  expect(() => compression.compress(0, Buffer.from('x'))).toThrow(/unknown compression codec 0/)
})
