import type { NodeId, Term } from '../../../src/lib/ids.js'
import type { RaftMessage } from '../../../src/raft/types.js'
import type { SimNode } from '../node.js'
import { Invariant, type RaftState, type Watched } from './invariant.js'

/** A third more than check-quorum allows, for clocks that run slow and a loop that drains its sockets first. */
const RESIGN_WITHIN_MS = 2_000
/** A leader has a timer every 100 ms: whoever ran nothing for so long was paused, and has the time from then on. */
const PAUSED_MS = 500
/** A small part of what it is allowed. */
const JUDGED_EVERY_MS = 50
/** The shortest election time-out, as a clock that runs 10 % fast counts it. */
const STICKY_MS = 900
/** So old may a request be whose answer waited for the disk. */
const ANSWERED_WITHIN_MS = 5_000

/** KAFKA-15489, the Raft dissertation's §6.2: who cannot reach a majority does not go on for ever. */
export class LeadersResignWithoutQuorum extends Invariant {
  readonly title = 'a leader without its quorum resigns'
  /** By node: when each peer last answered it. */
  private readonly answers = new Map<NodeId, Map<NodeId, number>>()
  private readonly lastEventMs = new Map<NodeId, number>()
  /** Since when it may be judged: it leads, and runs. */
  private readonly since = new Map<
    NodeId,
    { term: number; incarnation: number; fromMs: number; judgedMs: number }
  >()

  override onRaftReceived(world: Watched, from: number, to: SimNode, message: RaftMessage): void {
    const { type } = message
    if (type !== 'appendReply' && type !== 'heartbeatReply' && type !== 'installSnapshotReply') return
    let answers = this.answers.get(to.id)
    if (answers === undefined) this.answers.set(to.id, (answers = new Map()))
    answers.set(from, world.clock.nowMs)
  }

  afterEvent(world: Watched, node: SimNode, now: RaftState): void {
    const { nowMs } = world.clock
    const wasPaused = nowMs - (this.lastEventMs.get(node.id) ?? nowMs) > PAUSED_MS
    this.lastEventMs.set(node.id, nowMs)
    if (!now.isLeader) return
    const since = this.since.get(node.id)
    if (wasPaused || since?.term !== now.term || since.incarnation !== now.incarnation) {
      this.since.set(node.id, { term: now.term, incarnation: now.incarnation, fromMs: nowMs, judgedMs: 0 })
      return
    }
    if (nowMs - since.fromMs <= RESIGN_WITHIN_MS) return
    if (nowMs - since.judgedMs < JUDGED_EVERY_MS) return
    since.judgedMs = nowMs
    this.judge(world, node, now, since.fromMs)
  }

  private judge(world: Watched, node: SimNode, now: RaftState, fromMs: number): void {
    this.checks++
    const { nowMs } = world.clock
    const answers = this.answers.get(node.id)
    const { voters } = now.raft.status().configuration
    const fresh = voters.filter(
      ({ nodeId }) => nodeId === node.id || nowMs - (answers?.get(nodeId) ?? fromMs) <= RESIGN_WITHIN_MS,
    )
    if (fresh.length * 2 > voters.length) return
    this.fail(
      `node ${node.id} leads term ${now.term}, and for ${RESIGN_WITHIN_MS} ms only ${fresh.map((v) => v.nodeId).join(', ')} of its voters was heard`,
    )
  }
}

interface Contact {
  readonly leader: SimNode
  readonly term: Term
  readonly atMs: number
}

/** KIP-996: a node that hears its leader helps nobody to take its place. */
export class LiveLeadersAreKept extends Invariant {
  readonly title = 'a live leader is not voted away'
  private readonly contacts = new Map<NodeId, Contact>()
  /** By 'asker voter': requests for a pre-vote, each with whether the voter heard its leader just before. */
  private readonly requests = new Map<string, { atMs: number; hadLeader: boolean }[]>()

  override onRaftReceived(world: Watched, from: number, to: SimNode, message: RaftMessage): void {
    const { nowMs } = world.clock
    const { type } = message
    if (type === 'append' || type === 'heartbeat' || type === 'installSnapshot') {
      if ((to.quorum?.raft?.term ?? 0) > message.term) return
      const leader = world.nodes.find(({ id }) => id === from)!
      this.contacts.set(to.id, { leader, term: message.term, atMs: nowMs })
    } else if (type === 'preVote') {
      const key = `${from} ${to.id}`
      const recent = (this.requests.get(key) ?? []).filter(({ atMs }) => nowMs - atMs < ANSWERED_WITHIN_MS)
      recent.push({ atMs: nowMs, hadLeader: this.hasLeader(nowMs, to, from) })
      this.requests.set(key, recent)
    }
  }

  override onRaftSent(world: Watched, from: SimNode, to: number, message: RaftMessage): void {
    if (message.type !== 'preVoteReply' || !message.granted) return
    const { nowMs } = world.clock
    const requests = (this.requests.get(`${to} ${from.id}`) ?? []).filter(
      ({ atMs }) => nowMs - atMs < ANSWERED_WITHIN_MS,
    )
    this.checks++
    if (requests.length > 0 && requests.every(({ hadLeader }) => hadLeader))
      this.fail(
        `node ${from.id} would vote for ${to}, though it heard its leader less than ${STICKY_MS} ms before`,
      )
  }

  override onRaft(_world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    if (before === null || now.term !== before.term) this.contacts.delete(node.id)
  }

  /** Within the stickiness, and of a process that leads that very term still: what it sent may outlive it. */
  private hasLeader(nowMs: number, voter: SimNode, asker: NodeId): boolean {
    const contact = this.contacts.get(voter.id)
    if (contact === undefined || nowMs - contact.atMs >= STICKY_MS || contact.leader.id === asker)
      return false
    const { leader, term } = contact
    const raft = leader.quorum?.raft
    return raft?.isLeader === true && raft.term === term && !leader.isStopping
  }
}
