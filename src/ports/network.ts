/** Ordered byte streams between addresses: TCP for real. No promise, no back-reference: events go to a handler. */
export interface Address {
  readonly host: string
  readonly port: number
}

export interface ByteStream {
  readonly remote: Address
  readonly local: Address
  /** Queues chunks, gathered into one write. After `close` it does nothing. The chunks must not be changed afterwards. */
  write(chunks: readonly Uint8Array[]): void
  /** Bytes queued and not yet taken by the kernel. */
  readonly bufferedBytes: number
  /** Stops and restarts the delivery of data, so that the sender is held back. */
  pause(): void
  resume(): void
  /** Closes when what was queued has been sent. `onClose` follows. */
  end(): void
  /** Closes at once; what is queued is dropped. `onClose` follows. */
  destroy(): void
}

/** Every call is one input. After `onClose` none follows. */
export interface StreamHandler {
  onData(chunk: Uint8Array): void
  /** `bufferedBytes` fell below the adapter's low mark. */
  onDrain?(): void
  /** error: null where the other side closed in good order. */
  onClose(error: Error | null): void
}

export interface Dialer {
  /** Connects. `opened` gets the stream and returns its handler; `failed` gets the reason. One of the two is called, once. */
  dial(
    address: Address,
    timeoutMs: number,
    opened: (stream: ByteStream) => StreamHandler,
    failed: (error: DialError) => void,
  ): void
}

export class DialError extends Error {
  override name = 'DialError'
  /** refused: the host answered that nobody listens there, so no process does. */
  constructor(
    readonly reason: 'refused' | 'timeout' | 'other',
    message: string,
  ) {
    super(message)
  }
}

export interface Listener {
  /** `accepted` gets each new stream and returns its handler. `failed` is called where the port cannot be had. */
  listen(
    address: Address,
    accepted: (stream: ByteStream) => StreamHandler,
    listening: (bound: Address) => void,
    failed: (error: Error) => void,
  ): { close(): void }
}
