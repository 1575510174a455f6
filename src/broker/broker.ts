import type { NodeId, Uuid } from '../lib/ids.js'
import { randomUuid } from '../lib/prng.js'
import { LogManager, type LogManagerConfig } from '../log/log-manager.js'
import { ConfigView } from '../metadata/configs.js'
import { supportedFeatures, unsupportedFeature } from '../metadata/features.js'
import type { MetadataRecord } from '../metadata/records.js'
import type { Clock } from '../ports/clock.js'
import type { Compression } from '../ports/compression.js'
import type { Disk } from '../ports/disk.js'
import type { Logger } from '../ports/logger.js'
import type { Dialer, Listener } from '../ports/network.js'
import type { OrderedStore } from '../ports/ordered-store.js'
import type { PeerHandler, PeerIdentity, PeerTransport } from '../ports/peers.js'
import type { Random } from '../ports/random.js'
import type { BatchCodec } from '../ports/record-codec.js'
import { GroupCoordinatorRuntime } from './coordinators/group-runtime.js'
import { BrokerLifecycle } from './lifecycle.js'
import { BrokerMetadataCache } from './metadata-cache.js'
import { RequestDispatcher } from './network/dispatcher.js'
import { KafkaServer } from './network/kafka-server.js'
import { configuredBrokers, type NodeConfig, rolesOf } from './node-config.js'
import { NodeStorage, RAFT_DIRECTORY } from './node-storage.js'
import { logConfigOf } from './partitions/log-config.js'
import { PartitionManager } from './partitions/partition-manager.js'
import type { PeerMessage } from './peer-message.js'
import { PostMortems } from './post-mortems/post-mortems.js'
import type { QuorumControl } from './quorum/options.js'
import { QuorumReactor } from './quorum/quorum-reactor.js'
import { allHandlers } from './requests/index.js'
import type { BrokerServices, MetadataChange } from './services.js'
import { limitsOf, logManagerConfigOf, quorumSettingsOf } from './settings.js'

/** The world, as one node sees it. */
export interface NodePorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly disk: Disk
  readonly dialer: Dialer
  readonly listener: Listener
  readonly compression: Compression
  readonly recordCodec: BatchCodec<MetadataRecord>
  /**
   * Opens the ordered store in a directory of the disk; without `createIfMissing` a missing one is damage. An error
   * that is no StoreError with `isDamaged` ends the start and leaves everything as it is.
   */
  openStore(
    directory: string,
    options: { createIfMissing: boolean },
    done: (error: Error | null, store: OrderedStore | null) => void,
  ): void
  openPeers(handler: PeerHandler<PeerMessage>, self: PeerIdentity): PeerTransport<PeerMessage>
}

/** none: a dedicated controller. */
export type BrokerState =
  | 'none'
  | 'starting'
  | 'recovering'
  | 'fenced'
  | 'running'
  | 'controlledShutdown'
  | 'stopped'

/**
 * One node: the quorum reactor and the broker reactor, joined to their ports. The same class runs over sockets and
 * disks and in the simulation. Everything happens in callbacks of the ports, each handled to completion.
 */
export class KoggeNode {
  readonly services: BrokerServices
  /** Of the last changes of leadership. */
  readonly postMortems: PostMortems
  private readonly cache: BrokerMetadataCache
  private readonly server: KafkaServer
  private readonly logs: LogManager
  private readonly partitions: PartitionManager
  private readonly groups: GroupCoordinatorRuntime
  private readonly storage: NodeStorage
  /** Of this process: towards its peers and the controller. */
  private readonly incarnationId: Uuid
  private quorumReactor: QuorumControl | null = null
  private lifecycle: BrokerLifecycle | null = null
  private logsReady = false
  private serverOpen = false
  private brokerState: BrokerState

