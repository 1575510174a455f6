import type { Logger } from '../../ports/logger.js'
import type { ByteStream, StreamHandler } from '../../ports/network.js'
import type { RequestContext, Responder } from '../handler.js'
import type { RequestDispatcher } from './dispatcher.js'
import { FrameError, FrameReader } from './frame-reader.js'

export interface ConnectionLimits {
  /** `socket.request.max.bytes`. */
  readonly maxFrameBytes: number
  /** Requests of one connection that are being worked on or wait for their turn to be answered. */
  readonly maxInflightRequests: number
  /** Bytes of answers that the client has not taken; beyond it no further request is read, and fetches bring little. */
  readonly maxUnsentBytes: number
}

/** What the server tells each of its connections. */
export interface ConnectionHost {
  readonly listener: string
  readonly isInterBrokerListener: boolean
  readonly limits: ConnectionLimits
  readonly dispatcher: RequestDispatcher
  readonly logger: Logger
  /** False while the broker starts: requests wait. */
  isOpen(): boolean
  nowMs(): number
  endOfTurn(input: () => void): void
  onClosed(connection: Connection): void
}

/** An answer's place in the order of its connection. */
interface Slot {
  answer: readonly Uint8Array[] | null
  done: boolean
  closers: (() => void)[] | null
}

/** One client's connection. Requests are handed out as they come; answers leave in that order (WIRE.md: pipelining). */
export class Connection implements StreamHandler {
  private readonly reader: FrameReader
  private readonly slots: Slot[] = []
  private readonly outgoing: Uint8Array[] = []
  private outgoingBytes = 0
  /** Of answers that wait for an earlier request's. */
  private heldBytes = 0
  private flushQueued = false
  private pumping = false
  private paused = false
  private closed = false
  lastActiveMs: number

  constructor(
    readonly id: number,
    private readonly stream: ByteStream,
    private readonly host: ConnectionHost,
  ) {
    this.reader = new FrameReader(host.limits.maxFrameBytes)
    this.lastActiveMs = host.nowMs()
  }

  get remoteHost(): string {
    return this.stream.remote.host
  }

  get isIdle(): boolean {
    return this.slots.length === 0
  }

  onData(chunk: Uint8Array): void {
    this.lastActiveMs = this.host.nowMs()
    this.reader.push(chunk)
    this.pump()
  }

  onDrain(): void {
    this.pump()
  }

  onClose(): void {
    this.closed = true
    for (const slot of this.slots) for (const closer of slot.closers ?? []) closer()
    this.slots.length = 0
    this.host.onClosed(this)
  }

  /** Closes with one line in the log. */
  fail(reason: string): void {
    if (this.closed) return
    this.host.logger.warn(
      { connection: this.id, client: this.remoteHost, listener: this.host.listener },
      `connection closed: ${reason}`,
    )
    this.close()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.stream.destroy()
  }

  /** Works through whole frames for as long as the limits allow; else the socket is paused, which holds the sender back. */
  pump(): void {
    if (this.closed || this.pumping) return
    this.pumping = true
    try {
      while (this.mayRead()) {
        const frame = this.reader.next()
        if (frame === null) break
        this.dispatch(frame)
        if (this.closed) return
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.fail(error.message)
      return
    } finally {
      this.pumping = false
    }
    this.setPaused(!this.mayRead())
  }

  private get unsentBytes(): number {
    return this.stream.bufferedBytes + this.outgoingBytes + this.heldBytes
  }

  private mayRead(): boolean {
    const { limits } = this.host
    return (
      this.host.isOpen() &&
      this.slots.length < limits.maxInflightRequests &&
      this.unsentBytes < limits.maxUnsentBytes
    )
  }

  private setPaused(paused: boolean): void {
    if (paused === this.paused) return
    this.paused = paused
    if (paused) this.stream.pause()
    else this.stream.resume()
  }

  private dispatch(frame: Uint8Array): void {
    const slot: Slot = { answer: null, done: false, closers: null }
    this.slots.push(slot)
    const problem = this.host.dispatcher.dispatch(frame, {
      answer: (chunks) => this.settle(slot, chunks),
      close: (reason) => this.fail(reason),
      context: (apiVersion, correlationId, clientId) =>
        this.contextOf(slot, apiVersion, correlationId, clientId),
    })
    if (problem !== null) this.fail(problem)
  }

  private contextOf(
    slot: Slot,
    apiVersion: number,
    correlationId: number,
    clientId: string | null,
  ): RequestContext {
    return {
      apiVersion,
      correlationId,
      clientId,
      principal: 'User:ANONYMOUS',
      clientAddress: this.stream.remote.host,
      listener: this.host.listener,
      isInterBrokerListener: this.host.isInterBrokerListener,
      connectionId: this.id,
      answerRoomBytes: () => Math.max(0, this.host.limits.maxUnsentBytes - this.unsentBytes),
      onClose: (input) => {
        slot.closers ??= []
        slot.closers.push(input)
      },
    }
  }

  private settle(slot: Slot, chunks: readonly Uint8Array[] | null): void {
    if (this.closed) return
    slot.answer = chunks
    slot.done = true
    slot.closers = null
    this.heldBytes += sizeOf(chunks)
    while (this.slots.length > 0 && this.slots[0]!.done) {
      const { answer } = this.slots.shift()!
      if (answer === null) continue
      for (const chunk of answer) this.outgoing.push(chunk)
      this.heldBytes -= sizeOf(answer)
      this.outgoingBytes += sizeOf(answer)
    }
    if (this.flushQueued || this.outgoing.length === 0) {
      if (this.paused) this.pump()
      return
    }
    this.flushQueued = true
    this.host.endOfTurn(() => this.flush())
  }

  /** What one turn answered leaves in one gathered write. */
  private flush(): void {
    this.flushQueued = false
    if (this.closed) return
    this.lastActiveMs = this.host.nowMs()
    this.outgoingBytes = 0
    this.stream.write(this.outgoing.splice(0))
    this.pump()
  }
}

function sizeOf(chunks: readonly Uint8Array[] | null): number {
  let bytes = 0
  for (const chunk of chunks ?? []) bytes += chunk.byteLength
  return bytes
}

/** What the dispatcher may do with a request's place. */
export interface RequestPort {
  /** null: no answer (acks=0). */
  answer(chunks: readonly Uint8Array[] | null): void
  close(reason: string): void
  context(apiVersion: number, correlationId: number, clientId: string | null): RequestContext
}

export type { Responder }
