import type { LogIndex, NodeId } from '../../lib/ids.js'
import type { MetadataImage } from '../../metadata/image.js'
import type { MetadataRecord } from '../../metadata/records.js'
import type { Clock } from '../../ports/clock.js'
import type { QuorumEvent } from '../quorum/events.js'
import { PartitionElectionReader } from './partition-elections.js'
import { PeerSigns } from './peer-signs.js'
import { RaftElections } from './raft-elections.js'
import {
  LISTED_PARTITIONS,
  type PartitionElections,
  type PartitionFilter,
  type PostMortem,
  type PostMortemBody,
} from './types.js'

/** Partitions that are named, in all post-mortems together; in the older ones only the first few then. */
const MAX_NAMED = 100_000
/** In one answer, so that it fits into a message whatever the topics' names. Each change names its first. */
const MAX_NAMED_IN_ANSWER = 10_000

/** The last changes of leadership, of Raft and of partitions. Bounded: the oldest go. */
export class PostMortems {
  private readonly list: PostMortem[] = []
  private readonly signs: PeerSigns
  private readonly raft: RaftElections
  private readonly partitions: PartitionElectionReader
  private nextSequence = 1
  private caughtUp = false
  private named = 0

  /**
   * @param lastHeardMs when the peer's last message came, in this node's monotonic milliseconds
   * @param isCaughtUp whether this process has applied what was committed before it came; asked until it has
   */
  constructor(
    nodeId: NodeId,
    private readonly clock: Clock,
    private readonly capacity: number,
    lastHeardMs: (peer: NodeId) => number | undefined,
    private readonly isCaughtUp: () => boolean,
  ) {
    this.signs = new PeerSigns(clock, lastHeardMs)
    const report = (body: PostMortemBody) => this.add(body)
    this.raft = new RaftElections(nodeId, (peer) => this.signs.lastMs(peer), report)
    this.partitions = new PartitionElectionReader(nodeId, this.signs, report)
  }

  onQuorumEvent(event: QuorumEvent): void {
    this.raft.onEvent(event)
    this.signs.onEvent(event)
  }

  /**
   * Each committed record, before `image` holds it. What was decided before this process came is none of its
   * post-mortems: it would date it wrongly, and tell again what the others told in time.
   */
  onRecord(record: MetadataRecord, image: MetadataImage): void {
    this.caughtUp ||= this.isCaughtUp()
    if (this.caughtUp) this.partitions.onRecord(record, image, this.clock.monotonicMs())
  }

  /** The image holds everything up to and with `index`. */
  onApplied(index: LogIndex): void {
    this.caughtUp ||= this.isCaughtUp()
    this.partitions.onApplied(index, this.clock.monotonicMs())
  }

  /** A snapshot up to and with `index` took the place of `former`: this node had fallen behind. */
  onSnapshot(former: MetadataImage, image: MetadataImage, index: LogIndex): void {
    if (!this.caughtUp) return
    const nowMs = this.clock.monotonicMs()
    this.partitions.onSnapshot(former, image, nowMs)
    this.partitions.onApplied(index, nowMs)
  }

  /** The newest `limit`, oldest first; with a filter only those that touch what it names, and of them only that. */
  recent(limit: number, filter: PartitionFilter = {}): readonly PostMortem[] {
    const isAny = filter.topic === undefined && filter.partition === undefined
    const matching = isAny ? [...this.list, ...this.pending()] : this.only(filter)
    const newest = matching.slice(Math.max(0, matching.length - limit))
    let left = MAX_NAMED_IN_ANSWER
    for (let i = newest.length - 1; i >= 0; i--) {
      const election = newest[i]!
      if (election.type === 'raft') continue
      const named = Math.min(election.partitions.length, LISTED_PARTITIONS, Math.max(1, left))
      left -= named
      newest[i] = { ...election, partitions: election.partitions.slice(0, named) }
    }
    return newest
  }

  /** Not kept yet: its number is the next one's. */
  private pending(): PostMortem[] {
    const pending = this.raft.pending(this.clock.monotonicMs())
    if (pending === undefined) return []
    return [{ ...pending, sequence: this.nextSequence, wallMs: this.clock.wallMs() }]
  }

  private only({ topic, partition }: PartitionFilter): PostMortem[] {
    const found: PostMortem[] = []
    for (const election of this.list) {
      if (election.type === 'raft') continue
      const partitions = election.partitions.filter(
        (moved) =>
          (topic === undefined || moved.topic === topic) &&
          (partition === undefined || moved.partition === partition),
      )
      if (partitions.length > 0) found.push({ ...election, count: partitions.length, partitions })
    }
    return found
  }

  private add(body: PostMortemBody): void {
    const election = { ...body, sequence: this.nextSequence++, wallMs: this.clock.wallMs() }
    this.list.push(election)
    this.named += namedIn(election)
    if (this.list.length > this.capacity) this.named -= namedIn(this.list.shift()!)
    for (let i = 0; this.named > MAX_NAMED && i < this.list.length; i++) this.shorten(i)
  }

  private shorten(i: number): void {
    const election = this.list[i]!
    if (election.type === 'raft' || election.partitions.length <= LISTED_PARTITIONS) return
    this.named -= election.partitions.length - LISTED_PARTITIONS
    const partitions: PartitionElections['partitions'] = election.partitions.slice(0, LISTED_PARTITIONS)
    this.list[i] = { ...election, partitions }
  }
}

function namedIn(election: PostMortem): number {
  return election.type === 'raft' ? 0 : election.partitions.length
}
