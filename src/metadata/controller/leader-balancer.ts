import { NO_NODE, type NodeId } from '../../lib/ids.js'
import type { PartitionImage } from '../image.js'
import type { ControllerState } from './state.js'

interface Share {
  preferred: number
  elsewhere: number
}

/**
 * Gives leaderships back to the preferred replicas (`auto.leader.rebalance.enable`): those of every broker of which more
 * than `leader.imbalance.per.broker.percentage` are led by others. A replica that is not in sync, or whose broker is not
 * up, never gets one.
 */
export class LeaderBalancer {
  private nextCheckMs = 0
  /** Whose leaderships are being given back, in several batches. */
  private chosen = new Set<NodeId>()

  constructor(private readonly state: ControllerState) {}

  reset(nowMs: number): void {
    this.chosen.clear()
    this.nextCheckMs = nowMs + this.intervalMs()
  }

  /** At most one batch; what is left comes with the next tick. */
  tick(nowMs: number): void {
    const { state } = this
    if (this.chosen.size === 0) {
      if (nowMs < this.nextCheckMs) return
      this.nextCheckMs = nowMs + this.intervalMs()
      if (!state.configs.bool('auto.leader.rebalance.enable')) return
      this.chosen = this.imbalanced()
    }
    if (this.chosen.size > 0) this.giveBack()
  }

  private giveBack(): void {
    const { state } = this
    let moved = 0
    let isDone = true
    state.forEachPartition((topic, partitionId, partition) => {
      const preferred = partition.replicas[0]!
      if (!this.chosen.has(preferred) || !this.canReturn(partition)) return
      if (!state.hasRoom) isDone = false
      else if (state.change(topic, partitionId, { preferred: true })) moved++
    })
    if (moved > 0) {
      const brokers = [...this.chosen]
      state.logger.info({ partitions: moved, brokers }, 'leaderships returned to the preferred replicas')
    }
    if (isDone) this.chosen.clear()
  }

  private imbalanced(): Set<NodeId> {
    const shares = new Map<NodeId, Share>()
    const { state } = this
    state.forEachPartition((_topic, _partitionId, { replicas, leader }) => {
      const preferred = replicas[0]!
      let share = shares.get(preferred)
      if (share === undefined) {
        share = { preferred: 0, elsewhere: 0 }
        shares.set(preferred, share)
      }
      share.preferred++
      if (leader !== preferred) share.elsewhere++
    })
    const percentage = state.configs.int('leader.imbalance.per.broker.percentage')
    const isImbalanced = ({ preferred, elsewhere }: Share): boolean =>
      elsewhere * 100 > preferred * percentage
    return new Set([...shares].filter(([, share]) => isImbalanced(share)).map(([broker]) => broker))
  }

  private canReturn({ replicas, leader, isr }: PartitionImage): boolean {
    const preferred = replicas[0]!
    return (
      leader !== preferred && leader !== NO_NODE && isr.includes(preferred) && this.state.isActive(preferred)
    )
  }

  private intervalMs(): number {
    return this.state.configs.int('leader.imbalance.check.interval.seconds') * 1_000
  }
}
