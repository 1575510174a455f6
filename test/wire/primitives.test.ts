import { describe, expect, it } from 'vitest'
import { joinChunks, Reader, WireError, Writer } from '../../src/wire/primitives.js'

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer(4)
  write(writer)
  const bytes = Buffer.from(joinChunks(writer.finish()))
  expect(writer.byteLength).toBe(bytes.length)
  return bytes
}

describe('varints, by the examples of the protocol buffers encoding', () => {
  it.each<[number, string]>([
    [0, '00'],
    [127, '7f'],
    [128, '8001'],
    [300, 'ac02'],
    [2 ** 32 - 1, 'ffffffff0f'],
  ])('unsigned %i', (value, hex) => {
    expect(written((w) => w.uvarint(value)).toString('hex')).toBe(hex)
    expect(new Reader(Buffer.from(hex, 'hex')).uvarint()).toBe(value)
  })

  it.each<[number, string]>([
    [0, '00'],
    [-1, '01'],
    [1, '02'],
    [-2, '03'],
    [2 ** 31 - 1, 'feffffff0f'],
    [-(2 ** 31), 'ffffffff0f'],
  ])('zigzag %i', (value, hex) => {
    expect(written((w) => w.varint(value)).toString('hex')).toBe(hex)
    expect(written((w) => w.varlong(value)).toString('hex')).toBe(hex)
    expect(new Reader(Buffer.from(hex, 'hex')).varint()).toBe(value)
    expect(new Reader(Buffer.from(hex, 'hex')).varlong()).toBe(value)
  })

  it.each([
    2 ** 33,
    -(2 ** 33) - 5,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
    2 ** 30,
    -(2 ** 30),
  ])('a long of %i agrees with BigInt arithmetic', (value) => {
    let zigzag = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
    const expected: number[] = []
    for (; zigzag >= 0x80n; zigzag >>= 7n) expected.push(Number(zigzag & 0x7fn) | 0x80)
    expected.push(Number(zigzag))
    const bytes = written((w) => w.varlong(value))
    expect([...bytes]).toEqual(expected)
    expect(new Reader(bytes).varlong()).toBe(value)
  })

  it('refuses those that are too long', () => {
    expect(() => new Reader(Buffer.from('ffffffffff01', 'hex')).uvarint()).toThrow(WireError)
    expect(() => new Reader(Buffer.from('ffffffff1f', 'hex')).uvarint()).toThrow(WireError)
    expect(() => new Reader(Buffer.alloc(12, 0xff)).varlong()).toThrow(WireError)
    expect(() => new Reader(Buffer.from('ffffffffffffffffff01', 'hex')).varlong()).toThrow(/safe integers/)
  })
})

describe('int64', () => {
  it.each([
    0,
    -1,
    2 ** 32,
    -(2 ** 32) - 1,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ])('%i', (value) => {
    const bytes = written((w) => w.int64(value))
    expect(bytes.readBigInt64BE()).toBe(BigInt(value))
    expect(new Reader(bytes).int64()).toBe(value)
  })

  it.each([
    2n ** 53n,
    -(2n ** 53n),
    2n ** 63n - 1n,
    -(2n ** 63n),
  ])('refuses %i, which is not safe', (value) => {
    const bytes = written((w) => w.bigint64(value))
    expect(() => new Reader(bytes).int64()).toThrow(/outside the safe integers/)
    expect(new Reader(bytes).bigint64()).toBe(value)
  })

  it('does not write what is not a safe integer', () => {
    expect(() => written((w) => w.int64(2 ** 53))).toThrow(RangeError)
    expect(() => written((w) => w.int64(0.5))).toThrow(RangeError)
    expect(() => written((w) => w.int32(2 ** 31))).toThrow(RangeError)
  })
})

describe('the writer', () => {
  it('references records and copies small bytes', () => {
    const chunk = Buffer.alloc(10, 1)
    const writer = new Writer()
    writer.int8(1)
    writer.reference(chunk)
    writer.bytes(Buffer.from([2, 2]))
    writer.bytes(Buffer.alloc(5000, 3))
    const chunks = writer.finish()
    expect(chunks.map((c) => c.length)).toEqual([1, 10, 2, 5000])
    expect(chunks[1]).toBe(chunk)
  })

  it('never hands out bytes that it did not write', () => {
    const bytes = written((w) => {
      for (let i = 0; i < 1000; i++) w.utf8('äöü', 6)
    })
    expect(bytes.toString()).toBe('äöü'.repeat(1000))
  })
})

it("a uuid is Kafka's textual form, and nothing else", () => {
  const uuid = 'ESIzRFVmd4gAAAAAAAAAKg'
  const bytes = written((w) => w.uuid(uuid))
  expect(bytes.toString('hex')).toBe('1122334455667788000000000000002a')
  expect(new Reader(bytes).uuid()).toBe(uuid)
  expect(() => written((w) => w.uuid('short'))).toThrow(RangeError)
  expect(() => written((w) => w.uuid('!!!!!!!!!!!!!!!!!!!!!!'))).toThrow(RangeError)
})

it('reads nothing past its end', () => {
  const reader = new Reader(Buffer.from([1, 2, 3, 4]), 1, 3)
  expect(reader.int16()).toBe(0x0203)
  expect(() => reader.int8()).toThrow(/needs 1 bytes, 0 remain/)
  expect(() => new Reader(Buffer.alloc(3)).bytes(2 ** 31)).toThrow(WireError)
  expect(() => new Reader(Buffer.alloc(3)).enter(4)).toThrow(WireError)
})
