import { isAbsolute, resolve } from 'node:path'
import type { NodeConfig } from '../../broker/node-config.js'
import { BROKER_CONFIGS } from '../../metadata/config/broker-definitions.js'
import { nearestName, validateConfig } from '../../metadata/config/definitions.js'
import { IGNORED_BROKER_KEYS } from '../../metadata/config/ignored-keys.js'
import { usageError } from '../errors.js'
import { isPort, resolveListeners, splitList } from './listeners.js'
import { type ConfigSources, collectSettings, type Setting } from './settings.js'
import { TIMER_RELATIONS } from './timer-relations.js'

export interface LoadedConfig {
  readonly config: NodeConfig
  /** Sentences: nothing that stops the node, all of it worth a line. */
  readonly warnings: readonly string[]
}

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
  checkRoles(settings)
  const nodeId = wholeNumber(settings, 'node.id')
  if (nodeId === undefined) {
    throw usageError('node.id is missing: give each node its own whole number, for instance node.id=1.')
  }
  const logDir = logDirectory(settings)
  const listeners = resolveListeners({
    listeners: text(settings, 'listeners') ?? 'PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
    advertised: text(settings, 'advertised.listeners'),
    protocolMap: text(settings, 'listener.security.protocol.map'),
    interBroker: text(settings, 'inter.broker.listener.name'),
    controller: text(settings, 'controller.listener.names'),
    inspect: text(settings, 'inspect.listener.name'),
  })
  const voters = parseVoters(settings)
  const self = voters.find((voter) => voter.nodeId === nodeId)
  if (self === undefined) {
    throw usageError(
      `node.id=${nodeId} is not among controller.quorum.voters (${voters.map((v) => v.nodeId).join(', ')}): every node is a voter for now, so add ${nodeId}@host:${listeners.control.port} on all nodes, or correct node.id.`,
    )
  }
  if (self.port !== listeners.control.advertisedPort && self.port !== listeners.control.port) {
    throw usageError(
      `controller.quorum.voters says that node ${nodeId} is at port ${self.port}, but its listener ${listeners.control.name} has port ${listeners.control.port}: make them agree.`,
    )
  }
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
      voters,
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
  if (key === 'controller.quorum.bootstrap.servers') {
    return `${key} (${origin}) is ignored: nodes find each other by controller.quorum.voters.`
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

function checkRoles(settings: Settings): void {
  const setting = settings.get('process.roles')
  if (setting === undefined) return
  const roles = splitList(setting.value.toLowerCase()).sort()
  if (roles.join() !== 'broker,controller') {
    throw usageError(
      `process.roles=${setting.value} is not supported yet: every node is both, so write process.roles=broker,controller.`,
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

function parseVoters(settings: Settings): NodeConfig['voters'] {
  const value = text(settings, 'controller.quorum.voters')
  if (value === undefined) {
    throw usageError(
      'controller.quorum.voters is missing: list every node with its gRPC address, the same on all of them, for instance 1@host1:9093,2@host2:9093,3@host3:9093.',
    )
  }
  const voters = splitList(value).map((voter) => {
    const match = /^(\d+)@(?:\[([0-9A-Fa-f:.%]+)\]|([^:/[\]@]+)):(\d+)$/.exec(voter)
    const port = Number(match?.[4])
    if (match === null || !isPort(port) || Number(match[1]) > 2 ** 31 - 1) {
      throw usageError(
        `controller.quorum.voters=${value}: '${voter}' is not a voter. Write id@host:port, as in 1@127.0.0.1:9093.`,
      )
    }
    return { nodeId: Number(match[1]), host: (match[2] ?? match[3])!, port }
  })
  for (const [index, voter] of voters.entries()) {
    const others = voters.slice(0, index)
    if (others.some((v) => v.nodeId === voter.nodeId)) {
      throw usageError(
        `controller.quorum.voters=${value} lists node ${voter.nodeId} twice: give each node one address.`,
      )
    }
    if (others.some((v) => v.host === voter.host && v.port === voter.port)) {
      throw usageError(
        `controller.quorum.voters=${value} lists ${voter.host}:${voter.port} for two nodes: give each its own.`,
      )
    }
  }
  return voters
}
