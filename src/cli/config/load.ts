import { isAbsolute, resolve } from 'node:path'
import type { NodeConfig } from '../../broker/node-config.js'
import { BROKER_CONFIGS } from '../../metadata/config/broker-definitions.js'
import { nearestName, validateConfig } from '../../metadata/config/definitions.js'
import { IGNORED_BROKER_KEYS } from '../../metadata/config/ignored-keys.js'
import { usageError } from '../errors.js'
import { resolveListeners, splitList } from './listeners.js'
import { parseRoles, resolveQuorum } from './quorum.js'
import { type ConfigSources, collectSettings, type Setting } from './settings.js'
import { TIMER_RELATIONS } from './timer-relations.js'

export interface LoadedConfig {
  readonly config: NodeConfig
  /** Sentences: nothing that stops the node, all of it worth a line. */
  readonly warnings: readonly string[]
}

const CONTROLLERS_LISTENERS = 'CONTROLLER://127.0.0.1:9093'
/** A broker has a gRPC listener too: the controllers dial it back. */
const BROKERS_LISTENERS = `PLAINTEXT://127.0.0.1:9092,${CONTROLLERS_LISTENERS}`

type Settings = ReadonlyMap<string, Setting>

/**
 * One node's configuration from its sources.
 * @throws CliError with exit code 2 and one sentence that says what to do
 */
export function loadNodeConfig(sources: ConfigSources): LoadedConfig {
  const { settings: given, warnings } = collectSettings(sources)
  const settings = new Map(given)
  for (const setting of given.values()) {
    const ignored = judgeKey(setting)
    if (ignored === undefined) continue
    warnings.push(ignored)
    settings.delete(setting.key)
  }
  checkTimers(settings)
  const roles = parseRoles(settings.get('process.roles')?.value)
  const nodeId = wholeNumber(settings, 'node.id')
  if (nodeId === undefined) {
    throw usageError('node.id is missing: give each node its own whole number, for instance node.id=1.')
  }
  const logDir = logDirectory(settings)
  const listeners = resolveListeners({
    listeners: text(settings, 'listeners') ?? (roles.broker ? BROKERS_LISTENERS : CONTROLLERS_LISTENERS),
    advertised: text(settings, 'advertised.listeners'),
    protocolMap: text(settings, 'listener.security.protocol.map'),
    interBroker: text(settings, 'inter.broker.listener.name'),
    controller: text(settings, 'controller.listener.names'),
    inspect: text(settings, 'inspect.listener.name'),
    isBroker: roles.broker,
  })
  const quorum = resolveQuorum({
    nodeId,
    roles,
    control: listeners.control,
    voters: text(settings, 'controller.quorum.voters'),
    bootstrapServers: text(settings, 'controller.quorum.bootstrap.servers'),
    autoJoin: text(settings, 'controller.quorum.auto.join.enable') === 'true',
  })
  const properties = new Map([...settings.values()].map(({ key, value }): [string, string] => [key, value]))
  properties.set('node.id', String(nodeId)).set('log.dirs', logDir)
  return {
    config: {
      nodeId,
      rack: text(settings, 'broker.rack') ?? null,
      logDir,
      listeners: listeners.kafka,
      interBrokerListenerName: listeners.interBrokerListenerName,
      controlListener: listeners.control,
      inspectListener: listeners.inspect,
      roles,
      ...quorum,
      properties,
    },
    warnings,
  }
}

/** A warning where the key is Kafka's and means nothing here. @throws CliError where nobody knows it or the value is wrong */
function judgeKey({ key, value, origin }: Setting): string | undefined {
  const definition = BROKER_CONFIGS.get(key)
  if (definition !== undefined) {
    const problem = validateConfig(definition, value)
    if (problem !== undefined) throw usageError(`${problem} (${origin}).`)
    return undefined
  }
  if (IGNORED_BROKER_KEYS.has(key))
    return `${key} (${origin}) is a Kafka key without effect in kogge: it is ignored.`
  const near = nearestName(key, BROKER_CONFIGS.keys())
  throw usageError(
    `${key} (${origin}) is no configuration key: ${near === undefined ? 'take it out.' : `did you mean ${near}?`}`,
  )
}

function text(settings: Settings, key: string): string | undefined {
  const value = settings.get(key)?.value
  return value === '' ? undefined : value
}

/** Already validated, so a number; else the table's default. */
function wholeNumber(settings: Settings, key: string): number | undefined {
  const value = settings.get(key)?.value ?? BROKER_CONFIGS.get(key)!.defaultValue
  return value === null ? undefined : Number(value)
}

function checkTimers(settings: Settings): void {
  for (const { interval, limit, factor } of TIMER_RELATIONS) {
    const intervalMs = wholeNumber(settings, interval)!
    const limitMs = wholeNumber(settings, limit)!
    if (limitMs >= factor * intervalMs) continue
    throw usageError(
      `${limit}=${limitMs} contradicts ${interval}=${intervalMs}: the first must be at least ${factor} times the second, so raise it to ${factor * intervalMs} or lower the interval.`,
    )
  }
}

function logDirectory(settings: Settings): string {
  const setting = settings.get('log.dirs')
  const directories = splitList(setting?.value ?? '')
  if (setting === undefined || directories.length === 0) {
    throw usageError(
      'log.dirs is missing: name the directory that holds the data, for instance log.dirs=/var/lib/kogge.',
    )
  }
  if (directories.length > 1) {
    throw usageError(
      `log.dirs=${setting.value} (${setting.origin}): only one directory is supported for now, so name one.`,
    )
  }
  const directory = directories[0]!
  return isAbsolute(directory) ? directory : resolve(setting.baseDirectory, directory)
}
