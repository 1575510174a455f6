import { fileURLToPath } from 'node:url'
import protobuf from 'protobufjs'
import { assert } from '../lib/assert.js'
import type { RecordCodec } from '../ports/record-codec.js'
import {
  enumCodec,
  type FieldCodec,
  messageFieldCodec,
  repeatedCodec,
  scalarCodec,
} from './protobuf-fields.js'

/** Beside `dist` and `src` alike. */
const PROTO_DIRECTORY = fileURLToPath(new URL('../../proto/', import.meta.url))
const PROTO_FILES = [
  'metadata.proto',
  'controller.proto',
  'raft.proto',
  'peer.proto',
  'inspect.proto',
  'health.proto',
  'reflection.proto',
]

type Plain = Record<string, unknown>

let loadedRoot: protobuf.Root | undefined

/** Everything in `proto/`, loaded once. Names are camelCase, as in our types. */
export function protoRoot(): protobuf.Root {
  if (loadedRoot) return loadedRoot
  const root = new protobuf.Root()
  root.resolvePath = (_origin, target) => PROTO_DIRECTORY + target
  root.loadSync(PROTO_FILES).resolveAll()
  loadedRoot = root
  return root
}

/**
 * A codec between our plain types and the message of that full name in `proto/`.
 *
 * A message with a `oneof type` is one of our discriminated unions: `type` is the name of the field that is set, and
 * the fields of its message stand beside it. An `optional` field that is absent is undefined; every other one must
 * be there. 64-bit integers are checked safe integers, enums strings in camelCase (`FOO_BAR_BAZ` of enum FooBar:
 * 'baz'). Fields that a newer node added are ignored, a union's type that it added is an error.
 *
 * @throws Error where there is no such message. `encode` throws TypeError naming the field, `decode` Error.
 */
export function messageCodec<T extends object>(fullName: string): RecordCodec<T> {
  const shape = shapeOf(protoRoot().lookupType(fullName))
  return {
    encode(value) {
      const writer = protobuf.Writer.create()
      shape.encode(writer, value as Plain)
      return writer.finish()
    },
    decode(bytes) {
      const value: Plain = {}
      shape.decode(protobuf.Reader.create(bytes), bytes.length, value)
      return value as T
    },
  }
}

const shapes = new Map<protobuf.Type, MessageShape>()

function shapeOf(type: protobuf.Type): MessageShape {
  let shape = shapes.get(type)
  if (!shape) {
    shape = new MessageShape(type)
    shapes.set(type, shape)
    shape.compile()
  }
  return shape
}

/** One message type's fields, compiled. */
export class MessageShape {
  private readonly name: string
  private readonly fields: FieldCodec[] = []
  private readonly fieldsById = new Map<number, FieldCodec>()
  /** Of a union: its members by our name and by the field's number. */
  private readonly members = new Map<string, Member>()
  private readonly membersById = new Map<number, Member>()
  private isUnion = false

  constructor(private readonly type: protobuf.Type) {
    this.name = type.name
  }

  /** Apart from the constructor, since messages may hold each other. */
  compile(): void {
    const union = this.type.oneofs?.type
    this.isUnion = union !== undefined
    for (const field of this.type.fieldsArray) {
      field.resolve()
      if (union && field.partOf === union) this.addMember(field)
      else this.addField(field)
    }
  }

  private addMember(field: protobuf.Field): void {
    assert(field.resolvedType instanceof protobuf.Type, `${this.name}.${field.name} must be a message`)
    const member: Member = { type: field.name, tag: (field.id << 3) | 2, shape: shapeOf(field.resolvedType) }
    this.members.set(member.type, member)
    this.membersById.set(field.id, member)
  }

  private addField(field: protobuf.Field): void {
    const codec = compileField(field)
    this.fields.push(codec)
    this.fieldsById.set(field.id, codec)
  }

  encode(writer: protobuf.Writer, value: Plain): void {
    for (const field of this.fields) {
      const fieldValue = value[field.name]
      if (fieldValue !== undefined) field.write(writer, fieldValue)
      else if (!field.optional) throw new TypeError(`${this.name}.${field.name} is missing`)
    }
    if (!this.isUnion) return
    const member = this.members.get(value.type as string)
    if (!member) throw new TypeError(`${this.name} has no type ${JSON.stringify(value.type)}`)
    writer.uint32(member.tag).fork()
    member.shape.encode(writer, value)
    writer.ldelim()
  }

  /** Reads up to the position `end` into `target`. */
  decode(reader: protobuf.Reader, end: number, target: Plain): void {
    for (const field of this.fields) if (field.initial) target[field.name] = field.initial()
    while (reader.pos < end) {
      const tag = reader.uint32()
      const field = this.fieldsById.get(tag >>> 3)
      if (field) target[field.name] = field.read(reader, tag & 7, target[field.name])
      else if (!this.decodeMember(reader, tag, target)) reader.skipType(tag & 7)
    }
    if (reader.pos !== end) throw new Error(`${this.name} runs past its end`)
    for (const field of this.fields) {
      if (!field.optional && target[field.name] === undefined) {
        throw new Error(`${this.name} lacks ${field.name}`)
      }
    }
    if (this.isUnion && target.type === undefined) {
      throw new Error(`${this.name} has no type that this version knows`)
    }
  }

  private decodeMember(reader: protobuf.Reader, tag: number, target: Plain): boolean {
    const member = this.membersById.get(tag >>> 3)
    if (!member) return false
    if (tag !== member.tag) throw new Error(`${this.name}.${member.type} has the wrong wire type`)
    if (target.type !== undefined)
      throw new Error(`${this.name} has two types: ${target.type}, ${member.type}`)
    const length = reader.uint32()
    if (reader.pos + length > reader.len) throw new Error(`${this.name}.${member.type} runs past the end`)
    target.type = member.type
    member.shape.decode(reader, reader.pos + length, target)
    return true
  }
}

interface Member {
  readonly type: string
  readonly tag: number
  readonly shape: MessageShape
}

function compileField(field: protobuf.Field): FieldCodec {
  // A synthetic oneof is how protobuf marks `optional`.
  const optional = field.partOf !== null || field.options?.proto3_optional === true
  const where = `${field.parent?.name}.${field.name}`
  const base = { name: field.name, id: field.id, where, optional }
  const resolved = field.resolvedType
  const single =
    resolved instanceof protobuf.Type
      ? messageFieldCodec(base, shapeOf(resolved))
      : resolved instanceof protobuf.Enum
        ? enumCodec(base, resolved)
        : scalarCodec(base, field.type)
  return field.repeated ? repeatedCodec(base, single) : single
}
