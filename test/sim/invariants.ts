import type { PartitionStatus } from '../../src/broker/partitions/types.js'
import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { QuorumControl } from '../../src/broker/quorum/options.js'
import type { Entry } from '../../src/raft/types.js'
import { crc32c } from '../../src/wire/crc32c.js'
import type { SimNode } from './node.js'

/** A safety property was broken. The numbers are those of the project's list of invariants (src/README.md). */
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
  /** Replicas that durably hold a record, by node id, read off the disks. */
  durableHolders(partition: string, offset: number): number[]
  minInsyncReplicas: number
}

/** One safety property. Each hook is called as things happen; `check` after every simulated 100 ms; all throw Violation. */
export abstract class Invariant {
  abstract readonly title: string
  onPeerMessage(_from: number, _to: number, _message: PeerMessage): void {}
  onAcknowledged(_world: Observed, _partition: string, _offset: number, _value: string): void {}
  onConsumed(_consumer: string, _partition: string, _offset: number, _value: string): void {}
  onLatestOffset(_client: string, _partition: string, _offset: number): void {}
  onOffsetReset(_consumer: string, _partition: string, _offset: number): void {}
  check(_world: Observed): void {}

  protected fail(message: string): never {
    throw new Violation(this.title, message)
  }
}

/** 1: Raft §5.2. */
export class OneLeaderPerTerm extends Invariant {
  readonly title = '1 one leader per term'
  private readonly leaders = new Map<number, number>()

  override onPeerMessage(from: number, _to: number, message: PeerMessage): void {
    if (message.type !== 'raft') return
    const { type, term } = message.message
    if (type !== 'append' && type !== 'heartbeat') return
    const known = this.leaders.get(term)
    if (known === undefined) this.leaders.set(term, from)
    else if (known !== from) this.fail(`nodes ${known} and ${from} both lead term ${term}`)
  }

  get elections(): number {
    return this.leaders.size
  }
}

/** 3: one vote for each term and directory, across restarts. */
export class OneVotePerTerm extends Invariant {
  readonly title = '3 one vote per term and directory'
  private readonly votes = new Map<string, number>()

  override onPeerMessage(_from: number, to: number, message: PeerMessage): void {
    if (message.type !== 'raft' || message.message.type !== 'voteReply' || !message.message.granted) return
    const { term, voter } = message.message
    const key = `${term} ${voter.directoryId}`
    const known = this.votes.get(key)
    if (known === undefined) this.votes.set(key, to)
    else if (known !== to)
      this.fail(`directory ${voter.directoryId} voted for ${known} and for ${to} in term ${term}`)
  }
}

/** 4: Raft §5.3: an index and a term name one entry, with one history before it. */
export class LogMatching extends Invariant {
  readonly title = '4 log matching'
  private readonly entries = new Map<string, string>()

  override onPeerMessage(from: number, _to: number, message: PeerMessage): void {
    if (message.type !== 'raft' || message.message.type !== 'append') return
    let previousTerm = message.message.previousTerm
    for (const entry of message.message.entries) {
      const key = `${entry.index}@${entry.term}`
      const identity = `${previousTerm} ${fingerprint(entry)}`
      const known = this.entries.get(key)
      if (known === undefined) this.entries.set(key, identity)
      else if (known !== identity) this.fail(`entry ${key} sent by ${from} is ${identity}, and was ${known}`)
      previousTerm = entry.term
    }
  }
}

function fingerprint(entry: Entry): string {
  return entry.type === 'data' ? `data ${crc32c(entry.payload)}` : entry.type
}

/** 5 and 6: what was committed at an index is there in every later leader, and the same everywhere. */
export class LeaderCompleteness extends Invariant {
  readonly title = '5 leader completeness'
  private readonly committed = new Map<number, { term: number; by: number }>()
  private readonly seenUpTo = new Map<string, number>()
  private readonly led = new Set<string>()

  override check(world: Observed): void {
    for (const simNode of world.nodes) {
      const quorum = simNode.isUp ? simNode.node?.startedQuorum : null
      if (quorum == null) continue
      const status = quorum.status()
      this.recordCommitted(simNode, status.commitIndex, (index) => termAt(quorum, index))
      if (status.role !== 'leader') continue
      const key = `${simNode.id}@${status.term}`
      if (this.led.has(key)) continue
      this.led.add(key)
      for (const [index, { term }] of this.committed) {
        if (index < status.firstIndex) continue
        const own = termAt(quorum, index)
        if (own !== term)
          this.fail(`leader ${key} holds ${own ?? 'nothing'} at ${index}, committed was term ${term}`)
      }
    }
  }

  private recordCommitted(
    node: SimNode,
    commitIndex: number,
    termAt: (index: number) => number | undefined,
  ): void {
    const key = `${node.id}.${node.incarnation}`
    for (let index = (this.seenUpTo.get(key) ?? 0) + 1; index <= commitIndex; index++) {
      const term = termAt(index)
      if (term === undefined) continue
      const known = this.committed.get(index)
      if (known === undefined) this.committed.set(index, { term, by: node.id })
      else if (known.term !== term)
        this.fail(`index ${index} is of term ${term} on ${node.id} and of ${known.term} on ${known.by}`)
    }
    this.seenUpTo.set(key, commitIndex)
  }
}

/** 8: what is committed is in the durable image of a majority. */
export class CommittedIsDurable extends Invariant {
  readonly title = '8 committed entries are durable on a majority'
  private checkedUpTo = 0

