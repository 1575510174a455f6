import type { LogIndex, NodeId } from '../lib/ids.js'
import type { PendingChange } from './membership-change.js'
import type { Progress } from './progress.js'

/** What only a leader holds; gone with its leadership. */
export interface LeaderState {
  type: 'leader'
  /** Everyone to replicate to but itself, by node id, voters first. */
  progress: Map<NodeId, Progress>
  /** Its no-op: nothing is known to be committed, and nothing is read, before it has committed (Raft §8). */
  firstIndexOfTerm: LogIndex
  startedMs: number
  heartbeatDeadlineMs: number
  uncommittedBytes: number
  transfer: Transfer | undefined
  /** The newest read context handed out; heartbeats carry it. */
  readContext: number
  reads: PendingRead[]
  /** One at a time. */
  membership: PendingChange | undefined
  /** Who is to hear that it is no voter, with the index of the configuration that says so. */
  departing: Map<NodeId, LogIndex>
  /** It was removed and has asked its successor to stand: it follows at the end of the step. */
  isOver: boolean
}

export interface Transfer {
  to: NodeId
  /** No proposals are taken from then on. */
  startedMs: number
  deadlineMs: number
  /** timeoutNow is out. */
  sent: boolean
  /** The leader is no voter any more: it steps down as soon as its successor was asked, or the time is up. */
  resigns: boolean
}

/** Confirmed when a majority has echoed `context` or a later one; index -1 while the no-op has not committed. */
export interface PendingRead {
  requestId: number
  context: number
  index: LogIndex
}
