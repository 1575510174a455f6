import type { DescribeQuorumReply, QuorumReplica } from '../../metadata/commands.js'
import type { Clock } from '../../ports/clock.js'
import type { Voter } from '../../raft/types.js'
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
  const known = status.progress.filter(({ voter }) => voter.nodeId !== status.nodeId)
  const replicas = [self, ...known.map(replicaOf)]
  const isSame = (replica: QuorumReplica, { nodeId, directoryId }: Voter): boolean =>
    replica.replicaId === nodeId && replica.directoryId === directoryId
  // A voter whose disk was wiped is still one, and nobody answers for it: the node is an observer from another directory.
  const voters = status.voters.map(
    (voter) => replicas.find((replica) => isSame(replica, voter)) ?? lost(voter),
  )
  const isObserver = (replica: QuorumReplica): boolean =>
    replica.directoryId !== '' && !status.voters.some((voter) => isSame(replica, voter))
  return {
    type: 'describeQuorum',
    leaderId: status.nodeId,
    leaderEpoch: status.term,
    highWatermark: status.commitIndex + 1,
    voters: voters.sort((a, b) => a.replicaId - b.replicaId),
    observers: replicas.filter(isObserver).sort((a, b) => a.replicaId - b.replicaId),
  }
}

function lost({ nodeId, directoryId }: Voter): QuorumReplica {
  return {
    replicaId: nodeId,
    directoryId,
    logEndOffset: -1,
    lastFetchTimestampMs: -1,
    lastCaughtUpTimestampMs: -1,
  }
}
