import type { BrokerEpoch, NodeId } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import type { FetchPartition, FetchSession } from './fetch-sessions.js'
import type { Partition, ReadWaiter } from './partition.js'
import { failedRead, type PartitionRead, readForFetch } from './partition-reads.js'
import type { ThrottledSide } from './replication-throttle.js'
import { watch } from './session-watch.js'

export interface FetchTaskOptions {
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  /** The same, of the connection at the moment; one batch comes in any case. */
  roomBytes(): number
  readonly usesTopicIds: boolean
  readonly session: FetchSession | null
  /** Only what changed since the session's last answer. */
  readonly isIncremental: boolean
  /** Without a session. */
  readonly partitions: readonly FetchPartition[]
  /** null: a client. */
  readonly replica: { readonly id: NodeId; readonly epoch: BrokerEpoch } | null
}

/** What a fetch needs of its node. */
export interface FetchTaskHost {
  /** Of what this broker sends to replicas that are not in sync. */
  readonly throttle: ThrottledSide
  find(asked: FetchPartition, usesTopicIds: boolean): { partition: Partition } | { errorCode: number }
  endOfTurn(input: () => void): void
  deadline(delayMs: number, input: () => void): () => void
  /** False where too many fetches wait already. */
  mayWait(): boolean
  onWaiting(task: FetchTask, isWaiting: boolean): void
}

/**
 * Partitions that one answer of a session tells of: where a broker begins to stop, or an election is heard of late,
 * tens of thousands have an error. The next request brings the rest. (The first answer of a session names all: clients
 * expect it.)
 */
const MAX_ANSWERED = 2_000

/** What one answer takes of the throttle. */
interface Throttled {
  bytes: number
  /** There is more to read than the throttle lets through. */
  isHeld: boolean
}

export interface FetchAnswer {
  readonly asked: FetchPartition
  readonly read: PartitionRead
}

/** One Fetch: reads, waits until there is enough or its time is up, answers once. */
export class FetchTask implements ReadWaiter {
  private readonly watched = new Set<Partition>()
  private cancelDeadline: (() => void) | null = null
  private cancelHold: (() => void) | null = null
  private isQueued = false
  private isDone = false

  constructor(
    private readonly host: FetchTaskHost,
    private readonly options: FetchTaskOptions,
    private readonly answer: (answers: readonly FetchAnswer[]) => void,
  ) {}

  start(): void {
    const { options, host } = this
    if (options.replica !== null) this.reportProgress()
    if (this.tryAnswer(options.maxWaitMs <= 0 || !host.mayWait())) return
    this.wait()
  }

  /** Something that it reads moved: looked at when the turn is over, so that one answer takes all that it brought. */
  onReadable(): void {
    if (this.isQueued || this.isDone) return
    this.isQueued = true
    this.host.endOfTurn(() => {
      this.isQueued = false
      if (!this.isDone) this.tryAnswer(false)
    })
  }

  /** A newer request of the session is here, or the broker stops: answers with what there is. */
  answerNow(): void {
    if (!this.isDone) this.tryAnswer(true)
  }

  /** The connection is gone. */
  cancel(): void {
    if (!this.isDone) this.finish()
  }

  /** Those that may have something to tell. */
  private get partitions(): readonly FetchPartition[] {
    const { session, partitions } = this.options
    return session === null ? partitions : [...session.pending]
  }

  private wait(): void {
    const { host, options } = this
    const { session } = options
    if (session === null) this.watchAll()
    else {
      session.answerEarlier = () => this.answerNow()
      session.onReadable = () => this.onReadable()
    }
    this.cancelDeadline = host.deadline(options.maxWaitMs, () => this.answerNow())
    host.onWaiting(this, true)
  }

  private watchAll(): void {
    const { host, options } = this
    for (const asked of options.partitions) {
      const found = host.find(asked, options.usesTopicIds)
      if ('errorCode' in found) continue
      this.watched.add(found.partition)
      found.partition.addReader(this, options.replica !== null)
    }
  }

  /** A replica's offsets promise durability, those that its session repeats too. */
  private reportProgress(): void {
    const { host, options } = this
    const replica = options.replica!
    for (const asked of this.partitions) {
      if (asked.awaitsReplica) continue
      const found = host.find(asked, options.usesTopicIds)
      if ('errorCode' in found || asked.currentLeaderEpoch !== found.partition.leaderEpoch) continue
      if (!this.isPlausible(asked, found.partition)) continue
      found.partition.onReplicaFetch(replica.id, asked.fetchOffset, asked.logStartOffset, replica.epoch)
    }
  }

  /** An offset counts once the replica's log is known to agree with ours up to there. */
  private isPlausible(asked: FetchPartition, partition: Partition): boolean {
    if (partition.leading === undefined) return false
    const read = this.readPartition(asked, partition, 0, false)
    return read.errorCode === ErrorCode.NONE && read.diverging === null
  }

