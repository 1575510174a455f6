import { createMetadataRecordCodec } from '../../src/adapters/record-codec.js'
import { KoggeNode } from '../../src/broker/broker.js'
import type { NodeConfig } from '../../src/broker/node-config.js'
import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { NodeId } from '../../src/lib/ids.js'
import type { SeededRandom } from '../../src/lib/prng.js'
import { decodeEntry, decodeSnapshotHead, entryKey, KEY_SNAPSHOT } from '../../src/log/raft-log-codec.js'
import type { Compression } from '../../src/ports/compression.js'
import type { LogFields, Logger } from '../../src/ports/logger.js'
import type { SimProcess, SimWorldClock } from './clock.js'
import { SimDisk } from './disk.js'
import type { SimNetwork } from './network.js'
import type { SimPeerNetwork } from './peers.js'
import { SimStore } from './store.js'

export interface SimNodeWorld {
  readonly clock: SimWorldClock
  readonly network: SimNetwork
  readonly peers: SimPeerNetwork<PeerMessage>
  readonly random: SeededRandom
  readonly compression: Compression
  log(node: NodeId, line: string): void
  /** The node said that it cannot go on. */
  onFatal(node: SimNode, error: Error): void
}

export const KAFKA_PORT = 9092
const recordCodec = createMetadataRecordCodec()

export function hostOf(id: NodeId): string {
  return `node-${id}`
}

/** One machine of the simulated cluster: its disk and store outlive the processes that run on it. */
export class SimNode {
  readonly disk: SimDisk
  store: SimStore
  process: SimProcess | null = null
  node: KoggeNode | null = null
  /** How often it was started. */
  incarnation = 0

  constructor(
    readonly id: NodeId,
    private readonly world: SimNodeWorld,
    private readonly voters: readonly NodeId[],
    private readonly properties: ReadonlyMap<string, string>,
  ) {
    this.disk = new SimDisk(world.clock)
    this.store = new SimStore(world.clock)
  }

  get isUp(): boolean {
    return this.process !== null && this.process.state !== 'dead'
  }

  start(driftPpm: number): void {
    const { world } = this
    this.incarnation++
    const process = world.clock.process(`node-${this.id}.${this.incarnation}`, { driftPpm })
    this.process = process
    this.disk.attach(process)
    this.store.attach(process)
    const endpoint = world.network.endpoint(process, hostOf(this.id))
    let opened = 0
    const random = world.random.fork()
    process.schedule(0, () => {
      const node = new KoggeNode(
        this.config(),
        {
          clock: process.clock,
          random,
          logger: new SimLogger((line) => world.log(this.id, line), {}),
          disk: this.disk,
          dialer: endpoint,
          listener: endpoint,
          compression: world.compression,
          recordCodec,
          openStore: (_directory, _options, done) => {
            // A second opening within one process follows a quarantine: the damaged store was moved aside.
            if (opened++ > 0) {
              this.store = new SimStore(world.clock)
              this.store.attach(process)
            }
            process.schedule(0, () => done(null, this.store))
          },
          openPeers: (handler) => world.peers.transport(this.id, hostOf(this.id), process, handler),
        },
        (error) => world.onFatal(this, error),
      )
      this.node = node
      node.start((error) => {
        if (error !== null) throw error
      })
    })
  }

  /** SIGKILL. */
  crash(): void {
    this.process?.kill()
    this.disk.crash()
    this.store.crash()
    this.node = null
  }

  /** The machine loses power: what was not synced is lost in part or whole. */
  powerCut(random: SeededRandom): void {
    this.process?.kill()
    this.disk.powerCut(random)
    this.store.powerCut(random)
    this.node = null
  }

  /** The term of the Raft entry that this machine durably holds at `index`; undefined: none. */
  durableRaftTerm(index: number): number | undefined {
    const bytes = this.store.durableEntries().get(Buffer.from(entryKey(index)).toString('latin1'))
    const entry = bytes === undefined ? undefined : decodeEntry(index, bytes)
    return typeof entry === 'object' ? entry.term : undefined
  }

  durableSnapshotIndex(): number {
    const bytes = this.store.durableEntries().get(Buffer.from(KEY_SNAPSHOT).toString('latin1'))
    const head = bytes === undefined ? undefined : decodeSnapshotHead(bytes)
    return typeof head === 'object' ? head.snapshot.index : 0
  }

  private config(): NodeConfig {
    const listener = (name: string, port: number) => ({
      name,
      host: hostOf(this.id),
      port,
      advertisedHost: hostOf(this.id),
      advertisedPort: port,
      securityProtocol: 'PLAINTEXT' as const,
    })
    const control = listener('CONTROLLER', KAFKA_PORT + 1)
    return {
      nodeId: this.id,
      rack: null,
      logDir: '/',
      listeners: [listener('PLAINTEXT', KAFKA_PORT)],
      interBrokerListenerName: 'PLAINTEXT',
      controlListener: control,
      inspectListener: control,
      voters: this.voters.map((nodeId) => ({ nodeId, host: hostOf(nodeId), port: KAFKA_PORT + 1 })),
      properties: this.properties,
    }
  }
}

/** Lines go to the trace; nothing reads back. */
class SimLogger implements Logger {
  constructor(
    private readonly write: (line: string) => void,
    private readonly fields: LogFields,
  ) {}

  debug(): void {}
  info(fields: LogFields, message: string): void {
    this.line('info', fields, message)
  }
  warn(fields: LogFields, message: string): void {
    this.line('warn', fields, message)
  }
  error(fields: LogFields, message: string): void {
    this.line('error', fields, message)
  }
  child(fields: LogFields): Logger {
    return new SimLogger(this.write, { ...this.fields, ...fields })
  }
  private line(level: string, fields: LogFields, message: string): void {
    this.write(`${level} ${message} ${JSON.stringify({ ...this.fields, ...fields })}`)
  }
}
