import { ErrorCode } from '../../wire/errors.js'
import type { ControllerReply, CreatePartitions, NamedResult } from '../commands.js'
import { CommandError } from './command-error.js'
import { namedTwice, repeated } from './duplicates.js'
import { targetOf } from './reassignment.js'
import type { ControllerState } from './state.js'
import { emitPartition, PlacementBudget, validateReplicas } from './topics.js'

/** It may grow, as in Kafka, whose brokers take no exception to it either (KAFKA-14418 was not merged). */
const OFFSETS_TOPIC = '__consumer_offsets'

export function createPartitions(state: ControllerState, command: CreatePartitions): ControllerReply {
  const budget = new PlacementBudget(state)
  const isRepeated = repeated(command.topics, ({ name }) => name)
  const topics = command.topics.map((asked): NamedResult => {
    try {
      if (isRepeated(asked)) throw namedTwice(`topic ${asked.name}`)
      addPartitions(state, asked, budget, command.validateOnly)
      return { name: asked.name, errorCode: ErrorCode.NONE, errorMessage: '' }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      return { name: asked.name, errorCode: error.errorCode, errorMessage: error.message }
    }
  })
  return { type: 'createPartitions', topics }
}

function addPartitions(
  state: ControllerState,
  asked: CreatePartitions['topics'][number],
  budget: PlacementBudget,
  validateOnly: boolean,
): void {
  const topic = state.image.topicsByName.get(asked.name)
  if (topic === undefined) {
    throw new CommandError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${asked.name} does not exist`)
  }
  const present = topic.partitions.length
  const added = asked.count - present
  if (added <= 0) {
    const message = `topic ${asked.name} has ${present} partitions; the new total must be larger, not ${asked.count}`
    throw new CommandError(ErrorCode.INVALID_PARTITIONS, message)
  }
  if (asked.assignments.length > 0 && asked.assignments.length !== added) {
    const message = `${added} partitions are to be added, and ${asked.assignments.length} assignments are given`
    throw new CommandError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
  }
  budget.take(added)
  const factor = targetOf(topic.partitions[0]!).length
  if (factor > state.image.brokers.size) {
    const message = `topic ${asked.name} has ${factor} replicas, more than the ${state.image.brokers.size} brokers that are registered`
    throw new CommandError(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  }
  const assignments = Array.from(
    { length: added },
    (_, i) => asked.assignments[i]?.replicas ?? budget.place(factor),
  )
  assignments.forEach((replicas, i) => {
    validateReplicas(state, present + i, replicas, factor)
  })
  if (validateOnly) return
  if (topic.name === OFFSETS_TOPIC) {
    const { logger } = state
    logger.warn(
      { topic: topic.name, partitions: asked.count },
      'groups move to other partitions of it and lose sight of the offsets that they have committed',
    )
  }
  assignments.forEach((replicas, i) => {
    emitPartition(state, topic.id, present + i, replicas)
  })
}
