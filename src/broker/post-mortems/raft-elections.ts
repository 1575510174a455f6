import type { NodeId, Term } from '../../lib/ids.js'
import type { RoleCause } from '../../raft/api.js'
import type { QuorumEvent, RoleEvent } from '../quorum/events.js'
import type { RaftElection } from './types.js'

interface Outage {
  fromMs: number | undefined
  noticedMs: number
  cause: RoleCause
}

interface Elected extends Outage {
  formerLeader: NodeId | undefined
  leader: NodeId
  term: Term
  electedMs: number
}

/** Reads the quorum's events: the end of one leadership, the next leader, and the first commit in its term. */
export class RaftElections {
  private leader: { nodeId: NodeId; term: Term } | undefined
  private outage: Outage | undefined
  /** A leader is known, and nothing of its term is committed yet. */
  private elected: Elected | undefined

  /** @param lastSignMs the last sign of life of a peer, in this node's monotonic milliseconds */
  constructor(
    private readonly nodeId: NodeId,
    private readonly lastSignMs: (peer: NodeId) => number | undefined,
    private readonly report: (election: RaftElection) => void,
  ) {}

  onEvent(event: QuorumEvent): void {
    if (event.type === 'role') this.onRole(event, event.atMs)
    else if (event.type === 'commit') this.onCommit(event.term, event.atMs)
  }

  /** The change that nothing has committed after yet, as far as this node knows: where its disk stands still, for long. */
  pending(nowMs: number): RaftElection | undefined {
    return this.elected && electionOf(this.elected, nowMs, true)
  }

  private onRole(event: RoleEvent, atMs: number): void {
    const { leader, term } = event
    if (leader === undefined) {
      this.begin(event, atMs)
      return
    }
    if (this.leader !== undefined && this.leader.nodeId === leader && this.leader.term === term) {
      // A pre-vote that came to nothing (Raft thesis §9.6): the leader was there all the time.
      this.outage = undefined
      return
    }
    const outage = this.begin(event, atMs)
    const unserved = this.elected
    // A leadership without a single commit served nobody: the outage that it was to end goes on.
    const fromMs = unserved === undefined ? outage.fromMs : unserved.fromMs
    if (unserved !== undefined) this.report(electionOf(unserved, outage.noticedMs, true))
    this.elected = { ...outage, fromMs, formerLeader: this.leader?.nodeId, leader, term, electedMs: atMs }
    this.leader = { nodeId: leader, term }
    this.outage = undefined
  }

  /** The first notice counts: what follows is the election's own course. */
  private begin(event: RoleEvent, atMs: number): Outage {
    this.outage ??= { fromMs: this.beganMs(event, atMs), noticedMs: atMs, cause: event.cause }
    return this.outage
  }

  private beganMs({ cause, sinceMs }: RoleEvent, atMs: number): number | undefined {
    const former = this.leader?.nodeId
    if (former === undefined) return undefined
    if (former === this.nodeId) return sinceMs ?? atMs
    // Planned: the leader serves until it asks its successor to stand.
    return cause === 'transfer' ? atMs : this.lastSignMs(former)
  }

  private onCommit(term: Term, atMs: number): void {
    if (this.elected?.term !== term) return
    this.report(electionOf(this.elected, atMs, false))
    this.elected = undefined
  }
}

function electionOf(elected: Elected, untilMs: number, noCommit: boolean): RaftElection {
  const { formerLeader, leader, term, cause, fromMs, noticedMs, electedMs } = elected
  return {
    type: 'raft',
    formerLeader,
    leader,
    term,
    cause,
    fromMs,
    noticedMs,
    electedMs,
    untilMs,
    noCommit,
  }
}
