import { assert } from '../lib/assert.js'
import type { LogIndex, NodeId, Term } from '../lib/ids.js'
import { randomBetween } from '../lib/prng.js'
import type { RaftLimits, RaftOptions, RaftRole, RaftTiming, Resignation, RoleCause } from './api.js'
import { FOUNDING_TERM } from './founding.js'
import type { LeaderState } from './leader-state.js'
import { LogView } from './log-view.js'
import { Outbox } from './outbox.js'
import { isVoter } from './quorum.js'
import type { SnapshotAssembly } from './snapshot-assembly.js'
import type { Configuration, Snapshot, Voter } from './types.js'

export type RoleState = { type: 'follower' } | CampaignState | LeaderState

export interface CampaignState {
  type: 'preCandidate' | 'candidate'
  votes: Map<NodeId, boolean>
  /** When the pre-vote began. */
  startedMs: number
  cause: RoleCause
  /** The leader whose dial was refused: it gives no vote, so that a split vote is known to be lost at once. */
  dead: NodeId | undefined
}

/** Becoming a voter, or ceasing to be one, shows as a change of role. */
export function noteConfiguration(core: RaftCore): void {
  const { configuration, configurationIndex: index } = core.log
  core.outbox.effect({ type: 'configurationChanged', configuration, index })
  core.announce('configuration')
}

/**
 * What every role shares. The persisted half (term, vote, log) changes here and goes to the outbox in the same
 * breath. Invariants, checked after each step: applied <= commit <= last; applied <= durable <= last.
 */
export class RaftCore {
  readonly self: Voter
  readonly timing: RaftTiming
  readonly limits: RaftLimits
  readonly checksum: (bytes: Uint8Array) => number
  readonly log: LogView
  readonly outbox: Outbox
  readonly learners = new Set<NodeId>()
  term: Term
  vote: Voter | undefined
  commitIndex: LogIndex
  appliedIndex: LogIndex
  role: RoleState = { type: 'follower' }
  /** Of this term, as far as it is known. */
  leader: NodeId | undefined
  nowMs: number
  electionDeadlineMs = 0
  lastLeaderContactMs = Number.NEGATIVE_INFINITY
  /** The leader of this term, after a refused dial, or when it asks for votes itself: its late messages restore nothing until `deadUntilMs`. */
  deadLeader: NodeId | undefined
  deadUntilMs = 0
  /** What ended the leadership of `deadLeader`: it may have resigned. */
  deadCause: 'leaderDead' | Resignation = 'leaderDead'
  /** This node led this term and gave it up. */
  resigned: Resignation | undefined
  /** About to stop: it votes and follows, and never campaigns. */
  isLeaving = false
  /** A leader's snapshot on its way in. */
  assembly: SnapshotAssembly | undefined
  private readonly random: RaftOptions['random']
  private readonly checksums = new WeakMap<Snapshot, number>()
  private announced: { role: RaftRole; term: Term; leader: NodeId | undefined } | undefined

  constructor(options: RaftOptions) {
    const { restored } = options
    this.self = options.self
    this.timing = options.timing
    this.limits = options.limits
    this.checksum = options.checksum
    this.random = options.random
    this.nowMs = options.nowMs
    this.log = new LogView(restored.snapshot, restored.entries)
    this.outbox = new Outbox(this.log.lastIndex)
    this.term = restored.hardState.term
    this.vote = restored.hardState.vote
    this.commitIndex = restored.snapshot?.index ?? 0
    this.appliedIndex = this.commitIndex
    assert(this.term >= this.log.lastTerm, 'the term on disk is behind the log')
    for (const nodeId of options.learners) this.learners.add(nodeId)
    // Soon: where a leader lives, its followers refuse the pre-vote, and where none does, nobody waits for long.
    const delayMs = this.between(this.timing.electionTimeoutMinMs / 10, this.timing.electionTimeoutMinMs / 2)
    if (this.isAlone) this.electionDeadlineMs = this.nowMs
    else if (this.isFirstOfFounders)
      this.electionDeadlineMs = this.nowMs + this.timing.electionTimeoutMinMs / 20
    else this.electionDeadlineMs = this.nowMs + delayMs
  }

  get configuration(): Configuration {
    return this.log.configuration
  }

  get isVoter(): boolean {
    return isVoter(this.configuration, this.self)
  }

  /**
   * Voters, and whoever holds an entry that removes it and does not know it to be committed: its log may be the only one
   * that can still win (Raft thesis §4.2.2). It counts no vote of its own then.
   */
  get mayCampaign(): boolean {
    if (this.isLeaving) return false
    if (this.isVoter) return true
    const { configurationIndex, configurationBefore } = this.log
    return (
      configurationIndex > this.commitIndex &&
      configurationBefore !== undefined &&
      isVoter(configurationBefore, this.self)
    )
  }

