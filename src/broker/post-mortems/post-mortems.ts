import type { LogIndex, NodeId } from '../../lib/ids.js'
import type { MetadataImage } from '../../metadata/image.js'
import type { MetadataRecord } from '../../metadata/records.js'
import type { Clock } from '../../ports/clock.js'
import type { QuorumEvent } from '../quorum/events.js'
import { PartitionElectionReader } from './partition-elections.js'
import { RaftElections } from './raft-elections.js'
import type { PostMortem, PostMortemBody } from './types.js'

/** The last changes of leadership, of Raft and of partitions. Bounded: the oldest go. */
export class PostMortems {
  private readonly list: PostMortem[] = []
  private readonly raft: RaftElections
  private readonly partitions: PartitionElectionReader
  /** When the connection to a peer broke; forgotten as soon as it is heard again. */
  private readonly brokeMs = new Map<NodeId, number>()
  private nextSequence = 1
  private caughtUp = false

  /**
   * @param lastHeardMs when the peer's last message came, in this node's monotonic milliseconds
   * @param isCaughtUp whether this process has applied what was committed before it came; asked until it has
   */
  constructor(
    private readonly clock: Clock,
    private readonly capacity: number,
    private readonly lastHeardMs: (peer: NodeId) => number | undefined,
    private readonly isCaughtUp: () => boolean,
  ) {
    const lastSignMs = (peer: NodeId) => this.lastSignMs(peer)
    const report = (body: PostMortemBody) => this.add(body)
    this.raft = new RaftElections(lastSignMs, report)
    this.partitions = new PartitionElectionReader(lastSignMs, report)
  }

  onQuorumEvent(event: QuorumEvent): void {
    if (event.type === 'peerLost' && !event.dead) this.brokeMs.set(event.peer, event.atMs)
    this.raft.onEvent(event)
  }

  /**
   * Each committed record, before `image` holds it. What was decided before this process came is none of its
   * post-mortems: it would date it wrongly, and tell again what the others told in time.
   */
  onRecord(record: MetadataRecord, image: MetadataImage): void {
    this.caughtUp ||= this.isCaughtUp()
    if (!this.caughtUp) return
    this.partitions.onRecord(record, image, this.clock.monotonicMs())
  }

  /** The image holds everything up to and with `index`. */
  onApplied(index: LogIndex): void {
    this.partitions.onApplied(index, this.clock.monotonicMs())
  }

  /** The newest `limit`, oldest first. */
  recent(limit: number): readonly PostMortem[] {
    return this.list.slice(Math.max(0, this.list.length - limit))
  }

  /**
   * A broken connection tells of a death at once, the last message of a silence. A follower hears nothing of the
   * other followers: what is older than the longest silence that a live peer keeps says nothing.
   */
  private lastSignMs(peer: NodeId): number | undefined {
    const heardMs = this.lastHeardMs(peer)
    const brokeMs = this.brokeMs.get(peer)
    if (brokeMs !== undefined && (heardMs === undefined || heardMs <= brokeMs)) return brokeMs
    if (heardMs === undefined || this.clock.monotonicMs() - heardMs > MEANINGFUL_SILENCE_MS) return undefined
    return heardMs
  }

  private add(body: PostMortemBody): void {
    this.list.push({ ...body, sequence: this.nextSequence++, wallMs: this.clock.wallMs() })
    if (this.list.length > this.capacity) this.list.shift()
  }
}

/** Longer than any session that anyone configures for a cluster that is to fail over in a second. */
const MEANINGFUL_SILENCE_MS = 60_000
