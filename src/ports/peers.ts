import type { NodeId, Term, Uuid } from '../lib/ids.js'
import type { Address } from './network.js'

/**
 * Ordered messages between nodes: gRPC streams for real. Sending is best effort: a message is delivered once or
 * never, those of one lane in order for as long as the connection stands. M is the union that `broker` defines.
 */
export interface PeerTransport<M> {
  /** Whom to connect to. Replaces the former set; connections to nodes that stay are kept. */
  setPeers(peers: ReadonlyMap<NodeId, Address>): void
  /**
   * heartbeat: small and urgent, never behind the others; raft: entries and snapshots; controller: commands.
   * The message must not be changed afterwards. Dropped where the lane's queue is full or the peer is away.
   */
  send(to: NodeId, lane: Lane, message: M): void
  /** Dials the peer's port afresh, past every pool and back-off. */
  probe(to: NodeId, timeoutMs: number, done: (result: 'open' | 'refused' | 'timeout') => void): void
  /** Asks who is at an address; undefined: nobody answered in time, or not as a peer does. */
  identify(address: Address, timeoutMs: number, done: (nodeId: NodeId | undefined) => void): void
  close(): void
}

export type Lane = 'heartbeat' | 'raft' | 'controller'

/** Which process speaks for a node. */
export interface PeerIdentity {
  /** Of its vote, and of the lock that no two living processes hold: drawn once for each data directory. */
  readonly directoryId: Uuid
  /** Drawn by each process as it starts. */
  readonly incarnationId: Uuid
  /** Where it says that others reach it. */
  readonly address: Address
}

export interface Greeting {
  /** A stream to or from the process that was last taken for this peer stands, as far as is known. */
  readonly isStanding: boolean
  /** It answers where the peer was dialled. */
  readonly isDialled: boolean
  /** By its own word, the term in which it leads or hears its leader; undefined where it answers a dial. */
  readonly ledTerm: Term | undefined
}

/** Of a stream, since another process is that peer. */
export interface PeerRefusal {
  /** A sentence for the operator of the one that is refused. */
  readonly reason: string
  /** Who refuses leads or hears its leader: the quorum has another one in that place. */
  readonly isLed: boolean
  /** For how long the other process is waited for when its streams have broken. */
  readonly holdMs: number
}

export interface PeerHandler<M> {
  /**
   * Each stream, to or from a peer, begins with this, before it stands for anything. undefined: it is taken, and streams
   * of an earlier incarnation are over.
   */
  onGreeting(peer: NodeId, identity: PeerIdentity, greeting: Greeting): PeerRefusal | undefined
  /** This peer refused a stream of ours: another process has the node id of this one. */
  onDuplicate(peer: NodeId, refusal: PeerRefusal): void
  /** The term in which this node leads or hears its leader, as it is told to whom it dials. */
  ledTerm(): Term | undefined
  onMessage(from: NodeId, message: M): void
  onConnected(peer: NodeId): void
  /** A connection that stood, to or from this peer, broke: its process may have died. */
  onDisconnected(peer: NodeId): void
}
