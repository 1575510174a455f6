import type { Api } from '../wire/schema.js'

/** Who asked, and how: carried with every request (later: authorisation, quotas). */
export interface RequestContext {
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  /** 'User:ANONYMOUS' on PLAINTEXT. */
  readonly principal: string
  readonly clientAddress: string
  /** The name of the listener that took the connection: advertised endpoints depend on it. */
  readonly listener: string
  /** Replica ids are honoured there only. */
  readonly isInterBrokerListener: boolean
  readonly connectionId: number
  /** Bytes of answers that this connection takes now: with what its client has not read yet, it holds a limit. */
  answerRoomBytes(): number
  /** Runs once when the connection closes before the answer was given; a waiting fetch or join drops itself there. */
  onClose(input: () => void): void
}

/** Exactly one of the three is called, once, now or later. Answers leave in the order of the connection's requests. */
export interface Responder<Response> {
  send(response: Response): void
  /** acks=0: no answer. */
  none(): void
  /** The protocol wants the connection closed; `reason` is logged. */
  close(reason: string): void
}

export interface ApiHandler<Request, Response> {
  readonly api: Api<Request, Response>
  handle(request: Request, context: RequestContext, responder: Responder<Response>): void
}

// biome-ignore lint/suspicious/noExplicitAny: the registry holds handlers of every type
export type AnyApiHandler = ApiHandler<any, any>
