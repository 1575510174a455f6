import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClusterTopic, KafkaClient } from '../../src/adapters/kafka-client/index.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { freeBasePort } from '../support/cluster.js'
import { ProcessNode, type Roles, until } from './process-node.js'

export { type Exit, ProcessNode, type Roles, until } from './process-node.js'

const PORT_STEP = 100

export interface ProcessClusterOptions {
  /** `key=value`, for every node. */
  readonly overrides?: readonly string[]
  /** Combined nodes (default 3): ids from 1 on, all of them voters. */
  readonly nodes?: number
  /** Dedicated ones instead: the controllers have the ids from 1 on, the brokers those after them. */
  readonly controllers?: number
  readonly brokers?: number
}

/** `addNode` has room for so many. */
const SPARE_NODES = 3

/**
 * Processes of `kogge start`, each of which the test itself starts, kills, stops and wipes: what `kogge dev` does
 * between a death and the next start would be one supervisor's choice only.
 */
export class ProcessCluster {
  readonly nodes: ProcessNode[]
  /** Of the nodes that the cluster began with. */
  readonly bootstrap: string
  readonly client: KafkaClient
  private readonly founders: readonly ProcessNode[]
  private readonly twins: ProcessNode[] = []

  private constructor(
    readonly directory: string,
    private readonly port: number,
    private readonly options: ProcessClusterOptions,
  ) {
    const { controllers = 0, brokers = 0, overrides = [] } = options
    const isDedicated = controllers + brokers > 0
    const count = sizeOf(options)
    const ids = Array.from({ length: count }, (_, i) => i + 1)
    const voterIds = isDedicated ? ids.slice(0, controllers) : ids
    const voters = voterIds.map((id) => `${id}@127.0.0.1:${portOf(port, id) + 1}`).join(',')
    this.nodes = ids.map((id) => {
      const roles = isDedicated ? (id <= controllers ? 'controller' : 'broker') : 'broker,controller'
      const node = new ProcessNode(id, roles, portOf(port, id), join(directory, `node-${id}`), overrides)
      const replicas = Math.min(3, brokers)
      const dedicated = [
        `default.replication.factor=${replicas}`,
        `offsets.topic.replication.factor=${replicas}`,
      ]
      node.configure([`controller.quorum.voters=${voters}`, ...(isDedicated ? dedicated : [])])
      return node
    })
    this.founders = this.nodes.filter((node) => node.isController)
    this.bootstrap = this.brokers.map((node) => `127.0.0.1:${node.kafkaPort}`).join(',')
    this.client = new KafkaClient({
      bootstrap: this.brokers.map((node) => ({ host: '127.0.0.1', port: node.kafkaPort })),
      clientId: 'chaos',
      connectTimeoutMs: 1_000,
      requestTimeoutMs: 3_000,
    })
  }

  /** With the role of a broker, dedicated or not. */
  get brokers(): ProcessNode[] {
    return this.nodes.filter((node) => node.isBroker)
  }

  /** With the role of a controller, dedicated or not; voters or not. */
  get controllers(): ProcessNode[] {
    return this.nodes.filter((node) => node.isController)
  }

  /**
   * One more node, not started, with the next id. It knows the first controllers by bootstrap servers, and is no
   * configured voter of anybody's: a broker registers by itself, a controller follows until it is made a voter.
   */
  addNode(roles: Roles, overrides: readonly string[] = []): ProcessNode {
    const id = this.nodes.length + 1
    if (id > sizeOf(this.options) + SPARE_NODES)
      throw new Error(`no more than ${SPARE_NODES} nodes can be added`)
    const all = [...(this.options.overrides ?? []), ...overrides]
    const node = new ProcessNode(id, roles, portOf(this.port, id), join(this.directory, `node-${id}`), all)
    const servers = this.founders.map((founder) => `127.0.0.1:${founder.grpcPort}`).join(',')
    node.configure([`controller.quorum.bootstrap.servers=${servers}`])
    this.nodes.push(node)
    return node
  }

  /** Another machine with the id of node `id`, not started: a disk and ports of its own. `node(id)` stays the first. */
  addTwin(id: number): ProcessNode {
    const { roles } = this.node(id)
    const port = portOf(this.port, sizeOf(this.options) + SPARE_NODES - this.twins.length)
    const directory = join(this.directory, `node-${id}-twin-${this.twins.length}`)
    const node = new ProcessNode(id, roles, port, directory, this.options.overrides ?? [])
    const others = this.founders.filter((founder) => founder.id !== id)
    const servers = others.map((founder) => `127.0.0.1:${founder.grpcPort}`).join(',')
    node.configure([`controller.quorum.bootstrap.servers=${servers}`])
    this.twins.push(node)
    return node
  }

