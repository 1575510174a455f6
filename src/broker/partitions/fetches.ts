import type { BrokerEpoch, NodeId } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import type { FetchRequest } from '../../wire/messages/fetch.js'
import type { Deadlines } from './deadlines.js'
import { FetchSessions } from './fetch-sessions.js'
import { type FetchAnswer, FetchTask, type FetchTaskHost } from './fetch-task.js'
import type { ThrottledSide } from './replication-throttle.js'
import type { PartitionServices } from './types.js'

/** Fetches that wait for data; beyond it they are answered at once with what there is. */
const MAX_WAITING = 10_000

export interface FetchOutcome {
  readonly errorCode: number
  readonly sessionId: number
  readonly answers: readonly FetchAnswer[]
}

export interface FetchAsker {
  /** null: a client. */
  readonly replica: { readonly id: NodeId; readonly epoch: BrokerEpoch } | null
  readonly usesTopicIds: boolean
  /** What its connection takes now: many fetches may wait on one, and all become ready at once. */
  roomBytes(): number
  onClose(input: () => void): void
}

/** All fetches of one node: their sessions and those that wait. */
export class Fetches implements FetchTaskHost {
  private readonly sessions: FetchSessions
  private readonly waiting = new Set<FetchTask>()
  private isStopping = false

  constructor(
    private readonly services: PartitionServices,
    private readonly deadlines: Deadlines,
    readonly throttle: ThrottledSide,
    readonly find: FetchTaskHost['find'],
  ) {
    this.sessions = new FetchSessions(
      services.clock,
      services.random,
      services.configs.int('max.incremental.fetch.session.cache.slots'),
    )
  }

  /** `done` is called once, perhaps at once; not at all where the connection closes first. */
  fetch(request: FetchRequest, asker: FetchAsker, done: (outcome: FetchOutcome) => void): void {
    const { replica, usesTopicIds } = asker
    if (replica !== null && this.isFormerIncarnation(replica)) {
      done({ errorCode: ErrorCode.STALE_BROKER_EPOCH, sessionId: 0, answers: [] })
      return
    }
    const context = this.sessions.open(request, usesTopicIds, replica?.id ?? -1)
    if (context.type === 'error') {
      done({ errorCode: context.errorCode, sessionId: 0, answers: [] })
      return
    }
    const session = context.type === 'session' ? context.session : null
    const task: FetchTask = new FetchTask(
      this,
      {
        maxWaitMs: this.isStopping ? 0 : request.maxWaitMs,
        minBytes: request.minBytes,
        maxBytes: Math.min(request.maxBytes, this.services.configs.int('fetch.max.bytes')),
        roomBytes: () => asker.roomBytes(),
        usesTopicIds,
        session,
        isIncremental: context.type === 'session' && context.isIncremental,
        partitions: context.type === 'sessionless' ? context.partitions : [],
        replica,
      },
      (answers) => {
        done({ errorCode: ErrorCode.NONE, sessionId: session?.id ?? 0, answers })
      },
    )
    asker.onClose(() => task.cancel())
    task.start()
  }

  /** What waits is answered, and nothing waits any more. */
  stop(): void {
    this.isStopping = true
    for (const task of [...this.waiting]) task.answerNow()
  }

  endOfTurn(input: () => void): void {
    this.services.clock.endOfTurn(input)
  }

  deadline(delayMs: number, input: () => void): () => void {
    return this.deadlines.add(delayMs, input)
  }

  mayWait(): boolean {
    return this.waiting.size < MAX_WAITING
  }

  onWaiting(task: FetchTask, isWaiting: boolean): void {
    if (isWaiting) this.waiting.add(task)
    else this.waiting.delete(task)
  }

  /** KIP-903: a request that a dead process had sent must not count for its successor. */
  private isFormerIncarnation(replica: { id: NodeId; epoch: BrokerEpoch }): boolean {
    const known = this.services.metadata.image.brokers.get(replica.id)
    return replica.epoch >= 0 && known !== undefined && replica.epoch < known.epoch
  }
}
