import type { Clock, Timer } from '../../src/ports/clock.js'
import { EventHeap, type EventOwner, EventQueue, SimEvent } from './heap.js'

/** 2026-01-01T00:00:00Z: what the wall clock of every process shows at simulated time 0. */
export const SIM_EPOCH_MS = 1_767_225_600_000

const MAX_EVENTS_AT_ONE_TIME = 100_000
/**
 * A process's clock shows whole microseconds and its timers wait for at least one: as with a real clock, a wait for
 * what is left of a deadline ends, though sums of fractions are rounded.
 */
const TICKS_PER_MS = 1_000

/** Unwinds the event within which a process died. It is no error of the process: nobody but the clock takes it. */
export class ProcessDeath extends Error {
  override name = 'ProcessDeath'
}

/** The one clock of a simulated world: it jumps to the next event. No wall clock, no randomness of its own. */
export class SimWorldClock {
  nowMs = 0
  /** Events that ran. */
  eventCount = 0
  /** Called after each event that ran: where invariants are checked. */
  afterEvent: ((event: SimEvent) => void) | null = null
  private readonly heap = new EventHeap()
  /** What is due at once: the bulk of all events, and already in order. */
  private readonly due = new EventQueue()
  private sequence = 0
  private eventsAtThisTime = 0
  private running: SimEvent | null = null
  private endOfEvent: (() => void) | null = null

  /** One process of the world: its clock dies with it. */
  process(name: string, options: { driftPpm?: number; wallOffsetMs?: number } = {}): SimProcess {
    return new SimProcess(this, name, options)
  }

  /** Runs `run` after `delayMs` for `owner`; null: the world itself, which is never killed or paused. */
  schedule(owner: EventOwner | null, delayMs: number, run: () => void): Timer {
    const timeMs = delayMs > 0 ? this.nowMs + delayMs : this.nowMs
    const event = new SimEvent(timeMs, this.sequence++, owner, run)
    if (delayMs > 0) this.heap.push(event)
    else this.due.push(event)
    return event
  }

  /** The event of the world that runs becomes one of `owner`: what it brings is handled within it. */
  becomesEventOf(owner: EventOwner): void {
    if (this.running === null || this.running.owner !== null)
      throw new Error('an event is an input of one process')
    this.running.owner = owner
  }

  /** What runs now is an event of this process. */
  isRunning(owner: EventOwner | null): boolean {
    return owner !== null && this.running?.owner === owner
  }

  /** Runs once, when the event that runs has ended or was unwound. */
  onceEventEnds(run: () => void): void {
    this.endOfEvent = run
  }

  /** Runs the next event. False: none is left. */
  step(): boolean {
    return this.runNext(Number.POSITIVE_INFINITY)
  }

  /** Runs every event up to and with `timeMs`, then stands at that time. */
  runUntil(timeMs: number): void {
    while (this.runNext(timeMs)) {}
    this.nowMs = Math.max(this.nowMs, timeMs)
  }

  runFor(durationMs: number): void {
    this.runUntil(this.nowMs + durationMs)
  }

  /** Runs until `condition` holds after an event. False: it did not within `limitMs`, or nothing was left to run. */
  runUntilTrue(condition: () => boolean, limitMs: number): boolean {
    const end = this.nowMs + limitMs
    while (!condition()) if (!this.runNext(end)) return false
    return true
  }

  private runNext(limitMs: number): boolean {
    for (;;) {
      const event = this.take(limitMs)
      if (event === undefined) return false
      const { run, owner } = event
      if (run === null || owner?.state === 'dead') continue
      if (owner?.isBusyAt(event.timeMs) === true) {
        owner.postpone(event)
        continue
      }
      if (owner?.state === 'paused') {
        owner.defer(event)
        continue
      }
      if (event.timeMs > this.nowMs) {
        this.nowMs = event.timeMs
        this.eventsAtThisTime = 0
      }
      this.eventCount++
      // Time that stands still is a loop without an end: a defect of the code under test, and better said than waited for.
      if (++this.eventsAtThisTime > MAX_EVENTS_AT_ONE_TIME) {
        throw new Error(
          `livelock: ${MAX_EVENTS_AT_ONE_TIME} events at ${this.nowMs} ms; the last: ${run.toString().slice(0, 300)}`,
        )
      }
      this.running = event
      try {
        run()
      } catch (error) {
        if (!(error instanceof ProcessDeath)) throw error
      }
      if (this.endOfEvent !== null) {
        this.endOfEvent()
        this.endOfEvent = null
      }
      event.owner?.ran()
      this.afterEvent?.(event)
      this.running = null
      return true
    }
  }

