import type { BrokerEpoch, LeaderEpoch, NodeId, Offset, Uuid } from '../../lib/ids.js'
import { randomFloat } from '../../lib/prng.js'
import type { Clock } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Address, Dialer } from '../../ports/network.js'
import type { Random } from '../../ports/random.js'
import { ErrorCode, errorName } from '../../wire/errors.js'
import { type FetchRequestBody, type FetchResponseBody, LeaderConnection } from './leader-connection.js'
import type { Partition } from './partition.js'
import type { ThrottledSide } from './replication-throttle.js'

/** What the fetchers of a node share. Milliseconds and bytes. */
export interface FetcherHost {
  readonly nodeId: NodeId
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly dialer: Dialer
  readonly limits: {
    maxWaitMs: number
    minBytes: number
    maxBytes: number
    partitionMaxBytes: number
    socketTimeoutMs: number
    maxFrameBytes: number
  }
  /** Of what this broker fetches while it is not in sync. */
  readonly throttle: ThrottledSide
  brokerEpoch(): BrokerEpoch
  /** undefined: the leader is not registered. */
  addressOf(leader: NodeId): Address | undefined
  /** A connection that stood broke: its process may have died. */
  onLeaderLost(leader: NodeId): void
}

/**
 * ready: to be named in the next request; asked: the session fetches it; busy: what came is being made durable, or a
 * failure is waited out. Only `ready` and `asked` promise the leader that all below the offset is fsynced.
 */
type FetchState = 'ready' | 'asked' | 'busy'

interface Fetched {
  readonly partition: Partition
  readonly leaderEpoch: LeaderEpoch
  state: FetchState
  /** The offset that the session holds, and the request that set it: older answers say nothing about it. */
  askedOffset: Offset
  askedIn: number
  maxBytes: number
  failures: number
}

/** The leader answers a waiting request as soon as a newer one of its session comes, so two are enough. */
const MAX_IN_FLIGHT = 2
/** Partitions in one request: neither side's loop may stand still over it. */
const MAX_NAMED = 1_000
/** While leader and follower hear of an election one after the other, thousands of partitions fail a few times. */
const QUIET_FAILURES = 4
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 500
/** Where what one request names has taken all that was left. */
const MIN_HOLD_MS = 10

type PartitionAnswer = FetchResponseBody['responses'][number]['partitions'][number]

/**
 * Follows one leader: a single connection and fetch session for all partitions that it leads (KIP-227). Partitions
 * do not wait for each other's disk: while one is made durable the rest is fetched on, and when it is done a further
 * request names it at once, on top of the one that still waits.
 */
export class ReplicaFetcher {
  private readonly partitions = new Map<string, Fetched>()
  /** Those in the state `ready`, whoever waits longest first. */
  private readonly readyOnes = new Set<Fetched>()
  private readonly forgotten = new Map<string, { topicId: Uuid; partitionId: number }>()
  private connection: LeaderConnection | null = null
  private dialled: Address | null = null
  private sessionId = 0
  private sessionEpoch = 0
  /** Nothing was answered on this connection yet. */
  private isOpening = true
  private sent = 0
  private answered = 0
  private failures = 0
  private isSendQueued = false
  private isRetrying = false
  private isHeld = false
  private isClosed = false

  constructor(
    readonly leader: NodeId,
    private readonly host: FetcherHost,
  ) {}

  get size(): number {
    return this.partitions.size
  }

  /** Fetches this follower under its present leader epoch; replaces what was known of it. */
  add(partition: Partition): void {
    const key = keyOf(partition.topicId, partition.partitionId)
    const entry: Fetched = {
      partition,
      leaderEpoch: partition.leaderEpoch,
      state: 'busy',
      askedOffset: -1,
      askedIn: -1,
      maxBytes: this.host.limits.partitionMaxBytes,
      failures: 0,
    }
    this.forget(key)
    this.partitions.set(key, entry)
    this.forgotten.delete(key)
    // A fetch promises durability, also of what an earlier leader had sent or cut.
    partition.syncFollower(() => this.makeReady(entry))
  }

