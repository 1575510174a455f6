import type { PeerMessage } from '../../../src/broker/peer-message.js'
import type { QuorumControl } from '../../../src/broker/quorum/options.js'
import type { MetadataImage } from '../../../src/metadata/image.js'
import { LogIndex } from '../log-index.js'
import type { SimNode } from '../node.js'
import { UnfencedBrokersAreReady } from './brokers.js'
import {
  CommitsAreKept,
  ConsumedNeverChanges,
  LastStableIsCommitted,
  SequencesAreAppendedOnce,
} from './clients.js'
import { Facts, keyOf } from './facts.js'
import {
  Invariant,
  type LostEnds,
  type Observed,
  type RaftState,
  type ReplicaState,
  Violation,
  type Watched,
} from './invariant.js'
import {
  EpochsAreMonotonic,
  IsrIsSound,
  LeaderWaitsForAllEligible,
  MembersHoldCommitted,
  OnlyLiveReplicasJoin,
} from './isr.js'
import {
  OneLeaderPerTerm,
  OneVotePerTerm,
  OnlyVotersCount,
  PreVoteChangesNothing,
  RestartedLeadersResign,
  TermsAreDurable,
} from './raft-elections.js'
import { LeadersResignWithoutQuorum, LiveLeadersAreKept } from './raft-leases.js'
import {
  CommitIsFinal,
  CommittedIsDurable,
  LeaderCompleteness,
  LeadersCommitTheirOwnTerm,
  LogMatching,
  SameCommandEverywhere,
  SnapshotsAreExact,
} from './raft-log.js'
import { NewestConfigurationCounts, RemovedLeadersStepDown, VotersChangeOneAtATime } from './raft-voters.js'
import {
  AcknowledgedIsDurable,
  FollowersCoverOnlyReconciled,
  HighWatermarkIsSafe,
  LeaderHoldsAcknowledged,
  ReplicasAreIdentical,
} from './replication.js'

type Hook = Exclude<keyof Invariant, 'title' | 'checks'>

/** What the last look at one node's process showed. */
interface NodeWatch {
  incarnation: number
  raft: RaftState | null
  replicas: ReplicaState[]
}

/**
 * All invariants, told of all that happens. After each event of a node only what this event moved is looked at: a few
 * numbers of its consensus and of each of its replicas are compared with those of the last look.
 */
export class InvariantMonitor implements Watched {
  readonly facts = new Facts()
  readonly elections = new OneLeaderPerTerm()
  readonly epochs = new EpochsAreMonotonic()
  readonly consumed = new ConsumedNeverChanges()
  private readonly preVotes = new PreVoteChangesNothing()
  private readonly checkQuorum = new LeadersResignWithoutQuorum()
  /** In the order in which they look at an event: the consensus's history first, which others judge by. */
  readonly all: readonly Invariant[]
  private readonly disks = new Map<number, LogIndex>()
  private readonly watches = new Map<SimNode, NodeWatch>()

  private active: readonly Invariant[]
  private readonly byHook = new Map<Hook, readonly Invariant[]>()

  /** @param onViolation told once of each invariant that was violated; where it returns, the others go on looking */
  constructor(
    private readonly world: Observed,
    private readonly judgedBy: 'clients' | 'all',
    private readonly onViolation: (violation: Violation) => void,
  ) {
    const logs = new LogMatching()
    const commits = new SameCommandEverywhere()
    this.all = [
      this.elections,
      new TermsAreDurable(),
      new OneVotePerTerm(),
      logs,
      new LeaderCompleteness(),
      commits,
      new CommitIsFinal(),
      new CommittedIsDurable(commits),
      new RestartedLeadersResign(),
      this.preVotes,
      new SnapshotsAreExact(),
      new OnlyVotersCount(),
      new LeaderWaitsForAllEligible(),
      new MembersHoldCommitted(),
      new LeaderHoldsAcknowledged(),
      new ReplicasAreIdentical(),
      new OnlyLiveReplicasJoin(),
      new IsrIsSound(),
      this.epochs,
      new HighWatermarkIsSafe(),
      new FollowersCoverOnlyReconciled(),
      this.consumed,
      new SequencesAreAppendedOnce(),
      new LastStableIsCommitted(),
      new AcknowledgedIsDurable(),
      new CommitsAreKept(),
      new LeadersCommitTheirOwnTerm(),
      this.checkQuorum,
      new LiveLeadersAreKept(),
      new UnfencedBrokersAreReady(),
      new VotersChangeOneAtATime(logs),
      new NewestConfigurationCounts(logs),
      new RemovedLeadersStepDown(),
    ]
    this.active = judgedBy === 'all' ? this.all : [this.consumed]
    for (const node of world.nodes) this.disks.set(node.id, new LogIndex(node.disk))
  }

