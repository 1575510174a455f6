import { NO_NODE, type NodeId, type Uuid, ZERO_UUID } from '../../lib/ids.js'
import { randomUuid } from '../../lib/prng.js'
import { ErrorCode } from '../../wire/errors.js'
import type {
  ControllerReply,
  CreateTopicResult,
  CreateTopics,
  DeleteTopicResult,
  DeleteTopics,
  NewTopic,
} from '../commands.js'
import { validateConfig } from '../config/definitions.js'
import { TOPIC_CONFIGS } from '../config/topic-definitions.js'
import type { TopicImage } from '../image.js'
import { Placement } from '../placement.js'
import { collisionKey, invalidTopicName } from '../topic-names.js'
import { unknownTopicKey } from './alter-configs.js'
import { CommandError } from './command-error.js'
import { namedTwice, repeated } from './duplicates.js'
import type { ControllerState } from './state.js'

/** A limit on what one command may put into one batch. */
export const MAX_PARTITIONS_PER_COMMAND = 10_000

/** What one command shares between its topics. */
export class PlacementBudget {
  private placement: Placement | undefined
  private partitions = 0

  constructor(private readonly state: ControllerState) {}

  place(replicationFactor: number): NodeId[] {
    this.placement ??= new Placement(this.state.image, this.state.topicIndex, this.state.random)
    return this.placement.place(replicationFactor)
  }

  take(partitions: number): void {
    this.partitions += partitions
    if (this.partitions <= MAX_PARTITIONS_PER_COMMAND) return
    const message = `one request may create at most ${MAX_PARTITIONS_PER_COMMAND} partitions: ask in several requests`
    throw new CommandError(ErrorCode.INVALID_PARTITIONS, message)
  }
}

export function createTopics(state: ControllerState, command: CreateTopics): ControllerReply {
  const budget = new PlacementBudget(state)
  const isRepeated = repeated(command.topics, ({ name }) => name)
  const topics = command.topics.map((topic): CreateTopicResult => {
    try {
      if (isRepeated(topic)) throw namedTwice(`topic ${topic.name}`)
      return createTopic(state, topic, budget, command.validateOnly)
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      return {
        name: topic.name,
        errorCode: error.errorCode,
        errorMessage: error.message,
        topicId: ZERO_UUID,
        numPartitions: -1,
        replicationFactor: -1,
      }
    }
  })
  return { type: 'createTopics', topics }
}

function createTopic(
  state: ControllerState,
  topic: NewTopic,
  budget: PlacementBudget,
  validateOnly: boolean,
): CreateTopicResult {
  validateName(state, topic.name)
  validateConfigs(topic)
  state.chargeConfigs(
    topic.name,
    topic.configs.map(({ name, value }) => [name, value]),
  )
  const assignments =
    topic.assignments.length > 0 ? manualAssignments(state, topic) : placed(state, topic, budget)
  budget.take(topic.assignments.length)
  const topicId = validateOnly ? ZERO_UUID : randomUuid(state.random)
  if (!validateOnly) {
    state.emit({ type: 'topicRecord', name: topic.name, topicId })
    for (const { name, value } of topic.configs) {
      if (value === undefined) continue
      state.emit({ type: 'configRecord', resourceType: 'topic', resourceName: topic.name, name, value })
    }
    assignments.forEach((replicas, partitionId) => {
      emitPartition(state, topicId, partitionId, replicas)
    })
  }
  return {
    name: topic.name,
    errorCode: ErrorCode.NONE,
    errorMessage: '',
    topicId,
    numPartitions: assignments.length,
    replicationFactor: assignments[0]!.length,
  }
}

