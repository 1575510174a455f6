import { unreachable } from '../lib/assert.js'
import type { BrokerEpoch, LogIndex, NodeId } from '../lib/ids.js'
import { ErrorCode } from '../wire/errors.js'
import type { AllocateProducerIds, CommandContext, ControllerReply, DecidedCommand } from './commands.js'
import { alterConfigs } from './controller/alter-configs.js'
import { alterPartitions } from './controller/alter-partitions.js'
import {
  brokerHeartbeat,
  fenceBroker,
  registerBroker,
  resumeSweeps,
  staleEpochMessage,
  unregisterBroker,
} from './controller/brokers.js'
import { createPartitions } from './controller/create-partitions.js'
import { electLeaders } from './controller/elect-leaders.js'
import { updateFeatures } from './controller/features.js'
import { found } from './controller/founding.js'
import { LeaderBalancer } from './controller/leader-balancer.js'
import { alterPartitionReassignments } from './controller/reassign.js'
import { type ControllerOptions, ControllerState } from './controller/state.js'
import { createTopics, deleteTopics } from './controller/topics.js'
import type { MetadataImage } from './image.js'
import type { MetadataRecord } from './records.js'
import { MutableImage } from './replay.js'

export type { ControllerOptions } from './controller/state.js'

/** How many producer ids a broker gets at a time (KIP-730). */
export const PRODUCER_ID_BLOCK_SIZE = 1_000

/** What a command amounts to. `records` are one atomic batch and already applied to the speculative image. */
export interface Decision {
  records: MetadataRecord[]
  /** May leave once everything proposed up to and with `records` has committed in this term, also where `records` is empty. */
  reply: ControllerReply
}

/**
 * The active controller. Pure: it decides against the speculative image (what has committed plus what it has
 * proposed), and only replay changes that image. The quorum reactor proposes each non-empty list of records as one
 * entry, at once and in the order of the calls, and then calls `proposed`.
 */
export class Controller {
  private readonly state: ControllerState
  private readonly balancer: LeaderBalancer
  private active = false
  private isSuspended = false

  constructor(options: ControllerOptions) {
    this.state = new ControllerState(options)
    this.balancer = new LeaderBalancer(this.state)
  }

  get isActive(): boolean {
    return this.active
  }

  /** The speculative image. */
  get image(): MetadataImage {
    return this.state.image
  }

  /**
   * This node became the Raft leader and has applied its own term's first entry. `committed` is cloned. `lastIndex`
   * is the log's last index. After `suspend` it goes on with the sessions that it had. Gives the records of the first batch: the cluster's id and features, at the first time.
   */
  activate(committed: MutableImage, lastIndex: LogIndex, nowMs: number): MetadataRecord[] {
    const { state } = this
    state.begin(committed.clone())
    const brokers = state.image.brokers.keys()
    if (this.isSuspended) state.sessions.resume(brokers, lastIndex, nowMs)
    else state.sessions.reset(brokers, lastIndex, nowMs)
    this.isSuspended = false
    this.active = true
    this.balancer.reset(nowMs)
    found(state)
    resumeSweeps(state)
    return state.takeBatch()
  }

  /** Leadership was lost: the speculation is dropped. */
  deactivate(): void {
    this.suspend()
    this.isSuspended = false
    this.state.sessions.reset([], 0, 0)
  }

  /** This node still leads, but its speculation was wrong and is dropped: `activate`, in the same term, makes a new one. */
  suspend(): void {
    this.active = false
    this.isSuspended = true
    this.state.begin(new MutableImage())
  }

  /** context is for authorisation, which is to come. */
  decide(command: DecidedCommand, _context: CommandContext, nowMs: number): Decision {
    if (!this.active) {
      const errorMessage = 'this node is not the active controller'
      return { records: [], reply: { type: 'failed', errorCode: ErrorCode.NOT_CONTROLLER, errorMessage } }
    }
    const reply = this.execute(command, nowMs)
    return { records: this.state.takeBatch(), reply }
  }

