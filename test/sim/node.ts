import { createMetadataRecordCodec } from '../../src/adapters/record-codec.js'
import { KoggeNode } from '../../src/broker/broker.js'
import type { NodeConfig, NodeRoles } from '../../src/broker/node-config.js'
import type { PartitionStatus } from '../../src/broker/partitions/types.js'
import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { QuorumControl } from '../../src/broker/quorum/options.js'
import type { NodeId } from '../../src/lib/ids.js'
import { randomBelow, randomFloat, type SeededRandom } from '../../src/lib/prng.js'
import {
  decodeEntry,
  decodeHardState,
  decodeSnapshotHead,
  entryKey,
  KEY_HARD_STATE,
  KEY_SNAPSHOT,
} from '../../src/log/raft-log-codec.js'
import type { MetadataImage } from '../../src/metadata/image.js'
import type { Compression } from '../../src/ports/compression.js'
import { DiskError } from '../../src/ports/disk.js'
import type { LogFields, Logger } from '../../src/ports/logger.js'
import type { Dialer, Listener } from '../../src/ports/network.js'
import type { Random } from '../../src/ports/random.js'
import type { HardState } from '../../src/raft/types.js'
import type { SimProcess, SimWorldClock } from './clock.js'
import { SimDisk } from './disk.js'
import { Doom } from './doom.js'
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
  /** The node's committed image moved. */
  onImage(node: SimNode, image: MetadataImage): void
  /** The node said that it cannot go on. */
  onFatal(node: SimNode, error: Error): void
}

export const KAFKA_PORT = 9092
const STOP_TIMEOUT_MS = 5_000
const NO_REPLICAS: readonly PartitionStatus[] = []
const recordCodec = createMetadataRecordCodec()

export function hostOf(id: NodeId): string {
  return `node-${id}`
}

/** One machine of the simulated cluster: its disk and store outlive the processes that run on it. */
export class SimNode {
  readonly disk: SimDisk
  readonly store: SimStore
  process: SimProcess | null = null
  node: KoggeNode | null = null
  /** By replica of the running process, which says the same status again for as long as nothing in it changes. */
  private readonly seenReplicas = new Map<object, PartitionStatus>()
  private readonly diskRandom: SeededRandom
  private eventCostMs = 0
  private extraSyncMs = 0
  /** How often it was started. */
  incarnation = 0
  onPowerCut: (() => void) | null = null
  /** The power goes while the truncation of a log is not synced yet: the log may then be taken for damaged. */
  onTruncationCut: (() => void) | null = null
  /** Of the wall clock alone; outlives processes. */
  wallOffsetMs = 0
  /** A disk fault was injected: the process is expected to give up, and this is told. */
  private onGivenUp: (() => void) | null = null
  /** What its consensus stored was damaged on purpose: it may be set aside. */
  isRaftDamaged = false
  private lostRaft: ReadonlyMap<string, Uint8Array> = new Map()
  /** Undoes its silence, where it is without power. */
  private light: (() => void) | null = null
  /** A clean stop is under way or done. */
  isStopping = false

  constructor(
    readonly id: NodeId,
    private readonly world: SimNodeWorld,
    private readonly voters: readonly NodeId[],
    private readonly properties: ReadonlyMap<string, string>,
    readonly roles: NodeRoles = { broker: true, controller: true },
    /** Without a vote it asks for one by itself; else somebody has to ask for it. */
    readonly joinsByItself = false,
  ) {
    this.disk = new SimDisk(world.clock)
    this.store = new SimStore(world.clock)
    this.diskRandom = world.random.fork()
    this.disk.faults.tear = (bytes) =>
      randomBelow(this.diskRandom, 3) === 0 ? 0 : randomBelow(this.diskRandom, bytes + 1)
    this.healDisk()
  }

  /** Of a slow machine with a busy disk: see Profile. */
  slowDown(eventCostMs: number, extraSyncMs: number): void {
    this.eventCostMs = eventCostMs
    this.extraSyncMs = extraSyncMs
    this.healDisk()
  }

  /** Syncs take 0.2 to 3 ms, and at times ten times that. */
  healDisk(): void {
    this.slowDisk(this.extraSyncMs)
  }

  slowDisk(extraMs: number): void {
    const random = this.diskRandom
    const latencyMs = (): number => {
      const usual = 0.2 + randomFloat(random) * 2.8
      return extraMs + (randomBelow(random, 100) === 0 ? usual * 10 : usual)
    }
    this.disk.faults.syncLatencyMs = latencyMs
    this.store.batchLatencyMs = latencyMs
  }

  /** An EIO; `givenUp` runs when the process has said that it cannot go on. */
  failNextSync(givenUp: () => void): void {
    const { disk, incarnation } = this
    this.onGivenUp = givenUp
    disk.faults.failSync = () => {
      disk.faults.failSync = null
      return this.incarnation === incarnation
    }
  }

