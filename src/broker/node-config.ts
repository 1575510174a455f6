import type { NodeId } from '../lib/ids.js'
import type { QuorumSettings } from './quorum/options.js'

/** One node's start-up configuration, validated. Made by `cli/config` from server.properties, the environment and flags. */
export interface NodeConfig {
  readonly nodeId: NodeId
  readonly rack: string | null
  /** `log.dirs`: one directory for now. */
  readonly logDir: string
  /** Kafka-protocol listeners. */
  readonly listeners: readonly ListenerConfig[]
  /** `inter.broker.listener.name`. */
  readonly interBrokerListenerName: string
  /** gRPC for peers (`controller.listener.names`), and for inspection: the same unless configured apart. */
  readonly controlListener: ListenerConfig
  readonly inspectListener: ListenerConfig
  /** `controller.quorum.voters`. */
  readonly voters: readonly { readonly nodeId: NodeId; readonly host: string; readonly port: number }[]
  /** Kafka's keys as given, for ConfigView and DescribeConfigs: the static broker configuration. */
  readonly properties: ReadonlyMap<string, string>
  /** On top of what the properties say: a simulated life is too short for snapshots at their usual size. */
  readonly quorumSettings?: Partial<QuorumSettings>
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
