import { assert } from '../lib/assert.js'
import type { LogIndex, NodeId } from '../lib/ids.js'
import type { MembershipStatus, RaftInput } from './api.js'
import { noteConfiguration, type RaftCore } from './core.js'
import { appendEntry, handOver, hasRecentQuorum, maybeCommit, refreshProgress } from './leader.js'
import type { LeaderState } from './leader-state.js'
import type { MembershipChange, MembershipFailure } from './membership.js'
import type { Progress } from './progress.js'
import { isVoter, sameVoter } from './quorum.js'
import { confirmReads } from './reads.js'
import { replicate, replicateToAll } from './replication.js'
import type { Voter } from './types.js'

/** Bytes a millisecond. What needs longer than `catchUpStallMs` on such a link is waited for. */
const SLOWEST_LINK = 64

/** Of whom it is still told that they are no voters any more. The oldest is forgotten first. */
const MAX_DEPARTING = 8

/** The one change that a leader has under way (Raft thesis §4.1). */
export type PendingChange = CatchUp | Committing

/** Raft thesis §4.2.1: in each round the new voter gets what the log held when the round began. */
export interface CatchUp {
  stage: 'catchingUp'
  requestId: number
  change: MembershipChange
  nodeId: NodeId
  /** undefined: whatever it answers from (`promote`). */
  directoryId: string | undefined
  tellsWhenAppended: boolean
  startedMs: number
  deadlineMs: number
  /** What it had taken when it last took something, and when that was. */
  matchIndex: LogIndex
  snapshotOffset: number
  movedMs: number
  round: number
  roundTarget: LogIndex
  roundStartedMs: number
}

export interface Committing {
  stage: 'committing'
  requestId: number
  change: MembershipChange
  index: LogIndex
}

type ChangeInput = Extract<RaftInput, { type: 'changeMembership' }>

function fail(core: RaftCore, requestId: number, reason: MembershipFailure, message: string): void {
  core.outbox.effect({ type: 'membershipFailed', requestId, reason, message })
}

export function onChangeMembership(core: RaftCore, input: ChangeInput): void {
  const { role } = core
  const { requestId, change } = input
  const refuse = (reason: MembershipFailure, message: string): void => fail(core, requestId, reason, message)
  if (role.type !== 'leader') {
    const leader = core.leader === undefined ? 'nobody does at present' : `node ${core.leader} does`
    return refuse('notLeader', `node ${core.self.nodeId} does not lead the quorum: ${leader}`)
  }
  if (role.transfer !== undefined) {
    return refuse('transferring', `leadership is being handed to node ${role.transfer.to}: try again`)
  }
  if (role.membership !== undefined || core.log.configurationIndex > core.commitIndex) {
    return refuse('changeInProgress', 'another change of the voters is under way: try again when it is done')
  }
  // Two leaders could else change the same set in two ways that share no majority.
  if (core.commitIndex < role.firstIndexOfTerm) {
    return refuse('notReady', 'the leader is new and has not committed an entry of its term yet: try again')
  }
  switch (change.type) {
    case 'addVoter':
      return startAdding(core, role, input, change.voter.nodeId, change.voter.directoryId)
    case 'promote':
      if (!role.progress.has(change.nodeId) && change.nodeId !== core.self.nodeId) {
        return refuse('unknownLearner', `node ${change.nodeId} does not follow this quorum: start it first`)
      }
      return startAdding(core, role, input, change.nodeId, undefined)
    case 'removeVoter':
      return startRemoving(core, role, requestId, change)
  }
}

function startAdding(
  core: RaftCore,
  leader: LeaderState,
  input: ChangeInput,
  nodeId: NodeId,
  directoryId: string | undefined,
): void {
  const { requestId, change, catchUpTimeoutMs, tellsWhenAppended = false } = input
  const known = core.configuration.voters.find((voter) => voter.nodeId === nodeId)
  if (known !== undefined) {
    const isOther = directoryId !== undefined && directoryId !== known.directoryId
    const advice = isOther ? ' from another directory: remove that one first' : ''
    const message = `node ${nodeId} with directory ${known.directoryId} is a voter already${advice}`
    return fail(core, requestId, 'duplicateVoter', message)
  }
  leader.membership = {
    stage: 'catchingUp',
    requestId,
    change,
    nodeId,
    directoryId,
    tellsWhenAppended,
    startedMs: core.nowMs,
    deadlineMs: core.nowMs + catchUpTimeoutMs,
    matchIndex: 0,
    snapshotOffset: 0,
    movedMs: core.nowMs,
    round: 1,
    roundTarget: core.log.lastIndex,
    roundStartedMs: core.nowMs,
  }
  refreshProgress(core, leader)
  replicate(core, leader.progress.get(nodeId)!)
  continueCatchUp(core, leader)
}

