import type { PartitionImage } from '../../src/metadata/image.js'
import type { Entry } from '../../src/raft/types.js'
import { FAULTS, type Fault, LOSSES } from './faults.js'
import type { InvariantMonitor } from './invariants/monitor.js'
import type { SimLinks } from './network.js'
import type { SimNode } from './node.js'
import { RETAINED_TOPIC } from './retention.js'
import { WORKLOAD_EVENTS } from './sim-client.js'
import { TOPIC } from './workload.js'

/** One per cent: more than a clock that somebody sets right now and then ever has. */
const NOTABLE_DRIFT_PPM = 10_000

const WHAT_HAPPENED = [
  'lostResponses',
  'requests',
  'acknowledgements',
  'unpromised',
  'consumed',
  'seenAgain',
  'commits',
  ...WORKLOAD_EVENTS,
  'elections',
  'leaderships',
  'isrShrinks',
  'isrExpands',
  'truncations',
  'tornTails',
  'tornWrites',
  'splitSegments',
  'encodedMessages',
  'brokenSegments',
  'clockDrifts',
  'snapshotInstalls',
  'quarantines',
  'raftQuarantines',
  'voterChanges',
  'dataReplicasMoved',
  'logStartsMoved',
  'replicasBegunAnew',
] as const

export type Happening = Fault | (typeof WHAT_HAPPENED)[number]

/** Too rare to be asked of a short sweep. */
export const RARE: ReadonlySet<string> = new Set<Happening>([
  'tornTails',
  // Where a seed draws more than three brokers.
  'dataReplicasMoved',
  // Asked for by one profile alone.
  'votersAdded',
  'votersPromoted',
  'votersRemoved',
  'leadersRemoved',
  // One a life.
  ...LOSSES,
])

/** How often each fault struck and each thing happened that a sweep is to see. */
export class Tally {
  readonly counts: Record<Happening, number>
  private readonly seenConfigurations = new Set<number>()
  /** Of the records' partitions: the nodes that hold each. */
  private readonly holders = new Map<string, string>()
  /** Of the topic that keeps its newest bytes alone, by node. */
  private readonly logStarts = new Map<number, number>()

  constructor() {
    const names: readonly Happening[] = [...FAULTS, ...WHAT_HAPPENED]
    this.counts = Object.fromEntries(names.map((name) => [name, 0])) as Record<Happening, number>
  }

  add(what: Happening): void {
    this.counts[what]++
  }

  /** What a node says of itself. */
  addLogLine(line: string): void {
    if (line.startsWith('error the Raft log is quarantined')) this.add('raftQuarantines')
    else if (line.includes('to be fetched anew')) this.add('quarantines')
    else if (line.startsWith('info snapshot installed')) this.add('snapshotInstalls')
    else if (line.startsWith('warn out of the range of the leader')) this.add('replicasBegunAnew')
  }

  /** Entries of Raft, on their way to a follower. */
  addEntries(entries: readonly Entry[]): void {
    for (const { type, index } of entries) {
      // The first one founded the cluster.
      if (type !== 'configuration' || index === 1 || this.seenConfigurations.has(index)) continue
      this.seenConfigurations.add(index)
      this.add('voterChanges')
    }
  }

  /** A state of a partition, as an image shows it for the first time. */
  addPartition(topic: string, id: number, partition: PartitionImage): void {
    if (topic !== TOPIC) return
    const { replicas, addingReplicas, removingReplicas } = partition
    // Nobody comes or goes any more.
    if (addingReplicas.length + removingReplicas.length > 0) return
    const name = `${topic}-${id}`
    const holders = [...replicas].sort((a, b) => a - b).join()
    const before = this.holders.get(name)
    if (before !== undefined && before !== holders) this.add('dataReplicasMoved')
    this.holders.set(name, holders)
  }

  addLogStarts(nodes: readonly SimNode[]): void {
    for (const node of nodes) {
      for (const { topic, logStartOffset } of node.replicas()) {
        if (topic !== RETAINED_TOPIC || logStartOffset <= (this.logStarts.get(node.id) ?? 0)) continue
        this.logStarts.set(node.id, logStartOffset)
        this.add('logStartsMoved')
      }
    }
  }

  addDrift(driftPpm: number): void {
    if (Math.abs(driftPpm) >= NOTABLE_DRIFT_PPM) this.add('clockDrifts')
  }

  /** What others counted, at the end of a life. */
  take({ elections, epochs }: InvariantMonitor, links: SimLinks, nodes: readonly SimNode[]): void {
    this.counts.elections = elections.elections
    this.counts.leaderships = epochs.leaderships
    this.counts.isrShrinks = epochs.isrShrinks
    this.counts.isrExpands = epochs.isrExpands
    this.counts.splitSegments = links.splits
    this.counts.brokenSegments = links.brokenSegments
    this.counts.tornWrites = nodes.reduce((sum, { disk }) => sum + disk.tornWrites, 0)
  }
}
