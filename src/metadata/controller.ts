import type { LogIndex, NodeId } from '../lib/ids.js'
import type { Logger } from '../ports/logger.js'
import type { Random } from '../ports/random.js'
import type { CommandContext, ControllerCommand, ControllerReply } from './commands.js'
import type { MetadataImage } from './image.js'
import type { MetadataRecord } from './records.js'
import type { MutableImage } from './replay.js'

export interface ControllerOptions {
  /** Of this node. */
  nodeId: NodeId
  /** Named in the founding entry of the Raft log. */
  clusterId: string
  /** The configured voters that are brokers too: how many brokers the cluster is meant to have. */
  voters: readonly NodeId[]
  /** This node's static configuration, Kafka's keys. */
  properties: ReadonlyMap<string, string>
  random: Random
  logger: Logger
}

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
export declare class Controller {
  constructor(options: ControllerOptions)
  get isActive(): boolean
  /** The speculative image. */
  get image(): MetadataImage
  /**
   * This node became the Raft leader and has applied its own term's first entry. `committed` is cloned. `lastIndex`
   * is the log's last index. Gives the records of the first batch: the cluster's id and features.
   */
  activate(committed: MutableImage, lastIndex: LogIndex, nowMs: number): MetadataRecord[]
  /** Leadership was lost: the speculation is dropped. */
  deactivate(): void
  decide(command: ControllerCommand, context: CommandContext, nowMs: number): Decision
  /** The Raft index that the last non-empty list of records got. */
  proposed(index: LogIndex): void
  /** Session time-outs and leader balancing; call about every 100 ms. Often empty. */
  tick(nowMs: number): MetadataRecord[]
  /** A fresh dial of this broker was refused: its process is dead. Fences at once. */
  brokerDead(brokerId: NodeId, nowMs: number): MetadataRecord[]
  /** A stream to this broker stands; the session is kept by heartbeats alone. */
  brokerConnected(brokerId: NodeId, nowMs: number): void
  /** Brokers whose death would cost something: a new controller dials those without a stream. */
  unfencedBrokers(): NodeId[]
}
