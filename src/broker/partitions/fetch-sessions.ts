import type { LeaderEpoch, NodeId, Offset, Uuid } from '../../lib/ids.js'
import type { Clock } from '../../ports/clock.js'
import type { Random } from '../../ports/random.js'
import { ErrorCode } from '../../wire/errors.js'
import type { FetchRequest } from '../../wire/messages/fetch.js'
import { refresh, type SessionWatch, unwatch } from './session-watch.js'

/** One partition of a fetch, in a session or not. */
export interface FetchPartition {
  /** As it was asked for: '' where the id was sent, */
  topic: string
  /** and ZERO_UUID where the name was. Looked up at each read, since topics come and go. */
  topicId: Uuid
  partitionId: number
  fetchOffset: Offset
  currentLeaderEpoch: LeaderEpoch
  lastFetchedEpoch: LeaderEpoch
  /** The follower's log start; -1 from clients. */
  logStartOffset: Offset
  maxBytes: number
  /** What the session was told last: an incremental answer leaves out what is the same. */
  sentHighWatermark: Offset
  sentLogStartOffset: Offset
  /**
   * A replica was sent records, an error or a divergence and has not named the partition since: it is still making
   * that durable, and would only be sent the same again.
   */
  awaitsReplica: boolean
  /** When a request named it last, or it had its turn of the round over all. Monotonic. */
  seenAtMs: number
  /** Tells its session when it may have something to tell. */
  watch: SessionWatch | null
}

/** A running incremental fetch (KIP-227). */
export interface FetchSession {
  readonly id: number
  readonly usesTopicIds: boolean
  /** The replica that fetches; -1 for clients. */
  readonly replicaId: NodeId
  /** The epoch that the next request must carry. */
  nextEpoch: number
  readonly partitions: Map<string, FetchPartition>
  /** What may have something to tell, in the order in which it is served: who got something goes to the end. */
  readonly pending: Set<FetchPartition>
  /** The fetch that waits, to be looked at again. */
  onReadable: (() => void) | null
  /** Where the round over all partitions stands: see `refresh`. */
  round: Iterator<FetchPartition>
  refreshedAtMs: number
  lastUsedMs: number
  /** Answers the request that still waits, since a newer one of the same session is here. */
  answerEarlier: (() => void) | null
}

export type FetchContext =
  | { readonly type: 'error'; readonly errorCode: number }
  /** No session: every partition is answered. */
  | { readonly type: 'sessionless'; readonly partitions: FetchPartition[] }
  | { readonly type: 'session'; readonly session: FetchSession; readonly isIncremental: boolean }

/** `min.incremental.fetch.session.eviction.ms`. */
const EVICTION_MS = 120_000
const MAX_EPOCH = 0x7fff_ffff
const FINAL_EPOCH = -1
const INITIAL_EPOCH = 0

/**
 * The sessions of one node, at most `maxSessions`. When all places are taken, a replica takes the place of the
 * longest unused client, a client only one that was unused for two minutes; else it goes without a session.
 */
