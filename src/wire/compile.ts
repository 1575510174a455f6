/**
 * The compiler: from a message's fields to one codec per version. What depends on the version (which fields there
 * are, flexible or not, nullable or not, defaults) is settled here; a codec is a tree of small closures without
 * version tests. A count is checked against the remaining bytes before its elements are read.
 */
import { defaultFactory, defaultValue, isDefaultValue } from './defaults.js'
import { type Reader, utf8Length, WireError, Writer } from './primitives.js'
import type { Field, Fields, FieldType, Message, ScalarKind } from './schema.js'
import { inRange } from './versions.js'

export interface MessageCodec {
  /** @throws WireError */
  read(reader: Reader): object
  /** @throws WireError where the value does not fit the schema */
  write(writer: Writer, value: object): void
}

interface ValueCodec {
  read(reader: Reader): unknown
  write(writer: Writer, value: unknown): void
  /** The fewest bytes that a value takes: what a declared count is checked with. */
  readonly minBytes: number
}

type Struct = Record<string, unknown>

/** Kafka's limit for every string, also where its length is a varint. */
const MAX_STRING_BYTES = 0x7fff
const NULL_NOT_ALLOWED = 'null is not allowed in this version'

export function compileCodec(message: Message<unknown, never>, version: number): MessageCodec {
  return compileStruct(message.fields, version, message.isFlexible(version)) as unknown as MessageCodec
}

function compileField(field: Field, version: number, flexible: boolean): ValueCodec {
  return compileValue(field.type, version, flexible, inRange(field.nullable, version))
}

function compileValue(type: FieldType, version: number, flexible: boolean, nullable: boolean): ValueCodec {
  switch (type.kind) {
    case 'array':
      return arrayCodec(compileValue(type.element, version, flexible, false), flexible, nullable)
    case 'struct': {
      const codec = compileStruct(type.fields, version, flexible)
      return nullable ? nullableStruct(codec) : codec
    }
    case 'string':
      return stringCodec(flexible, nullable)
    case 'bytes':
      return bytesCodec(flexible, nullable, (writer, value) => writer.bytes(value as Uint8Array))
    case 'records':
      return bytesCodec(flexible, nullable, writeRecords)
    default:
      return FIXED[type.kind]
  }
}

const FIXED: Record<Exclude<ScalarKind, 'string' | 'bytes' | 'records'>, ValueCodec> = {
  bool: { read: (r) => r.bool(), write: (w, v) => w.bool(v as boolean), minBytes: 1 },
  int8: { read: (r) => r.int8(), write: (w, v) => w.int8(v as number), minBytes: 1 },
  int16: { read: (r) => r.int16(), write: (w, v) => w.int16(v as number), minBytes: 2 },
  uint16: { read: (r) => r.uint16(), write: (w, v) => w.uint16(v as number), minBytes: 2 },
  int32: { read: (r) => r.int32(), write: (w, v) => w.int32(v as number), minBytes: 4 },
  uint32: { read: (r) => r.uint32(), write: (w, v) => w.uint32(v as number), minBytes: 4 },
  int64: { read: (r) => r.int64(), write: (w, v) => w.int64(v as number), minBytes: 8 },
  bigint64: { read: (r) => r.bigint64(), write: (w, v) => w.bigint64(v as bigint), minBytes: 8 },
  float64: { read: (r) => r.float64(), write: (w, v) => w.float64(v as number), minBytes: 8 },
  uuid: { read: (r) => r.uuid(), write: (w, v) => w.uuid(v as string), minBytes: 16 },
}

/** Lengths in front of strings, bytes and arrays: fixed-width (-1 is null), or compact (n + 1, 0 is null). */
interface LengthCodec {
  /** -1: null. */
  read(reader: Reader): number
  write(writer: Writer, length: number): void
  readonly minBytes: number
}

const COMPACT: LengthCodec = {
  read: (reader) => reader.uvarint() - 1,
  write: (writer, length) => writer.uvarint(length + 1),
  minBytes: 1,
}
const INT16_LENGTH: LengthCodec = {
  read: (reader) => reader.int16(),
  write: (writer, length) => writer.int16(length),
  minBytes: 2,
}
const INT32_LENGTH: LengthCodec = {
  read: (reader) => reader.int32(),
  write: (writer, length) => writer.int32(length),
  minBytes: 4,
}

/** False: null. */
function isPresent(length: number, nullable: boolean): boolean {
  if (length >= 0) return true
  if (length < -1) throw new WireError(`a length of ${length}`)
  if (!nullable) throw new WireError(NULL_NOT_ALLOWED)
  return false
}

