import { unreachable } from '../lib/assert.js'
import type { LogIndex, NodeId, Term } from '../lib/ids.js'
import type { FollowerProgress, RaftEffect, RaftInput, RaftOptions, RaftStatus } from './api.js'
import { onHardStateDurable, onVoteReply, onVoteRequest } from './campaign.js'
import { RaftCore } from './core.js'
import {
  forgetStaleAssembly,
  noteLeader,
  onAppend,
  onFollowerTick,
  onHeartbeat,
  onInstallSnapshot,
  onLeaderDead,
  onTimeoutNow,
} from './follower.js'
import {
  canPropose,
  leaderDeadlineMs,
  leaseEndMs,
  maybeCommit,
  onFollowerDead,
  onLeaderTick,
  onPropose,
  onTransfer,
  quorumContactMs,
  refreshProgress,
  tellCommit,
} from './leader.js'
import {
  membershipStatus,
  onCancelMembership,
  onChangeMembership,
  onStrangersCampaign,
} from './membership-change.js'
import { isVoter } from './quorum.js'
import { onReadIndex } from './reads.js'
import { onAppendReply, onHeartbeatReply, onInstallSnapshotReply, replicateToAll } from './replication.js'
import { becomeFollower } from './transitions.js'
import type { Entry, RaftMessage } from './types.js'

/**
 * One node of the consensus, as a pure state machine: an input and the time in, effects out, in the order in which
 * they are to be carried out. A node that starts is a follower, whatever it was: who led a term before a restart has
 * given its vote in it and never leads it again (KAFKA-10527).
 */
export class RaftNode {
  private readonly core: RaftCore

  constructor(options: RaftOptions) {
    this.core = new RaftCore(options)
  }

  /** `nowMs` is monotonic; a call with an earlier time than the last counts as at the same time. */
  step(input: RaftInput, nowMs: number): RaftEffect[] {
    const { core } = this
    core.nowMs = Math.max(core.nowMs, nowMs)
    forgetStaleAssembly(core)
    this.dispatch(input)
    if (core.role.type === 'leader' && core.role.isOver) {
      becomeFollower(core, core.term, undefined, 'configuration')
    }
    const effects = core.outbox.flush(core.log.lastIndex, core.nowMs)
    core.assertInvariants()
    return effects
  }

  /** When a `tick` is due. The driver sets one timer. */
  get nextDeadlineMs(): number {
    const { core } = this
    return core.role.type === 'leader' ? leaderDeadlineMs(core, core.role) : core.electionDeadlineMs
  }

  get term(): Term {
    return this.core.term
  }

  get leader(): NodeId | undefined {
    return this.core.leader
  }

  get isLeader(): boolean {
    return this.core.role.type === 'leader'
  }

  /** A proposal of one entry would be taken now. */
  get canPropose(): boolean {
    return canPropose(this.core)
  }

  /** See `leaseEndMs` of leader.ts; who does not lead has none. */
  get leaseEndMs(): number {
    const { role } = this.core
    return role.type === 'leader' ? leaseEndMs(this.core, role) : Number.NEGATIVE_INFINITY
  }

  /** Of a leader: the node that is to become a voter and catches up. */
  get catchingUp(): NodeId | undefined {
    const { role } = this.core
    if (role.type !== 'leader' || role.membership?.stage !== 'catchingUp') return undefined
    return role.membership.nodeId
  }

  /** Of a leader: where its no-op lies. */
  get firstIndexOfTerm(): LogIndex {
    const { role } = this.core
    return role.type === 'leader' ? role.firstIndexOfTerm : 0
  }

  get commitIndex(): LogIndex {
    return this.core.commitIndex
  }

  get lastIndex(): LogIndex {
    return this.core.log.lastIndex
  }

  get firstIndex(): LogIndex {
    return this.core.log.firstIndex
  }

  termAt(index: LogIndex): Term | undefined {
    return this.core.log.termAt(index)
  }

  /** Of the log in memory, for inspection: `limit` entries from `from` on, as far as they hold no more bytes; one at least. */
  entries(from: LogIndex, limit: number, maxBytes = Number.POSITIVE_INFINITY): Entry[] {
    const { log } = this.core
    return log.slice(Math.max(from, log.firstIndex), limit, maxBytes)
  }

  status(): RaftStatus {
    const { core } = this
    const { log, role } = core
    return {
      role: core.visibleRole,
      term: core.term,
      leader: core.leader,
      commitIndex: core.commitIndex,
      appliedIndex: core.appliedIndex,
      durableIndex: core.outbox.durableIndex,
      lastIndex: log.lastIndex,
      firstIndex: log.firstIndex,
      snapshotIndex: log.snapshot?.index ?? 0,
      configuration: core.configuration,
      clusterId: log.clusterId,
      progress: role.type === 'leader' ? this.progress() : [],
      hasQuorum:
        role.type === 'leader'
          ? core.nowMs - quorumContactMs(core, role) <= core.timing.electionTimeoutMinMs
          : core.isLeaderAlive,
      assemblyBytes: core.assembly?.receivedBytes ?? 0,
      membership: role.type === 'leader' ? membershipStatus(role) : undefined,
    }
  }

  private progress(): FollowerProgress[] {
    const { core } = this
    if (core.role.type !== 'leader') return []
    return [...core.role.progress.values()].map((progress) => ({
      voter: progress.voter,
      isVoter: isVoter(core.configuration, progress.voter),
      matchIndex: progress.matchIndex,
      nextIndex: progress.nextIndex,
      lastContactMs: progress.lastContactMs,
      lastCaughtUpMs: progress.lastCaughtUpMs,
      state: progress.state,
    }))
  }

