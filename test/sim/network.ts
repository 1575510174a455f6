import { randomBelow, randomFloat } from '../../src/lib/prng.js'
import {
  type Address,
  type ByteStream,
  DialError,
  type Dialer,
  type Listener,
  type StreamHandler,
} from '../../src/ports/network.js'
import type { Random } from '../../src/ports/random.js'
import type { SimProcess, SimWorldClock } from './clock.js'

/** Below it `onDrain` is called. */
const LOW_MARK_BYTES = 64 * 1024
/** In flight between two ends; what is beyond waits in the sender's queue. */
const WINDOW_BYTES = 256 * 1024

/** As Linux does it. */
const MIN_RETRANSMISSION_MS = 200
const MAX_RETRANSMISSION_MS = 1_600

/** Which links work, and how fast. Shared by the byte streams and the peers' messages. */
export class SimLinks {
  minLatencyMs = 0.1
  maxLatencyMs = 1
  /** Of so many segments one arrives in two parts, and some that a reset meets on their way in part; 0: all are whole. */
  partsOfOneIn = 0
  /** Segments that came in two parts. */
  splits = 0
  /** Segments of which a reset let only a part through. */
  brokenSegments = 0
  /** Added on a directed link. */
  readonly extraLatencyMs = new Map<string, number>()
  /** The share of segments on a directed link that are lost and sent again. */
  readonly loss = new Map<string, number>()
  /** By directed link, the cuts that stand there. */
  private readonly cuts = new Map<string, Set<symbol>>()
  /** Hosts without power: not even their kernels answer. */
  private readonly dark = new Set<string>()
  private readonly healed: (() => void)[] = []

  constructor(private readonly random: Random) {}

  /**
   * From now on nothing passes from one host to the other; what is sent waits and is retransmitted when healed. What it
   * returns undoes this cut, and no other of the same link.
   */
  cut(from: string, to: string): () => void {
    const link = linkKey(from, to)
    const cut = Symbol(link)
    const standing = this.cuts.get(link)
    if (standing === undefined) this.cuts.set(link, new Set([cut]))
    else standing.add(cut)
    return () => this.undo(link, cut)
  }

  cutBoth(a: string, b: string): () => void {
    const there = this.cut(a, b)
    const back = this.cut(b, a)
    return () => {
      there()
      back()
    }
  }

  /**
   * The host loses power: silence, until what it returns is called. Then its kernel resets what it knows nothing of.
   */
  darken(host: string): () => void {
    this.dark.add(host)
    return () => {
      if (this.dark.delete(host)) this.notifyHealed()
    }
  }

  /** Every cut is undone, whoever made it. */
  healAll(): void {
    this.cuts.clear()
    this.notifyHealed()
  }

  private undo(link: string, cut: symbol): void {
    const standing = this.cuts.get(link)
    if (standing?.delete(cut) !== true || standing.size > 0) return
    this.cuts.delete(link)
    this.notifyHealed()
  }

  isCut(from: string, to: string): boolean {
    if (this.dark.size > 0 && (this.dark.has(from) || this.dark.has(to))) return true
    return this.cuts.size > 0 && this.cuts.has(linkKey(from, to))
  }

  latencyMs(from: string, to: string): number {
    const span = this.maxLatencyMs - this.minLatencyMs
    let latencyMs = this.minLatencyMs + randomFloat(this.random) * span
    if (this.extraLatencyMs.size > 0) latencyMs += this.extraLatencyMs.get(linkKey(from, to)) ?? 0
    return this.loss.size === 0 ? latencyMs : latencyMs + this.retransmissionMs(linkKey(from, to))
  }

  /** Where a segment of so many bytes is split; 0: nowhere. */
  splitAt(bytes: number): number {
    if (this.partsOfOneIn === 0 || bytes < 2 || randomBelow(this.random, this.partsOfOneIn) > 0) return 0
    this.splits++
    return 1 + randomBelow(this.random, bytes - 1)
  }

  /** How many of so many bytes on their way a reset lets through. */
  leftByReset(bytes: number): number {
    if (this.partsOfOneIn === 0 || bytes < 2 || randomBelow(this.random, 4) > 0) return bytes
    this.brokenSegments++
    return 1 + randomBelow(this.random, bytes - 1)
  }

  /** What TCP waits for a segment to be sent again, twice as long each time. */
  private retransmissionMs(link: string): number {
    const loss = this.loss.get(link) ?? 0
    let waitedMs = 0
    for (
      let timeoutMs = MIN_RETRANSMISSION_MS;
      timeoutMs <= MAX_RETRANSMISSION_MS && loss > 0 && randomFloat(this.random) < loss;
      timeoutMs *= 2
    )
      waitedMs += timeoutMs
    return waitedMs
  }

  /** Runs once, at the next heal. */
  onceHealed(run: () => void): void {
    this.healed.push(run)
  }

  private notifyHealed(): void {
    for (const run of this.healed.splice(0)) run()
  }
}

export function linkKey(from: string, to: string): string {
  return `${from}>${to}`
}

