import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type NodeConfig, rolesOf } from '../../broker/node-config.js'
import { loadNodeConfig } from '../config/load.js'
import { type CliError, usageError } from '../errors.js'

/** One node of `kogge dev`, in its own directory. */
export interface DevNode {
  readonly config: NodeConfig
  readonly directory: string
  readonly configFile: string
  readonly pidFile: string
  readonly logFile: string
}

export interface DevOptions {
  readonly dataDirectory: string
  /** Combined nodes; undefined: as the directory has it, else 3. */
  readonly nodes: number | undefined
  /** Dedicated ones instead; undefined: as the directory has it, else 3 where the other one is given. */
  readonly controllers: number | undefined
  readonly brokers: number | undefined
  /** Of the first broker's Kafka listener; undefined: as the directory has it, else 9092. */
  readonly port: number | undefined
  /** Handed on to every node. */
  readonly overrides: readonly string[]
  readonly environment: Readonly<Record<string, string | undefined>>
}

export const DEFAULT_NODES = 3
export const DEFAULT_PORT = 9092
export const MAX_NODES = 9
/** Between the ports of two nodes; the gRPC port is one above the Kafka port. */
const PORT_STEP = 100
/** What `kogge dev` gives to each node itself. */
const OWN_KEYS = [
  'node.id',
  'broker.id',
  'listeners',
  'advertised.listeners',
  'controller.quorum.voters',
  'controller.quorum.bootstrap.servers',
  'process.roles',
  'log.dirs',
  'log.dir',
]

/** How many nodes of which kind, in the order of their ids. */
interface Shape {
  readonly combined: number
  readonly controllers: number
  readonly brokers: number
}

/** The nodes of a data directory: read from it, or written into it. @throws CliError where the options contradict it */
export function prepareNodes(options: DevOptions): DevNode[] {
  refuseOwnKeys(options)
  const asked = askedShape(options)
  const existing = existingNodes(options.dataDirectory)
  if (existing.length === 0) {
    writeNodes(options.dataDirectory, asked ?? shape(DEFAULT_NODES, 0, 0), options.port ?? DEFAULT_PORT)
  }
  const count = existing.length || total(asked ?? shape(DEFAULT_NODES, 0, 0))
  const nodes = Array.from({ length: count }, (_, i) => readNode(i + 1, options))
  if (existing.length > 0) {
    if (asked !== undefined) refuseOtherShape(nodes, asked, options)
    if (options.port !== undefined) refuseOtherPort(nodes, options.port)
  }
  return nodes
}

export function isBroker(node: DevNode): boolean {
  return rolesOf(node.config).broker
}

function shape(combined: number, controllers: number, brokers: number): Shape {
  return { combined, controllers, brokers }
}

function total({ combined, controllers, brokers }: Shape): number {
  return combined + controllers + brokers
}

function shapeOf(nodes: readonly DevNode[]): Shape {
  const roles = nodes.map(({ config }) => rolesOf(config))
  return shape(
    roles.filter(({ broker, controller }) => broker && controller).length,
    roles.filter(({ broker }) => !broker).length,
    roles.filter(({ controller }) => !controller).length,
  )
}

function inWords({ combined, controllers, brokers }: Shape): string {
  if (controllers + brokers === 0) return `${combined} nodes`
  const dedicated = `${controllers} controllers and ${brokers} brokers`
  return combined === 0 ? dedicated : `${combined} combined nodes, ${dedicated}`
}

/** undefined: nothing was asked for. */
function askedShape({ nodes, controllers, brokers }: DevOptions): Shape | undefined {
  if (controllers === undefined && brokers === undefined) {
    return nodes === undefined ? undefined : shape(nodes, 0, 0)
  }
  if (nodes !== undefined) {
    throw usageError(
      '--nodes is for nodes that are broker and controller at once: leave it out, or leave out --controllers and --brokers.',
    )
  }
  return shape(0, controllers ?? DEFAULT_NODES, brokers ?? DEFAULT_NODES)
}

function refuseOtherShape(nodes: readonly DevNode[], asked: Shape, options: DevOptions): void {
  const actual = shapeOf(nodes)
  if (JSON.stringify(actual) === JSON.stringify(asked)) return
  const flags =
    options.nodes === undefined
      ? `--controllers ${asked.controllers} --brokers ${asked.brokers}`
      : `--nodes ${options.nodes}`
  const contradict =
    options.nodes === undefined ? 'contradict: leave the flags' : 'contradicts: leave the flag'
  throw usageError(
    `${options.dataDirectory} holds a cluster of ${inWords(actual)}, which ${flags} ${contradict} out, or give another directory with --data-dir.`,
  )
}

