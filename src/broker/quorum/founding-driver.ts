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
  /** Everyone to announce to: the founders, and whoever else may know of a cluster. */
  peers(): readonly NodeId[]
  send(to: NodeId, message: FoundingMessage): void
  onOutcome(outcome: FoundingOutcome): void
}

/** Announces a directory without a Raft log until a cluster is founded or found. */
export class FoundingDriver {
  private readonly founding: Founding
  private timer: Timer | undefined
  private ended = false

  constructor(private readonly options: FoundingDriverOptions) {
    this.founding = new Founding(options.self, options.founders, options.isEmpty)
  }

  start(): void {
    if (!this.settle(this.founding.start())) this.announce()
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

  /** A connection stands: what was said before was lost. */
  onConnected(peer: NodeId): void {
    if (!this.ended && this.options.peers().includes(peer)) this.tell(peer)
  }

  close(): void {
    this.ended = true
    this.timer?.cancel()
  }

  private settle(outcome: FoundingOutcome | undefined): boolean {
    if (outcome === undefined || this.ended) return this.ended
    this.close()
    this.options.onOutcome(outcome)
    return true
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