  get nodes(): readonly SimNode[] {
    return this.world.nodes
  }

  get clock(): { readonly nowMs: number } {
    return this.world.clock
  }

  get minInsyncReplicas(): number {
    return this.world.minInsyncReplicas
  }

  get flushBeforeAck(): boolean {
    return this.world.flushBeforeAck
  }

  get damagedNodes(): ReadonlyMap<number, LostEnds | null> {
    return this.world.damagedNodes
  }

  diskOf(nodeId: number): LogIndex {
    return this.disks.get(nodeId)!
  }

  /** How often each was really looked at. */
  checks(): Record<string, number> {
    return Object.fromEntries(this.all.map(({ title, checks }) => [title, checks]))
  }

  onSent(from: number, to: number, message: PeerMessage): void {
    if (message.type !== 'raft') return
    const sender = this.nodes.find(({ id }) => id === from)!
    this.each('onRaftSent', (invariant) => invariant.onRaftSent(this, sender, to, message.message))
  }

  /** Just before the receiver handles it. */
  onDelivered(from: number, to: number, message: PeerMessage): void {
    if (message.type !== 'raft') return
    const receiver = this.nodes.find(({ id }) => id === to)!
    this.each('onRaftReceived', (invariant) =>
      invariant.onRaftReceived(this, from, receiver, message.message),
    )
  }

  onImage(node: SimNode, image: MetadataImage): void {
    this.each('onImage', (invariant) => invariant.onImage(this, node, image))
    for (const fact of this.facts.noteImage(image, node.node!.services.metadata.appliedIndex)) {
      const key = this.facts.keyOfName(fact.name)!
      this.each('onState', (invariant) => invariant.onState(this, fact, key, image, node))
    }
  }

  /** After each event that ran on a node. */
  afterEvent(node: SimNode): void {
    if (this.judgedBy === 'clients') return
    const broker = node.node
    if (!node.isUp || broker === null || broker.state === 'stopped') return
    let watch = this.watches.get(node)
    if (watch === undefined || watch.incarnation !== node.incarnation)
      this.watches.set(node, (watch = { incarnation: node.incarnation, raft: null, replicas: [] }))
    const quorum = broker.startedQuorum
    if (quorum !== null) this.lookAtRaft(node, watch, quorum)
    this.preVotes.forget(node)
    const { raft } = watch
    if (raft !== null) this.look(this.checkQuorum, (invariant) => invariant.afterEvent(this, node, raft))
    this.lookAtReplicas(node, watch)
  }

  onAcknowledged(partition: string, offset: number, value: string): void {
    this.each('onAcknowledged', (invariant) => invariant.onAcknowledged(this, partition, offset, value))
  }

  onConsumed(consumer: string, partition: string, offset: number, value: string): void {
    this.each('onConsumed', (invariant) => invariant.onConsumed(consumer, partition, offset, value))
  }

  onSeen(consumer: string, partition: string, offset: number, value: string): void {
    this.each('onSeen', (invariant) => invariant.onSeen(consumer, partition, offset, value))
  }

  onFetched(consumer: string, partition: string, highWatermark: number, lastStable: number): void {
    this.each('onFetched', (invariant) => invariant.onFetched(consumer, partition, highWatermark, lastStable))
  }

  onLatestOffset(client: string, partition: string, offset: number): void {
    this.each('onLatestOffset', (invariant) => invariant.onLatestOffset(client, partition, offset))
  }

  onOffsetReset(consumer: string, partition: string, offset: number): void {
    this.each('onOffsetReset', (invariant) => invariant.onOffsetReset(consumer, partition, offset))
  }

