import { beforeAll, describe, expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import type { Compression } from '../../src/ports/compression.js'
import { crc32c } from '../../src/wire/crc32c.js'
import { ErrorCode, errorName } from '../../src/wire/errors.js'
import { isInvalid, validateProduceBatches, validateRecords } from '../../src/wire/record-validation.js'
import { type BatchOptions, BatchView, buildBatch, type NewRecord } from '../../src/wire/records.js'

const LIMITS = { maxBatchBytes: 1_000_000, apiVersion: 9 }
let compression: Compression

beforeAll(async () => {
  compression = await loadCompression()
})

const two: NewRecord[] = [
  { key: Buffer.from('k'), value: Buffer.from('a'), timestamp: 1000 },
  { key: null, value: Buffer.from('b'), timestamp: 1001 },
]

/** A good batch with one change; the CRC is made right again unless told otherwise. */
function batch(change: (bytes: Buffer) => void = () => {}, options: BatchOptions = {}): Buffer {
  const bytes = Buffer.from(buildBatch(two, options))
  change(bytes)
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}

function codeOf(bytes: Uint8Array | null, limits = LIMITS): string {
  const result = validateProduceBatches(bytes, limits)
  return isInvalid(result) ? errorName(result.errorCode) : 'NONE'
}

describe('what a leader refuses', () => {
  it('accepts a plain, an idempotent and a transactional batch', () => {
    expect(codeOf(batch())).toBe('NONE')
    expect(codeOf(batch(undefined, { producerId: 5, producerEpoch: 0, baseSequence: 0 }))).toBe('NONE')
    const transactional = { producerId: 5, producerEpoch: 0, baseSequence: 7, isTransactional: true }
    expect(codeOf(batch(undefined, transactional))).toBe('NONE')
  })

  it.each<[string, () => Uint8Array | null, string]>([
    ['no batch', () => null, 'INVALID_RECORD'],
    ['zero bytes', () => Buffer.alloc(0), 'INVALID_RECORD'],
    ['less than a header', () => batch().subarray(0, 40), 'CORRUPT_MESSAGE'],
    ['a batch that is cut off', () => batch().subarray(0, 65), 'CORRUPT_MESSAGE'],
    ['a length below the header', () => batch((b) => b.writeInt32BE(20, 8)), 'CORRUPT_MESSAGE'],
    ['two batches', () => Buffer.concat([batch(), batch()]), 'INVALID_RECORD'],
    ['magic 1', () => batch((b) => b.writeInt8(1, 16)), 'INVALID_RECORD'],
    ['magic 3', () => batch((b) => b.writeInt8(3, 16)), 'INVALID_RECORD'],
    ['a base offset', () => batch((b) => b.writeInt32BE(1, 4)), 'INVALID_RECORD'],
    ['more records than offsets', () => batch((b) => b.writeInt32BE(3, 57)), 'INVALID_RECORD'],
    ['no records', () => batch((b) => b.writeInt32BE(0, 57)), 'INVALID_RECORD'],
    ['a negative record count', () => batch((b) => b.writeInt32BE(-1, 57)), 'INVALID_RECORD'],
    ['a negative offset delta', () => batch((b) => b.writeInt32BE(-2, 23)), 'INVALID_RECORD'],
    ['a control batch', () => batch((b) => b.writeInt16BE(0x20, 21)), 'INVALID_RECORD'],
    ['an unknown codec', () => batch((b) => b.writeInt16BE(5, 21)), 'INVALID_RECORD'],
    ['LogAppendTime', () => batch((b) => b.writeInt16BE(0x08, 21)), 'INVALID_TIMESTAMP'],
    ['a timestamp beyond 2⁵³', () => batch((b) => b.writeInt32BE(0x7fffffff, 35)), 'INVALID_TIMESTAMP'],
    ['a transaction without producer', () => batch((b) => b.writeInt16BE(0x10, 21)), 'INVALID_RECORD'],
    [
      'a producer without sequence',
      () => batch(undefined, { producerId: 5, producerEpoch: 0 }),
      'INVALID_RECORD',
    ],
    [
      'a producer without epoch',
      () => batch(undefined, { producerId: 5, baseSequence: 0 }),
      'INVALID_RECORD',
    ],
    [
      'a producer id of -2',
      () => batch(undefined, { producerId: -2, producerEpoch: 0, baseSequence: 0 }),
      'INVALID_RECORD',
    ],
  ])('%s', (_name, make, expected) => {
    expect(codeOf(make())).toBe(expected)
  })

  it('a single flipped bit anywhere behind the CRC', () => {
    const good = batch()
    for (let at = 21; at < good.length; at++) {
      const bad = Buffer.from(good)
      bad[at] = bad[at]! ^ 0x10
      expect(codeOf(bad), `byte ${at}`).toBe('CORRUPT_MESSAGE')
    }
  })

  it('records that are fewer or more than the header says, or out of order', () => {
    const declaring = (count: number) =>
      batch((b) => {
        b.writeInt32BE(count, 57)
        b.writeInt32BE(count - 1, 23)
      })
    expect(codeOf(declaring(2))).toBe('NONE')
    expect(codeOf(declaring(1))).toBe('INVALID_RECORD')
    expect(codeOf(declaring(3))).toBe('INVALID_RECORD')
    expect(codeOf(declaring(0x7fffffff))).toBe('INVALID_RECORD')
    const gap = buildBatch([two[0]!, { ...two[1]!, offsetDelta: 5 }], { lastOffsetDelta: 1 })
    expect(validateProduceBatches(gap, LIMITS)).toMatchObject({
      errorCode: ErrorCode.INVALID_RECORD,
      batchIndex: 1,
    })
    // The first record's length, -1 in its place.
    expect(codeOf(batch((b) => b.writeUInt8(1, 61)))).toBe('INVALID_RECORD')
  })

  it('a batch above max.message.bytes, before it computes a CRC', () => {
    expect(codeOf(batch(), { ...LIMITS, maxBatchBytes: 70 })).toBe('MESSAGE_TOO_LARGE')
  })

  it('zstd below Produce version 7', () => {
    const zstd = batch(undefined, { compression: { codec: 4, port: compression } })
    expect(codeOf(zstd, { ...LIMITS, apiVersion: 6 })).toBe('UNSUPPORTED_COMPRESSION_TYPE')
    expect(codeOf(zstd, { ...LIMITS, apiVersion: 7 })).toBe('NONE')
  })
})

describe('walking the records', () => {
  const validate = (bytes: Uint8Array, requireKeys = false) =>
    validateRecords(new BatchView(bytes), { compression, maxBytes: 100_000, requireKeys })

  it.each([0, 1, 2, 3, 4])('accepts good records, codec %i', (codec) => {
    expect(validate(batch(undefined, { compression: { codec, port: compression } }))).toBeNull()
  })

  it('refuses a batch that holds fewer records than it declares', () => {
    const short = batch((b) => {
      b.writeInt32BE(3, 57)
      b.writeInt32BE(2, 23)
    })
    expect(validate(short)).toMatchObject({ errorCode: ErrorCode.INVALID_RECORD })
  })

  it('refuses offsets with gaps and names the record', () => {
    const gap = buildBatch([two[0]!, { ...two[1]!, offsetDelta: 2 }])
    expect(validate(gap)).toMatchObject({ errorCode: ErrorCode.INVALID_RECORD, batchIndex: 1 })
  })

  it('refuses records without key in a compacted topic', () => {
    expect(validate(batch(), true)).toMatchObject({ errorCode: ErrorCode.INVALID_RECORD, batchIndex: 1 })
  })

  it('refuses a bomb', () => {
    const zeros = [{ key: null, value: Buffer.alloc(200_000), timestamp: 1 }]
    const bomb = buildBatch(zeros, { compression: { codec: 1, port: compression } })
    expect(bomb.length).toBeLessThan(1000)
    expect(validate(bomb)).toMatchObject({ errorCode: ErrorCode.INVALID_RECORD })
  })
})
