import { createMetadataRecordCodec } from '../../../src/adapters/record-codec.js'
import type { LogIndex, NodeId } from '../../../src/lib/ids.js'
import { countedReplicas } from '../../../src/metadata/configs.js'
import type { MetadataImage, PartitionImage } from '../../../src/metadata/image.js'
import { maximalIsr, proposedIsr } from '../../../src/partition/isr.js'
import type { LeaderState } from '../../../src/partition/leader-state.js'
import type { SimNode } from '../node.js'
import { configuredMinimum, keyOf, type PartitionFact } from './facts.js'
import { Invariant, type ReplicaState, type Watched } from './invariant.js'

const codec = createMetadataRecordCodec()

/** The leader of this very state, where its process runs and knows it. */
function leaderOf(world: Watched, key: string, image: PartitionImage): LeaderState | undefined {
  const node = world.nodes.find(({ id }) => id === image.leader)
  if (node === undefined || !node.isUp || node.node === null || node.node.state === 'stopped')
    return undefined
  for (const partition of node.node.services.partitions.all()) {
    if (keyOf(partition.topicId, partition.partitionId) !== key) continue
    return partition.leaderEpoch === image.leaderEpoch ? partition.leading : undefined
  }
  return undefined
}

/** KIP-497: whoever the controller may elect was waited for by the leader. */
export class LeaderWaitsForAllEligible extends Invariant {
  readonly title = "13 ISR and ELR are within the leader's maximal ISR"

  override onReplica(world: Watched, _node: SimNode, now: ReplicaState): void {
    const newest = world.facts.newest.get(now.key)
    if (now.role === 'leader' && newest?.leaderEpoch === now.leaderEpoch)
      this.judge(world, now.name, now.key, newest)
  }

  override onState(world: Watched, { name, partition }: PartitionFact, key: string): void {
    if (world.facts.newest.get(key) === partition) this.judge(world, name, key, partition)
  }

  private judge(world: Watched, name: string, key: string, image: PartitionImage): void {
    if (image.isr.length < minIsrOf(world, world.facts.minimumOf(key), image)) return
    const leader = leaderOf(world, key, image)
    if (leader === undefined) return
    this.checks++
    const maximal = maximalIsr(leader.isr)
    for (const member of [...image.isr, ...image.elr]) {
      if (maximal.includes(member)) continue
      this.fail(
        `${name}@${image.leaderEpoch}, partition epoch ${image.partitionEpoch}: ISR ${image.isr.join('/')} ELR ${image.elr.join('/')}, and its leader waits for ${maximal.join('/')} alone`,
      )
    }
  }
}

/** Whoever is in the ISR or the ELR, and runs, holds all that any leader's high watermark ever covered. */
export class MembersHoldCommitted extends Invariant {
  readonly title = '14 ISR and ELR members hold everything below the high watermark'

  override onReplica(world: Watched, node: SimNode, now: ReplicaState, before: ReplicaState | null): void {
    if (now.role === 'leader' && now.highWatermark > (before?.highWatermark ?? 0)) {
      for (const other of world.nodes) this.judgeNode(world, other, now.key)
    } else if (now.logEndOffset !== before?.logEndOffset || now.leaderEpoch !== before.leaderEpoch)
      this.judge(world, node, now.key, now.name, now.logEndOffset)
  }

  override onState(world: Watched, _fact: PartitionFact, key: string): void {
    for (const node of world.nodes) this.judgeNode(world, node, key)
  }

  private judgeNode(world: Watched, node: SimNode, key: string): void {
    if (!node.isUp || node.node === null || node.node.state === 'stopped') return
    for (const partition of node.node.services.partitions.all()) {
      if (keyOf(partition.topicId, partition.partitionId) !== key || partition.role.type === 'none') continue
      this.judge(world, node, key, `${partition.topic}-${partition.partitionId}`, partition.log.logEndOffset)
    }
  }

  private judge(world: Watched, node: SimNode, key: string, name: string, logEndOffset: number): void {
    const image = world.facts.newest.get(key)
    if (image === undefined || (!image.isr.includes(node.id) && !image.elr.includes(node.id))) return
    // Until the controller has heard of the damage, it stands in the sets.
    if (world.damagedNodes.has(node.id)) return
    const highest = world.facts.highWatermark(key)
    if (highest === 0) return
    this.checks++
    const where = `node ${node.id} is in ISR ${image.isr.join('/')} ELR ${image.elr.join('/')} of ${name} (partition epoch ${image.partitionEpoch})`
    if (logEndOffset < highest)
      this.fail(`${where} and ends at ${logEndOffset}, below the high watermark ${highest}`)
    const expected = world.facts.committedAt(key, highest - 1)
    if (expected === undefined) return
    const held = world.diskOf(node.id).heldAt(name, highest - 1)
    if (held !== expected.identity)
      this.fail(
        `${where} and holds ${held ?? 'nothing'} at ${highest - 1}, where ${expected.identity} is committed`,
      )
  }
}

