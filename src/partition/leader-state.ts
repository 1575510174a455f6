import { assert } from '../lib/assert.js'
import type { BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionEpoch } from '../lib/ids.js'
import { type IsrProposal, type IsrState, maximalIsr, proposedIsr, sameMembers } from './isr.js'

/** A follower as its leader sees it. Times are monotonic milliseconds. */
export interface ReplicaProgress {
  /** Everything below is fsynced there: a Fetch at this offset promised it. -1 until it fetched in this epoch. */
  fetchOffset: Offset
  logStartOffset: Offset
  /** The registration that fetched (KIP-903). -1 until then. */
  brokerEpoch: BrokerEpoch
  /** When it last held all that the leader had. */
  lastCaughtUpMs: number
  lastFetchMs: number
  /** The leader's log end at the last fetch: reaching it later proves having been caught up at that moment. */
  leaderEndAtLastFetch: Offset
}

export interface LeaderStart {
  nodeId: NodeId
  leaderEpoch: LeaderEpoch
  partitionEpoch: PartitionEpoch
  replicas: readonly NodeId[]
  isr: readonly NodeId[]
  /** The log's end at the election: where this epoch begins. */
  epochStartOffset: Offset
  /** The last known one; never above the log's end. */
  highWatermark: Offset
  /**
   * min(min.insync.replicas, replica count) as the metadata have it now. Asked anew each time: the controller takes for
   * granted that whoever applied a new minimum goes by it, whatever else of that image waits to be looked at.
   */
  minIsr: () => number
  lagTimeMaxMs: number
  eligibility: Eligibility
  nowMs: number
}

/** What the image says of a broker. undefined where it is not registered. */
export type Eligibility = (
  id: NodeId,
) => { epoch: BrokerEpoch; fenced: boolean; inControlledShutdown: boolean } | undefined

/** What came of an AlterPartition (KIP-497): `retry` where the outcome is unknown or the controller was busy. */
export type ProposalResult =
  | { type: 'accepted'; isr: readonly NodeId[]; leaderEpoch: LeaderEpoch; partitionEpoch: PartitionEpoch }
  /** INELIGIBLE_REPLICA, OPERATION_NOT_ATTEMPTED: nothing was changed. */
  | { type: 'rejected' }
  /** FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION …: this leader is behind; the image will say what holds. */
  | { type: 'superseded' }
  | { type: 'retry' }

/**
 * After so many refusals of a proposal whose first outcome was unknown, a copy that is still on its way is not reckoned
 * with any more. That is no proof. A controller takes what one stream brings in order, and drops what it holds when its
 * office ends; but a copy may come late over a stream that broke, or be held while the log is full and decided after a
 * later one. No time bounds the former, since a command's time-out begins anew where it arrives. The back-offs between
 * so many refusals make about a second and a half, and for so long the high watermark waits for a replica that is
 * perhaps dead.
 */
const REFUSALS_THAT_SETTLE_AN_UNKNOWN_OUTCOME = 5
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 1_000

/**
 * One leader epoch of one partition: who is in sync, and how far everyone is. Pure: the shell appends, fsyncs and
 * carries proposals to the controller.
 */
export class LeaderState {
  readonly leaderEpoch: LeaderEpoch
  readonly epochStartOffset: Offset
  private isrState: IsrState
  private partitionEpochValue: PartitionEpoch
  private highWatermarkValue: Offset
  private readonly nodeId: NodeId
  private readonly lagTimeMaxMs: number
  private readonly eligibility: Eligibility
  private readonly progress = new Map<NodeId, ReplicaProgress>()
  private readonly minIsr: () => number
  /** The leader's own log: what it holds, and what it may promise (its fsynced end, or its end without flushing). */
  private logEnd: Offset
  private promisedEnd: Offset
  private proposalInFlight = false
  private outcomeUnknown = false
  private refusals = 0
  private failures = 0
  private retryAtMs = 0

