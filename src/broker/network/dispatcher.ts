import type { Logger } from '../../ports/logger.js'
import { decodeRequest, encodeResponse, peekRequestHeader } from '../../wire/codec.js'
import { ApiVersions } from '../../wire/messages/api-versions.js'
import { WireError } from '../../wire/primitives.js'
import type { AnyApiHandler } from '../handler.js'
import { apiVersionsFallback } from '../requests/api-versions.js'
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
  dispatch(frame: Uint8Array, port: RequestPort): string | null {
    let request: ReturnType<typeof decodeRequest>
    let handler: AnyApiHandler | undefined
    try {
      const { apiKey, apiVersion, correlationId } = peekRequestHeader(frame)
      handler = this.handlers[apiKey]
      if (handler === undefined) return `API key ${apiKey} is not served here`
      if (apiVersion < handler.api.minVersion || apiVersion > handler.api.maxVersion) {
        if (apiKey !== ApiVersions.key) return `${handler.api.name} has no version ${apiVersion} here`
        // KIP-35: the one API whose unknown version is answered, in the form of version 0.
        port.answer(encodeResponse(ApiVersions, 0, correlationId, apiVersionsFallback()))
        return null
      }
      request = decodeRequest(handler.api, frame)
    } catch (error) {
      if (error instanceof WireError) return `malformed request: ${error.message}`
      throw error
    }
    this.hand(handler, request, port)
    return null
  }

  private hand(handler: AnyApiHandler, request: ReturnType<typeof decodeRequest>, port: RequestPort): void {
    const { header, body } = request
    let answered = false
    const once = (): boolean => {
      if (answered) {
        this.logger.error({ api: handler.api.name }, 'a request was answered twice')
        return false
      }
      answered = true
      return true
    }
    handler.handle(body, port.context(header.requestApiVersion, header.correlationId, header.clientId), {
      send: (response) => {
        if (once()) port.answer(encodeResponse(handler.api, header.requestApiVersion, header.correlationId, response))
      },
      none: () => {
        if (once()) port.answer(null)
      },
      close: (reason) => {
        if (once()) port.close(`${handler.api.name}: ${reason}`)
      },
    })
  }
}