function startRemoving(
  core: RaftCore,
  leader: LeaderState,
  requestId: number,
  change: Extract<MembershipChange, { type: 'removeVoter' }>,
): void {
  const { voter: leaving } = change
  const { voters } = core.configuration
  if (!isVoter(core.configuration, leaving)) {
    const known = voters.find((voter) => voter.nodeId === leaving.nodeId)
    const hint = known === undefined ? '' : `: its voter's directory is ${known.directoryId}`
    const message = `node ${leaving.nodeId} with directory ${leaving.directoryId} is not a voter${hint}`
    return fail(core, requestId, 'voterNotFound', message)
  }
  if (voters.length === 1) {
    return fail(
      core,
      requestId,
      'lastVoter',
      `node ${leaving.nodeId} is the only voter: add another one first`,
    )
  }
  if (change.onlyIfSilent === true && isAnswering(core, leader, leaving)) {
    const message = `node ${leaving.nodeId} with directory ${leaving.directoryId} answers: who has the same node.id needs another one, or that process must be stopped`
    return fail(core, requestId, 'voterAlive', message)
  }
  const remaining = voters.filter((voter) => !sameVoter(voter, leaving))
  if (!hasRecentQuorum(core, leader, remaining)) {
    const message = 'too few of the voters that would remain answer at present: bring them back first'
    return fail(core, requestId, 'noQuorum', message)
  }
  if (leaving.nodeId !== core.self.nodeId) noteDeparting(leader, leaving.nodeId, core.log.lastIndex + 1)
  appendConfiguration(core, leader, requestId, change, remaining)
}

/** Within an election time-out; a new leader grants each voter one. */
function isAnswering(core: RaftCore, leader: LeaderState, { nodeId, directoryId }: Voter): boolean {
  if (nodeId === core.self.nodeId) return true
  const lastContactMs = leader.progress.get(nodeId)?.lastContactFromMs(directoryId)
  return (
    lastContactMs !== undefined &&
    lastContactMs >= 0 &&
    core.nowMs - lastContactMs < core.timing.electionTimeoutMinMs
  )
}

/** The leader follows its own entry from the moment it is appended, like everybody (Raft §6). */
function appendConfiguration(
  core: RaftCore,
  leader: LeaderState,
  requestId: number,
  change: MembershipChange,
  voters: readonly Voter[],
): void {
  const { clusterId, lastIndex } = core.log
  assert(clusterId !== undefined, 'a leader knows its cluster')
  const index = lastIndex + 1
  const configuration = { voters: [...voters].sort((a, b) => a.nodeId - b.nodeId) }
  leader.membership = { stage: 'committing', requestId, change, index }
  appendEntry(core, leader, { type: 'configuration', term: core.term, index, configuration, clusterId })
  noteConfiguration(core)
  refreshProgress(core, leader)
  replicateToAll(core, leader)
  // A smaller majority may have what a larger one still lacked.
  maybeCommit(core, leader)
  confirmReads(core, leader)
}

/** After whatever the new voter said, and as time passes. */
export function continueCatchUp(core: RaftCore, leader: LeaderState): void {
  const { membership, progress } = leader
  if (membership?.stage !== 'catchingUp') return
  const joining = progress.get(membership.nodeId)
  assert(joining !== undefined, 'a voter that catches up is replicated to')
  const { requestId, nodeId, round, directoryId = joining.voter.directoryId } = membership
  const end = (reason: MembershipFailure, message: string): void => {
    endCatchUp(core, leader)
    fail(core, requestId, reason, message)
  }
  const isHeard = joining.lastContactMs >= membership.startedMs
  if (isHeard && joining.voter.directoryId !== directoryId) {
    return end('wrongDirectory', `node ${nodeId} answers from directory ${joining.voter.directoryId}`)
  }
  noteMoves(membership, joining, core.nowMs)
  const { electionTimeoutMinMs } = core.timing
  const isAlive = answersNow(core, joining)
  if (core.nowMs >= catchUpDeadlineMs(core, leader, membership)) {
    if (!isHeard)
      return end('unreachable', `node ${nodeId} did not answer: is it running, with this quorum's addresses?`)
    if (!isAlive) return end('unreachable', `node ${nodeId} answers no more: is it running?`)
    const lag = core.log.lastIndex - joining.matchIndex
    const stalledMs = core.nowMs - membership.movedMs
    const hint =
      stalledMs < core.timing.catchUpStallMs
        ? 'try again'
        : `it took nothing for ${stalledMs} ms: look at its disk and its log`
    return end('notCaughtUp', `node ${nodeId} still lags by ${lag} entries: ${hint}`)
  }
  const isWhole = joining.voter.directoryId !== '' && joining.voter.directoryId === directoryId
  if (!isAlive || !isWhole || joining.matchIndex < membership.roundTarget) return
  const isShort = core.nowMs - membership.roundStartedMs < electionTimeoutMinMs
  const isClose = core.log.lastIndex - joining.matchIndex <= core.limits.maxCatchUpLagEntries
  if (!isShort || !isClose) {
    if (round >= core.limits.maxCatchUpRounds) {
      return end(
        'notCaughtUp',
        `node ${nodeId} did not catch up in ${round} rounds: it is too slow for the load`,
      )
    }
    membership.round++
    membership.roundTarget = core.log.lastIndex
    membership.roundStartedMs = core.nowMs
    return
  }
  if (leader.transfer !== undefined) {
    return end('transferring', `leadership is being handed to node ${leader.transfer.to}: try again`)
  }
  const voters = [...core.configuration.voters, joining.voter]
  if (!hasRecentQuorum(core, leader, voters)) {
    return end('noQuorum', 'too few of the voters answer at present to take another one in: try again')
  }
  if (membership.tellsWhenAppended) {
    core.outbox.effect({ type: 'membershipAppended', requestId, index: core.log.lastIndex + 1 })
  }
  appendConfiguration(core, leader, requestId, membership.change, voters)
}

