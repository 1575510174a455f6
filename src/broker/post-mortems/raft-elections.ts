import type { NodeId, Term } from '../../lib/ids.js'
import type { RoleCause } from '../../raft/api.js'
import type { QuorumEvent } from '../quorum/events.js'
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
    private readonly lastSignMs: (peer: NodeId) => number | undefined,
    private readonly report: (election: RaftElection) => void,
  ) {}

  onEvent(event: QuorumEvent): void {
    if (event.type === 'role') this.onRole(event)
    else if (event.type === 'commit') this.onCommit(event.term, event.atMs)
  }

  private onRole({ leader, term, cause, atMs }: Extract<QuorumEvent, { type: 'role' }>): void {
    if (leader === undefined) {
      this.begin(cause, atMs)
      return
    }
    if (this.leader !== undefined && this.leader.nodeId === leader && this.leader.term === term) {
      // A pre-vote that came to nothing (Raft thesis §9.6): the leader was there all the time.
      this.outage = undefined
      return
    }
    this.begin(cause, atMs)
    this.elected = {
      ...this.outage!,
      formerLeader: this.leader?.nodeId,
      leader,
      term,
      electedMs: atMs,
    }
    this.leader = { nodeId: leader, term }
    this.outage = undefined
  }

  /** The first notice counts: what follows is the election's own course. */
  private begin(cause: RoleCause, atMs: number): void {
    if (this.outage !== undefined) return
    // A leadership without a single commit served nobody: its end belongs to the outage that it was to end.
    if (this.elected !== undefined) {
      const { fromMs, noticedMs, cause } = this.elected
      this.outage = { fromMs, noticedMs, cause }
      this.elected = undefined
      return
    }
    const former = this.leader?.nodeId
    this.outage = {
      fromMs: former === undefined ? undefined : this.lastSignMs(former),
      noticedMs: atMs,
      cause,
    }
  }

  private onCommit(term: Term, atMs: number): void {
    if (this.elected === undefined || this.elected.term !== term) return
    const { formerLeader, leader, cause, fromMs, noticedMs, electedMs } = this.elected
    this.elected = undefined
    this.report({
      type: 'raft',
      formerLeader,
      leader,
      term,
      cause,
      fromMs,
      noticedMs,
      electedMs,
      untilMs: atMs,
    })
  }
}