  constructor(start: LeaderStart) {
    assert(start.replicas.includes(start.nodeId), 'a leader is one of the replicas')
    assert(start.highWatermark <= start.epochStartOffset, 'the high watermark is not above the log end')
    this.nodeId = start.nodeId
    this.leaderEpoch = start.leaderEpoch
    this.partitionEpochValue = start.partitionEpoch
    this.epochStartOffset = start.epochStartOffset
    this.highWatermarkValue = start.highWatermark
    this.minIsr = start.minIsr
    this.lagTimeMaxMs = start.lagTimeMaxMs
    this.eligibility = start.eligibility
    this.isrState = { type: 'committed', isr: start.isr }
    this.logEnd = start.epochStartOffset
    this.promisedEnd = start.highWatermark
    for (const id of start.replicas)
      if (id !== start.nodeId) this.track(id, start.isr.includes(id), start.nowMs)
  }

  get highWatermark(): Offset {
    return this.highWatermarkValue
  }
  get isr(): IsrState {
    return this.isrState
  }
  get partitionEpoch(): PartitionEpoch {
    return this.partitionEpochValue
  }
  /** Acks=all needs this many in the committed ISR, before the append and after. */
  get hasEnoughInSync(): boolean {
    return this.isrState.isr.length >= this.minIsr()
  }
  /** What was committed in former epochs is known to be below the high watermark: offsets may be told to clients. */
  get isHighWatermarkCurrent(): boolean {
    return this.highWatermarkValue >= this.epochStartOffset
  }
  replica(id: NodeId): Readonly<ReplicaProgress> | undefined {
    return this.progress.get(id)
  }

  /** The leader's own log moved. Returns whether the high watermark did. */
  onLocalProgress(logEnd: Offset, promisedEnd: Offset, nowMs: number): boolean {
    assert(logEnd >= this.logEnd, 'a leader never truncates its log')
    assert(promisedEnd <= logEnd, 'nothing beyond the log end is promised')
    this.logEnd = logEnd
    this.promisedEnd = Math.max(this.promisedEnd, promisedEnd)
    return this.advanceHighWatermark(nowMs)
  }

  /** A replica fetched in this leader epoch. Returns whether the high watermark moved. */
  onReplicaFetch(
    id: NodeId,
    fetch: { offset: Offset; logStartOffset: Offset; brokerEpoch: BrokerEpoch },
    nowMs: number,
  ): boolean {
    const replica = this.progress.get(id)
    assert(replica !== undefined, 'the caller checked that this is a replica')
    // A former incarnation of this broker may still have a request on its way (KIP-903).
    if (fetch.brokerEpoch !== -1 && fetch.brokerEpoch < replica.brokerEpoch) return false
    if (fetch.offset >= this.logEnd) replica.lastCaughtUpMs = Math.max(replica.lastCaughtUpMs, nowMs)
    else if (fetch.offset >= replica.leaderEndAtLastFetch) {
      replica.lastCaughtUpMs = Math.max(replica.lastCaughtUpMs, replica.lastFetchMs)
    }
    replica.fetchOffset = fetch.offset
    replica.logStartOffset = fetch.logStartOffset
    replica.brokerEpoch = fetch.brokerEpoch
    replica.lastFetchMs = nowMs
    replica.leaderEndAtLastFetch = this.logEnd
    return this.advanceHighWatermark(nowMs)
  }

  /** The image's word on the same leader epoch: a change of the ISR, of the replicas or of the configuration. */
  onImage(
    image: { isr: readonly NodeId[]; replicas: readonly NodeId[]; partitionEpoch: PartitionEpoch },
    nowMs: number,
  ): boolean {
    for (const id of image.replicas) {
      if (id !== this.nodeId && !this.progress.has(id)) this.track(id, image.isr.includes(id), nowMs)
    }
    for (const id of this.progress.keys()) if (!image.replicas.includes(id)) this.progress.delete(id)
    if (image.partitionEpoch > this.partitionEpochValue) this.commit(image.isr, image.partitionEpoch, nowMs)
    return this.advanceHighWatermark(nowMs)
  }

  /** `propose` would give one now. */
  wantsProposal(nowMs: number): boolean {
    if (this.proposalInFlight || nowMs < this.retryAtMs) return false
    if (this.isrState.type !== 'committed') return true
    return this.wantedShrink(nowMs) !== undefined || this.wantedExpand(nowMs) !== undefined
  }

