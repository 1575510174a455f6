import type { LogIndex, NodeId, Term } from '../../lib/ids.js'
import type { RaftRole, RoleCause } from '../../raft/api.js'
import type { Voter } from '../../raft/types.js'

/** What inspection may watch. `sequence` counts from 1 without gaps, `atMs` is monotonic, `wallMs` Unix time. */
export type QuorumEvent = QuorumEventBody & { sequence: number; atMs: number; wallMs: number }

export type QuorumEventBody =
  | RoleEvent
  /** This node won; `durationMs` from the start of its pre-vote. */
  | { type: 'election'; term: Term; cause: RoleCause; durationMs: number }
  /** The controller of this node acts from `index` on: its no-op is committed and applied. */
  | { type: 'controllerActive'; term: Term; index: LogIndex }
  | { type: 'commit'; index: LogIndex; term: Term }
  | { type: 'snapshotTaken'; index: LogIndex; bytes: number }
  | { type: 'snapshotInstalled'; index: LogIndex; bytes: number }
  | { type: 'founded'; clusterId: string; voters: Voter[] }
  | { type: 'configuration'; index: LogIndex; voters: Voter[] }
  | { type: 'peerLost'; peer: NodeId; dead: boolean }
  | { type: 'quarantined'; reason: string }
  | { type: 'transfer'; to: NodeId | undefined; done: boolean }

export interface RoleEvent {
  type: 'role'
  role: RaftRole | 'founding'
  term: Term
  leader: NodeId | undefined
  cause: RoleCause
  /** Where this node's own leadership ended: since when it had not served (monotonic). */
  sinceMs?: number
}

/** The last events, and those who watch. Bounded: the oldest go. */
export class EventRing {
  private readonly ring: QuorumEvent[] = []
  private readonly watchers = new Set<(event: QuorumEvent) => void>()
  private nextSequence = 1

  constructor(
    private readonly clock: { monotonicMs(): number; wallMs(): number },
    private readonly capacity: number,
  ) {}

  emit(body: QuorumEventBody): void {
    const event: QuorumEvent = {
      ...body,
      sequence: this.nextSequence++,
      atMs: this.clock.monotonicMs(),
      wallMs: this.clock.wallMs(),
    }
    // Commits come by the thousand: a run of them keeps the newest alone, so that elections stay in sight.
    const last = this.ring[this.ring.length - 1]
    if (event.type === 'commit' && last?.type === 'commit') this.ring[this.ring.length - 1] = event
    else this.ring.push(event)
    if (this.ring.length > this.capacity) this.ring.shift()
    for (const watcher of this.watchers) watcher(event)
  }

  /** Oldest first. */
  recent(): readonly QuorumEvent[] {
    return [...this.ring]
  }

  /** Every event from now on, at once as it happens; the watcher must not throw and bounds its own queue. */
  subscribe(watcher: (event: QuorumEvent) => void): { cancel(): void } {
    this.watchers.add(watcher)
    return { cancel: () => this.watchers.delete(watcher) }
  }
}