  private execute(command: DecidedCommand, nowMs: number): ControllerReply {
    switch (command.type) {
      case 'registerBroker':
        return registerBroker(this.state, command, nowMs)
      case 'brokerHeartbeat':
        return brokerHeartbeat(this.state, command, nowMs)
      case 'alterPartitions':
        return alterPartitions(this.state, command)
      case 'createTopics':
        return createTopics(this.state, command)
      case 'deleteTopics':
        return deleteTopics(this.state, command)
      case 'createPartitions':
        return createPartitions(this.state, command)
      case 'alterConfigs':
        return alterConfigs(this.state, command)
      case 'electLeaders':
        return electLeaders(this.state, command)
      case 'alterPartitionReassignments':
        return alterPartitionReassignments(this.state, command)
      case 'allocateProducerIds':
        return this.allocateProducerIds(command)
      case 'unregisterBroker':
        return unregisterBroker(this.state, command.brokerId)
      case 'updateFeatures':
        return updateFeatures(this.state, command)
      default:
        return unreachable(command)
    }
  }

  private allocateProducerIds({ brokerId, brokerEpoch }: AllocateProducerIds): ControllerReply {
    const { image } = this.state
    const broker = image.brokers.get(brokerId)
    const answer = (
      errorCode: number,
      errorMessage: string,
      firstProducerId: number,
      count: number,
    ): ControllerReply => ({
      type: 'allocateProducerIds',
      errorCode,
      errorMessage,
      firstProducerId,
      count,
    })
    if (broker?.epoch !== brokerEpoch) {
      return answer(ErrorCode.STALE_BROKER_EPOCH, staleEpochMessage(brokerId, brokerEpoch, broker), -1, 0)
    }
    const firstProducerId = image.nextProducerId
    const nextProducerId = firstProducerId + PRODUCER_ID_BLOCK_SIZE
    this.state.emit({ type: 'producerIdsRecord', brokerId, brokerEpoch, nextProducerId })
    return answer(ErrorCode.NONE, '', firstProducerId, PRODUCER_ID_BLOCK_SIZE)
  }

  /** The Raft index that the last non-empty list of records got. */
  proposed(index: LogIndex): void {
    this.state.sessions.proposed(index)
  }

  /** There is more to decide than the last batch took: `work` goes on with it, soon. */
  get hasWork(): boolean {
    return this.active && !this.state.sweeps.isIdle
  }

  /** The next batch of what concerns many partitions. */
  work(): MetadataRecord[] {
    if (!this.active) return []
    this.state.sweeps.work()
    return this.state.takeBatch()
  }

  /** Session time-outs and leader balancing; call about every 100 ms, and with the sockets drained. Often empty. */
  tick(nowMs: number): MetadataRecord[] {
    if (!this.active) return []
    const { state } = this
    for (const id of state.sessions.expired(this.unfencedBrokers(), state.sessionTimeoutMs, nowMs)) {
      state.logger.warn({ broker: id }, 'broker is fenced: its session has timed out')
      fenceBroker(state, id)
    }
    this.balancer.tick(nowMs)
    return state.takeBatch()
  }

  /** A fresh dial of this broker was refused: its process is dead. Ends its session and fences it at once. */
  brokerDead(brokerId: NodeId, _nowMs: number): MetadataRecord[] {
    const { state } = this
    if (!this.active || !state.image.brokers.has(brokerId)) return []
    state.sessions.ended(brokerId)
    fenceBroker(state, brokerId)
    const records = state.takeBatch()
    if (records.length > 0) state.logger.warn({ broker: brokerId }, 'broker is fenced: its process is dead')
    return records
  }

  /** This registration's heartbeat came, and is decided later. */
  brokerHeard(brokerId: NodeId, brokerEpoch: BrokerEpoch, nowMs: number): void {
    const { image, sessions } = this.state
    if (this.active && image.brokers.get(brokerId)?.epoch === brokerEpoch) sessions.touched(brokerId, nowMs)
  }

  /** A stream to this broker stands. It proves a live process, but not which one: heartbeats alone keep a session. */
  brokerConnected(brokerId: NodeId, _nowMs: number): void {
    this.state.logger.debug({ broker: brokerId }, 'broker is connected to the controller')
  }

  /** Brokers whose death would cost something: a new controller dials those without a stream. */
  unfencedBrokers(): NodeId[] {
    return [...this.state.image.brokers.values()]
      .filter((broker) => !broker.fenced)
      .map((broker) => broker.id)
  }
}
