import type { Uuid } from '../../lib/ids.js'
import { countedReplicas, effectiveMinIsr } from '../configs.js'
import type { ControllerState } from './state.js'

/** `min.insync.replicas` of every topic, before a change that may touch it. */
export function effectiveMinIsrs(state: ControllerState): ReadonlyMap<Uuid, number> {
  const minIsrs = new Map<Uuid, number>()
  for (const topic of state.image.topicsById.values()) {
    minIsrs.set(topic.id, state.configs.topic(topic.name).minInsyncReplicas)
  }
  return minIsrs
}

/**
 * In the same batch as a change of `min.insync.replicas`: an ELR that the new minimum makes void is cleared, since the
 * high watermark will advance without it. And every partition whose minimum changed gets a new epoch, even where
 * nothing else changes: else a leader that has not applied the new minimum could shrink its ISR under the old one and
 * advance past replicas that count as eligible under the new one.
 */
export function settleMinIsr(state: ControllerState, before: ReadonlyMap<Uuid, number>): void {
  state.forEachPartition((topic, partitionId, partition) => {
    const former = before.get(topic.id)
    if (former === undefined) return
    const replicas = countedReplicas(partition)
    const now = effectiveMinIsr(state.configs.topic(topic.name).minInsyncReplicas, replicas)
    if (effectiveMinIsr(former, replicas) === now) return
    if (state.change(topic, partitionId, {})) return
    state.emit({ type: 'partitionChangeRecord', topicId: topic.id, partitionId })
  })
}
