import type { NodeId } from '../lib/ids.js'
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

export interface PeerHandler<M> {
  onMessage(from: NodeId, message: M): void
  onConnected(peer: NodeId): void
  /** A connection that stood, to or from this peer, broke: its process may have died. */
  onDisconnected(peer: NodeId): void
}
