import { assert } from '../../lib/assert.js'
import {
  type BrokerEpoch,
  type LeaderEpoch,
  NO_NODE,
  type NodeId,
  type Offset,
  type Uuid,
} from '../../lib/ids.js'
import type { PartitionLog } from '../../log/partition-log.js'
import type { AppendBatch } from '../../log/types.js'
import { countedReplicas, effectiveMinIsr } from '../../metadata/configs.js'
import type { PartitionImage } from '../../metadata/image.js'
import { type EpochEnd, FollowerState, truncationOffset } from '../../partition/follower-state.js'
import { type IsrProposal, type IsrState, maximalIsr } from '../../partition/isr.js'
import { LeaderState, type ProposalResult } from '../../partition/leader-state.js'
import { ErrorCode } from '../../wire/errors.js'
import type { AppendResult } from '../services.js'
import { LeaderAppends } from './leader-appends.js'
import type { PartitionContext } from './partition-context.js'
import { ProducerTable } from './producer-table.js'
import { type FetchedBatches, parseFetched } from './replica-batches.js'
import type { AppendOptions, PartitionHealth, PartitionStatus } from './types.js'

export type Role =
  | { readonly type: 'none'; readonly leaderEpoch: LeaderEpoch }
  | { readonly type: 'leader'; readonly leaderEpoch: LeaderEpoch; readonly state: LeaderState }
  | {
      readonly type: 'follower'
      readonly leaderEpoch: LeaderEpoch
      readonly leader: NodeId
      readonly state: FollowerState
    }

/** A fetch that waits for more to read; called at most once for each thing that moved. */
export interface ReadWaiter {
  onReadable(): void
  /** For replicas, which are woken by appends: the high watermark moved. */
  onHighWatermark?(): void
}

export type FollowerAppend =
  | { readonly type: 'done' }
  /** What the leader sent cannot be appended; the reason is logged and the fetch repeated. */
  | { readonly type: 'refused'; readonly reason: string }
  /** This replica is no follower of that epoch any more. */
  | { readonly type: 'stale' }

/**
 * One replica: joins the pure cores to a log. Whoever changes its role calls `lead`, `follow` or `retire`, in the
 * order of the image.
 */
export class Partition {
  private roleValue: Role = { type: 'none', leaderEpoch: -1 }
  private healthValue: PartitionHealth = 'online'
  private lastHighWatermark: Offset
  /** Of the image that it leads by; see `countedReplicas`. */
  private countedReplicas = 0
  private lastStatus: { status: PartitionStatus; role: Role; isr: IsrState | undefined } | undefined
  private readonly producers: ProducerTable
  private readonly appends: LeaderAppends
  private readonly clientReads = new Set<ReadWaiter>()
  private readonly replicaReads = new Set<ReadWaiter>()

  constructor(
    readonly topic: string,
    readonly topicId: Uuid,
    readonly partitionId: number,
    readonly log: PartitionLog,
    private readonly context: PartitionContext,
    highWatermark: Offset,
  ) {
    this.lastHighWatermark = Math.max(log.logStartOffset, Math.min(highWatermark, log.logEndOffset))
    this.producers = new ProducerTable(log, context)
    this.appends = new LeaderAppends(this, this.producers, context)
    log.onSnapshotDue = (offset) => this.producers.writeSnapshot(offset)
  }

  get role(): Role {
    return this.roleValue
  }
  get health(): PartitionHealth {
    return this.healthValue
  }
  get highWatermark(): Offset {
    return this.roleValue.type === 'none' ? this.lastHighWatermark : this.roleValue.state.highWatermark
  }
  get leaderEpoch(): LeaderEpoch {
    return this.roleValue.leaderEpoch
  }
  /** The leader's state; undefined where this replica does not lead. */
  get leading(): LeaderState | undefined {
    return this.roleValue.type === 'leader' ? this.roleValue.state : undefined
  }

  /** Another broker may lead by now, and have written beyond the end that is known here. */
  get mayBeDeposed(): boolean {
    return this.context.isCutOff()
  }

