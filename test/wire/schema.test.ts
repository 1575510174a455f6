import { describe, expect, expectTypeOf, it } from 'vitest'
import { joinChunks, WireError } from '../../src/wire/primitives.js'
import {
  array,
  bigint64,
  bytes,
  type Infer,
  type InferInput,
  int8,
  int32,
  int64,
  message,
  records,
  string,
  struct,
} from '../../src/wire/schema.js'

const Sample = message(
  { name: 'Sample', apiKey: 99, versions: '0-3', flexible: '2+' },
  {
    name: string('0+', { nullable: '1+' }),
    items: array('0+', { id: int32('0+'), tags: array('1+', string, { default: [] }) }),
    ids: array('1+', int64, { nullable: '2+', default: [] }),
    nested: struct('2+', { depth: int8('2+', { default: 7 }) }, { tag: 1 }),
    limit: bigint64('3+', { default: 5n, tag: 0 }),
    cursor: struct('3+', { at: int32('3+') }, { nullable: '3+', default: null }),
  },
)
type Sample = Infer<typeof Sample>

const hex = (version: number, value: InferInput<typeof Sample>) =>
  Buffer.from(joinChunks(Sample.encode(version, value))).toString('hex')
const decode = (version: number, text: string) => Sample.decode(Buffer.from(text, 'hex'), version)

describe('one schema, one codec a version', () => {
  it('writes fixed-width lengths before the flexible versions', () => {
    expect(hex(0, { name: 'ab', items: [{ id: 1 }] })).toBe('00026162' + '00000001' + '00000001')
    expect(hex(1, { name: null, items: [], ids: [3] })).toBe(
      'ffff' + '00000000' + '00000001' + '0000000000000003',
    )
  })

  it('writes compact lengths and tagged fields in the flexible versions', () => {
    expect(hex(2, { name: null, items: [{ id: 1, tags: ['x'] }], ids: null })).toBe(
      '00' + '02' + '00000001' + '02' + '0278' + '00' + '00' + '00',
    )
    expect(hex(3, { name: '', items: [], limit: 6n, nested: { depth: 8 }, cursor: { at: 9 } })).toBe(
      '01' + '01' + '01' + '01' + '00000009' + '00' + '02' + '0008' + '0000000000000006' + '0102' + '0800',
    )
  })

  it('leaves out tagged fields at their defaults', () => {
    const bare = hex(3, { name: '', items: [] })
    expect(hex(3, { name: '', items: [], limit: 5n, nested: { depth: 7 }, cursor: null })).toBe(bare)
    expect(bare).toBe('01' + '01' + '01' + 'ff' + '00')
  })

  it('fills in the defaults of what a version lacks, and shares none between values', () => {
    const value = decode(0, '0000' + '00000001' + '00000001')
    expect(value).toEqual({
      name: '',
      items: [{ id: 1, tags: [] }],
      ids: [],
      nested: { depth: 7 },
      limit: 5n,
      cursor: null,
    })
    value.ids!.push(1)
    value.nested.depth = 1
    value.items[0]!.tags.push('x')
    expect(decode(0, '0000' + '00000001' + '00000001')).toMatchObject({
      ids: [],
      nested: { depth: 7 },
      items: [{ id: 1, tags: [] }],
    })
  })

  it('tells null from empty', () => {
    expect(decode(2, '00' + '01' + '00' + '00')).toMatchObject({ name: null, ids: null })
    expect(decode(2, '01' + '01' + '01' + '00')).toMatchObject({ name: '', ids: [] })
  })

  it('keeps unknown tagged fields and writes them back in order', () => {
    const text = '01' + '01' + '01' + 'ff' + '03' + '0008' + '0000000000000006' + '0501ee' + '0902aabb'
    const value = decode(3, text)
    expect([...value.unknownTaggedFields!.keys()]).toEqual([5, 9])
    expect(hex(3, value)).toBe(text)
  })

  it('passes records through without a copy', () => {
    const WithRecords = message(
      { name: 'WithRecords', apiKey: 99, versions: '0', flexible: 'none' },
      { data: records('0+', { nullable: '0+' }), after: int8('0+') },
    )
    const first = Buffer.from([1, 2])
    const second = Buffer.from([3])
    const chunks = WithRecords.encode(0, { data: [first, second], after: 4 })
    expect(chunks[1]).toBe(first)
    expect(chunks[2]).toBe(second)
    const joined = joinChunks(chunks)
    const value = WithRecords.decode(joined, 0)
    expect([...value.data!]).toEqual([1, 2, 3])
    expect(value.data!.buffer).toBe(joined.buffer)
    expect(WithRecords.decode(Buffer.from('ffffffff04', 'hex'), 0).data).toBeNull()
  })
})

