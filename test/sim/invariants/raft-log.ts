import { createMetadataRecordCodec } from '../../../src/adapters/record-codec.js'
import type { LogIndex, NodeId, Term } from '../../../src/lib/ids.js'
import type { MetadataImage } from '../../../src/metadata/image.js'
import { MutableImage } from '../../../src/metadata/replay.js'
import type { Entry, Voter } from '../../../src/raft/types.js'
import { crc32c } from '../../../src/wire/crc32c.js'
import type { SimNode } from '../node.js'
import { Invariant, type RaftState, type Watched } from './invariant.js'

/** So much of a node's log is remembered behind its commit index. */
const KEPT_TERMS = 1_000
const codec = createMetadataRecordCodec()

/** Raft §5.3: an index and a term name one entry, with one history before it. */
export class LogMatching extends Invariant {
  readonly title = '4 log matching'
  private readonly identities = new Map<string, string>()
  /** Sets of voters that came into the node's log in this event, for whoever looks next. */
  readonly freshConfigurations: Extract<Entry, { type: 'configuration' }>[] = []

  override onRaft(world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    this.freshConfigurations.length = 0
    const from = firstUnseen(now, before)
    if (from > now.lastIndex) return
    const entries = now.raft.entries(from, now.lastIndex - from + 1)
    let previousTerm = now.raft.termAt(from - 1)
    for (const entry of entries) {
      this.checks++
      if (entry.type === 'configuration') this.freshConfigurations.push(entry)
      const key = `${entry.index}@${entry.term}`
      const identity = `${previousTerm ?? '?'} ${fingerprint(entry)}`
      const known = this.identities.get(key)
      if (known === undefined || known.startsWith('?')) this.identities.set(key, identity)
      else if (known !== identity && previousTerm !== undefined)
        this.fail(`entry ${key} of node ${node.id} is ${identity}, and was ${known}`)
      world.facts.entries.set(key, entry)
      previousTerm = entry.term
    }
  }
}

/** Where what the last look did not show begins; a log that was cut is read again from its commit index. */
function firstUnseen(now: RaftState, before: RaftState | null): LogIndex {
  if (before === null) return now.firstIndex
  const from = isContinued(now, before) ? before.lastIndex : Math.min(before.commitIndex, now.commitIndex)
  return Math.max(now.firstIndex, from + 1)
}

/** False: it was cut, or a snapshot took its place. */
function isContinued(now: RaftState, before: RaftState): boolean {
  return now.raft.termAt(before.lastIndex) === before.lastTerm
}

function fingerprint(entry: Entry): string {
  if (entry.type === 'data') return `data ${crc32c(entry.payload)}`
  return entry.type === 'configuration' ? `configuration of ${entry.clusterId}` : entry.type
}

/**
 * Raft §5.4: who leads holds everything that was committed in the terms before its own. What a later leader committed it
 * need not hold: a candidate that slept over the answers to its votes takes office when its term is long over.
 */
export class LeaderCompleteness extends Invariant {
  readonly title = '5 leader completeness'

  override onRaft(world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    if (!now.isLeader || (before?.isLeader && before.term === now.term)) return
    const { committed } = world.facts
    for (let index = now.firstIndex; index < committed.length; index++) {
      const expected = committed[index]
      if (expected === undefined || expected.knownInTerm > now.term) continue
      this.checks++
      const own = now.raft.termAt(index)
      if (own === expected.term) continue
      this.fail(
        `node ${node.id} leads term ${now.term} and holds ${own ?? 'nothing'} at ${index}, committed was term ${expected.term}`,
      )
    }
  }
}

/** What each node's log held at an index: a compaction in the event of a commit takes it away from the log itself. */
class TermsOf {
  private readonly terms = new Map<NodeId, Map<LogIndex, Term>>()

  note(node: SimNode, now: RaftState, before: RaftState | null): Map<LogIndex, Term> {
    let terms = this.terms.get(node.id)
    if (terms === undefined || before === null) this.terms.set(node.id, (terms = new Map()))
    if (before !== null && !isContinued(now, before))
      for (let index = before.commitIndex + 1; index <= before.lastIndex; index++) terms.delete(index)
    for (let index = firstUnseen(now, before); index <= now.lastIndex; index++) {
      const term = now.raft.termAt(index)
      if (term !== undefined) terms.set(index, term)
      terms.delete(index - KEPT_TERMS)
    }
    return terms
  }
}

/** Raft's state machine safety, and durability of what counts as committed (8). */
export class SameCommandEverywhere extends Invariant {
  readonly title = '6 the same command at the same index'
  private readonly terms = new TermsOf()
  /** What became committed in this event, for whoever looks next. */
  readonly fresh: { index: LogIndex; term: Term }[] = []

  override onRaft(world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    const terms = this.terms.note(node, now, before)
    this.fresh.length = 0
    const { committed, entries } = world.facts
    for (let index = (before?.commitIndex ?? now.firstIndex - 1) + 1; index <= now.commitIndex; index++) {
      const term = terms.get(index) ?? now.raft.termAt(index)
      if (term === undefined) continue
      this.checks++
      const known = committed[index]
      if (known === undefined) {
        const entry = entries.get(`${index}@${term}`)
        committed[index] = { term, knownInTerm: now.term, entry, by: node.id }
        this.fresh.push({ index, term })
      } else if (known.term !== term)
        this.fail(
          `index ${index} is of term ${term} on node ${node.id} and of ${known.term} on node ${known.by}`,
        )
    }
  }
}

