import { assert } from '../lib/assert.js'
import type { NodeId } from '../lib/ids.js'
import type { ProposalRefusal, RaftInput } from './api.js'
import type { CampaignState, RaftCore } from './core.js'
import type { LeaderState } from './leader-state.js'
import { entryBytes } from './log-view.js'
import { catchUpDeadlineMs, continueCatchUp, onMembershipCommit } from './membership-change.js'
import { Progress } from './progress.js'
import { isVoter, majorityValue, sameVoter } from './quorum.js'
import { releaseWaitingReads } from './reads.js'
import { replicate, replicateToAll } from './replication.js'
import { becomeFollower } from './transitions.js'
import type { Entry, Voter } from './types.js'

/** A majority must have been heard within this share of the shortest election time-out (KAFKA-15489). */
const CHECK_QUORUM_FACTOR = 1.5

export function becomeLeader(core: RaftCore, campaign: CampaignState): void {
  assert(core.role.type === 'candidate', 'only a candidate wins')
  const { nowMs } = core
  const leader: LeaderState = {
    type: 'leader',
    progress: new Map(),
    firstIndexOfTerm: core.log.lastIndex + 1,
    startedMs: nowMs,
    heartbeatDeadlineMs: nowMs,
    uncommittedBytes: 0,
    transfer: undefined,
    readContext: 0,
    reads: [],
    membership: undefined,
    departing: new Map(),
    isOver: false,
  }
  core.role = leader
  core.leader = core.self.nodeId
  core.deadUntilMs = 0
  core.assembly = undefined
  refreshProgress(core, leader)
  core.announce('electionWon', { electionMs: nowMs - campaign.startedMs })
  // Raft §8: only an entry of its own term lets a leader commit what came before.
  appendEntry(core, leader, { type: 'noOp', term: core.term, index: core.log.lastIndex + 1 })
  sendHeartbeats(core, leader)
  replicateToAll(core, leader)
}

/** Follows the configuration, the learners and whoever joins or leaves: who is new is probed, who is gone forgotten. */
export function refreshProgress(core: RaftCore, leader: LeaderState): void {
  const wanted = new Map<NodeId, string>()
  for (const voter of core.otherVoters()) wanted.set(voter.nodeId, voter.directoryId)
  const others = [...core.learners, ...leader.departing.keys()]
  if (leader.membership?.stage === 'catchingUp') others.push(leader.membership.nodeId)
  for (const nodeId of others) {
    if (nodeId !== core.self.nodeId && !wanted.has(nodeId)) wanted.set(nodeId, '')
  }
  const former = leader.progress
  leader.progress = new Map()
  for (const [nodeId, directoryId] of wanted) {
    const kept = former.get(nodeId)
    if (kept === undefined) {
      const fresh = new Progress({ nodeId, directoryId }, core.log.lastIndex + 1)
      // Time to answer, before its silence counts against the quorum.
      if (directoryId !== '') fresh.lastContactMs = core.nowMs
      leader.progress.set(nodeId, fresh)
    } else leader.progress.set(nodeId, kept)
  }
}

export function appendEntry(core: RaftCore, leader: LeaderState, entry: Entry): void {
  core.log.append(entry)
  core.outbox.writeEntry(entry)
  leader.uncommittedBytes += entryBytes(entry)
}

/** A bounded queue: what would pass the limits is dropped, and may be tried again. */
export function onPropose(core: RaftCore, input: Extract<RaftInput, { type: 'propose' }>): void {
  const { role, outbox } = core
  const { proposalId, payloads } = input
  const drop = (reason: ProposalRefusal): void =>
    outbox.effect({ type: 'proposalDropped', proposalId, reason })
  if (role.type !== 'leader') {
    drop('notLeader')
    return
  }
  if (role.transfer !== undefined) {
    drop('transferring')
    return
  }
  if (payloads.some((payload) => payload.length > core.limits.maxEntryBytes)) {
    drop('tooLarge')
    return
  }
  if (!hasRoom(core, role, payloads.length)) {
    drop('busy')
    return
  }
  const firstIndex = core.log.lastIndex + 1
  for (const payload of payloads) {
    appendEntry(core, role, { type: 'data', term: core.term, index: core.log.lastIndex + 1, payload })
  }
  outbox.effect({
    type: 'proposalAccepted',
    proposalId,
    firstIndex,
    lastIndex: core.log.lastIndex,
    term: core.term,
  })
  replicateToAll(core, role)
}

/** Bytes count when they are there: what passes the limit is the last to be taken, so that any size can pass. */
function hasRoom(core: RaftCore, leader: LeaderState, entries: number): boolean {
  const uncommitted = core.log.lastIndex - core.commitIndex
  return (
    uncommitted + entries <= core.limits.maxUncommittedEntries &&
    leader.uncommittedBytes < core.limits.maxUncommittedBytes
  )
}

