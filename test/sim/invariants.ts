import type { PartitionStatus } from '../../src/broker/partitions/types.js'
import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { MetadataImage, PartitionImage } from '../../src/metadata/image.js'
import type { SimNode } from './node.js'

/** A safety property was broken. Titles begin with the number by which the invariant is known. */
export class Violation extends Error {
  override name = 'Violation'
  constructor(
    readonly invariant: string,
    message: string,
  ) {
    super(`${invariant}: ${message}`)
  }
}

/** What an invariant may look at. */
export interface Observed {
  readonly nodes: readonly SimNode[]
  readonly minInsyncReplicas: number
  /** What each machine durably holds of a partition's offset, read off its disk: identities of batches by node id. */
  durableCopies(partition: string, offset: number): Map<number, string>
  /** What the node's page cache holds there; undefined: nothing. */
  heldAt(node: number, partition: string, offset: number): string | undefined
}

/** One safety property. Each hook is called as things happen; all throw Violation. */
export abstract class Invariant {
  abstract readonly title: string
  /** How often the property was really looked at: a check that never ran proves nothing. */
  checks = 0

  /** Just before the receiver handles it. */
  onPeerMessage(_world: Observed, _from: number, _to: number, _message: PeerMessage): void {}
  onAcknowledged(_world: Observed, _partition: string, _offset: number, _value: string): void {}
  onConsumed(_consumer: string, _partition: string, _offset: number, _value: string): void {}
  onLatestOffset(_client: string, _partition: string, _offset: number): void {}
  onOffsetReset(_consumer: string, _partition: string, _offset: number): void {}
  onCommitAcknowledged(_group: string, _offset: number): void {}
  onCommitFetched(_world: Observed, _group: string, _offset: number, _nodeId: number): void {}
  /** The node's committed image moved; the image is as the node has it now. */
  onImage(_world: Observed, _node: SimNode, _image: MetadataImage): void {}
  /** After an event on a node that changed what some of its replicas say of themselves: those. */
  afterNodeEvent(_world: Observed, _node: SimNode, _changed: readonly PartitionStatus[]): void {}
  /** Every few simulated milliseconds: what spans nodes. */
  check(_world: Observed): void {}

  protected fail(message: string): never {
    throw new Violation(this.title, message)
  }
}

export function partitionName(status: { topic: string; partitionId: number }): string {
  return `${status.topic}-${status.partitionId}`
}

/** 14: whoever is in the ISR or the ELR, and runs, holds all that any leader's high watermark ever covered. */
export class MembersHoldCommitted extends Invariant {
  readonly title = '14 ISR and ELR members hold everything below the high watermark'
  private readonly highest = new Map<string, number>()
  private readonly newest = new Map<string, PartitionImage>()

  override onImage(_world: Observed, _node: SimNode, image: MetadataImage): void {
    for (const topic of image.topicsById.values()) {
      topic.partitions.forEach((partition, id) => {
        const name = `${topic.name}-${id}`
        const known = this.newest.get(name)
        if (known === undefined || partition.partitionEpoch > known.partitionEpoch)
          this.newest.set(name, partition)
      })
    }
  }

  override afterNodeEvent(_world: Observed, _node: SimNode, replicas: readonly PartitionStatus[]): void {
    for (const status of replicas) {
      if (status.role !== 'leader') continue
      const name = partitionName(status)
      if (status.highWatermark > (this.highest.get(name) ?? 0)) this.highest.set(name, status.highWatermark)
    }
  }

  override check(world: Observed): void {
    for (const node of world.nodes) {
      for (const status of node.replicas()) {
        if (status.role === 'none') continue
        const name = partitionName(status)
        const image = this.newest.get(name)
        const highest = this.highest.get(name)
        if (image === undefined || highest === undefined) continue
        if (!image.isr.includes(node.id) && !image.elr.includes(node.id)) continue
        this.checks++
        if (status.logEndOffset < highest) {
          this.fail(
            `node ${node.id} is in ISR ${image.isr.join('/')} ELR ${image.elr.join('/')} of ${name} (partition epoch ${image.partitionEpoch}) and ends at ${status.logEndOffset}, below the high watermark ${highest}`,
          )
        }
      }
    }
  }
}

