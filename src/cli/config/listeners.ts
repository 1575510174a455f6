import type { ListenerConfig } from '../../broker/node-config.js'
import { usageError } from '../errors.js'

export interface Endpoint {
  readonly name: string
  readonly host: string
  readonly port: number
}

const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL']
/** Kafka's: a listener named after a protocol speaks it; CONTROLLER is plain unless mapped. */
const DEFAULT_PROTOCOLS: ReadonlyMap<string, string> = new Map([
  ...PROTOCOLS.map((name): [string, string] => [name, name]),
  ['CONTROLLER', 'PLAINTEXT'],
])

/** `NAME://host:port,…`. IPv6 hosts stand in brackets; an empty host binds every address. */
export function parseEndpoints(key: string, value: string): Endpoint[] {
  const endpoints = splitList(value).map((text) => {
    const match = /^([A-Za-z][A-Za-z0-9_.-]*):\/\/(?:\[([0-9A-Fa-f:.%]+)\]|([^:/[\]]*)):(\d+)$/.exec(text)
    const port = Number(match?.[4])
    if (match === null || !isPort(port)) {
      throw usageError(
        `${key}=${value}: '${text}' is not a listener. Write NAME://host:port, with a port from 1 to 65535: PLAINTEXT://127.0.0.1:9092.`,
      )
    }
    return { name: match[1]!.toUpperCase(), host: match[2] ?? match[3] ?? '', port }
  })
  if (endpoints.length === 0) {
    throw usageError(`${key} is empty: name at least one listener, as in PLAINTEXT://127.0.0.1:9092.`)
  }
  for (const [index, endpoint] of endpoints.entries()) {
    const twin = endpoints.slice(0, index).find((e) => e.name === endpoint.name)
    if (twin)
      throw usageError(`${key}=${value} names the listener ${endpoint.name} twice: give each its own name.`)
  }
  return endpoints
}

export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535
}

