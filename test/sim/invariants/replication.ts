import { countedReplicas } from '../../../src/metadata/configs.js'
import { maximalIsr } from '../../../src/partition/isr.js'
import type { SimNode } from '../node.js'
import {
  agreed,
  countedCopies,
  describeCopies,
  Invariant,
  isUnreadRot,
  promisedCopies,
  type ReplicaState,
  type Watched,
} from './invariant.js'

/** A zombie may believe that it leads; what it believes binds nobody. */
function isNewestLeader(world: Watched, now: ReplicaState): boolean {
  const newest = world.facts.newest.get(now.key)
  return newest === undefined || newest.leaderEpoch <= now.leaderEpoch
}

/** Whoever leads a partition holds every record that was acknowledged, the very same batch. */
export class LeaderHoldsAcknowledged extends Invariant {
  readonly title = '15 the leader holds every acknowledged record'
  /** By partition: offsets to the batch's identity. */
  private readonly acknowledged = new Map<string, Map<number, string>>()

  override onAcknowledged(world: Watched, partition: string, offset: number): void {
    let known = this.acknowledged.get(partition)
    if (known === undefined) this.acknowledged.set(partition, (known = new Map()))
    // What an old leader did not commit may lie on as many machines.
    const key = world.facts.keyOfName(partition)
    const committed = key === undefined ? undefined : world.facts.committedAt(key, offset)
    const identity = committed?.identity ?? agreed(countedCopies(world, partition, offset)).identity
    if (identity !== undefined) known.set(offset, identity)
  }

  override onReplica(world: Watched, node: SimNode, now: ReplicaState, before: ReplicaState | null): void {
    if (now.role !== 'leader') return
    if (before !== null && before.role === 'leader' && before.leaderEpoch === now.leaderEpoch) return
    // An election that this node hears of late: a newer leader may have acknowledged meanwhile.
    if (!isNewestLeader(world, now)) return
    const disk = world.diskOf(node.id)
    for (const [offset, identity] of this.acknowledged.get(now.name) ?? []) {
      this.checks++
      const held = disk.heldAt(now.name, offset)
      if (held === identity || offset < now.partition.log.logStartOffset) continue
      if (offset < now.logEndOffset && isUnreadRot(world, node, held, identity)) continue
      this.fail(
        `node ${node.id} leads ${now.name} in epoch ${now.leaderEpoch} and holds ${held ?? 'nothing'} at ${offset}, where ${identity} was acknowledged`,
      )
    }
  }
}

/** Below what all of them take for committed, the replicas hold the same bytes. */
export class ReplicasAreIdentical extends Invariant {
  readonly title = '16 replicas are identical below the least high watermark'
  /** By partition, up to where all were the same and nobody wrote or cut since. */
  private readonly verified = new Map<string, number>()

  override eachSecond(world: Watched): void {
    const replicas = new Map<
      string,
      { name: string; replicas: { id: number; highWatermark: number; from: number }[] }
    >()
    for (const node of world.nodes) {
      if (!node.isUp || node.node === null || node.node.state === 'stopped') continue
      if (world.damagedNodes.has(node.id)) continue
      for (const partition of node.node.services.partitions.all()) {
        if (partition.role.type === 'none') continue
        const key = `${partition.topicId}:${partition.partitionId}`
        const name = `${partition.topic}-${partition.partitionId}`
        let group = replicas.get(key)
        if (group === undefined) replicas.set(key, (group = { name, replicas: [] }))
        const { highWatermark } = partition
        group.replicas.push({ id: node.id, highWatermark, from: partition.log.logStartOffset })
      }
    }
    for (const [key, group] of replicas) if (group.replicas.length > 1) this.compare(world, key, group)
  }

  private compare(
    world: Watched,
    key: string,
    { name, replicas }: { name: string; replicas: { id: number; highWatermark: number; from: number }[] },
  ): void {
    const end = Math.min(...replicas.map(({ highWatermark }) => highWatermark))
    const start = Math.max(...replicas.map(({ from }) => from))
    const touched = Math.min(...world.nodes.map(({ id }) => world.diskOf(id).takeTouched(name)))
    const from = Math.max(start, Math.min(touched, this.verified.get(key) ?? 0))
    if (from < end) {
      this.checks++
      const [first, ...others] = replicas
      const expected = world
        .diskOf(first!.id)
        .between(name, from, end)
        .map(({ identity }) => identity)
      for (const { id } of others) {
        const held = world
          .diskOf(id)
          .between(name, from, end)
          .map(({ identity }) => identity)
        const at = expected.findIndex((identity, i) => identity !== held[i])
        if (at < 0 && held.length === expected.length) continue
        this.fail(
          `${name} below ${end}: ${expected[at] ?? 'nothing'} on node ${first!.id}, ${held[at] ?? 'nothing'} on node ${id}`,
        )
      }
    }
    // Whoever is down now is compared when it is back.
    const isWhole = replicas.length === world.facts.newest.get(key)?.replicas.length
    this.verified.set(key, isWhole ? end : from)
  }
}

