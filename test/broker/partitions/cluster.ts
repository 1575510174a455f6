import { BrokerMetadataCache } from '../../../src/broker/metadata-cache.js'
import { RequestDispatcher } from '../../../src/broker/network/dispatcher.js'
import { KafkaServer } from '../../../src/broker/network/kafka-server.js'
import type { NodeConfig } from '../../../src/broker/node-config.js'
import { logConfigOf } from '../../../src/broker/partitions/log-config.js'
import { PartitionManager } from '../../../src/broker/partitions/partition-manager.js'
import type { PartitionStatus } from '../../../src/broker/partitions/types.js'
import type { QuorumHandle } from '../../../src/broker/quorum/handle.js'
import { fetchHandler } from '../../../src/broker/requests/fetch.js'
import { listOffsetsHandler } from '../../../src/broker/requests/list-offsets.js'
import { produceHandler } from '../../../src/broker/requests/produce.js'
import type { AppendResult, BrokerServices } from '../../../src/broker/services.js'
import { ZERO_UUID } from '../../../src/lib/ids.js'
import { SeededRandom } from '../../../src/lib/prng.js'
import { DEFAULT_LOG_MANAGER_CONFIG, LogManager } from '../../../src/log/log-manager.js'
import type { AlterPartition, AlterPartitionResult } from '../../../src/metadata/commands.js'
import { ConfigView } from '../../../src/metadata/configs.js'
import type { MetadataRecord } from '../../../src/metadata/records.js'
import { MutableImage, partitionRecord } from '../../../src/metadata/replay.js'
import type { Logger } from '../../../src/ports/logger.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { type BatchOptions, buildBatch } from '../../../src/wire/records.js'
import { SimConnection } from '../../sim/client.js'
import { type SimProcess, SimWorldClock } from '../../sim/clock.js'
import { SimDisk } from '../../sim/disk.js'
import { SimLinks, SimNetwork } from '../../sim/network.js'

export const TOPIC = 'orders'
export const TOPIC_ID = 'T3JkZXJzT3JkZXJzT3JkZQ'
const PORT = 9092

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }

/** A batch of `values.length` records. */
export function batch(values: readonly string[], options: BatchOptions = {}): Uint8Array {
  return buildBatch(
    values.map((value) => ({ key: null, value: Buffer.from(value), timestamp: 1_767_225_600_000 })),
    options,
  )
}

/**
 * Brokers that have partitions and nothing else: real logs on simulated disks, the real Kafka server and codecs
 * between them, and a controller that is the test itself. `image` is what the controller has committed.
 */
export class Cluster {
  readonly clock = new SimWorldClock()
  readonly links = new SimLinks(new SeededRandom(1))
  readonly network = new SimNetwork(this.clock, this.links)
  readonly image = new MutableImage()
  readonly nodes = new Map<number, Broker>()
  readonly history: MetadataRecord[] = []
  /** Nodes that hear nothing of the controller for now. */
  readonly deaf = new Set<number>()
  private registrations = 0
  alterPartitionRequests: AlterPartition[] = []
  /** Leaders whose connections broke, as followers said. */
  readonly lostLeaders: number[] = []

  constructor(
    readonly ids: readonly number[] = [1, 2, 3],
    readonly topicConfig: Record<string, string> = { 'min.insync.replicas': '2' },
  ) {
    for (const id of ids) {
      this.nodes.set(id, new Broker(id, this))
      this.nodes.get(id)!.start()
    }
    this.clock.runFor(20)
    this.commit(...ids.map((id) => this.registration(id)))
  }

  node(id: number): Broker {
    return this.nodes.get(id)!
  }

  /** A new registration, which the broker knows of at once. */
  registration(id: number): MetadataRecord {
    this.node(id).brokerEpoch = this.image.nextBrokerEpoch + this.registrations++
    return {
      type: 'registerBrokerRecord',
      brokerId: id,
      brokerEpoch: this.node(id).brokerEpoch,
      incarnationId: TOPIC_ID,
      directoryIds: [TOPIC_ID],
      endpoints: [{ name: 'PLAINTEXT', host: `node-${id}`, port: PORT, securityProtocol: 'PLAINTEXT' }],
      features: [],
      fenced: false,
      inControlledShutdown: false,
    }
  }

