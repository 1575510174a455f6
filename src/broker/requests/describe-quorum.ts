import { ErrorCode } from '../../wire/errors.js'
import {
  DescribeQuorum,
  type DescribeQuorumRequest,
  type DescribeQuorumResponse,
} from '../../wire/messages/describe-quorum.js'
import type { ApiHandler } from '../handler.js'
import type { PeerProgress, QuorumStatus } from '../quorum/handle.js'
import type { BrokerServices } from '../services.js'

const METADATA_TOPIC = '__cluster_metadata'

type ResponsePartition = DescribeQuorumResponse['topics'][number]['partitions'][number]
type ReplicaState = ResponsePartition['currentVoters'][number]

/**
 * DescribeQuorum, versions 0 to 2: the Raft quorum, as the one partition of `__cluster_metadata`.
 *
 * - Only the leader knows the others' progress. Kafka's brokers forward the request; here a broker that does not run
 *   the leader answers NOT_LEADER_OR_FOLLOWER, with the leader's id and term. Java's admin (and with it
 *   `kafka-metadata-quorum.sh --bootstrap-server`) takes that for retriable and asks another broker until it meets
 *   the leader; one that asks a single node asks the controller that Metadata names.
 * - Offsets are those of the Raft log: an end offset is the last index plus one.
 */
export function describeQuorumHandler(
  services: BrokerServices,
): ApiHandler<DescribeQuorumRequest, DescribeQuorumResponse> {
  return {
    api: DescribeQuorum,
    handle(request, _context, responder) {
      const status = services.quorum.status()
      responder.send({
        errorCode: ErrorCode.NONE,
        errorMessage: '',
        topics: request.topics.map(({ topicName, partitions }) => ({
          topicName,
          partitions: partitions.map(({ partitionIndex }) =>
            topicName === METADATA_TOPIC && partitionIndex === 0
              ? describe(services, status)
              : { ...unavailable(partitionIndex, status), errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION },
          ),
        })),
        nodes: services.config.voters.map(({ nodeId, host, port }) => ({
          nodeId,
          listeners: [{ name: services.config.controlListener.name, host, port }],
        })),
      })
    },
  }
}

function describe(services: BrokerServices, status: QuorumStatus): ResponsePartition {
  if (status.role !== 'leader') return unavailable(0, status)
  const { clock } = services
  const nowMs = clock.wallMs()
  // Progress is measured by the monotonic clock; the protocol wants Unix time.
  const toWallMs = (monotonicMs: number): number =>
    monotonicMs < 0 ? -1 : Math.round(nowMs - (clock.monotonicMs() - monotonicMs))
  const stateOf = ({ voter, matchIndex, lastContactMs, lastCaughtUpMs }: PeerProgress): ReplicaState => ({
    replicaId: voter.nodeId,
    replicaDirectoryId: voter.directoryId,
    logEndOffset: matchIndex + 1,
    lastFetchTimestamp: toWallMs(lastContactMs),
    lastCaughtUpTimestamp: toWallMs(lastCaughtUpMs),
  })
  const self: ReplicaState = {
    replicaId: status.nodeId,
    replicaDirectoryId: status.directoryId,
    logEndOffset: status.lastIndex + 1,
    lastFetchTimestamp: nowMs,
    lastCaughtUpTimestamp: nowMs,
  }
  const others = status.progress.filter(({ voter }) => voter.nodeId !== status.nodeId)
  const voters = [self, ...others.filter(({ isVoter }) => isVoter).map(stateOf)]
  return {
    partitionIndex: 0,
    errorCode: ErrorCode.NONE,
    errorMessage: '',
    leaderId: status.nodeId,
    leaderEpoch: status.term,
    highWatermark: status.commitIndex + 1,
    currentVoters: voters.sort((a, b) => a.replicaId - b.replicaId),
    observers: others.filter(({ isVoter }) => !isVoter).map(stateOf),
  }
}

function unavailable(partitionIndex: number, status: QuorumStatus): ResponsePartition {
  const leader = status.leader ?? -1
  return {
    partitionIndex,
    errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER,
    errorMessage:
      leader === -1 ? 'the quorum has no leader at present' : `ask broker ${leader}, which leads the quorum`,
    leaderId: leader,
    leaderEpoch: status.term,
    highWatermark: -1,
    currentVoters: [],
    observers: [],
  }
}
