import type { FetchPartition, FetchSession } from './fetch-sessions.js'
import type { Partition, ReadWaiter } from './partition.js'

/** So many partitions of a session are looked at with each request, whatever happened to them. */
const ALL_AT_ONCE = 500
/** Of a larger session a share, so that all had their turn within this time: well below `replica.lag.time.max.ms`. */
const ROUND_MS = 5_000
/** After a longer pause no larger share: the loop would stand still again over it. */
const MAX_PAUSE_MS = 500
/** What was named so lately loses its turn: while ten thousand join a session, the round would look at them twice. */
const LATELY_MS = 1_000

/**
 * Tells a session which of its partitions may have something to tell: a fetch of ten thousand partitions looks at those
 * that moved.
 */
export class SessionWatch implements ReadWaiter {
  constructor(
    readonly partition: Partition,
    private readonly session: FetchSession,
    private readonly asked: FetchPartition,
  ) {}

  onReadable(): void {
    this.session.pending.add(this.asked)
    this.session.onReadable?.()
  }

  /** Told with the next answer; not worth one of its own to a replica. */
  onHighWatermark(): void {
    this.session.pending.add(this.asked)
  }
}

/** Has the session hear of what happens to `partition`; null: there is none now. */
export function watch(session: FetchSession, asked: FetchPartition, partition: Partition | null): void {
  if (asked.watch?.partition === partition) return
  unwatch(asked)
  if (partition === null) return
  asked.watch = new SessionWatch(partition, session, asked)
  partition.addReader(asked.watch, session.replicaId !== -1)
}

export function unwatch(asked: FetchPartition): void {
  asked.watch?.partition.removeReader(asked.watch)
  asked.watch = null
}

/**
 * With each request: what the session repeats without naming it is a sign of life too (and the log's start may have
 * moved, which nobody tells).
 */
export function refresh(session: FetchSession, nowMs: number): void {
  const { partitions, pending } = session
  const pauseMs = Math.min(MAX_PAUSE_MS, nowMs - session.refreshedAtMs)
  const share = (partitions.size * pauseMs) / ROUND_MS
  session.refreshedAtMs = nowMs
  const count = Math.min(partitions.size, Math.max(ALL_AT_ONCE, Math.ceil(share)))
  for (let i = 0; i < count; i++) {
    let next = session.round.next()
    if (next.done === true) {
      session.round = partitions.values()
      next = session.round.next()
    }
    if (next.done === true) return
    const asked = next.value
    if (partitions.size > ALL_AT_ONCE && nowMs - asked.seenAtMs < LATELY_MS) continue
    asked.seenAtMs = nowMs
    pending.add(asked)
  }
}
