import type { NodeId } from '../lib/ids.js'
import type { Address } from '../ports/network.js'
import type { QuorumSettings } from './quorum/options.js'

/** One node's start-up configuration, validated. Made by `cli/config` from server.properties, the environment and flags. */
export interface NodeConfig {
  readonly nodeId: NodeId
  readonly rack: string | null
  /** `log.dirs`: one directory for now. */
  readonly logDir: string
  /** Kafka-protocol listeners; none on a dedicated controller. */
  readonly listeners: readonly ListenerConfig[]
  /** `inter.broker.listener.name`. */
  readonly interBrokerListenerName: string
  /** gRPC for peers (`controller.listener.names`), and for inspection: the same unless configured apart. */
  readonly controlListener: ListenerConfig
  readonly inspectListener: ListenerConfig
  /** `process.roles`; absent: both. */
  readonly roles?: NodeRoles
  /** `controller.quorum.voters`: who founds the cluster. Empty where this node only joins one that exists. */
  readonly voters: readonly { readonly nodeId: NodeId; readonly host: string; readonly port: number }[]
  /** `controller.quorum.bootstrap.servers`: where controllers of the cluster listen. */
  readonly bootstrapServers?: readonly Address[]
  /** Kafka's keys as given, for ConfigView and DescribeConfigs: the static broker configuration. */
  readonly properties: ReadonlyMap<string, string>
  /** On top of what the properties say: a simulated life is too short for snapshots at their usual size. */
  readonly quorumSettings?: Partial<QuorumSettings>
}

export interface NodeRoles {
  readonly broker: boolean
  readonly controller: boolean
}

const BOTH: NodeRoles = { broker: true, controller: true }

export function rolesOf(config: NodeConfig): NodeRoles {
  return config.roles ?? BOTH
}

/**
 * The brokers that the configuration names: where the voters are brokers too. With dedicated controllers it names
 * none, and only the registrations tell how many there are.
 */
export function configuredBrokers(config: NodeConfig): NodeId[] {
  const { broker, controller } = rolesOf(config)
  return broker && controller ? config.voters.map((voter) => voter.nodeId) : []
}

export interface ListenerConfig {
  /** In capitals. */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly advertisedHost: string
  readonly advertisedPort: number
  readonly securityProtocol: 'PLAINTEXT'
}
