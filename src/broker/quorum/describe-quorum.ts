import type { DescribeQuorumReply, QuorumReplica } from '../../metadata/commands.js'
import type { Clock } from '../../ports/clock.js'
import type { PeerProgress, QuorumStatus } from './handle.js'

/** The quorum as its leader sees it. `status` is the leader's: nobody else knows the others' progress. */
export function describeQuorum(status: QuorumStatus, clock: Clock): DescribeQuorumReply {
  const nowMs = clock.wallMs()
  // Progress is measured by the monotonic clock; the protocol wants Unix time.
  const toWallMs = (monotonicMs: number): number =>
    monotonicMs < 0 ? -1 : Math.round(nowMs - (clock.monotonicMs() - monotonicMs))
  const replicaOf = ({ voter, matchIndex, lastContactMs, lastCaughtUpMs }: PeerProgress): QuorumReplica => ({
    replicaId: voter.nodeId,
    directoryId: voter.directoryId,
    logEndOffset: matchIndex + 1,
    lastFetchTimestampMs: toWallMs(lastContactMs),
    lastCaughtUpTimestampMs: toWallMs(lastCaughtUpMs),
  })
  const self: QuorumReplica = {
    replicaId: status.nodeId,
    directoryId: status.directoryId,
    logEndOffset: status.lastIndex + 1,
    lastFetchTimestampMs: nowMs,
    lastCaughtUpTimestampMs: nowMs,
  }
  const others = status.progress.filter(({ voter }) => voter.nodeId !== status.nodeId)
  const voters = [self, ...others.filter(({ isVoter }) => isVoter).map(replicaOf)]
  return {
    type: 'describeQuorum',
    leaderId: status.nodeId,
    leaderEpoch: status.term,
    highWatermark: status.commitIndex + 1,
    voters: voters.sort((a, b) => a.replicaId - b.replicaId),
    observers: others.filter(({ isVoter }) => !isVoter).map(replicaOf),
  }
}
