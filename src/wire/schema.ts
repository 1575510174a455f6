/**
 * The Kafka protocol as data. A message is declared once, for all of its versions:
 *
 *   export const FooRequest = message({ name: 'FooRequest', apiKey: 99, versions: '0-3', flexible: '2+' }, {
 *     topics: array('0+', { name: string('0+'), partitions: array('0+', int32) }, { nullable: '1+' }),
 *     rackId: string('3+', { default: '' }),
 *     clusterId: string('2+', { nullable: '2+', default: null, tag: 0 }),
 *   })
 *   export type FooRequest = Infer<typeof FooRequest>
 *
 * From it follow the type, one codec per version (compile.ts), the ApiVersions answer and the docs' table.
 * Version ranges are written as in Kafka's own definitions: '3', '2-5', '7+', 'none'.
 *
 * A decoded value (`Infer`) has every field: one that the version lacks, or that was left out as a tagged field,
 * holds its default. A value to encode (`InferInput`) may leave out fields with an explicit default and tagged ones;
 * at run time any missing field is written as its default. A field that the version lacks is not written.
 */
import { compileCodec, type MessageCodec } from './compile.js'
import { Reader, WireError, Writer } from './primitives.js'
import { inRange, type VersionRange, versionRange } from './versions.js'

export type ScalarKind =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'bigint64'
  | 'float64'
  | 'string'
  | 'uuid'
  | 'bytes'
  | 'records'

export type FieldType =
  | { readonly kind: ScalarKind }
  | { readonly kind: 'array'; readonly element: FieldType }
  | { readonly kind: 'struct'; readonly fields: Fields }

/** T: decoded. In: to encode. Optional: may be left out when encoding. */
export interface Field<T = unknown, In = T, Optional extends boolean = boolean> {
  readonly type: FieldType
  readonly versions: VersionRange
  readonly nullable: VersionRange
  /** null: a plain field. Else it is tagged in all of its versions. */
  readonly tag: number | null
  /** undefined: the default of the type (0, false, '', no elements, a struct of defaults). */
  readonly default: unknown
  readonly __types?: { out: T; in: In; optional: Optional }
}

// biome-ignore lint/suspicious/noExplicitAny: a field of any type
export type Fields = { readonly [name: string]: Field<any, any, boolean> }

export type UnknownTaggedFields = ReadonlyMap<number, Uint8Array>

type OptionalKeys<F extends Fields> = {
  [K in keyof F]: F[K] extends Field<infer _T, infer _In, infer O> ? (O extends true ? K : never) : never
}[keyof F]

type Flatten<T> = { [K in keyof T]: T[K] }

export type InferFields<F extends Fields> = Flatten<
  { -readonly [K in keyof F]: F[K] extends Field<infer T, infer _In, infer _O> ? T : never } & {
    unknownTaggedFields?: UnknownTaggedFields
  }
>

export type InferFieldsInput<F extends Fields> = Flatten<
  {
    readonly [K in Exclude<keyof F, OptionalKeys<F>>]: F[K] extends Field<infer _T, infer In, infer _O>
      ? In
      : never
  } & {
    readonly [K in OptionalKeys<F>]?: F[K] extends Field<infer _T, infer In, infer _O>
      ? In | undefined
      : never
  } & { readonly unknownTaggedFields?: UnknownTaggedFields }
>

/** The decoded form of a message. */
export type Infer<M> = M extends Message<infer Out, infer _In> ? Out : never
/** What may be encoded: every decoded value, and those that leave out fields with a default. */
export type InferInput<M> = M extends Message<infer _Out, infer In> ? In : never

interface Options<T> {
  /** Makes the field optional for the encoder; must equal the default of Kafka's definition. */
  readonly default?: T
  /** The versions in which null is a value. */
  readonly nullable?: string
  readonly tag?: number
}

type Nullable<T, O> = O extends { readonly nullable: string } ? T | null : T
type IsOptional<O> = O extends { readonly default: unknown } | { readonly tag: number } ? true : false

function field(type: FieldType, versions: string, options: Options<unknown> = {}): Field<never, never> {
  return {
    type,
    versions: versionRange(versions),
    nullable: versionRange(options.nullable ?? 'none'),
    tag: options.tag ?? null,
    default: options.default,
  }
}

/** Declares a field of a scalar type; itself it names that type as an array's element. */
export interface ScalarFactory<T, In = T> {
  <const O extends Options<T | null>>(
    versions: string,
    options?: O,
  ): Field<Nullable<T, O>, Nullable<In, O>, IsOptional<O>>
  readonly elementType: FieldType
  readonly __element?: { out: T; in: In }
}

function scalar<T, In = T>(kind: ScalarKind): ScalarFactory<T, In> {
  const elementType: FieldType = { kind }
  const factory = (versions: string, options?: Options<T | null>) => field(elementType, versions, options)
  return Object.assign(factory, { elementType }) as unknown as ScalarFactory<T, In>
}

export const bool = scalar<boolean>('bool')
export const int8 = scalar<number>('int8')
export const int16 = scalar<number>('int16')
export const uint16 = scalar<number>('uint16')
export const int32 = scalar<number>('int32')
export const uint32 = scalar<number>('uint32')
/** A checked safe integer. */
export const int64 = scalar<number>('int64')
/** An int64 whose whole range is legal. */
export const bigint64 = scalar<bigint>('bigint64')
export const float64 = scalar<number>('float64')
export const string = scalar<string>('string')
/** Kafka's textual form, base64url. */
export const uuid = scalar<string>('uuid')
/** Decoded as a view over the message's bytes. */
export const bytes = scalar<Uint8Array>('bytes')
/** Record batches: decoded as a view, encoded without a copy. */
export const records = scalar<Uint8Array, Uint8Array | readonly Uint8Array[]>('records')