/** Would a proposal of one entry be taken now? */
export function canPropose(core: RaftCore): boolean {
  return core.role.type === 'leader' && core.role.transfer === undefined && hasRoom(core, core.role, 1)
}

/**
 * Raft §5.3, §5.4.2: the largest index that a majority of voters holds on disk commits, where its entry is of the
 * present term (figure 8). The leader counts itself like any other, by what is durable.
 */
export function maybeCommit(core: RaftCore, leader: LeaderState): void {
  const matches: number[] = []
  for (const voter of core.configuration.voters) {
    if (sameVoter(voter, core.self)) {
      matches.push(core.outbox.durableIndex)
      continue
    }
    const progress = leader.progress.get(voter.nodeId)
    const counts = progress !== undefined && sameVoter(progress.voter, voter)
    matches.push(counts ? progress.matchIndex : 0)
  }
  const index = majorityValue(matches)
  if (index <= core.commitIndex || core.log.termAt(index) !== core.term) {
    core.apply()
    return
  }
  for (const entry of core.log.range(core.commitIndex + 1, index)) {
    if (entry.index >= leader.firstIndexOfTerm) leader.uncommittedBytes -= entryBytes(entry)
  }
  core.commitTo(index)
  releaseWaitingReads(core, leader)
  onMembershipCommit(core, leader)
}

/**
 * Followers learn of a commit with the next append; where none is due, a heartbeat tells those that hold more
 * committed entries than they know of.
 */
export function tellCommit(core: RaftCore, leader: LeaderState): void {
  for (const progress of leader.progress.values()) {
    if (Math.min(core.commitIndex, progress.matchIndex) > progress.toldCommitIndex) {
      sendHeartbeat(core, leader, progress)
    }
  }
}

export function sendHeartbeats(core: RaftCore, leader: LeaderState): void {
  leader.heartbeatDeadlineMs = core.nowMs + core.timing.heartbeatIntervalMs
  for (const progress of leader.progress.values()) sendHeartbeat(core, leader, progress)
}

function sendHeartbeat(core: RaftCore, leader: LeaderState, progress: Progress): void {
  const commitIndex = Math.min(core.commitIndex, progress.matchIndex)
  progress.toldCommitIndex = commitIndex
  core.outbox.send(progress.voter.nodeId, {
    type: 'heartbeat',
    term: core.term,
    commitIndex,
    commitTerm: core.log.termAt(commitIndex) ?? 0,
    readContext: leader.readContext,
    sentMs: core.nowMs,
  })
}

/**
 * Until then nobody else can have been elected by silence: a majority got a heartbeat that was sent at most the
 * shortest election time-out before, and refuses its votes for as long. Never counted on where data could be lost.
 */
export function leaseEndMs(core: RaftCore, leader: LeaderState): number {
  const { voters } = core.configuration
  const always = Number.POSITIVE_INFINITY
  const sentMs = majorityMs(core, leader, voters, (progress) => progress.answeredSentMs, always)
  return sentMs + core.timing.electionTimeoutMinMs
}

/** When a majority of the voters was last heard, itself included where it is one. */
export function quorumContactMs(core: RaftCore, leader: LeaderState): number {
  const { voters } = core.configuration
  return majorityMs(core, leader, voters, (progress) => progress.lastContactMs)
}

function majorityMs(
  core: RaftCore,
  leader: LeaderState,
  voters: readonly Voter[],
  timeOf: (progress: Progress) => number,
  ownMs = core.nowMs,
): number {
  const times = voters.map((voter) => {
    if (sameVoter(voter, core.self)) return ownMs
    const progress = leader.progress.get(voter.nodeId)
    return progress !== undefined && sameVoter(progress.voter, voter)
      ? timeOf(progress)
      : Number.NEGATIVE_INFINITY
  })
  return majorityValue(times)
}

/** Would these voters be able to commit now? Stricter than check-quorum: a change can wait. */
export function hasRecentQuorum(core: RaftCore, leader: LeaderState, voters: readonly Voter[]): boolean {
  const answeredMs = majorityMs(core, leader, voters, (progress) => progress.answeredMs)
  return core.nowMs - answeredMs < core.timing.electionTimeoutMinMs / 2
}

/** Its dial was refused: whatever it answered lately, it cannot be counted on. */
export function onFollowerDead(leader: LeaderState, peer: NodeId): void {
  const progress = leader.progress.get(peer)
  if (progress !== undefined) progress.answeredMs = Number.NEGATIVE_INFINITY
}

function checkQuorumMs(core: RaftCore): number {
  return core.timing.electionTimeoutMinMs * CHECK_QUORUM_FACTOR
}

