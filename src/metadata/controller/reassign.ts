import type { NodeId } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import type { AlterPartitionReassignments, ControllerReply, ReassignmentResult } from '../commands.js'
import type { PartitionImage, TopicImage } from '../image.js'
import { CommandError } from './command-error.js'
import {
  dropRefusal,
  isMoving,
  planCancel,
  planCompletion,
  planMove,
  type ReplicaPlan,
  targetOf,
  withPlan,
} from './reassignment.js'
import type { ControllerState } from './state.js'
import { MAX_PARTITIONS_PER_COMMAND } from './topics.js'

type Asked = AlterPartitionReassignments['partitions'][number]

/** KIP-455: begins, replaces and cancels moves of replicas. Each partition is answered by itself. */
export function alterPartitionReassignments(
  state: ControllerState,
  command: AlterPartitionReassignments,
): ControllerReply {
  if (command.partitions.length > MAX_PARTITIONS_PER_COMMAND) {
    const errorMessage = `one request may reassign at most ${MAX_PARTITIONS_PER_COMMAND} partitions: ask in several requests`
    return { type: 'failed', errorCode: ErrorCode.INVALID_REQUEST, errorMessage }
  }
  const partitions = command.partitions.map((asked): ReassignmentResult => {
    const { topic, partitionId } = asked
    try {
      reassign(state, asked, command.allowReplicationFactorChange)
      return { topic, partitionId, errorCode: ErrorCode.NONE, errorMessage: '' }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      return { topic, partitionId, errorCode: error.errorCode, errorMessage: error.message }
    }
  })
  return { type: 'alterPartitionReassignments', partitions }
}

function reassign(state: ControllerState, asked: Asked, allowReplicationFactorChange: boolean): void {
  const { partitionId } = asked
  state.evictFenced(state.image.topicsByName.get(asked.topic), partitionId)
  const topic = state.image.topicsByName.get(asked.topic)
  const partition = topic?.partitions[partitionId]
  if (topic === undefined || partition === undefined) {
    const message = `partition ${asked.topic}-${partitionId} does not exist`
    throw new CommandError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
  }
  if (asked.replicas === undefined) {
    if (!isMoving(partition)) {
      const message = `partition ${asked.topic}-${partitionId} is not being reassigned`
      throw new CommandError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, message)
    }
    follow(state, topic, partitionId, partition, planCancel(partition))
    return
  }
  const target = asked.replicas.nodes
  validateTarget(state, partitionId, target)
  const factor = targetOf(partition).length
  if (!allowReplicationFactorChange && target.length !== factor) {
    const message = `partition ${partitionId}: it would have ${target.length} replicas instead of ${factor}, and the request does not allow the replication factor to change`
    throw new CommandError(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  }
  follow(state, topic, partitionId, partition, planMove(partition, target))
}

/** As it may be completed at once, where nothing is added. A plan that is being followed already changes nothing. */
function follow(
  state: ControllerState,
  topic: TopicImage,
  partitionId: number,
  partition: PartitionImage,
  asked: ReplicaPlan,
): void {
  const rules = state.moveRules(topic)
  const refusal = dropRefusal(partition, asked, rules)
  if (refusal !== undefined) {
    throw new CommandError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, `partition ${partitionId}: ${refusal}`)
  }
  const begun = withPlan(partition, asked, () => undefined)
  const plan = planCompletion(begun, begun.isr, rules) ?? asked
  if (isSamePlan(partition, plan)) return
  state.changeReplicas(topic, partitionId, plan, {})
  const { replicas, addingReplicas, removingReplicas } = plan
  state.logger.info(
    { topic: topic.name, partition: partitionId, replicas, addingReplicas, removingReplicas },
    'replicas reassigned',
  )
}

/** Brokers that are down are allowed, as in Kafka: the move then takes until they are back. */
function validateTarget(state: ControllerState, partitionId: number, target: readonly NodeId[]): void {
  const refuse = (why: string): never => {
    throw new CommandError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, `partition ${partitionId}: ${why}`)
  }
  if (target.length === 0) refuse('the list of replicas is empty')
  if (new Set(target).size !== target.length) refuse('a broker is named twice')
  for (const id of target) if (!state.image.brokers.has(id)) refuse(`broker ${id} is not registered`)
}

function isSamePlan(partition: PartitionImage, plan: ReplicaPlan): boolean {
  return (
    sameNodes(partition.replicas, plan.replicas) &&
    sameNodes(partition.addingReplicas, plan.addingReplicas) &&
    sameNodes(partition.removingReplicas, plan.removingReplicas)
  )
}

function sameNodes(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((node, i) => node === b[i])
}