/** The high watermark covers what min ISR replicas and every possible member durably hold; clients never see the end go back. */
export class HighWatermarkIsSafe extends Invariant {
  readonly title = '20 the high watermark is safe'
  private readonly latest = new Map<string, number>()

  override onLatestOffset(client: string, partition: string, offset: number): void {
    const key = `${client} ${partition}`
    const before = this.latest.get(key) ?? 0
    this.checks++
    if (offset < before) this.fail(`${client} saw the end of ${partition} at ${before}, then at ${offset}`)
    this.latest.set(key, offset)
  }

  override onReplica(world: Watched, node: SimNode, now: ReplicaState, before: ReplicaState | null): void {
    const { name, highWatermark } = now
    const where = `${name}: the high watermark ${highWatermark} of node ${node.id} in epoch ${now.leaderEpoch}`
    if (highWatermark > now.logEndOffset) this.fail(`${where} is beyond the end ${now.logEndOffset}`)
    if (now.role !== 'leader' || now.isr === null) return
    const isFirstLook = before?.role !== 'leader' || before.leaderEpoch !== now.leaderEpoch
    // What it came with was judged when an earlier leader had it.
    if (isFirstLook || highWatermark <= before.highWatermark) return
    // Whoever stood still hears now of what the others have deleted since.
    if (world.facts.isRetained(now.key) && !isNewestLeader(world, now)) return
    this.checks++
    const last = highWatermark - 1
    const copies = countedCopies(world, name, last)
    const newest = world.facts.newest.get(now.key)
    const minIsr = Math.min(world.minInsyncReplicas, newest === undefined ? 1 : countedReplicas(newest))
    if (promisedCopies(world, copies, name, last) < minIsr)
      this.fail(`${where} covers what counts as ${describeCopies(copies)}`)
    if (now.isr.isr.length < minIsr && !hadEnough(world, now, before, minIsr))
      this.fail(`${where} advanced with the ISR ${now.isr.isr.join('/')}`)
    const held = world.diskOf(node.id).heldAt(name, last)
    const own = held === undefined && world.damagedNodes.has(node.id) ? agreed(copies).identity : held
    for (const member of maximalIsr(now.isr)) {
      if (copies.get(member) === own || world.damagedNodes.has(member)) continue
      // A reassignment may have ended behind the leader's back: who is no replica any more has deleted its log.
      if (newest?.replicas.includes(member) === false) continue
      this.fail(`${where} passes member ${member}, which counts as ${describeCopies(copies)}`)
    }
  }
}

/** Several changes of the image may come in one event: it advanced between two of them. */
function hadEnough(world: Watched, now: ReplicaState, before: ReplicaState, minIsr: number): boolean {
  if (before.isr !== null && before.isr.isr.length >= minIsr) return true
  for (let epoch = before.partitionEpoch + 1; epoch < now.partitionEpoch; epoch++)
    if ((world.facts.stateAt(now.key, epoch)?.isr.length ?? 0) >= minIsr) return true
  return false
}

/** KAFKA-14704: what a follower takes for committed is what its leaders committed. */
export class FollowersCoverOnlyReconciled extends Invariant {
  readonly title = "21 a follower's high watermark never covers an unreconciled suffix"

  override onReplica(world: Watched, node: SimNode, now: ReplicaState, before: ReplicaState | null): void {
    if (now.role !== 'follower' || now.highWatermark === 0) return
    const isSame = before !== null && before.highWatermark === now.highWatermark
    if (isSame && before.logEndOffset === now.logEndOffset && before.leaderEpoch === now.leaderEpoch) return
    const expected = world.facts.committedAt(now.key, now.highWatermark - 1)
    if (expected === undefined || now.highWatermark <= now.partition.log.logStartOffset) return
    this.checks++
    const held = world.diskOf(node.id).heldAt(now.name, now.highWatermark - 1)
    const isRotten =
      now.highWatermark <= now.logEndOffset && isUnreadRot(world, node, held, expected.identity)
    if (held !== expected.identity && !isRotten)
      this.fail(
        `node ${node.id} takes ${now.name} for committed below ${now.highWatermark} and holds ${held ?? 'nothing'}, where ${expected.identity} is`,
      )
    if (now.highWatermark > world.facts.highWatermark(now.key))
      this.fail(
        `node ${node.id} takes ${now.name} for committed below ${now.highWatermark}, further than any leader`,
      )
  }
}

/** At the moment of the acknowledgement, min ISR disks hold the record. */
export class AcknowledgedIsDurable extends Invariant {
  readonly title = '25 an acknowledged record is durable on min ISR replicas'

  override onAcknowledged(world: Watched, partition: string, offset: number, value: string): void {
    this.checks++
    const copies = countedCopies(world, partition, offset)
    if (promisedCopies(world, copies, partition, offset) < world.minInsyncReplicas)
      this.fail(
        `${value} was acknowledged at ${partition}:${offset}, which counts as ${describeCopies(copies)}`,
      )
  }
}