/** KIP-841, KIP-903: who enters is live, stays, and fetched under its present registration. */
export class OnlyLiveReplicasJoin extends Invariant {
  readonly title = '17 no fenced, leaving or stale replica enters the ISR'

  /** KIP-497: whoever the leader lets in is at or past the high watermark and the start of the epoch. */
  override onReplica(_world: Watched, node: SimNode, now: ReplicaState, before: ReplicaState | null): void {
    const state = now.partition.leading
    if (state === undefined || now.isr?.type !== 'pendingExpand' || now.isr === before?.isr) return
    this.checks++
    for (const added of now.isr.added) {
      const offset = state.replica(added)?.fetchOffset ?? -1
      if (offset < Math.max(now.highWatermark, state.epochStartOffset))
        this.fail(
          `node ${node.id} asks for ${added} in the ISR of ${now.name}@${now.leaderEpoch}, which fetched at ${offset}; the epoch begins at ${state.epochStartOffset}, the high watermark is ${now.highWatermark}`,
        )
    }
  }

  override onState(
    world: Watched,
    { name, partition, previous }: PartitionFact,
    key: string,
    image: MetadataImage,
  ): void {
    // An election may bring back who was eligible; by a leader alone nobody comes who is not live.
    if (previous === undefined || previous.leaderEpoch !== partition.leaderEpoch) return
    const joined = partition.isr.filter((member) => !previous.isr.includes(member))
    for (const member of joined) {
      this.checks++
      const broker = image.brokers.get(member)
      const where = `${member} enters the ISR of ${name} in partition epoch ${partition.partitionEpoch}`
      if (broker === undefined) this.fail(`${where} and is not registered`)
      if (broker.fenced) this.fail(`${where} and is fenced`)
      if (broker.inControlledShutdown) this.fail(`${where} and is about to stop`)
      const fetchedUnder = leaderOf(world, key, partition)?.replica(member)?.brokerEpoch ?? -1
      if (fetchedUnder >= 0 && fetchedUnder < broker.epoch)
        this.fail(`${where} as of registration ${broker.epoch}, and had fetched under ${fetchedUnder}`)
    }
  }
}

/** What the count of a partition's eligible leaders depends on, up to its newest state. */
interface Eligible {
  readonly partition: PartitionImage
  /** Up to where the image that showed it goes. */
  readonly imageIndex: LogIndex
  /** As the topic's configuration has it. */
  readonly minimum: number | undefined
  /** Under that minimum its ISR was no smaller than the minimum once: a topic may begin with less. */
  readonly wasWhole: boolean
  /** Since the ISR was last that large: members whose disks were damaged. They held everything, and count as if they still did. */
  readonly lost: ReadonlySet<NodeId>
}

/** What is wrong where the topic's minimum was the same from one image to the other. */
interface Suspicion {
  readonly topic: string
  readonly after: LogIndex
  readonly upTo: LogIndex
  readonly message: string
}

/** The shape of ISR and ELR (KIP-966). */
export class IsrIsSound extends Invariant {
  readonly title = '18 ISR and ELR are sound'
  private readonly eligible = new Map<string, Eligible>()
  /** By topic: the committed entries that set its minimum. An image may show several at once. */
  private readonly minimumChanges = new Map<string, LogIndex[]>()
  /** Entries that nobody's log showed. */
  private readonly unseen: LogIndex[] = []
  private nextEntry: LogIndex = 1
  private suspicions: Suspicion[] = []

  override onRaft(world: Watched): void {
    const { committed } = world.facts
    for (; this.nextEntry < committed.length; this.nextEntry++) {
      const entry = committed[this.nextEntry]?.entry
      if (entry === undefined) this.unseen.push(this.nextEntry)
      if (entry?.type !== 'data') continue
      for (const record of codec.decode(entry.payload)) {
        if (record.type !== 'configRecord' || record.name !== 'min.insync.replicas') continue
        const known = this.minimumChanges.get(record.resourceName)
        if (known === undefined) this.minimumChanges.set(record.resourceName, [this.nextEntry])
        else known.push(this.nextEntry)
      }
    }
  }

