import protobuf from 'protobufjs'

/** How one field of a message is written and read. */
export interface FieldCodec {
  readonly name: string
  readonly optional: boolean
  /** The value of a field that is not on the wire; without one the field stays undefined. */
  readonly initial?: () => unknown
  /** Writes tag and value; nothing where proto3 leaves a default out. @throws TypeError naming the field */
  write(writer: protobuf.Writer, value: unknown): void
  /** Reads the value after its tag. `present` is what the field holds so far. */
  read(reader: protobuf.Reader, wireType: number, present: unknown): unknown
  /** The bare value, for lists. */
  readonly element: ElementCodec
}

interface ElementCodec {
  readonly wireType: number
  /** Whether a list of them is written packed (numbers, bools, enums). */
  readonly packable: boolean
  write(writer: protobuf.Writer, value: unknown): void
  read(reader: protobuf.Reader): unknown
}

export interface FieldBase {
  readonly name: string
  readonly id: number
  /** 'Message.field', for errors. */
  readonly where: string
  readonly optional: boolean
}

/** What a field needs of the message that it holds. */
interface NestedShape {
  encode(writer: protobuf.Writer, value: Record<string, unknown>): void
  decode(reader: protobuf.Reader, end: number, target: Record<string, unknown>): void
}

const VARINT = 0
const FIXED64 = 1
const DELIMITED = 2

export function scalarCodec(base: FieldBase, type: string): FieldCodec {
  const make = scalars[type]
  if (!make) throw new Error(`${base.where}: the type ${type} is not supported`)
  const scalar = make(base.where)
  return singleCodec(base, scalar, scalar.zero, () => scalar.zero)
}

/** Enum values as strings: SOME_ENUM_TWO_WORDS of enum SomeEnum is 'twoWords'; 0 is the unspecified one and no value. */
export function enumCodec(base: FieldBase, type: protobuf.Enum): FieldCodec {
  const prefix = `${type.name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()}_`
  const names = new Map<number, string>()
  const numbers = new Map<string, number>()
  for (const [protoName, number] of Object.entries(type.values)) {
    if (number === 0) continue
    const name = protobuf.util.camelCase(protoName.replace(prefix, '').toLowerCase())
    names.set(number, name)
    numbers.set(name, number)
  }
  const element: ElementCodec = {
    wireType: VARINT,
    packable: true,
    write(writer, value) {
      const number = numbers.get(value as string)
      if (number === undefined) throw wrongType(base.where, `one of ${[...numbers.keys()].join(', ')}`, value)
      writer.int32(number)
    },
    read(reader) {
      const number = reader.int32()
      const name = names.get(number)
      if (name === undefined) throw new Error(`${base.where}: unknown value ${number}`)
      return name
    },
  }
  return singleCodec(base, element)
}

export function messageFieldCodec(base: FieldBase, shape: NestedShape): FieldCodec {
  return singleCodec(base, {
    wireType: DELIMITED,
    packable: false,
    write(writer, value) {
      if (typeof value !== 'object' || value === null) throw wrongType(base.where, 'an object', value)
      writer.fork()
      shape.encode(writer, value as Record<string, unknown>)
      writer.ldelim()
    },
    read(reader) {
      const end = reader.uint32() + reader.pos
      if (end > reader.len) throw new Error(`${base.where} runs past the end`)
      const value: Record<string, unknown> = {}
      shape.decode(reader, end, value)
      return value
    },
  })
}

export function repeatedCodec(base: FieldBase, single: FieldCodec): FieldCodec {
  const { element } = single
  const packedTag = (base.id << 3) | DELIMITED
  const elementTag = (base.id << 3) | element.wireType
  return {
    name: base.name,
    optional: false,
    initial: () => [],
    element,
    write(writer, value) {
      if (!Array.isArray(value)) throw wrongType(base.where, 'an array', value)
      if (value.length === 0) return
      if (!element.packable) {
        for (const item of value) element.write(writer.uint32(elementTag), item)
        return
      }
      writer.uint32(packedTag).fork()
      for (const item of value) element.write(writer, item)
      writer.ldelim()
    },
    read(reader, wireType, present) {
      const list = present as unknown[]
      if (wireType === element.wireType) {
        list.push(element.read(reader))
        return list
      }
      if (!element.packable || wireType !== DELIMITED) throw wrongWireType(base.where, wireType)
      const end = reader.uint32() + reader.pos
      if (end > reader.len) throw new Error(`${base.where} runs past the end`)
      while (reader.pos < end) list.push(element.read(reader))
      if (reader.pos !== end) throw new Error(`${base.where} runs past its end`)
      return list
    },
  }
}

