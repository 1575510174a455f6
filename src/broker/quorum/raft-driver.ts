import { unreachable } from '../../lib/assert.js'
import type { LogIndex, NodeId, Term } from '../../lib/ids.js'
import type { RaftLog } from '../../log/raft-log.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Lane } from '../../ports/peers.js'
import type {
  PersistEffect,
  ProposalRefusal,
  RaftEffect,
  RaftInput,
  RoleChangedEffect,
} from '../../raft/api.js'
import type { RaftNode } from '../../raft/raft.js'
import type { Configuration, Entry, RaftMessage, Snapshot } from '../../raft/types.js'
import { JitterHistogram } from './jitter.js'

/** What the core decided that is not for the disk or the wire. */
export interface RaftEvents {
  onApply(entries: readonly Entry[]): void
  onRestore(snapshot: Snapshot): void
  onRole(change: RoleChangedEffect): void
  onTransferEnded(to: NodeId | undefined, done: boolean): void
  onConfiguration(configuration: Configuration, index: LogIndex): void
  /** The answer to a `changeMembership` input. */
  onMembership(result: MembershipResult): void
}

export type MembershipResult = Extract<
  RaftEffect,
  { type: 'membershipAppended' | 'membershipChanged' | 'membershipFailed' }
>

/** A timer that fires later than this met a stalled loop: what the sockets hold is handled before anyone is judged. */
const LATE_MS = 50
const DRAIN_MS = 10
const MIN_TIMER_MS = 0.1

/**
 * Carries out what the core decides: persist, then send, then apply. Each input is stepped at once; its effects join
 * one queue, so that an effect that causes another input keeps the order.
 */
export class RaftDriver {
  /** How late each round of heartbeats left, in the leadership of now. */
  heartbeatJitter = new JitterHistogram()
  /** In the one before: the round that came too late, and cost the office, is the last that it counts. */
  formerHeartbeatJitter: JitterHistogram | undefined
  private readonly effects: RaftEffect[] = []
  private draining = false
  private closed = false
  private timer: { timer: Timer; atMs: number; drained: boolean } | undefined
  private nextProposalId = 1

  constructor(
    readonly node: RaftNode,
    private readonly log: RaftLog,
    private readonly clock: Clock,
    private readonly send: (to: NodeId, lane: Lane, message: RaftMessage) => void,
    private readonly events: RaftEvents,
  ) {
    this.arm()
  }

  input(input: RaftInput): void {
    if (this.closed) return
    this.effects.push(...this.step(input, this.clock.monotonicMs()))
    this.drain()
  }

  /** One entry. Where it is refused nothing has happened. */
  propose(payload: Uint8Array): { index: LogIndex; term: Term } | ProposalRefusal {
    if (this.closed) return 'notLeader'
    const proposalId = this.nextProposalId++
    const effects = this.step({ type: 'propose', payloads: [payload], proposalId }, this.clock.monotonicMs())
    this.effects.push(...effects)
    this.drain()
    for (const effect of effects) {
      if (effect.type === 'proposalAccepted') return { index: effect.lastIndex, term: effect.term }
      if (effect.type === 'proposalDropped') return effect.reason
    }
    return 'notLeader'
  }

  close(): void {
    this.closed = true
    this.timer?.timer.cancel()
    this.effects.length = 0
  }

  private step(input: RaftInput, nowMs: number): RaftEffect[] {
    const dueMs = this.node.isLeader ? this.node.nextDeadlineMs : undefined
    const effects = this.node.step(input, nowMs)
    if (dueMs === undefined || this.node.isLeader) return effects
    if (nowMs > dueMs) this.heartbeatJitter.record(nowMs - dueMs)
    this.formerHeartbeatJitter = this.heartbeatJitter
    this.heartbeatJitter = new JitterHistogram()
    return effects
  }

  private drain(): void {
    if (this.draining) return
    this.draining = true
    for (let effect = this.effects.shift(); effect !== undefined; effect = this.effects.shift()) {
      this.run(effect)
    }
    this.draining = false
    this.arm()
  }

  private run(effect: RaftEffect): void {
    switch (effect.type) {
      case 'send':
        this.send(effect.to, laneOf(effect.message), effect.message)
        return
      case 'persist':
        this.persist(effect)
        return
      case 'saveSnapshot':
        this.log.write({ save: { snapshot: effect.snapshot, compactTo: effect.compactTo } }, () => {})
        return
      case 'apply':
        this.events.onApply(effect.entries)
        return
      case 'restoreSnapshot':
        this.events.onRestore(effect.snapshot)
        return
      case 'roleChanged':
        this.events.onRole(effect)
        return
      case 'transferEnded':
        this.events.onTransferEnded(effect.to, effect.done)
        return
      case 'configurationChanged':
        this.events.onConfiguration(effect.configuration, effect.index)
        return
      case 'proposalAccepted':
      case 'proposalDropped':
        // `propose` has read them from the step itself.
        return
      case 'membershipAppended':
      case 'membershipChanged':
      case 'membershipFailed':
        this.events.onMembership(effect)
        return
      case 'readReady':
      case 'readFailed':
        // Nobody asks for linearizable reads through this driver: replies wait for their commit instead.
        return
      default:
        unreachable(effect)
    }
  }

  private persist(effect: PersistEffect): void {
    const { sequence, hardState, snapshot, truncateFrom, entries, messages } = effect
    this.log.write({ hardState, install: snapshot, truncateFrom, entries }, () => {
      if (this.closed) return
      for (const { to, message } of messages) this.send(to, laneOf(message), message)
      this.input({ type: 'persisted', sequence })
    })
  }

  /** One timer for the nearest deadline. A deadline that moved away is noticed when the timer fires. */
  private arm(): void {
    if (this.closed) return
    const atMs = this.node.nextDeadlineMs
    // Inputs that come while the sockets drain must not put the overdue deadline off again and again.
    if (this.timer !== undefined && (this.timer.drained || this.timer.atMs <= atMs)) return
    this.timer?.timer.cancel()
    this.setTimer(atMs, false)
  }

  private setTimer(atMs: number, drained: boolean): void {
    const leftMs = atMs - this.clock.monotonicMs()
    // Never so short that the clock, a sum of fractions, may stand still.
    const delayMs = leftMs <= 0 ? 0 : Math.max(MIN_TIMER_MS, leftMs)
    this.timer = { timer: this.clock.after(delayMs, () => this.onTimer(atMs, drained)), atMs, drained }
  }

  private onTimer(atMs: number, drained: boolean): void {
    this.timer = undefined
    if (this.closed) return
    const nowMs = this.clock.monotonicMs()
    if (!drained && nowMs > atMs + LATE_MS) {
      this.setTimer(nowMs + DRAIN_MS, true)
      return
    }
    const plannedMs = this.node.nextDeadlineMs
    if (nowMs >= plannedMs) this.tick(nowMs, plannedMs)
    this.arm()
  }

  private tick(nowMs: number, plannedMs: number): void {
    const effects = this.step({ type: 'tick' }, nowMs)
    if (effects.some((effect) => effect.type === 'send' && effect.message.type === 'heartbeat')) {
      this.heartbeatJitter.record(nowMs - plannedMs)
    }
    this.effects.push(...effects)
    this.drain()
  }
}

/** Heartbeats and votes must never wait behind entries. */
export function laneOf(message: RaftMessage): Lane {
  switch (message.type) {
    case 'append':
    case 'appendReply':
    case 'installSnapshot':
    case 'installSnapshotReply':
      return 'raft'
    default:
      return 'heartbeat'
  }
}