/** 15: whoever leads a partition holds every record that was acknowledged, the very same batch. */
export class LeaderHoldsAcknowledged extends Invariant {
  readonly title = '15 the leader holds every acknowledged record'
  /** By partition: base offsets of acknowledged batches to their identity. */
  private readonly acknowledged = new Map<string, Map<number, string>>()
  private readonly highest = new Map<string, number>()
  private readonly reigns = new Set<string>()

  override onAcknowledged(world: Observed, partition: string, offset: number): void {
    let known = this.acknowledged.get(partition)
    if (known === undefined) {
      known = new Map()
      this.acknowledged.set(partition, known)
    }
    const { identity } = agreed(world.durableCopies(partition, offset))
    if (identity !== undefined) known.set(offset, identity)
    if (offset > (this.highest.get(partition) ?? -1)) this.highest.set(partition, offset)
  }

  override afterNodeEvent(world: Observed, node: SimNode, replicas: readonly PartitionStatus[]): void {
    for (const status of replicas) {
      if (status.role !== 'leader') continue
      const name = partitionName(status)
      const highest = this.highest.get(name)
      const reign = `${name}@${status.leaderEpoch}`
      if (highest === undefined || this.reigns.has(reign)) continue
      this.reigns.add(reign)
      // An election that this node hears of late: a newer leader may have acknowledged meanwhile.
      if (!isNewestLeader(world, status)) continue
      for (const [offset, identity] of this.acknowledged.get(name) ?? []) {
        this.checks++
        const held = world.heldAt(node.id, name, offset)
        if (held === identity) continue
        this.fail(
          `node ${node.id} leads ${name} in epoch ${status.leaderEpoch} and holds ${held ?? 'nothing'} at ${offset}, where ${identity} was acknowledged`,
        )
      }
    }
  }
}

/** 18: the shape of ISR and ELR. */
export class IsrIsSound extends Invariant {
  readonly title = '18 ISR and ELR are sound'
  private readonly seen = new WeakSet<PartitionImage>()
  /** By partition, the first partition epoch whose ISR was no smaller than the minimum: a topic may begin with less. */
  private readonly wholeSince = new Map<string, number>()

  override onImage(world: Observed, _node: SimNode, image: MetadataImage): void {
    for (const topic of image.topicsById.values()) {
      topic.partitions.forEach((partition, id) => {
        if (this.seen.has(partition)) return
        this.seen.add(partition)
        this.checks++
        const { isr, elr, replicas, leader } = partition
        const where = `${topic.name}-${id}: replicas ${replicas.join('/')} ISR ${isr.join('/')} ELR ${elr.join('/')} leader ${leader}`
        if ([...isr, ...elr].some((member) => !replicas.includes(member))) this.fail(`a stranger in ${where}`)
        if (isr.some((member) => elr.includes(member))) this.fail(`a member of both in ${where}`)
        if (isr.length >= world.minInsyncReplicas && elr.length > 0) this.fail(`a needless ELR in ${where}`)
        const name = `${topic.name}-${id}`
        if (isr.length >= world.minInsyncReplicas) {
          const since = this.wholeSince.get(name) ?? Number.POSITIVE_INFINITY
          this.wholeSince.set(name, Math.min(since, partition.partitionEpoch))
        } else if (
          isr.length + elr.length < world.minInsyncReplicas &&
          partition.partitionEpoch > (this.wholeSince.get(name) ?? Number.POSITIVE_INFINITY)
        )
          this.fail(`too few that may lead in ${where}`)
        if (leader >= 0 && !isr.includes(leader)) this.fail(`a leader outside of the ISR in ${where}`)
      })
    }
  }
}