  override onState(
    world: Watched,
    { name, partition }: PartitionFact,
    key: string,
    image: MetadataImage,
  ): void {
    this.checks++
    const { isr, elr, replicas, leader } = partition
    const where = whereOf(name, partition)
    if ([...isr, ...elr].some((member) => !replicas.includes(member))) this.fail(`a stranger in ${where}`)
    if (isr.some((member) => elr.includes(member))) this.fail(`a member of both in ${where}`)
    const minimum = configuredMinimum(image, topicOf(name))
    if (isNeedless(world, minimum, partition)) this.fail(`a needless ELR in ${where}`)
    if (leader >= 0 && !isr.includes(leader)) this.fail(`a leader outside of the ISR in ${where}`)
    // Who starts again shows what was long ago, and which disks were damaged then is not known any more.
    if (world.facts.newest.get(key) === partition) this.judgeCount(world, name, key, partition, minimum)
  }

  /** A new minimum changes no partition where it makes no ELR void. */
  override eachSecond(world: Watched): void {
    for (const { topic, after, upTo, message } of this.suspicions) {
      const changes = [...(this.minimumChanges.get(topic) ?? []), ...this.unseen]
      if (!changes.some((index) => index > after && index <= upTo)) this.fail(message)
    }
    this.suspicions = []
    for (const node of world.nodes) {
      if (!node.isUp || node.node === null || node.node.state === 'stopped') continue
      const { image } = node.node.services.metadata
      for (const topic of image.topicsById.values()) {
        const minimum = configuredMinimum(image, topic.name)
        for (const partition of topic.partitions)
          if (isNeedless(world, minimum, partition))
            this.fail(
              `a needless ELR under the minimum of ${minimum ?? 'the default'} in ${whereOf(topic.name, partition)}`,
            )
      }
    }
  }

  /** While the ISR is too small nobody leaves both sets, but for damage: the ELR gets all that the ISR loses. */
  private judgeCount(
    world: Watched,
    name: string,
    key: string,
    partition: PartitionImage,
    minimum: number | undefined,
  ): void {
    const { isr, elr, leaderRecovering } = partition
    const before = this.eligible.get(key)
    const minIsr = minIsrOf(world, minimum, partition)
    const imageIndex = world.facts.newestImageIndex
    if (isr.length >= minIsr) {
      this.eligible.set(key, { partition, imageIndex, minimum, wasWhole: true, lost: new Set() })
      return
    }
    const lost = lostOf(world, partition, before)
    const wasWhole = before?.wasWhole === true && before.minimum === minimum
    if (wasWhole && !leaderRecovering && isr.length + elr.length + lost.size < minIsr)
      this.suspicions.push({
        topic: topicOf(name),
        after: before.imageIndex,
        upTo: imageIndex,
        message: `too few that may lead in ${whereOf(name, partition)}`,
      })
    this.eligible.set(key, { partition, imageIndex, minimum, wasWhole, lost })
  }
}

function lostOf(world: Watched, partition: PartitionImage, before: Eligible | undefined): Set<NodeId> {
  const { isr, elr, partitionEpoch } = partition
  const lost = new Set(before?.lost)
  // Between states that no node showed, each of them may have been in one of the sets.
  const isNext = partitionEpoch === (before?.partition.partitionEpoch ?? -1) + 1
  for (const member of world.damagedNodes.keys())
    if (!isNext || before?.partition.isr.includes(member) || before?.partition.elr.includes(member))
      lost.add(member)
  for (const member of [...isr, ...elr]) lost.delete(member)
  return lost
}

function minIsrOf(world: Watched, minimum: number | undefined, partition: PartitionImage): number {
  return Math.min(minimum ?? world.minInsyncReplicas, countedReplicas(partition))
}

function isNeedless(world: Watched, minimum: number | undefined, partition: PartitionImage): boolean {
  return partition.elr.length > 0 && partition.isr.length >= minIsrOf(world, minimum, partition)
}

function topicOf(name: string): string {
  return name.slice(0, name.lastIndexOf('-'))
}

function whereOf(name: string, { replicas, isr, elr, leader }: PartitionImage): string {
  return `${name}: replicas ${replicas.join('/')} ISR ${isr.join('/')} ELR ${elr.join('/')} leader ${leader}`
}

