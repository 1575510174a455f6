import net from 'node:net'
import {
  type Address,
  type ByteStream,
  DialError,
  type Dialer,
  type Listener,
  type StreamHandler,
} from '../ports/network.js'

export interface TcpOptions {
  /** `bufferedBytes` at which node asks to wait; `onDrain` follows when all of it was taken. */
  highWaterMarkBytes: number
}

export const DEFAULT_TCP_OPTIONS: TcpOptions = {
  highWaterMarkBytes: 256 * 1024,
}

const KEEP_ALIVE_MS = 30_000

/** TCP by node:net: both ways of making a stream. How many a listener takes is for whoever accepts them to say. */
export class Tcp implements Dialer, Listener {
  private readonly options: TcpOptions

  constructor(options: Partial<TcpOptions> = {}) {
    this.options = { ...DEFAULT_TCP_OPTIONS, ...options }
  }

  dial(
    address: Address,
    timeoutMs: number,
    opened: (stream: ByteStream) => StreamHandler,
    failed: (error: DialError) => void,
  ): void {
    const { host, port } = address
    // The option of every stream, which the types of net.Socket leave out.
    const socket = new net.Socket({
      highWaterMark: this.options.highWaterMarkBytes,
    } as net.SocketConstructorOpts)
    const fail = (error: DialError): void => {
      clearTimeout(timer)
      socket.off('error', onError)
      socket.on('error', () => {}) // it was reported
      socket.destroy()
      failed(error)
    }
    const onError = (error: NodeJS.ErrnoException): void => {
      const reason = isRefusal(error) ? 'refused' : error.code === 'ETIMEDOUT' ? 'timeout' : 'other'
      fail(new DialError(reason, `${host}:${port}: ${error.message || error.code || 'cannot be reached'}`))
    }
    const timer = setTimeout(() => {
      fail(new DialError('timeout', `${host}:${port} did not answer within ${timeoutMs} ms`))
    }, timeoutMs)
    socket.once('error', onError)
    socket.connect({ host, port }, () => {
      clearTimeout(timer)
      socket.off('error', onError)
      // As options of `connect` node ignores them without a word: a follower's second fetch would then wait 40 ms for the
      // delayed acknowledgement of its first (Nagle's algorithm).
      socket.setNoDelay(true)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      const stream = new TcpStream(socket)
      stream.start(opened(stream))
    })
  }

  listen(
    address: Address,
    accepted: (stream: ByteStream) => StreamHandler,
    listening: (bound: Address) => void,
    failed: (error: Error) => void,
  ): { close(): void } {
    const server = net.createServer(
      {
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_MS,
        highWaterMark: this.options.highWaterMarkBytes,
      },
      (socket) => {
        if (socket.remoteAddress === undefined) {
          // Its client went before it was accepted.
          socket.on('error', () => {}) // nobody is there to hear of it
          socket.destroy()
          return
        }
        const stream = new TcpStream(socket)
        stream.start(accepted(stream))
      },
    )
    server.once('error', failed)
    server.listen({ host: address.host, port: address.port }, () => {
      const bound = server.address() as net.AddressInfo
      server.off('error', failed)
      // Later ones are of single connections (no file descriptors left): the listener goes on.
      server.on('error', () => {})
      listening({ host: address.host, port: bound.port })
    })
    return { close: () => server.close() }
  }
}

/** The host answered that no process listens there. */
function isRefusal(error: NodeJS.ErrnoException): boolean {
  if (error.code === 'ECONNREFUSED') return true
  // A name with several addresses (localhost): every one must have refused.
  return error instanceof AggregateError && error.errors.every((one) => one.code === 'ECONNREFUSED')
}

class TcpStream implements ByteStream {
  readonly remote: Address
  readonly local: Address

  constructor(private readonly socket: net.Socket) {
    this.remote = { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    this.local = { host: socket.localAddress ?? '', port: socket.localPort ?? 0 }
  }

  get bufferedBytes(): number {
    return this.socket.writableLength
  }

  start(handler: StreamHandler): void {
    const { socket } = this
    let failure: Error | null = null
    socket.on('data', (chunk: Buffer) => handler.onData(chunk))
    socket.on('drain', () => handler.onDrain?.())
    socket.on('error', (error) => {
      failure = error
    })
    socket.on('close', () => handler.onClose(failure))
  }

  write(chunks: readonly Uint8Array[]): void {
    const { socket } = this
    if (socket.destroyed || socket.writableEnded) return
    if (chunks.length === 1) {
      socket.write(chunks[0]!)
      return
    }
    // Corked, node hands all chunks to one writev.
    socket.cork()
    for (const chunk of chunks) socket.write(chunk)
    socket.uncork()
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  end(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }
}