/** 19: epochs only grow; two leaders never share one; one partition epoch means one state, on every node (6 as well). */
export class EpochsAreMonotonic extends Invariant {
  readonly title = '19 epochs are monotonic'
  isrShrinks = 0
  isrExpands = 0
  private readonly epochs = new Map<string, number>()
  private readonly leaders = new Map<string, number>()
  private readonly states = new Map<string, { image: PartitionImage; text: string }[]>()
  private readonly seen = new WeakMap<PartitionImage, true>()

  override afterNodeEvent(_world: Observed, node: SimNode, replicas: readonly PartitionStatus[]): void {
    for (const status of replicas) {
      const name = partitionName(status)
      const own = `${node.id}.${node.incarnation} ${name}`
      const before = this.epochs.get(own) ?? -1
      this.checks++
      if (status.leaderEpoch < before) this.fail(`${own}: leader epoch ${status.leaderEpoch} after ${before}`)
      if (status.leaderEpoch > before) this.epochs.set(own, status.leaderEpoch)
      if (status.role !== 'leader') continue
      const reign = `${name}@${status.leaderEpoch}`
      const known = this.leaders.get(reign)
      if (known === undefined) this.leaders.set(reign, node.id)
      else if (known !== node.id) this.fail(`nodes ${known} and ${node.id} both lead ${reign}`)
    }
  }

  override onImage(_world: Observed, node: SimNode, image: MetadataImage): void {
    for (const topic of image.topicsById.values()) {
      topic.partitions.forEach((partition, id) => {
        if (this.seen.has(partition)) return
        this.seen.set(partition, true)
        this.remember(node, `${topic.name}-${id}`, partition)
      })
    }
  }

  private remember(node: SimNode, name: string, image: PartitionImage): void {
    let states = this.states.get(name)
    if (states === undefined) {
      states = []
      this.states.set(name, states)
    }
    const text = `leader ${image.leader}@${image.leaderEpoch} ISR ${image.isr.join('/')} ELR ${image.elr.join('/')}`
    const known = states[image.partitionEpoch]
    if (known !== undefined) {
      if (known.text !== text)
        this.fail(
          `${name} in partition epoch ${image.partitionEpoch} is ${text} on node ${node.id}, and was ${known.text}`,
        )
      return
    }
    states[image.partitionEpoch] = { image, text }
    const before = states[image.partitionEpoch - 1]?.image
    if (before === undefined) return
    if (image.leaderEpoch < before.leaderEpoch)
      this.fail(`${name}: leader epoch ${image.leaderEpoch} after ${before.leaderEpoch}`)
    if (before.isr.some((member) => !image.isr.includes(member))) this.isrShrinks++
    if (image.isr.some((member) => !before.isr.includes(member))) this.isrExpands++
  }

  get leaderships(): number {
    return this.leaders.size
  }
}

/** 20: the high watermark covers only what min ISR replicas durably hold, and a client never sees the end go back. */
export class HighWatermarkIsSafe extends Invariant {
  readonly title = '20 the high watermark is safe'
  private readonly latest = new Map<string, number>()
  private readonly verified = new Map<string, number>()

  override onLatestOffset(client: string, partition: string, offset: number): void {
    const key = `${client} ${partition}`
    const before = this.latest.get(key) ?? 0
    if (offset < before) this.fail(`${client} saw the end of ${partition} at ${before}, then at ${offset}`)
    this.latest.set(key, offset)
  }

  override afterNodeEvent(world: Observed, node: SimNode, replicas: readonly PartitionStatus[]): void {
    for (const status of replicas) {
      const { highWatermark, logEndOffset } = status
      if (highWatermark > logEndOffset)
        this.fail(
          `node ${node.id} ${partitionName(status)}: high watermark ${highWatermark} beyond the end ${logEndOffset}`,
        )
      if (status.role !== 'leader') continue
      const name = partitionName(status)
      const last = highWatermark - 1
      if (last <= (this.verified.get(name) ?? -1)) continue
      this.verified.set(name, last)
      this.checks++
      const copies = world.durableCopies(name, last)
      if (agreed(copies).count < world.minInsyncReplicas)
        this.fail(
          `${name}: the high watermark ${highWatermark} of node ${node.id} covers what is durable as ${describe(copies)}`,
        )
    }
  }
}

