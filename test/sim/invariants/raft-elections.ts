import type { NodeId, Term, Uuid } from '../../../src/lib/ids.js'
import type { RaftMessage } from '../../../src/raft/types.js'
import type { SimNode } from '../node.js'
import { Invariant, type RaftState, type Watched } from './invariant.js'

/** Raft §5.2. */
export class OneLeaderPerTerm extends Invariant {
  readonly title = '1 one leader per term'
  private readonly leaders = new Map<Term, NodeId>()

  override onRaft(_world: Watched, node: SimNode, now: RaftState): void {
    if (!now.isLeader) return
    this.checks++
    const known = this.leaders.get(now.term)
    if (known === undefined) this.leaders.set(now.term, node.id)
    else if (known !== node.id) this.fail(`nodes ${known} and ${node.id} both lead term ${now.term}`)
  }

  get elections(): number {
    return this.leaders.size
  }
}

/** The durable term only grows, and nothing is sent under a term that is not durable yet; a pre-vote asks for the next. */
export class TermsAreDurable extends Invariant {
  readonly title = '2 the persisted term is monotonic and that of every message'
  private readonly terms = new Map<Uuid, Term>()

  override onRaftSent(_world: Watched, from: SimNode, to: number, message: RaftMessage): void {
    this.checks++
    const durable = from.durableHardState()
    const claimed = message.type === 'preVote' ? message.term - 1 : message.term
    if (durable.term < claimed)
      this.fail(
        `node ${from.id} sends ${message.type} of term ${message.term} to ${to}, durable is term ${durable.term}`,
      )
  }

  override onRaft(_world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    if (before !== null && now.term < before.term)
      this.fail(`node ${node.id} went from term ${before.term} to ${now.term}`)
    const known = this.terms.get(now.directoryId) ?? 0
    const durable = node.durableHardState().term
    if (durable < known)
      this.fail(
        `the durable term of directory ${now.directoryId} of node ${node.id} fell from ${known} to ${durable}`,
      )
    this.terms.set(now.directoryId, durable)
  }
}

/** Raft §5.2, KIP-853: one vote for each term and directory, across restarts; durable before anybody hears of it. */
export class OneVotePerTerm extends Invariant {
  readonly title = '3 one vote per term and directory, durable before it is told'
  private readonly votes = new Map<string, NodeId>()

  override onRaftSent(_world: Watched, from: SimNode, to: number, message: RaftMessage): void {
    if (message.type === 'vote') this.judge(from, message.term, message.candidate.directoryId, from.id)
    else if (message.type === 'voteReply' && message.granted)
      this.judge(from, message.term, message.voter.directoryId, to)
  }

  private judge(voter: SimNode, term: Term, directoryId: Uuid, candidate: NodeId): void {
    this.checks++
    const key = `${term} ${directoryId}`
    const known = this.votes.get(key)
    if (known === undefined) this.votes.set(key, candidate)
    else if (known !== candidate)
      this.fail(
        `directory ${directoryId} of node ${voter.id} votes for ${known} and for ${candidate} in term ${term}`,
      )
    const durable = voter.durableHardState()
    if (durable.term > term || (durable.term === term && durable.vote?.nodeId === candidate)) return
    this.fail(
      `node ${voter.id} tells of its vote for ${candidate} in term ${term}, and durable is term ${durable.term}, vote ${durable.vote?.nodeId ?? 'none'}`,
    )
  }
}

/** KAFKA-10527: what a former life promised as a leader, the next does not know. */
export class RestartedLeadersResign extends Invariant {
  readonly title = '9 a restarted leader never leads the same term again'
  private readonly led = new Map<NodeId, { term: Term; incarnation: number }>()

  override onRaft(_world: Watched, node: SimNode, now: RaftState): void {
    const led = this.led.get(node.id)
    if (led !== undefined && led.term === now.term && led.incarnation !== now.incarnation) {
      this.checks++
      if (now.isLeader) this.fail(`node ${node.id} leads term ${now.term} again after a restart`)
    }
    if (now.isLeader) this.led.set(node.id, { term: now.term, incarnation: now.incarnation })
  }
}

interface Canvass {
  /** What the event that runs now brought. */
  received: RaftMessage | null
  /** Who would vote for this node, since its term moved last. */
  readonly preVotes: Set<NodeId>
  wasAskedByLeader: boolean
}

