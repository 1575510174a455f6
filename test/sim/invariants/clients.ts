import type { StoredBatch } from '../log-index.js'
import type { SimNode } from '../node.js'
import { Invariant, type ReplicaState, type Watched } from './invariant.js'

/** What was consumed at an offset never changes; no consumer skips one or is thrown out of its range. */
export class ConsumedNeverChanges extends Invariant {
  readonly title = '22 a consumed record never changes'
  readonly values = new Map<string, Map<number, string>>()
  private readonly positions = new Map<string, number>()

  override onSeen(consumer: string, partition: string, offset: number, value: string): void {
    this.checks++
    let known = this.values.get(partition)
    if (known === undefined) this.values.set(partition, (known = new Map()))
    const before = known.get(offset)
    if (before === undefined) known.set(offset, value)
    else if (before !== value)
      this.fail(`${consumer}: ${partition} held ${before} at ${offset}, and now ${value}`)
  }

  override onConsumed(consumer: string, partition: string, offset: number, value: string): void {
    this.onSeen(consumer, partition, offset, value)
    const position = `${consumer} ${partition}`
    const expected = this.positions.get(position) ?? 0
    if (offset !== expected)
      this.fail(`${consumer} read ${offset} of ${partition} where ${expected} was next`)
    this.positions.set(position, offset + 1)
  }

  override onOffsetReset(consumer: string, partition: string, offset: number): void {
    this.fail(`${consumer}: ${partition} answers OFFSET_OUT_OF_RANGE at ${offset}`)
  }
}

/** KIP-98: a sequence of a producer is committed once, and whoever repeats it hears of that one place. */
export class SequencesAreAppendedOnce extends Invariant {
  readonly title = '23 a sequence is appended once'
  private readonly places = new Map<string, number>()
  private readonly answers = new Map<string, string>()

  override onCommitted(_world: Watched, key: string, name: string, batch: StoredBatch): void {
    if (batch.sequence === null) return
    this.checks++
    const id = `${key} ${batch.sequence}`
    const known = this.places.get(id)
    if (known === undefined) this.places.set(id, batch.baseOffset)
    else if (known !== batch.baseOffset)
      this.fail(`sequence ${batch.sequence} is committed at ${name}:${known} and :${batch.baseOffset}`)
  }

  override onAcknowledged(_world: Watched, partition: string, offset: number, value: string): void {
    this.checks++
    const place = `${partition}:${offset}`
    const known = this.answers.get(value)
    if (known !== undefined && known !== place)
      this.fail(`${value} was acknowledged at ${known} and at ${place}`)
    this.answers.set(value, place)
  }
}

/** KIP-98, as far as it exists: nobody opens a transaction yet, so the last stable offset is the high watermark. */
export class LastStableIsCommitted extends Invariant {
  readonly title = '24 the last stable offset is not beyond the high watermark'

  override onFetched(consumer: string, partition: string, highWatermark: number, lastStable: number): void {
    this.checks++
    if (lastStable > highWatermark)
      this.fail(
        `${consumer}: ${partition} is stable below ${lastStable}, and committed below ${highWatermark} alone`,
      )
  }
}

/** The second addition to the checker: OffsetFetch never falls below the last acknowledged commit. */
export class CommitsAreKept extends Invariant {
  readonly title = 'an acknowledged commit is kept'
  private readonly acknowledged = new Map<string, number>()
  private readonly shown = new Map<string, number>()
  /** By node: the leader epoch in which it leads the groups' partition. */
  private readonly coordinators = new Map<number, { key: string; leaderEpoch: number }>()

  override onReplica(_world: Watched, node: SimNode, now: ReplicaState): void {
    if (now.partition.topic !== '__consumer_offsets') return
    if (now.role === 'leader') this.coordinators.set(node.id, { key: now.key, leaderEpoch: now.leaderEpoch })
    else this.coordinators.delete(node.id)
  }

  override onCommitAcknowledged(group: string, offset: number): void {
    this.acknowledged.set(group, Math.max(offset, this.acknowledged.get(group) ?? -1))
  }

  override onCommitFetched(world: Watched, group: string, offset: number, nodeId: number): void {
    // A coordinator that was cut off and does not know it yet may answer with what it knows.
    const coordinator = this.coordinators.get(nodeId)
    if (coordinator === undefined) return
    const newest = world.facts.newest.get(coordinator.key)
    if (newest === undefined || newest.leaderEpoch > coordinator.leaderEpoch || newest.leader !== nodeId)
      return
    this.checks++
    const acknowledged = this.acknowledged.get(group) ?? -1
    if (offset < acknowledged)
      this.fail(`group ${group}: OffsetFetch says ${offset} after ${acknowledged} was acknowledged`)
    const shown = this.shown.get(group) ?? -1
    if (offset < shown) this.fail(`group ${group}: OffsetFetch says ${offset} after it said ${shown}`)
    this.shown.set(group, offset)
  }
}
