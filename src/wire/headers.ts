/**
 * Request headers v1 and v2 (Kafka 4 dropped v0), and response headers v0 and v1.
 *
 *   request:  int16 api key · int16 api version · int32 correlation id · nullable string client id · v2 tags
 *   response: int32 correlation id · v1 tags
 *
 * The client id keeps its int16 length in v2 too, so that a broker can read the front of any request, whatever its
 * version. Unknown tagged fields are kept.
 */
import { type Infer, int16, int32, type Message, message, string } from './schema.js'

/** Declared as not flexible for the client id's sake; the tags of v2 follow apart. */
export const RequestHeader = message(
  { name: 'RequestHeader', apiKey: -1, versions: '1-2', flexible: 'none' },
  {
    requestApiKey: int16('0+'),
    requestApiVersion: int16('0+'),
    correlationId: int32('0+'),
    clientId: string('1+', { nullable: '1+' }),
  },
)
export type RequestHeader = Infer<typeof RequestHeader>

export const ResponseHeader = message(
  { name: 'ResponseHeader', apiKey: -1, versions: '0-1', flexible: '1+' },
  { correlationId: int32('0+') },
)
export type ResponseHeader = Infer<typeof ResponseHeader>

/** The tagged fields at the end of request header v2: none is known. */
export const RequestHeaderTags = message(
  { name: 'RequestHeaderTags', apiKey: -1, versions: '2', flexible: '2+' },
  {},
)

const API_VERSIONS_KEY = 18

export function requestHeaderVersion(request: Message<unknown, never>, apiVersion: number): number {
  return request.isFlexible(apiVersion) ? 2 : 1
}

/** Always 0 for ApiVersions: its reader does not know yet what the broker speaks (KIP-511). */
export function responseHeaderVersion(response: Message<unknown, never>, apiVersion: number): number {
  return response.isFlexible(apiVersion) && response.apiKey !== API_VERSIONS_KEY ? 1 : 0
}
