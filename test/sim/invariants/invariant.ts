import type { Partition } from '../../../src/broker/partitions/partition.js'
import type { RaftView } from '../../../src/broker/quorum/options.js'
import type { LeaderEpoch, LogIndex, Offset, PartitionEpoch, Term, Uuid } from '../../../src/lib/ids.js'
import type { MetadataImage } from '../../../src/metadata/image.js'
import type { IsrState } from '../../../src/partition/isr.js'
import type { RaftMessage } from '../../../src/raft/types.js'
import type { LogIndex as DiskIndex, StoredBatch } from '../log-index.js'
import type { SimNode } from '../node.js'
import type { Facts, PartitionFact } from './facts.js'

/** A safety property was broken. Titles begin with the number by which the invariant is known. */
export class Violation extends Error {
  override name = 'Violation'
  constructor(
    readonly invariant: string,
    message: string,
  ) {
    super(`${invariant}: ${message}`)
  }
}

/** The world that is looked at. */
export interface Observed {
  readonly clock: { readonly nowMs: number }
  readonly nodes: readonly SimNode[]
  readonly minInsyncReplicas: number
  /** Whether an acknowledgement stands for what is durable, or for what a node holds in memory. */
  readonly flushBeforeAck: boolean
  /**
   * Nodes of which some log was damaged on purpose and may not be repaired yet: what they promised may be gone. Where all
   * of the damage came at once: the end of each log just before, since nothing behind it can be lost by that.
   */
  readonly damagedNodes: ReadonlyMap<number, LostEnds | null>
}

/** By partition ('topic-0'). */
export type LostEnds = ReadonlyMap<string, Offset>

/** What an invariant may look at: the machines, their disks byte by byte, and what was established so far. */
export interface Watched extends Observed {
  readonly facts: Facts
  /** Of a machine, whether or not a process runs on it. */
  diskOf(nodeId: number): DiskIndex
}

/** A node's consensus as it stood after an event. */
export interface RaftState {
  readonly raft: RaftView
  readonly incarnation: number
  readonly directoryId: Uuid
  readonly term: Term
  readonly isLeader: boolean
  readonly commitIndex: LogIndex
  readonly firstIndex: LogIndex
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
}

/** A replica as it stood after an event. */
export interface ReplicaState {
  readonly partition: Partition
  /** Of its topic's incarnation: unlike the name, never used again. */
  readonly key: string
  /** Its directory's name too. */
  readonly name: string
  readonly role: 'leader' | 'follower' | 'none'
  readonly leaderEpoch: LeaderEpoch
  readonly highWatermark: Offset
  readonly logEndOffset: Offset
  readonly latestEpoch: LeaderEpoch
  /** Null where it does not lead. */
  readonly isr: IsrState | null
  readonly partitionEpoch: PartitionEpoch
}

/** One safety property. Hooks are called as things happen, each after the event that brought it; all throw Violation. */
export abstract class Invariant {
  /** Begins with the number of RELIABILITY's list, where it has one. */
  abstract readonly title: string
  /** How often the property was really looked at: a check that never ran proves nothing. */
  checks = 0

  // The consensus

  /** As it leaves the sender. */
  onRaftSent(_world: Watched, _from: SimNode, _to: number, _message: RaftMessage): void {}
  /** Just before the receiver handles it. */
  onRaftReceived(_world: Watched, _from: number, _to: SimNode, _message: RaftMessage): void {}
  /** Something of it changed. `before` is null for the first look at a process. */
  onRaft(_world: Watched, _node: SimNode, _now: RaftState, _before: RaftState | null): void {}

  // The data plane

  /** Something of it changed. `before` is null for the first look at it. */
  onReplica(_world: Watched, _node: SimNode, _now: ReplicaState, _before: ReplicaState | null): void {}
  /** The node's committed image moved; it is as the node has it now. */
  onImage(_world: Watched, _node: SimNode, _image: MetadataImage): void {}
  /** A state of a partition that this node's committed image shows, each object once. */
  onState(_world: Watched, _fact: PartitionFact, _key: string, _image: MetadataImage, _node: SimNode): void {}
  /** A leader's high watermark passed this batch, the first that ever did. */
  onCommitted(_world: Watched, _key: string, _name: string, _batch: StoredBatch): void {}

  // What clients saw

  onAcknowledged(_world: Watched, _partition: string, _offset: number, _value: string): void {}
  onConsumed(_consumer: string, _partition: string, _offset: number, _value: string): void {}
  onSeen(_consumer: string, _partition: string, _offset: number, _value: string): void {}
  onFetched(_consumer: string, _partition: string, _highWatermark: number, _lastStable: number): void {}
  onLatestOffset(_client: string, _partition: string, _offset: number): void {}
  onOffsetReset(_consumer: string, _partition: string, _offset: number): void {}
  onCommitAcknowledged(_group: string, _offset: number): void {}
  onCommitFetched(_world: Watched, _group: string, _offset: number, _nodeId: number): void {}

  /** Whole comparisons, each simulated second and at the end. */
  eachSecond(_world: Watched): void {}

  protected fail(message: string): never {
    throw new Violation(this.title, message)
  }
}

/** What most copies are, and how many. */
export function agreed(copies: ReadonlyMap<number, string>): { identity: string | undefined; count: number } {
  let best: { identity: string | undefined; count: number } = { identity: undefined, count: 0 }
  const counts = new Map<string, number>()
  for (const identity of copies.values()) {
    const count = (counts.get(identity) ?? 0) + 1
    counts.set(identity, count)
    if (count > best.count) best = { identity, count }
  }
  return best
}

/** How many machines agree; one that was damaged on purpose and holds nothing had it when it promised. */
export function promisedCopies(
  world: Observed,
  copies: ReadonlyMap<number, string>,
  partition: string,
  offset: Offset,
): number {
  let { count } = agreed(copies)
  for (const [id, ends] of world.damagedNodes)
    if (!copies.has(id) && (ends === null || offset < (ends.get(partition) ?? 0))) count++
  return count
}

/**
 * What a node that was damaged on purpose holds in place of a batch is rot that nobody has read yet: a segment that is not
 * the last one may be served from, and is read through in the background, long after the start. It is never served itself.
 */
export function isUnreadRot(
  world: Observed,
  { id }: SimNode,
  held: string | undefined,
  identity: string,
): boolean {
  if (!world.damagedNodes.has(id)) return false
  // The CRC covers neither the base offset nor the leader epoch.
  return held === undefined || crcOf(held) === crcOf(identity)
}

function crcOf(identity: string): string {
  return identity.slice(identity.indexOf('#'))
}

export function describeCopies(copies: ReadonlyMap<number, string>): string {
  return [...copies].map(([node, identity]) => `${identity} on ${node}`).join(', ') || 'nothing on any node'
}

/**
 * What each machine holds of a partition's offset, durably where an acknowledgement stands for that, read off its disk:
 * identities of batches by node id.
 */
export function countedCopies(world: Watched, partition: string, offset: number): Map<number, string> {
  const copies = new Map<number, string>()
  for (const { id } of world.nodes) {
    const disk = world.diskOf(id)
    const identity = world.flushBeforeAck ? disk.durableAt(partition, offset) : disk.heldAt(partition, offset)
    if (identity !== undefined) copies.set(id, identity)
  }
  return copies
}