interface ListeningPort {
  readonly process: SimProcess
  readonly accepted: (stream: ByteStream) => StreamHandler
}

/**
 * Ordered byte streams between addresses. A host's kernel outlives its processes: it refuses where nobody listens and
 * resets what a killed process held; a paused process, a cut link and a host without power are silence.
 */
export class SimNetwork {
  private readonly ports = new Map<string, ListeningPort>()
  /** Both ends of every connection that is not closed. */
  readonly streams = new Set<SimStream>()
  private nextEphemeralPort = 40_000

  constructor(
    readonly world: SimWorldClock,
    readonly links: SimLinks,
  ) {}

  /** A process's way into the network. `host` is where its listeners are and where it dials from. */
  endpoint(process: SimProcess, host: string): Dialer & Listener {
    return {
      dial: (address, timeoutMs, opened, failed) =>
        this.dial(process, host, address, timeoutMs, opened, failed),
      listen: (address, accepted, listening, failed) => {
        const port = address.port === 0 ? this.nextEphemeralPort++ : address.port
        const key = `${host}:${port}`
        let listens = false
        process.schedule(0, () => {
          const holder = this.ports.get(key)
          if (holder !== undefined && holder.process.state !== 'dead') {
            failed(new Error(`${key} is in use`))
            return
          }
          listens = true
          this.ports.set(key, { process, accepted })
          process.onKill.add(() => this.release(key, process))
          listening({ host, port })
        })
        return {
          close: () => {
            if (listens) this.release(key, process)
          },
        }
      },
    }
  }

  /** Something between two hosts resets their connections: both ends hear of it. */
  reset(a: string, b: string): void {
    for (const stream of [...this.streams]) {
      const { local, remote } = stream
      if ((local.host === a && remote.host === b) || (local.host === b && remote.host === a))
        stream.resetFromOutside()
    }
  }

  /** A dial without a process behind it: the answer of the host's kernel. Used by probes. */
  answers(address: Address): 'open' | 'refused' {
    const port = this.ports.get(`${address.host}:${address.port}`)
    return port === undefined || port.process.state === 'dead' ? 'refused' : 'open'
  }

  private release(key: string, process: SimProcess): void {
    if (this.ports.get(key)?.process === process) this.ports.delete(key)
  }

  private dial(
    process: SimProcess,
    host: string,
    address: Address,
    timeoutMs: number,
    opened: (stream: ByteStream) => StreamHandler,
    failed: (error: DialError) => void,
  ): void {
    if (process.state === 'dead') return
    let settled = false
    const settle = (input: () => void): void => {
      if (settled) return
      settled = true
      timer.cancel()
      input()
    }
    const timer = process.schedule(timeoutMs, () => {
      settle(() => failed(new DialError('timeout', `no answer from ${address.host}:${address.port}`)))
    })
    // The handshake: there, an answer of the kernel, and back. A cut in either direction is silence.
    this.deliver(host, address.host, () => {
      const port = this.ports.get(`${address.host}:${address.port}`)
      const open = port !== undefined && port.process.state !== 'dead'
      const pair = open ? this.connect(process, host, port, address) : null
      this.deliver(address.host, host, () => {
        process.input(() => {
          if (settled) {
            pair?.client.destroy()
            return
          }
          settle(() => {
            if (pair === null) failed(new DialError('refused', `${address.host}:${address.port} refused`))
            else pair.client.start(opened(pair.client))
          })
        })
      })
    })
  }

  /** Both ends exist as soon as the kernel of the listener took the connection. */
  private connect(
    process: SimProcess,
    host: string,
    port: ListeningPort,
    address: Address,
  ): { client: SimStream } {
    const local = { host, port: this.nextEphemeralPort++ }
    const client = new SimStream(this, process, local, address)
    const server = new SimStream(this, port.process, address, local)
    client.peer = server
    server.peer = client
    port.process.schedule(0, () => server.start(port.accepted(server)))
    return { client }
  }

  /** Runs `run` at the far host after the link's latency; while the link is cut, it waits for the heal. */
  deliver(from: string, to: string, run: () => void): void {
    this.world.schedule(null, this.links.latencyMs(from, to), () => {
      if (this.links.isCut(from, to)) this.links.onceHealed(() => this.deliver(from, to, run))
      else run()
    })
  }
}

type Segment = { kind: 'data'; bytes: Uint8Array } | { kind: 'fin' } | { kind: 'reset' }

/** One end. Segments leave in order; a segment that meets a cut link holds all behind it. */
class SimStream implements ByteStream {
  peer!: SimStream
  private handler: StreamHandler | null = null
  private readonly received: Segment[] = []
  private readonly queue: Segment[] = []
  private queuedBytes = 0
  private inFlightBytes = 0
  /** What travels now. */
  private travelling: Segment | null = null
  private isPaused = false
  private isEnding = false
  private isDestroyed = false
  private isClosed = false
  private wasHigh = false

  constructor(
    private readonly network: SimNetwork,
    readonly process: SimProcess,
    readonly local: Address,
    readonly remote: Address,
  ) {
    process.onKill.add(this.kernelReset)
    network.streams.add(this)
  }