  /**
   * Nobody has led yet: the voter of the lowest id asks before the others wake, so that a new cluster has its leader at
   * once. Who founded it stands within milliseconds of one another.
   */
  get isFirstOfFounders(): boolean {
    return (
      this.term === FOUNDING_TERM &&
      this.log.lastIndex === 1 &&
      this.isVoter &&
      this.otherVoters().every((voter) => voter.nodeId > this.self.nodeId)
    )
  }

  /** The only voter: it elects itself at once. */
  get isAlone(): boolean {
    return this.configuration.voters.length === 1 && this.isVoter
  }

  otherVoters(): Voter[] {
    return this.configuration.voters.filter((voter) => voter.nodeId !== this.self.nodeId)
  }

  /** Computed once, whoever needs the snapshot and however often. */
  snapshotChecksum(snapshot: Snapshot): number {
    const checksum = this.checksums.get(snapshot) ?? this.checksum(snapshot.data)
    this.checksums.set(snapshot, checksum)
    return checksum
  }

  /** An integer in [minMs, maxMs] from the injected source. */
  between(minMs: number, maxMs: number): number {
    return randomBetween(this.random, Math.floor(minMs), Math.floor(maxMs))
  }

  randomElectionTimeoutMs(): number {
    return this.between(this.timing.electionTimeoutMinMs, this.timing.electionTimeoutMaxMs)
  }

  resetElectionDeadline(): void {
    this.electionDeadlineMs = this.nowMs + this.randomElectionTimeoutMs()
  }

  /** A leader, or who follows one that it heard within the shortest election time-out, refuses to help another. */
  get isLeaderAlive(): boolean {
    if (this.role.type === 'leader') return true
    if (this.leader === undefined || this.isLeaderDead) return false
    return this.nowMs - this.lastLeaderContactMs < this.timing.electionTimeoutMinMs
  }

  get isLeaderDead(): boolean {
    return this.deadLeader !== undefined && this.deadLeader === this.leader
  }

  /** A new term, and with it a vote not yet given, or given to this node itself. */
  enterTerm(term: Term, vote: Voter | undefined): void {
    assert(term > this.term, 'a term never goes back')
    this.term = term
    this.leader = undefined
    this.deadLeader = undefined
    this.resigned = undefined
    this.setVote(vote)
  }

  setVote(vote: Voter | undefined): void {
    this.vote = vote
    this.outbox.writeHardState(vote === undefined ? { term: this.term } : { term: this.term, vote })
  }

  /** What is committed and durable here may be applied. */
  commitTo(index: LogIndex): void {
    if (index > this.commitIndex) {
      assert(index <= this.log.lastIndex, 'only what is in the log commits')
      this.commitIndex = index
    }
    this.apply()
  }

  apply(): void {
    const upTo = Math.min(this.commitIndex, this.outbox.durableIndex)
    if (upTo <= this.appliedIndex || this.isRestoring) return
    const entries = this.log.range(this.appliedIndex + 1, upTo)
    this.appliedIndex = upTo
    this.outbox.effect({ type: 'apply', entries })
  }

  /** A leader's snapshot replaced the log and is not yet durable: what is applied is older than the log's start. */
  get isRestoring(): boolean {
    return this.appliedIndex < (this.log.snapshot?.index ?? 0)
  }

  get visibleRole(): RaftRole {
    return this.role.type === 'follower' && !this.isVoter ? 'observer' : this.role.type
  }

  /** Tells of a change of role, term or leader, once. */
  announce(cause: RoleCause, times: { electionMs?: number; sinceMs?: number } = {}): void {
    const { visibleRole: role, term, leader } = this
    const last = this.announced
    if (last !== undefined && last.role === role && last.term === term && last.leader === leader) return
    this.announced = { role, term, leader }
    this.outbox.effect({ type: 'roleChanged', role, term, leader, cause, ...times })
  }

  assertInvariants(): void {
    assert(this.appliedIndex <= this.commitIndex, 'applied <= commit')
    assert(this.commitIndex <= this.log.lastIndex, 'commit <= last')
    assert(this.outbox.durableIndex <= this.log.lastIndex, 'durable <= last')
    assert(this.appliedIndex <= this.outbox.durableIndex, 'applied <= durable')
    assert(this.log.lastTerm <= this.term, 'no entry is newer than the term')
  }
}