function validateName(state: ControllerState, name: string): void {
  const invalid = invalidTopicName(name)
  if (invalid !== undefined) throw new CommandError(ErrorCode.INVALID_TOPIC_EXCEPTION, invalid)
  if (state.image.topicsByName.has(name)) {
    throw new CommandError(ErrorCode.TOPIC_ALREADY_EXISTS, `topic ${name} already exists`)
  }
  const collision = state.topicIndex.collisions.get(collisionKey(name))
  if (collision === undefined) return
  const message = `topic ${name} collides with ${collision}: '.' and '_' count as the same character`
  throw new CommandError(ErrorCode.INVALID_TOPIC_EXCEPTION, message)
}

function validateConfigs(topic: NewTopic): void {
  for (const { name, value } of topic.configs) {
    const definition = TOPIC_CONFIGS.get(name)
    if (definition === undefined) throw new CommandError(ErrorCode.INVALID_CONFIG, unknownTopicKey(name))
    if (value === undefined) throw new CommandError(ErrorCode.INVALID_CONFIG, `${name} has no value`)
    const violation = validateConfig(definition, value)
    if (violation !== undefined) throw new CommandError(ErrorCode.INVALID_CONFIG, violation)
  }
}

function placed(state: ControllerState, topic: NewTopic, budget: PlacementBudget): NodeId[][] {
  const numPartitions = topic.numPartitions === -1 ? state.configs.int('num.partitions') : topic.numPartitions
  if (numPartitions < 1) {
    const message = `numPartitions is ${numPartitions}; it must be at least 1, or -1 for the default`
    throw new CommandError(ErrorCode.INVALID_PARTITIONS, message)
  }
  const replicationFactor = chosenReplicationFactor(state, topic.replicationFactor)
  if (![...state.image.brokers.keys()].some((id) => state.isActive(id))) throw noBrokerIsUp()
  budget.take(numPartitions)
  return Array.from({ length: numPartitions }, () => budget.place(replicationFactor))
}

/**
 * While the brokers that the default needs are still on their way (a cluster that starts), the answer is
 * BROKER_NOT_AVAILABLE: no client retries any per-topic code of CreateTopics by itself (Java's admin retries
 * NOT_CONTROLLER alone, kafkajs and librdkafka nothing), so the broker that asked waits and asks again within the
 * client's time-out, and tells it REQUEST_TIMED_OUT, which all of them know as retriable.
 */
function chosenReplicationFactor(state: ControllerState, asked: number): number {
  const registered = state.image.brokers.size
  if (asked === -1) {
    const factor = state.configs.int('default.replication.factor')
    if (factor <= registered) return factor
    const message = `default.replication.factor is ${factor}, and ${registered} brokers have registered so far: try again`
    throw new CommandError(ErrorCode.BROKER_NOT_AVAILABLE, message)
  }
  if (asked < 1 || asked > 32_767) {
    const message = `replicationFactor is ${asked}; it must be at least 1, or -1 for the default`
    throw new CommandError(ErrorCode.INVALID_REPLICATION_FACTOR, message)
  }
  if (asked <= registered) return asked
  const message = `replicationFactor is ${asked}, larger than the ${registered} brokers that are registered`
  throw new CommandError(ErrorCode.INVALID_REPLICATION_FACTOR, message)
}

function noBrokerIsUp(): CommandError {
  return new CommandError(
    ErrorCode.BROKER_NOT_AVAILABLE,
    'no broker is up that could lead a new partition: try again',
  )
}

function manualAssignments(state: ControllerState, topic: NewTopic): NodeId[][] {
  if (topic.numPartitions !== -1 || topic.replicationFactor !== -1) {
    const message = 'where assignments are given, numPartitions and replicationFactor must be -1'
    throw new CommandError(ErrorCode.INVALID_REQUEST, message)
  }
  const sorted = topic.assignments.toSorted((a, b) => a.partitionId - b.partitionId)
  const factor = sorted[0]!.replicas.length
  return sorted.map(({ partitionId, replicas }, i) => {
    if (partitionId !== i) {
      const message = `assignments must name the partitions 0 to ${sorted.length - 1} once each`
      throw new CommandError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, message)
    }
    validateReplicas(state, partitionId, replicas, factor)
    return replicas
  })
}

