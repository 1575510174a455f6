import type { Resignation, RoleCause } from './api.js'
import type { RaftCore } from './core.js'
import { quorumContactMs } from './leader.js'
import type { LeaderState } from './leader-state.js'

/** What a leader knows of its own end better than those that it led. */
export interface LeadershipEnd {
  cause: RoleCause
  /** It gave its term up by itself. */
  resignation: Resignation | undefined
  /** Since when it could not commit, or took no proposals. */
  sinceMs: number
}

/** Before the leader's state is given up. */
export function leadershipEnd(core: RaftCore, leader: LeaderState, noticed: RoleCause): LeadershipEnd {
  const cause = causeOf(core, leader, noticed)
  const resignation = isResignation(cause) ? cause : undefined
  const sinceMs = Math.min(core.nowMs, Math.max(leader.startedMs, servedUntilMs(core, leader, cause)))
  return { cause, resignation, sinceMs }
}

/** A higher term, or too few answers, are but how a leader learns that it stood still, or that its successor stands. */
function causeOf(core: RaftCore, leader: LeaderState, noticed: RoleCause): RoleCause {
  if (noticed !== 'higherTerm' && noticed !== 'noQuorum') return noticed
  if (core.nowMs - leader.heartbeatDeadlineMs > core.timing.electionTimeoutMinMs) return 'stalled'
  return noticed === 'higherTerm' && leader.transfer?.sent === true ? 'transfer' : noticed
}

function servedUntilMs(core: RaftCore, leader: LeaderState, cause: RoleCause): number {
  switch (cause) {
    case 'stalled':
      return leader.heartbeatDeadlineMs - core.timing.heartbeatIntervalMs
    case 'diskStalled':
      return core.outbox.oldestPendingMs ?? core.nowMs
    case 'transfer':
    case 'configuration':
      return leader.transfer?.startedMs ?? core.nowMs
    default:
      return quorumContactMs(core, leader)
  }
}

const RESIGNATIONS: Record<Resignation, true> = { noQuorum: true, diskStalled: true, stalled: true }

export function isResignation(cause: string | undefined): cause is Resignation {
  return cause !== undefined && Object.hasOwn(RESIGNATIONS, cause)
}
