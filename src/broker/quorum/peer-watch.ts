import type { NodeId } from '../../lib/ids.js'
import type { Clock, Timer } from '../../ports/clock.js'

export interface PeerWatchEvents {
  probe(peer: NodeId, done: (result: 'open' | 'refused' | 'timeout') => void): void
  /** A connection broke; `dead`: and nobody listens any more. */
  onLost(peer: NodeId, dead: boolean): void
}

/** More are remembered only while they are connected. */
const MAX_HEARD = 1_000

/**
 * Which peers are connected, and the path from a broken connection to a death: a short grace, then a fresh dial. A
 * refusal is the kernel's own word that no process is there; silence proves nothing.
 */
export class PeerWatch {
  private readonly connected = new Set<NodeId>()
  private readonly graces = new Map<NodeId, Timer>()
  private readonly probing = new Set<NodeId>()
  /** Broke again during its probe: what that one tells may be of the time before. */
  private readonly brokeAgain = new Set<NodeId>()
  private readonly heardMs = new Map<NodeId, number>()
  private closed = false

  constructor(
    private readonly clock: Clock,
    private readonly graceMs: number,
    private readonly events: PeerWatchEvents,
  ) {}

  isConnected(peer: NodeId): boolean {
    return this.connected.has(peer)
  }

  /** A message of this peer came. */
  onHeard(peer: NodeId): void {
    if (this.heardMs.size >= MAX_HEARD && !this.heardMs.has(peer)) this.makeRoom()
    this.heardMs.set(peer, this.clock.monotonicMs())
  }

  /** When its last message came; undefined: none since the start, or it went and many others came. */
  lastHeardMs(peer: NodeId): number | undefined {
    return this.heardMs.get(peer)
  }

  onConnected(peer: NodeId): void {
    this.connected.add(peer)
    this.graces.get(peer)?.cancel()
    this.graces.delete(peer)
  }

  onDisconnected(peer: NodeId): void {
    this.connected.delete(peer)
    this.events.onLost(peer, false)
    this.graces.get(peer)?.cancel()
    this.graces.set(
      peer,
      this.clock.after(this.graceMs, () => {
        this.graces.delete(peer)
        this.probe(peer)
      }),
    )
  }

  /** Dials now, unless the peer is connected. */
  probe(peer: NodeId): void {
    if (this.closed || this.connected.has(peer)) return
    if (this.probing.has(peer)) {
      this.brokeAgain.add(peer)
      return
    }
    this.probing.add(peer)
    this.events.probe(peer, (result) => {
      this.probing.delete(peer)
      const brokeAgain = this.brokeAgain.delete(peer)
      // Connected meanwhile: another process, which will speak for itself.
      if (this.closed || this.connected.has(peer)) return
      if (brokeAgain) this.probe(peer)
      else if (result === 'refused') this.events.onLost(peer, true)
    })
  }

  private makeRoom(): void {
    for (const peer of this.heardMs.keys()) if (!this.connected.has(peer)) this.heardMs.delete(peer)
  }

  close(): void {
    this.closed = true
    for (const timer of this.graces.values()) timer.cancel()
    this.graces.clear()
  }
}
