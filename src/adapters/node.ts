import { readFileSync } from 'node:fs'
import { KoggeNode } from '../broker/broker.js'
import type { ListenerConfig, NodeConfig } from '../broker/node-config.js'
import { changeVoters, committedLog, requestTransfer } from '../broker/node-inspection.js'
import type { PeerMessage } from '../broker/peer-message.js'
import { DuplicateNodeError } from '../broker/quorum/duplicate-node.js'
import { DiskError } from '../ports/disk.js'
import { StoreError } from '../ports/ordered-store.js'
import type { PeerHandler, PeerIdentity, PeerTransport } from '../ports/peers.js'
import { loadCompression } from './compression.js'
import { FileDisk } from './file-disk.js'
import { createHealthService } from './grpc-health.js'
import { createInspectService, type InspectSource } from './grpc-inspect.js'
import { createGrpcPeers } from './grpc-peers.js'
import { createGrpcServer, type GrpcServer } from './grpc-server.js'
import { LevelStore } from './level-store.js'
import { PinoLog } from './pino-log.js'
import { createMetadataRecordCodec } from './record-codec.js'
import { SystemClock } from './system-clock.js'
import { SystemRandom } from './system-random.js'
import { Tcp } from './tcp.js'

/** A node that cannot start for a reason that its owner can mend. The message is a sentence that says how. */
export class StartError extends Error {
  override name = 'StartError'
}

export interface StartOptions {
  /** pino's names, or 'silent'. */
  readonly logLevel: string
}

export interface RunningNode {
  readonly node: KoggeNode
  /** Hands over, flushes and closes within `timeoutMs`. Calling it again waits for the same stop. */
  stop(options: { timeoutMs: number }): Promise<void>
  /** Resolves when the node has ended by itself, with its error. */
  readonly closed: Promise<Error | null>
}

/**
 * One node over real files, sockets and clocks. Resolves when its ports are bound and its Raft log is read; it
 * serves as soon as the cluster has unfenced it.
 * @throws StartError
 */
export async function startNode(config: NodeConfig, options: StartOptions): Promise<RunningNode> {
  const compression = await loadCompression()
  const disk = openDisk(config.logDir)
  const starting = new NodeAssembly(config, options, disk, compression)
  try {
    return await starting.start()
  } catch (error) {
    starting.abandon()
    throw asStartError(error)
  }
}

const VERSION = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version

/** How often readiness follows the quorum, beside its events. */
const HEALTH_INTERVAL_MS = 250

class NodeAssembly {
  private readonly clock = new SystemClock()
  private readonly health = createHealthService()
  private readonly servers: GrpcServer[] = []
  private readonly logger: PinoLog
  private readonly node: KoggeNode
  private readonly closed: Promise<Error | null>
  private healthTimer: NodeJS.Timeout | null = null
  private stopping: Promise<void> | null = null
  private settleClosed: (error: Error | null) => void = () => {}
  private bound: Promise<void> = Promise.resolve()

  constructor(
    private readonly config: NodeConfig,
    options: StartOptions,
    private readonly disk: FileDisk,
    compression: Awaited<ReturnType<typeof loadCompression>>,
  ) {
    this.logger = PinoLog.create(options.logLevel, { node: config.nodeId })
    this.closed = new Promise((resolve) => {
      this.settleClosed = resolve
    })
    const network = new Tcp()
    this.node = new KoggeNode(
      config,
      {
        clock: this.clock,
        random: new SystemRandom(),
        logger: this.logger,
        disk,
        dialer: network,
        listener: network,
        compression,
        recordCodec: createMetadataRecordCodec(),
        openStore: (directory, store, done) =>
          LevelStore.open(`${config.logDir}/${directory}/store`, store, done),
        openPeers: (handler, self) => this.openPeers(handler, self),
      },
      // Whose node id another process has finds out only when the others refuse it.
      (error) =>
        this.settleClosed(error instanceof DuplicateNodeError ? new StartError(`${error.message}.`) : error),
    )
  }

  async start(): Promise<RunningNode> {
    await new Promise<void>((resolve, reject) => {
      this.node.start((error) => (error === null ? resolve() : reject(error)))
      this.closed.then((error) => reject(error ?? new Error('the node ended while it started')))
    })
    await this.bound
    this.followHealth()
    return { node: this.node, closed: this.closed, stop: ({ timeoutMs }) => this.stop(timeoutMs) }
  }