  onCommitAcknowledged(group: string, offset: number): void {
    this.each('onCommitAcknowledged', (invariant) => invariant.onCommitAcknowledged(group, offset))
  }

  onCommitFetched(group: string, offset: number, nodeId: number): void {
    this.each('onCommitFetched', (invariant) => invariant.onCommitFetched(this, group, offset, nodeId))
  }

  eachSecond(): void {
    this.each('eachSecond', (invariant) => invariant.eachSecond(this))
  }

  private each(hook: Hook, look: (invariant: Invariant) => void): void {
    for (const invariant of this.listeners(hook)) this.look(invariant, look)
  }

  /** Those that do something there: of each hook few do. */
  private listeners(hook: Hook): readonly Invariant[] {
    let found = this.byHook.get(hook)
    if (found === undefined) {
      found = this.active.filter((invariant) => invariant[hook] !== Invariant.prototype[hook])
      this.byHook.set(hook, found)
    }
    return found
  }

  private look<I extends Invariant>(invariant: I, look: (invariant: I) => void): void {
    try {
      look(invariant)
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      if (!this.active.includes(invariant)) return
      this.active = this.active.filter((each) => each !== invariant)
      this.byHook.clear()
      this.onViolation(error)
    }
  }

  private lookAtRaft(node: SimNode, watch: NodeWatch, quorum: QuorumControl): void {
    const { raft } = quorum
    if (raft === undefined) return
    const { raft: before } = watch
    const { term, isLeader, commitIndex, firstIndex, lastIndex } = raft
    const lastTerm = raft.termAt(lastIndex) ?? -1
    if (
      before !== null &&
      before.term === term &&
      before.lastIndex === lastIndex &&
      before.commitIndex === commitIndex &&
      before.isLeader === isLeader &&
      before.lastTerm === lastTerm &&
      before.firstIndex === firstIndex
    )
      return
    const { incarnation } = node
    const directoryId = before?.directoryId ?? quorum.status().directoryId
    const now = {
      raft,
      incarnation,
      directoryId,
      term,
      isLeader,
      commitIndex,
      firstIndex,
      lastIndex,
      lastTerm,
    }
    watch.raft = now
    this.facts.directories.set(node.id, directoryId)
    this.each('onRaft', (invariant) => invariant.onRaft(this, node, now, before))
  }

  private lookAtReplicas(node: SimNode, watch: NodeWatch): void {
    const { replicas } = watch
    let i = 0
    for (const partition of node.node!.services.partitions.all()) {
      const before = replicas[i]
      const { role, log } = partition
      const isr = role.type === 'leader' ? role.state.isr : null
      const partitionEpoch = role.type === 'leader' ? role.state.partitionEpoch : -1
      const { logEndOffset, latestEpoch } = log
      const { highWatermark } = partition
      if (
        before !== undefined &&
        before.partition === partition &&
        before.highWatermark === highWatermark &&
        before.logEndOffset === logEndOffset &&
        before.isr === isr &&
        before.role === role.type &&
        before.leaderEpoch === role.leaderEpoch &&
        before.latestEpoch === latestEpoch &&
        before.partitionEpoch === partitionEpoch
      ) {
        i++
        continue
      }
      const former =
        before?.partition === partition ? before : replicas.find((r) => r.partition === partition)
      const now: ReplicaState = {
        partition,
        key: former?.key ?? keyOf(partition.topicId, partition.partitionId),
        name: former?.name ?? `${partition.topic}-${partition.partitionId}`,
        role: role.type,
        leaderEpoch: role.leaderEpoch,
        highWatermark,
        logEndOffset,
        latestEpoch,
        isr,
        partitionEpoch,
      }
      this.onReplica(node, now, former ?? null)
      if (before !== undefined && before !== former) replicas.splice(i, 0, now)
      else replicas[i] = now
      i++
    }
    replicas.length = i
  }

  private onReplica(node: SimNode, now: ReplicaState, before: ReplicaState | null): void {
    if (now.role === 'leader') {
      for (const batch of this.facts.noteHighWatermark(this, node, now)) {
        this.each('onCommitted', (invariant) => invariant.onCommitted(this, now.key, now.name, batch))
      }
    }
    this.each('onReplica', (invariant) => invariant.onReplica(this, node, now, before))
  }
}
