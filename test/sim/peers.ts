import type { NodeId, Uuid } from '../../src/lib/ids.js'
import type { Address } from '../../src/ports/network.js'
import type {
  Greeting,
  Lane,
  PeerHandler,
  PeerIdentity,
  PeerRefusal,
  PeerTransport,
} from '../../src/ports/peers.js'
import type { SimProcess } from './clock.js'
import type { SimNetwork } from './network.js'

const LANES: readonly Lane[] = ['heartbeat', 'raft', 'controller']
/** Messages that wait on one lane of one direction; what comes on top is dropped. */
const QUEUE_LIMIT = 10_000
const RECONNECT_MS = 50
const DIAL_TIMEOUT_MS = 1_000
/** After a refusal by another node, or since another process is this one. */
const REFUSED_RETRY_MS = 500
/** Where this side refused. */
const GREETING_RETRY_MS = 100

/**
 * Ordered messages between the nodes of a simulated world, in place of gRPC: over the same links, refusals, resets and
 * silence as the byte streams. Messages are copied by `clone`, so that no two nodes share an object.
 */
export class SimPeerNetwork<M> {
  /** The last that was started of each id. */
  readonly nodes = new Map<NodeId, SimPeerTransport<M>>()
  /** Who listens, or last did. */
  readonly hosts = new Map<string, SimPeerTransport<M>>()
  /** Every message as it leaves its sender, before anything can happen to it: what it claims must hold by now. */
  onSend: ((from: NodeId, to: NodeId, message: M) => void) | null = null
  /** Every message as it is delivered: for traces and checks. */
  onDeliver: ((from: NodeId, to: NodeId, message: M) => void) | null = null
  /** A message that this says true to is lost; its connection stays. Only for tests of lost messages. */
  drop: ((from: NodeId, to: NodeId, message: M) => boolean) | null = null

  constructor(
    readonly network: SimNetwork,
    readonly clone: (message: M) => M = copyOf,
  ) {}

  /** Something between two nodes resets their connections: both ends hear of it. */
  reset(a: NodeId, b: NodeId): void {
    this.nodes.get(a)?.reset(b)
    this.nodes.get(b)?.reset(a)
  }

  /** Nothing came from or to this host for long: the keepalives of both ends found out. */
  expire(host: string): void {
    for (const transport of this.hosts.values()) transport.expire(host)
  }

  /** One node's transport, listening at once. `host` names it in the links. */
  transport(
    nodeId: NodeId,
    host: string,
    process: SimProcess,
    handler: PeerHandler<M>,
    self: PeerIdentity,
  ): PeerTransport<M> {
    const transport = new SimPeerTransport(this, nodeId, host, process, handler, self)
    this.nodes.set(nodeId, transport)
    this.hosts.set(host, transport)
    process.onKill.add(() => transport.killed())
    return transport
  }
}

/** What `structuredClone` does with plain data, at a tenth of its cost. */
export function copyOf<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(copyOf) as T
  if (value instanceof Uint8Array) return new Uint8Array(value) as T
  if (Object.getPrototypeOf(value) !== Object.prototype) return structuredClone(value)
  const copy = { ...value } as Record<string, unknown>
  for (const key in copy) {
    const member = copy[key]
    if (typeof member === 'object' && member !== null) copy[key] = copyOf(member)
  }
  return copy as T
}

/** A connection in one direction: the dialling side sends, as a gRPC client stream does. */
interface Connection<M> {
  readonly from: SimPeerTransport<M>
  readonly to: SimPeerTransport<M>
  readonly lanes: Map<Lane, { queue: M[]; isSending: boolean }>
  isOpen: boolean
}

class SimPeerTransport<M> implements PeerTransport<M> {
  private peers: ReadonlyMap<NodeId, Address> = new Map()
  private readonly outgoing = new Map<NodeId, Connection<M>>()
  readonly incoming = new Set<Connection<M>>()
  private readonly dialling = new Set<NodeId>()
  /** What the handler was told last. */
  private readonly connected = new Set<NodeId>()
  /** By peer and direction, the newest connection that stood here. */
  private readonly standing = new Map<NodeId, { outgoing?: Connection<M>; incoming?: Connection<M> }>()
  /** The process that each peer is. */
  private readonly incarnations = new Map<NodeId, Uuid>()
  /** For a connected peer that is being dialled. */
  private readonly waiting = new Map<NodeId, { lane: Lane; message: M }[]>()
  private isClosed = false