  createTopic(leader: number, isr: readonly number[] = this.ids): void {
    this.commit(
      ...Object.entries(this.topicConfig).map(
        ([name, value]) =>
          ({ type: 'configRecord', resourceType: 'topic', resourceName: TOPIC, name, value }) as const,
      ),
      { type: 'topicRecord', name: TOPIC, topicId: TOPIC_ID },
      {
        type: 'partitionRecord',
        topicId: TOPIC_ID,
        partitionId: 0,
        replicas: [...this.ids],
        directories: this.ids.map(() => TOPIC_ID),
        isr: [...isr],
        elr: [],
        lastKnownElr: [],
        addingReplicas: [],
        removingReplicas: [],
        leader,
        leaderRecovering: false,
        leaderEpoch: 0,
        partitionEpoch: 0,
      },
    )
  }

  elect(leader: number, isr: readonly number[]): void {
    this.commit({
      type: 'partitionChangeRecord',
      topicId: TOPIC_ID,
      partitionId: 0,
      leader,
      isr: { nodes: [...isr] },
    })
  }

  /** What the controller makes of a heartbeat that names this replica as damaged. */
  drop(id: number): void {
    const partition = this.image.topicsById.get(TOPIC_ID)!.partitions[0]!
    const { replicas, directories, isr, partitionEpoch } = partition
    this.commit({
      ...partitionRecord(TOPIC_ID, 0, partition),
      isr: isr.filter((member) => member !== id),
      directories: directories.map((directory, i) => (replicas[i] === id ? ZERO_UUID : directory)),
      partitionEpoch: partitionEpoch + 1,
    })
  }

  commit(...records: MetadataRecord[]): void {
    for (const record of records) this.image.apply(record)
    this.history.push(...records)
    for (const node of this.nodes.values()) if (!this.deaf.has(node.id)) node.catchUp()
  }

  alterPartition(asked: AlterPartition): AlterPartitionResult {
    this.alterPartitionRequests.push(asked)
    const partition = this.image.topicsById.get(asked.topicId)!.partitions[asked.partitionId]!
    let errorCode: number = ErrorCode.NONE
    if (asked.leaderEpoch !== partition.leaderEpoch) errorCode = ErrorCode.FENCED_LEADER_EPOCH
    else if (asked.partitionEpoch !== partition.partitionEpoch) errorCode = ErrorCode.INVALID_UPDATE_VERSION
    else if (asked.newIsr.some(({ brokerId, brokerEpoch }) => !this.isEligible(brokerId, brokerEpoch))) {
      errorCode = ErrorCode.INELIGIBLE_REPLICA
    } else {
      this.commit({
        type: 'partitionChangeRecord',
        topicId: asked.topicId,
        partitionId: asked.partitionId,
        isr: { nodes: asked.newIsr.map(({ brokerId }) => brokerId) },
      })
    }
    const now = this.image.topicsById.get(asked.topicId)!.partitions[asked.partitionId]!
    const { topicId, partitionId } = asked
    const { leader, leaderEpoch, isr, partitionEpoch } = now
    return {
      topicId,
      partitionId,
      errorCode,
      leader,
      leaderEpoch,
      isr: [...isr],
      partitionEpoch,
      leaderRecovering: false,
    }
  }

  fence(id: number, fenced = true): void {
    const brokerEpoch = this.node(id).brokerEpoch
    this.commit({ type: 'brokerRegistrationChangeRecord', brokerId: id, brokerEpoch, fenced })
  }

  run(ms: number): void {
    this.clock.runFor(ms)
  }

  private isEligible(id: number, epoch: number): boolean {
    const broker = this.image.brokers.get(id)
    return broker !== undefined && !broker.fenced && broker.epoch === epoch
  }
}

export class Broker {
  readonly disk: SimDisk
  brokerEpoch = 0
  partitions!: PartitionManager
  logs!: LogManager
  process!: SimProcess
  private cache!: BrokerMetadataCache
  private applied = 0

  constructor(
    readonly id: number,
    private readonly cluster: Cluster,
  ) {
    this.disk = new SimDisk(cluster.clock)
  }

  get status(): PartitionStatus {
    return this.partitions.list()[0]!
  }