  /** The same where the consensus keeps its log. */
  failNextStoreSync(givenUp: () => void): void {
    this.onGivenUp = givenUp
    this.store.failSync = () => {
      this.store.failSync = null
      return new DiskError('EIO', 'store', 'EIO: fsync of the store')
    }
  }

  /** Of a disk without any room: until it has some, each process is free to say that it cannot go on. Null: not now. */
  onFullDisk: (() => void) | null = null

  makeRoom(): void {
    this.disk.leaveFree(Number.POSITIVE_INFINITY)
    this.onFullDisk = null
  }

  /** The same for a read or a write of a file. */
  failNextAccess(kind: 'read' | 'write', givenUp: () => void): void {
    const { disk, incarnation } = this
    this.onGivenUp = givenUp
    disk.faults.failAccess = (_path, operation) => {
      if (operation !== kind) return false
      disk.faults.failAccess = null
      return this.incarnation === incarnation
    }
  }

  /**
   * The process that runs, or else the next one, dies within an event: just before a change of its disk or its store,
   * after so many others. `died` then, with what it did not do any more.
   */
  dieInside(changes: number, isRare: boolean, end: () => void, died: (what: string) => void): void {
    const { clock } = this.world
    const isRunning = (): boolean => clock.isRunning(this.process)
    this.doom(
      new Doom(changes, isRare, isRunning, (what, doom) => {
        end()
        this.doom(doom)
        clock.onceEventEnds(() => this.doom(null))
        died(what)
      }),
    )
  }

  private doom(doom: Doom | null): void {
    this.disk.doom = doom
    this.store.doom = doom
  }

  get hasPendingFailure(): boolean {
    const { failSync, failAccess } = this.disk.faults
    return failSync !== null || failAccess !== null || this.store.failSync !== null || this.disk.doom !== null
  }

  /** An injected failure that has not come yet does not come. */
  cancelFailure(): void {
    const { faults } = this.disk
    faults.failSync = null
    faults.failAccess = null
    this.store.failSync = null
    this.onGivenUp = null
    this.cancelDoom()
  }

  cancelDoom(): void {
    this.doom(null)
  }

  setWallOffset(offsetMs: number): void {
    this.wallOffsetMs = offsetMs
    if (this.process !== null) this.process.wallOffsetMs = offsetMs
  }

  private onFatal(error: Error): void {
    // What a dying process says nobody hears.
    if (!this.isUp) return
    const isFull = error instanceof DiskError && error.code === 'ENOSPC'
    const givenUp = this.onGivenUp ?? (isFull ? this.onFullDisk : null)
    if (givenUp === null) return this.world.onFatal(this, error)
    this.onGivenUp = null
    this.process?.schedule(0, givenUp)
  }

  get isUp(): boolean {
    return this.process !== null && this.process.state !== 'dead'
  }

  /** The replicas of the process that runs now; none before its logs are open. */
  replicas(): readonly PartitionStatus[] {
    return this.isUp && this.node !== null && this.node.state !== 'stopped'
      ? this.node.services.partitions.list()
      : []
  }

  /** Those of `replicas` whose status is another than when this was last asked. */
  changedReplicas(): readonly PartitionStatus[] {
    if (!this.isUp || this.node === null || this.node.state === 'stopped') {
      this.seenReplicas.clear()
      return NO_REPLICAS
    }
    let changed: PartitionStatus[] | null = null
    for (const partition of this.node.services.partitions.all()) {
      const status = partition.status()
      if (this.seenReplicas.get(partition) === status) continue
      this.seenReplicas.set(partition, status)
      changed ??= []
      changed.push(status)
    }
    return changed ?? NO_REPLICAS
  }

  quarantined(): readonly unknown[] {
    return this.isUp && this.node !== null ? this.node.services.partitions.quarantined() : []
  }

  get quorum(): QuorumControl | null {
    return this.isUp && this.node !== null && this.node.state !== 'stopped' ? this.node.startedQuorum : null
  }

  start(driftPpm: number): void {
    const { world } = this
    this.light?.()
    this.light = null
    this.incarnation++
    this.onGivenUp = null
    this.seenReplicas.clear()
    this.isStopping = false
    const process = world.clock.process(`node-${this.id}.${this.incarnation}`, {
      driftPpm,
      wallOffsetMs: this.wallOffsetMs,
    })
    process.costMs = this.eventCostMs
    this.process = process
    this.disk.attach(process)
    this.store.attach(process)
    const endpoint = world.network.endpoint(process, hostOf(this.id))
    const random = world.random.fork()
    process.schedule(0, () => {
      try {
        this.run(process, random, endpoint)
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        this.onFatal(error)
      }
    })
  }