  constructor(
    private readonly hub: SimPeerNetwork<M>,
    readonly nodeId: NodeId,
    readonly host: string,
    readonly process: SimProcess,
    readonly handler: PeerHandler<M>,
    readonly self: PeerIdentity,
  ) {}

  get isListening(): boolean {
    return !this.isClosed && this.process.state !== 'dead'
  }

  setPeers(peers: ReadonlyMap<NodeId, Address>): void {
    this.peers = new Map(peers)
    for (const [id, connection] of this.outgoing) if (!peers.has(id)) this.hangUp(id, connection)
    for (const id of peers.keys()) if (id !== this.nodeId) this.connect(id)
  }

  send(to: NodeId, lane: Lane, message: M): void {
    if (!this.isListening) return
    const connection = this.outgoing.get(to)
    if (connection === undefined) {
      this.keep(to, lane, message)
      return
    }
    const state = connection.lanes.get(lane)!
    if (state.queue.length >= QUEUE_LIMIT) return
    this.hub.onSend?.(this.nodeId, to, message)
    state.queue.push(this.hub.clone(message))
    this.pump(connection, lane)
  }

  /** As gRPC's adapter: what is sent to a connected peer waits for a stream that is still being opened. */
  private keep(to: NodeId, lane: Lane, message: M): void {
    if (!this.connected.has(to) || !this.peers.has(to)) return
    let messages = this.waiting.get(to)
    if (messages === undefined) this.waiting.set(to, (messages = []))
    if (messages.length >= QUEUE_LIMIT) return
    this.hub.onSend?.(this.nodeId, to, message)
    messages.push({ lane, message: this.hub.clone(message) })
  }

  probe(to: NodeId, timeoutMs: number, done: (result: 'open' | 'refused' | 'timeout') => void): void {
    let settled = false
    const settle = (result: 'open' | 'refused' | 'timeout'): void => {
      if (settled) return
      settled = true
      timer.cancel()
      done(result)
    }
    const timer = this.process.schedule(timeoutMs, () => settle('timeout'))
    this.handshake(this.peers.get(to)?.host, (answer) => settle(answer === null ? 'refused' : 'open'))
  }

  identify(address: Address, timeoutMs: number, done: (nodeId: NodeId | undefined) => void): void {
    let settled = false
    const settle = (nodeId: NodeId | undefined): void => {
      if (settled) return
      settled = true
      timer.cancel()
      done(nodeId)
    }
    const timer = this.process.schedule(timeoutMs, () => settle(undefined))
    this.handshake(address.host, (answer) => settle(answer?.nodeId))
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.dropAll()
  }

  reset(to: NodeId): void {
    const connection = this.outgoing.get(to)
    if (connection === undefined) return
    this.breakConnection(connection)
    this.process.schedule(0, () => {
      if (!this.isClosed) this.broke(to, connection)
    })
  }

  expire(host: string): void {
    for (const [peer, { outgoing, incoming }] of this.standing) {
      for (const connection of [outgoing, incoming]) {
        if (connection === undefined) continue
        if (connection.from.host !== host && connection.to.host !== host) continue
        connection.isOpen = false
        if (this.outgoing.get(peer) === connection) this.outgoing.delete(peer)
        this.incoming.delete(connection)
        this.process.schedule(0, () => {
          if (this.isClosed) return
          this.broke(peer, connection)
          this.connect(peer)
        })
      }
    }
  }

  /** The kernel closes what the process held. */
  killed(): void {
    this.dropAll()
  }

  private dropAll(): void {
    for (const connection of [...this.outgoing.values(), ...this.incoming]) this.breakConnection(connection)
  }

