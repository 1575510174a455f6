import type { NodeId } from '../../lib/ids.js'
import type { Clock } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'

/** Another process has the node id of this one. Its owner can mend that: an error of the start, without a stack. */
export class DuplicateNodeError extends Error {
  override name = 'DuplicateNodeError'
}

export interface DuplicateNodeOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** How long it may take until the others have noticed that a former process of this node is gone. */
  readonly graceMs: number
  fail(error: DuplicateNodeError): void
}

interface Refusals {
  firstMs: number
  lastMs: number
}

/** Longer than between two dials of a peer that refuses, by far. */
const PAUSE_MS = 3_000

/**
 * This process as the others refuse it. Where it takes the place of one whose host vanished without a word, it waits,
 * visibly, until they have noticed. Then it ends: one that waited on would take the other's place, with an empty disk
 * perhaps, in the moment in which that one is started again.
 */
export class DuplicateNode {
  private readonly refusals = new Map<NodeId, Refusals>()
  private toldMs = Number.NEGATIVE_INFINITY

  constructor(private readonly options: DuplicateNodeOptions) {}

  /** Whose dials are taken again is silent here: refusals that come apart count anew. */
  onRefused(peer: NodeId, reason: string): void {
    const { clock, logger, graceMs, fail } = this.options
    const nowMs = clock.monotonicMs()
    const former = this.refusals.get(peer)
    const firstMs = former !== undefined && nowMs - former.lastMs < PAUSE_MS ? former.firstMs : nowMs
    this.refusals.set(peer, { firstMs, lastMs: nowMs })
    if (nowMs - firstMs >= graceMs) {
      fail(new DuplicateNodeError(reason))
      return
    }
    // Once, whoever refuses it: the end is the next line.
    if (nowMs - this.toldMs < graceMs + PAUSE_MS) return
    this.toldMs = nowMs
    logger.warn({ peer }, `${reason}. This process ends unless that changes within ${graceMs} ms`)
  }
}
