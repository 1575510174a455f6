import type { BrokerEpoch, LeaderEpoch, LogIndex, NodeId, Offset, Uuid } from '../lib/ids.js'
import type { ConfigView } from '../metadata/configs.js'
import type { MetadataImage } from '../metadata/image.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { Compression } from '../ports/compression.js'
import type { Logger } from '../ports/logger.js'
import type { Dialer } from '../ports/network.js'
import type { Random } from '../ports/random.js'
import type { GroupCoordinatorRuntime } from './coordinators/group-runtime.js'
import type { NodeConfig } from './node-config.js'
import type { PartitionManager } from './partitions/partition-manager.js'
import type { QuorumHandle } from './quorum/handle.js'

/** What the parts of the broker reactor know of each other. One object a node, made by `broker.ts`. */
export interface BrokerServices {
  readonly config: NodeConfig
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly compression: Compression
  readonly dialer: Dialer
  readonly quorum: QuorumHandle
  readonly metadata: MetadataCache
  /** Effective configurations: dynamic, static, default. */
  readonly configs: ConfigView
  /** 0 before the first registration. */
  brokerEpoch(): BrokerEpoch
  /** False until unfenced. */
  isServing(): boolean
  readonly partitions: PartitionManager
  readonly groups: GroupCoordinatorRuntime
}

/** The broker reactor's own copy of the committed image. */
export interface MetadataCache {
  readonly image: MetadataImage
  readonly appliedIndex: LogIndex
  /** The active controller; undefined: none known. */
  readonly controller: NodeId | undefined
  /** Called after each change was applied, in the order of registration. */
  onChange(listener: (change: MetadataChange) => void): void
  /** KIP-951's companion: true while answers that name this node as a leader should wait (its connection just broke). */
  isSuspect(node: NodeId): boolean
  /** It was fenced a moment ago: clients that are told of brokers still hear of it. */
  isLingering(node: NodeId): boolean
  /** Runs `input` once: after the next change, when a suspicion ends, or after `timeoutMs`; whichever comes first. */
  afterChange(timeoutMs: number, input: () => void): Timer
}

/** What one batch of committed records touched. `everything` after a snapshot. */
export interface MetadataChange {
  readonly everything: boolean
  readonly topicsChanged: ReadonlySet<Uuid>
  readonly topicsDeleted: ReadonlyMap<Uuid, string>
  readonly brokersChanged: ReadonlySet<NodeId>
  readonly topicConfigsChanged: ReadonlySet<string>
  readonly brokerConfigsChanged: boolean
}

/** The outcome of an append through the leader: what Produce and the coordinators get. */
export interface AppendResult {
  errorCode: number
  errorMessage: string | null
  baseOffset: Offset
  logAppendTimeMs: number
  logStartOffset: Offset
  /** The leader that this broker knows, for the hint of KIP-951. */
  leaderId: NodeId
  leaderEpoch: LeaderEpoch
}