export class FetchSessions {
  /** Least recently used first. */
  private readonly sessions = new Map<number, FetchSession>()

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly maxSessions: number,
  ) {}

  get size(): number {
    return this.sessions.size
  }

  /** Sorts out what a request fetches. */
  open(request: FetchRequest, usesTopicIds: boolean, replicaId: NodeId): FetchContext {
    const { sessionId, sessionEpoch } = request
    if (sessionEpoch === INITIAL_EPOCH || sessionEpoch === FINAL_EPOCH) {
      if (sessionId !== 0) this.drop(sessionId)
      const partitions = requestedPartitions(request, usesTopicIds, this.clock.monotonicMs())
      if (sessionEpoch === FINAL_EPOCH) return { type: 'sessionless', partitions }
      return this.start(partitions, usesTopicIds, replicaId)
    }
    const session = this.sessions.get(sessionId)
    if (session === undefined) return { type: 'error', errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND }
    if (session.usesTopicIds !== usesTopicIds) {
      return { type: 'error', errorCode: ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR }
    }
    if (session.nextEpoch !== sessionEpoch || session.replicaId !== replicaId) {
      return { type: 'error', errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH }
    }
    session.answerEarlier?.()
    session.nextEpoch = sessionEpoch === MAX_EPOCH ? 1 : sessionEpoch + 1
    this.touch(session)
    const nowMs = this.clock.monotonicMs()
    update(session, request, usesTopicIds, nowMs)
    refresh(session, nowMs)
    return { type: 'session', session, isIncremental: true }
  }

  drop(sessionId: number): void {
    const session = this.sessions.get(sessionId)
    if (session === undefined) return
    session.answerEarlier?.()
    for (const asked of session.partitions.values()) unwatch(asked)
    this.sessions.delete(sessionId)
  }

  private start(partitions: FetchPartition[], usesTopicIds: boolean, replicaId: NodeId): FetchContext {
    if (replicaId !== -1) this.dropThoseOf(replicaId)
    if (partitions.length === 0 || !this.makeRoom(replicaId !== -1))
      return { type: 'sessionless', partitions }
    const byKey = new Map(partitions.map((partition) => [keyOf(partition, usesTopicIds), partition]))
    const session: FetchSession = {
      id: this.newId(),
      usesTopicIds,
      replicaId,
      nextEpoch: 1,
      partitions: byKey,
      pending: new Set(partitions),
      onReadable: null,
      round: byKey.values(),
      refreshedAtMs: this.clock.monotonicMs(),
      lastUsedMs: this.clock.monotonicMs(),
      answerEarlier: null,
    }
    this.sessions.set(session.id, session)
    return { type: 'session', session, isIncremental: false }
  }

  /** A replica has one session here: it begins anew because it lost the connection of the other. */
  private dropThoseOf(replicaId: NodeId): void {
    for (const session of [...this.sessions.values()])
      if (session.replicaId === replicaId) this.drop(session.id)
  }

  private makeRoom(isReplica: boolean): boolean {
    if (this.sessions.size < this.maxSessions) return true
    const nowMs = this.clock.monotonicMs()
    for (const session of this.sessions.values()) {
      if (session.replicaId !== -1 && nowMs - session.lastUsedMs < EVICTION_MS) continue
      if (!isReplica && nowMs - session.lastUsedMs < EVICTION_MS) return false
      this.drop(session.id)
      return true
    }
    return false
  }

  private touch(session: FetchSession): void {
    session.lastUsedMs = this.clock.monotonicMs()
    this.sessions.delete(session.id)
    this.sessions.set(session.id, session)
  }

  private newId(): number {
    for (;;) {
      const id = (this.random.uint32() & 0x7fff_ffff) >>> 0
      if (id !== 0 && !this.sessions.has(id)) return id
    }
  }
}

function requestedPartitions(request: FetchRequest, usesTopicIds: boolean, nowMs: number): FetchPartition[] {
  const partitions = new Map<string, FetchPartition>()
  for (const topic of request.topics) {
    for (const asked of topic.partitions) {
      const partition: FetchPartition = {
        topic: topic.topic,
        topicId: topic.topicId,
        partitionId: asked.partition,
        fetchOffset: asked.fetchOffset,
        currentLeaderEpoch: asked.currentLeaderEpoch,
        lastFetchedEpoch: asked.lastFetchedEpoch,
        logStartOffset: asked.logStartOffset,
        maxBytes: asked.partitionMaxBytes,
        sentHighWatermark: -1,
        sentLogStartOffset: -1,
        awaitsReplica: false,
        seenAtMs: nowMs,
        watch: null,
      }
      partitions.set(keyOf(partition, usesTopicIds), partition)
    }
  }
  return [...partitions.values()]
}

/** An incremental request names what is new or changed, and what to forget. */
function update(session: FetchSession, request: FetchRequest, usesTopicIds: boolean, nowMs: number): void {
  for (const forgotten of request.forgottenTopicsData) {
    for (const partitionId of forgotten.partitions) {
      const key = keyOf({ ...forgotten, partitionId }, usesTopicIds)
      const known = session.partitions.get(key)
      if (known === undefined) continue
      unwatch(known)
      session.pending.delete(known)
      session.partitions.delete(key)
    }
  }
  for (const named of requestedPartitions(request, usesTopicIds, nowMs)) {
    const key = keyOf(named, usesTopicIds)
    const known = session.partitions.get(key)
    if (known === undefined) {
      session.partitions.set(key, named)
      session.pending.add(named)
      continue
    }
    // What the session was told stays.
    known.fetchOffset = named.fetchOffset
    known.currentLeaderEpoch = named.currentLeaderEpoch
    known.lastFetchedEpoch = named.lastFetchedEpoch
    known.logStartOffset = named.logStartOffset
    known.maxBytes = named.maxBytes
    known.awaitsReplica = false
    known.seenAtMs = nowMs
    session.pending.add(known)
  }
}

export function keyOf(
  partition: { topic: string; topicId: Uuid; partitionId: number },
  usesTopicIds: boolean,
): string {
  return `${usesTopicIds ? partition.topicId : partition.topic}:${partition.partitionId}`
}