/** No step back, and nothing below it is cut off. */
export class CommitIsFinal extends Invariant {
  readonly title = '7 the commit index is monotonic, and nothing below it is truncated'

  override onRaft(world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    if (before !== null && now.commitIndex < before.commitIndex)
      this.fail(`the commit index of node ${node.id} went from ${before.commitIndex} to ${now.commitIndex}`)
    if (now.lastIndex < now.commitIndex)
      this.fail(`node ${node.id} ends at ${now.lastIndex}, and ${now.commitIndex} is committed`)
    const expected = world.facts.committed[now.commitIndex]
    const own = now.raft.termAt(now.commitIndex)
    if (expected === undefined || own === undefined) return
    this.checks++
    if (own !== expected.term)
      this.fail(
        `node ${node.id} holds term ${own} at its commit index ${now.commitIndex}, committed was ${expected.term}`,
      )
  }
}

/** Raft §5.4.2, figure 8: what came before commits with an entry of the leader's own term, never by its own count. */
export class LeadersCommitTheirOwnTerm extends Invariant {
  readonly title = 'a leader counts replicas of entries of its own term alone'

  override onRaft(_world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    if (!now.isLeader || before?.isLeader !== true || before.term !== now.term) return
    if (now.commitIndex <= before.commitIndex) return
    this.checks++
    const term = now.raft.termAt(now.commitIndex)
    if (term !== now.term)
      this.fail(
        `node ${node.id} leads term ${now.term} and commits ${now.commitIndex}, which is of term ${term}`,
      )
  }
}

/** Raft §5.3 with §5's persistence: what counts as committed survives the power of all machines. */
export class CommittedIsDurable extends Invariant {
  readonly title = '8 committed entries are durable on a majority of the voters'

  /** By node, the voters of its newest configuration before this event. */
  private readonly former = new Map<NodeId, readonly Voter[]>()

  constructor(private readonly commits: SameCommandEverywhere) {
    super()
  }

  override onRaft(world: Watched, node: SimNode, now: RaftState): void {
    const { voters } = now.raft.status().configuration
    // One event may commit an entry and then append the next configuration: the entry went by the one before it.
    const former = this.former.get(node.id) ?? voters
    this.former.set(node.id, voters)
    for (const { index, term } of this.commits.fresh) this.judge(world, [former, voters], index, term)
  }

  private judge(
    world: Watched,
    configurations: readonly (readonly Voter[])[],
    index: LogIndex,
    term: Term,
  ): void {
    this.checks++
    const holders = world.nodes.filter(
      (node) =>
        node.durableRaftTerm(index) === term ||
        node.durableSnapshotIndex() >= index ||
        node.lostRaftTerm(index) === term,
    )
    const isHeldByMostOf = (voters: readonly Voter[]): boolean => {
      const holding = voters.filter(
        ({ nodeId, directoryId }) =>
          directoryId === world.facts.directories.get(nodeId) && holders.some(({ id }) => id === nodeId),
      )
      return holding.length * 2 > voters.length
    }
    if (configurations.some(isHeldByMostOf)) return
    this.fail(
      `index ${index} of term ${term} is committed and durable on ${holders.map((n) => n.id).join(', ') || 'no node'}`,
    )
  }
}

/** What a node made of snapshots and what followed them is what the whole log amounts to. */
export class SnapshotsAreExact extends Invariant {
  readonly title = '11 snapshot and suffix are the full replay'
  /** By node: it outlives its processes and never sees a snapshot. */
  private readonly replays = new Map<NodeId, { image: MutableImage; index: LogIndex }>()

  override eachSecond(world: Watched): void {
    for (const node of world.nodes) {
      if (!node.isUp || node.node === null || node.node.state === 'stopped') continue
      const { image, appliedIndex } = node.node.services.metadata
      const replay = this.replayOf(world, node.id, appliedIndex)
      if (replay === null) continue
      this.checks++
      const own = hashOf(image)
      const expected = hashOf(replay)
      if (own !== expected)
        this.fail(`the image of node ${node.id} at ${appliedIndex} is not what the log amounts to`)
    }
  }

  /** Null: that index is behind, or some entry before it was never seen. */
  private replayOf(world: Watched, id: NodeId, upTo: LogIndex): MutableImage | null {
    let replay = this.replays.get(id)
    if (replay === undefined) this.replays.set(id, (replay = { image: new MutableImage(), index: 0 }))
    const { committed } = world.facts
    while (replay.index < upTo) {
      const entry = committed[replay.index + 1]?.entry
      if (entry === undefined) return null
      if (entry.type === 'data') for (const record of codec.decode(entry.payload)) replay.image.apply(record)
      replay.index++
    }
    return replay.index === upTo ? replay.image : null
  }
}

/** Of all that the image holds, not of what it would put into a snapshot; the order of things is no part of the state. */
function hashOf(image: MetadataImage): number {
  const lines = [
    `${image.clusterId} ${image.nextBrokerEpoch} ${image.nextProducerId}`,
    `${pairs(image.features)}`,
  ]
  for (const [id, broker] of image.brokers)
    lines.push(`${JSON.stringify(broker)} ${pairs(image.brokerConfig(id))}`)
  lines.push(`${pairs(image.brokerConfig(''))}`)
  for (const topic of image.topicsById.values())
    lines.push(`${JSON.stringify(topic)} ${pairs(image.topicConfig(topic.name))}`)
  return crc32c(Buffer.from(lines.sort().join('\n')))
}

function pairs(map: ReadonlyMap<string, unknown>): string {
  return JSON.stringify([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}