  /**
   * @param onFatal called once where the node cannot go on: a failed sync, a damaged disk. The process must stop.
   * @throws MetaPropertiesError, DiskError where the data directory cannot be used
   */
  constructor(
    readonly config: NodeConfig,
    private readonly ports: NodePorts,
    private readonly onFatal: (error: Error) => void,
  ) {
    this.brokerState = rolesOf(config).broker ? 'starting' : 'none'
    this.storage = new NodeStorage(config, ports, (error) => this.fail(error))
    const { clock, random, logger, compression, dialer } = ports
    this.incarnationId = randomUuid(random)
    this.postMortems = new PostMortems(
      config.nodeId,
      clock,
      POST_MORTEMS,
      (peer) => this.quorumReactor?.lastHeardMs(peer),
      () => this.isCaughtUp(),
    )
    this.cache = new BrokerMetadataCache(clock, (record, image) => this.postMortems.onRecord(record, image))
    const configs = new ConfigView({
      nodeId: config.nodeId,
      properties: config.properties,
      configuredBrokers: configuredBrokers(config).length,
      image: () => this.cache.image,
    })
    this.logs = this.makeLogManager(logManagerConfigOf(configs))
    const late = {
      config,
      clock,
      random,
      logger,
      compression,
      dialer,
      configs,
      logs: this.logs,
      metadata: this.cache,
      quorum: {
        submit: (...call: Parameters<QuorumControl['submit']>) => this.quorum.submit(...call),
        status: () => this.quorum.status(),
      },
      brokerEpoch: () => this.lifecycle?.brokerEpoch ?? 0,
      isServing: () => this.lifecycle?.isUnfenced() ?? false,
      onLeaderLost: (leader: NodeId) => this.cache.suspect(leader),
      isCutOff: () => this.lifecycle?.isCutOff() ?? true,
    }
    this.partitions = new PartitionManager(late)
    this.groups = new GroupCoordinatorRuntime({ ...late, partitions: this.partitions })
    this.services = { ...late, partitions: this.partitions, groups: this.groups }
    this.cache.onChange((change) => this.onMetadata(change))
    if (this.isBroker) this.groups.start()
    this.server = new KafkaServer({
      listeners: config.listeners,
      interBrokerListenerName: config.interBrokerListenerName,
      clock,
      logger: logger.child({ component: 'network' }),
      listener: ports.listener,
      dispatcher: new RequestDispatcher(allHandlers(this.services), logger.child({ component: 'requests' })),
      limits: limitsOf(configs),
    })
  }

  /** Else a dedicated controller: no data plane, no listener for clients. */
  private get isBroker(): boolean {
    return rolesOf(this.config).broker
  }

  get state(): BrokerState {
    return this.brokerState
  }

  /** Null before `start` got so far. */
  get startedQuorum(): QuorumControl | null {
    return this.quorumReactor
  }

  get quorum(): QuorumControl {
    if (this.quorumReactor === null) throw new Error('the quorum has not been started')
    return this.quorumReactor
  }

  /** Binds, loads and joins. `started` comes when the ports are bound and the local state is read; serving comes later. */
  start(started: (error: Error | null) => void): void {
    if (!this.isBroker) return this.openRaftStore(started)
    this.server.bind((error) => {
      if (error !== null) started(error)
      else this.openRaftStore(started)
    })
  }

  /** Hands over what it leads, then stops cleanly; all within `timeoutMs`. */
  stop(timeoutMs: number, done: () => void): void {
    if (this.brokerState === 'stopped') return done()
    const { clock, logger } = this.ports
    this.brokerState = 'controlledShutdown'
    let finished = false
    const finish = (how: string): void => {
      if (finished) return
      finished = true
      deadline.cancel()
      logger.info({}, how)
      this.close()
      done()
    }
    const deadline = clock.after(timeoutMs, () => finish('stopped before everything was handed over'))
    const handOver = (next: () => void): void =>
      this.lifecycle === null ? next() : this.lifecycle.shutDown(timeoutMs * HAND_OVER_SHARE, next)
    handOver(() => this.leaveQuorum(() => this.closeLogs(finish)))
  }

