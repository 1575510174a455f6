import type { NodeId } from '../../lib/ids.js'
import type { Clock, Timer } from '../../ports/clock.js'
import { Founding, type FoundingOutcome } from '../../raft/founding.js'
import type { Voter } from '../../raft/types.js'
import type { FoundingMessage } from '../peer-message.js'

/** Announces a directory without a Raft log until a cluster is founded or found. */
export class FoundingDriver {
  private readonly founding: Founding
  private timer: Timer | undefined
  private ended = false

  constructor(
    private readonly self: Voter,
    private readonly voterIds: readonly NodeId[],
    isEmpty: boolean,
    private readonly clock: Clock,
    private readonly intervalMs: number,
    private readonly send: (to: NodeId, message: FoundingMessage) => void,
    private readonly onOutcome: (outcome: FoundingOutcome) => void,
  ) {
    this.founding = new Founding(self, voterIds, isEmpty)
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
    if (!this.ended && this.voterIds.includes(peer)) this.tell(peer)
  }

  close(): void {
    this.ended = true
    this.timer?.cancel()
  }

  private settle(outcome: FoundingOutcome | undefined): boolean {
    if (outcome === undefined || this.ended) return this.ended
    this.close()
    this.onOutcome(outcome)
    return true
  }

  private announce(): void {
    this.broadcast()
    this.timer = this.clock.after(this.intervalMs, () => {
      if (!this.ended) this.announce()
    })
  }

  private broadcast(): void {
    for (const peer of this.voterIds) if (peer !== this.self.nodeId) this.tell(peer)
  }

  private tell(peer: NodeId): void {
    this.send(peer, { type: 'foundingEmpty', self: this.self, view: this.founding.view() })
  }
}