export function onLeaderTick(core: RaftCore, leader: LeaderState): void {
  const { nowMs } = core
  if (nowMs >= quorumContactMs(core, leader) + checkQuorumMs(core)) {
    becomeFollower(core, core.term, undefined, 'noQuorum')
    return
  }
  // A leader that cannot write commits nothing of its own and must not hold the place of one that can.
  const oldestMs = core.outbox.oldestPendingMs
  if (oldestMs !== undefined && nowMs >= oldestMs + core.timing.electionTimeoutMaxMs) {
    becomeFollower(core, core.term, undefined, 'diskStalled')
    return
  }
  if (leader.transfer !== undefined && nowMs >= leader.transfer.deadlineMs) {
    if (leader.transfer.resigns) {
      leader.isOver = true
      return
    }
    core.outbox.effect({ type: 'transferEnded', to: leader.transfer.to, done: false })
    leader.transfer = undefined
  }
  continueCatchUp(core, leader)
  if (nowMs >= leader.heartbeatDeadlineMs) {
    dropSnapshotsOfTheSilent(core, leader)
    sendHeartbeats(core, leader)
  }
}

/** Who fell silent amid a snapshot holds an old one in memory; when it is back it is asked where to go on. */
function dropSnapshotsOfTheSilent(core: RaftCore, leader: LeaderState): void {
  for (const progress of leader.progress.values()) {
    const isSilent = core.nowMs - progress.lastContactMs > core.timing.electionTimeoutMaxMs
    if (progress.state === 'snapshot' && isSilent) progress.becomeProbe(progress.nextIndex)
  }
}

export function leaderDeadlineMs(core: RaftCore, leader: LeaderState): number {
  const deadlines = [leader.heartbeatDeadlineMs, quorumContactMs(core, leader) + checkQuorumMs(core)]
  const oldestMs = core.outbox.oldestPendingMs
  if (oldestMs !== undefined) deadlines.push(oldestMs + core.timing.electionTimeoutMaxMs)
  if (leader.transfer !== undefined) deadlines.push(leader.transfer.deadlineMs)
  if (leader.membership?.stage === 'catchingUp')
    deadlines.push(catchUpDeadlineMs(core, leader, leader.membership))
  return Math.min(...deadlines)
}

/** Raft thesis §3.10: no new proposals, bring the target up to date, then let it campaign at once. */
export function onTransfer(core: RaftCore, to: NodeId | undefined): void {
  const { role, outbox } = core
  const fail = (): void => outbox.effect({ type: 'transferEnded', to, done: false })
  if (role.type !== 'leader' || role.transfer !== undefined) {
    fail()
    return
  }
  const target = transferTarget(core, role, to)
  if (target === undefined) {
    fail()
    return
  }
  startTransfer(core, role, target, false)
}

/**
 * Raft thesis §4.2.2: the entry that removes this leader has committed. It hands over and steps down; where nobody
 * takes over in time it steps down all the same.
 */
export function handOver(core: RaftCore, leader: LeaderState): void {
  if (leader.transfer !== undefined) {
    leader.transfer.resigns = true
    return
  }
  const target = transferTarget(core, leader, undefined)
  if (target === undefined) leader.isOver = true
  else startTransfer(core, leader, target, true)
}

function transferTarget(core: RaftCore, leader: LeaderState, to: NodeId | undefined): Progress | undefined {
  let target: Progress | undefined
  for (const progress of leader.progress.values()) {
    if (!isVoter(core.configuration, progress.voter)) continue
    if (to !== undefined && progress.voter.nodeId !== to) continue
    // Of equals the one heard last: the other may be dead.
    const isBetter =
      target === undefined ||
      progress.matchIndex > target.matchIndex ||
      (progress.matchIndex === target.matchIndex && progress.lastContactMs > target.lastContactMs)
    if (isBetter) target = progress
  }
  return target
}

function startTransfer(core: RaftCore, leader: LeaderState, target: Progress, resigns: boolean): void {
  leader.transfer = {
    to: target.voter.nodeId,
    startedMs: core.nowMs,
    deadlineMs: core.nowMs + core.timing.electionTimeoutMinMs,
    sent: false,
    resigns,
  }
  replicate(core, target)
  continueTransfer(core, leader)
}

/** The target may have caught up. */
export function continueTransfer(core: RaftCore, leader: LeaderState): void {
  const { transfer } = leader
  if (transfer === undefined || transfer.sent) return
  if (leader.progress.get(transfer.to)?.matchIndex !== core.log.lastIndex) return
  transfer.sent = true
  // What is committed has to be known when the successor stands.
  if (transfer.resigns) sendHeartbeats(core, leader)
  core.outbox.send(transfer.to, { type: 'timeoutNow', term: core.term })
  if (transfer.resigns) leader.isOver = true
}