  /**
   * What to ask of the controller now, or null. The state is pending from here on; exactly one `onProposalResult`
   * must follow. At most one is in flight, and a new one waits out the back-off of the last failure.
   */
  propose(nowMs: number): IsrProposal | null {
    if (this.proposalInFlight || nowMs < this.retryAtMs) return null
    if (this.isrState.type === 'committed') {
      this.isrState = this.wantedShrink(nowMs) ?? this.wantedExpand(nowMs) ?? this.isrState
    }
    if (this.isrState.type === 'committed') return null
    this.proposalInFlight = true
    return {
      leaderEpoch: this.leaderEpoch,
      partitionEpoch: this.partitionEpochValue,
      newIsr: proposedIsr(this.isrState),
    }
  }

  /** Returns whether the high watermark moved. */
  onProposalResult(proposal: IsrProposal, result: ProposalResult, nowMs: number): boolean {
    this.proposalInFlight = false
    // The image was faster and this pending state is settled: an accepted result can only repeat it.
    const isStale = proposal.partitionEpoch !== this.partitionEpochValue || this.isrState.type === 'committed'
    switch (result.type) {
      case 'accepted':
        this.failures = 0
        if (result.leaderEpoch === this.leaderEpoch && result.partitionEpoch >= this.partitionEpochValue) {
          if (result.partitionEpoch > this.partitionEpochValue)
            this.commit(result.isr, result.partitionEpoch, nowMs)
          // A repeated proposal that had already happened (KAFKA-14144).
          else if (!isStale && sameMembers(result.isr, proposal.newIsr))
            this.commit(result.isr, result.partitionEpoch, nowMs)
          else this.backOff(nowMs)
        }
        break
      case 'rejected':
        this.backOff(nowMs)
        if (!isStale) this.onRefused()
        // Another replica was fenced meanwhile: what is wanted now is something else, and need not wait.
        if (!sameMembers(this.wantedIsr(nowMs), proposal.newIsr)) this.retryAtMs = nowMs
        break
      case 'superseded':
        // Stay pending: the maximal ISR is right whatever happened. The image that supersedes will commit.
        this.outcomeUnknown = true
        this.backOff(nowMs)
        break
      case 'retry':
        this.outcomeUnknown = true
        this.backOff(nowMs)
        break
    }
    return this.advanceHighWatermark(nowMs)
  }

  /** When `propose` should be asked again though nothing happens: a back-off or a replica that may come to lag. */
  nextCheckMs(nowMs: number): number {
    return Math.max(this.retryAtMs, nowMs + this.lagTimeMaxMs / 2)
  }

  private track(id: NodeId, isInSync: boolean, nowMs: number): void {
    this.progress.set(id, {
      fetchOffset: -1,
      logStartOffset: -1,
      brokerEpoch: -1,
      // A member of the ISR gets the full lag time to show itself; another has to catch up first.
      lastCaughtUpMs: isInSync ? nowMs : Number.NEGATIVE_INFINITY,
      lastFetchMs: Number.NEGATIVE_INFINITY,
      leaderEndAtLastFetch: Number.POSITIVE_INFINITY,
    })
  }

  /** This process stood still for so long: what followers sent meanwhile waits in the sockets, so none of it is theirs. */
  onStall(stalledMs: number, nowMs: number): void {
    for (const replica of this.progress.values()) {
      replica.lastCaughtUpMs = Math.min(nowMs, replica.lastCaughtUpMs + stalledMs)
    }
  }

  /** Time passed or a broker was fenced: a replica that was waited for may not be any more. */
  onTick(nowMs: number): boolean {
    return this.advanceHighWatermark(nowMs)
  }

  private commit(isr: readonly NodeId[], partitionEpoch: PartitionEpoch, nowMs: number): void {
    // Who joins is at the high watermark, not yet at the end of the log, and has the full lag time to get there.
    for (const id of isr) {
      const replica = this.isrState.isr.includes(id) ? undefined : this.progress.get(id)
      if (replica !== undefined) replica.lastCaughtUpMs = Math.max(replica.lastCaughtUpMs, nowMs)
    }
    this.isrState = { type: 'committed', isr }
    this.partitionEpochValue = partitionEpoch
    this.outcomeUnknown = false
    this.refusals = 0
    this.failures = 0
    this.retryAtMs = 0
  }