function stringCodec(flexible: boolean, nullable: boolean): ValueCodec {
  const prefix = flexible ? COMPACT : INT16_LENGTH
  return {
    read: (reader) => {
      const length = prefix.read(reader)
      if (!isPresent(length, nullable)) return null
      if (length > MAX_STRING_BYTES) throw new WireError(`a string of ${length} bytes`)
      return reader.utf8(length)
    },
    write: (writer, value) => {
      if (value === null) return prefix.write(writer, -1)
      const length = utf8Length(value as string)
      if (length > MAX_STRING_BYTES) throw new WireError(`a string of ${length} bytes`)
      prefix.write(writer, length)
      writer.utf8(value as string, length)
    },
    minBytes: prefix.minBytes,
  }
}

function bytesCodec(
  flexible: boolean,
  nullable: boolean,
  writeBody: (writer: Writer, value: unknown) => void,
): ValueCodec {
  const prefix = flexible ? COMPACT : INT32_LENGTH
  return {
    read: (reader) => {
      const length = prefix.read(reader)
      return isPresent(length, nullable) ? reader.bytes(length) : null
    },
    write: (writer, value) => {
      if (value === null) return prefix.write(writer, -1)
      prefix.write(writer, totalBytes(value as Uint8Array | readonly Uint8Array[]))
      writeBody(writer, value)
    },
    minBytes: prefix.minBytes,
  }
}

function totalBytes(value: Uint8Array | readonly Uint8Array[]): number {
  if (value instanceof Uint8Array) return value.length
  let total = 0
  for (const chunk of value) total += chunk.length
  return total
}

function writeRecords(writer: Writer, value: unknown): void {
  if (value instanceof Uint8Array) writer.reference(value)
  else for (const chunk of value as readonly Uint8Array[]) writer.reference(chunk)
}

function arrayCodec(element: ValueCodec, flexible: boolean, nullable: boolean): ValueCodec {
  const prefix = flexible ? COMPACT : INT32_LENGTH
  const minElementBytes = Math.max(1, element.minBytes)
  return {
    read: (reader) => {
      const count = prefix.read(reader)
      if (!isPresent(count, nullable)) return null
      if (count * minElementBytes > reader.remaining) {
        throw new WireError(`declares ${count} elements, ${reader.remaining} bytes remain`)
      }
      const values: unknown[] = []
      try {
        for (let i = 0; i < count; i++) values.push(element.read(reader))
      } catch (error) {
        throw locate(error, `[${values.length}]`)
      }
      return values
    },
    write: (writer, value) => {
      if (value === null) return prefix.write(writer, -1)
      const values = value as readonly unknown[]
      prefix.write(writer, values.length)
      let i = 0
      try {
        for (; i < values.length; i++) element.write(writer, values[i])
      } catch (error) {
        throw locate(error, `[${i}]`)
      }
    },
    minBytes: prefix.minBytes,
  }
}

/** A nullable struct is preceded by -1 where it is null, else by 1. */
function nullableStruct(codec: ValueCodec): ValueCodec {
  return {
    read: (reader) => (reader.int8() < 0 ? null : codec.read(reader)),
    write: (writer, value) => {
      writer.int8(value === null ? -1 : 1)
      if (value !== null) codec.write(writer, value)
    },
    minBytes: 1,
  }
}

interface StructField {
  readonly name: string
  readonly type: FieldType
  readonly codec: ValueCodec
  readonly nullable: boolean
  readonly default: unknown
}

interface TaggedField extends StructField {
  readonly tag: number
  readonly field: Field
}

function compileStruct(fields: Fields, version: number, flexible: boolean): ValueCodec {
  const plain: StructField[] = []
  const tagged: TaggedField[] = []
  for (const [name, field] of Object.entries(fields)) {
    if (!inRange(field.versions, version)) continue
    const compiled: StructField = {
      name,
      type: field.type,
      codec: compileField(field, version, flexible),
      nullable: inRange(field.nullable, version),
      default: defaultValue(field),
    }
    if (field.tag === null) plain.push(compiled)
    else tagged.push({ ...compiled, tag: field.tag, field })
  }
  tagged.sort((a, b) => a.tag - b.tag)

  const readPlain = generateRead(fields, plain)
  const writePlain = generateWrite(plain)
  return {
    read: flexible
      ? (reader) => {
          const value = readPlain(reader)
          readTagged(reader, tagged, value)
          return value
        }
      : readPlain,
    write: flexible
      ? (writer, value) => {
          writePlain(writer, value as Struct)
          writeTagged(writer, tagged, value as Struct)
        }
      : (writer, value) => writePlain(writer, value as Struct),
    minBytes: plain.reduce((sum, field) => sum + field.codec.minBytes, flexible ? 1 : 0),
  }
}

/**
 * The plain fields of a struct as one function, `{ topicId: r.uuid(), partitions: c1.read(r), ... }`, written as
 * source: the engine then knows the shape of the value and what each call is, which a loop over fields hides from it
 * (a third of the cost of a small message). Names come from the schemas, never from the wire. A field that this
 * version lacks, or that is tagged, starts at its default: all values have one shape.
 */
