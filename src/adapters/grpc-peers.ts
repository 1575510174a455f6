import { connect } from 'node:net'
import * as grpc from '@grpc/grpc-js'
import type { PeerMessage } from '../broker/peer-message.js'
import type { NodeId, Uuid } from '../lib/ids.js'
import type { Logger } from '../ports/logger.js'
import type { Address } from '../ports/network.js'
import type { Greeting, Lane, PeerHandler, PeerIdentity, PeerRefusal, PeerTransport } from '../ports/peers.js'
import {
  type Hello,
  helloHeaders,
  identityHeaders,
  NO_IDENTITY,
  readHello,
  readIdentity,
  readRefusal,
  refusalTrailers,
} from './grpc-peer-hello.js'
import { asBuffer, CHANNEL_OPTIONS, dialTarget, PEER_METHOD_PATH, PeerLane } from './grpc-peer-lane.js'
import { createPeerMessageCodec } from './peer-codec.js'
import { messageCodec } from './protobuf.js'

const IDENTIFY_METHOD_PATH = '/kogge.peer.v1.Peer/Identify'
const LANES: readonly Lane[] = ['heartbeat', 'raft', 'controller']

export interface GrpcPeersOptions {
  readonly nodeId: NodeId
  /** Of this process, as the others are greeted with it. */
  readonly self: PeerIdentity
  /** The cluster that this node belongs to; undefined before it was founded or joined. */
  clusterId(): string | undefined
  readonly logger: Logger
  readonly handler: PeerHandler<PeerMessage>
}

/** The transport, and the service that a server must offer so that others reach it. */
export interface GrpcPeers extends PeerTransport<PeerMessage> {
  /** Adds the peer service; before the server is bound. */
  addTo(server: grpc.Server): void
  /** Messages that were dropped for want of room or of a connection, since the start. */
  droppedMessages(): number
}

type IncomingCall = grpc.ServerDuplexStream<Uint8Array, Uint8Array>

interface Peer {
  readonly id: NodeId
  address: Address | undefined
  readonly outgoing: Map<Lane, PeerLane>
  readonly incoming: Map<Lane, IncomingCall>
  /** The process that the streams belong to. */
  incarnationId: Uuid | undefined
  /** What the handler was told last. */
  connected: boolean
  lastRefusal: string
}

/**
 * One bidirectional stream for each lane and direction, each lane on a connection of its own. A peer counts as
 * connected from the moment a stream to or from it is established until one that stood breaks: that is when its
 * process may have died, and waiting for the other streams to follow would only cost time.
 */
export function createGrpcPeers(options: GrpcPeersOptions): GrpcPeers {
  return new Peers(options)
}

class Peers implements GrpcPeers {
  private readonly codec = createPeerMessageCodec()
  private readonly identityCodec = messageCodec<{ nodeId: NodeId }>('kogge.peer.v1.IdentifyReply')
  private readonly peers = new Map<NodeId, Peer>()
  private droppedBefore = 0
  private isClosed = false

  constructor(private readonly options: GrpcPeersOptions) {}

  setPeers(addresses: ReadonlyMap<NodeId, Address>): void {
    if (this.isClosed) return
    for (const peer of this.peers.values()) {
      if (addresses.has(peer.id)) continue
      this.stopDialling(peer)
      this.forgetIdle(peer)
    }
    for (const [id, address] of addresses) {
      if (id === this.options.nodeId) continue
      const peer = this.peer(id)
      if (peer.address?.host === address.host && peer.address.port === address.port) continue
      this.stopDialling(peer)
      peer.address = address
      for (const lane of LANES) peer.outgoing.set(lane, this.openLane(peer, lane, address))
    }
  }

  send(to: NodeId, lane: Lane, message: PeerMessage): void {
    const outgoing = this.peers.get(to)?.outgoing.get(lane)
    if (!outgoing) {
      this.droppedBefore++
      return
    }
    let bytes: Uint8Array
    try {
      bytes = this.codec.encode(message)
    } catch (error) {
      this.droppedBefore++
      this.options.logger.error(
        { err: error, to, type: message.type },
        'a message to a peer cannot be encoded',
      )
      return
    }
    outgoing.send(bytes)
  }