  private run(process: SimProcess, random: SeededRandom, endpoint: Dialer & Listener): void {
    const { world } = this
    let opened = 0
    const node = new KoggeNode(
      this.config(),
      {
        clock: process.clock,
        random,
        logger: new SimLogger((line) => {
          if (process.state !== 'dead') world.log(this.id, line)
        }, {}),
        disk: this.disk,
        dialer: endpoint,
        listener: endpoint,
        compression: world.compression,
        recordCodec,
        openStore: (_directory, _options, done) => {
          // A second opening within one process follows a quarantine.
          if (opened++ > 0) {
            if (!this.isRaftDamaged) throw new Error('an undamaged Raft log was moved aside')
            this.store.wipe()
          }
          process.schedule(0, () => done(null, this.store))
        },
        openPeers: (handler, self) => world.peers.transport(this.id, hostOf(this.id), process, handler, self),
      },
      (error) => this.onFatal(error),
    )
    this.node = node
    const { metadata } = node.services
    metadata.onChange(() => {
      if (process.state !== 'dead') world.onImage(this, metadata.image)
    })
    node.start((error) => {
      if (error !== null) this.onFatal(error)
    })
  }

  /** SIGTERM: hands over, stops, and the process ends; `stopped` then, unless it was killed meanwhile. */
  stop(stopped: () => void): void {
    const { process, node } = this
    if (process === null || node === null || this.isStopping) return
    this.isStopping = true
    node.stop(STOP_TIMEOUT_MS, () => {
      process.schedule(0, () => {
        this.crash()
        stopped()
      })
    })
  }

  /** SIGKILL. */
  crash(): void {
    this.cancelFailure()
    this.process?.kill()
    this.disk.crash()
    this.store.crash()
    this.node = null
  }

  /**
   * The machine loses power: what was not synced is lost in part or whole. Half of the time nobody hears of it before it
   * is back.
   */
  powerCut(random: Random): void {
    this.cancelFailure()
    if (randomBelow(random, 2) === 0) this.light = this.world.network.links.darken(hostOf(this.id))
    if (this.isTruncating()) this.onTruncationCut?.()
    this.process?.kill()
    this.disk.powerCut(random)
    this.store.powerCut(random)
    this.node = null
    this.onPowerCut?.()
  }

  private isTruncating(): boolean {
    const partitions = this.node?.services.partitions.all() ?? []
    return [...partitions].some(({ log }) => log.hasUnsyncedTruncation)
  }

  /** A new disk, empty: whoever starts here knows nothing. The machine is down. */
  wipe(): void {
    this.lostRaft = this.store.durableEntries()
    this.disk.wipe()
    this.store.wipe()
    this.isRaftDamaged = true
    this.onPowerCut?.()
  }

  /** Of the consensus: a value of its store, or a vote slot. The machine is down. Says what. */
  rotRaft(random: SeededRandom): string {
    this.lostRaft = new Map(this.store.durableEntries())
    this.isRaftDamaged = true
    if (randomBelow(random, 3) === 0) {
      const count = 1 + randomBelow(random, 3)
      this.store.loseSuffix(count)
      return `the last ${count} batches of the store are lost`
    }
    const slot = `raft/vote-${randomBelow(random, 2)}`
    const size = this.disk.durableSize(slot)
    if (randomBelow(random, 3) > 0 || size <= 0)
      return `a bit flips in the store at ${this.store.rot(random)}`
    this.disk.flipBit(slot, randomBelow(random, size), randomBelow(random, 8))
    return `a bit flips in ${slot}`
  }

  /** The term of the Raft entry that this machine durably holds at `index`; undefined: none. */
  durableRaftTerm(index: number): number | undefined {
    return this.raftTermIn(this.store.durableEntries(), index)
  }

  /** The same of what it held when its disk was wiped, or its Raft log damaged: an answer may still have been on its way. */
  lostRaftTerm(index: number): number | undefined {
    return this.raftTermIn(this.lostRaft, index)
  }

  private raftTermIn(entries: ReadonlyMap<string, Uint8Array>, index: number): number | undefined {
    const bytes = entries.get(Buffer.from(entryKey(index)).toString('latin1'))
    const entry = bytes === undefined ? undefined : decodeEntry(index, bytes)
    return typeof entry === 'object' ? entry.term : undefined
  }

  durableHardState(): HardState {
    const bytes = this.store.durableEntries().get(Buffer.from(KEY_HARD_STATE).toString('latin1'))
    const state = bytes === undefined ? undefined : decodeHardState(bytes)
    return typeof state === 'object' ? state : { term: 0 }
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
      listeners: this.roles.broker ? [listener('PLAINTEXT', KAFKA_PORT)] : [],
      roles: this.roles,
      interBrokerListenerName: 'PLAINTEXT',
      controlListener: control,
      inspectListener: control,
      voters: this.voters.map((nodeId) => ({ nodeId, host: hostOf(nodeId), port: KAFKA_PORT + 1 })),
      properties: this.joinsByItself
        ? new Map([...this.properties, ['controller.quorum.auto.join.enable', 'true']])
        : this.properties,
      quorumSettings: { snapshotEntries: 10, snapshotTailEntries: 3 },
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