/** 22: what was consumed at an offset never changes; no consumer skips one or is thrown out of its range. */
export class ConsumedNeverChanges extends Invariant {
  readonly title = '22 a consumed record never changes'
  readonly values = new Map<string, Map<number, string>>()
  private readonly positions = new Map<string, number>()

  override onConsumed(consumer: string, partition: string, offset: number, value: string): void {
    let known = this.values.get(partition)
    if (known === undefined) {
      known = new Map()
      this.values.set(partition, known)
    }
    const before = known.get(offset)
    if (before === undefined) known.set(offset, value)
    else if (before !== value)
      this.fail(`${consumer}: ${partition} held ${before} at ${offset}, and now ${value}`)
    const position = `${consumer} ${partition}`
    const expected = this.positions.get(position) ?? 0
    this.checks++
    if (offset !== expected)
      this.fail(`${consumer} read ${offset} of ${partition} where ${expected} was next`)
    this.positions.set(position, offset + 1)
  }

  override onOffsetReset(consumer: string, partition: string, offset: number): void {
    this.fail(`${consumer}: ${partition} answers OFFSET_OUT_OF_RANGE at ${offset}`)
  }
}

/** 25: at the moment of the acknowledgement, min ISR disks hold the record. */
export class AcknowledgedIsDurable extends Invariant {
  readonly title = '25 an acknowledged record is durable on min ISR replicas'

  override onAcknowledged(world: Observed, partition: string, offset: number, value: string): void {
    this.checks++
    const copies = world.durableCopies(partition, offset)
    if (agreed(copies).count < world.minInsyncReplicas)
      this.fail(
        `${value} was acknowledged at ${partition}:${offset}, which is durable as ${describe(copies)}`,
      )
  }
}

/** The second addition to the checker: OffsetFetch never falls below the last acknowledged commit. */
export class CommitsAreKept extends Invariant {
  readonly title = 'an acknowledged commit is kept'
  private readonly acknowledged = new Map<string, number>()

  override onCommitAcknowledged(group: string, offset: number): void {
    this.acknowledged.set(group, Math.max(offset, this.acknowledged.get(group) ?? -1))
  }

  override onCommitFetched(world: Observed, group: string, offset: number, nodeId: number): void {
    // A coordinator that was cut off and does not know it yet may answer with what it knows.
    const node = world.nodes.find(({ id }) => id === nodeId)!
    const own = node.replicas().find(({ topic }) => topic === '__consumer_offsets')
    if (own === undefined || own.role !== 'leader' || !isNewestLeader(world, own)) return
    this.checks++
    const acknowledged = this.acknowledged.get(group) ?? -1
    if (offset < acknowledged)
      this.fail(`group ${group}: OffsetFetch says ${offset} after ${acknowledged} was acknowledged`)
  }
}

/** What most copies are, and how many. */
function agreed(copies: ReadonlyMap<number, string>): { identity: string | undefined; count: number } {
  let best: { identity: string | undefined; count: number } = { identity: undefined, count: 0 }
  const counts = new Map<string, number>()
  for (const identity of copies.values()) {
    const count = (counts.get(identity) ?? 0) + 1
    counts.set(identity, count)
    if (count > best.count) best = { identity, count }
  }
  return best
}

function describe(copies: ReadonlyMap<number, string>): string {
  return [...copies].map(([node, identity]) => `${identity} on ${node}`).join(', ') || 'nothing on any node'
}

/** A zombie may believe that it leads; what it believes binds nobody. */
function isNewestLeader(world: Observed, leader: PartitionStatus): boolean {
  return world.nodes.every((node) =>
    node
      .replicas()
      .every(
        (status) =>
          status.topicId !== leader.topicId ||
          status.partitionId !== leader.partitionId ||
          status.leaderEpoch <= leader.leaderEpoch,
      ),
  )
}
