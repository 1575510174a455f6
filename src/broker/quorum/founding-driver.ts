import type { NodeId } from '../../lib/ids.js'
import type { Clock, Timer } from '../../ports/clock.js'
import { Founding, type FoundingOutcome } from '../../raft/founding.js'
import type { Voter } from '../../raft/types.js'
import type { FoundingMessage } from '../peer-message.js'

export interface FoundingDriverOptions {
  readonly self: Voter
  /** The configured voters: all of them found, or none. */
  readonly founders: readonly NodeId[]
  readonly isEmpty: boolean
  readonly clock: Clock
  readonly intervalMs: number
  /** Before this node founds: a cluster that has grown from the founders and lost them would have spoken by then. */
  readonly listenMs: number
  /** Everyone to announce to: the founders, and whoever else may know of a cluster. */
  peers(): readonly NodeId[]
  send(to: NodeId, message: FoundingMessage): void
  onOutcome(outcome: FoundingOutcome): void
}

/** Announces a directory without a Raft log until a cluster is founded or found. */
export class FoundingDriver {
  private readonly founding: Founding
  private timer: Timer | undefined
  private listening: Timer | undefined
  private ended = false

  constructor(private readonly options: FoundingDriverOptions) {
    this.founding = new Founding(options.self, options.founders, options.isEmpty)
  }

  start(): void {
    this.listen()
    this.announce()
  }

  /** This node was somebody, to a peer that has yet to believe that it is another one now, and may belong to a cluster. */
  onRefused(): void {
    if (this.listening !== undefined) this.listen()
  }

  private listen(): void {
    const { clock, listenMs } = this.options
    this.listening?.cancel()
    this.listening = clock.after(listenMs, () => {
      this.listening = undefined
      this.settle(this.founding.tryToFound())
      // The others may wait for this node alone, and need not wait for its next announcement.
      if (!this.ended) this.broadcast()
    })
  }

  onMessage(message: FoundingMessage): void {
    if (this.ended) return
    const before = this.view().length
    const outcome =
      message.type === 'foundingEmpty'
        ? this.founding.step({ type: 'empty', self: message.self, view: message.view })
        : this.founding.step({
            type: 'founded',
            self: message.self,
            clusterId: message.clusterId,
            configuration: message.configuration,
          })
    // The others wait for this node to have seen what it has just seen.
    if (this.view().length !== before) this.broadcast()
    this.settle(outcome)
  }

  /** A member of a cluster spoke to this node: with its help nobody founds any more. The others must hear of it at once. */
  onCluster(): void {
    if (this.ended) return
    const before = this.view().length
    this.founding.step({ type: 'clusterExists' })
    if (before > 0) this.broadcast()
  }

  /** A connection stands: what was said before was lost. */
  onConnected(peer: NodeId): void {
    if (!this.ended && this.options.peers().includes(peer)) this.tell(peer)
  }

  close(): void {
    this.ended = true
    this.timer?.cancel()
    this.listening?.cancel()
  }

  private settle(outcome: FoundingOutcome | undefined): void {
    if (outcome === undefined || this.ended) return
    if (outcome.type === 'found') {
      if (this.listening !== undefined) return
      // Also the last of the others must know that all agree: this node falls silent.
      this.broadcast()
    }
    this.close()
    this.options.onOutcome(outcome)
  }

  private announce(): void {
    this.broadcast()
    this.timer = this.options.clock.after(this.options.intervalMs, () => {
      if (!this.ended) this.announce()
    })
  }

  private broadcast(): void {
    for (const peer of this.options.peers()) if (peer !== this.options.self.nodeId) this.tell(peer)
  }

  private tell(peer: NodeId): void {
    const { self } = this.options
    this.options.send(peer, { type: 'foundingEmpty', self, view: this.view() })
  }

  /** Who has not listened to the end agrees with nobody: the others, who have, would found with its word at once. */
  private view(): Voter[] {
    return this.listening === undefined ? this.founding.view() : []
  }
}