describe('what does not fit names its field', () => {
  it.each<[string, number, string, RegExp]>([
    ['a string past the end', 0, '0005' + '6162', /^name: needs 5 bytes, 2 remain$/],
    ['a null that is not allowed', 0, 'ffff', /^name: null is not allowed/],
    ['a negative length', 1, 'fffe', /^name: a length of -2$/],
    [
      'an array count beyond the bytes',
      0,
      '0000' + '7fffffff',
      /^items: declares 2147483647 elements, 0 bytes/,
    ],
    ['a compact count beyond the bytes', 2, '01' + 'ffffffff0f', /^items: declares 4294967294 elements/],
    [
      'a count of 4-byte elements',
      0,
      '0000' + '00000002' + '0000000000',
      /^items: declares 2 elements, 5 bytes/,
    ],
    [
      'a nested field',
      1,
      '0000' + '00000001' + '00000001' + '00000001' + '0009' + '61',
      /^items\[0\].tags\[0\]: needs 9/,
    ],
    [
      'a tagged field count beyond the bytes',
      2,
      '01' + '01' + '01' + '7f',
      /declares 127 tagged fields, 0 bytes/,
    ],
    ['an unknown tagged field beyond the bytes', 2, '01' + '01' + '01' + '01' + '097f', /needs 127 bytes/],
    [
      'a known tagged field with bytes left over',
      2,
      '01' + '01' + '01' + '01' + '0103' + '070000',
      /^nested: 1 bytes are left/,
    ],
    ['bytes after the message', 0, '0000' + '00000000' + '00', /^Sample: 1 bytes follow/],
  ])('%s', (_what, version, text, pattern) => {
    expect(() => decode(version, text)).toThrow(pattern)
    expect(() => decode(version, text)).toThrow(WireError)
  })

  it('does not write what the schema does not allow', () => {
    expect(() => hex(0, { name: null, items: [] })).toThrow(/^name: null is not allowed/)
    expect(() => hex(0, { name: '', items: [{ id: 2 ** 31 }] })).toThrow(/^items\[0\].id:/)
    expect(() => hex(1, { name: '', items: [], ids: [1, 0.5] })).toThrow(
      /^ids\[1\]: 0.5 is not a safe integer/,
    )
    expect(() => hex(0, { name: 'x'.repeat(0x8000), items: [] })).toThrow(/^name: a string of 32768 bytes/)
  })

  it('has no codec for versions that do not exist', () => {
    expect(() => Sample.codec(4)).toThrow(RangeError)
    expect(() => message({ name: 'X', apiKey: 1, versions: 'x', flexible: 'none' }, {})).toThrow(RangeError)
  })
})

it('infers the decoded type and the one to encode', () => {
  expectTypeOf<Sample['name']>().toEqualTypeOf<string | null>()
  expectTypeOf<Sample['items'][number]>().toMatchTypeOf<{ id: number; tags: string[] }>()
  expectTypeOf<Sample['limit']>().toEqualTypeOf<bigint>()
  expectTypeOf<Sample>().toMatchTypeOf<InferInput<typeof Sample>>()
  expectTypeOf<{ name: string; items: [] }>().toMatchTypeOf<InferInput<typeof Sample>>()
  expectTypeOf<{ items: [] }>().not.toMatchTypeOf<InferInput<typeof Sample>>()
  const Raw = message({ name: 'Raw', apiKey: -1, versions: '0', flexible: 'none' }, { data: bytes('0') })
  expectTypeOf<Infer<typeof Raw>['data']>().toEqualTypeOf<Uint8Array>()
})