  remove(partition: Partition): void {
    const key = keyOf(partition.topicId, partition.partitionId)
    if (!this.forget(key) || !this.mayBeInSession) return
    this.forgotten.set(key, { topicId: partition.topicId, partitionId: partition.partitionId })
    this.queueSend()
  }

  /** Also while the request that opens the session is on its way: the leader goes on with what that one named. */
  private get mayBeInSession(): boolean {
    return this.sessionId !== 0 || (this.connection?.inFlight ?? 0) > 0
  }

  private forget(key: string): boolean {
    const entry = this.partitions.get(key)
    if (entry === undefined) return false
    this.readyOnes.delete(entry)
    return this.partitions.delete(key)
  }

  /** The image was told where the leader listens: another place than the one that is connected ends the connection. */
  onAddress(address: Address | undefined): void {
    const { dialled } = this
    if (address === undefined || dialled === null || this.connection === null) {
      this.queueSend()
      return
    }
    if (address.host === dialled.host && address.port === dialled.port) return
    this.connection.close()
    this.onLost('the leader listens elsewhere now', false)
  }

  close(): void {
    this.isClosed = true
    this.partitions.clear()
    this.readyOnes.clear()
    this.connection?.close()
    this.connection = null
  }

  private makeReady(entry: Fetched): void {
    if (this.isCurrent(entry)) {
      this.beReady(entry)
      this.queueSend()
    }
  }

  private beReady(entry: Fetched): void {
    entry.state = 'ready'
    this.readyOnes.add(entry)
  }

  private isCurrent(entry: Fetched): boolean {
    const { partition } = entry
    return this.partitions.get(keyOf(partition.topicId, partition.partitionId)) === entry
  }

  /** What one turn made ready goes into one request. */
  private queueSend(): void {
    if (this.isSendQueued || this.isClosed) return
    this.isSendQueued = true
    this.host.clock.endOfTurn(() => {
      this.isSendQueued = false
      if (!this.isClosed) this.send()
    })
  }

  private send(): void {
    if (this.connection === null) {
      if (!this.isRetrying && this.partitions.size > 0) this.connect()
      return
    }
    const { connection } = this
    if (!connection.isOpen) return
    // Until the first answer the session has no id, so nothing can be put on top of it.
    if (connection.inFlight >= (this.sessionId === 0 ? 1 : MAX_IN_FLIGHT)) return
    const named = this.ready()
    if (connection.inFlight > 0 && named.length === 0 && this.forgotten.size === 0) return
    // Where all is being made durable the session has nothing to wait for: the next request names what is ready.
    if (named.length === 0 && this.forgotten.size === 0 && !this.isAsking) return
    if (this.sessionId === 0 && named.length === 0) return
    const requestId = this.sent
    this.sent += 1
    for (const entry of named) {
      entry.state = 'asked'
      this.readyOnes.delete(entry)
      entry.askedOffset = entry.partition.log.logEndOffset
      entry.askedIn = requestId
    }
    connection.send(this.request(named))
    if (this.sessionId !== 0)
      this.sessionEpoch = this.sessionEpoch === 0x7fff_ffff ? 1 : this.sessionEpoch + 1
    this.forgotten.clear()
    // More than one request may name: the next one goes on top of this one.
    if (named.length === MAX_NAMED) this.queueSend()
  }

  private get isAsking(): boolean {
    for (const { state } of this.partitions.values()) if (state === 'asked') return true
    return false
  }