function generateRead(fields: Fields, plain: readonly StructField[]): (reader: Reader) => Struct {
  const source = new Source()
  const members = Object.entries(fields).map(([name, field]) => {
    const at = plain.findIndex((one) => one.name === name)
    if (at >= 0) return `${name}: (at = ${at}, ${readCall(plain[at]!, source)})`
    const factory = defaultFactory(name, field)
    return factory === null
      ? `${name}: ${source.name(defaultValue(field))}`
      : `${name}: ${source.name(factory)}.make()`
  })
  return source.compile(
    'reader',
    `let at = 0
     try { return { ${members.join(', ')} } }
     catch (error) { throw locate(error, names[at]) }`,
    plain,
  )
}

function generateWrite(plain: readonly StructField[]): (writer: Writer, value: Struct) => void {
  const source = new Source()
  const steps = plain.map(
    (field, at) => `at = ${at}; given = value.${field.name}
      if (given === undefined) given = ${source.name(field.default)}
      ${field.nullable ? '' : 'if (given === null) throw nullNotAllowed()'}
      ${writeCall(field, source)}`,
  )
  return source.compile(
    'writer, value',
    `let at = 0, given
     try { ${steps.join('\n')} }
     catch (error) { throw locate(error, names[at]) }`,
    plain,
  )
}

function readCall({ type, codec }: StructField, source: Source): string {
  return type.kind in FIXED ? `reader.${type.kind}()` : `${source.name(codec)}.read(reader)`
}

function writeCall({ type, codec }: StructField, source: Source): string {
  return type.kind in FIXED ? `writer.${type.kind}(given)` : `${source.name(codec)}.write(writer, given)`
}

/** A function's source, and the objects that it names. */
class Source {
  private readonly values: unknown[] = []

  name(value: unknown): string {
    return `v${this.values.push(value) - 1}`
  }

  compile<F>(parameters: string, body: string, fields: readonly StructField[]): F {
    const make = new Function(
      'locate',
      'nullNotAllowed',
      'names',
      ...this.values.map((_, i) => `v${i}`),
      `'use strict'; return (${parameters}) => { ${body} }`,
    )
    const names = fields.map(({ name }) => name)
    return make(locate, nullNotAllowed, names, ...this.values) as F
  }
}

function nullNotAllowed(): WireError {
  return new WireError(NULL_NOT_ALLOWED)
}

function writeField(writer: Writer, field: StructField, value: Struct): void {
  const given = value[field.name]
  const written = given === undefined ? field.default : given
  if (written === null && !field.nullable) throw nullNotAllowed()
  field.codec.write(writer, written)
}

/** KIP-482: a count, then (tag, size, bytes), ascending by tag. */
function readTagged(reader: Reader, fields: readonly TaggedField[], value: Struct): void {
  const count = reader.uvarint()
  if (count === 0) return
  if (count * 2 > reader.remaining) {
    throw new WireError(`declares ${count} tagged fields, ${reader.remaining} bytes remain`)
  }
  const unknown = new Map<number, Uint8Array>()
  for (let i = 0; i < count; i++) {
    const tag = reader.uvarint()
    const size = reader.uvarint()
    const known = fields.find((field) => field.tag === tag)
    if (known === undefined) {
      unknown.set(tag, reader.bytes(size))
      continue
    }
    try {
      const outer = reader.enter(size)
      value[known.name] = known.codec.read(reader)
      reader.leave(outer)
    } catch (error) {
      throw locate(error, known.name)
    }
  }
  if (unknown.size > 0) value.unknownTaggedFields = unknown
}

/** Known fields at their defaults are left out; unknown ones are written back at their places. */
function writeTagged(writer: Writer, fields: readonly TaggedField[], value: Struct): void {
  if (fields.length === 0 && value.unknownTaggedFields === undefined) return writer.uvarint(0)
  const entries: [tag: number, chunks: Uint8Array[]][] = []
  for (const field of fields) {
    const given = value[field.name]
    if (given === undefined || isDefaultValue(field.field, given)) continue
    entries.push([field.tag, encodeTagged(field, value)])
  }
  const unknown = value.unknownTaggedFields as ReadonlyMap<number, Uint8Array> | undefined
  if (unknown !== undefined) {
    for (const [tag, bytes] of unknown) entries.push([tag, [bytes]])
    entries.sort((a, b) => a[0] - b[0])
  }
  writer.uvarint(entries.length)
  for (const [tag, chunks] of entries) {
    writer.uvarint(tag)
    writer.uvarint(totalBytes(chunks))
    for (const chunk of chunks) writer.bytes(chunk)
  }
}

function encodeTagged(field: TaggedField, value: Struct): Uint8Array[] {
  const writer = new Writer(64)
  try {
    writeField(writer, field, value)
  } catch (error) {
    throw locate(error, field.name)
  }
  return writer.finish()
}

/** Adds where in the message it happened. What is no error of the value (an assertion) passes unchanged. */
function locate(error: unknown, segment: string): unknown {
  if (error instanceof WireError) return error.within(segment)
  if (error instanceof RangeError || error instanceof TypeError) return new WireError(error.message, segment)
  return error
}
