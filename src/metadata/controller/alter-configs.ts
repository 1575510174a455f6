import { ErrorCode } from '../../wire/errors.js'
import type { AlterConfigs, AlterConfigsResult, ControllerReply } from '../commands.js'
import { BROKER_CONFIGS } from '../config/broker-definitions.js'
import { CLIENT_METRICS_CONFIGS } from '../config/client-metrics.js'
import { type ConfigDefinition, nearestName, parseList, validateConfig } from '../config/definitions.js'
import { TOPIC_CONFIGS } from '../config/topic-definitions.js'
import { overridesOf } from '../configs.js'
import { KOGGE_VERSION_2, KOGGE_VERSION_FEATURE } from '../features.js'
import { electLeaderless } from './brokers.js'
import { CommandError } from './command-error.js'
import { namedTwice, repeated } from './duplicates.js'
import { effectiveMinIsrs, settleMinIsr } from './min-isr.js'
import type { ControllerState } from './state.js'

const MIN_ISR = 'min.insync.replicas'

type Resource = AlterConfigs['resources'][number]
type Operation = Resource['operations'][number]

/** IncrementalAlterConfigs (KIP-339) and AlterConfigs: each resource as a whole or not at all. */
export function alterConfigs(state: ControllerState, command: AlterConfigs): ControllerReply {
  const minIsrsBefore = touches(command, MIN_ISR) ? effectiveMinIsrs(state) : undefined
  const isRepeated = repeated(command.resources, keyOf)
  const resources = command.resources.map((resource): AlterConfigsResult => {
    const { resourceType, resourceName } = resource
    try {
      if (isRepeated(resource)) throw namedTwice(keyOf(resource))
      const changes = changedValues(state, resource, command.replaceAll)
      state.chargeConfigs(resourceName, changes)
      if (!command.validateOnly) {
        for (const [name, value] of changes) {
          state.emit({ type: 'configRecord', resourceType, resourceName, name, value })
        }
      }
      return { resourceType, resourceName, errorCode: ErrorCode.NONE, errorMessage: '' }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      return { resourceType, resourceName, errorCode: error.errorCode, errorMessage: error.message }
    }
  })
  if (minIsrsBefore !== undefined) settleMinIsr(state, minIsrsBefore)
  // Where an unclean election is allowed now, it need not wait for the next change.
  if (touches(command, 'unclean.leader.election.enable')) electLeaderless(state, () => true)
  return { type: 'alterConfigs', resources }
}

function keyOf({ resourceType, resourceName }: Resource): string {
  return `${resourceType} ${resourceName}`
}

/** What every partition would have to be looked at for. */
function touches(command: AlterConfigs, key: string): boolean {
  return (
    command.replaceAll ||
    command.resources.some(({ operations }) => operations.some(({ name }) => name === key))
  )
}

/** What differs from what is set: a value, or undefined for a key that is no longer set. */
function changedValues(
  state: ControllerState,
  resource: Resource,
  replaceAll: boolean,
): Map<string, string | undefined> {
  validateResource(state, resource)
  const present = overridesOf(state.image, resource.resourceType, resource.resourceName)
  const next = new Map(replaceAll ? [] : present)
  const seen = new Set<string>()
  for (const operation of resource.operations) {
    if (seen.has(operation.name)) throw namedTwice(operation.name)
    seen.add(operation.name)
    const definition = alterableDefinition(resource, operation.name)
    const value = appliedOperation(
      operation,
      next.get(operation.name) ?? effectiveList(state, resource, definition),
    )
    if (value === undefined) {
      next.delete(operation.name)
      continue
    }
    const violation = validateConfig(definition, value)
    if (violation !== undefined) throw new CommandError(ErrorCode.INVALID_CONFIG, violation)
    next.set(operation.name, value)
  }
  const changes = new Map<string, string | undefined>()
  for (const [name, value] of next) if (present.get(name) !== value) changes.set(name, value)
  for (const name of present.keys()) if (!next.has(name)) changes.set(name, undefined)
  validateRemovals(resource, changes)
  validateExistence(state, resource, changes)
  return changes
}

/** KIP-966: what every leader and the controller count by never depends on the files of single nodes. */
function validateRemovals(
  { resourceType, resourceName }: Resource,
  changes: Map<string, string | undefined>,
): void {
  if (resourceType !== 'broker' || resourceName !== '') return
  if (!changes.has(MIN_ISR) || changes.get(MIN_ISR) !== undefined) return
  const message = `${MIN_ISR} of all brokers cannot be removed, since the eligible leader replicas rest on it: set the value that is to hold`
  throw new CommandError(ErrorCode.INVALID_CONFIG, message)
}