type ElementOut<E> =
  E extends ScalarFactory<infer T, infer _In> ? T : E extends Fields ? InferFields<E> : never
type ElementIn<E> =
  E extends ScalarFactory<infer _T, infer In> ? In : E extends Fields ? InferFieldsInput<E> : never

// biome-ignore lint/suspicious/noExplicitAny: a scalar of any type
type AnyScalar = ScalarFactory<any, any>

/** `element`: a scalar's factory (`int32`), or the fields of a struct. */
export function array<E extends AnyScalar | Fields, const O extends Options<readonly ElementIn<E>[] | null>>(
  versions: string,
  element: E,
  options?: O,
): Field<Nullable<ElementOut<E>[], O>, Nullable<readonly ElementIn<E>[], O>, IsOptional<O>> {
  const type: FieldType =
    typeof element === 'function' ? element.elementType : { kind: 'struct', fields: element as Fields }
  return field({ kind: 'array', element: type }, versions, options) as never
}

/** A single nested struct. */
export function struct<F extends Fields, const O extends Options<null>>(
  versions: string,
  fields: F,
  options?: O,
): Field<Nullable<InferFields<F>, O>, Nullable<InferFieldsInput<F>, O>, IsOptional<O>> {
  return field({ kind: 'struct', fields }, versions, options) as never
}

export interface MessageSpec {
  readonly name: string
  /** -1 for what is no request or response: headers, coordinator records, the consumer protocol. */
  readonly apiKey: number
  readonly versions: string
  readonly flexible: string
}

/** A message of any of its versions. `Out`: decoded. `In`: to encode. */
export class Message<Out = unknown, In = Out> {
  readonly name: string
  readonly apiKey: number
  readonly versions: VersionRange
  readonly flexible: VersionRange
  readonly fields: Fields
  private readonly codecs: (MessageCodec | undefined)[] = []
  declare readonly __types?: { out: Out; in: (value: In) => void }

  constructor(spec: MessageSpec, fields: Fields) {
    this.name = spec.name
    this.apiKey = spec.apiKey
    this.versions = versionRange(spec.versions)
    this.flexible = versionRange(spec.flexible)
    this.fields = fields
  }

  supports(version: number): boolean {
    return inRange(this.versions, version)
  }

  isFlexible(version: number): boolean {
    return inRange(this.flexible, version)
  }

  /** Compiled at the first use of the version. @throws RangeError where the version is not one of the message. */
  codec(version: number): MessageCodec {
    const known = this.codecs[version]
    if (known !== undefined) return known
    if (!this.supports(version)) throw new RangeError(`${this.name} has no version ${version}`)
    const codec = compileCodec(this, version)
    this.codecs[version] = codec
    return codec
  }

  /** @throws WireError */
  read(reader: Reader, version: number): Out {
    return this.codec(version).read(reader) as Out
  }

  /** @throws WireError where the value does not fit the schema: a null that is not allowed, a number out of range. */
  write(writer: Writer, version: number, value: In): void {
    this.codec(version).write(writer, value as object)
  }

  /** The message must fill the bytes. @throws WireError */
  decode(bytes: Uint8Array, version: number): Out {
    const reader = new Reader(bytes)
    const value = this.read(reader, version)
    if (reader.remaining !== 0) throw new WireError(`${reader.remaining} bytes follow the message`, this.name)
    return value
  }

  /** The chunks of the message, in order. */
  encode(version: number, value: In): Uint8Array[] {
    const writer = new Writer()
    this.write(writer, version, value)
    return writer.finish()
  }
}

export function message<const F extends Fields>(
  spec: MessageSpec,
  fields: F,
): Message<InferFields<F>, InferFieldsInput<F>> {
  return new Message(spec, fields)
}

/** A request and its response. `Req`: the decoded request. `Res`: the response as a handler hands it out. */
export interface Api<Req = unknown, Res = unknown, ReqIn = never, ResOut = unknown> {
  readonly key: number
  readonly name: string
  readonly request: Message<Req, ReqIn>
  readonly response: Message<ResOut, Res>
  /** The versions that have a schema. */
  readonly minVersion: number
  readonly maxVersion: number
  /** What ApiVersions lists as the minimum; below `minVersion` the answer is UNSUPPORTED_VERSION. */
  readonly advertisedMinVersion: number
}

/** Joins a request with its response. */
export function api<Req, ReqIn, ResOut, Res>(
  name: string,
  request: Message<Req, ReqIn>,
  response: Message<ResOut, Res>,
  options: { advertisedMinVersion?: number } = {},
): Api<Req, Res, ReqIn, ResOut> {
  const { from, to } = request.versions
  if (response.versions.from !== from || response.versions.to !== to || response.apiKey !== request.apiKey) {
    throw new RangeError(`the request and the response of ${name} differ in versions or key`)
  }
  return {
    key: request.apiKey,
    name,
    request,
    response,
    minVersion: from,
    maxVersion: to,
    advertisedMinVersion: options.advertisedMinVersion ?? from,
  }
}
