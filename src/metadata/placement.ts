import type { NodeId } from '../lib/ids.js'
import { randomBelow } from '../lib/prng.js'
import type { Random } from '../ports/random.js'
import type { BrokerImage, MetadataImage } from './image.js'

/** By broker: how many replicas it has, and of how many partitions it is the preferred leader. */
export interface ReplicaCounts {
  readonly replicaCounts: ReadonlyMap<NodeId, number>
  readonly preferredCounts: ReadonlyMap<NodeId, number>
}

/** Where new partitions go: by load, over racks, and over brokers that are up before those that are not. */
export class Placement {
  private readonly replicaCounts: Map<NodeId, number>
  private readonly preferredCounts: Map<NodeId, number>
  private readonly brokers: readonly BrokerImage[]
  private readonly random: Random

  /** counts: of the present partitions. */
  constructor(image: MetadataImage, counts: ReplicaCounts, random: Random) {
    this.brokers = [...image.brokers.values()]
    this.random = random
    this.replicaCounts = new Map(counts.replicaCounts)
    this.preferredCounts = new Map(counts.preferredCounts)
  }

  /** Replicas of one new partition, the preferred leader first. factor: at most the number of registered brokers. */
  place(factor: number): NodeId[] {
    const up = this.brokers.filter(isUp)
    const pool = new Set(up.length >= factor ? up : this.brokers)
    const chosen: BrokerImage[] = []
    while (chosen.length < factor) {
      const next = this.best(pool, chosen)
      pool.delete(next)
      chosen.push(next)
    }
    const replicas = chosen.map((broker) => broker.id)
    this.count(replicas)
    return replicas
  }

  private best(pool: ReadonlySet<BrokerImage>, chosen: readonly BrokerImage[]): BrokerImage {
    const usedRacks = new Set(chosen.map((broker) => broker.rack))
    const counts = chosen.length === 0 ? this.preferredCounts : this.replicaCounts
    const cost = (broker: BrokerImage): number[] => [
      isUp(broker) ? 0 : 1,
      broker.rack !== undefined && usedRacks.has(broker.rack) ? 1 : 0,
      counts.get(broker.id) ?? 0,
      this.replicaCounts.get(broker.id) ?? 0,
    ]
    let best: { broker: BrokerImage; cost: number[] }[] = []
    for (const broker of pool) {
      const candidate = { broker, cost: cost(broker) }
      const order = best.length === 0 ? -1 : compare(candidate.cost, best[0]!.cost)
      if (order < 0) best = [candidate]
      else if (order === 0) best.push(candidate)
    }
    return best[best.length === 1 ? 0 : randomBelow(this.random, best.length)]!.broker
  }

  private count(replicas: readonly NodeId[]): void {
    replicas.forEach((replica, position) => {
      this.replicaCounts.set(replica, (this.replicaCounts.get(replica) ?? 0) + 1)
      if (position === 0) this.preferredCounts.set(replica, (this.preferredCounts.get(replica) ?? 0) + 1)
    })
  }
}

function isUp(broker: BrokerImage): boolean {
  return !broker.fenced && !broker.inControlledShutdown
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!
  }
  return 0
}
