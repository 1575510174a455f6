import { NO_NODE } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import type { AlterPartition, AlterPartitionResult, AlterPartitions, ControllerReply } from '../commands.js'
import type { PartitionImage, TopicImage } from '../image.js'
import type { ControllerState } from './state.js'

/** ISR changes that leaders ask for: compare-and-set on the leader epoch and the partition epoch (KIP-497, KIP-841, KIP-903). */
export function alterPartitions(state: ControllerState, command: AlterPartitions): ControllerReply {
  const broker = state.image.brokers.get(command.brokerId)
  if (broker?.epoch !== command.brokerEpoch) {
    return { type: 'alterPartitions', errorCode: ErrorCode.STALE_BROKER_EPOCH, partitions: [] }
  }
  if (command.appliedIndex !== undefined) state.sessions.applied(command.brokerId, command.appliedIndex)
  // It has not applied the present minimum ISR yet: it asks again, and has by then.
  if (!state.sessions.knowsMinIsr(command.brokerId)) {
    return { type: 'alterPartitions', errorCode: ErrorCode.REQUEST_TIMED_OUT, partitions: [] }
  }
  const partitions = command.partitions.map((asked) => alterPartition(state, command.brokerId, asked))
  return { type: 'alterPartitions', errorCode: ErrorCode.NONE, partitions }
}

function alterPartition(
  state: ControllerState,
  brokerId: number,
  asked: AlterPartition,
): AlterPartitionResult {
  const topic = state.image.topicsById.get(asked.topicId)
  state.evictFenced(topic, asked.partitionId)
  const partition =
    topic === undefined ? undefined : state.image.topicsById.get(topic.id)?.partitions[asked.partitionId]
  if (topic === undefined || partition === undefined) {
    return result(asked, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, undefined)
  }
  if (isRepeated(brokerId, asked, partition)) return result(asked, ErrorCode.NONE, partition)
  const errorCode = refusal(state, brokerId, asked, partition)
  if (errorCode !== ErrorCode.NONE) return result(asked, errorCode, partition)
  state.change(topic, asked.partitionId, {
    isr: targetIsr(state, brokerId, topic, partition, asked),
    leaderRecovering: asked.leaderRecovering,
  })
  const now = state.partition(topic, asked.partitionId)
  // The end of a reassignment may begin a new leader epoch under the same leader: it learns of it from the metadata.
  const isSameLeadership = now.leader === brokerId && now.leaderEpoch === asked.leaderEpoch
  return result(asked, isSameLeadership ? ErrorCode.NONE : ErrorCode.NEW_LEADER_ELECTED, now)
}

/** Its reply was lost, and it is asked again with the epoch of before: the success stands (KAFKA-14144). */
function isRepeated(brokerId: number, asked: AlterPartition, partition: PartitionImage): boolean {
  return (
    partition.leader === brokerId &&
    asked.leaderEpoch === partition.leaderEpoch &&
    asked.partitionEpoch <= partition.partitionEpoch &&
    asked.leaderRecovering === partition.leaderRecovering &&
    asked.newIsr.length === partition.isr.length &&
    asked.newIsr.every((member) => partition.isr.includes(member.brokerId))
  )
}

function refusal(
  state: ControllerState,
  brokerId: number,
  asked: AlterPartition,
  partition: PartitionImage,
): number {
  // Only a controller that has been replaced can be behind a leader.
  const isAhead = asked.leaderEpoch > partition.leaderEpoch || asked.partitionEpoch > partition.partitionEpoch
  if (isAhead) return ErrorCode.NOT_CONTROLLER
  if (asked.leaderEpoch < partition.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH
  if (partition.leader !== brokerId) return ErrorCode.INVALID_REQUEST
  if (asked.partitionEpoch < partition.partitionEpoch) return ErrorCode.INVALID_UPDATE_VERSION
  const members = asked.newIsr.map((member) => member.brokerId)
  const wellFormed =
    members.includes(brokerId) &&
    new Set(members).size === members.length &&
    members.every((member) => partition.replicas.includes(member))
  if (!wellFormed) return ErrorCode.INVALID_REQUEST
  // A recovering leader is alone until it says that it has recovered, and never recovers twice.
  if (asked.leaderRecovering && (!partition.leaderRecovering || members.length > 1))
    return ErrorCode.INVALID_REQUEST
  return asked.newIsr.every((member) => isEligible(state, member, partition))
    ? ErrorCode.NONE
    : ErrorCode.INELIGIBLE_REPLICA
}

/** KIP-841, KIP-903. A shutting-down leader that nobody could follow may still let others in, and then goes. */
function isEligible(
  state: ControllerState,
  member: AlterPartition['newIsr'][number],
  partition: PartitionImage,
): boolean {
  const broker = state.image.brokers.get(member.brokerId)
  if (broker === undefined || broker.fenced || broker.epoch !== member.brokerEpoch) return false
  return !broker.inControlledShutdown || partition.isr.includes(member.brokerId)
}

/** In the order of the replicas. A leader that is shutting down leaves as soon as another member can lead. */
function targetIsr(
  state: ControllerState,
  brokerId: number,
  topic: TopicImage,
  partition: PartitionImage,
  asked: AlterPartition,
): number[] {
  const isr = partition.replicas.filter((node) => asked.newIsr.some((member) => member.brokerId === node))
  if (state.isActive(brokerId)) return isr
  const others = isr.filter((node) => node !== brokerId)
  if (!others.some((node) => state.isActive(node))) return isr
  state.logger.info(
    { topic: topic.name, partition: asked.partitionId, broker: brokerId },
    'leadership moved: shutting down',
  )
  return others
}

function result(
  asked: AlterPartition,
  errorCode: number,
  partition: PartitionImage | undefined,
): AlterPartitionResult {
  return {
    topicId: asked.topicId,
    partitionId: asked.partitionId,
    errorCode,
    leader: partition?.leader ?? NO_NODE,
    leaderEpoch: partition?.leaderEpoch ?? -1,
    isr: [...(partition?.isr ?? [])],
    partitionEpoch: partition?.partitionEpoch ?? -1,
    leaderRecovering: partition?.leaderRecovering ?? false,
  }
}
