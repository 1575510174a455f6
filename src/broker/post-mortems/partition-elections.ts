import type { LogIndex, NodeId } from '../../lib/ids.js'
import type { MetadataImage, PartitionImage } from '../../metadata/image.js'
import type { MetadataRecord } from '../../metadata/records.js'
import { changedPartition } from '../../metadata/replay.js'
import { LISTED_PARTITIONS, type PartitionElectionCause, type PartitionElections } from './types.js'

interface LeaderChange {
  readonly topic: string
  readonly partition: number
  readonly former: PartitionImage
  readonly next: PartitionImage
}

/** Reads committed records, each before it is applied: which partitions get another leader, or a new term of the same one. */
export class PartitionElectionReader {
  private readonly groups = new Map<string, PartitionElections>()
  /** Brokers whose registration is replaced in this batch. */
  private readonly restarted = new Set<NodeId>()
  private readonly shutdownSinceMs = new Map<NodeId, number>()

  /** @param lastSignMs the last sign of life of a peer, in this node's monotonic milliseconds */
  constructor(
    private readonly lastSignMs: (peer: NodeId) => number | undefined,
    private readonly report: (elections: PartitionElections) => void,
  ) {}

  /** `image` does not hold the record yet. */
  onRecord(record: MetadataRecord, image: MetadataImage, nowMs: number): void {
    switch (record.type) {
      case 'registerBrokerRecord':
        if (image.brokers.has(record.brokerId)) this.restarted.add(record.brokerId)
        this.shutdownSinceMs.delete(record.brokerId)
        return
      case 'brokerRegistrationChangeRecord':
        if (record.inControlledShutdown === true) this.shutdownSinceMs.set(record.brokerId, nowMs)
        return
      // Whole where the directories change too: a reassignment's, or of a replica that held nothing.
      case 'partitionRecord':
      case 'partitionChangeRecord': {
        const topic = image.topicsById.get(record.topicId)
        const former = topic?.partitions[record.partitionId]
        if (topic === undefined || former === undefined) return
        const next = record.type === 'partitionRecord' ? record : changedPartition(former, record)
        if (next.leaderEpoch === former.leaderEpoch) return
        this.onLeaderChange({ topic: topic.name, partition: record.partitionId, former, next }, image, nowMs)
        return
      }
      default:
        return
    }
  }

  /** The batch is applied up to and with `index`. */
  onApplied(index: LogIndex, nowMs: number): void {
    for (const group of this.groups.values()) this.report({ ...group, index, untilMs: nowMs })
    this.groups.clear()
    this.restarted.clear()
  }

  private onLeaderChange(change: LeaderChange, image: MetadataImage, nowMs: number): void {
    const { topic, partition, former, next } = change
    const cause = this.causeOf(former, next, image)
    const formerLeader = former.leader
    const key = `${formerLeader}/${cause}`
    let group = this.groups.get(key)
    if (group === undefined) {
      const fromMs = this.beganMs(cause, formerLeader, nowMs)
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
    group.count++
    if (group.partitions.length >= LISTED_PARTITIONS) return
    group.partitions.push({ topic, partition, leader: next.leader, leaderEpoch: next.leaderEpoch })
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
  private beganMs(cause: PartitionElectionCause, former: NodeId, nowMs: number): number | undefined {
    switch (cause) {
      case 'brokerFenced':
      case 'brokerRestarted':
      case 'brokerUnregistered':
        return this.lastSignMs(former)
      case 'controlledShutdown':
        return this.shutdownSinceMs.get(former) ?? nowMs
      case 'unclean':
      case 'recovered':
        return former === -1 ? undefined : this.lastSignMs(former)
      case 'preferred':
      case 'reassigned':
      case 'elected':
        return nowMs
    }
  }
}
