import { expect } from 'vitest'
import type { NodeId } from '../../src/lib/ids.js'
import { SeededRandom } from '../../src/lib/prng.js'
import type {
  AlterPartitionResult,
  BrokerHeartbeat,
  ControllerReply,
  DecidedCommand,
  NewTopic,
  RegisterBroker,
} from '../../src/metadata/commands.js'
import { Controller, type ControllerOptions } from '../../src/metadata/controller.js'
import { supportedFeatures } from '../../src/metadata/features.js'
import type { PartitionImage } from '../../src/metadata/image.js'
import type { MetadataRecord } from '../../src/metadata/records.js'
import { MutableImage } from '../../src/metadata/replay.js'
import type { Logger } from '../../src/ports/logger.js'

export const CONTEXT = {
  principal: 'User:ANONYMOUS',
  clientId: 'test',
  clientAddress: '127.0.0.1',
  listener: 'PLAINTEXT',
}

export const SILENT: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => SILENT,
}

export type ReplyTo<T extends ControllerReply['type']> = Extract<ControllerReply, { type: T }>

/** A controller together with what has committed: everything that it proposes, at once. */
export class Cluster {
  controller: Controller
  committed = new MutableImage()
  index = 1
  nowMs = 0
  readonly log: MetadataRecord[] = []
  /** The records of the last decision. */
  last: MetadataRecord[] = []
  readonly options: ControllerOptions
  /** `work` is called by the test. */
  isLazy = false

  constructor(options: Partial<ControllerOptions> = {}) {
    this.options = {
      nodeId: 1,
      clusterId: 'cluster',
      voters: [1, 2, 3],
      isController: () => false,
      properties: new Map(),
      random: new SeededRandom(1),
      logger: SILENT,
      ...options,
    }
    this.controller = new Controller(this.options)
    this.commit(this.controller.activate(this.committed, this.index, this.nowMs))
  }

  /** Brokers 1 to `count`, registered and unfenced. */
  static of(count: number, options: Partial<ControllerOptions> = {}): Cluster {
    const cluster = new Cluster({ voters: Array.from({ length: count }, (_, i) => i + 1), ...options })
    for (let id = 1; id <= count; id++) cluster.start(id)
    return cluster
  }

  commit(records: MetadataRecord[]): void {
    this.last = records
    this.commitBatch(records)
    if (!this.isLazy) this.work()
  }

  private commitBatch(records: MetadataRecord[]): void {
    if (records.length === 0) return
    this.index++
    this.controller.proposed(this.index)
    for (const record of records) this.committed.apply(structuredClone(record))
    this.log.push(...records)
    expect(this.committed.toRecords()).toEqual((this.controller.image as MutableImage).toRecords())
  }

  /** What did not fit into one batch goes on until nothing is left. */
  work(): void {
    while (this.controller.hasWork) this.commitBatch(this.controller.work())
  }

  decide<C extends DecidedCommand>(command: C): ReplyTo<C['type']> {
    const { records, reply } = this.controller.decide(command, CONTEXT, this.nowMs)
    this.commit(records)
    expect(reply.type).toBe(command.type)
    return reply as ReplyTo<C['type']>
  }

  /** Another controller takes over, with nothing but what has committed. */
  failOver(): void {
    this.controller.deactivate()
    this.controller = new Controller(this.options)
    this.commit(this.controller.activate(this.committed, this.index, this.nowMs))
  }

