import type { LogIndex, NodeId, Term, Uuid } from '../../lib/ids.js'
import type { MetadataRecord, SupportedFeature } from '../../metadata/records.js'
import type { Clock } from '../../ports/clock.js'
import type { Disk } from '../../ports/disk.js'
import type { Logger } from '../../ports/logger.js'
import type { Address } from '../../ports/network.js'
import type { OrderedStore } from '../../ports/ordered-store.js'
import type { PeerHandler, PeerIdentity, PeerTransport } from '../../ports/peers.js'
import type { Random } from '../../ports/random.js'
import type { BatchCodec } from '../../ports/record-codec.js'
import { DEFAULT_RAFT_LIMITS, DEFAULT_RAFT_TIMING, type RaftLimits, type RaftTiming } from '../../raft/api.js'
import type { RaftNode } from '../../raft/raft.js'
import type { Configuration } from '../../raft/types.js'
import type { PeerAddress, PeerMessage } from '../peer-message.js'
import type { EventRing } from './events.js'
import type { QuorumHandle, QuorumListener } from './handle.js'

export interface QuorumReactorOptions {
  readonly nodeId: NodeId
  /** Of the Raft log: with the node's id, who votes. Drawn once for each data directory, and anew for a log that was set aside. */
  readonly directoryId: Uuid
  /** Of this process, drawn anew at each start. */
  readonly incarnationId: Uuid
  /** Of the cluster that this directory belongs to; undefined before the first. */
  readonly clusterId: string | undefined
  /** `controller.quorum.voters`: who founds the cluster. Empty where this node joins one that exists. */
  readonly voters: readonly PeerAddress[]
  /** `controller.quorum.bootstrap.servers`: controllers of the cluster to be joined. */
  readonly bootstrapServers: readonly Address[]
  /** Of this node's control listener, as the others reach it. */
  readonly address: Address
  /** `process.roles` names controller: it may become a voter, and others may follow through it. */
  readonly isController: boolean
  /** `controller.quorum.auto.join.enable`. */
  readonly autoJoin: boolean
  /** The brokers that the configuration names: how many the cluster is meant to have at least. */
  readonly configuredBrokers: readonly NodeId[]
  /** Static configuration, Kafka's keys: the controller's defaults. */
  readonly properties: ReadonlyMap<string, string>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly store: OrderedStore
  readonly disk: Disk
  /** Relative to `disk`: where the two vote slots lie. */
  readonly directory: string
  readonly codec: BatchCodec<MetadataRecord>
  /** The feature levels that this build can read. */
  readonly supportedFeatures: readonly SupportedFeature[]
  /** Called once, from `start`; every peer's event goes to this handler. `self` is what the others are greeted with. */
  readonly openPeers: (handler: PeerHandler<PeerMessage>, self: PeerIdentity) => PeerTransport<PeerMessage>
  /**
   * The Raft log is damaged: close the store, move it and the vote slots aside (never delete them) and come back with
   * an empty store and a new directory id, durably recorded. The node then rejoins as a non-voter.
   */
  readonly quarantine: (
    reason: string,
    done: (fresh: { store: OrderedStore; directoryId: Uuid }) => void,
  ) => void
  /** The Raft log cannot be written (EIO, ENOSPC, a failed sync), or another process has this node's id: this one must stop. Called once; the reactor is closed. */
  readonly fatal: (error: Error) => void
  readonly settings?: Partial<QuorumSettings>
}

export interface QuorumSettings {
  raftTiming: RaftTiming
  raftLimits: RaftLimits
  /** A snapshot after so many committed entries, or bytes of them (`metadata.log.max.record.bytes.between.snapshots`). */
  snapshotEntries: number
  snapshotBytes: number
  /** Entries kept behind a snapshot, so that a follower that lags a little needs none. */
  snapshotTailEntries: number
  /** After a broken connection, before the dial. */
  disconnectGraceMs: number
  probeTimeoutMs: number
  /** Between two announcements while nobody has founded. */
  foundingIntervalMs: number
  /** Commands waiting for a leader, for a commit or for a remote controller's reply. */
  maxPendingCommands: number
  maxPendingCommandBytes: number
  /** How often the controller looks at its sessions. */
  controllerTickMs: number
  /** For a transfer of leadership before a stop. */
  transferTimeoutMs: number
  eventCapacity: number
  /** Between two introductions while no leader replicates to this node, and between two looks at bootstrap servers. */
  introductionIntervalMs: number
  /** A peer that introduced itself is forgotten when it was away for so long. */
  forgetPeerAfterMs: number
  maxIntroducedPeers: number
  /**
   * A process that is refused because another one has its node id ends after so long and the election time-out of who
   * refuses it. Longer than the transport needs to notice a host that vanished (5 s).
   */
  duplicateGraceMs: number
  /** Between two attempts to become a voter, and the time that one has to catch up in. */
  joinRetryMs: number
  joinTimeoutMs: number
}

export const DEFAULT_QUORUM_SETTINGS: QuorumSettings = {
  raftTiming: DEFAULT_RAFT_TIMING,
  raftLimits: DEFAULT_RAFT_LIMITS,
  snapshotEntries: 10_000,
  snapshotBytes: 20 * 1024 * 1024,
  snapshotTailEntries: 1000,
  disconnectGraceMs: 50,
  probeTimeoutMs: 500,
  foundingIntervalMs: 200,
  maxPendingCommands: 4096,
  maxPendingCommandBytes: 64 * 1024 * 1024,
  controllerTickMs: 100,
  transferTimeoutMs: 1000,
  eventCapacity: 1000,
  introductionIntervalMs: 500,
  forgetPeerAfterMs: 10_000,
  maxIntroducedPeers: 1000,
  duplicateGraceMs: 9_000,
  joinRetryMs: 500,
  joinTimeoutMs: 30_000,
}

export type RaftView = Pick<
  RaftNode,
  | 'term'
  | 'leader'
  | 'isLeader'
  | 'commitIndex'
  | 'firstIndex'
  | 'lastIndex'
  | 'termAt'
  | 'entries'
  | 'status'
>

export interface ReadLogEntry {
  index: LogIndex
  term: Term
  type: 'data' | 'noOp' | 'configuration'
  records: readonly MetadataRecord[]
  configuration?: Configuration
}

/** What the node's assembly and inspection may ask beside `QuorumHandle`. `QuorumReactor` implements it. */
export interface QuorumControl extends QuorumHandle {
  /** Opens the log, restores, joins or founds the cluster. `listener` gets its first onSnapshot before `started`. */
  start(listener: QuorumListener, started: () => void): void
  readonly events: EventRing
  /** When the last message of this peer came, in monotonic milliseconds; undefined: none since the start. */
  lastHeardMs(peer: NodeId): number | undefined
  /** The consensus itself, to be looked at after every event; undefined before this node belongs to a cluster. */
  readonly raft: RaftView | undefined
  /**
   * The log in memory from `from` on, decoded: at most `limit` entries, and 64 KiB where it is more than one; what a
   * snapshot has swallowed is not there. Empty: there is no more.
   */
  readLog(from: LogIndex, limit: number): ReadLogEntry[]
  /** `to` undefined: the voter that holds the most. done(false) where this node does not lead or the time ran out. */
  transferLeadership(to: NodeId | undefined, done: (moved: boolean) => void): void
  /** Before a stop: hands leadership over, within `transferTimeoutMs`, and takes none again. `done` comes once. */
  prepareStop(done: () => void): void
  /** No input is handled any more and no callback comes. Pending commands fail with NOT_CONTROLLER. */
  close(): void
}
