import { ErrorCode } from '../../wire/errors.js'
import type { ControllerReply, UpdateFeatures } from '../commands.js'
import {
  type FeatureRange,
  FLUSH_BEFORE_ACK_FEATURE,
  KAFKA_FEATURES,
  KOGGE_VERSION_2,
  KOGGE_VERSION_FEATURE,
  rangeOf,
} from '../features.js'
import { CommandError } from './command-error.js'
import type { ControllerState } from './state.js'

type Update = UpdateFeatures['updates'][number]

/** KIP-584, KIP-778, KIP-1022: every level that is asked for is allowed, or nothing changes. */
export function updateFeatures(state: ControllerState, command: UpdateFeatures): ControllerReply {
  const levels = new Map<string, number>()
  for (const update of command.updates) {
    try {
      if (levels.has(update.name)) {
        throw new CommandError(ErrorCode.INVALID_REQUEST, `${update.name} is named more than once`)
      }
      validateUpdate(state, update, command.updates)
      levels.set(update.name, update.level)
    } catch (error) {
      if (!(error instanceof CommandError)) throw error
      const { errorCode, message } = error
      return { type: 'updateFeatures', errorCode, errorMessage: message, feature: update.name }
    }
  }
  if (!command.validateOnly) for (const [name, level] of levels) setLevel(state, name, level)
  return { type: 'updateFeatures', errorCode: ErrorCode.NONE, errorMessage: '', feature: '' }
}

/** At the founding, and where kogge.version 2 begins: what Kafka's names stand for is finalised at its highest level. */
export function finalizeKafkaFeatures(state: ControllerState): void {
  for (const name of KAFKA_FEATURES) {
    if (!state.image.features.has(name)) emitLevel(state, name, state.supportedFeatures.get(name)!.max)
  }
}

function setLevel(state: ControllerState, name: string, level: number): void {
  if (levelOf(state, name) === level) return
  emitLevel(state, name, level)
  if (name !== KOGGE_VERSION_FEATURE) return
  if (level >= KOGGE_VERSION_2) finalizeKafkaFeatures(state)
  else leaveVersion2(state)
}

/** What level 1 does not know goes. */
function leaveVersion2(state: ControllerState): void {
  for (const [resourceName, values] of [...state.image.clientMetrics]) {
    for (const name of values.keys()) {
      state.emit({ type: 'configRecord', resourceType: 'clientMetrics', resourceName, name })
    }
  }
  for (const name of KAFKA_FEATURES) if (state.image.features.has(name)) emitLevel(state, name, 0)
}

function emitLevel(state: ControllerState, name: string, level: number): void {
  state.emit({ type: 'featureLevelRecord', name, level })
  state.logger.info({ feature: name, level }, 'feature level finalised')
}

function levelOf(state: ControllerState, name: string): number {
  return state.image.features.get(name) ?? 0
}

function validateUpdate(state: ControllerState, update: Update, all: readonly Update[]): void {
  const { name, level, upgradeType } = update
  const refuse = (why: string): never => {
    throw new CommandError(
      ErrorCode.INVALID_UPDATE_VERSION,
      `${name} cannot be set to level ${level}: ${why}`,
    )
  }
  const current = levelOf(state, name)
  const range = state.supportedFeatures.get(name)
  if (range === undefined) {
    return refuse(
      `this controller knows no such feature, but ${[...state.supportedFeatures.keys()].join(', ')}`,
    )
  }
  if (!isWithin(range, level)) refuse(`this controller supports the levels ${range.min} to ${range.max}`)
  for (const broker of state.image.brokers.values()) {
    const supported = rangeOf(name, broker.features)
    if (level === 0 && supported === undefined) continue
    if (supported === undefined)
      refuse(`broker ${broker.id} does not know it: upgrade or unregister that broker`)
    else if (level < supported.minLevel || level > supported.maxLevel) {
      refuse(
        `broker ${broker.id} supports the levels ${supported.minLevel} to ${supported.maxLevel}: upgrade or unregister that broker`,
      )
    }
  }
  if (level > current && upgradeType !== 'upgrade') refuse(`it is ${current} now, so that is no downgrade`)
  if (level < current && upgradeType === 'upgrade') {
    refuse(`it is ${current} now, so that is a downgrade: ask for a safe or an unsafe one`)
  }
  if (level === current) return
  if (name === FLUSH_BEFORE_ACK_FEATURE) {
    refuse('it is chosen when the cluster is founded, and decides what a restart may have lost ever since')
  }
  if (KAFKA_FEATURES.includes(name)) {
    const kogge = all.find((other) => other.name === KOGGE_VERSION_FEATURE)
    const version = kogge?.level ?? levelOf(state, KOGGE_VERSION_FEATURE)
    if (version < KOGGE_VERSION_2) refuse(`it needs ${KOGGE_VERSION_FEATURE} ${KOGGE_VERSION_2}`)
  }
  const resources = [...state.image.clientMetrics.keys()]
  if (name === KOGGE_VERSION_FEATURE && upgradeType === 'safeDowngrade' && resources.length > 0) {
    refuse(
      `the client-metrics resources ${resources.join(', ')} would be lost: delete them, or ask for an unsafe downgrade`,
    )
  }
}

function isWithin({ min, max }: FeatureRange, level: number): boolean {
  return level >= min && level <= max
}
