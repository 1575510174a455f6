import { type Anomaly, anomaly } from './anomalies.js'
import { checkCycles } from './cycles.js'
import type { History } from './history.js'
import { checkPolls, checkPrecommittedReads, checkTransactions } from './polls.js'
import { checkCommits, checkEndOffsets } from './reads.js'
import { Evidence } from './version-order.js'
import { checkAbortedReads, checkLostWrites, checkOffsets, checkSendOrder } from './writes.js'

export interface CheckOptions {
  /**
   * The test ended as it must: everything healed, a new consumer assigned to all partitions read them from the
   * beginning past the highest acknowledged offset. Without it, values that nobody polled prove nothing. Default: true.
   */
  readonly isComplete?: boolean
}

/** Everything that the history proves to be wrong, or odd: see ANOMALIES. The bad ones first. */
export function checkHistory(history: History, options: CheckOptions = {}): Anomaly[] {
  const evidence = new Evidence(history)
  const isComplete = options.isComplete ?? true
  const found = [
    ...checkOffsets(evidence),
    ...checkAbortedReads(evidence),
    ...checkLostWrites(evidence, isComplete),
    ...checkSendOrder(evidence),
    ...checkPolls(evidence),
    ...checkPrecommittedReads(evidence),
    ...(isComplete ? checkTransactions(evidence) : []),
    ...checkCycles(evidence),
    ...checkEndOffsets(history),
    ...checkCommits(history),
  ]
  return [...badAnomalies(found), ...found.filter((each) => each.verdict === 'allowed')]
}

/** What no test may tolerate. */
export function badAnomalies(found: readonly Anomaly[]): Anomaly[] {
  return found.filter((each) => each.verdict === 'bad')
}

/** One replica of a partition after quiescence. */
export interface ReplicaState {
  readonly partition: string
  readonly nodeId: number
  readonly highWatermark: number
  /** A digest of every byte from the log's start to the high watermark; the same start for all. */
  readonly digest: string
}

/** After quiescence the replicas are byte-equal below the high watermark. */
export function checkReplicas(replicas: readonly ReplicaState[]): Anomaly[] {
  const found: Anomaly[] = []
  const first = new Map<string, ReplicaState>()
  for (const replica of replicas) {
    const other = first.get(replica.partition)
    if (other === undefined) {
      first.set(replica.partition, replica)
    } else if (other.highWatermark !== replica.highWatermark || other.digest !== replica.digest) {
      const detail = `${replica.partition}: ${describe(other)}, ${describe(replica)}`
      found.push(anomaly('divergent-replicas', detail))
    }
  }
  return found
}

function describe(replica: ReplicaState): string {
  return `node ${replica.nodeId} has ${replica.digest} below ${replica.highWatermark}`
}
