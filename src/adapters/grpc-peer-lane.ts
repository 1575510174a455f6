import * as grpc from '@grpc/grpc-js'
import type { Address } from '../ports/network.js'
import type { Lane } from '../ports/peers.js'

export const PEER_METHOD_PATH = '/kogge.peer.v1.Peer/Connect'
/** Above the largest Append and snapshot chunk by far. */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

/** What may wait in a lane while it is being opened, or while the connection is slower than its sender. */
const LIMITS: Record<Lane, { messages: number; bytes: number; drop: 'oldest' | 'newest' }> = {
  // Only the newest heartbeat means anything.
  heartbeat: { messages: 64, bytes: 64 * 1024, drop: 'oldest' },
  // Raft sends again what was lost at the end; what went before stays in order.
  raft: { messages: 1024, bytes: 2 * MAX_MESSAGE_BYTES, drop: 'newest' },
  controller: { messages: 1024, bytes: 2 * MAX_MESSAGE_BYTES, drop: 'newest' },
}

/** Handed to gRPC and not yet on the wire. gRPC itself counts messages only, and a snapshot's chunks are large. */
const MAX_IN_FLIGHT_BYTES = 2 * 1024 * 1024

const RETRY_MIN_MS = 50
/** A restarted peer is found within this time; a dial that is refused costs next to nothing. */
const RETRY_MAX_MS = 100
/** A peer that refused us (another node, another cluster) will hardly change its mind. */
const REFUSED_RETRY_MS = 500
/** From the first SYN to the peer's headers. The kernel alone would wait for minutes where SYNs are lost. */
const OPEN_TIMEOUT_MS = 1000

export const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  // Else all clients of one address share one connection, and heartbeats wait behind snapshots.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': RETRY_MIN_MS,
  'grpc.max_reconnect_backoff_ms': RETRY_MAX_MS,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  // For a host that vanished without a word; a process that died is noticed at once by its closed sockets.
  'grpc.keepalive_time_ms': 2000,
  'grpc.keepalive_timeout_ms': 3000,
}

export interface LaneEvents {
  /** The headers of a new call, which wait for the connection. */
  hello(lane: Lane): grpc.Metadata
  /** False: wait for `wake`, instead of dialling a peer that is away three times over. */
  mayDial(lane: Lane): boolean
  /** Another stream to or from this peer stands: what is sent before this one is open waits for it. */
  isConnected(): boolean
  /** The peer took the stream, and its headers say who it is; false: that is not whom this node knows. */
  greeted(headers: grpc.Metadata): boolean
  /** After that. */
  opened(): void
  /** A stream that stood broke. */
  broke(): void
  /** The peer answered with a refusal. */
  refused(reason: string): void
  /** Since another process has this node's id. */
  duplicate(reason: string, trailers: grpc.Metadata): void
}

type OutgoingCall = grpc.ClientDuplexStream<Uint8Array, Uint8Array>

/** One lane to one peer: a channel of its own with one stream, dialled again for as long as the lane is there. */
export class PeerLane {
  dropped = 0
  private client: grpc.Client | undefined
  private call: OutgoingCall | undefined
  private open = false
  private isBlocked = false
  private inFlightBytes = 0
  private readonly queue: Uint8Array[] = []
  private queuedBytes = 0
  private timer: NodeJS.Timeout | undefined
  private retryMs = RETRY_MIN_MS
  private isClosed = false

  constructor(
    readonly lane: Lane,
    private readonly address: Address,
    private readonly events: LaneEvents,
  ) {
    this.dial()
  }

  get isOpen(): boolean {
    return this.open
  }

  /** Dials where the lane waited for leave to do so. */
  wake(): void {
    if (!this.call && !this.timer) this.dial()
  }

  /** The peer has just come: waits for no back-off any more, neither the lane's nor the channel's. */
  redial(): void {
    if (this.open || this.isClosed) return
    const isWaiting = this.call === undefined
    const isBackingOff =
      this.client?.getChannel().getConnectivityState(false) === grpc.connectivityState.TRANSIENT_FAILURE
    if (!isWaiting && !isBackingOff) return
    this.stopTimer()
    this.forgetCall()
    if (isBackingOff) {
      this.client?.close()
      this.client = undefined
    }
    this.dial()
  }

  /** What stands leads to a process that is over. */
  restart(): void {
    if (!this.open || this.isClosed) return
    this.forgetCall()
    this.client?.close()
    this.client = undefined
    this.dial()
  }