  private dispatch(input: RaftInput): void {
    const { core } = this
    switch (input.type) {
      case 'tick':
        if (core.role.type === 'leader') onLeaderTick(core, core.role)
        else onFollowerTick(core)
        return
      case 'message':
        this.receive(input.from, input.message)
        return
      case 'propose':
        onPropose(core, input)
        return
      case 'persisted':
        this.onPersisted(input.sequence)
        return
      case 'peerDead':
        if (core.role.type === 'leader') onFollowerDead(core.role, input.peer)
        else onLeaderDead(core, input.peer)
        return
      case 'transferLeadership':
        onTransfer(core, input.to)
        return
      case 'readIndex':
        onReadIndex(core, input)
        return
      case 'snapshotTaken':
        this.onSnapshotTaken(input)
        return
      case 'changeMembership':
        onChangeMembership(core, input)
        return
      case 'cancelMembership':
        onCancelMembership(core, input.requestId)
        return
      case 'leave':
        core.isLeaving = true
        // A late vote would make it a leader that hands over to nobody.
        if (core.role.type === 'preCandidate' || core.role.type === 'candidate')
          becomeFollower(core, core.term, undefined, 'electionLost')
        return
      case 'learners':
        core.learners.clear()
        for (const nodeId of input.nodeIds) core.learners.add(nodeId)
        if (core.role.type === 'leader') {
          refreshProgress(core, core.role)
          replicateToAll(core, core.role)
        }
        return
      default:
        unreachable(input)
    }
  }

  /** Raft §5.1: terms first. */
  private receive(from: NodeId, message: RaftMessage): void {
    const { core } = this
    if (message.type === 'preVote') {
      // Who leads does not ask: this node's leader was restarted, or resigned.
      if (message.candidate.nodeId === core.leader && message.term > core.term) {
        onLeaderDead(core, message.candidate.nodeId, message.resigned)
      }
      if (core.role.type === 'leader') onStrangersCampaign(core, core.role, message.candidate.nodeId)
      // Its term is one that may never be.
      onVoteRequest(core, message)
      return
    }
    if (message.term > core.term) {
      // KIP-996, Raft thesis §4.2.3: a voter that hears its leader lets nobody depose it, unless it asked for it.
      if (message.type === 'vote' && core.isLeaderAlive && !message.transfer) return
      const isTransfer = message.type === 'vote' && message.transfer
      becomeFollower(core, message.term, undefined, isTransfer ? 'transfer' : 'higherTerm')
    }
    if (message.term < core.term && message.type !== 'preVoteReply') {
      this.onOldTerm(from, message)
      return
    }
    switch (message.type) {
      case 'vote':
        onVoteRequest(core, message)
        return
      case 'preVoteReply':
      case 'voteReply':
        onVoteReply(core, message)
        return
      case 'append':
        noteLeader(core, from)
        onAppend(core, from, message)
        return
      case 'heartbeat':
        noteLeader(core, from)
        onHeartbeat(core, from, message)
        return
      case 'installSnapshot':
        noteLeader(core, from)
        onInstallSnapshot(core, from, message)
        return
      case 'timeoutNow':
        onTimeoutNow(core)
        return
      case 'appendReply':
        if (core.role.type === 'leader') onAppendReply(core, core.role, from, message)
        return
      case 'heartbeatReply':
        if (core.role.type === 'leader') onHeartbeatReply(core, core.role, from, message)
        return
      case 'installSnapshotReply':
        if (core.role.type === 'leader') onInstallSnapshotReply(core, core.role, from, message)
        return
      default:
        unreachable(message)
    }
  }

  /** Who leads or asks under an old term hears of the new one; without it a node with a high term stays locked out. */
  private onOldTerm(from: NodeId, message: RaftMessage): void {
    const { core } = this
    switch (message.type) {
      case 'append':
      case 'heartbeat':
      case 'installSnapshot':
        core.outbox.send(from, {
          type: 'heartbeatReply',
          term: core.term,
          follower: core.self,
          lastIndex: core.log.lastIndex,
          readContext: 0,
        })
        return
      case 'vote':
        core.outbox.send(from, {
          type: 'voteReply',
          term: core.term,
          voter: core.self,
          granted: false,
        })
        return
      default:
        return
    }
  }

  private onPersisted(sequence: number): void {
    const { core } = this
    for (const snapshot of core.outbox.persisted(sequence)) {
      // A newer one may have taken its place meanwhile.
      if (core.log.snapshot?.index !== snapshot.index) continue
      core.appliedIndex = snapshot.index
      core.outbox.effect({ type: 'restoreSnapshot', snapshot })
    }
    if (core.outbox.isHardStateDurable) onHardStateDurable(core)
    if (core.role.type === 'leader') {
      maybeCommit(core, core.role)
      tellCommit(core, core.role)
    } else core.apply()
  }

  private onSnapshotTaken(input: Extract<RaftInput, { type: 'snapshotTaken' }>): void {
    const { core } = this
    const { log } = core
    const { index, data } = input
    // A leader's newer snapshot may have come in between.
    if (index <= (log.snapshot?.index ?? 0) || index > core.appliedIndex) return
    const { configuration, clusterId } = log.configurationAt(index)
    const snapshot = { index, term: log.termAt(index)!, configuration, clusterId, data }
    const keepBytes = input.keepBytes ?? core.limits.maxTailBytes
    const compactTo = log.tailStart(index, input.keepEntries, keepBytes) - 1
    log.compact(snapshot, compactTo)
    core.outbox.effect({ type: 'saveSnapshot', snapshot, compactTo })
  }
}