  /**
   * A plain refusal proves that the ISR is still the committed one. After an attempt whose outcome was unknown it
   * does not: a copy may still be under way and find the replica eligible again. Then stay with the maximal ISR and
   * ask again, a few times.
   */
  private onRefused(): void {
    this.refusals += 1
    if (this.outcomeUnknown && this.refusals < REFUSALS_THAT_SETTLE_AN_UNKNOWN_OUTCOME) return
    this.outcomeUnknown = false
    this.refusals = 0
    this.isrState = { type: 'committed', isr: this.isrState.isr }
  }

  private backOff(nowMs: number): void {
    this.retryAtMs = nowMs + Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.failures)
    this.failures += 1
  }

  private wantedIsr(nowMs: number): readonly NodeId[] {
    if (this.isrState.type !== 'committed') return proposedIsr(this.isrState)
    return proposedIsr(this.wantedShrink(nowMs) ?? this.wantedExpand(nowMs) ?? this.isrState)
  }

  private wantedShrink(nowMs: number): IsrState | undefined {
    const isr = this.isrState.isr
    const removed = isr.filter((id) => id !== this.nodeId && this.mustLeave(id, nowMs))
    return removed.length === 0 ? undefined : { type: 'pendingShrink', isr, removed }
  }

  private mustLeave(id: NodeId, nowMs: number): boolean {
    const broker = this.eligibility(id)
    if (broker === undefined || broker.fenced) return true
    return !this.isCaughtUp(this.progress.get(id)!, nowMs)
  }

  private isCaughtUp(replica: ReplicaProgress, nowMs: number): boolean {
    return replica.fetchOffset === this.logEnd || nowMs - replica.lastCaughtUpMs <= this.lagTimeMaxMs
  }

  private wantedExpand(nowMs: number): IsrState | undefined {
    const isr = this.isrState.isr
    let added: NodeId[] | undefined
    for (const [id, replica] of this.progress) {
      if (isr.includes(id) || !this.mayJoin(id, replica, nowMs)) continue
      added ??= []
      added.push(id)
    }
    return added === undefined ? undefined : { type: 'pendingExpand', isr, added }
  }

  /** KIP-497: at or past the high watermark and this epoch's start. KIP-841, KIP-903: live, under the epoch that fetched. */
  private mayJoin(id: NodeId, replica: ReplicaProgress, nowMs: number): boolean {
    if (!this.isEligible(id, replica)) return false
    // It fetched lately, else a replica that left for lagging would join again at its old offset.
    if (nowMs - replica.lastFetchMs > this.lagTimeMaxMs) return false
    return replica.fetchOffset >= this.highWatermarkValue && replica.fetchOffset >= this.epochStartOffset
  }

  private isEligible(id: NodeId, replica: ReplicaProgress): boolean {
    const broker = this.eligibility(id)
    if (broker === undefined || broker.fenced || broker.inControlledShutdown) return false
    return replica.brokerEpoch === broker.epoch
  }

  /**
   * KIP-966: only with enough in the committed ISR, and only to what every member of the maximal ISR has. Replicas
   * that are caught up and about to join are waited for as well, else an ISR of one would run away from them.
   */
  private advanceHighWatermark(nowMs: number): boolean {
    if (!this.hasEnoughInSync) return false
    const isr = maximalIsr(this.isrState)
    let candidate = this.promisedEnd
    if (isr.some((id) => id !== this.nodeId && !this.progress.has(id))) return false
    for (const [id, replica] of this.progress) {
      if (isr.includes(id) || this.isAboutToJoin(id, replica, nowMs)) {
        candidate = Math.min(candidate, replica.fetchOffset)
      }
    }
    if (candidate <= this.highWatermarkValue) return false
    this.highWatermarkValue = candidate
    return true
  }

  private isAboutToJoin(id: NodeId, replica: ReplicaProgress, nowMs: number): boolean {
    if (nowMs - replica.lastCaughtUpMs > ABOUT_TO_JOIN_MS) return false
    return replica.fetchOffset >= this.epochStartOffset && this.isEligible(id, replica)
  }
}

/** Long enough for a proposal to be made and answered; a replica that died does not hold the others for longer. */
const ABOUT_TO_JOIN_MS = 500