  abandon(): void {
    this.node.close()
    for (const server of this.servers) server.close(() => {})
    this.disk.close()
  }

  private stop(timeoutMs: number): Promise<void> {
    this.stopping ??= new Promise((resolve) => {
      this.node.stop(timeoutMs, () => {
        if (this.healthTimer !== null) clearInterval(this.healthTimer)
        for (const server of this.servers) server.close(() => {})
        this.disk.close()
        this.settleClosed(null)
        resolve()
      })
    })
    return this.stopping
  }

  /** Peers and inspection share a port unless they were given one each. */
  private openPeers(handler: PeerHandler<PeerMessage>, self: PeerIdentity): PeerTransport<PeerMessage> {
    const { config, health } = this
    const peers = createGrpcPeers({
      nodeId: config.nodeId,
      self,
      clusterId: () => this.node.startedQuorum?.status().clusterId,
      logger: this.logger.child({ component: 'peers' }),
      handler,
    })
    const inspect = createInspectService(this.inspectSource())
    const { controlListener, inspectListener } = config
    if (inspectListener.port === controlListener.port && inspectListener.host === controlListener.host) {
      this.bound = this.listen(controlListener, createGrpcServer({ peers, inspect, health }))
    } else {
      this.bound = Promise.all([
        this.listen(controlListener, createGrpcServer({ peers })),
        this.listen(inspectListener, createGrpcServer({ inspect, health })),
      ]).then(() => undefined)
    }
    // Whoever starts the node waits for it; an early failure must not count as unhandled meanwhile.
    this.bound.catch(() => {})
    return peers
  }

  private listen(listener: ListenerConfig, server: GrpcServer): Promise<void> {
    this.servers.push(server)
    return new Promise((resolve, reject) => {
      server.listen({ host: listener.host, port: listener.port }, () => resolve(), reject)
    })
  }

  private inspectSource(): InspectSource {
    const { node, clock } = this
    return {
      status: () => ({
        version: VERSION,
        monotonicMs: clock.monotonicMs(),
        quorum: node.quorum.status(),
        broker: {
          state: node.state,
          brokerEpoch: node.services.brokerEpoch(),
          appliedIndex: node.services.metadata.appliedIndex,
        },
      }),
      subscribe: (watcher) => node.quorum.events.subscribe(watcher),
      readLog: (from, limit) => committedLog(node.quorum, from, limit),
      hasTopic: (name) => node.services.metadata.image.topicsByName.has(name),
      listPartitions: () => node.services.partitions.list(),
      postMortems: (limit, filter) => node.postMortems.recent(limit, filter),
      transferLeadership: (to) => requestTransfer(node.quorum, to),
      changeVoters: (command, timeoutMs, done) => changeVoters(node.quorum, command, timeoutMs, done),
    }
  }

  private followHealth(): void {
    const update = (): void => this.health.setReady(this.node.quorum.status().hasQuorum)
    this.node.quorum.events.subscribe((event) => {
      if (event.type !== 'commit') update()
    })
    this.healthTimer = setInterval(update, HEALTH_INTERVAL_MS)
    this.healthTimer.unref()
    update()
  }
}

function openDisk(logDir: string): FileDisk {
  try {
    return FileDisk.open(logDir)
  } catch (error) {
    const reason = (error as Error).message
    if (error instanceof DiskError && error.code === 'EBUSY') throw new StartError(`log.dirs: ${reason}`)
    throw new StartError(
      `log.dirs: ${logDir} cannot be used: ${reason}. Name a directory that this user may write.`,
    )
  }
}

/** What an owner can mend reads as a sentence; anything else keeps its stack. */
function asStartError(error: unknown): unknown {
  if (error instanceof StartError) return error
  if (error instanceof StoreError) return new StartError(`The Raft log cannot be used: ${error.message}`)
  if (error instanceof DiskError) return new StartError(`The data directory cannot be used: ${error.message}`)
  if (
    error instanceof Error &&
    /EADDRINUSE|EACCES|EADDRNOTAVAIL|MetaProperties|in use/.test(`${error.name} ${error.message}`)
  ) {
    return new StartError(error.message)
  }
  return error
}