/** Where nobody has this id, what was set before can be removed, and nothing be set. */
function validateExistence(
  state: ControllerState,
  { resourceType, resourceName }: Resource,
  changes: Map<string, string | undefined>,
): void {
  if (resourceType !== 'broker' || resourceName === '') return
  const nodeId = Number(resourceName)
  if (state.image.brokers.has(nodeId) || state.options.isController(nodeId)) return
  if ([...changes.values()].every((value) => value === undefined)) return
  const message = `node ${resourceName} is neither a registered broker nor a controller: name one that is, or start it first`
  throw new CommandError(ErrorCode.BROKER_ID_NOT_REGISTERED, message)
}

function validateResource(state: ControllerState, { resourceType, resourceName }: Resource): void {
  if (resourceType === 'topic') {
    if (state.image.topicsByName.has(resourceName)) return
    throw new CommandError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `topic ${resourceName} does not exist`)
  }
  if (resourceType === 'clientMetrics') {
    if (resourceName === '') {
      throw new CommandError(ErrorCode.INVALID_REQUEST, 'a subscription of client metrics has a name')
    }
    if ((state.image.features.get(KOGGE_VERSION_FEATURE) ?? 0) >= KOGGE_VERSION_2) return
    const message = `client metrics need ${KOGGE_VERSION_FEATURE} ${KOGGE_VERSION_2}: upgrade that feature when all nodes run a version that supports it`
    throw new CommandError(ErrorCode.UNSUPPORTED_VERSION, message)
  }
  if (resourceName === '' || /^(0|[1-9]\d{0,9})$/.test(resourceName)) return
  const message = `broker ${JSON.stringify(resourceName)} is neither a broker's id nor '' for the default of all brokers`
  throw new CommandError(ErrorCode.INVALID_REQUEST, message)
}

function alterableDefinition({ resourceType, resourceName }: Resource, name: string): ConfigDefinition {
  if (resourceType === 'topic') {
    const definition = TOPIC_CONFIGS.get(name)
    if (definition === undefined) throw new CommandError(ErrorCode.INVALID_CONFIG, unknownTopicKey(name))
    return definition
  }
  if (resourceType === 'clientMetrics') {
    const definition = CLIENT_METRICS_CONFIGS.get(name)
    if (definition !== undefined) return definition
    throw new CommandError(
      ErrorCode.INVALID_CONFIG,
      unknownKey('client-metrics', name, CLIENT_METRICS_CONFIGS.keys()),
    )
  }
  const definition = BROKER_CONFIGS.get(name)
  if (definition === undefined) throw new CommandError(ErrorCode.INVALID_CONFIG, unknownBrokerKey(name))
  if (definition.dynamic === false) {
    const message = `${name} cannot be changed while brokers run: set it in their start-up configuration`
    throw new CommandError(ErrorCode.INVALID_REQUEST, message)
  }
  if (definition.dynamic === 'cluster' && resourceName !== '') {
    const message = `${name} counts for all brokers alike: set it for a topic, or for the broker resource ''`
    throw new CommandError(ErrorCode.INVALID_REQUEST, message)
  }
  return definition
}

/** What append and subtract start from where nothing is set. */
function effectiveList(
  state: ControllerState,
  resource: Resource,
  definition: ConfigDefinition,
): string | undefined {
  if (definition.type !== 'list' || resource.resourceType === 'clientMetrics') return undefined
  if (resource.resourceType === 'broker') return state.configs.string(definition.name)
  const described = state.configs.describeTopic(resource.resourceName)
  return described.find(({ name }) => name === definition.name)?.value ?? undefined
}

function appliedOperation(
  { name, operation, value }: Operation,
  present: string | undefined,
): string | undefined {
  if (operation === 'delete') return undefined
  if (value === undefined) throw new CommandError(ErrorCode.INVALID_CONFIG, `${name} has no value`)
  if (operation === 'set') return value
  const definition = TOPIC_CONFIGS.get(name) ?? BROKER_CONFIGS.get(name) ?? CLIENT_METRICS_CONFIGS.get(name)
  if (definition?.type !== 'list') {
    const message = `${name} is not a list: ${operation} is for lists alone`
    throw new CommandError(ErrorCode.INVALID_CONFIG, message)
  }
  const elements = parseList(present ?? '')
  const given = parseList(value)
  const result =
    operation === 'append'
      ? [...elements, ...given.filter((element) => !elements.includes(element))]
      : elements.filter((element) => !given.includes(element))
  return result.join(',')
}

export function unknownTopicKey(name: string): string {
  return unknownKey('topic', name, TOPIC_CONFIGS.keys())
}

function unknownBrokerKey(name: string): string {
  return unknownKey('broker', name, BROKER_CONFIGS.keys())
}

function unknownKey(kind: string, name: string, known: Iterable<string>): string {
  const nearest = nearestName(name, known)
  const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`
  return `${JSON.stringify(name)} is no ${kind} configuration${hint}`
}