  private leaveQuorum(next: () => void): void {
    if (this.quorumReactor === null) next()
    else this.quorumReactor.prepareStop(next)
  }

  private closeLogs(finish: (how: string) => void): void {
    if (!this.isBroker) return finish('stopped')
    this.partitions.prepareShutdown()
    this.groups.stop()
    this.partitions.close(() =>
      this.logs.close((error) => finish(error === null ? 'stopped' : `stopped: ${error.message}`)),
    )
  }

  /** Ends at once, as a crash would, but for sockets and files. */
  close(): void {
    this.brokerState = 'stopped'
    this.lifecycle?.stop()
    this.server.close()
    this.quorumReactor?.close()
    this.storage.close()
  }

  private makeLogManager(config: LogManagerConfig): LogManager {
    const { disk, clock, logger } = this.ports
    return new LogManager({
      disk,
      clock,
      logger: logger.child({ component: 'log' }),
      config,
      highWatermarkOf: (topicId, partition) => this.partitions.highWatermark(topicId, partition),
      brokerEpoch: () => this.lifecycle?.brokerEpoch ?? 0,
      onOffline: (error) => this.fail(error),
      onQuarantined: (log) => this.partitions.onQuarantined(log),
    })
  }

  private openRaftStore(started: (error: Error | null) => void): void {
    this.storage.open((error, store) => {
      if (store !== null) this.startQuorum(store, started)
      else started(error)
    })
  }

  private startQuorum(store: OrderedStore, started: (error: Error | null) => void): void {
    const { ports, config } = this
    const { controlListener } = config
    this.quorumReactor = new QuorumReactor({
      nodeId: config.nodeId,
      directoryId: this.storage.meta.raftDirectoryId,
      incarnationId: this.incarnationId,
      clusterId: this.storage.meta.clusterId,
      voters: config.voters,
      bootstrapServers: config.bootstrapServers ?? [],
      address: { host: controlListener.advertisedHost, port: controlListener.advertisedPort },
      isController: rolesOf(config).controller,
      autoJoin: this.services.configs.bool('controller.quorum.auto.join.enable'),
      configuredBrokers: configuredBrokers(config),
      properties: config.properties,
      clock: ports.clock,
      random: ports.random,
      logger: ports.logger,
      store,
      disk: ports.disk,
      directory: RAFT_DIRECTORY,
      supportedFeatures: supportedFeatures(),
      codec: ports.recordCodec,
      openPeers: (handler, self) => ports.openPeers(handler, self),
      quarantine: (reason, done) => this.storage.quarantine(reason, done),
      fatal: (error) => this.fail(error),
      settings: { ...quorumSettingsOf(this.services.configs), ...config.quorumSettings },
    })
    this.quorumReactor.events.subscribe((event) => this.postMortems.onQuorumEvent(event))
    if (this.isBroker) this.lifecycle = this.makeLifecycle()
    this.quorumReactor.start(
      {
        onSnapshotBegun: () => this.cache.beginSnapshot(),
        onSnapshotPart: (records) => this.cache.applySnapshotPart(records),
        onSnapshot: (records, index) => {
          const former = this.cache.image
          this.cache.applySnapshot(records, index)
          this.postMortems.onSnapshot(former, this.cache.image, index)
        },
        onCommitted: (records, index) => {
          this.cache.applyCommitted(records, index)
          this.postMortems.onApplied(index)
        },
        onLeader: (leader) => {
          this.cache.setController(leader)
          if (leader !== undefined && this.logsReady) this.lifecycle?.onController()
        },
        onPeerLost: (peer) => this.cache.suspect(peer),
      },
      () => {
        if (this.isBroker) this.openLogs()
        started(null)
      },
    )
  }