  /** Starts all and waits until every broker is unfenced. */
  static async start(options: ProcessClusterOptions = {}): Promise<ProcessCluster> {
    const directory = mkdtempSync(join(tmpdir(), 'kogge-chaos-'))
    const port = await freeBasePort(sizeOf(options) + SPARE_NODES)
    const cluster = new ProcessCluster(directory, port, options)
    for (const node of cluster.nodes) node.start()
    await cluster.waitForBrokers(cluster.brokers.length)
    return cluster
  }

  node(id: number): ProcessNode {
    return this.nodes[id - 1]!
  }

  /** Ends what still runs and deletes the directory. */
  async close(): Promise<void> {
    this.client.close()
    const all = [...this.nodes, ...this.twins]
    await Promise.all(all.map((node) => node.kill()))
    for (const node of all) node.closeInspection()
    if (process.env.KOGGE_CHAOS_KEEP === undefined) rmSync(this.directory, { recursive: true, force: true })
    else console.log(`kept: ${this.directory}`)
  }

  async createTopic(
    name: string,
    partitions = 1,
    configs: Readonly<Record<string, string>> = {},
    replicas = Math.min(3, this.brokers.length),
  ): Promise<void> {
    await this.client.retrying(async () => {
      const answer = await this.client.request(CreateTopics, {
        topics: [
          {
            name,
            numPartitions: partitions,
            replicationFactor: replicas,
            assignments: [],
            configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
          },
        ],
        timeoutMs: 10_000,
      })
      const { errorCode, errorMessage } = answer.topics[0]!
      if (errorCode !== 0 && errorCode !== ErrorCode.TOPIC_ALREADY_EXISTS)
        throw new Error(`topic ${name}: ${errorMessage} (${errorCode})`)
    })
    await this.waitForFullIsr(name)
  }

  async waitForBrokers(count: number, timeoutMs = 30_000): Promise<void> {
    await until(
      `${count} brokers are unfenced`,
      async () => {
        const statuses = await Promise.all(this.nodes.filter((node) => node.isRunning).map((n) => n.status()))
        return statuses.filter(({ broker }) => broker.state === 'running').length === count
      },
      timeoutMs,
    )
  }

  /** Every partition of the topic has all its replicas in sync, whichever node is asked. */
  async waitForFullIsr(topic: string, timeoutMs = 30_000): Promise<ClusterTopic> {
    let found: ClusterTopic | undefined
    await until(
      `every replica of ${topic} is in sync`,
      async () => {
        found = await this.client.topic(topic)
        return found.partitions.every((p) => p.isr.length === p.replicas.length && p.leader > 0)
      },
      timeoutMs,
    )
    return found!
  }

  async leaderOf(topic: string, partition = 0): Promise<number> {
    return (await this.client.topic(topic)).partitions[partition]!.leader
  }

  /** The Raft leader, when all living nodes agree on it. */
  async raftLeader(timeoutMs = 15_000): Promise<number> {
    let leader = 0
    await until(
      'the nodes agree on a Raft leader',
      async () => {
        const living = this.nodes.filter((node) => node.isRunning)
        const statuses = await Promise.all(living.map((node) => node.status()))
        const named = new Set(statuses.map(({ quorum }) => quorum.leader))
        leader = [...named][0] ?? 0
        return named.size === 1 && leader > 0
      },
      timeoutMs,
    )
    return leader
  }

  /** Ids in order, when every running node names the same voters, by their directories. */
  async waitForVoters(ids: readonly number[], timeoutMs = 30_000): Promise<void> {
    const wanted = [...ids].sort((a, b) => a - b).join()
    await until(
      `the voters are ${wanted}`,
      async () => {
        const statuses = await Promise.all(this.nodes.filter((node) => node.isRunning).map((n) => n.status()))
        const directories = new Map(statuses.map(({ quorum }) => [quorum.nodeId, quorum.directoryId]))
        return statuses.every(({ quorum }) => {
          const isCurrent = quorum.voters.every(
            (v) => (directories.get(v.nodeId) ?? v.directoryId) === v.directoryId,
          )
          const named = quorum.voters.map((voter) => voter.nodeId).sort((a, b) => a - b)
          return isCurrent && named.join() === wanted
        })
      },
      timeoutMs,
    )
  }

  async moveRaftLeaderTo(target: number): Promise<void> {
    for (let tries = 0; ; tries++) {
      const leader = await this.raftLeader()
      if (leader === target) return
      if (tries >= 10) throw new Error(`node ${target} did not become the Raft leader`)
      // Refused while another transfer is under way; the next turn tells.
      await this.node(leader)
        .transferLeadership(target)
        .catch(() => undefined)
      await sleep(200)
    }
  }
}

function sizeOf({ nodes = 3, controllers = 0, brokers = 0 }: ProcessClusterOptions): number {
  return controllers + brokers || nodes
}

function portOf(base: number, id: number): number {
  return base + PORT_STEP * (id - 1)
}