function refuseOwnKeys({ overrides, environment }: DevOptions): void {
  for (const key of OWN_KEYS) {
    const variable = `KOGGE_${key.toUpperCase().replaceAll('.', '_')}`
    if (environment[variable] !== undefined) {
      throw usageError(`${variable} is set, but kogge dev gives each node its own ${key}: unset it.`)
    }
    if (overrides.some((pair) => pair.split('=')[0]!.trim() === key)) {
      throw usageError(
        `--override ${key} cannot be used with kogge dev, which gives each node its own: edit its server.properties.`,
      )
    }
  }
}

function existingNodes(dataDirectory: string): number[] {
  if (!existsSync(dataDirectory)) return []
  const ids = namesIn(dataDirectory)
    .map((name) => /^node-(\d+)$/.exec(name)?.[1])
    .filter((id) => id !== undefined && existsSync(join(dataDirectory, `node-${id}`, 'server.properties')))
    .map(Number)
    .sort((a, b) => a - b)
  const gap = ids.findIndex((id, i) => id !== i + 1)
  if (gap >= 0) {
    throw usageError(
      `${dataDirectory} holds node-${ids[gap]} but no node-${gap + 1}/server.properties: put it back, or give another directory with --data-dir.`,
    )
  }
  return ids
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    throw unusable(directory, error)
  }
}

function unusable(path: string, error: unknown): CliError {
  const { code } = error as NodeJS.ErrnoException
  return usageError(
    `${path} cannot be used (${code}): give a directory that can be read and written with --data-dir.`,
  )
}

function writeNodes(dataDirectory: string, wanted: Shape, port: number): void {
  const count = total(wanted)
  const last = port + PORT_STEP * (count - 1) + 1
  if (last > 65535)
    throw usageError(`--port ${port} is too high for ${count} nodes: the last one would need port ${last}.`)
  for (let id = 1; id <= count; id++) {
    const directory = join(dataDirectory, `node-${id}`)
    try {
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, 'server.properties'), propertiesText(id, wanted, port))
    } catch (error) {
      throw unusable(directory, error)
    }
  }
}

/** Controllers have the first ids; the brokers have the first ports, which clients are told. */
function kafkaPort(id: number, { controllers, brokers }: Shape, port: number): number {
  const place = id <= controllers ? brokers + id - 1 : id - controllers - 1
  return port + PORT_STEP * place
}

function propertiesText(id: number, wanted: Shape, port: number): string {
  const { combined, controllers, brokers } = wanted
  const grpc = (node: number) => `127.0.0.1:${kafkaPort(node, wanted, port) + 1}`
  const voterIds = Array.from({ length: combined || controllers }, (_, i) => i + 1)
  const voters = `controller.quorum.voters=${voterIds.map((node) => `${node}@${grpc(node)}`).join(',')}`
  const roles = combined > 0 ? 'broker,controller' : id <= controllers ? 'controller' : 'broker'
  const kafka = roles === 'controller' ? '' : `PLAINTEXT://127.0.0.1:${kafkaPort(id, wanted, port)},`
  const replicas = Math.min(DEFAULT_NODES, brokers)
  return [
    '# Written once by kogge dev, and kept: change what you like.',
    `node.id=${id}`,
    `process.roles=${roles}`,
    `listeners=${kafka}CONTROLLER://${grpc(id)}`,
    'controller.listener.names=CONTROLLER',
    roles === 'broker' ? `controller.quorum.bootstrap.servers=${voterIds.map(grpc).join(',')}` : voters,
    // Combined nodes know by the voters how many brokers there will be.
    ...(combined > 0
      ? []
      : [`default.replication.factor=${replicas}`, `offsets.topic.replication.factor=${replicas}`]),
    '# Relative to this file.',
    'log.dirs=data',
    '',
  ].join('\n')
}

function readNode(id: number, options: DevOptions): DevNode {
  const directory = resolve(options.dataDirectory, `node-${id}`)
  const configFile = join(directory, 'server.properties')
  const { config } = loadNodeConfig({
    file: { path: configFile, text: readText(configFile) },
    environment: options.environment,
    overrides: options.overrides,
    workingDirectory: process.cwd(),
  })
  if (config.nodeId !== id) {
    throw usageError(
      `${configFile} says node.id=${config.nodeId}, but its directory is node-${id}: make them agree.`,
    )
  }
  return {
    config,
    directory,
    configFile,
    pidFile: join(directory, 'kogge.pid'),
    logFile: join(directory, 'kogge.log'),
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw unusable(file, error)
  }
}

function refuseOtherPort(nodes: readonly DevNode[], port: number): void {
  const actualShape = shapeOf(nodes)
  for (const { config, configFile } of nodes) {
    const listener = config.listeners[0]
    if (listener === undefined) continue
    const expected = kafkaPort(config.nodeId, actualShape, port)
    if (listener.port === expected) continue
    throw usageError(
      `${configFile} has port ${listener.port}, which --port ${port} contradicts (node ${config.nodeId} would be at ${expected}): leave the flag out, edit the file, or give another directory with --data-dir.`,
    )
  }
}