/** Epochs only grow; two leaders never share one; one partition epoch is one state; a change matched both when it was applied. */
export class EpochsAreMonotonic extends Invariant {
  readonly title = '19 epochs are monotonic, and an applied AlterPartition matched both'
  isrShrinks = 0
  isrExpands = 0
  /** By leader epoch: 'node.incarnation'. */
  private readonly leaders = new Map<string, string>()
  /** What leaders asked for: 'leader epoch/partition epoch/ISR', by partition. */
  private readonly proposals = new Map<string, Set<string>>()

  override onReplica(_world: Watched, node: SimNode, now: ReplicaState, before: ReplicaState | null): void {
    this.checks++
    const where = `${now.name} of node ${node.id}`
    if (before !== null && now.leaderEpoch < before.leaderEpoch)
      this.fail(`${where}: leader epoch ${now.leaderEpoch} after ${before.leaderEpoch}`)
    if (now.role !== 'leader') return
    const reign = `${now.key}@${now.leaderEpoch}`
    const life = `${node.id}.${node.incarnation}`
    const known = this.leaders.get(reign)
    if (known === undefined) this.leaders.set(reign, life)
    else if (known !== life)
      this.fail(
        `${known} and ${life} both lead ${now.name}@${now.leaderEpoch} (node and how often it was started)`,
      )
    // KIP-279: at its log end, even where it never writes anything.
    if (now.latestEpoch < now.leaderEpoch)
      this.fail(`${where} leads epoch ${now.leaderEpoch} and has recorded ${now.latestEpoch}`)
    if (now.isr === null || now.isr.type === 'committed') return
    let proposals = this.proposals.get(now.key)
    if (proposals === undefined) this.proposals.set(now.key, (proposals = new Set()))
    proposals.add(proposalOf(now.leaderEpoch, now.partitionEpoch, proposedIsr(now.isr)))
  }

  override onState(
    world: Watched,
    fact: PartitionFact,
    key: string,
    image: MetadataImage,
    node: SimNode,
  ): void {
    const { name, partition, previous } = fact
    this.checks++
    const first = world.facts.stateAt(key, partition.partitionEpoch)!
    if (textOf(first) !== textOf(partition))
      this.fail(
        `${name} in partition epoch ${partition.partitionEpoch} is ${textOf(partition)} on node ${node.id}, and was ${textOf(first)}`,
      )
    if (previous === undefined || first !== partition) return
    if (partition.leaderEpoch < previous.leaderEpoch)
      this.fail(`${name}: leader epoch ${partition.leaderEpoch} after ${previous.leaderEpoch}`)
    const joined = partition.isr.filter((member) => !previous.isr.includes(member))
    const left = previous.isr.filter((member) => !partition.isr.includes(member))
    if (left.length > 0) this.isrShrinks++
    if (joined.length > 0) this.isrExpands++
    if (partition.leaderEpoch !== previous.leaderEpoch || joined.length + left.length === 0) return
    this.judgeChange(fact, key, image, joined, left)
  }

  get leaderships(): number {
    return this.leaders.size
  }

  /** Within one leader epoch the controller drops who is not live; everything else its leader asked for, knowing all before. */
  private judgeChange(
    { name, partition, previous }: PartitionFact,
    key: string,
    image: MetadataImage,
    joined: readonly NodeId[],
    left: readonly NodeId[],
  ): void {
    const isDropped = (member: NodeId): boolean => {
      const broker = image.brokers.get(member)
      return broker === undefined || broker.fenced || broker.inControlledShutdown
    }
    if (joined.length === 0 && left.every(isDropped)) return
    const { leaderEpoch, partitionEpoch } = previous!
    if (this.proposals.get(key)?.has(proposalOf(leaderEpoch, partitionEpoch, partition.isr)) === true) return
    // Who left may have been fenced and be back by the time a node shows this image.
    if (joined.length === 0) return
    this.fail(
      `${name}: ISR ${partition.isr.join('/')} in partition epoch ${partition.partitionEpoch} was never asked for by the leader of epoch ${leaderEpoch} at partition epoch ${partitionEpoch}`,
    )
  }
}

function proposalOf(leaderEpoch: number, partitionEpoch: number, isr: readonly NodeId[]): string {
  return `${leaderEpoch}/${partitionEpoch}/${[...isr].sort((a, b) => a - b).join(',')}`
}

function textOf({ leader, leaderEpoch, isr, elr, replicas }: PartitionImage): string {
  return `leader ${leader}@${leaderEpoch} replicas ${replicas.join('/')} ISR ${isr.join('/')} ELR ${elr.join('/')}`
}