  get bufferedBytes(): number {
    return this.queuedBytes
  }

  start(handler: StreamHandler): void {
    this.handler = handler
    this.drainReceived()
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.isClosed || this.isEnding || this.isDestroyed) return
    // One segment for one gathered write, copied: the kernel takes the bytes.
    const bytes = Buffer.concat(chunks)
    if (bytes.length === 0) return
    this.enqueue({ kind: 'data', bytes })
    if (this.queuedBytes > LOW_MARK_BYTES) this.wasHigh = true
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.process.schedule(0, () => this.drainReceived())
  }

  end(): void {
    if (this.isClosed || this.isEnding || this.isDestroyed) return
    this.isEnding = true
    this.enqueue({ kind: 'fin' })
  }

  destroy(): void {
    if (this.isClosed || this.isDestroyed) return
    this.isDestroyed = true
    this.dropQueue()
    this.enqueue({ kind: 'reset' })
    this.process.schedule(0, () => this.close(null))
  }

  /** Each end is told by itself, as a middlebox does that resets both. */
  resetFromOutside(): void {
    if (this.isClosed || this.isDestroyed) return
    this.isDestroyed = true
    this.dropQueue()
    this.process.schedule(0, () => this.close(new Error('ECONNRESET: the connection was reset')))
  }

  /** The process died: its kernel tells the other side. */
  private readonly kernelReset = (): void => {
    if (this.isClosed) return
    this.isClosed = true
    this.network.streams.delete(this)
    if (this.isDestroyed) return
    this.dropQueue()
    this.breakTravelling()
    this.enqueue({ kind: 'reset' })
  }

  private dropQueue(): void {
    this.queue.length = 0
    this.queuedBytes = 0
  }

  /** A frame may end within what travels. */
  private breakTravelling(): void {
    const { travelling } = this
    if (travelling?.kind !== 'data') return
    travelling.bytes = travelling.bytes.subarray(0, this.network.links.leftByReset(travelling.bytes.length))
  }

  private enqueue(segment: Segment): void {
    this.queue.push(segment)
    if (segment.kind === 'data') this.queuedBytes += segment.bytes.length
    this.pump()
  }

  /** One segment travels at a time, so that none overtakes another; it takes all data that waited. */
  private pump(): void {
    if (this.travelling !== null || this.inFlightBytes >= WINDOW_BYTES) return
    const segment = this.nextSegment()
    if (segment === undefined) return
    this.travelling = segment
    if (segment.kind === 'data') {
      this.queuedBytes -= segment.bytes.length
      this.inFlightBytes += segment.bytes.length
      if (this.wasHigh && this.queuedBytes <= LOW_MARK_BYTES) {
        this.wasHigh = false
        this.process.schedule(0, () => {
          if (!this.isClosed) this.handler?.onDrain?.()
        })
      }
    }
    this.network.deliver(this.local.host, this.remote.host, () => {
      this.travelling = null
      this.pump()
      this.peer.arrive(segment)
    })
  }

  private nextSegment(): Segment | undefined {
    const first = this.queue.shift()
    if (first?.kind !== 'data') return first
    const at = this.network.links.splitAt(first.bytes.length)
    if (at > 0) {
      this.queue.unshift({ kind: 'data', bytes: first.bytes.subarray(at) })
      return { kind: 'data', bytes: first.bytes.subarray(0, at) }
    }
    const chunks = [first.bytes]
    let bytes = first.bytes.length
    for (let next = this.queue[0]; next?.kind === 'data' && bytes + next.bytes.length <= WINDOW_BYTES; ) {
      chunks.push(next.bytes)
      bytes += next.bytes.length
      this.queue.shift()
      next = this.queue[0]
    }
    return chunks.length === 1 ? first : { kind: 'data', bytes: Buffer.concat(chunks) }
  }

  private arrive(segment: Segment): void {
    this.received.push(segment)
    this.process.input(this.drain)
  }

  private readonly drain = (): void => this.drainReceived()

  private drainReceived(): void {
    while (this.handler !== null && !this.isClosed && !this.isDestroyed && this.received.length > 0) {
      if (this.isPaused && this.received[0]!.kind === 'data') return
      const segment = this.received.shift()!
      if (segment.kind === 'data') {
        this.peer.acknowledged(segment.bytes.length)
        this.handler.onData(segment.bytes)
      } else if (segment.kind === 'fin') {
        // node:net's default: the other side's end ends ours once what we queued has been sent.
        this.end()
        this.close(null)
      } else {
        this.close(new Error('ECONNRESET: the other side reset the connection'))
      }
    }
  }

  private acknowledged(bytes: number): void {
    this.inFlightBytes -= bytes
    this.pump()
  }

  private close(error: Error | null): void {
    if (this.isClosed) return
    this.isClosed = true
    this.network.streams.delete(this)
    this.process.onKill.delete(this.kernelReset)
    if (error !== null) this.dropQueue()
    this.handler?.onClose(error)
  }
}
