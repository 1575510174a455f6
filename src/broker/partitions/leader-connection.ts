import type { Clock, Timer } from '../../ports/clock.js'
import type { Address, ByteStream, Dialer, StreamHandler } from '../../ports/network.js'
import { decodeResponse, encodeRequest, frame } from '../../wire/codec.js'
import { Fetch, type FetchRequest, type FetchResponse } from '../../wire/messages/fetch.js'
import { WireError } from '../../wire/primitives.js'
import type { Infer, InferInput } from '../../wire/schema.js'
import { FrameReader } from '../network/frame-reader.js'

/** The newest version without the follower's high watermark (KIP-1166), which would cost an answer for each advance. */
const FETCH_VERSION = 17
const DIAL_TIMEOUT_MS = 2_000

export type FetchRequestBody = InferInput<typeof Fetch.request>
export type FetchResponseBody = Infer<typeof Fetch.response>
export type { FetchRequest, FetchResponse }

export interface ConnectionEvents {
  onOpen(): void
  /** Answers come in the order of the requests. */
  onAnswer(body: FetchResponseBody): void
  /** Once; nothing follows. */
  onLost(reason: string): void
}

/** One connection to a leader's inter-broker listener, speaking Fetch alone. */
export class LeaderConnection implements StreamHandler {
  private stream: ByteStream | null = null
  private readonly reader: FrameReader
  private readonly expected: number[] = []
  private nextCorrelationId = 0
  private isClosed = false
  /** One for many requests: where it comes too early it is set anew. */
  private timer: Timer | null = null
  /** By then the oldest request must be answered. */
  private deadlineMs = 0

  constructor(
    private readonly options: {
      clock: Clock
      clientId: string
      maxFrameBytes: number
      /** `replica.socket.timeout.ms`: an answer that takes longer means that the connection is dead. */
      timeoutMs: number
    },
    private readonly events: ConnectionEvents,
  ) {
    this.reader = new FrameReader(options.maxFrameBytes)
  }

  get isOpen(): boolean {
    return this.stream !== null && !this.isClosed
  }
  get inFlight(): number {
    return this.expected.length
  }

  dial(dialer: Dialer, address: Address): void {
    dialer.dial(
      address,
      DIAL_TIMEOUT_MS,
      (stream) => this.onDialed(stream),
      (error) => this.lose(error.message),
    )
  }

  send(body: FetchRequestBody): void {
    const correlationId = this.nextCorrelationId
    this.nextCorrelationId = (correlationId + 1) & 0x7fff_ffff
    this.expected.push(correlationId)
    const header = { correlationId, clientId: this.options.clientId }
    this.stream!.write(frame(encodeRequest(Fetch, FETCH_VERSION, header, body)))
    if (this.expected.length === 1) this.expectAnswer()
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.timer?.cancel()
    this.stream?.destroy()
  }

  onData(chunk: Uint8Array): void {
    if (this.isClosed) return
    this.reader.push(chunk)
    try {
      for (let bytes = this.reader.next(); bytes !== null && !this.isClosed; bytes = this.reader.next()) {
        this.onFrame(bytes)
      }
    } catch (error) {
      this.lose((error as Error).message)
    }
  }

  onClose(error: Error | null): void {
    this.lose(error?.message ?? 'the leader closed the connection')
  }

  private onDialed(stream: ByteStream): StreamHandler {
    this.stream = stream
    if (this.isClosed) stream.destroy()
    else this.events.onOpen()
    return this
  }

  private onFrame(bytes: Uint8Array): void {
    const answer = decodeResponse(Fetch, FETCH_VERSION, bytes)
    if (answer instanceof WireError) {
      this.lose(`an answer could not be read: ${answer.message}`)
      return
    }
    if (answer.correlationId !== this.expected.shift()) {
      this.lose(`an answer to request ${answer.correlationId} was not expected`)
      return
    }
    if (this.expected.length > 0) this.expectAnswer()
    this.events.onAnswer(answer.body)
  }

  private expectAnswer(): void {
    const { clock, timeoutMs } = this.options
    this.deadlineMs = clock.monotonicMs() + timeoutMs
    this.timer ??= clock.after(timeoutMs, () => this.onTimer())
  }

  private onTimer(): void {
    this.timer = null
    if (this.expected.length === 0) return
    const { clock, timeoutMs } = this.options
    const leftMs = this.deadlineMs - clock.monotonicMs()
    if (leftMs > 0) this.timer = clock.after(leftMs, () => this.onTimer())
    else this.lose(`no answer for ${timeoutMs} ms`)
  }

  private lose(reason: string): void {
    if (this.isClosed) return
    this.close()
    this.events.onLost(reason)
  }
}
