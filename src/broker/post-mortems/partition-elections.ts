import type { LogIndex, NodeId, Uuid } from '../../lib/ids.js'
import type { MetadataImage, PartitionImage } from '../../metadata/image.js'
import type { MetadataRecord } from '../../metadata/records.js'
import { changedPartition } from '../../metadata/replay.js'
import type { PartitionElectionCause, PartitionElections } from './types.js'

interface LeaderChange {
  readonly topicId: Uuid
  readonly topic: string
  readonly partition: number
  readonly former: PartitionImage
  readonly next: PartitionImage
}

/** What this node knows of the peers, in its own monotonic milliseconds. */
export interface SignsOfLife {
  /** The last one. */
  lastMs(peer: NodeId): number | undefined
  /** When its former process was last seen, though another one speaks already. */
  beforeRestartMs(peer: NodeId): number | undefined
}

/** Reads committed records, each before it is applied: which partitions get another leader, or a new term of the same one. */
export class PartitionElectionReader {
  private readonly groups = new Map<string, PartitionElections>()
  /** Brokers whose registration is replaced, or that are fenced, in this batch. */
  private readonly restarted = new Set<NodeId>()
  private readonly fencedNow = new Set<NodeId>()
  /**
   * Since when a broker that is fenced or unregistered serves nothing; undefined: not known here. What it led moves in
   * many batches, all of which cost from here on.
   */
  private readonly goneSinceMs = new Map<NodeId, number | undefined>()
  private readonly shutdownSinceMs = new Map<NodeId, number>()
  /** Of partitions without a leader: since when they are not served. */
  private readonly leaderless = new Map<Uuid, Map<number, number | undefined>>()

  constructor(
    private readonly nodeId: NodeId,
    private readonly signs: SignsOfLife,
    private readonly report: (elections: PartitionElections) => void,
  ) {}

  /** `image` does not hold the record yet. `nowMs` may differ within a batch. */
  onRecord(record: MetadataRecord, image: MetadataImage, nowMs: number): void {
    switch (record.type) {
      case 'registerBrokerRecord': {
        const { brokerId } = record
        this.shutdownSinceMs.delete(brokerId)
        const former = image.brokers.get(brokerId)
        if (former === undefined) return
        this.restarted.add(brokerId)
        if (!former.fenced) this.goneSinceMs.set(brokerId, this.signs.beforeRestartMs(brokerId))
        return
      }
      case 'brokerRegistrationChangeRecord':
        this.onRegistrationChange(record, image, nowMs)
        return
      case 'unregisterBrokerRecord':
        if (!this.goneSinceMs.has(record.brokerId)) this.goneSinceMs.set(record.brokerId, nowMs)
        // It was fenced for this alone.
        if (this.fencedNow.has(record.brokerId)) this.nameUnregistered(record.brokerId)
        return
      case 'removeTopicRecord':
        this.leaderless.delete(record.topicId)
        return
      // Whole where the directories change too: a reassignment's, or of a replica that held nothing.
      case 'partitionRecord':
      case 'partitionChangeRecord': {
        const topic = image.topicsById.get(record.topicId)
        const former = topic?.partitions[record.partitionId]
        if (topic === undefined || former === undefined) return
        const next = record.type === 'partitionRecord' ? record : changedPartition(former, record)
        if (next.leaderEpoch === former.leaderEpoch) return
        const { topicId, partitionId: partition } = record
        const change = { topicId, topic: topic.name, partition, former, next }
        const cause = this.causeOf(former, next, image)
        this.onLeaderChange(change, cause, this.beganMs(change, cause, nowMs), nowMs)
        return
      }
      default:
        return
    }
  }

  /** What a snapshot shows beside what this node had applied until then: that it came so, neither why nor when. */
  onSnapshot(former: MetadataImage, image: MetadataImage, nowMs: number): void {
    this.goneSinceMs.clear()
    this.shutdownSinceMs.clear()
    this.leaderless.clear()
    for (const { id: topicId, name: topic, partitions } of image.topicsById.values()) {
      const before = former.topicsById.get(topicId)?.partitions ?? []
      for (let partition = 0; partition < Math.min(partitions.length, before.length); partition++) {
        const next = partitions[partition]!
        const was = before[partition]!
        if (next.leaderEpoch === was.leaderEpoch) continue
        const change = { topicId, topic, partition, former: was, next }
        this.onLeaderChange(change, 'unknown', undefined, nowMs)
      }
    }
  }