/** Without `initial` the field stays undefined where it is absent, which is an error unless it is optional. */
function singleCodec(
  base: FieldBase,
  element: ElementCodec,
  omitted?: unknown,
  initial?: () => unknown,
): FieldCodec {
  const tag = (base.id << 3) | element.wireType
  return {
    name: base.name,
    optional: base.optional,
    initial: base.optional ? undefined : initial,
    element,
    write(writer, value) {
      if (!base.optional && omitted !== undefined && value === omitted) return
      element.write(writer.uint32(tag), value)
    },
    read(reader, wireType) {
      if (wireType !== element.wireType) throw wrongWireType(base.where, wireType)
      return element.read(reader)
    },
  }
}

type ScalarCodec = ElementCodec & { readonly zero: unknown }

const scalars: Record<string, (where: string) => ScalarCodec> = {
  int32: (where) => integer(where, 'int32', -(2 ** 31), 2 ** 31 - 1),
  uint32: (where) => integer(where, 'uint32', 0, 2 ** 32 - 1),
  int64: (where) => integer(where, 'int64', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  uint64: (where) => integer(where, 'uint64', 0, Number.MAX_SAFE_INTEGER),
  double: (where) => ({
    wireType: FIXED64,
    packable: true,
    zero: 0,
    write(writer, value) {
      if (typeof value !== 'number') throw wrongType(where, 'a number', value)
      writer.double(value)
    },
    read: (reader) => reader.double(),
  }),
  bool: (where) => ({
    wireType: VARINT,
    packable: true,
    zero: false,
    write(writer, value) {
      if (typeof value !== 'boolean') throw wrongType(where, 'a boolean', value)
      writer.bool(value)
    },
    read: (reader) => reader.bool(),
  }),
  string: (where) => ({
    wireType: DELIMITED,
    packable: false,
    zero: '',
    write(writer, value) {
      if (typeof value !== 'string') throw wrongType(where, 'a string', value)
      writer.string(value)
    },
    read: (reader) => reader.string(),
  }),
  bytes: (where) => ({
    wireType: DELIMITED,
    packable: false,
    // Never equal to a value, so that empty bytes are written; harmless, and spares a test of the length.
    zero: EMPTY_BYTES,
    write(writer, value) {
      if (!(value instanceof Uint8Array)) throw wrongType(where, 'a Uint8Array', value)
      writer.bytes(value)
    },
    read(reader) {
      // A view: whoever keeps the value keeps the message that it came with.
      const bytes = reader.bytes()
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    },
  }),
}

const EMPTY_BYTES = new Uint8Array(0)

function integer(
  where: string,
  type: 'int32' | 'uint32' | 'int64' | 'uint64',
  min: number,
  max: number,
): ScalarCodec {
  const read = readers[type]
  return {
    wireType: VARINT,
    packable: true,
    zero: 0,
    write(writer, value) {
      if (!Number.isInteger(value) || (value as number) < min || (value as number) > max) {
        throw wrongType(where, `an integer in [${min}, ${max}]`, value)
      }
      writer[type](value as number)
    },
    read(reader) {
      const value = read(reader)
      if (value < min || value > max) throw new Error(`${where}: ${value} is not a safe integer`)
      return value
    },
  }
}

const readers = {
  int32: (reader: protobuf.Reader) => reader.int32(),
  uint32: (reader: protobuf.Reader) => reader.uint32(),
  int64: (reader: protobuf.Reader) => toNumber(reader.int64()),
  uint64: (reader: protobuf.Reader) => toNumber(reader.uint64()),
}

/** protobufjs hands out Long objects, or numbers where the `long` package is not installed. */
function toNumber(value: number | { low: number; high: number; unsigned: boolean }): number {
  if (typeof value === 'number') return value
  return (value.unsigned ? value.high >>> 0 : value.high) * 2 ** 32 + (value.low >>> 0)
}

function wrongType(where: string, wanted: string, value: unknown): TypeError {
  return new TypeError(`${where}: wanted ${wanted}, got ${describe(value)}`)
}

function wrongWireType(where: string, wireType: number): Error {
  return new Error(`${where} has the wrong wire type ${wireType}`)
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40))
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
