import type { NodeId } from '../../lib/ids.js'
import type { Clock } from '../../ports/clock.js'
import type { QuorumEvent } from '../quorum/events.js'
import type { SignsOfLife } from './partition-elections.js'

/** Longer than any session that anyone configures for a cluster that is to fail over in a second. */
const MEANINGFUL_MS = 60_000
/** Those who broke last, in the order in which they did. */
const MAX_BROKEN = 1_000
/** A few heartbeats. */
const SILENCE_MS = 300

/**
 * When peers gave their last signs of life. A broken connection tells of a death at once, the last message of a
 * silence; but Raft's followers have nothing to say to each other: their silence means something to the leader alone.
 */
export class PeerSigns implements SignsOfLife {
  private readonly brokeMs = new Map<NodeId, number>()
  private leader: NodeId | undefined
  private formerLeader: NodeId | undefined
  /** This node leads: who was heard since then is heard all the time. */
  private leadsSinceMs: number | undefined

  /** @param lastHeardMs when the peer's last message came, in this node's monotonic milliseconds */
  constructor(
    private readonly clock: Clock,
    private readonly lastHeardMs: (peer: NodeId) => number | undefined,
  ) {}

  onEvent(event: QuorumEvent): void {
    if (event.type === 'peerLost' && !event.dead) this.noteBroken(event.peer, event.atMs)
    if (event.type !== 'role') return
    if (event.role !== 'leader') this.leadsSinceMs = undefined
    else this.leadsSinceMs ??= event.atMs
    if (event.leader === undefined || event.leader === this.leader) return
    this.formerLeader = this.leader
    this.leader = event.leader
  }

  lastMs(peer: NodeId): number | undefined {
    const heardMs = this.lastHeardMs(peer)
    const brokeMs = this.brokeMs.get(peer)
    const isSteady = heardMs !== undefined && !this.isOld(heardMs) && this.isHeardSteadily(peer, heardMs)
    if (brokeMs === undefined || (heardMs !== undefined && heardMs > brokeMs))
      return isSteady ? heardMs : undefined
    // Its connection was given up after a silence: it was gone long before.
    return isSteady && brokeMs - heardMs > SILENCE_MS ? heardMs : brokeMs
  }

  /** No process ends but with its connections. */
  beforeRestartMs(peer: NodeId): number | undefined {
    const brokeMs = this.brokeMs.get(peer)
    return brokeMs === undefined || this.isOld(brokeMs) ? undefined : brokeMs
  }

  private noteBroken(peer: NodeId, atMs: number): void {
    this.brokeMs.delete(peer)
    this.brokeMs.set(peer, atMs)
    if (this.brokeMs.size <= MAX_BROKEN) return
    for (const oldest of this.brokeMs.keys()) {
      this.brokeMs.delete(oldest)
      return
    }
  }

  private isOld(atMs: number): boolean {
    return this.clock.monotonicMs() - atMs > MEANINGFUL_MS
  }

  private isHeardSteadily(peer: NodeId, heardMs: number): boolean {
    if (peer === this.leader || peer === this.formerLeader) return true
    return this.leadsSinceMs !== undefined && heardMs >= this.leadsSinceMs
  }
}