  private connect(to: NodeId): void {
    if (this.isClosed || !this.peers.has(to) || this.outgoing.has(to) || this.dialling.has(to)) return
    // It broke, and its end has not come here yet.
    if (this.standing.get(to)?.outgoing !== undefined) return
    this.dialling.add(to)
    let settled = false
    const retry = (delayMs: number): void => {
      settled = true
      this.process.schedule(delayMs, () => {
        this.dialling.delete(to)
        this.connect(to)
      })
    }
    const timer = this.process.schedule(DIAL_TIMEOUT_MS, () => {
      if (!settled) retry(RECONNECT_MS)
    })
    this.call(to, (peer, refusal) => {
      if (settled) return
      timer.cancel()
      if (refusal !== undefined) {
        retry(REFUSED_RETRY_MS)
        this.handler.onDuplicate(to, refusal)
      } else if (peer === null || this.isClosed || !this.peers.has(to)) retry(RECONNECT_MS)
      else if (peer.nodeId !== to) retry(REFUSED_RETRY_MS)
      else if (this.greet(to, peer.self, { isDialled: true, ledTerm: undefined }) !== undefined)
        retry(GREETING_RETRY_MS)
      else {
        settled = true
        this.dialling.delete(to)
        this.opened(to, peer)
      }
    })
  }

  /** As gRPC's adapter: both sides say which process they are, and each may refuse the other. */
  private greet(
    from: NodeId,
    identity: PeerIdentity,
    greeting: Omit<Greeting, 'isStanding'>,
  ): PeerRefusal | undefined {
    const standing = this.standing.get(from)
    const isStanding = standing?.outgoing !== undefined || standing?.incoming !== undefined
    const refusal = this.handler.onGreeting(from, identity, { isStanding, ...greeting })
    if (refusal === undefined) this.succeed(from, identity.incarnationId)
    return refusal
  }

  /** Of the process that last had a stream to or from this node. */
  incarnationOf(peer: NodeId): Uuid | undefined {
    return this.incarnations.get(peer)
  }

  /** No other one has taken its place meanwhile. */
  private isProcess(peer: NodeId, { incarnationId }: PeerIdentity): boolean {
    return this.incarnations.get(peer) === incarnationId
  }

  /** Another process is this peer from now on: what stands to and from the one before is over. */
  private succeed(peer: NodeId, incarnationId: Uuid): void {
    if (this.incarnations.get(peer) === incarnationId) return
    this.incarnations.set(peer, incarnationId)
    const standing = this.standing.get(peer)
    if (standing === undefined) return
    this.standing.delete(peer)
    if (standing.incoming !== undefined) this.breakConnection(standing.incoming)
    if (standing.outgoing !== undefined) this.breakConnection(standing.outgoing)
    this.waiting.delete(peer)
    if (this.connected.delete(peer)) this.handler.onDisconnected(peer)
  }

  private opened(to: NodeId, peer: SimPeerTransport<M>): void {
    const lanes = new Map(LANES.map((lane) => [lane, { queue: [] as M[], isSending: false }]))
    const connection: Connection<M> = { from: this, to: peer, lanes, isOpen: true }
    this.outgoing.set(to, connection)
    peer.incoming.add(connection)
    if (!peer.isListening) {
      // It died while the answer travelled: the kernel resets the connection.
      this.breakConnection(connection)
      return
    }
    this.stands(to, connection)
    for (const { lane, message } of this.waiting.get(to) ?? []) {
      lanes.get(lane)!.queue.push(message)
    }
    this.waiting.delete(to)
    for (const lane of LANES) this.pump(connection, lane)
    // The accepting side hears of it too: of this connection's life it saw the beginning as well as the end.
    this.hub.network.deliver(this.host, peer.host, () => {
      peer.process.schedule(0, () => {
        if (!connection.isOpen || !peer.isListening) return
        if (peer.isProcess(this.nodeId, this.self)) peer.stands(this.nodeId, connection)
        else peer.breakConnection(connection)
      })
    })
  }

  /** As gRPC's adapter: connected from the first connection to or from the peer until one that stood breaks. */
  private stands(peer: NodeId, connection: Connection<M>): void {
    this.standing.set(peer, { ...this.standing.get(peer), [this.directionOf(connection)]: connection })
    if (this.connected.has(peer)) return
    this.connected.add(peer)
    this.handler.onConnected(peer)
  }

