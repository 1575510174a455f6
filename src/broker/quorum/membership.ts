import type { ControllerCommand, ControllerReply, QuorumCommand } from '../../metadata/commands.js'
import type { RaftInput } from '../../raft/api.js'
import type { MembershipChange, MembershipFailure } from '../../raft/membership.js'
import { ErrorCode } from '../../wire/errors.js'
import { failed } from './command-errors.js'
import type { MembershipResult } from './raft-driver.js'

export type MembershipCommand = Exclude<QuorumCommand, { type: 'describeQuorum' }>

export function isMembershipCommand(command: ControllerCommand): command is MembershipCommand {
  return command.type === 'addVoter' || command.type === 'removeVoter' || command.type === 'promoteVoter'
}

/** Kafka's codes (KIP-853); what may be tried again has one that its clients try again. */
const CODES: Record<MembershipFailure, number> = {
  notLeader: ErrorCode.NOT_CONTROLLER,
  outcomeUnknown: ErrorCode.NOT_CONTROLLER,
  transferring: ErrorCode.REQUEST_TIMED_OUT,
  notReady: ErrorCode.REQUEST_TIMED_OUT,
  changeInProgress: ErrorCode.REQUEST_TIMED_OUT,
  notCaughtUp: ErrorCode.REQUEST_TIMED_OUT,
  unreachable: ErrorCode.REQUEST_TIMED_OUT,
  noQuorum: ErrorCode.REQUEST_TIMED_OUT,
  voterAlive: ErrorCode.REQUEST_TIMED_OUT,
  cancelled: ErrorCode.REQUEST_TIMED_OUT,
  duplicateVoter: ErrorCode.DUPLICATE_VOTER,
  voterNotFound: ErrorCode.VOTER_NOT_FOUND,
  wrongDirectory: ErrorCode.INVALID_VOTER_KEY,
  unknownLearner: ErrorCode.INVALID_REQUEST,
  lastVoter: ErrorCode.INVALID_REQUEST,
}

/** Of what the caller waits, for the answer's way back: at most so much, and at most a fifth. */
const MAX_ANSWER_MS = 500
const ANSWER_SHARE = 0.2

interface Waiting {
  command: MembershipCommand['type']
  done: (reply: ControllerReply) => void
}

/** The leader's side of changes of the voter set: commands in, Raft's answers out. Raft takes one change at a time. */
export class Membership {
  private readonly waiting = new Map<number, Waiting>()
  private nextRequestId = 1

  constructor(private readonly input: (input: RaftInput) => void) {}

  /**
   * `timeoutMs`: what the caller still waits. A voter that has not caught up shortly before is not added, and the caller
   * hears why. Returns what calls it off where the caller is gone; a configuration that is appended stays.
   */
  change(command: MembershipCommand, timeoutMs: number, done: (reply: ControllerReply) => void): () => void {
    const requestId = this.nextRequestId++
    this.waiting.set(requestId, { command: command.type, done })
    this.input({
      type: 'changeMembership',
      requestId,
      change: changeOf(command),
      catchUpTimeoutMs: timeoutMs - Math.min(MAX_ANSWER_MS, timeoutMs * ANSWER_SHARE),
      tellsWhenAppended: command.type === 'addVoter' && command.ackWhenCommitted === false,
    })
    return () => this.input({ type: 'cancelMembership', requestId })
  }

  onResult(result: MembershipResult): void {
    const waiting = this.waiting.get(result.requestId)
    if (waiting === undefined) return
    this.waiting.delete(result.requestId)
    const { command, done } = waiting
    if (result.type !== 'membershipFailed') {
      done({ type: command, errorCode: ErrorCode.NONE, errorMessage: '' })
      return
    }
    const { reason, message } = result
    if (CODES[reason] === ErrorCode.NOT_CONTROLLER) done(failed('notController', message))
    else done({ type: command, errorCode: CODES[reason], errorMessage: message })
  }
}

function changeOf(command: MembershipCommand): MembershipChange {
  const { nodeId } = command
  if (command.type === 'promoteVoter') return { type: 'promote', nodeId }
  const voter = { nodeId, directoryId: command.directoryId }
  if (command.type === 'addVoter') return { type: 'addVoter', voter }
  return { type: 'removeVoter', voter, onlyIfSilent: command.onlyIfSilent }
}