  probe(to: NodeId, timeoutMs: number, done: (result: 'open' | 'refused' | 'timeout') => void): void {
    const address = this.peers.get(to)?.address
    if (!address) {
      setImmediate(done, 'timeout')
      return
    }
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    const finish = (result: 'open' | 'refused' | 'timeout') => {
      clearTimeout(timer)
      // Errors that come after the result tell nothing.
      socket.removeAllListeners().on('error', () => undefined)
      socket.destroy()
      if (!this.isClosed) done(result)
    }
    const timer = setTimeout(finish, timeoutMs, 'timeout')
    // A dial of a free port of this host can meet itself (TCP's simultaneous open): nobody else is there.
    const isItself = () =>
      socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress
    socket.once('connect', () => finish(isItself() ? 'refused' : 'open'))
    // No route, no name: that says nothing about the process, so it is no proof of death.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      finish(error.code === 'ECONNREFUSED' ? 'refused' : 'timeout'),
    )
  }

  identify(address: Address, timeoutMs: number, done: (nodeId: NodeId | undefined) => void): void {
    const client = new grpc.Client(dialTarget(address), grpc.credentials.createInsecure(), CHANNEL_OPTIONS)
    const deadline = Date.now() + timeoutMs
    client.makeUnaryRequest(
      IDENTIFY_METHOD_PATH,
      () => Buffer.alloc(0),
      (bytes) => this.identityCodec.decode(bytes),
      {},
      { deadline },
      (_error, reply) => {
        client.close()
        if (!this.isClosed) done(reply?.nodeId)
      },
    )
  }

  droppedMessages(): number {
    let dropped = this.droppedBefore
    for (const peer of this.peers.values()) for (const lane of peer.outgoing.values()) dropped += lane.dropped
    return dropped
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    for (const peer of this.peers.values()) {
      this.stopDialling(peer)
      for (const call of peer.incoming.values()) call.end()
      peer.incoming.clear()
    }
  }

  addTo(server: grpc.Server): void {
    const raw = { requestStream: true, responseStream: true, path: PEER_METHOD_PATH }
    const serialize = asBuffer
    const deserialize = (bytes: Buffer): Uint8Array => bytes
    server.addService(
      {
        connect: {
          ...raw,
          requestSerialize: serialize,
          requestDeserialize: deserialize,
          responseSerialize: serialize,
          responseDeserialize: deserialize,
        },
        identify: {
          path: IDENTIFY_METHOD_PATH,
          requestStream: false,
          responseStream: false,
          requestSerialize: serialize,
          requestDeserialize: deserialize,
          responseSerialize: serialize,
          responseDeserialize: deserialize,
        },
      },
      {
        connect: (call: IncomingCall) => this.accept(call),
        identify: (
          _call: grpc.ServerUnaryCall<Uint8Array, Uint8Array>,
          done: grpc.sendUnaryData<Uint8Array>,
        ) => done(null, this.identityCodec.encode({ nodeId: this.options.nodeId })),
      },
    )
  }

  private peer(id: NodeId): Peer {
    let peer = this.peers.get(id)
    if (!peer) {
      peer = {
        id,
        address: undefined,
        outgoing: new Map(),
        incoming: new Map(),
        incarnationId: undefined,
        connected: false,
        lastRefusal: '',
      }
      this.peers.set(id, peer)
    }
    return peer
  }

  private openLane(peer: Peer, lane: Lane, address: Address): PeerLane {
    return new PeerLane(lane, address, {
      hello: () => {
        const { nodeId, self, handler } = this.options
        return helloHeaders({
          from: nodeId,
          to: peer.id,
          lane,
          clusterId: this.options.clusterId(),
          identity: self,
          ledTerm: handler.ledTerm(),
        })
      },
      mayDial: () => lane === 'heartbeat' || peer.outgoing.get('heartbeat')?.isOpen === true,
      isConnected: () => peer.connected,
      greeted: (headers) => this.isGreetingOf(peer, headers),
      opened: () => {
        peer.lastRefusal = ''
        for (const other of peer.outgoing.values()) other.wake()
        this.onStanding(peer)
      },
      broke: () => this.onBroken(peer),
      duplicate: (reason, trailers) =>
        this.options.handler.onDuplicate(peer.id, readRefusal(reason, trailers)),
      refused: (reason) => {
        if (reason === peer.lastRefusal) return
        peer.lastRefusal = reason
        this.options.logger.warn({ peer: peer.id, reason }, 'a peer refused the connection')
      },
    })
  }

  private stopDialling(peer: Peer): void {
    for (const lane of peer.outgoing.values()) {
      lane.close()
      this.droppedBefore += lane.dropped
    }
    peer.outgoing.clear()
    peer.address = undefined
    // Our own doing, so nobody died; the next stream that is established counts as new.
    if (peer.incoming.size === 0) peer.connected = false
  }

  /** Whoever came and went, under whatever id, leaves nothing behind. */
  private forgetIdle(peer: Peer): void {
    const isIdle = peer.address === undefined && peer.incoming.size === 0
    if (isIdle && this.peers.get(peer.id) === peer) this.peers.delete(peer.id)
  }

  private accept(call: IncomingCall): void {
    // A stream that was cut emits errors nobody waits for; 'close' tells of the end.
    call.on('error', () => undefined)
    const hello = readHello(call.metadata)
    const { from, lane, identity, ledTerm } = hello
    const refusal = this.refusal(hello)
    if (refusal !== undefined || identity === undefined) {
      call.emit('error', { code: grpc.status.FAILED_PRECONDITION, details: refusal ?? NO_IDENTITY })
      return
    }
    const duplicate = this.greet(from, identity, { isDialled: false, ledTerm })
    if (duplicate !== undefined) {
      const metadata = refusalTrailers(duplicate)
      call.emit('error', { code: grpc.status.ALREADY_EXISTS, details: duplicate.reason, metadata })
      return
    }
    const peer = this.peer(from)
    const isAnother = this.succeed(peer, identity)
    const former = peer.incoming.get(lane)
    peer.incoming.set(lane, call)
    // A peer that started again before its old connection's end was noticed.
    former?.end()
    call.on('data', (bytes: Uint8Array) => this.receive(peer, bytes))
    const ended = () => {
      if (peer.incoming.get(lane) !== call) return
      peer.incoming.delete(lane)
      if (this.isClosed) return
      this.onBroken(peer)
      this.forgetIdle(peer)
    }
    call.on('cancelled', ended)
    call.on('close', ended)
    call.on('end', () => {
      ended()
      call.end()
    })
    call.sendMetadata(identityHeaders(this.options.self))
    // It has just come (again), so our own dial need not wait.
    if (lane === 'heartbeat') peer.outgoing.get('heartbeat')?.redial()
    // Not from within this call: gRPC would turn an exception into a status, and an assertion must stop the broker.
    process.nextTick(() => {
      if (isAnother) this.onBroken(peer)
      if (peer.incoming.get(lane) === call) this.onStanding(peer)
    })
  }

  private refusal(hello: Hello): string | undefined {
    const { nodeId } = this.options
    const clusterId = this.options.clusterId()
    if (this.isClosed) return `node ${nodeId} is closing`
    if (!Number.isSafeInteger(hello.from) || hello.from < 0) return 'the header kogge-node is not a node id'
    if (!LANES.includes(hello.lane)) return `the header kogge-lane is none of ${LANES.join(', ')}`
    if (hello.to !== nodeId)
      return `this is node ${nodeId}, not node ${hello.to}: check the addresses of the voters`
    if (hello.from === nodeId) return `this is node ${nodeId} too: two nodes must not have the same node.id`
    if (hello.clusterId !== undefined && clusterId !== undefined && hello.clusterId !== clusterId) {
      return `node ${nodeId} belongs to cluster ${clusterId}, node ${hello.from} to cluster ${hello.clusterId}`
    }
    return undefined
  }

  private greet(
    from: NodeId,
    identity: PeerIdentity,
    greeting: Omit<Greeting, 'isStanding'>,
  ): PeerRefusal | undefined {
    const peer = this.peers.get(from)
    const isStanding =
      peer !== undefined &&
      (peer.incoming.size > 0 || [...peer.outgoing.values()].some((outgoing) => outgoing.isOpen))
    return this.options.handler.onGreeting(from, identity, { isStanding, ...greeting })
  }

  /** Who answers a dial says who it is, as who dials does. */
  private isGreetingOf(peer: Peer, headers: grpc.Metadata): boolean {
    const { logger } = this.options
    const identity = readIdentity(headers)
    if (identity === undefined) {
      logger.warn({ peer: peer.id }, NO_IDENTITY)
      return false
    }
    if (this.greet(peer.id, identity, { isDialled: true, ledTerm: undefined }) !== undefined) return false
    if (this.succeed(peer, identity)) this.onBroken(peer)
    return true
  }

  /** Another process is this peer from now on (true): what stands to and from the one before is over. */
  private succeed(peer: Peer, { incarnationId }: PeerIdentity): boolean {
    if (peer.incarnationId === incarnationId) return false
    peer.incarnationId = incarnationId
    const former = [...peer.incoming.values()]
    peer.incoming.clear()
    for (const call of former) call.end()
    for (const lane of peer.outgoing.values()) lane.restart()
    return true
  }

  private receive(peer: Peer, bytes: Uint8Array): void {
    if (this.isClosed) return
    let message: PeerMessage
    try {
      message = this.codec.decode(bytes)
    } catch (error) {
      // A newer peer may say what we do not know; a message that was lost is the protocol's daily bread.
      this.options.logger.warn({ err: error, peer: peer.id }, 'a message from a peer cannot be read')
      return
    }
    this.options.handler.onMessage(peer.id, message)
  }

  private onStanding(peer: Peer): void {
    if (peer.connected) return
    peer.connected = true
    this.options.handler.onConnected(peer.id)
  }

  private onBroken(peer: Peer): void {
    if (!peer.connected) return
    peer.connected = false
    for (const lane of peer.outgoing.values()) lane.discard()
    this.options.handler.onDisconnected(peer.id)
  }
}