  /** The image names this broker as the leader. Returns whether a new leader epoch began here. */
  lead(image: PartitionImage): boolean {
    const nowMs = this.context.clock.monotonicMs()
    this.countedReplicas = countedReplicas(image)
    if (this.roleValue.type === 'leader' && this.roleValue.leaderEpoch === image.leaderEpoch) {
      const { isr, replicas, partitionEpoch } = image
      const moved = this.roleValue.state.onImage({ isr, replicas, partitionEpoch }, nowMs)
      this.afterLeaderChange(moved)
      return false
    }
    this.leaveRole()
    const { log } = this
    if (log.latestEpoch < image.leaderEpoch) log.assignEpochStart(image.leaderEpoch, log.logEndOffset)
    const state = new LeaderState({
      nodeId: this.context.nodeId,
      leaderEpoch: image.leaderEpoch,
      partitionEpoch: image.partitionEpoch,
      replicas: image.replicas,
      isr: image.isr,
      epochStartOffset: log.logEndOffset,
      highWatermark: this.lastHighWatermark,
      minIsr: () => this.minIsr(),
      lagTimeMaxMs: this.context.lagTimeMaxMs,
      eligibility: this.context.eligibility,
      nowMs,
    })
    this.roleValue = { type: 'leader', leaderEpoch: image.leaderEpoch, state }
    this.onLocalProgress()
    // A truncation by which it came to lead must not be undone by a power cut, nor is what was fetched promised yet.
    if (this.waitsForDisk && !log.isSynced) this.sync()
    this.wakeAllReads()
    return true
  }

  /** The image names another leader, or none. Returns whether the role, its epoch or its leader changed. */
  follow(image: PartitionImage): boolean {
    const role = this.roleValue
    if (role.type === 'follower' && role.leaderEpoch === image.leaderEpoch && role.leader === image.leader)
      return false
    this.leaveRole()
    this.roleValue = {
      type: 'follower',
      leaderEpoch: image.leaderEpoch,
      leader: image.leader,
      state: new FollowerState({ leaderEpoch: image.leaderEpoch, highWatermark: this.lastHighWatermark }),
    }
    this.appends.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    this.wakeAllReads()
    return true
  }

  /** Deleted, moved away, or the broker stops: answers all that waits. */
  retire(health: PartitionHealth, errorCode: number): void {
    this.leaveRole()
    this.healthValue = health
    this.roleValue = { type: 'none', leaderEpoch: this.roleValue.leaderEpoch }
    this.appends.failAll(errorCode)
    this.wakeAllReads()
    this.log.onSnapshotDue = null
  }

  /** A clean stop: the next start need not scan the log for producers. */
  writeProducerSnapshot(): void {
    try {
      this.producers.writeFinalSnapshot()
    } catch (error) {
      this.reportFailure(error as Error)
    }
  }

  // Leading

  append(records: Uint8Array, options: AppendOptions, done: (result: AppendResult) => void): void {
    this.appends.append(records, options, done)
  }

  /** A replica fetched at `offset` under the present leader epoch: everything below is durable there. */
  onReplicaFetch(id: NodeId, offset: Offset, logStartOffset: Offset, brokerEpoch: BrokerEpoch): void {
    const state = this.leading
    if (state?.replica(id) === undefined) return
    this.afterLeaderChange(
      state.onReplicaFetch(id, { offset, logStartOffset, brokerEpoch }, this.context.clock.monotonicMs()),
    )
  }

  /** What to ask of the controller, decided now; null: nothing any more. `onProposalResult` must follow. */
  proposeIsr(): IsrProposal | null {
    return this.context.isStalled() ? null : (this.leading?.propose(this.context.clock.monotonicMs()) ?? null)
  }

  /** The end of a proposal. */
  onProposalResult(proposal: IsrProposal, result: ProposalResult): void {
    const state = this.leading
    if (state === undefined || state.leaderEpoch !== proposal.leaderEpoch) return
    this.afterLeaderChange(state.onProposalResult(proposal, result, this.context.clock.monotonicMs()))
  }

  /** This process stood still: no follower is judged by that time. */
  onStall(stalledMs: number): void {
    this.leading?.onStall(stalledMs, this.context.clock.monotonicMs())
  }

  /** Time passed, or a broker was fenced or came back: the ISR may have to change. */
  checkIsr(): void {
    const state = this.leading
    if (state === undefined) return
    this.afterLeaderChange(state.onTick(this.context.clock.monotonicMs()))
  }

  /** Batches of this turn go to the log in one write. @throws nothing: a failure is told to those who wait */
  writeAsLeader(batches: readonly AppendBatch[]): Error | null {
    try {
      this.log.append(batches)
    } catch (error) {
      this.context.logger.error({ topic: this.topic, partition: this.partitionId, error }, 'append failed')
      this.reloadProducers()
      return error as Error
    }
    this.onLocalProgress()
    this.wake(this.replicaReads)
    if (this.waitsForDisk) this.sync()
    return null
  }

