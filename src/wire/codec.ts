/**
 * Requests and responses as bytes: header, then body. Frames (the int32 size in front) belong to the connection;
 * `frame` makes one. Encoders answer with chunks to be written gathered; record batches among them are references.
 */
import {
  RequestHeader,
  RequestHeaderTags,
  ResponseHeader,
  requestHeaderVersion,
  responseHeaderVersion,
} from './headers.js'
import { Reader, WireError, Writer } from './primitives.js'
import type { Message, UnknownTaggedFields } from './schema.js'

export interface RequestEnvelope {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
}

/** Any Api: what the codec needs of it. */
interface RequestSide<Out, In> {
  readonly request: Message<Out, In>
}
interface ResponseSide<Out, In> {
  readonly response: Message<Out, In>
}

export interface DecodedRequest<Body> {
  readonly header: RequestEnvelope
  readonly headerTags: UnknownTaggedFields | undefined
  readonly body: Body
}

export interface DecodedResponse<Body> {
  readonly correlationId: number
  readonly body: Body
}

/**
 * The front of a request, without the size: enough to choose the API, or to answer an ApiVersions request of an
 * unknown version.
 */
export function peekRequestHeader(bytes: Uint8Array): RequestEnvelope | WireError {
  const opened = openRequest(bytes)
  return opened instanceof WireError ? opened : opened.header
}

/** A request whose front was read; `reader` stands behind it. */
export interface OpenedRequest {
  readonly header: RequestEnvelope
  readonly reader: Reader
}

/** As `peekRequestHeader`, for who goes on to the body with `decodeOpened`. */
export function openRequest(bytes: Uint8Array): OpenedRequest | WireError {
  return decoding('header', () => {
    const reader = new Reader(bytes)
    return { header: envelope(RequestHeader.read(reader, 1)), reader }
  })
}

function envelope(header: RequestHeader): RequestEnvelope {
  return {
    apiKey: header.requestApiKey,
    apiVersion: header.requestApiVersion,
    correlationId: header.correlationId,
    clientId: header.clientId,
  }
}

/**
 * `bytes`: header and body, without the size. The version is the header's own, which the API must have. Bytes after
 * the body are ignored, as Kafka does.
 */
export function decodeRequest<Body>(
  api: RequestSide<Body, never>,
  bytes: Uint8Array,
): DecodedRequest<Body> | WireError {
  const opened = decoding(api.request.name, () => {
    const reader = new Reader(bytes)
    return { header: envelope(RequestHeader.read(reader, 1)), reader }
  })
  return opened instanceof WireError ? opened : decodeOpened(api, opened)
}

/** The rest of a request whose front was read. */
export function decodeOpened<Body>(
  api: RequestSide<Body, never>,
  { header, reader }: OpenedRequest,
): DecodedRequest<Body> | WireError {
  return decoding(api.request.name, () => {
    if (header.apiKey !== api.request.apiKey) throw new WireError(`the api key is ${header.apiKey}`)
    if (!api.request.supports(header.apiVersion)) {
      throw new WireError(`version ${header.apiVersion} is not supported`)
    }
    const headerVersion = requestHeaderVersion(api.request, header.apiVersion)
    const tags = headerVersion === 2 ? RequestHeaderTags.read(reader, 2).unknownTaggedFields : undefined
    return { header, headerTags: tags, body: api.request.read(reader, header.apiVersion) }
  })
}

/** Header and body, without the size. @throws WireError where the body does not fit the schema */
export function encodeRequest<Body>(
  api: RequestSide<unknown, Body>,
  apiVersion: number,
  header: { correlationId: number; clientId: string | null },
  body: Body,
): Uint8Array[] {
  const writer = new Writer()
  const version = requestHeaderVersion(api.request, apiVersion)
  RequestHeader.write(writer, version, {
    requestApiKey: api.request.apiKey,
    requestApiVersion: apiVersion,
    correlationId: header.correlationId,
    clientId: header.clientId,
  })
  if (version === 2) RequestHeaderTags.write(writer, 2, {})
  api.request.write(writer, apiVersion, body)
  return writer.finish()
}

/** Header and body, without the size. @throws WireError where the body does not fit the schema */
export function encodeResponse<Body>(
  api: ResponseSide<unknown, Body>,
  apiVersion: number,
  correlationId: number,
  body: Body,
): Uint8Array[] {
  const writer = new Writer()
  ResponseHeader.write(writer, responseHeaderVersion(api.response, apiVersion), { correlationId })
  api.response.write(writer, apiVersion, body)
  return writer.finish()
}

/** `bytes`: header and body, without the size. */
export function decodeResponse<Body>(
  api: ResponseSide<Body, never>,
  apiVersion: number,
  bytes: Uint8Array,
): DecodedResponse<Body> | WireError {
  const reader = new Reader(bytes)
  return decoding(api.response.name, () => {
    const header = ResponseHeader.read(reader, responseHeaderVersion(api.response, apiVersion))
    const body = api.response.read(reader, apiVersion)
    if (reader.remaining !== 0) throw new WireError(`${reader.remaining} bytes follow the message`)
    return { correlationId: header.correlationId, body }
  })
}

/** What a peer sent wrong is a value from here on. */
function decoding<T>(name: string, read: () => T): T | WireError {
  try {
    return read()
  } catch (error) {
    if (error instanceof WireError) return error.within(name)
    throw error
  }
}

/** The chunks with their size as an int32 in front. */
export function frame(chunks: readonly Uint8Array[]): Uint8Array[] {
  let size = 0
  for (const chunk of chunks) size += chunk.length
  const prefix = Buffer.allocUnsafe(4)
  prefix.writeInt32BE(size)
  return [prefix, ...chunks]
}