  /** Time passes in ticks, with heartbeats from `alive` every half second. */
  pass(ms: number, alive: readonly NodeId[] = []): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += 100
      if (this.nowMs % 500 === 0) for (const id of alive) this.heartbeat(id)
      this.commit(this.controller.tick(this.nowMs))
    }
  }

  register(id: NodeId, overrides: Partial<RegisterBroker> = {}): ReplyTo<'registerBroker'> {
    return this.decide({
      type: 'registerBroker',
      brokerId: id,
      clusterId: 'cluster',
      incarnationId: `incarnation-${id}-${this.index}`,
      directoryIds: [`directory-${id}`],
      endpoints: [{ name: 'PLAINTEXT', host: `host-${id}`, port: 9092, securityProtocol: 'PLAINTEXT' }],
      features: supportedFeatures(),
      ...overrides,
    })
  }

  heartbeat(id: NodeId, overrides: Partial<BrokerHeartbeat> = {}): ReplyTo<'brokerHeartbeat'> {
    return this.decide({
      type: 'brokerHeartbeat',
      brokerId: id,
      brokerEpoch: this.epoch(id),
      appliedIndex: this.index,
      wantFence: false,
      wantShutDown: false,
      quarantined: [],
      ...overrides,
    })
  }

  /** Registered and unfenced. */
  start(id: NodeId, overrides: Partial<RegisterBroker> = {}): void {
    expect(this.register(id, overrides).errorCode).toBe(0)
    expect(this.heartbeat(id).isFenced).toBe(false)
  }

  kill(id: NodeId): void {
    this.commit(this.controller.brokerDead(id, this.nowMs))
  }

  create(name: string, topic: Partial<NewTopic> = {}): ReplyTo<'createTopics'>['topics'][number] {
    const defaults = {
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [],
      configs: [],
      internal: false,
    }
    return this.decide({
      type: 'createTopics',
      validateOnly: false,
      topics: [{ name, ...defaults, ...topic }],
    }).topics[0]!
  }

  /** A topic of one partition with these replicas. */
  createOn(name: string, replicas: NodeId[], configs: Record<string, string> = {}): void {
    const result = this.create(name, {
      assignments: [{ partitionId: 0, replicas }],
      configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
    })
    expect(result.errorMessage).toBe('')
  }

  alter(
    leader: NodeId,
    topic: string,
    newIsr: NodeId[],
    overrides: AlterOverrides = {},
  ): AlterPartitionResult {
    const { id } = this.committed.topicsByName.get(topic)!
    const { leaderEpoch, partitionEpoch, leaderRecovering } = this.partition(topic)
    const reply = this.decide({
      type: 'alterPartitions',
      brokerId: leader,
      brokerEpoch: this.epoch(leader),
      appliedIndex: this.index,
      partitions: [
        {
          topicId: id,
          partitionId: 0,
          leaderEpoch: overrides.leaderEpoch ?? leaderEpoch,
          partitionEpoch: overrides.partitionEpoch ?? partitionEpoch,
          leaderRecovering: overrides.leaderRecovering ?? leaderRecovering,
          newIsr: newIsr.map((brokerId) => ({
            brokerId,
            brokerEpoch: overrides.brokerEpochs?.[brokerId] ?? this.epoch(brokerId),
          })),
        },
      ],
    })
    expect(reply.errorCode).toBe(0)
    return reply.partitions[0]!
  }

  setConfig(resourceType: 'topic' | 'broker', resourceName: string, name: string, value?: string) {
    const operation = value === undefined ? ('delete' as const) : ('set' as const)
    return this.decide({
      type: 'alterConfigs',
      validateOnly: false,
      replaceAll: false,
      resources: [{ resourceType, resourceName, operations: [{ name, operation, value }] }],
    }).resources[0]!
  }

  epoch(id: NodeId): number {
    return this.committed.brokers.get(id)?.epoch ?? -1
  }

  partition(topic: string, partitionId = 0): PartitionImage {
    return this.committed.topicsByName.get(topic)!.partitions[partitionId]!
  }

  /** 'leader 1, isr 1 2 3, elr -': what a story is about. */
  state(topic: string, partitionId = 0): string {
    const { leader, isr, elr } = this.partition(topic, partitionId)
    const list = (nodes: readonly NodeId[]): string => (nodes.length === 0 ? '-' : nodes.join(' '))
    return `leader ${leader}, isr ${list(isr)}, elr ${list(elr)}`
  }
}

interface AlterOverrides {
  leaderEpoch?: number
  partitionEpoch?: number
  leaderRecovering?: boolean
  brokerEpochs?: Record<number, number>
}
