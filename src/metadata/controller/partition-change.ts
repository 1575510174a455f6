import { NO_NODE, type NodeId, type Uuid, ZERO_UUID } from '../../lib/ids.js'
import type { PartitionImage } from '../image.js'
import type { PartitionChangeRecord } from '../records.js'

/** What the cluster allows for this partition at the moment. */
export interface PartitionRules {
  /** Unfenced and not shutting down. */
  readonly canLead: (node: NodeId) => boolean
  /** Or gone: whatever else is decided, it loses its place in the ISR, where its own turn has not come yet. */
  readonly isFenced: (node: NodeId) => boolean
  /** `effectiveMinIsr`. */
  readonly minIsr: number
  /** Any replica may lead when none of the ISR and the ELR can: by configuration or by a command. */
  readonly unclean: boolean
  readonly uncleanByCommand: boolean
  /** KIP-966's balanced recovery, where restarts empty the ISR and the ELR (`flush.before.ack` is false). */
  readonly lastKnownLeader: boolean
}

export interface PartitionGoal {
  /** The ISR that is wanted; by default the present one. */
  readonly isr?: readonly NodeId[]
  /** This replica's log is not what it was: it leaves the ISR and the ELR. */
  readonly lost?: NodeId
  /** Nothing is left of it: to lead uncleanly it would be the worst of all, and nobody would keep what it led. */
  readonly lostWhole?: boolean
  /** Give the leadership back to the first replica where it can lead. */
  readonly preferred?: boolean
  readonly leaderRecovering?: boolean
}

interface Outcome {
  leader: NodeId
  isr: readonly NodeId[]
  recovering: boolean
  clean: boolean
}

/**
 * The one place where a partition's leader, ISR and ELR are decided (KIP-966): the ISR may become empty; who leaves
 * it while it is below the minimum stays eligible, since the high watermark stands still from then on; a leader comes
 * from the ISR, else from the ELR, else (where that is allowed) from any replica. Undefined: nothing changes.
 */
export function changePartition(
  topicId: Uuid,
  partitionId: number,
  partition: PartitionImage,
  goal: PartitionGoal,
  rules: PartitionRules,
): PartitionChangeRecord | undefined {
  const outcome = electLeader(partition, goal, rules)
  const elr = eligibleReplicas(partition, goal, rules, outcome)
  const lastKnownElr = lastKnownReplicas(partition, outcome).filter((node) => !isGone(goal, node))
  const record: PartitionChangeRecord = { type: 'partitionChangeRecord', topicId, partitionId }
  let changed = false
  const set = (change: Partial<PartitionChangeRecord>, differs: boolean): void => {
    if (!differs) return
    Object.assign(record, change)
    changed = true
  }
  set({ leader: outcome.leader }, outcome.leader !== partition.leader)
  set({ leaderRecovering: outcome.recovering }, outcome.recovering !== partition.leaderRecovering)
  set({ isr: { nodes: [...outcome.isr] } }, !sameNodes(outcome.isr, partition.isr))
  set({ elr: { nodes: elr } }, !sameNodes(elr, partition.elr))
  set({ lastKnownElr: { nodes: lastKnownElr } }, !sameNodes(lastKnownElr, partition.lastKnownElr))
  return changed ? record : undefined
}

function electLeader(partition: PartitionImage, goal: PartitionGoal, rules: PartitionRules): Outcome {
  const isr = (goal.isr ?? partition.isr).filter((node) => node !== goal.lost && !rules.isFenced(node))
  const recovering = goal.leaderRecovering ?? partition.leaderRecovering
  const current = partition.leader
  const inSync = (node: NodeId): boolean => isr.includes(node) && rules.canLead(node)
  const preferred = partition.replicas[0]
  if (goal.preferred === true && preferred !== undefined && inSync(preferred)) {
    return { leader: preferred, isr, recovering, clean: true }
  }
  if (inSync(current)) return { leader: current, isr, recovering, clean: true }

  const successor = partition.replicas.find(inSync)
  if (successor !== undefined) return { leader: successor, isr, recovering, clean: true }
  // A leader that is shutting down and that nobody can follow serves until it goes.
  if (isr.includes(current)) return { leader: current, isr, recovering, clean: true }

  const eligible = partition.replicas.find(
    (node) => partition.elr.includes(node) && node !== goal.lost && rules.canLead(node),
  )
  if (eligible !== undefined) return { leader: eligible, isr: [eligible], recovering, clean: true }

  const fallback = uncleanLeader(partition, goal, rules, isr)
  if (fallback !== undefined) return { leader: fallback, isr: [fallback], recovering: true, clean: false }
  return { leader: NO_NODE, isr, recovering, clean: true }
}

/** Who led last knows most. By configuration nothing is lost as a whole that may come back: only by command an empty replica leads. */
function uncleanLeader(
  partition: PartitionImage,
  goal: PartitionGoal,
  rules: PartitionRules,
  isr: readonly NodeId[],
): NodeId | undefined {
  const { replicas, lastKnownElr, elr } = partition
  const isEmpty = (node: NodeId): boolean => isGone(goal, node) || holdsNothing(partition, node)
  const canLead = (node: NodeId): boolean => rules.canLead(node) && !isEmpty(node)
  const lastKnown = lastKnownElr.find((node) => replicas.includes(node) && canLead(node))
  if (rules.unclean) {
    const emptyMayLead = rules.uncleanByCommand || replicas.every(isEmpty)
    return lastKnown ?? replicas.find(canLead) ?? (emptyMayLead ? replicas.find(rules.canLead) : undefined)
  }
  const nobodyIsEligible = isr.length === 0 && elr.every((node) => node === goal.lost)
  return rules.lastKnownLeader && nobodyIsEligible ? lastKnown : undefined
}

/** Not in sync since it came here, or since its disk or its log was lost. The metadata remembers it by the directory. */
export function holdsNothing(partition: PartitionImage, node: NodeId): boolean {
  return partition.directories[partition.replicas.indexOf(node)] === ZERO_UUID
}

function eligibleReplicas(
  partition: PartitionImage,
  goal: PartitionGoal,
  rules: PartitionRules,
  outcome: Outcome,
): NodeId[] {
  if (!outcome.clean || outcome.isr.length >= rules.minIsr) return []
  return partition.replicas.filter(
    (node) =>
      (partition.elr.includes(node) || partition.isr.includes(node)) &&
      !outcome.isr.includes(node) &&
      node !== goal.lost,
  )
}

/** While nobody leads: who did so last. */
function lastKnownReplicas(partition: PartitionImage, outcome: Outcome): readonly NodeId[] {
  if (outcome.leader !== NO_NODE) return []
  return partition.leader === NO_NODE ? partition.lastKnownElr : [partition.leader]
}

function isGone(goal: PartitionGoal, node: NodeId): boolean {
  return goal.lostWhole === true && node === goal.lost
}

function sameNodes(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((node, i) => node === b[i])
}