  /** Takes the next event off, unless it lies beyond `limitMs`. */
  private take(limitMs: number): SimEvent | undefined {
    const due = this.due.peek()
    const later = this.heap.peek()
    if (due !== undefined && (later === undefined || due.isBefore(later))) {
      return due.timeMs > limitMs ? undefined : this.due.pop()
    }
    return later === undefined || later.timeMs > limitMs ? undefined : this.heap.pop()
  }
}

/** A process: `clock` is what its node gets. A killed one never runs again; a restart is a new process. */
export class SimProcess implements EventOwner {
  state: 'running' | 'paused' | 'dead' = 'running'
  readonly clock: Clock
  /** Called once when it is killed: connections are reset there. */
  readonly onKill = new Set<() => void>()
  private deferred: SimEvent[] = []
  /** What each event costs of the process's one thread; what comes meanwhile waits its turn. */
  costMs = 0
  /** For how long it has run something since its start. */
  busyMs = 0
  private busyUntilMs = 0
  private readonly backlog: { run: (() => void) | null }[] = []
  private isWaking = false
  private readonly rate: number
  readonly bornMs: number
  /** Added to the wall clock alone; may be changed at any time. */
  wallOffsetMs: number

  constructor(
    readonly world: SimWorldClock,
    readonly name: string,
    options: { driftPpm?: number; wallOffsetMs?: number },
  ) {
    this.rate = 1 + (options.driftPpm ?? 0) / 1e6
    this.wallOffsetMs = options.wallOffsetMs ?? 0
    this.bornMs = world.nowMs
    this.clock = {
      monotonicMs: () => Math.floor((world.nowMs - this.bornMs) * this.rate * TICKS_PER_MS) / TICKS_PER_MS,
      wallMs: () => Math.floor(SIM_EPOCH_MS + world.nowMs + this.wallOffsetMs),
      after: (delayMs, input) =>
        this.schedule(delayMs <= 0 ? 0 : (delayMs + 1 / TICKS_PER_MS) / this.rate, input),
      endOfTurn: (input) => {
        this.schedule(0, input)
      },
    }
  }

  schedule(delayMs: number, run: () => void): Timer {
    return this.world.schedule(this, delayMs, run)
  }

  /**
   * What an event of the world brings (a segment, a completion): an input within that very event, so that nothing
   * comes between. While the process is paused it waits; a dead one never sees it.
   */
  input(run: () => void): void {
    if (this.isBusyAt(this.world.nowMs)) this.postpone({ run })
    else if (this.state === 'running') {
      this.world.becomesEventOf(this)
      run()
    } else if (this.state === 'paused') this.schedule(0, run)
  }

  /** It runs something, or has not come to what waits. */
  isBusyAt(timeMs: number): boolean {
    if (this.costMs === 0 || this.state !== 'running') return false
    return this.backlog.length > 0 || this.busyUntilMs > timeMs
  }

  postpone(event: { run: (() => void) | null }): void {
    this.backlog.push(event)
    this.wakeLater()
  }

  /** An event of it has run. */
  ran(): void {
    if (this.costMs === 0) return
    this.busyUntilMs = this.world.nowMs + this.costMs
    this.busyMs += this.costMs
    if (this.backlog.length > 0) this.wakeLater()
  }

  private wakeLater(): void {
    if (this.isWaking) return
    this.isWaking = true
    this.world.schedule(null, Math.max(0, this.busyUntilMs - this.world.nowMs), () => this.wake())
  }

  private wake(): void {
    this.isWaking = false
    if (this.state === 'dead') this.backlog.length = 0
    if (this.state !== 'running') return
    let next = this.backlog.shift()
    while (next !== undefined && next.run === null) next = this.backlog.shift()
    if (next?.run == null) return
    this.world.becomesEventOf(this)
    next.run()
  }

  /** SIGKILL: pending events are dropped. */
  kill(): void {
    if (this.state === 'dead') return
    this.state = 'dead'
    this.deferred = []
    const hooks = [...this.onKill]
    this.onKill.clear()
    for (const hook of hooks) hook()
  }

  /** SIGSTOP: events wait. */
  pause(): void {
    if (this.state === 'running') this.state = 'paused'
  }

  /** SIGCONT: what waited runs now, in its order. */
  resume(): void {
    if (this.state !== 'paused') return
    this.state = 'running'
    if (this.backlog.length > 0) this.wakeLater()
    for (const event of this.deferred.splice(0)) {
      this.schedule(0, () => event.run?.())
    }
  }

  defer(event: SimEvent): void {
    this.deferred.push(event)
  }
}