  override check(world: Observed): void {
    let highest = 0
    let term: ((index: number) => number | undefined) | undefined
    for (const { isUp, node } of world.nodes) {
      const quorum = isUp ? node?.startedQuorum : null
      if (quorum == null || quorum.status().commitIndex <= highest) continue
      highest = quorum.status().commitIndex
      term = (index) => termAt(quorum, index)
    }
    if (term === undefined) return
    for (let index = Math.max(this.checkedUpTo + 1, highest - 64); index <= highest; index++) {
      const expected = term(index)
      if (expected === undefined) continue
      const holders = world.nodes.filter((n) => n.durableRaftTerm(index) === expected)
      if (
        holders.length * 2 <= world.nodes.length &&
        !world.nodes.some((n) => n.durableSnapshotIndex() >= index)
      ) {
        this.fail(
          `index ${index} of term ${expected} is committed and durable on ${holders.map((n) => n.id).join(', ') || 'no node'}`,
        )
      }
    }
    this.checkedUpTo = highest
  }
}

/** 15: whoever leads a partition holds every record that was acknowledged. */
export class LeaderHoldsAcknowledged extends Invariant {
  readonly title = '15 the leader holds every acknowledged record'
  private readonly highest = new Map<string, number>()

  override onAcknowledged(_world: Observed, partition: string, offset: number): void {
    if (offset > (this.highest.get(partition) ?? -1)) this.highest.set(partition, offset)
  }

  override check(world: Observed): void {
    for (const { status, node } of partitionsOf(world)) {
      if (status.role !== 'leader') continue
      const acknowledged = this.highest.get(`${status.topic}-${status.partitionId}`)
      if (acknowledged === undefined || !isNewestLeader(world, status)) continue
      if (status.logEndOffset <= acknowledged) {
        this.fail(
          `node ${node.id} leads ${status.topic}-${status.partitionId} in epoch ${status.leaderEpoch} and ends at ${status.logEndOffset}, but ${acknowledged} was acknowledged`,
        )
      }
    }
  }
}

/** 19: no node goes back in a partition's leader epoch while it lives, and two leaders never share one. */
export class EpochsAreMonotonic extends Invariant {
  readonly title = '19 epochs are monotonic'
  private readonly epochs = new Map<string, number>()
  private readonly leaders = new Map<string, number>()

  override check(world: Observed): void {
    for (const { status, node } of partitionsOf(world)) {
      const name = `${status.topic}-${status.partitionId}`
      const own = `${node.id}.${node.incarnation} ${name}`
      const before = this.epochs.get(own) ?? -1
      if (status.leaderEpoch < before) this.fail(`${own}: leader epoch ${status.leaderEpoch} after ${before}`)
      this.epochs.set(own, status.leaderEpoch)
      if (status.role !== 'leader') continue
      const reign = `${name}@${status.leaderEpoch}`
      const known = this.leaders.get(reign)
      if (known === undefined) this.leaders.set(reign, node.id)
      else if (known !== node.id) this.fail(`nodes ${known} and ${node.id} both lead ${reign}`)
    }
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

  override check(world: Observed): void {
    for (const { status, node } of partitionsOf(world)) {
      if (status.highWatermark > status.logEndOffset) {
        this.fail(
          `node ${node.id} ${status.topic}-${status.partitionId}: high watermark ${status.highWatermark} beyond the end ${status.logEndOffset}`,
        )
      }
      if (status.role !== 'leader') continue
      const name = `${status.topic}-${status.partitionId}`
      const last = status.highWatermark - 1
      if (last <= (this.verified.get(name) ?? -1)) continue
      this.verified.set(name, last)
      const holders = world.durableHolders(name, last)
      if (holders.length < world.minInsyncReplicas) {
        this.fail(
          `${name}: the high watermark ${status.highWatermark} of node ${node.id} covers what only ${holders.join(', ') || 'no node'} durably holds`,
        )
      }
    }
  }
}

/** 22: what was consumed at an offset never changes; and no consumer is thrown out of its range. */
export class ConsumedNeverChanges extends Invariant {
  readonly title = '22 a consumed record never changes'
  readonly values = new Map<string, Map<number, string>>()

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
  }

  override onOffsetReset(consumer: string, partition: string, offset: number): void {
    this.fail(`${consumer}: ${partition} answers OFFSET_OUT_OF_RANGE at ${offset}`)
  }
}

/** 25: at the moment of the acknowledgement, min ISR disks hold the record. */
export class AcknowledgedIsDurable extends Invariant {
  readonly title = '25 an acknowledged record is durable on min ISR replicas'

  override onAcknowledged(world: Observed, partition: string, offset: number, value: string): void {
    const holders = world.durableHolders(partition, offset)
    if (holders.length < world.minInsyncReplicas) {
      this.fail(
        `${value} was acknowledged at ${partition}:${offset}, and ${holders.join(', ') || 'no node'} durably holds it`,
      )
    }
  }
}

/** undefined: not in the log (any more). */
function termAt(quorum: QuorumControl, index: number): number | undefined {
  const [entry] = quorum.readLog(index, 1)
  return entry?.index === index ? entry.term : undefined
}

interface Replica {
  readonly node: SimNode
  readonly status: PartitionStatus
}

function partitionsOf(world: Observed): Replica[] {
  return world.nodes.flatMap((node) =>
    node.isUp && node.node !== null
      ? node.node.services.partitions.list().map((status) => ({ node, status }))
      : [],
  )
}

/** A zombie may believe that it leads; what it believes binds nobody. */
function isNewestLeader(world: Observed, leader: PartitionStatus): boolean {
  return partitionsOf(world).every(
    ({ status }) =>
      status.topicId !== leader.topicId ||
      status.partitionId !== leader.partitionId ||
      status.leaderEpoch <= leader.leaderEpoch,
  )
}