/** Raft thesis §9.6, KIP-996: who asks in vain changes nothing, neither here nor there. */
export class PreVoteChangesNothing extends Invariant {
  readonly title = '10 pre-vote changes no state, and an isolated term does not grow'
  private readonly canvasses = new Map<NodeId, Canvass>()
  /** 'term candidate' of every real request for a vote. */
  private readonly asked = new Set<string>()

  override onRaftSent(_world: Watched, from: SimNode, _to: number, message: RaftMessage): void {
    if (message.type === 'vote') this.asked.add(`${message.term} ${message.candidate.nodeId}`)
    if (message.type !== 'voteReply' && message.type !== 'preVoteReply') return
    const { term, vote } = from.durableHardState()
    if (vote === undefined || vote.nodeId === from.id || this.asked.has(`${term} ${vote.nodeId}`)) return
    this.fail(`node ${from.id} has voted for ${vote.nodeId} in term ${term}, who never asked for it`)
  }

  override onRaftReceived(_world: Watched, from: number, to: SimNode, message: RaftMessage): void {
    const canvass = this.of(to.id)
    canvass.received = message
    if (message.type === 'preVoteReply' && message.granted) canvass.preVotes.add(from)
    if (message.type === 'timeoutNow') canvass.wasAskedByLeader = true
    if (message.type === 'preVote') this.checks++
  }

  override onRaft(_world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    const canvass = this.of(node.id)
    if (before === null) this.canvasses.delete(node.id)
    else if (now.term > before.term) {
      this.checks++
      const { received } = canvass
      const wasTold = received !== null && received.type !== 'preVote' && received.term >= now.term
      if (!wasTold && !this.mayCampaign(canvass, now, before))
        this.fail(
          `node ${node.id} went from term ${before.term} to ${now.term}, asked by ${received?.type ?? 'nobody'}, with the pre-votes of ${[...canvass.preVotes].join(', ') || 'nobody'}`,
        )
      this.canvasses.delete(node.id)
    }
  }

  /** After each event of a node. */
  forget(node: SimNode): void {
    const canvass = this.canvasses.get(node.id)
    if (canvass !== undefined) canvass.received = null
  }

  private mayCampaign(canvass: Canvass, now: RaftState, before: RaftState): boolean {
    if (now.term !== before.term + 1) return false
    const { voters } = now.raft.status().configuration
    return canvass.wasAskedByLeader || (canvass.preVotes.size + 1) * 2 > voters.length
  }

  private of(id: NodeId): Canvass {
    let canvass = this.canvasses.get(id)
    if (canvass === undefined)
      this.canvasses.set(id, (canvass = { received: null, preVotes: new Set(), wasAskedByLeader: false }))
    return canvass
  }
}

/** KIP-853: a majority is one of the configured voters, each named by its directory too. */
export class OnlyVotersCount extends Invariant {
  readonly title = '12 non-voters never count'
  private readonly granted = new Map<NodeId, { term: Term; voters: Map<NodeId, Uuid> }>()

  override onRaftReceived(_world: Watched, _from: number, to: SimNode, message: RaftMessage): void {
    if (message.type !== 'voteReply' || !message.granted) return
    const { term, voter } = message
    let known = this.granted.get(to.id)
    if (known === undefined || known.term < term) {
      known = { term, voters: new Map() }
      this.granted.set(to.id, known)
    }
    if (known.term === term) known.voters.set(voter.nodeId, voter.directoryId)
  }

  override onRaft(_world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    if (!now.isLeader || (before?.isLeader && before.term === now.term)) return
    this.checks++
    const { voters } = now.raft.status().configuration
    const known = this.granted.get(node.id)
    const grants = known?.term === now.term ? known.voters : new Map<NodeId, Uuid>()
    const counted = voters.filter(({ nodeId, directoryId }) =>
      nodeId === node.id ? directoryId === now.directoryId : grants.get(nodeId) === directoryId,
    )
    if (counted.length * 2 > voters.length) return
    this.fail(
      `node ${node.id} leads term ${now.term} by the votes of ${counted.map((v) => v.nodeId).join(', ') || 'nobody'} among the voters ${voters.map((v) => v.nodeId).join(', ')}`,
    )
  }
}
