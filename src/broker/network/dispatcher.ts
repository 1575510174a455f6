import type { Logger } from '../../ports/logger.js'
import { type DecodedRequest, decodeOpened, encodeResponse, frame, openRequest } from '../../wire/codec.js'
import { ApiVersions } from '../../wire/messages/api-versions.js'
import { WireError } from '../../wire/primitives.js'
import type { AnyApiHandler } from '../handler.js'
import { unsupportedApiVersionsResponse } from '../requests/api-versions.js'
import type { RequestPort } from './connection.js'

/** From a frame to its handler, and from the answer back to bytes. Knows no connection and no API but ApiVersions. */
export class RequestDispatcher {
  private readonly handlers: (AnyApiHandler | undefined)[] = []

  constructor(
    handlers: readonly AnyApiHandler[],
    private readonly logger: Logger,
  ) {
    for (const handler of handlers) this.handlers[handler.api.key] = handler
  }

  /** Returns why the connection must be closed; null where the request was handed on. */
  dispatch(bytes: Uint8Array, port: RequestPort): string | null {
    const opened = openRequest(bytes)
    if (opened instanceof WireError) return `malformed request: ${opened.message}`
    const { apiKey, apiVersion, correlationId } = opened.header
    const handler = this.handlers[apiKey]
    if (handler === undefined) return `API key ${apiKey} is not served here`
    if (apiVersion < handler.api.minVersion || apiVersion > handler.api.maxVersion) {
      if (apiKey !== ApiVersions.key) return `${handler.api.name} has no version ${apiVersion} here`
      // KIP-35: the one API whose unknown version is answered, in the form of version 0.
      port.answer(frame(encodeResponse(ApiVersions, 0, correlationId, unsupportedApiVersionsResponse())))
      return null
    }
    const request = decodeOpened<unknown>(handler.api, opened)
    if (request instanceof WireError) return `malformed request: ${request.message}`
    this.hand(handler, request, port)
    return null
  }

  private hand(handler: AnyApiHandler, request: DecodedRequest<unknown>, port: RequestPort): void {
    const { header, body } = request
    let answered = false
    const once = (): boolean => {
      if (answered) this.logger.error({ api: handler.api.name }, 'a request was answered twice')
      const first = !answered
      answered = true
      return first
    }
    handler.handle(body, port.context(header.apiVersion, header.correlationId, header.clientId), {
      send: (response) => {
        if (once()) this.answer(handler, header.apiVersion, header.correlationId, response, port)
      },
      none: () => {
        if (once()) port.answer(null)
      },
      close: (reason) => {
        if (once()) port.close(`${handler.api.name}: ${reason}`)
      },
    })
  }

  /** An answer that does not fit its schema is our own mistake: its client is told by a closed connection, the others go on. */
  private answer(
    handler: AnyApiHandler,
    apiVersion: number,
    correlationId: number,
    response: unknown,
    port: RequestPort,
  ): void {
    let chunks: Uint8Array[]
    try {
      chunks = frame(encodeResponse(handler.api, apiVersion, correlationId, response as never))
    } catch (error) {
      if (!(error instanceof WireError)) throw error
      this.logger.error(
        { api: handler.api.name, apiVersion, error: error.message },
        'an answer could not be encoded',
      )
      port.close(`${handler.api.name}: the answer could not be encoded`)
      return
    }
    port.answer(chunks)
  }
}