  // Following

  /** Appends what the leader of `leaderEpoch` answered to a fetch at `fetchOffset`. Durable after `syncFollower`. */
  appendAsFollower(
    records: Uint8Array,
    fetchOffset: Offset,
    leaderEpoch: LeaderEpoch,
    leaderHighWatermark: Offset,
    leaderLogStartOffset: Offset,
  ): FollowerAppend {
    const role = this.roleValue
    if (role.type !== 'follower' || role.leaderEpoch !== leaderEpoch) return { type: 'stale' }
    if (this.log.logEndOffset !== fetchOffset) return { type: 'stale' }
    let parsed: FetchedBatches = { batches: [], headers: [], fault: null }
    if (records.length > 0 && !this.log.hasRoom) return { type: 'refused', reason: 'the disk is full' }
    if (records.length > 0) parsed = parseFetched(records, fetchOffset, leaderEpoch)
    try {
      if (parsed.batches.length > 0) {
        // Before the append: where it rolls, the snapshot must hold the producers of all that lies below it.
        for (const header of parsed.headers) this.producers.recordHeader(header)
        this.log.append(parsed.batches)
      }
      role.state.onFetched(fetchOffset, this.log.logEndOffset, leaderHighWatermark)
      this.lastHighWatermark = role.state.highWatermark
      if (leaderLogStartOffset > this.log.logStartOffset && leaderLogStartOffset <= this.highWatermark) {
        this.log.advanceLogStartOffset(leaderLogStartOffset)
      }
    } catch (error) {
      this.reloadProducers()
      return { type: 'refused', reason: `the log refused it: ${(error as Error).message}` }
    }
    return parsed.fault === null ? { type: 'done' } : { type: 'refused', reason: parsed.fault }
  }

  /** The leader's log parted from ours: cut to where they may still agree. The next fetch tells whether they do. */
  truncateToDiverging(diverging: EpochEnd, leaderEpoch: LeaderEpoch): boolean {
    const role = this.roleValue
    if (role.type !== 'follower' || role.leaderEpoch !== leaderEpoch) return false
    const offset = truncationOffset(this.log, diverging)
    this.context.logger.info(
      { topic: this.topic, partition: this.partitionId, offset, logEnd: this.log.logEndOffset, ...diverging },
      'truncating a suffix that the leader does not have',
    )
    if (offset < role.state.highWatermark) {
      this.context.logger.warn(
        { topic: this.topic, partition: this.partitionId, offset, highWatermark: role.state.highWatermark },
        'truncating below the high watermark: an unclean election lost committed records',
      )
    }
    return this.cut(() => {
      this.log.truncateTo(offset)
      role.state.onTruncated(this.log.logEndOffset)
    })
  }

  /** Our log's end lies outside of the leader's log. */
  restartAt(offset: Offset, leaderEpoch: LeaderEpoch): boolean {
    const role = this.roleValue
    if (role.type !== 'follower' || role.leaderEpoch !== leaderEpoch) return false
    this.context.logger.warn(
      { topic: this.topic, partition: this.partitionId, logEnd: this.log.logEndOffset, offset },
      'out of the range of the leader: the replica begins anew at its log start',
    )
    return this.cut(() => {
      this.log.truncateFullyAndStartAt(offset)
      role.state.onRestarted(offset)
    })
  }

  /** False where the log failed: it reports that itself, and is set aside or offline soon. */
  private cut(change: () => void): boolean {
    try {
      change()
      this.producers.load()
    } catch (error) {
      this.reportFailure(error as Error)
      return false
    }
    this.lastHighWatermark = this.highWatermark
    return true
  }

  /** `ready` when what was appended or cut is durable; at once where nothing waits for the disk. */
  syncFollower(ready: () => void): void {
    if (!this.waitsForDisk || this.log.isSynced) {
      ready()
      return
    }
    this.log.sync((error) => {
      if (error === null) ready()
      else this.onSyncFailure(error)
    })
  }

  // Reading

  /** The waiter is told once for each thing that moved until it is taken off. */
  addReader(waiter: ReadWaiter, isReplica: boolean): void {
    if (isReplica) this.replicaReads.add(waiter)
    else this.clientReads.add(waiter)
  }

  removeReader(waiter: ReadWaiter): void {
    this.replicaReads.delete(waiter)
    this.clientReads.delete(waiter)
  }

