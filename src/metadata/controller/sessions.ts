import type { LogIndex, NodeId } from '../../lib/ids.js'

/** What a controller knows of a broker besides the metadata. It starts anew with each controller. */
interface Session {
  /** The last heartbeat; −Infinity once the process is known to be dead. */
  lastContactMs: number
  /** What the broker has applied, by its last heartbeat. */
  appliedIndex: LogIndex
  /** What it must have applied before it is unfenced: its registration, its last fencing. Infinity until proposed. */
  unfenceIndex: LogIndex
  /** What all must have applied before it may stop: its leaderships' moves. Undefined until they moved; Infinity until proposed. */
  shutdownIndex: LogIndex | undefined
}

/** Durations by the monotonic clock alone. */
export class Sessions {
  private readonly sessions = new Map<NodeId, Session>()
  private lastTickMs = 0
  private lastIndex: LogIndex = 0
  private minIsrIndex: LogIndex = 0
  /** Filled in by `proposed`. */
  private readonly awaitingIndex: ((index: LogIndex) => void)[] = []

  /** A new controller has heard nothing yet: every broker gets a whole time-out. */
  reset(brokers: Iterable<NodeId>, lastIndex: LogIndex, nowMs: number): void {
    this.sessions.clear()
    this.lastTickMs = nowMs
    this.resume(brokers, lastIndex, nowMs)
  }

  /** The same controller as before, whose speculation was dropped: it goes on with what it has heard from whom. */
  resume(brokers: Iterable<NodeId>, lastIndex: LogIndex, nowMs: number): void {
    const contacts = new Map([...this.sessions].map(([id, { lastContactMs }]) => [id, lastContactMs]))
    this.sessions.clear()
    this.awaitingIndex.length = 0
    this.lastIndex = lastIndex
    this.minIsrIndex = lastIndex
    for (const id of brokers) {
      this.sessions.set(id, {
        lastContactMs: contacts.get(id) ?? nowMs,
        appliedIndex: 0,
        unfenceIndex: lastIndex,
        shutdownIndex: undefined,
      })
    }
  }

  registered(id: NodeId, nowMs: number): void {
    const session: Session = {
      lastContactMs: nowMs,
      appliedIndex: 0,
      unfenceIndex: Number.POSITIVE_INFINITY,
      shutdownIndex: undefined,
    }
    this.sessions.set(id, session)
    this.awaitingIndex.push((index) => {
      session.unfenceIndex = index
    })
  }

  /** A process that slept through its fencing must learn of it before it leads again. */
  fenced(id: NodeId): void {
    const session = this.of(id)
    session.unfenceIndex = Number.POSITIVE_INFINITY
    this.awaitingIndex.push((index) => {
      session.unfenceIndex = index
    })
  }

  /** A minimum ISR changes in the batch that is being decided. */
  minIsrChanged(): void {
    this.minIsrIndex = Number.POSITIVE_INFINITY
    this.awaitingIndex.push((index) => {
      this.minIsrIndex = index
    })
  }

  /** What this leader decided by the same minimum ISR as this controller, it decided after it had applied so much. */
  knowsMinIsr(id: NodeId): boolean {
    return this.of(id).appliedIndex >= this.minIsrIndex
  }

  /** A broker's own word, with a heartbeat or with anything else. */
  applied(id: NodeId, appliedIndex: LogIndex): void {
    const session = this.of(id)
    session.appliedIndex = Math.max(session.appliedIndex, appliedIndex)
  }

  unregistered(id: NodeId): void {
    this.sessions.delete(id)
  }

  heard(id: NodeId, appliedIndex: LogIndex, nowMs: number): void {
    this.touched(id, nowMs)
    this.applied(id, appliedIndex)
  }

  /** It lives; what it has applied is not known. */
  touched(id: NodeId, nowMs: number): void {
    this.of(id).lastContactMs = nowMs
  }

  /** The process is dead for certain. */
  ended(id: NodeId): void {
    this.of(id).lastContactMs = Number.NEGATIVE_INFINITY
  }

  isAlive(id: NodeId, timeoutMs: number, nowMs: number): boolean {
    const session = this.sessions.get(id)
    return session !== undefined && nowMs - session.lastContactMs <= timeoutMs
  }

  isCaughtUp(id: NodeId): boolean {
    const session = this.of(id)
    return session.appliedIndex >= session.unfenceIndex
  }

  /** The last of its leaderships move in the batch that is being decided; `before`: they have moved in earlier ones. */
  movedAway(id: NodeId, before: boolean): void {
    const session = this.of(id)
    if (before) {
      session.shutdownIndex = this.lastIndex
      return
    }
    session.shutdownIndex = Number.POSITIVE_INFINITY
    this.awaitingIndex.push((index) => {
      session.shutdownIndex = index
    })
  }

  /** Undefined: its leaderships have not all been moved, as far as this controller knows. */
  shutdownIndex(id: NodeId): LogIndex | undefined {
    return this.of(id).shutdownIndex
  }

  haveApplied(ids: Iterable<NodeId>, index: LogIndex): boolean {
    for (const id of ids) {
      if (this.of(id).appliedIndex < index) return false
    }
    return true
  }

  proposed(index: LogIndex): void {
    this.lastIndex = index
    for (const tell of this.awaitingIndex.splice(0)) tell(index)
  }

  /**
   * Brokers that have been silent for longer than the time-out. Where this very process slept, their heartbeats wait
   * in its sockets: nobody is judged for that time.
   */
  expired(candidates: Iterable<NodeId>, timeoutMs: number, nowMs: number): NodeId[] {
    const sleptMs = nowMs - this.lastTickMs
    this.lastTickMs = nowMs
    if (sleptMs > timeoutMs / 4) {
      for (const session of this.sessions.values())
        session.lastContactMs = Math.min(nowMs, session.lastContactMs + sleptMs)
    }
    return [...candidates].filter((id) => !this.isAlive(id, timeoutMs, nowMs))
  }

  private of(id: NodeId): Session {
    let session = this.sessions.get(id)
    if (session === undefined) {
      session = {
        lastContactMs: Number.NEGATIVE_INFINITY,
        appliedIndex: 0,
        unfenceIndex: Number.POSITIVE_INFINITY,
        shutdownIndex: undefined,
      }
      this.sessions.set(id, session)
    }
    return session
  }
}
