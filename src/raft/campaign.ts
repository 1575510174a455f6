import type { NodeId } from '../lib/ids.js'
import type { RoleCause } from './api.js'
import type { CampaignState, RaftCore } from './core.js'
import { becomeLeader } from './leader.js'
import { isVoter, sameVoter, tally } from './quorum.js'
import { becomeFollower } from './transitions.js'
import type { RaftMessage } from './types.js'

type VoteRequest = Extract<RaftMessage, { type: 'preVote' | 'vote' }>
type VoteReply = Extract<RaftMessage, { type: 'preVoteReply' | 'voteReply' }>

/** Between two rounds of pre-votes after a refused dial: the other survivor may not have dialled yet. */
const RAPID_RETRY_MIN_MS = 50
const RAPID_RETRY_MAX_MS = 100

/** The election deadline passed, on a node that does not lead. */
export function onElectionTimeout(core: RaftCore): void {
  const { role } = core
  if (!core.mayCampaign) {
    // It waits for a leader for ever; only what it believed of the old one ends.
    if (core.leader !== undefined) becomeFollower(core, core.term, undefined, 'electionTimeout')
    core.resetElectionDeadline()
    return
  }
  if (role.type === 'preCandidate') {
    sendPreVotes(core, role)
    return
  }
  const cause = core.isLeaderDead ? core.deadCause : 'electionTimeout'
  const dead = core.isLeaderDead ? core.leader : undefined
  core.leader = undefined
  const { nowMs: startedMs } = core
  const campaign: CampaignState = { type: 'preCandidate', votes: new Map(), startedMs, cause, dead }
  core.role = campaign
  core.announce(cause)
  if (core.isAlone) {
    startElection(core, cause, core.nowMs)
    return
  }
  sendPreVotes(core, campaign)
}

/** KIP-996, Raft thesis §9.6: would I win? Asks under the next term and changes nothing that is persisted. */
function sendPreVotes(core: RaftCore, campaign: CampaignState): void {
  campaign.votes.clear()
  campaign.votes.set(core.self.nodeId, true)
  const { electionTimeoutMinMs } = core.timing
  core.electionDeadlineMs =
    core.nowMs +
    (core.nowMs < core.deadUntilMs
      ? core.between(RAPID_RETRY_MIN_MS, RAPID_RETRY_MAX_MS)
      : core.between(electionTimeoutMinMs / 2, electionTimeoutMinMs))
  askForVotes(core, 'preVote', false)
}

/** Raft §5.2. The requests leave once term and vote are durable, and only then does the node's own vote count. */
export function startElection(core: RaftCore, cause: RoleCause, startedMs: number, dead?: NodeId): void {
  core.enterTerm(core.term + 1, core.self)
  core.role = { type: 'candidate', votes: new Map(), startedMs, cause, dead }
  core.resetElectionDeadline()
  core.announce(cause === 'transfer' ? 'transfer' : 'preVoteWon')
  askForVotes(core, 'vote', cause === 'transfer')
}

function askForVotes(core: RaftCore, type: 'preVote' | 'vote', transfer: boolean): void {
  const term = type === 'preVote' ? core.term + 1 : core.term
  const { lastIndex, lastTerm } = core.log
  for (const voter of core.otherVoters()) {
    core.outbox.send(voter.nodeId, {
      type,
      term,
      candidate: core.self,
      voterDirectoryId: voter.directoryId,
      lastIndex,
      lastTerm,
      transfer,
      ...(type === 'preVote' && core.resigned !== undefined ? { resigned: core.resigned } : {}),
    })
  }
}

/** The candidate's own vote is on its disk. */
export function onHardStateDurable(core: RaftCore): void {
  const { role } = core
  if (role.type !== 'candidate' || role.votes.has(core.self.nodeId)) return
  role.votes.set(core.self.nodeId, true)
  countVotes(core, role)
}

export function onVoteReply(core: RaftCore, message: VoteReply): void {
  const { role } = core
  const awaited = message.type === 'preVoteReply' ? 'preCandidate' : 'candidate'
  if (role.type !== awaited) return
  // A vote names its voter's directory: what a wiped disk says counts for nothing (KIP-853).
  if (!isVoter(core.configuration, message.voter)) return
  if (role.votes.has(message.voter.nodeId)) return
  role.votes.set(message.voter.nodeId, message.granted)
  countVotes(core, role)
}

function countVotes(core: RaftCore, role: CampaignState): void {
  const result = tally(core.configuration, role.votes, role.dead)
  if (role.type === 'preCandidate') {
    // A refusal changes nothing: the next round asks again, and a live leader ends the waiting.
    if (result === 'won') startElection(core, role.cause, role.startedMs, role.dead)
    return
  }
  if (result === 'won') becomeLeader(core, role)
  else if (result === 'lost') {
    becomeFollower(core, core.term, undefined, 'electionLost')
    if (role.dead !== undefined && core.nowMs < core.deadUntilMs) {
      core.electionDeadlineMs = core.nowMs + core.between(RAPID_RETRY_MIN_MS, RAPID_RETRY_MAX_MS)
    }
  }
}

/** The asked side of both: pre-vote changes nothing here, a granted vote is durable before the answer leaves. */
export function onVoteRequest(core: RaftCore, message: VoteRequest): void {
  const preVote = message.type === 'preVote'
  const granted = preVote ? wouldVote(core, message) : mayVote(core, message)
  if (!preVote && granted) {
    if (core.vote === undefined) core.setVote(message.candidate)
    core.resetElectionDeadline()
  }
  const { term, self: voter } = core
  const to = message.candidate.nodeId
  if (preVote) core.outbox.send(to, { type: 'preVoteReply', term, voter, granted })
  else if (granted) core.outbox.sendDurable(to, { type: 'voteReply', term, voter, granted })
  else core.outbox.send(to, { type: 'voteReply', term, voter, granted })
}

function wouldVote(core: RaftCore, message: VoteRequest): boolean {
  return message.term > core.term && !core.isLeaderAlive && isEligible(core, message)
}

function mayVote(core: RaftCore, message: VoteRequest): boolean {
  if (message.term !== core.term || core.role.type === 'leader') return false
  if (core.leader !== undefined && core.leader !== message.candidate.nodeId) return false
  if (core.vote !== undefined && !sameVoter(core.vote, message.candidate)) return false
  return isEligible(core, message)
}

function isEligible(core: RaftCore, message: VoteRequest): boolean {
  // The candidate counts on the voter that lived in another directory: this one must not answer for it.
  if (message.voterDirectoryId !== core.self.directoryId) return false
  return core.log.isUpToDate(message.lastIndex, message.lastTerm)
}
