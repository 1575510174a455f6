import type { ListenerConfig, NodeConfig, NodeRoles } from '../../broker/node-config.js'
import type { Address } from '../../ports/network.js'
import { usageError } from '../errors.js'
import { isPort, splitList } from './listeners.js'

export interface QuorumKeys {
  readonly nodeId: number
  readonly roles: NodeRoles
  /** Of the control listener. */
  readonly control: ListenerConfig
  readonly voters: string | undefined
  readonly bootstrapServers: string | undefined
  readonly autoJoin: boolean
}

/** `process.roles`, already known to hold roles alone. */
export function parseRoles(value: string | undefined): NodeRoles {
  const roles = splitList((value ?? 'broker,controller').toLowerCase())
  if (roles.length === 0) {
    throw usageError(
      'process.roles is empty: write broker,controller for a node that is both, or one of the two.',
    )
  }
  return { broker: roles.includes('broker'), controller: roles.includes('controller') }
}

/**
 * How this node comes to its quorum: it founds it with the other voters, or joins one that exists.
 * @throws CliError where the keys contradict each other or leave nobody to ask
 */
export function resolveQuorum(keys: QuorumKeys): Pick<NodeConfig, 'voters' | 'bootstrapServers'> {
  const voters = parseVoters(keys.voters ?? '')
  const bootstrapServers = parseServers(keys.bootstrapServers ?? '')
  if (keys.roles.controller) checkController(keys, voters, bootstrapServers)
  else checkBroker(keys, voters, bootstrapServers)
  return { voters, bootstrapServers }
}

type Voter = NodeConfig['voters'][number]

function checkController(keys: QuorumKeys, voters: readonly Voter[], servers: readonly Address[]): void {
  const { nodeId, control } = keys
  if (voters.length === 0 && servers.length === 0) {
    throw usageError(
      'controller.quorum.voters is missing: list every controller with its gRPC address, the same on all nodes, for instance 1@host1:9093,2@host2:9093,3@host3:9093; or name controllers of a cluster to join in controller.quorum.bootstrap.servers.',
    )
  }
  const self = voters.find((voter) => voter.nodeId === nodeId)
  if (self !== undefined) {
    if (self.port === control.advertisedPort || self.port === control.port) return
    throw usageError(
      `controller.quorum.voters says that node ${nodeId} is at port ${self.port}, but its listener ${control.name} has port ${control.port}: make them agree.`,
    )
  }
  if (servers.length === 0) {
    throw usageError(
      `node.id=${nodeId} is not among controller.quorum.voters (${voters.map((v) => v.nodeId).join(', ')}): correct node.id, add ${nodeId}@host:${control.port} on all nodes of a cluster that is yet to be founded, or name controllers of a running one in controller.quorum.bootstrap.servers to join it.`,
    )
  }
  const { advertisedHost, advertisedPort } = control
  if (servers.every(({ host, port }) => host === advertisedHost && port === advertisedPort)) {
    throw usageError(
      `controller.quorum.bootstrap.servers names only this node itself (${advertisedHost}:${advertisedPort}): name controllers of the cluster that it is to join.`,
    )
  }
}

function checkBroker(keys: QuorumKeys, voters: readonly Voter[], servers: readonly Address[]): void {
  const { nodeId } = keys
  if (voters.length === 0 && servers.length === 0) {
    throw usageError(
      'process.roles=broker must know the controllers: name them in controller.quorum.bootstrap.servers, for instance host1:9093,host2:9093,host3:9093.',
    )
  }
  if (voters.some((voter) => voter.nodeId === nodeId)) {
    throw usageError(
      `node.id=${nodeId} is among controller.quorum.voters, but process.roles=broker has no vote: give the broker an id of its own, or write process.roles=broker,controller.`,
    )
  }
  if (keys.autoJoin) {
    throw usageError(
      'controller.quorum.auto.join.enable=true is for controllers, and process.roles=broker is none: take it out.',
    )
  }
}

function parseVoters(value: string): Voter[] {
  const voters = splitList(value).map((voter) => {
    const match = /^(\d+)@(.+)$/.exec(voter)
    const address = parseAddress(match?.[2])
    if (match === null || address === undefined || Number(match[1]) > 2 ** 31 - 1) {
      throw usageError(
        `controller.quorum.voters=${value}: '${voter}' is not a voter. Write id@host:port, as in 1@127.0.0.1:9093.`,
      )
    }
    return { nodeId: Number(match[1]), ...address }
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

function parseServers(value: string): Address[] {
  return splitList(value).map((text) => {
    const address = parseAddress(text)
    if (address !== undefined) return address
    throw usageError(
      `controller.quorum.bootstrap.servers=${value}: '${text}' is not an address. Write host:port, as in 127.0.0.1:9093.`,
    )
  })
}

/** IPv6 in brackets. */
function parseAddress(text: string | undefined): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:/[\]@]+)):(\d+)$/.exec(text ?? '')
  const port = Number(match?.[3])
  return match === null || !isPort(port) ? undefined : { host: (match[1] ?? match[2])!, port }
}
