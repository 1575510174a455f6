import type { NodeId } from '../../lib/ids.js'
import type { Clock } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { PeerRefusal } from '../../ports/peers.js'

/** Another process has the node id of this one. Its owner can mend that: an error of the start, without a stack. */
export class DuplicateNodeError extends Error {
  override name = 'DuplicateNodeError'
}

export interface DuplicateNodeOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** How long it may take until the others have noticed that a former process of this node is gone, without their hold. */
  readonly graceMs: number
  /** This process leads or hears its leader, or a majority of the voters takes its streams. */
  isServed(): boolean
  fail(error: DuplicateNodeError): void
}

interface Refusals {
  /** Of those in a row in which the peer was led and this process was not served. */
  firstMs: number | undefined
  lastMs: number
}

type Verdict = 'goes on' | 'waits' | 'ends'

/** Longer than between two dials of a peer that refuses, by far. */
const PAUSE_MS = 3_000
/** Between two lines of the log while this process goes on all the same. */
const TELL_INTERVAL_MS = 60_000

/**
 * This process as the others refuse it. Where it takes the place of one whose host vanished without a word, it waits,
 * visibly, until they have noticed. Then it ends: one that waited on would take the other's place, with an empty disk
 * perhaps, in the moment in which that one is started again. It is the quorum that decides which of the two ends: no
 * peer's word counts against a process that the leader serves, nor that of a peer without a leader.
 */
export class DuplicateNode {
  private readonly refusals = new Map<NodeId, Refusals>()
  /** What the log says next, not before. */
  private readonly tellAgainMs = new Map<Verdict, number>()

  constructor(private readonly options: DuplicateNodeOptions) {}

  /** It refused this process a moment ago: what stands to it or from it is not to last. */
  isRefusedBy(peer: NodeId): boolean {
    const refusals = this.refusals.get(peer)
    return refusals !== undefined && this.nowMs - refusals.lastMs < PAUSE_MS
  }

  /** Whose dials are taken again is silent here: refusals that come apart count anew. */
  onRefused(peer: NodeId, { reason, isLed, holdMs }: PeerRefusal): void {
    const { nowMs } = this
    const former = this.isRefusedBy(peer) ? this.refusals.get(peer) : undefined
    this.makeRoom()
    const refusals: Refusals = { firstMs: former?.firstMs, lastMs: nowMs }
    this.refusals.set(peer, refusals)
    if (this.options.isServed()) {
      for (const each of this.refusals.values()) each.firstMs = undefined
      this.tell(
        peer,
        'goes on',
        TELL_INTERVAL_MS,
        `${reason}. This one goes on: the quorum takes it for the node`,
      )
      return
    }
    if (!isLed) {
      refusals.firstMs = undefined
      this.tell(
        peer,
        'waits',
        TELL_INTERVAL_MS,
        `${reason}. This one waits, since neither of the two has a leader`,
      )
      return
    }
    this.onOusted(peer, refusals, reason, this.options.graceMs + holdMs)
  }

  private onOusted(peer: NodeId, refusals: Refusals, reason: string, graceMs: number): void {
    refusals.firstMs ??= this.nowMs
    if (this.nowMs - refusals.firstMs >= graceMs) this.options.fail(new DuplicateNodeError(reason))
    // Once, whoever refuses it: the end is the next line.
    else
      this.tell(
        peer,
        'ends',
        graceMs + PAUSE_MS,
        `${reason}. This process ends unless that changes within ${graceMs} ms`,
      )
  }

  private get nowMs(): number {
    return this.options.clock.monotonicMs()
  }

  private tell(peer: NodeId, verdict: Verdict, intervalMs: number, text: string): void {
    if (this.nowMs < (this.tellAgainMs.get(verdict) ?? 0)) return
    this.tellAgainMs.set(verdict, this.nowMs + intervalMs)
    this.options.logger.warn({ peer }, text)
  }

  /** Only who refuses now matters. */
  private makeRoom(): void {
    for (const peer of this.refusals.keys()) if (!this.isRefusedBy(peer)) this.refusals.delete(peer)
  }
}