  /** Those to be named now: without what the throttle holds back, which is named as soon as it lets it through. */
  private ready(): Fetched[] {
    const { throttle, limits, nodeId } = this.host
    const named: Fetched[] = []
    let spent = 0
    let isHeld = false
    for (const entry of this.readyOnes) {
      if (named.length === MAX_NAMED) break
      const left = throttle.left(entry.partition, nodeId)
      if (left !== null && left <= spent) {
        isHeld = true
        continue
      }
      entry.maxBytes =
        left === null ? limits.partitionMaxBytes : Math.min(limits.partitionMaxBytes, left - spent)
      if (left !== null) spent += entry.maxBytes
      named.push(entry)
    }
    if (isHeld) this.sendWhenLetThrough()
    return named
  }

  private sendWhenLetThrough(): void {
    if (this.isHeld) return
    this.isHeld = true
    this.host.clock.after(Math.max(MIN_HOLD_MS, this.host.throttle.delayMs()), () => {
      this.isHeld = false
      this.queueSend()
    })
  }

  private request(named: readonly Fetched[]): FetchRequestBody {
    const { limits } = this.host
    return {
      replicaState: { replicaId: this.host.nodeId, replicaEpoch: this.host.brokerEpoch() },
      // Nothing can be put on top of the request that opens a session, so it must not wait: partitions that become
      // ready meanwhile would wait with it.
      maxWaitMs: this.isOpening ? 0 : limits.maxWaitMs,
      minBytes: limits.minBytes,
      maxBytes: limits.maxBytes,
      sessionId: this.sessionId,
      sessionEpoch: this.sessionEpoch,
      topics: byTopic(named, (entry) => entry.partition).map(([topicId, entries]) => ({
        topicId,
        partitions: entries.map((entry) => ({
          partition: entry.partition.partitionId,
          currentLeaderEpoch: entry.leaderEpoch,
          fetchOffset: entry.askedOffset,
          lastFetchedEpoch: entry.partition.log.latestEpoch,
          logStartOffset: entry.partition.log.logStartOffset,
          partitionMaxBytes: entry.maxBytes,
        })),
      })),
      forgottenTopicsData: byTopic([...this.forgotten.values()], (one) => one).map(([topicId, ones]) => ({
        topicId,
        partitions: ones.map((one) => one.partitionId),
      })),
    }
  }

  private connect(): void {
    const address = this.host.addressOf(this.leader)
    if (address === undefined) {
      this.retryLater()
      return
    }
    const { clock, limits, nodeId, dialer } = this.host
    const connection = new LeaderConnection(
      {
        clock,
        clientId: `replica-${nodeId}`,
        maxFrameBytes: limits.maxFrameBytes,
        timeoutMs: limits.socketTimeoutMs,
      },
      {
        onOpen: () => this.queueSend(),
        onAnswer: (body) => this.onAnswer(body),
        onLost: (reason) => this.onLost(reason, true),
      },
    )
    this.connection = connection
    this.dialled = address
    this.sessionId = 0
    this.sessionEpoch = 0
    this.isOpening = true
    this.answered = this.sent
    connection.dial(dialer, address)
  }

  /** @param isBroken the leader's process may have died; false where it answered, or where we ended the connection */
  private onLost(reason: string, isBroken: boolean): void {
    const stood = this.failures === 0
    this.connection = null
    this.sessionId = 0
    this.sessionEpoch = 0
    this.forgotten.clear()
    for (const entry of this.partitions.values()) if (entry.state === 'asked') this.beReady(entry)
    if (this.isClosed) return
    this.host.logger.debug({ leader: this.leader, reason }, 'the connection to the leader is lost')
    if (isBroken && stood) this.host.onLeaderLost(this.leader)
    this.retryLater()
  }

  private retryLater(): void {
    if (this.isRetrying || this.isClosed) return
    this.isRetrying = true
    this.host.clock.after(this.backOffMs(this.failures), () => {
      this.isRetrying = false
      this.queueSend()
    })
    this.failures += 1
  }