  private makeLifecycle(): BrokerLifecycle {
    const { config, ports } = this
    const { configs } = this.services
    const endpoint = (listener: NodeConfig['controlListener']) => ({
      name: listener.name,
      host: listener.advertisedHost,
      port: listener.advertisedPort,
      securityProtocol: listener.securityProtocol,
    })
    return new BrokerLifecycle({
      nodeId: config.nodeId,
      incarnationId: this.incarnationId,
      directoryIds: [this.storage.meta.directoryId],
      endpoints: config.listeners.map(endpoint),
      controlEndpoint: endpoint(config.controlListener),
      rack: config.rack,
      heartbeatIntervalMs: configs.int('broker.heartbeat.interval.ms'),
      heartbeatTimeoutMs: configs.int('broker.heartbeat.interval.ms'),
      sessionTimeoutMs: configs.int('broker.session.timeout.ms'),
      requestTimeoutMs: configs.int('broker.session.timeout.ms'),
      clock: ports.clock,
      logger: ports.logger.child({ component: 'lifecycle' }),
      quorum: this.services.quorum,
      clusterId: () => this.quorum.status().clusterId,
      previousBrokerEpoch: () => this.logs.previousBrokerEpoch,
      appliedIndex: () => this.cache.appliedIndex,
      ownImage: () => this.cache.image.brokers.get(config.nodeId),
      quarantined: () => this.partitions.quarantined(),
      isSettled: () => this.partitions.isSettled(),
    })
  }

  private openLogs(): void {
    this.brokerState = 'recovering'
    this.logs.open(
      (topic) => logConfigOf(this.services.configs.topic(topic)),
      (error) => {
        if (error !== null) return this.fail(error)
        this.logsReady = true
        this.brokerState = 'fenced'
        this.partitions.onMetadata(EVERYTHING)
        this.lifecycle?.markRecovered()
        if (this.cache.controller !== undefined) this.lifecycle?.onController()
      },
    )
  }

  /** A broker registers anew each time that it starts; a controller alone goes by what its leader told it. */
  private isCaughtUp(): boolean {
    if (this.lifecycle !== null) return this.lifecycle.isRegistered()
    const { hasQuorum, commitIndex } = this.quorum.status()
    return hasQuorum && this.cache.appliedIndex >= commitIndex
  }

  private onMetadata(change: MetadataChange): void {
    const unsupported = unsupportedFeature(this.cache.image)
    if (unsupported !== undefined) return this.fail(new Error(unsupported))
    if (this.storage.meta.clusterId === undefined && this.cache.image.clusterId !== '') {
      try {
        this.storage.update({ clusterId: this.cache.image.clusterId })
      } catch (error) {
        // On a full disk too: a node that forgets its cluster at the next start might found another.
        return this.fail(error as Error)
      }
    }
    if (!this.logsReady) return
    this.partitions.onMetadata(change)
    this.lifecycle?.onMetadata()
    this.followRegistration()
  }

  /** Requests are served once this broker has seen its own registration: its picture of the cluster is no older than itself. */
  private followRegistration(): void {
    if (
      this.lifecycle === null ||
      this.brokerState === 'stopped' ||
      this.brokerState === 'controlledShutdown'
    )
      return
    this.brokerState = this.lifecycle.isUnfenced() ? 'running' : 'fenced'
    if (this.serverOpen || !this.lifecycle.isRegistered()) return
    this.serverOpen = true
    this.server.open()
  }

  private fail(error: Error): void {
    if (this.brokerState === 'stopped') return
    this.ports.logger.error({ error: error.message }, 'this node cannot go on')
    this.close()
    this.onFatal(error)
  }
}

/** Of the time for a stop: the leaderships move first, the rest is for Raft's and for the disk. */
const HAND_OVER_SHARE = 0.5

const POST_MORTEMS = 1_000

const EVERYTHING: MetadataChange = {
  everything: true,
  topicsChanged: new Set(),
  topicsDeleted: new Map(),
  brokersChanged: new Set(),
  topicConfigsChanged: new Set(),
  brokerConfigsChanged: true,
}
