import { FrameReader } from '../../src/broker/network/frame-reader.js'
import type { Address, ByteStream, Dialer } from '../../src/ports/network.js'
import { decodeResponse, encodeRequest, frame } from '../../src/wire/codec.js'
import { WireError } from '../../src/wire/primitives.js'
import type { Api } from '../../src/wire/schema.js'

interface Pending {
  readonly api: Api<never, never>
  readonly version: number
  readonly done: (response: unknown | null) => void
}

/** A client's connection to one broker in the simulated world, through the real codecs. Answers come in order. */
export class SimConnection {
  private stream: ByteStream | null = null
  private readonly reader = new FrameReader(128 * 1024 * 1024)
  private readonly pending = new Map<number, Pending>()
  private readonly queued: Uint8Array[] = []
  private nextCorrelationId = 1
  isClosed = false

  constructor(
    dialer: Dialer,
    readonly address: Address,
    private readonly clientId: string,
  ) {
    dialer.dial(
      address,
      2_000,
      (stream) => {
        this.stream = stream
        if (this.isClosed) stream.destroy()
        else if (this.queued.length > 0) stream.write(this.queued.splice(0))
        return { onData: (chunk) => this.onData(chunk), onClose: () => this.close() }
      },
      () => this.close(),
    )
  }

  /** `done` gets null where the connection broke: the outcome is unknown. */
  request<Req, Res, ReqIn, ResOut>(
    api: Api<Req, Res, ReqIn, ResOut>,
    version: number,
    body: ReqIn,
    done: (response: ResOut | null) => void,
  ): void {
    if (this.isClosed) return done(null)
    const correlationId = this.nextCorrelationId++
    this.pending.set(correlationId, { api: api as never, version, done: done as never })
    const chunks = frame(
      encodeRequest(api as never, version, { correlationId, clientId: this.clientId }, body as never),
    )
    if (this.stream === null) this.queued.push(...chunks)
    else this.stream.write(chunks)
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.stream?.destroy()
    const waiting = [...this.pending.values()]
    this.pending.clear()
    for (const { done } of waiting) done(null)
  }

  private onData(chunk: Uint8Array): void {
    this.reader.push(chunk)
    for (;;) {
      const bytes = this.reader.next()
      if (bytes === null) return
      const correlationId = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0)
      const waiting = this.pending.get(correlationId)
      if (waiting === undefined) throw new Error(`an answer to no request: ${correlationId}`)
      this.pending.delete(correlationId)
      const decoded = decodeResponse<unknown>(waiting.api as never, waiting.version, bytes)
      if (decoded instanceof WireError) throw decoded
      waiting.done(decoded.body)
    }
  }
}