  private tryAnswer(mustAnswer: boolean): boolean {
    const answers: FetchAnswer[] = []
    const throttled: Throttled = { bytes: 0, isHeld: false }
    const maxBytes = Math.min(this.options.maxBytes, this.options.roomBytes())
    let bytes = 0
    let isUrgent = mustAnswer
    for (const asked of this.partitions) {
      if (asked.awaitsReplica) {
        this.options.session?.pending.delete(asked)
        continue
      }
      if (answers.length === MAX_ANSWERED && this.options.isIncremental) {
        isUrgent = true
        break
      }
      const read = this.read(asked, maxBytes - bytes, bytes === 0, throttled)
      bytes += read.byteLength
      if (read.errorCode !== ErrorCode.NONE || read.diverging !== null) isUrgent = true
      if (!this.isIdle(asked, read)) answers.push({ asked, read })
    }
    // A replica's session may be empty for the moment; a client that asks for nothing is answered at once.
    if (this.asksForNothing && this.options.replica === null) isUrgent = true
    if (!isUrgent && bytes < this.options.minBytes) {
      if (throttled.isHeld) this.holdBack()
      return false
    }
    this.host.throttle.charge(throttled.bytes)
    this.finish()
    this.answer(this.settle(answers))
    return true
  }

  private get asksForNothing(): boolean {
    const { session, partitions } = this.options
    return session === null ? partitions.length === 0 : session.partitions.size === 0
  }

  /** Nothing to tell before it moves: its session need not look at it until then. */
  private isIdle(asked: FetchPartition, read: PartitionRead): boolean {
    const { session, isIncremental } = this.options
    if (session === null || isEvent(read) || isChanged(asked, read)) return false
    if (isAtEnd(session, asked, read)) session.pending.delete(asked)
    return isIncremental
  }

  /** Held back by the throttle alone: looked at when it lets something through again. */
  private holdBack(): void {
    if (this.cancelHold !== null) return
    this.cancelHold = this.host.deadline(this.host.throttle.delayMs(), () => {
      this.cancelHold = null
      if (!this.isDone) this.tryAnswer(false)
    })
  }

  private read(
    asked: FetchPartition,
    maxBytes: number,
    minOneBatch: boolean,
    throttled: Throttled,
  ): PartitionRead {
    const { host, options } = this
    const found = host.find(asked, options.usesTopicIds)
    if (options.session !== null) {
      watch(options.session, asked, 'errorCode' in found ? null : found.partition)
    }
    if ('errorCode' in found) return failedRead(found.errorCode)
    const { replica } = options
    if (replica !== null && found.partition.leading !== undefined) {
      if (found.partition.leading.replica(replica.id) === undefined) {
        return failedRead(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      }
      const left = host.throttle.left(found.partition, replica.id)
      if (left !== null) return this.readThrottled(asked, found.partition, maxBytes, left, throttled)
    }
    return this.readPartition(asked, found.partition, maxBytes, minOneBatch)
  }

  /** Never more than is left, but for one batch, which comes whole: else a large one would never come. */
  private readThrottled(
    asked: FetchPartition,
    partition: Partition,
    maxBytes: number,
    left: number,
    throttled: Throttled,
  ): PartitionRead {
    const room = left - throttled.bytes
    if (room <= 0) {
      throttled.isHeld ||= asked.fetchOffset < partition.log.logEndOffset
      return this.readPartition(asked, partition, 0, false)
    }
    const read = this.readPartition(asked, partition, Math.min(maxBytes, room), maxBytes > 0)
    throttled.bytes += read.byteLength
    return read
  }

  private readPartition(
    asked: FetchPartition,
    partition: Partition,
    maxBytes: number,
    minOneBatch: boolean,
  ): PartitionRead {
    const { replica } = this.options
    return readForFetch(partition, {
      fetchOffset: asked.fetchOffset,
      currentLeaderEpoch: asked.currentLeaderEpoch,
      lastFetchedEpoch: asked.lastFetchedEpoch,
      isReplica: replica !== null,
      maxBytes: Math.min(asked.maxBytes, maxBytes),
      minOneBatch,
    })
  }

  /** Notes in the session what is being told, and leaves out what it was told before. */
  private settle(answers: readonly FetchAnswer[]): readonly FetchAnswer[] {
    const { session, replica } = this.options
    if (session === null) return answers
    for (const { asked, read } of answers) {
      asked.sentHighWatermark = read.highWatermark
      asked.sentLogStartOffset = read.logStartOffset
      asked.awaitsReplica = replica !== null && isEvent(read)
      const isDone = asked.awaitsReplica || (!isEvent(read) && isAtEnd(session, asked, read))
      // Fairness: whoever got something is read last the next time.
      if (session.pending.delete(asked) && !isDone) session.pending.add(asked)
    }
    return answers
  }

  private finish(): void {
    this.isDone = true
    for (const partition of this.watched) partition.removeReader(this)
    this.watched.clear()
    this.cancelHold?.()
    this.cancelHold = null
    if (this.cancelDeadline === null) return
    this.cancelDeadline()
    this.cancelDeadline = null
    if (this.options.session !== null) {
      this.options.session.answerEarlier = null
      this.options.session.onReadable = null
    }
    this.host.onWaiting(this, false)
  }
}

function isEvent(read: PartitionRead): boolean {
  return read.byteLength > 0 || read.errorCode !== ErrorCode.NONE || read.diverging !== null
}

/** Without an error: nothing more to read before something is appended, or before the high watermark moves. */
function isAtEnd(session: FetchSession, asked: FetchPartition, read: PartitionRead): boolean {
  const end = session.replicaId === -1 ? read.highWatermark : asked.watch!.partition.log.logEndOffset
  return asked.fetchOffset >= end
}

/** Something that the session was not told yet. */
function isChanged(asked: FetchPartition, read: PartitionRead): boolean {
  return read.highWatermark !== asked.sentHighWatermark || read.logStartOffset !== asked.sentLogStartOffset
}