  /** 50 to 500 ms, doubling, with a seeded jitter of a quarter. */
  private backOffMs(failures: number): number {
    const base = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 10))
    return base * (0.75 + 0.25 * randomFloat(this.host.random))
  }

  private onAnswer(body: FetchResponseBody): void {
    const requestId = this.answered
    this.answered += 1
    if (body.errorCode !== ErrorCode.NONE) {
      this.connection?.close()
      this.onLost(`the leader answered ${errorName(body.errorCode)}`, false)
      return
    }
    this.failures = 0
    this.isOpening = false
    const isNewSession = this.sessionId === 0
    if (isNewSession && body.sessionId !== 0) {
      this.sessionId = body.sessionId
      this.sessionEpoch = 1
    }
    for (const topic of body.responses) {
      for (const answer of topic.partitions) {
        const entry = this.partitions.get(keyOf(topic.topicId, answer.partitionIndex))
        if (entry !== undefined && entry.state === 'asked' && entry.askedIn <= requestId) {
          this.onPartitionAnswer(entry, answer)
        }
      }
    }
    // The leader has no room for a session: each request names all.
    if (this.sessionId === 0) {
      for (const entry of this.partitions.values()) if (entry.state === 'asked') this.beReady(entry)
    }
    this.queueSend()
  }

  private onPartitionAnswer(entry: Fetched, answer: PartitionAnswer): void {
    const { partition, leaderEpoch } = entry
    if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      this.makeDurable(entry, partition.restartAt(Math.max(0, answer.logStartOffset), leaderEpoch))
      return
    }
    if (answer.errorCode !== ErrorCode.NONE) {
      this.backOff(entry, `the leader answered ${errorName(answer.errorCode)}`)
      return
    }
    const { divergingEpoch } = answer
    if (divergingEpoch.epoch >= 0 || divergingEpoch.endOffset >= 0) {
      this.makeDurable(entry, partition.truncateToDiverging(divergingEpoch, leaderEpoch))
      return
    }
    const records = answer.records ?? EMPTY
    if (this.host.throttle.left(partition, this.host.nodeId) !== null)
      this.host.throttle.charge(records.length)
    const outcome = partition.appendAsFollower(
      records,
      entry.askedOffset,
      leaderEpoch,
      answer.highWatermark,
      answer.logStartOffset,
    )
    if (outcome.type === 'refused') this.backOff(entry, outcome.reason)
    else if (outcome.type === 'stale') this.makeReady(entry)
    else if (records.length > 0) this.makeDurable(entry, true)
    if (outcome.type === 'done') entry.failures = 0
  }

  private makeDurable(entry: Fetched, wasCut: boolean): void {
    if (!wasCut) {
      this.backOff(entry, 'the log could not be cut')
      return
    }
    entry.state = 'busy'
    entry.partition.syncFollower(() => this.makeReady(entry))
  }

  private backOff(entry: Fetched, reason: string): void {
    const { partition } = entry
    entry.state = 'busy'
    const level = entry.failures < QUIET_FAILURES ? 'debug' : 'warn'
    this.host.logger[level](
      { topic: partition.topic, partition: partition.partitionId, leader: this.leader, reason },
      'a fetch of this partition failed',
    )
    // What was appended before the fault must be durable too before the leader hears of it.
    this.host.clock.after(this.backOffMs(entry.failures), () => {
      if (this.isCurrent(entry)) partition.syncFollower(() => this.makeReady(entry))
    })
    entry.failures += 1
  }
}

const EMPTY = new Uint8Array(0)

function keyOf(topicId: Uuid, partitionId: number): string {
  return `${topicId}:${partitionId}`
}

function byTopic<T>(items: readonly T[], identify: (item: T) => { topicId: Uuid }): [Uuid, T[]][] {
  const groups = new Map<Uuid, T[]>()
  for (const item of items) {
    const { topicId } = identify(item)
    const group = groups.get(topicId)
    if (group === undefined) groups.set(topicId, [item])
    else group.push(item)
  }
  return [...groups]
}