  /** A read found the disk or the log damaged: the caller answers KAFKA_STORAGE_ERROR. */
  reportFailure(error: Error): void {
    this.context.logger.error({ topic: this.topic, partition: this.partitionId, error }, 'the log failed')
  }

  /** The same object for as long as nothing in it changed, so that who watches compares by identity. */
  status(): PartitionStatus {
    const role = this.roleValue
    const isr = role.type === 'leader' ? role.state.isr : undefined
    const { log, lastStatus: last } = this
    if (
      last !== undefined &&
      last.role === role &&
      last.isr === isr &&
      last.status.logEndOffset === log.logEndOffset &&
      last.status.highWatermark === this.highWatermark &&
      last.status.durableEndOffset === log.durableEndOffset &&
      last.status.logStartOffset === log.logStartOffset &&
      last.status.sizeBytes === log.sizeBytes &&
      last.status.state === this.healthValue
    )
      return last.status
    const status = this.describe(role, isr)
    this.lastStatus = { status, role, isr }
    return status
  }

  private describe(role: Role, isr: IsrState | undefined): PartitionStatus {
    return {
      topic: this.topic,
      topicId: this.topicId,
      partitionId: this.partitionId,
      role: role.type,
      leader: role.type === 'leader' ? this.context.nodeId : role.type === 'follower' ? role.leader : NO_NODE,
      leaderEpoch: role.leaderEpoch,
      isr: { committed: isr?.isr ?? [], maximal: isr === undefined ? [] : maximalIsr(isr) },
      logStartOffset: this.log.logStartOffset,
      logEndOffset: this.log.logEndOffset,
      durableEndOffset: this.log.durableEndOffset,
      highWatermark: this.highWatermark,
      sizeBytes: this.log.sizeBytes,
      state: this.healthValue,
    }
  }

  get flushesBeforeAck(): boolean {
    return this.context.configs.topic(this.topic).flushBeforeAck
  }

  /** What is promised must be durable: always, or behind a truncation that is not durable itself. */
  private get waitsForDisk(): boolean {
    return this.flushesBeforeAck || this.log.hasUnsyncedTruncation
  }

  /** Up to where this replica's own copy counts: its fsynced end, or its end where nothing waits for the disk. */
  get promisedEnd(): Offset {
    return this.waitsForDisk ? this.log.durableEndOffset : this.log.logEndOffset
  }

  private minIsr(): number {
    return effectiveMinIsr(this.context.configs.topic(this.topic).minInsyncReplicas, this.countedReplicas)
  }

  private sync(): void {
    this.log.sync((error) => {
      if (error === null) this.onLocalProgress()
      else this.onSyncFailure(error)
    })
  }

  /** A log that was closed or deleted meanwhile fails what waited: nobody asks for it any more. */
  private onSyncFailure(error: Error): void {
    if (this.roleValue.type !== 'none') this.context.onDiskFailure(this, error)
  }

  private reloadProducers(): void {
    try {
      this.producers.load()
    } catch (error) {
      this.reportFailure(error as Error)
    }
  }

  private onLocalProgress(): void {
    const state = this.leading
    if (state === undefined) return
    const { log } = this
    const { promisedEnd } = this
    this.appends.onPromised(promisedEnd)
    this.afterLeaderChange(
      state.onLocalProgress(log.logEndOffset, promisedEnd, this.context.clock.monotonicMs()),
    )
  }

  private afterLeaderChange(highWatermarkMoved: boolean): void {
    const state = this.leading
    assert(state !== undefined, 'only a leader gets here')
    if (highWatermarkMoved) {
      this.lastHighWatermark = state.highWatermark
      this.appends.onHighWatermark(state.highWatermark)
      this.wake(this.clientReads)
      for (const waiter of this.replicaReads) waiter.onHighWatermark?.()
    }
    if (this.context.isStalled()) return
    if (state.wantsProposal(this.context.clock.monotonicMs())) this.context.onIsrWanted(this)
  }

  /** Appends of this turn still count under the epoch that took them. */
  private leaveRole(): void {
    if (this.roleValue.type !== 'leader') return
    this.appends.write()
    this.lastHighWatermark = this.roleValue.state.highWatermark
    this.appends.failAll(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  }

  private wakeAllReads(): void {
    this.wake(this.clientReads)
    this.wake(this.replicaReads)
  }

  private wake(waiters: Set<ReadWaiter>): void {
    for (const waiter of waiters) waiter.onReadable()
  }
}
