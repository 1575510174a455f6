import { type NodeId, type Uuid, ZERO_UUID } from '../../lib/ids.js'
import { effectiveMinIsr } from '../configs.js'
import type { PartitionImage } from '../image.js'

/**
 * Where a partition's replicas are to be (KIP-455). While it moves, `replicas` is the target followed by those that
 * leave at the end; `addingReplicas` are those of the target that were not there before.
 */
export interface ReplicaPlan {
  readonly replicas: readonly NodeId[]
  readonly addingReplicas: readonly NodeId[]
  readonly removingReplicas: readonly NodeId[]
}

/** What the completion of a move depends on. */
export interface MoveRules {
  readonly canLead: (node: NodeId) => boolean
  /** `min.insync.replicas` as configured. */
  readonly minInsyncReplicas: number
}

export function isMoving(partition: PartitionImage): boolean {
  return partition.addingReplicas.length > 0 || partition.removingReplicas.length > 0
}

/** The replicas without those that are being added: what a cancelled move goes back to. */
export function originOf(partition: PartitionImage): readonly NodeId[] {
  return partition.replicas.filter((node) => !partition.addingReplicas.includes(node))
}

/** The replicas without those that are being removed: what a move comes to. */
export function targetOf(partition: PartitionImage): readonly NodeId[] {
  return partition.replicas.filter((node) => !partition.removingReplicas.includes(node))
}

/** Moves to `target`, from where the partition was before a move that is going on and that ends here. */
export function planMove(partition: PartitionImage, target: readonly NodeId[]): ReplicaPlan {
  const origin = originOf(partition)
  const removingReplicas = origin.filter((node) => !target.includes(node))
  return {
    replicas: [...target, ...removingReplicas],
    addingReplicas: target.filter((node) => !origin.includes(node)),
    removingReplicas,
  }
}

export function planCancel(partition: PartitionImage): ReplicaPlan {
  return { replicas: originOf(partition), addingReplicas: [], removingReplicas: [] }
}

/**
 * The end of the move that `partition` is in, once `isr` allows it: every replica that is added is in sync, and those
 * that stay are enough by themselves and can lead. Stricter than Kafka, which lets the old replicas go (and their
 * copies of acknowledged records with them) where a single one of the new is left. Undefined: it goes on.
 */
export function planCompletion(
  partition: PartitionImage,
  isr: readonly NodeId[],
  rules: MoveRules,
): ReplicaPlan | undefined {
  if (!isMoving(partition)) return undefined
  const replicas = targetOf(partition)
  const inSync = isr.filter((node) => replicas.includes(node))
  if (!partition.addingReplicas.every((node) => inSync.includes(node))) return undefined
  if (inSync.length < effectiveMinIsr(rules.minInsyncReplicas, replicas.length)) return undefined
  if (!inSync.includes(partition.leader) && !inSync.some(rules.canLead)) return undefined
  return { replicas, addingReplicas: [], removingReplicas: [] }
}

/**
 * Why replicas that caught up already must not be dropped yet; undefined: they may go. The ISR and the ELR hold every
 * acknowledged record: dropping must leave somebody who can lead, and must not leave fewer than the minimum.
 */
export function dropRefusal(
  partition: PartitionImage,
  plan: ReplicaPlan,
  rules: MoveRules,
): string | undefined {
  const holders = [...new Set([...partition.isr, ...partition.elr])]
  const kept = holders.filter((node) => plan.replicas.includes(node))
  if (kept.length === holders.length) return undefined
  const needed = effectiveMinIsr(rules.minInsyncReplicas, plan.replicas.length - plan.addingReplicas.length)
  if (kept.length < Math.min(needed, holders.length)) {
    const dropped = holders.filter((node) => !kept.includes(node)).join(', ')
    return `${dropped} cannot be dropped: ${kept.length} of the replicas that stay hold all that was acknowledged, and ${needed} are needed; wait until more of them are in sync, or name ${dropped} among the replicas`
  }
  const hasLeader = partition.leader >= 0
  if (hasLeader && !kept.includes(partition.leader) && !kept.some(rules.canLead)) {
    return 'none of the replicas that stay is up and in sync, so the partition would be without a leader; wait until one of them is'
  }
  return undefined
}

/**
 * The partition with the replicas of `plan`, before leader and ISR are decided anew. directoryOf: the directory of a
 * replica that is new here.
 */
export function withPlan(
  partition: PartitionImage,
  plan: ReplicaPlan,
  directoryOf: (node: NodeId) => Uuid | undefined,
): PartitionImage {
  const stays = (node: NodeId): boolean => plan.replicas.includes(node)
  return {
    ...partition,
    ...plan,
    directories: plan.replicas.map((node) => {
      const position = partition.replicas.indexOf(node)
      return (position === -1 ? directoryOf(node) : partition.directories[position]) ?? ZERO_UUID
    }),
    isr: plan.replicas.filter((node) => partition.isr.includes(node)),
    elr: partition.elr.filter(stays),
    lastKnownElr: partition.lastKnownElr.filter(stays),
  }
}