  /** The batch is applied up to and with `index`. */
  onApplied(index: LogIndex, nowMs: number): void {
    for (const group of this.groups.values()) this.report({ ...group, index, untilMs: nowMs })
    this.groups.clear()
    this.restarted.clear()
    this.fencedNow.clear()
  }

  private onRegistrationChange(
    record: Extract<MetadataRecord, { type: 'brokerRegistrationChangeRecord' }>,
    image: MetadataImage,
    nowMs: number,
  ): void {
    const { brokerId, fenced, inControlledShutdown } = record
    if (inControlledShutdown === true) this.shutdownSinceMs.set(brokerId, nowMs)
    if (fenced === false) this.goneSinceMs.delete(brokerId)
    if (fenced !== true || image.brokers.get(brokerId)?.fenced !== false) return
    this.fencedNow.add(brokerId)
    // This node serves until it reads that it must not.
    this.goneSinceMs.set(brokerId, brokerId === this.nodeId ? nowMs : this.signs.lastMs(brokerId))
  }

  private nameUnregistered(brokerId: NodeId): void {
    for (const group of this.groups.values()) {
      if (group.formerLeader === brokerId && group.cause === 'brokerFenced')
        group.cause = 'brokerUnregistered'
    }
  }

  private onLeaderChange(
    change: LeaderChange,
    cause: PartitionElectionCause,
    fromMs: number | undefined,
    nowMs: number,
  ): void {
    const { topicId, topic, partition, former, next } = change
    this.noteLeaderless(topicId, partition, next.leader, fromMs)
    const formerLeader = former.leader
    // Those without a new leader are a matter of their own: their outage is not over.
    const key = `${formerLeader}/${cause}/${next.leader === -1}`
    let group = this.groups.get(key)
    if (group === undefined) {
      group = {
        type: 'partitions',
        formerLeader,
        cause,
        fromMs,
        untilMs: nowMs,
        index: 0,
        count: 0,
        partitions: [],
      }
      this.groups.set(key, group)
    }
    // Of the one that waited the longest.
    if (fromMs !== undefined) group.fromMs = Math.min(fromMs, group.fromMs ?? fromMs)
    group.count++
    group.partitions.push({ topic, partition, leader: next.leader, leaderEpoch: next.leaderEpoch })
  }

  private noteLeaderless(topicId: Uuid, partition: number, leader: NodeId, fromMs: number | undefined): void {
    const ofTopic = this.leaderless.get(topicId)
    if (leader === -1) {
      if (ofTopic === undefined) this.leaderless.set(topicId, new Map([[partition, fromMs]]))
      else ofTopic.set(partition, fromMs)
    } else if (ofTopic?.delete(partition) && ofTopic.size === 0) this.leaderless.delete(topicId)
  }

  private causeOf(
    partition: PartitionImage,
    next: PartitionImage,
    image: MetadataImage,
  ): PartitionElectionCause {
    const former = partition.leader
    if (next.leaderRecovering && !partition.leaderRecovering) return 'unclean'
    if (former === -1) return 'recovered'
    if (this.restarted.has(former)) return 'brokerRestarted'
    const broker = image.brokers.get(former)
    if (broker === undefined) return 'brokerUnregistered'
    if (broker.fenced) return 'brokerFenced'
    if (broker.inControlledShutdown) return 'controlledShutdown'
    if (partition.replicas.some((node) => !next.replicas.includes(node))) return 'reassigned'
    return next.leader === next.replicas[0] && next.leader !== former ? 'preferred' : 'elected'
  }

  /** What was decided while the former leader served costs nothing until it is applied. */
  private beganMs(change: LeaderChange, cause: PartitionElectionCause, nowMs: number): number | undefined {
    const former = change.former.leader
    switch (cause) {
      case 'brokerFenced':
      case 'brokerRestarted':
      case 'brokerUnregistered':
        return this.goneSinceMs.get(former)
      case 'controlledShutdown':
        return this.shutdownSinceMs.get(former) ?? nowMs
      case 'unclean':
        return former === -1 ? this.leaderlessSince(change) : this.goneSinceMs.get(former)
      case 'recovered':
        return this.leaderlessSince(change)
      case 'preferred':
      case 'reassigned':
      case 'elected':
        return nowMs
      case 'unknown':
        return undefined
    }
  }

  private leaderlessSince({ topicId, partition }: LeaderChange): number | undefined {
    return this.leaderless.get(topicId)?.get(partition)
  }
}