/** Replication goes on over whatever the node lacks, be it entries or a snapshot. */
function noteMoves(catchUp: CatchUp, { matchIndex, snapshotOffset }: Progress, nowMs: number): void {
  if (matchIndex === catchUp.matchIndex && snapshotOffset === catchUp.snapshotOffset) return
  catchUp.matchIndex = matchIndex
  catchUp.snapshotOffset = snapshotOffset
  catchUp.movedMs = nowMs
}

/** What is asked for ends with the patience of whoever asked; what makes no progress, sooner. */
export function catchUpDeadlineMs(core: RaftCore, leader: LeaderState, catchUp: CatchUp): number {
  const { deadlineMs, movedMs, nodeId } = catchUp
  return Math.min(deadlineMs, movedMs + stallMs(core, leader.progress.get(nodeId)!))
}

/** A large message takes its time on a slow link. */
function stallMs(core: RaftCore, joining: Progress): number {
  const { catchUpStallMs } = core.timing
  if (!answersNow(core, joining)) return catchUpStallMs
  return Math.max(catchUpStallMs, joining.chunkRetryMs, joining.awaitedBytes / SLOWEST_LINK)
}

function answersNow(core: RaftCore, { lastContactMs }: Progress): boolean {
  return lastContactMs >= 0 && core.nowMs - lastContactMs < core.timing.electionTimeoutMinMs
}

export function onCancelMembership(core: RaftCore, requestId: number): void {
  const { role } = core
  if (role.type !== 'leader' || role.membership?.stage !== 'catchingUp') return
  if (role.membership.requestId !== requestId) return
  endCatchUp(core, role)
  fail(core, requestId, 'cancelled', 'the change was called off before anything was appended')
}

function endCatchUp(core: RaftCore, leader: LeaderState): void {
  leader.membership = undefined
  refreshProgress(core, leader)
}

/** The commit index moved. A leader that is no voter any more has done its last duty (Raft thesis §4.2.2). */
export function onMembershipCommit(core: RaftCore, leader: LeaderState): void {
  const { membership } = leader
  if (membership?.stage === 'committing' && membership.index <= core.commitIndex) {
    leader.membership = undefined
    const { requestId, index } = membership
    core.outbox.effect({ type: 'membershipChanged', requestId, configuration: core.configuration, index })
  }
  if (!core.isVoter && core.log.configurationIndex <= core.commitIndex) handOver(core, leader)
}

/** The leadership is lost. */
export function abandonMembership(core: RaftCore, leader: LeaderState): void {
  const { membership } = leader
  if (membership === undefined) return
  const { requestId } = membership
  if (membership.stage === 'catchingUp') {
    fail(
      core,
      requestId,
      'notLeader',
      'the leadership was lost while the voter caught up: ask the new leader',
    )
    return
  }
  const message = `the leadership was lost before entry ${membership.index} was committed: look at the voters`
  fail(core, requestId, 'outcomeUnknown', message)
}

/**
 * Who was removed, or asks for a pre-vote and is no voter, is replicated to until it holds the entry at `index` that
 * tells it so: it would ask again and again.
 */
export function noteDeparting(leader: LeaderState, nodeId: NodeId, index: LogIndex): void {
  leader.departing.set(nodeId, index)
  for (const oldest of leader.departing.keys()) {
    if (leader.departing.size <= MAX_DEPARTING) return
    leader.departing.delete(oldest)
  }
}

/** A node that campaigns though no voter: it never heard of its removal. */
export function onStrangersCampaign(core: RaftCore, leader: LeaderState, nodeId: NodeId): void {
  if (leader.progress.has(nodeId) || nodeId === core.self.nodeId) return
  noteDeparting(leader, nodeId, core.log.configurationIndex)
  refreshProgress(core, leader)
  replicate(core, leader.progress.get(nodeId)!)
}

/** It holds the committed entry that removed it. */
export function forgetDeparted(core: RaftCore, leader: LeaderState, nodeId: NodeId): void {
  const index = leader.departing.get(nodeId)
  if (index === undefined || index > core.commitIndex) return
  if ((leader.progress.get(nodeId)?.matchIndex ?? 0) < index) return
  leader.departing.delete(nodeId)
  refreshProgress(core, leader)
}

export function membershipStatus(leader: LeaderState): MembershipStatus | undefined {
  const { membership } = leader
  if (membership === undefined) return undefined
  const { requestId, change, stage } = membership
  if (membership.stage === 'catchingUp')
    return { requestId, change, stage, round: membership.round, index: 0 }
  return { requestId, change, stage, round: 0, index: membership.index }
}
