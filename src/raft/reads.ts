import type { RaftInput } from './api.js'
import type { RaftCore } from './core.js'
import { sendHeartbeats } from './leader.js'
import type { LeaderState } from './leader-state.js'
import { majorityValue } from './quorum.js'

/**
 * Read index (Raft thesis §6.4): remember the commit index, make sure by a round of heartbeats that no newer leader
 * existed when the request came, and answer. It rests on no lease and no clock.
 */
export function onReadIndex(core: RaftCore, input: Extract<RaftInput, { type: 'readIndex' }>): void {
  const { role, outbox } = core
  const { requestId } = input
  if (role.type !== 'leader') {
    outbox.effect({ type: 'readFailed', requestId, reason: 'notLeader' })
    return
  }
  if (role.reads.length >= core.limits.maxPendingReads) {
    outbox.effect({ type: 'readFailed', requestId, reason: 'busy' })
    return
  }
  const read = { requestId, context: 0, index: -1 }
  role.reads.push(read)
  releaseWaitingReads(core, role)
}

/** Reads that could not start: before its no-op has committed, a leader does not know what is committed. */
export function releaseWaitingReads(core: RaftCore, leader: LeaderState): void {
  if (core.commitIndex < leader.firstIndexOfTerm) return
  const waiting = leader.reads.filter((read) => read.index === -1)
  if (waiting.length === 0) return
  leader.readContext++
  for (const read of waiting) {
    read.context = leader.readContext
    read.index = core.commitIndex
  }
  sendHeartbeats(core, leader)
  confirmReads(core, leader)
}

/** Someone echoed a context: what a majority has echoed is confirmed, in order. */
export function confirmReads(core: RaftCore, leader: LeaderState): void {
  if (leader.reads.length === 0) return
  const echoed = core.configuration.voters.map((voter) => {
    if (voter.nodeId === core.self.nodeId) return leader.readContext
    const progress = leader.progress.get(voter.nodeId)
    return progress?.voter.directoryId === voter.directoryId ? progress.readContext : 0
  })
  const confirmed = majorityValue(echoed)
  while (leader.reads.length > 0) {
    const read = leader.reads[0]!
    if (read.index === -1 || read.context > confirmed) return
    leader.reads.shift()
    core.outbox.effect({ type: 'readReady', requestId: read.requestId, index: read.index })
  }
}