  /** The end of a connection may be heard of after the next one the same way stands: it is of the past. */
  private broke(peer: NodeId, connection: Connection<M>): void {
    const standing = this.standing.get(peer)
    const direction = this.directionOf(connection)
    if (standing?.[direction] !== connection) return
    delete standing[direction]
    this.waiting.delete(peer)
    if (this.connected.delete(peer)) this.handler.onDisconnected(peer)
  }

  /** Our own doing, so nobody died; the next connection counts as new. */
  private hangUp(peer: NodeId, connection: Connection<M>): void {
    this.breakConnection(connection)
    this.waiting.delete(peer)
    const standing = this.standing.get(peer)
    delete standing?.outgoing
    if (standing?.incoming === undefined) this.connected.delete(peer)
  }

  private directionOf(connection: Connection<M>): 'outgoing' | 'incoming' {
    return connection.from === this ? 'outgoing' : 'incoming'
  }

  /** There and back over the links; null: refused. Silence where a direction is cut. The kernel alone answers. */
  private handshake(host: string | undefined, answered: (peer: SimPeerTransport<M> | null) => void): void {
    if (host === undefined || !this.isListening) return
    this.hub.network.deliver(this.host, host, () => {
      const peer = this.hub.hosts.get(host)
      const answer = peer?.isListening === true ? peer : null
      this.hub.network.deliver(host, this.host, () => this.process.input(() => answered(answer)))
    })
  }

  /** A handshake that the other process itself answers: one that is paused does not. */
  private call(
    to: NodeId,
    answered: (peer: SimPeerTransport<M> | null, refusal: PeerRefusal | undefined) => void,
  ): void {
    const host = this.peers.get(to)!.host
    const greeting = { isDialled: false, ledTerm: this.handler.ledTerm() }
    const answer = (peer: SimPeerTransport<M> | null, refusal?: PeerRefusal): void =>
      this.hub.network.deliver(host, this.host, () => this.process.input(() => answered(peer, refusal)))
    this.hub.network.deliver(this.host, host, () => {
      // What waited for a link to be healed is sent again by a living process alone.
      if (!this.isListening) return
      const peer = this.hub.hosts.get(host)
      if (peer?.isListening !== true) answer(null)
      else
        peer.process.input(() =>
          answer(peer, peer.nodeId === to ? peer.greet(this.nodeId, this.self, greeting) : undefined),
        )
    })
  }

  /** One message of a lane travels at a time, so that none overtakes another. */
  private pump(connection: Connection<M>, lane: Lane): void {
    const state = connection.lanes.get(lane)!
    if (state.isSending || !connection.isOpen) return
    // All that waited travels together, as one write of a socket does.
    const messages = state.queue.splice(0)
    if (messages.length === 0) return
    state.isSending = true
    const { to } = connection
    this.hub.network.deliver(this.host, to.host, () => {
      state.isSending = false
      // What left before the sender died still arrives; what the receiver's death broke does not.
      this.pump(connection, lane)
      to.arrive(this.nodeId, messages)
    })
  }

  /** Each is an event of its own; the first is the one that brought them. */
  private arrive(from: NodeId, messages: readonly M[]): void {
    messages.forEach((message, i) => {
      if (this.isClosed || this.hub.drop?.(from, this.nodeId, message) === true) return
      const handle = (): void => {
        this.hub.onDeliver?.(from, this.nodeId, message)
        this.handler.onMessage(from, message)
      }
      if (i === 0) this.process.input(handle)
      else this.process.schedule(0, handle)
    })
  }

  /** Both sides hear of it, each after the link's latency; the side that broke it hears nothing. */
  private breakConnection(connection: Connection<M>): void {
    if (!connection.isOpen) return
    connection.isOpen = false
    const { from, to } = connection
    if (from.outgoing.get(to.nodeId) === connection) from.outgoing.delete(to.nodeId)
    to.incoming.delete(connection)
    const other = from === this ? to : from
    this.hub.network.deliver(this.host, other.host, () => {
      other.process.schedule(0, () => {
        if (other.isClosed) return
        other.broke(this.nodeId, connection)
        other.connect(this.nodeId)
      })
    })
    if (from === this && this.isListening) this.process.schedule(RECONNECT_MS, () => this.connect(to.nodeId))
  }
}
