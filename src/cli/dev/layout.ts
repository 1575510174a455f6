import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { NodeConfig } from '../../broker/node-config.js'
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
  /** undefined: as the directory has it, else 3. */
  readonly nodes: number | undefined
  /** Of node 1's Kafka listener; undefined: as the directory has it, else 9092. */
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
  'log.dirs',
  'log.dir',
]

/** The nodes of a data directory: read from it, or written into it. @throws CliError where the options contradict it */
export function prepareNodes(options: DevOptions): DevNode[] {
  refuseOwnKeys(options)
  const existing = existingNodes(options.dataDirectory)
  if (existing.length > 0 && options.nodes !== undefined && options.nodes !== existing.length) {
    throw usageError(
      `${options.dataDirectory} holds a cluster of ${existing.length} nodes, which --nodes ${options.nodes} contradicts: leave the flag out, or give another directory with --data-dir.`,
    )
  }
  const count = existing.length || (options.nodes ?? DEFAULT_NODES)
  if (existing.length === 0) writeNodes(options.dataDirectory, count, options.port ?? DEFAULT_PORT)
  const nodes = Array.from({ length: count }, (_, i) => readNode(i + 1, options))
  if (existing.length > 0 && options.port !== undefined) refuseOtherPort(nodes, options.port)
  return nodes
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

function writeNodes(dataDirectory: string, count: number, port: number): void {
  const last = port + PORT_STEP * (count - 1) + 1
  if (last > 65535)
    throw usageError(`--port ${port} is too high for ${count} nodes: the last one would need port ${last}.`)
  const ids = Array.from({ length: count }, (_, i) => i + 1)
  const kafkaPort = (id: number) => port + PORT_STEP * (id - 1)
  const voters = ids.map((id) => `${id}@127.0.0.1:${kafkaPort(id) + 1}`).join(',')
  for (const id of ids) {
    const directory = join(dataDirectory, `node-${id}`)
    const text = [
      '# Written once by kogge dev, and kept: change what you like.',
      `node.id=${id}`,
      'process.roles=broker,controller',
      `listeners=PLAINTEXT://127.0.0.1:${kafkaPort(id)},CONTROLLER://127.0.0.1:${kafkaPort(id) + 1}`,
      'controller.listener.names=CONTROLLER',
      `controller.quorum.voters=${voters}`,
      '# Relative to this file.',
      'log.dirs=data',
      '',
    ].join('\n')
    try {
      mkdirSync(directory, { recursive: true })
      writeFileSync(join(directory, 'server.properties'), text)
    } catch (error) {
      throw unusable(directory, error)
    }
  }
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
  for (const { config, configFile } of nodes) {
    const expected = port + PORT_STEP * (config.nodeId - 1)
    const actual = config.listeners[0]!.port
    if (actual === expected) continue
    throw usageError(
      `${configFile} has port ${actual}, which --port ${port} contradicts (node ${config.nodeId} would be at ${expected}): leave the flag out, edit the file, or give another directory with --data-dir.`,
    )
  }
}