  /** Returns whether the message was taken. */
  send(bytes: Uint8Array): boolean {
    if (bytes.length > MAX_MESSAGE_BYTES) return this.drop()
    if (!this.open && !this.events.isConnected()) return this.drop()
    if (this.open && !this.isBlocked) {
      this.write(bytes)
      return true
    }
    const limit = LIMITS[this.lane]
    const isFull = () => this.queue.length >= limit.messages || this.queuedBytes + bytes.length > limit.bytes
    while (limit.drop === 'oldest' && isFull() && this.queue.length > 0) {
      this.queuedBytes -= this.queue.shift()!.length
      this.drop()
    }
    if (isFull()) return this.drop()
    this.queue.push(bytes)
    this.queuedBytes += bytes.length
    return true
  }

  /** What waits for the stream to be opened was meant for a process that may be dead. */
  discard(): void {
    if (!this.open) this.clearQueue()
  }

  close(): void {
    this.isClosed = true
    this.stopTimer()
    this.forgetCall()
    this.client?.close()
  }

  private drop(): false {
    this.dropped++
    return false
  }

  private dial(): void {
    if (this.isClosed || !this.events.mayDial(this.lane)) return
    this.client ??= new grpc.Client(
      dialTarget(this.address),
      grpc.credentials.createInsecure(),
      CHANNEL_OPTIONS,
    )
    const call = this.client.makeBidiStreamRequest<Uint8Array, Uint8Array>(
      PEER_METHOD_PATH,
      asBuffer,
      (bytes) => bytes,
      this.events.hello(this.lane),
    )
    this.call = call
    call.on('metadata', (headers) => {
      if (call === this.call) this.onHeaders(headers)
    })
    call.on('drain', () => this.onWritten(call, 0))
    // Nothing is sent this way; but unread data would hold the end of the stream back.
    call.on('data', () => undefined)
    // 'status' follows each error and says the same.
    call.on('error', () => undefined)
    call.on('status', (status) => {
      if (call === this.call) this.onEnded(status)
    })
    this.startTimer(OPEN_TIMEOUT_MS, () => this.onOpenTimeout())
  }

  private onHeaders(headers: grpc.Metadata): void {
    this.stopTimer()
    if (!this.events.greeted(headers)) {
      this.forgetCall()
      // Perhaps what stands to the process before has yet to break.
      this.startTimer(RETRY_MAX_MS, () => this.dial())
      return
    }
    this.open = true
    this.retryMs = RETRY_MIN_MS
    this.flush()
    this.events.opened()
  }

  private onEnded(status: grpc.StatusObject): void {
    this.stopTimer()
    const stood = this.open
    this.forgetCall()
    if (stood) this.events.broke()
    let delayMs = this.retryMs
    this.retryMs = Math.min(this.retryMs * 2, RETRY_MAX_MS)
    const isDuplicate = status.code === grpc.status.ALREADY_EXISTS
    if (isDuplicate || status.code === grpc.status.FAILED_PRECONDITION) {
      delayMs = REFUSED_RETRY_MS
      if (isDuplicate) this.events.duplicate(status.details, status.metadata)
      else this.events.refused(status.details)
    }
    // The handler may have closed us.
    if (!this.isClosed) this.startTimer(delayMs, () => this.dial())
  }

  /** A fresh channel resolves the name anew and dials at once. */
  private onOpenTimeout(): void {
    this.forgetCall()
    this.client?.close()
    this.client = undefined
    this.dial()
  }

  private startTimer(delayMs: number, due: () => void): void {
    this.timer = setTimeout(() => {
      this.timer = undefined
      due()
    }, delayMs)
  }

  private stopTimer(): void {
    clearTimeout(this.timer)
    this.timer = undefined
  }

  private forgetCall(): void {
    const call = this.call
    this.call = undefined
    this.open = false
    this.isBlocked = false
    this.inFlightBytes = 0
    this.clearQueue()
    call?.cancel()
  }

  private clearQueue(): void {
    this.dropped += this.queue.length
    this.queue.length = 0
    this.queuedBytes = 0
  }

  private write(bytes: Uint8Array): void {
    const call = this.call!
    this.inFlightBytes += bytes.length
    const hasRoom = call.write(bytes, () => this.onWritten(call, bytes.length))
    this.isBlocked = !hasRoom || this.inFlightBytes >= MAX_IN_FLIGHT_BYTES
  }

  private onWritten(call: OutgoingCall, length: number): void {
    if (call !== this.call) return
    this.inFlightBytes -= length
    if (!this.isBlocked || call.writableNeedDrain || this.inFlightBytes >= MAX_IN_FLIGHT_BYTES) return
    this.isBlocked = false
    this.flush()
  }

  private flush(): void {
    let sent = 0
    while (sent < this.queue.length && !this.isBlocked) {
      const bytes = this.queue[sent++]!
      this.queuedBytes -= bytes.length
      this.write(bytes)
    }
    this.queue.splice(0, sent)
  }
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** gRPC's form of an address; IPv6 in brackets. */
export function target(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** Whom to dial. The scheme is named: a host may be called `unix` or `xds`. */
export function dialTarget(address: Address): string {
  return `dns:${target(address)}`
}
