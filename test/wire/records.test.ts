import { beforeAll, describe, expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import type { Compression } from '../../src/ports/compression.js'
import { WireError } from '../../src/wire/primitives.js'
import {
  BATCH_HEADER_BYTES,
  BatchView,
  buildBatch,
  CompressionCodec,
  incrementSequence,
  iterateBatches,
  type NewRecord,
  readRecords,
  verifyCrc,
  walkRecords,
} from '../../src/wire/records.js'
import { fromHex, type Json, loadGolden } from './golden.js'

interface GoldenBatch {
  name: string
  hex: string
  json: { [key: string]: Json }
}

const MAX_BYTES = 1024 * 1024
const goldens = loadGolden<GoldenBatch>('record-batches.json')
let compression: Compression

beforeAll(async () => {
  compression = await loadCompression()
})

function golden(name: string): Buffer {
  return fromHex(goldens.find((batch) => batch.name === name)!.hex)
}

function record(value: string | null, timestamp = 1000): NewRecord {
  return { key: null, value: value === null ? null : Buffer.from(value), timestamp }
}

describe.each(goldens)('the batch $name of Kafka itself', ({ name, hex, json }) => {
  it('shows the same header and records', () => {
    const [view, ...rest] = [...iterateBatches(fromHex(hex))]
    expect(rest).toEqual([])
    expect(verifyCrc(view!)).toBe(true)
    for (const [field, value] of Object.entries(json)) {
      if (field !== 'records') expect(view![field as keyof BatchView], field).toBe(value)
    }
    const records = [...readRecords(view!, compression, MAX_BYTES)].map((r) => ({
      ...r,
      key: r.key === null ? null : Buffer.from(r.key).toString('hex'),
      value: r.value === null ? null : Buffer.from(r.value).toString('hex'),
      headers: r.headers.map((h) => ({ ...h, value: h.value && Buffer.from(h.value).toString('hex') })),
    }))
    expect(records).toEqual(json.records)
  })

  it('is walked through without its contents', () => {
    const view = new BatchView(fromHex(hex))
    const walked: unknown[] = []
    const isOver = walkRecords(view, compression, MAX_BYTES, (offset, timestamp, hasKey) => {
      walked.push({ offset, timestamp, hasKey })
      return true
    })
    const read = [...readRecords(view, compression, MAX_BYTES)]
    expect(walked).toEqual(
      read.map(({ offset, timestamp, key }) => ({ offset, timestamp, hasKey: key !== null })),
    )
    expect(isOver).toBe(true)
    expect(walkRecords(view, compression, MAX_BYTES, () => false)).toBe(false)
  })

  it('is built byte for byte from its records, where it is not compressed', () => {
    const view = new BatchView(fromHex(hex))
    const records = [...readRecords(view, compression, MAX_BYTES)]
    // A LogAppendTime batch does not show the records' own timestamps any more.
    if (view.compressionCodec !== CompressionCodec.none || name === 'log-append-time') return
    const first = view.baseOffset
    const built = buildBatch(
      records.map((r) => ({ ...r, offsetDelta: r.offset - first })),
      { ...options(view), baseOffset: first, partitionLeaderEpoch: view.partitionLeaderEpoch },
    )
    expect(Buffer.from(built).toString('hex')).toBe(hex)
  })
})

function options(view: BatchView) {
  const { producerId, producerEpoch, baseSequence, isTransactional, isControl } = view
  return { producerId, producerEpoch, baseSequence, isTransactional, isControl }
}

describe('building and reading batches', () => {
  it.each(Object.values(CompressionCodec))('round-trips with codec %i', (codec) => {
    const records = Array.from({ length: 50 }, (_, i) => record(`value ${i} `.repeat(30), 1000 + i))
    const batch = buildBatch(records, { compression: { codec, port: compression } })
    const view = new BatchView(batch)
    expect(view.compressionCodec).toBe(codec)
    expect(verifyCrc(view)).toBe(true)
    const read = [...readRecords(view, compression, MAX_BYTES)]
    expect(read.map((r) => [r.offset, r.timestamp, Buffer.from(r.value!).toString()])).toEqual(
      records.map((r, i) => [i, r.timestamp, Buffer.from(r.value!).toString()]),
    )
  })

  it('keeps the gaps that compaction leaves', () => {
    const batch = buildBatch([{ ...record('a'), offsetDelta: 2 }], { baseOffset: 100, lastOffsetDelta: 9 })
    const view = new BatchView(batch)
    expect(view.lastOffset).toBe(109)
    expect(view.nextOffset).toBe(110)
    expect([...readRecords(view, compression, MAX_BYTES)][0]!.offset).toBe(102)
  })

  it('rewrites base offset and leader epoch without touching the CRC', () => {
    const view = new BatchView(golden('none-3'))
    const before = view.crc
    view.baseOffset = 2 ** 40 + 3
    view.partitionLeaderEpoch = 12
    expect([view.baseOffset, view.lastOffset, view.partitionLeaderEpoch]).toEqual([
      2 ** 40 + 3,
      2 ** 40 + 5,
      12,
    ])
    expect(view.crc).toBe(before)
    expect(verifyCrc(view)).toBe(true)
  })

  it('stamps LogAppendTime and recomputes the CRC', () => {
    const view = new BatchView(golden('none-3'))
    const before = view.crc
    view.setLogAppendTime(1234)
    expect(view.timestampType).toBe('LogAppendTime')
    expect(view.crc).not.toBe(before)
    expect(verifyCrc(view)).toBe(true)
    expect([...readRecords(view, compression, MAX_BYTES)].map((r) => r.timestamp)).toEqual([1234, 1234, 1234])
  })

  it('stops at a batch that is cut off, and at a length that cannot be', () => {
    const whole = golden('none-3')
    const two = Buffer.concat([whole, golden('none-1')])
    expect([...iterateBatches(two)]).toHaveLength(2)
    expect([...iterateBatches(two.subarray(0, two.length - 1))]).toHaveLength(1)
    expect([...iterateBatches(two.subarray(0, whole.length + 20))]).toHaveLength(1)
    const negative = Buffer.from(whole)
    negative.writeInt32BE(-1, 8)
    expect([...iterateBatches(negative)]).toHaveLength(0)
    expect([...iterateBatches(Buffer.alloc(BATCH_HEADER_BYTES))]).toHaveLength(0)
  })

  it('wraps sequences at 2³¹', () => {
    expect(incrementSequence(2 ** 31 - 1, 1)).toBe(0)
    expect(incrementSequence(2 ** 31 - 2, 1)).toBe(2 ** 31 - 1)
    expect(new BatchView(golden('idempotent')).lastSequence).toBe(0)
  })
})

describe.each([
  ['read', (view: BatchView) => () => [...readRecords(view, compression, MAX_BYTES)]],
  ['walked', (view: BatchView) => () => walkRecords(view, compression, MAX_BYTES, () => true)],
])('damaged records, %s', (_, read) => {
  /** Changes bytes of the records of an uncompressed batch. */
  function damaged(change: (records: Buffer) => void): BatchView {
    const bytes = Buffer.from(buildBatch([record('hello'), record('world')]))
    change(bytes.subarray(BATCH_HEADER_BYTES))
    return new BatchView(bytes)
  }

  it('refuses a record that reaches past the batch', () => {
    expect(read(damaged((records) => records.writeUInt8(0x7e, 0)))).toThrow(WireError)
  })

  it('refuses a value that reaches past its record', () => {
    expect(read(damaged((records) => records.writeUInt8(0x20, 5)))).toThrow(WireError)
  })

  it('refuses a header count beyond the bytes', () => {
    expect(read(damaged((records) => records.writeUInt8(0x7e, 11)))).toThrow(/declares 63 headers/)
  })

  it('refuses a record count beyond the bytes before it reads any', () => {
    const bytes = Buffer.from(golden('none-3'))
    bytes.writeInt32BE(0x7fffffff, 57)
    expect(read(new BatchView(bytes))).toThrow(/declares 2147483647 records/)
  })

  it('refuses a record count below what there is', () => {
    const bytes = Buffer.from(golden('none-3'))
    bytes.writeInt32BE(2, 57)
    expect(read(new BatchView(bytes))).toThrow(/follow the last record/)
  })

  it('refuses what decompresses to more than allowed, and what does not decompress', () => {
    expect(() => [...readRecords(new BatchView(golden('gzip-200')), compression, 1000)]).toThrow(WireError)
    const bytes = Buffer.from(golden('zstd-3'))
    bytes.fill(0xff, BATCH_HEADER_BYTES + 4)
    expect(read(new BatchView(bytes))).toThrow(/cannot be decompressed/)
  })
})
