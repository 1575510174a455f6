import type { PeerMessage } from '../../../src/broker/peer-message.js'
import type { QuorumSettings } from '../../../src/broker/quorum/options.js'
import { QuorumReactor } from '../../../src/broker/quorum/quorum-reactor.js'
import { SeededRandom } from '../../../src/lib/prng.js'
import type { ControllerReply } from '../../../src/metadata/commands.js'
import { supportedFeatures } from '../../../src/metadata/features.js'
import type { MetadataRecord, SupportedFeature } from '../../../src/metadata/records.js'
import { MutableImage } from '../../../src/metadata/replay.js'
import type { Logger } from '../../../src/ports/logger.js'
import type { BatchCodec } from '../../../src/ports/record-codec.js'
import { type SimProcess, SimWorldClock } from '../../sim/clock.js'
import { SimDisk } from '../../sim/disk.js'
import { SimLinks, SimNetwork } from '../../sim/network.js'
import { SimPeerNetwork } from '../../sim/peers.js'
import { SimStore } from '../../sim/store.js'

const codec: BatchCodec<MetadataRecord> = {
  encode: (records) => Buffer.from(JSON.stringify(records)),
  decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()),
  split: (bytes, partBytes) => {
    const records: MetadataRecord[] = JSON.parse(Buffer.from(bytes).toString())
    const perPart = Math.max(1, Math.floor((records.length * partBytes) / bytes.length))
    const count = Math.ceil(records.length / perPart)
    return Array.from({ length: count }, (_, i) =>
      Buffer.from(JSON.stringify(records.slice(i * perPart, (i + 1) * perPart))),
    )
  },
}

/** Keeps the errors, and all that an operator sees by default. */
function loggerTo(errors: string[], logged: string[]): Logger {
  const logger: Logger = {
    debug: () => {},
    info: () => {},
    warn: (_fields, message) => logged.push(message),
    error: (_fields, message) => {
      errors.push(message)
      logged.push(message)
    },
    child: () => logger,
  }
  return logger
}

export const CONTEXT = {
  principal: 'User:ANONYMOUS',
  clientId: 'test',
  clientAddress: 'x',
  listener: 'PLAINTEXT',
}

export interface TestNodeOptions {
  isController?: boolean
  autoJoin?: boolean
  /** Knows the addresses of these nodes in place of the configured voters. */
  bootstrap?: readonly number[]
  /** `controller.quorum.voters`; by default the founders. */
  configured?: readonly number[]
  /** Of the build that it runs. */
  features?: readonly SupportedFeature[]
  host?: string
}

function addressOf(nodeId: number): { host: string; port: number } {
  return { host: `host-${nodeId}`, port: 9093 }
}

/** One node of a test cluster: a disk that outlives its processes, and what its listener was told. */
export class TestNode {
  disk: SimDisk
  store: SimStore
  directoryId: string
  /** As `meta.properties` has it. */
  clusterId: string | undefined
  process: SimProcess | undefined
  reactor: QuorumReactor | undefined
  image = new MutableImage()
  appliedIndex = 0
  leader: number | undefined
  snapshots = 0
  snapshotParts = 0
  readonly errors: string[] = []
  private parts: MetadataRecord[] = []
  lost: string[] = []
  fatal: Error | undefined
  quarantined: string[] = []
  readonly host: string
  readonly logged: string[] = []
  private starts = 0
  /** Of its processes' names. */
  incarnationPrefix: string | undefined

  constructor(
    readonly cluster: TestCluster,
    readonly id: number,
    readonly options: TestNodeOptions,
  ) {
    this.disk = new SimDisk(cluster.world)
    this.store = new SimStore(cluster.world)
    this.directoryId = `dir-${id}`
    this.host = options.host ?? addressOf(id).host
  }

  start(): void {
    const { cluster, id } = this
    const process = cluster.world.process(`node-${id}`)
    this.process = process
    this.disk.attach(process)
    this.store.attach(process)
    this.image = new MutableImage()
    this.appliedIndex = 0
    this.leader = undefined
    const reactor = new QuorumReactor({
      nodeId: id,
      directoryId: this.directoryId,
      incarnationId: `${this.incarnationPrefix ?? this.directoryId}.${++this.starts}`,
      clusterId: this.clusterId,
      voters: this.configured().map((nodeId) => ({
        nodeId,
        ...addressOf(nodeId),
      })),
      bootstrapServers: (this.options.bootstrap ?? []).map(addressOf),
      address: { host: this.host, port: 9093 },
      isController: this.options.isController ?? true,
      autoJoin: this.options.autoJoin ?? false,
      configuredBrokers: cluster.ids,
      properties: new Map(),
      supportedFeatures: this.options.features ?? supportedFeatures(),
      clock: process.clock,
      random: cluster.random.fork(),
      logger: loggerTo(this.errors, this.logged),
      store: this.store,
      disk: this.disk,
      directory: 'raft',
      codec,
      openPeers: (handler, self) => cluster.peers.transport(id, this.host, process, handler, self),
      quarantine: (reason, done) => {
        this.quarantined.push(reason)
        this.store = new SimStore(cluster.world)
        this.store.attach(process)
        if (this.disk.exists('raft')) this.disk.rename('raft', `raft.quarantined.${this.quarantined.length}`)
        this.directoryId = `${this.directoryId}+`
        done({ store: this.store, directoryId: this.directoryId })
      },
      fatal: (error) => {
        this.fatal = error
        process.kill()
      },
      settings: cluster.settings,
    })
    this.reactor = reactor
    reactor.start(
      {
        onSnapshotBegun: () => {
          this.parts = []
        },
        onSnapshotPart: (records) => {
          this.parts.push(...records)
          this.snapshotParts++
        },
        onSnapshot: (records, index) => {
          this.snapshots++
          this.image = MutableImage.replay([...this.parts, ...records])
          this.parts = []
          this.clusterId ??= this.image.clusterId || undefined
          this.appliedIndex = index
        },
        onCommitted: (records, index) => {
          for (const record of records) {
            this.image.apply(record)
            if (record.type === 'configRecord') cluster.noteCommitted(index, record.value ?? '')
            if (record.type === 'clusterRecord') this.clusterId = record.clusterId
          }
          this.appliedIndex = index
        },
        onLeader: (leader) => {
          this.leader = leader
        },
        onPeerLost: (peer, dead) => this.lost.push(`${peer}${dead ? ' dead' : ''}`),
      },
      () => {},
    )
  }

