import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { QuorumControl } from '../../src/broker/quorum/options.js'
import type { Entry } from '../../src/raft/types.js'
import { crc32c } from '../../src/wire/crc32c.js'
import { Invariant, type Observed } from './invariants.js'
import type { SimNode } from './node.js'

/** 1: Raft §5.2. */
export class OneLeaderPerTerm extends Invariant {
  readonly title = '1 one leader per term'
  private readonly leaders = new Map<number, number>()

  override onPeerMessage(_world: Observed, from: number, _to: number, message: PeerMessage): void {
    if (message.type !== 'raft') return
    const { type, term } = message.message
    if (type !== 'append' && type !== 'heartbeat' && type !== 'installSnapshot') return
    this.checks++
    const known = this.leaders.get(term)
    if (known === undefined) this.leaders.set(term, from)
    else if (known !== from) this.fail(`nodes ${known} and ${from} both lead term ${term}`)
  }

  get elections(): number {
    return this.leaders.size
  }
}

/** 2 and 3: one vote for each term and directory, across restarts; and durable before anybody hears of it. */
export class OneVotePerTerm extends Invariant {
  readonly title = '3 one vote per term and directory, durable before it is told'
  private readonly votes = new Map<string, number>()

  override onPeerMessage(world: Observed, from: number, to: number, message: PeerMessage): void {
    if (message.type !== 'raft' || message.message.type !== 'voteReply' || !message.message.granted) return
    const { term, voter } = message.message
    const key = `${term} ${voter.directoryId}`
    const known = this.votes.get(key)
    if (known === undefined) this.votes.set(key, to)
    else if (known !== to)
      this.fail(`directory ${voter.directoryId} voted for ${known} and for ${to} in term ${term}`)
    this.checks++
    const durable = world.nodes.find((node) => node.id === from)!.durableHardState()
    if (durable.term > term || (durable.term === term && durable.vote?.nodeId === to)) return
    this.fail(
      `node ${from} told ${to} that it has its vote of term ${term}, and durable is term ${durable.term}, vote ${durable.vote?.nodeId ?? 'none'}`,
    )
  }
}

/** 4: Raft §5.3: an index and a term name one entry, with one history before it. */
export class LogMatching extends Invariant {
  readonly title = '4 log matching'
  private readonly entries = new Map<string, string>()

  override onPeerMessage(_world: Observed, from: number, _to: number, message: PeerMessage): void {
    if (message.type !== 'raft' || message.message.type !== 'append') return
    let previousTerm = message.message.previousTerm
    for (const entry of message.message.entries) {
      this.checks++
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

/** 5, 6 and 7: what was committed at an index is there in every later leader, and the same everywhere; no going back. */
export class LeaderCompleteness extends Invariant {
  readonly title = '5 leader completeness'
  private readonly committed: ({ term: number; by: number } | undefined)[] = []
  private readonly seenUpTo = new Map<string, number>()
  private readonly led = new Set<string>()

  override check(world: Observed): void {
    for (const node of world.nodes) {
      const quorum = node.quorum
      if (quorum === null) continue
      const { commitIndex, role, term, firstIndex } = quorum.status()
      this.recordCommitted(node, quorum, commitIndex)
      if (role !== 'leader') continue
      const key = `${node.id}@${term}`
      if (this.led.has(key)) continue
      this.led.add(key)
      for (let index = firstIndex; index < this.committed.length; index++) {
        const expected = this.committed[index]
        if (expected === undefined) continue
        this.checks++
        const own = termAt(quorum, index)
        if (own !== expected.term)
          this.fail(
            `leader ${key} holds ${own ?? 'nothing'} at ${index}, committed was term ${expected.term}`,
          )
      }
    }
  }

  private recordCommitted(node: SimNode, quorum: QuorumControl, commitIndex: number): void {
    const key = `${node.id}.${node.incarnation}`
    const before = this.seenUpTo.get(key) ?? 0
    if (commitIndex < before) this.fail(`7: the commit index of ${key} went from ${before} to ${commitIndex}`)
    for (let index = before + 1; index <= commitIndex; index++) {
      const term = termAt(quorum, index)
      if (term === undefined) continue
      const known = this.committed[index]
      if (known === undefined) this.committed[index] = { term, by: node.id }
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
    for (const node of world.nodes) {
      const quorum = node.quorum
      if (quorum === null) continue
      const { commitIndex } = quorum.status()
      for (let index = this.checkedUpTo + 1; index <= commitIndex; index++) {
        const term = termAt(quorum, index)
        if (term !== undefined) this.judge(world, index, term)
      }
      this.checkedUpTo = Math.max(this.checkedUpTo, commitIndex)
    }
  }

  private judge(world: Observed, index: number, term: number): void {
    this.checks++
    const holders = world.nodes.filter(
      (node) => node.durableRaftTerm(index) === term || node.durableSnapshotIndex() >= index,
    )
    if (holders.length * 2 > world.nodes.length) return
    this.fail(
      `index ${index} of term ${term} is committed and durable on ${holders.map((n) => n.id).join(', ') || 'no node'}`,
    )
  }
}

/** undefined: not in the log (any more). */
function termAt(quorum: QuorumControl, index: number): number | undefined {
  const [entry] = quorum.readLog(index, 1)
  return entry?.index === index ? entry.term : undefined
}