  start(): void {
    const { cluster } = this
    this.brokerEpoch = 0
    this.applied = 0
    this.process = cluster.clock.process(`node-${this.id}`)
    this.disk.attach(this.process)
    const { clock } = this.process
    const config = this.config()
    this.cache = new BrokerMetadataCache(clock)
    const configs = new ConfigView({
      nodeId: this.id,
      properties: config.properties,
      configuredBrokers: 3,
      image: () => this.cache.image,
    })
    this.logs = new LogManager({
      disk: this.disk,
      clock,
      logger: silent,
      config: DEFAULT_LOG_MANAGER_CONFIG,
      highWatermarkOf: (topicId, partition) => this.partitions.highWatermark(topicId, partition),
      onOffline: (error) => this.partitions.onLogsOffline(error),
      onQuarantined: (log) => this.partitions.onQuarantined(log),
    })
    const endpoint = cluster.network.endpoint(this.process, `node-${this.id}`)
    const services = {
      config,
      clock,
      random: new SeededRandom(this.id),
      logger: silent,
      compression: {
        decompress: (_: number, bytes: Uint8Array) => bytes,
        compress: (_: number, bytes: Uint8Array) => bytes,
      },
      dialer: endpoint,
      quorum: this.quorum(),
      metadata: this.cache,
      configs,
      logs: this.logs,
      brokerEpoch: () => this.brokerEpoch,
      isServing: () => true,
      onLeaderLost: (leader: number) => void cluster.lostLeaders.push(leader),
      isCutOff: () => cluster.deaf.has(this.id),
    }
    this.partitions = new PartitionManager(services)
    const handlers = { ...services, partitions: this.partitions } as unknown as BrokerServices
    const server = new KafkaServer({
      listeners: config.listeners,
      interBrokerListenerName: 'PLAINTEXT',
      clock,
      logger: silent,
      listener: endpoint,
      dispatcher: new RequestDispatcher(
        [produceHandler(handlers), fetchHandler(handlers), listOffsetsHandler(handlers)],
        silent,
      ),
      limits: {
        maxFrameBytes: 1 << 27,
        maxInflightRequests: 64,
        maxUnsentBytes: 1 << 26,
        maxConnections: 100,
        maxConnectionsPerIp: 100,
        maxIdleMs: 600_000,
      },
    })
    server.bind(() => server.open())
    this.logs.open(
      (topic) => logConfigOf(configs.topic(topic)),
      () => {
        this.cache.onChange((change) => this.partitions.onMetadata(change))
        this.catchUp()
      },
    )
  }

  /** Applies what the controller has committed since. */
  catchUp(): void {
    const records = this.cluster.history.slice(this.applied)
    this.applied = this.cluster.history.length
    if (records.length > 0) this.process.schedule(0, () => this.cache.applyCommitted(records, this.applied))
  }

  /** The same as all records so far, in one piece. */
  applySnapshot(): void {
    const { history } = this.cluster
    this.applied = history.length
    this.process.schedule(0, () => this.cache.applySnapshot(history, this.applied))
  }

  kill(): void {
    this.process.kill()
    this.disk.crash()
  }

  append(
    records: Uint8Array,
    options: { acks?: -1 | 0 | 1; timeoutMs?: number } = {},
  ): { result: AppendResult | null } {
    const outcome: { result: AppendResult | null } = { result: null }
    const { acks = -1, timeoutMs = 5_000 } = options
    const asked = { requiredAcks: acks, timeoutMs, origin: 'client' } as const
    this.process.schedule(0, () => {
      this.partitions.appendAsLeader(TOPIC_ID, 0, records, asked, (result) => {
        if (outcome.result !== null) throw new Error('answered twice')
        outcome.result = result
      })
    })
    return outcome
  }

  connect(): SimConnection {
    const process = this.cluster.clock.process('client')
    const dialer = this.cluster.network.endpoint(process, 'client')
    return new SimConnection(dialer, { host: `node-${this.id}`, port: PORT }, 'client')
  }

  private quorum(): QuorumHandle {
    return {
      submit: (command, _context, _timeoutMs, done) => {
        if (command.type !== 'alterPartitions') throw new Error(`unexpected ${command.type}`)
        const callOff = (): void => {}
        if (this.cluster.deaf.has(this.id)) return callOff
        this.process.schedule(1, () => {
          const partitions = command.partitions.map((asked) => this.cluster.alterPartition(asked))
          this.process.schedule(1, () => done({ type: 'alterPartitions', errorCode: 0, partitions }))
        })
        return callOff
      },
      status: () => {
        throw new Error('not asked for here')
      },
    }
  }

  private config(): NodeConfig {
    const listener = {
      name: 'PLAINTEXT',
      host: `node-${this.id}`,
      port: PORT,
      advertisedHost: `node-${this.id}`,
      advertisedPort: PORT,
      securityProtocol: 'PLAINTEXT' as const,
    }
    return {
      nodeId: this.id,
      rack: null,
      logDir: '/',
      listeners: [listener],
      interBrokerListenerName: 'PLAINTEXT',
      controlListener: listener,
      inspectListener: listener,
      voters: [],
      properties: new Map(),
    }
  }
}