  private configured(): readonly number[] {
    const { configured, bootstrap } = this.options
    return configured ?? (bootstrap === undefined ? this.cluster.ids : [])
  }

  /** The process that this node takes for that peer. */
  connectedIncarnation(peer: number): string | undefined {
    return this.cluster.peers.hosts.get(this.host)?.incarnationOf(peer)
  }

  get isRunning(): boolean {
    return this.process?.state === 'running'
  }

  kill(): void {
    this.process?.kill()
    this.disk.crash()
    this.store.crash()
  }

  wipe(directoryId: string): void {
    this.disk.wipe()
    this.store.wipe()
    this.directoryId = directoryId
    this.clusterId = undefined
  }

  register(incarnationId = `incarnation-${this.id}`): TestReply {
    return this.submit({
      type: 'registerBroker',
      brokerId: this.id,
      clusterId: this.reactor!.status().clusterId!,
      incarnationId,
      directoryIds: [this.directoryId],
      endpoints: [{ name: 'PLAINTEXT', host: `host-${this.id}`, port: 9092, securityProtocol: 'PLAINTEXT' }],
      features: supportedFeatures(),
    })
  }

  setConfig(name: string, value: string, resourceName = ''): TestReply {
    return this.submit({
      type: 'alterConfigs',
      validateOnly: false,
      replaceAll: false,
      resources: [{ resourceType: 'broker', resourceName, operations: [{ name, operation: 'set', value }] }],
    })
  }

  /** A broker's own command. */
  beat(): TestReply {
    const result: TestReply = { reply: undefined }
    const context = { ...CONTEXT, principal: `Broker:${this.id}` }
    const command = {
      type: 'brokerHeartbeat' as const,
      brokerId: this.id,
      brokerEpoch: 0,
      appliedIndex: 0,
      wantFence: true,
      wantShutDown: false,
      quarantined: [],
    }
    this.reactor!.submit(command, context, 5000, (reply) => {
      result.reply = reply
    })
    return result
  }

  submit(command: Parameters<QuorumReactor['submit']>[0], timeoutMs = 5000): TestReply {
    const result: TestReply = { reply: undefined }
    result.callOff = this.reactor!.submit(command, CONTEXT, timeoutMs, (reply) => {
      result.reply = reply
    })
    return result
  }
}

export interface TestReply {
  reply: ControllerReply | undefined
  callOff?: () => void
}

export class TestCluster {
  readonly world = new SimWorldClock()
  readonly random: SeededRandom
  readonly links: SimLinks
  readonly peers: SimPeerNetwork<PeerMessage>
  readonly nodes: TestNode[]

  constructor(
    readonly ids: readonly number[],
    seed = 1,
    readonly settings: Partial<QuorumSettings> = {},
  ) {
    this.random = new SeededRandom(seed)
    this.links = new SimLinks(this.random.fork())
    this.peers = new SimPeerNetwork(new SimNetwork(this.world, this.links))
    this.nodes = ids.map((id) => new TestNode(this, id, {}))
  }

  /** Values of configurations that any node was told of as committed, and the newest of them. */
  readonly committedValues = new Set<string>()
  newest = { index: 0, value: '' }

  noteCommitted(index: number, value: string): void {
    this.committedValues.add(value)
    if (index >= this.newest.index) this.newest = { index, value }
  }

  node(id: number): TestNode {
    return this.nodes.find((node) => node.id === id)!
  }

  /** One that the configuration of the others does not name. */
  add(id: number, options: TestNodeOptions = {}): TestNode {
    const node = new TestNode(this, id, options)
    this.nodes.push(node)
    return node
  }

  startAll(): void {
    for (const node of this.nodes) node.start()
  }

  /** The one running node that acts as the controller. */
  leader(): TestNode | undefined {
    return this.nodes.find(
      (node) =>
        node.process?.state === 'running' &&
        node.leader === node.id &&
        node.reactor?.status().role === 'leader',
    )
  }

  until(condition: () => boolean, limitMs = 10_000): number {
    const from = this.world.nowMs
    if (!this.world.runUntilTrue(condition, limitMs)) {
      const states = this.nodes.map((node) => JSON.stringify(node.reactor?.status()))
      throw new Error(`not within ${limitMs} ms:\n${states.join('\n')}`)
    }
    return this.world.nowMs - from
  }

  /** Every running node follows one active controller. */
  untilLed(limitMs = 10_000): TestNode {
    this.until(() => {
      const leader = this.leader()
      const running = this.nodes.filter((node) => node.process?.state === 'running')
      return leader !== undefined && running.every((node) => node.leader === leader.id)
    }, limitMs)
    return this.leader()!
  }

  reply(result: TestReply, limitMs = 10_000): ControllerReply {
    this.until(() => result.reply !== undefined, limitMs)
    return result.reply!
  }
}
