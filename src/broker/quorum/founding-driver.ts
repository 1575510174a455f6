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
  /** Before a single voter founds: a cluster that has grown from it and lost it would have spoken by then. */
  readonly aloneDelayMs: number
  /** Everyone to announce to: the founders, and whoever else may know of a cluster. */
  peers(): readonly NodeId[]
  send(to: NodeId, message: FoundingMessage): void
  onOutcome(outcome: FoundingOutcome): void
}

/** Announces a directory without a Raft log until a cluster is founded or found. */
export class FoundingDriver {
  private readonly founding: Founding
  private timer: Timer | undefined
  private aloneTimer: Timer | undefined
  private ended = false

  constructor(private readonly options: FoundingDriverOptions) {
    this.founding = new Founding(options.self, options.founders, options.isEmpty)
  }

  start(): void {
    const alone = this.founding.start()
    if (alone !== undefined) {
      const { clock, aloneDelayMs } = this.options
      this.aloneTimer = clock.after(aloneDelayMs, () => this.settle(alone))
    }
    this.announce()
  }

  onMessage(message: FoundingMessage): void {
    if (this.ended) return
    const before = this.founding.view().length
    const outcome =
      message.type === 'foundingEmpty'
        ? this.founding.step({ type: 'empty', self: message.self, view: message.view })
        : this.founding.step({
            type: 'founded',
            self: message.self,
            clusterId: message.clusterId,
            configuration: message.configuration,
          })
    // The others wait for this node to have seen what it has just seen: also where it founds and falls silent.
    if (this.founding.view().length !== before || outcome?.type === 'found') this.broadcast()
    this.settle(outcome)
  }

  /** A member of a cluster takes this node for one too: whoever it names will tell, and nobody founds alone any more. */
  onRaft(): void {
    this.aloneTimer?.cancel()
  }

  /** A connection stands: what was said before was lost. */
  onConnected(peer: NodeId): void {
    if (!this.ended && this.options.peers().includes(peer)) this.tell(peer)
  }

  close(): void {
    this.ended = true
    this.timer?.cancel()
    this.aloneTimer?.cancel()
  }

  private settle(outcome: FoundingOutcome | undefined): void {
    if (outcome === undefined || this.ended) return
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
    this.options.send(peer, { type: 'foundingEmpty', self, view: this.founding.view() })
  }
}