export function splitList(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

export interface ListenerKeys {
  readonly listeners: string
  readonly advertised: string | undefined
  readonly protocolMap: string | undefined
  readonly interBroker: string | undefined
  readonly controller: string | undefined
  readonly inspect: string | undefined
  /** False: a dedicated controller, which serves no Kafka client. */
  readonly isBroker: boolean
}

export interface Listeners {
  readonly kafka: ListenerConfig[]
  readonly interBrokerListenerName: string
  readonly control: ListenerConfig
  readonly inspect: ListenerConfig
}

/** Kafka's keys for listeners, joined: which of them speak Kafka, which gRPC, and where clients find them. */
export function resolveListeners(keys: ListenerKeys): Listeners {
  const endpoints = parseEndpoints('listeners', keys.listeners)
  refuseSharedPorts(endpoints)
  const advertised = advertisedEndpoints(keys.advertised, endpoints)
  const protocols = protocolMap(keys.protocolMap)
  const all = new Map(endpoints.map((endpoint) => [endpoint.name, join(endpoint, advertised, protocols)]))
  const find = (key: string, name: string) => {
    const found = all.get(name)
    if (found) return found
    throw usageError(
      `${key}=${name} is not among the listeners (${[...all.keys()].join(', ')}): add ${name}://host:port to listeners, or name one of those.`,
    )
  }

  const controllerNames = splitList(keys.controller ?? 'CONTROLLER').map((name) => name.toUpperCase())
  if (controllerNames.length !== 1) {
    throw usageError(
      `controller.listener.names=${keys.controller}: name exactly one listener, for instance CONTROLLER.`,
    )
  }
  const control = find('controller.listener.names', controllerNames[0]!)
  const inspect =
    keys.inspect === undefined ? control : find('inspect.listener.name', keys.inspect.toUpperCase())
  const kafka = [...all.values()].filter((listener) => listener !== control && listener !== inspect)
  if (!keys.isBroker) {
    if (kafka.length === 0) return { kafka, interBrokerListenerName: '', control, inspect }
    const names = kafka.map((listener) => listener.name).join(', ')
    throw usageError(
      `process.roles=controller serves no Kafka clients: take ${names} out of listeners=${keys.listeners}.`,
    )
  }
  if (kafka.length === 0) {
    throw usageError(
      `listeners=${keys.listeners} has no listener for Kafka clients beside the gRPC one: add PLAINTEXT://127.0.0.1:9092, for instance.`,
    )
  }
  return {
    kafka,
    interBrokerListenerName: interBrokerName(keys.interBroker, kafka, control, inspect),
    control,
    inspect,
  }
}

function refuseSharedPorts(endpoints: readonly Endpoint[]): void {
  for (const [index, endpoint] of endpoints.entries()) {
    const twin = endpoints.slice(0, index).find((e) => e.port === endpoint.port)
    if (twin) {
      throw usageError(
        `The listeners ${twin.name} and ${endpoint.name} share port ${endpoint.port}: give each its own.`,
      )
    }
  }
}

function advertisedEndpoints(value: string | undefined, bound: readonly Endpoint[]): Map<string, Endpoint> {
  if (value === undefined) return new Map()
  const advertised = parseEndpoints('advertised.listeners', value)
  for (const { name, host } of advertised) {
    if (!bound.some((endpoint) => endpoint.name === name)) {
      throw usageError(
        `advertised.listeners names ${name}, which is not among the listeners: add it there, or take it out.`,
      )
    }
    if (bindsEverything(host)) {
      throw usageError(
        `advertised.listeners gives ${name} no address that clients can connect to: name a host.`,
      )
    }
  }
  return new Map(advertised.map((endpoint) => [endpoint.name, endpoint]))
}

function bindsEverything(host: string): boolean {
  return host === '' || host === '0.0.0.0' || host === '::'
}

function protocolMap(value: string | undefined): ReadonlyMap<string, string> {
  if (value === undefined) return DEFAULT_PROTOCOLS
  const map = new Map(DEFAULT_PROTOCOLS)
  for (const pair of splitList(value)) {
    const [name, protocol, ...rest] = pair.split(':')
    if (!name || !protocol || rest.length > 0) {
      throw usageError(
        `listener.security.protocol.map=${value}: '${pair}' is not a pair. Write NAME:PROTOCOL, as in CONTROLLER:PLAINTEXT.`,
      )
    }
    map.set(name.toUpperCase(), protocol.toUpperCase())
  }
  return map
}

function join(
  bound: Endpoint,
  advertised: ReadonlyMap<string, Endpoint>,
  protocols: ReadonlyMap<string, string>,
): ListenerConfig {
  const protocol = protocols.get(bound.name)
  if (protocol === undefined) {
    throw usageError(
      `The listener ${bound.name} has no security protocol: add ${bound.name}:PLAINTEXT to listener.security.protocol.map.`,
    )
  }
  if (protocol !== 'PLAINTEXT') {
    const known = PROTOCOLS.includes(protocol) ? 'is not supported yet' : 'is no security protocol'
    throw usageError(
      `The listener ${bound.name} asks for ${protocol}, which ${known}: PLAINTEXT is the only one. Change listeners or listener.security.protocol.map.`,
    )
  }
  const known = advertised.get(bound.name)
  if (known === undefined && bindsEverything(bound.host)) {
    throw usageError(
      `The listener ${bound.name} binds every address, so clients cannot be told one: add ${bound.name}://<host>:${bound.port} to advertised.listeners.`,
    )
  }
  return {
    name: bound.name,
    host: bound.host === '' ? '0.0.0.0' : bound.host,
    port: bound.port,
    advertisedHost: known?.host ?? bound.host,
    advertisedPort: known?.port ?? bound.port,
    securityProtocol: 'PLAINTEXT',
  }
}

function interBrokerName(
  given: string | undefined,
  kafka: readonly ListenerConfig[],
  control: ListenerConfig,
  inspect: ListenerConfig,
): string {
  const names = kafka.map((listener) => listener.name)
  if (given === undefined) {
    if (names.length === 1 || names.includes('PLAINTEXT')) return names.length === 1 ? names[0]! : 'PLAINTEXT'
    throw usageError(
      `There are several listeners (${names.join(', ')}): say with inter.broker.listener.name which of them the brokers use among themselves.`,
    )
  }
  const name = given.toUpperCase()
  if (names.includes(name)) return name
  const grpc = name === control.name || name === inspect.name
  throw usageError(
    grpc
      ? `inter.broker.listener.name=${given} is the gRPC listener; replicas speak the Kafka protocol: name one of ${names.join(', ')}.`
      : `inter.broker.listener.name=${given} is not among the listeners: name one of ${names.join(', ')}.`,
  )
}
