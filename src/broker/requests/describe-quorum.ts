import type { QuorumReplica } from '../../metadata/commands.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  DescribeQuorum,
  type DescribeQuorumRequest,
  type DescribeQuorumResponse,
} from '../../wire/messages/describe-quorum.js'
import type { ApiHandler } from '../handler.js'
import type { PeerAddress } from '../peer-message.js'
import type { BrokerServices } from '../services.js'
import { forward } from './admin.js'

const METADATA_TOPIC = '__cluster_metadata'
/** The inspecting commands ask with this; a leader that is gone without a word must not hold them up. */
const TIMEOUT_MS = 1_000

type ResponsePartition = DescribeQuorumResponse['topics'][number]['partitions'][number]
type ReplicaState = ResponsePartition['currentVoters'][number]

/**
 * DescribeQuorum, versions 0 to 2: the Raft quorum, as the one partition of `__cluster_metadata`.
 *
 * - Only the leader knows the others' progress, so the request is forwarded to it: Java's admin client repeats a
 *   retriable error to the very broker that it is connected to, and would never meet the leader by itself.
 * - Without a leader: NOT_LEADER_OR_FOLLOWER, which may be tried again. The nodes' addresses are told all the same.
 * - Offsets are those of the Raft log: an end offset is the last index plus one.
 */
export function describeQuorumHandler(
  services: BrokerServices,
): ApiHandler<DescribeQuorumRequest, DescribeQuorumResponse> {
  return {
    api: DescribeQuorum,
    handle(request, context, responder) {
      const answer = (metadata: ResponsePartition): void => {
        responder.send({
          errorCode: ErrorCode.NONE,
          errorMessage: '',
          topics: request.topics.map(({ topicName, partitions }) => ({
            topicName,
            partitions: partitions.map(({ partitionIndex }) =>
              topicName === METADATA_TOPIC && partitionIndex === 0 ? metadata : unknown(partitionIndex),
            ),
          })),
          nodes: controlAddresses(services).map(({ nodeId, host, port }) => ({
            nodeId,
            listeners: [{ name: services.config.controlListener.name, host, port }],
          })),
        })
      }
      const { leader } = services.quorum.status()
      if (leader === undefined) return answer(unavailable(services, 'the quorum has no leader at present'))
      forward(services, { type: 'describeQuorum' }, context, TIMEOUT_MS, (reply) => {
        if (reply.type === 'failed') {
          return answer(unavailable(services, `node ${leader}, which led the quorum: ${reply.errorMessage}`))
        }
        const { leaderId, leaderEpoch, highWatermark, voters, observers } = reply
        answer({
          partitionIndex: 0,
          errorCode: ErrorCode.NONE,
          errorMessage: '',
          leaderId,
          leaderEpoch,
          highWatermark,
          currentVoters: voters.map(stateOf),
          observers: observers.map(stateOf),
        })
      })
    },
  }
}

/** Of every node that this one knows: its peers, and the registered brokers. By id. */
function controlAddresses(services: BrokerServices): PeerAddress[] {
  const known = new Map(services.quorum.status().addresses.map((address) => [address.nodeId, address]))
  for (const { id: nodeId, controlEndpoint } of services.metadata.image.brokers.values()) {
    if (controlEndpoint === undefined || known.has(nodeId)) continue
    known.set(nodeId, { nodeId, host: controlEndpoint.host, port: controlEndpoint.port })
  }
  return [...known.values()].sort((a, b) => a.nodeId - b.nodeId)
}

function stateOf(replica: QuorumReplica): ReplicaState {
  return {
    replicaId: replica.replicaId,
    replicaDirectoryId: replica.directoryId,
    logEndOffset: replica.logEndOffset,
    lastFetchTimestamp: replica.lastFetchTimestampMs,
    lastCaughtUpTimestamp: replica.lastCaughtUpTimestampMs,
  }
}

function unavailable(services: BrokerServices, errorMessage: string): ResponsePartition {
  const { leader, term } = services.quorum.status()
  return withoutQuorum(0, ErrorCode.NOT_LEADER_OR_FOLLOWER, errorMessage, leader ?? -1, term)
}

function unknown(partitionIndex: number): ResponsePartition {
  const errorMessage = `only partition 0 of ${METADATA_TOPIC} is replicated by the quorum`
  return withoutQuorum(partitionIndex, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage, -1, -1)
}

function withoutQuorum(
  partitionIndex: number,
  errorCode: number,
  errorMessage: string,
  leaderId: number,
  leaderEpoch: number,
): ResponsePartition {
  return {
    partitionIndex,
    errorCode,
    errorMessage,
    leaderId,
    leaderEpoch,
    highWatermark: -1,
    currentVoters: [],
    observers: [],
  }
}