export function validateReplicas(
  state: ControllerState,
  partitionId: number,
  replicas: readonly NodeId[],
  factor: number,
): void {
  const refuse = (why: string): never => {
    throw new CommandError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, `partition ${partitionId}: ${why}`)
  }
  if (replicas.length === 0) refuse('the list of replicas is empty')
  if (replicas.length !== factor) refuse(`it has ${replicas.length} replicas, the others have ${factor}`)
  if (new Set(replicas).size !== replicas.length) refuse('a broker is named twice')
  for (const id of replicas) if (!state.image.brokers.has(id)) refuse(`broker ${id} is not registered`)
  if (!replicas.some((id) => state.isActive(id))) refuse('none of its brokers is up')
}

/** A new, empty partition: who is up is in sync; who is not holds nothing, and may come back with another directory. */
export function emitPartition(
  state: ControllerState,
  topicId: Uuid,
  partitionId: number,
  replicas: readonly NodeId[],
): void {
  const isr = replicas.filter((id) => state.isActive(id))
  state.emit({
    type: 'partitionRecord',
    topicId,
    partitionId,
    replicas: [...replicas],
    directories: replicas.map((id) => (isr.includes(id) ? state.directoryOf(id) : ZERO_UUID)),
    isr,
    elr: [],
    lastKnownElr: [],
    addingReplicas: [],
    removingReplicas: [],
    leader: isr[0] ?? NO_NODE,
    leaderRecovering: false,
    leaderEpoch: 0,
    partitionEpoch: 0,
  })
}

type NamedTopic = DeleteTopics['topics'][number]

export function deleteTopics(state: ControllerState, command: DeleteTopics): ControllerReply {
  // All are looked up before any is deleted: a name and an id may be those of one topic.
  const entries = command.topics.map((named) => ({ named, topic: topicOf(state, named) }))
  const isRepeated = repeated(entries, ({ named, topic }) => topic?.id ?? `${named.name} ${named.topicId}`)
  const topics = entries.map((entry): DeleteTopicResult => {
    const { named, topic } = entry
    const { name, id: topicId } = topic ?? { name: named.name, id: named.topicId }
    try {
      deleteTopic(state, named, topic, isRepeated(entry))
      return { name, topicId, errorCode: ErrorCode.NONE, errorMessage: '' }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      return { name, topicId, errorCode: error.errorCode, errorMessage: error.message }
    }
  })
  return { type: 'deleteTopics', topics }
}

/** Undefined also where both a name and an id are given, which may be two topics, or neither. */
function topicOf({ image }: ControllerState, { name, topicId }: NamedTopic): TopicImage | undefined {
  if (topicId === ZERO_UUID) return image.topicsByName.get(name)
  return name === '' ? image.topicsById.get(topicId) : undefined
}

function deleteTopic(
  state: ControllerState,
  { name, topicId }: NamedTopic,
  topic: TopicImage | undefined,
  isRepeated: boolean,
): void {
  if (!state.configs.bool('delete.topic.enable')) {
    throw new CommandError(ErrorCode.TOPIC_DELETION_DISABLED, 'delete.topic.enable is false')
  }
  const byId = name === ''
  if (byId === (topicId === ZERO_UUID)) {
    const given = byId
      ? 'neither a name nor an id is given'
      : `the name ${name} and the id ${topicId} are given`
    throw new CommandError(ErrorCode.INVALID_REQUEST, `${given}: name the topic by one of the two`)
  }
  if (isRepeated) throw namedTwice(`topic ${topic?.name ?? (byId ? topicId : name)}`)
  if (topic === undefined) {
    throw byId
      ? new CommandError(ErrorCode.UNKNOWN_TOPIC_ID, `no topic has the id ${topicId}`)
      : new CommandError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${name} does not exist`)
  }
  state.emit({ type: 'removeTopicRecord', topicId: topic.id })
}
