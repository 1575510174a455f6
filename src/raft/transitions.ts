import { assert } from '../lib/assert.js'
import type { NodeId, Term } from '../lib/ids.js'
import type { RoleCause } from './api.js'
import type { RaftCore } from './core.js'
import { leadershipEnd } from './leadership-end.js'
import { abandonMembership } from './membership-change.js'

/**
 * Every way back to following passes here. A higher term is entered; a leader gives up what it held. `leader` is
 * whom this node knows to lead that term.
 */
export function becomeFollower(
  core: RaftCore,
  term: Term,
  leader: NodeId | undefined,
  cause: RoleCause,
): void {
  assert(term >= core.term, 'nobody follows an older term')
  const was = core.role
  const isNewTerm = term > core.term
  const end = was.type === 'leader' ? leadershipEnd(core, was, cause) : undefined
  if (isNewTerm) core.enterTerm(term, undefined)
  core.role = { type: 'follower' }
  core.leader = leader
  // Only who learned of a live leader, or was one, starts a new wait: a term alone must not postpone an election.
  if (was.type !== 'follower' || leader !== undefined) core.resetElectionDeadline()
  if (leader !== undefined) core.lastLeaderContactMs = core.nowMs
  if (was.type === 'leader') {
    if (!isNewTerm) core.resigned = end!.resignation
    for (const read of was.reads) {
      core.outbox.effect({ type: 'readFailed', requestId: read.requestId, reason: 'notLeader' })
    }
    if (was.transfer !== undefined) {
      core.outbox.effect({
        type: 'transferEnded',
        to: was.transfer.to,
        done: was.transfer.sent && (isNewTerm || was.transfer.resigns),
      })
    }
    abandonMembership(core, was)
  }
  if (end === undefined) core.announce(cause)
  else core.announce(end.cause, { sinceMs: end.sinceMs })
}
