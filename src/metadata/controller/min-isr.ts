import type { Uuid } from '../../lib/ids.js'
import { countedReplicas, effectiveMinIsr } from '../configs.js'
import { isMoving } from './reassignment.js'
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
 * high watermark will advance without it. And no leader's ISR change counts from now on that it decided before it had
 * applied the new minimum: else it could shrink its ISR under the old one and advance past replicas that count as
 * eligible under the new one. What the controller itself changes, a leader learns of after the new minimum.
 */
export function settleMinIsr(state: ControllerState, before: ReadonlyMap<Uuid, number>): void {
  let hasChanged = false
  for (const id of [...state.image.topicsById.keys()]) {
    const topic = state.image.topicsById.get(id)!
    const former = before.get(id)
    const now = state.configs.topic(topic.name).minInsyncReplicas
    if (former === undefined || former === now) continue
    topic.partitions.forEach((partition, partitionId) => {
      const replicas = countedReplicas(partition)
      if (effectiveMinIsr(former, replicas) === effectiveMinIsr(now, replicas)) return
      hasChanged = true
      if (partition.elr.length > 0 || isMoving(partition)) state.change(topic, partitionId, {})
    })
  }
  if (hasChanged) state.sessions.minIsrChanged()
}
