import { assert } from '../../lib/assert.js'
import type { LogIndex, NodeId, Term } from '../../lib/ids.js'
import type {
  CommandContext,
  ControllerCommand,
  ControllerReply,
  DecidedCommand,
} from '../../metadata/commands.js'
import type { Controller } from '../../metadata/controller.js'
import type { MetadataRecord } from '../../metadata/records.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { RecordCodec } from '../../ports/record-codec.js'
import { ErrorCode } from '../../wire/errors.js'
import { failed } from './command-errors.js'
import type { RaftDriver } from './raft-driver.js'
import type { StateMachine } from './state-machine.js'

/** After a stall, for what the sockets hold. */
const DRAIN_MS = 10
/** Between two batches of one long change: requests and heartbeats come in between. */
const WORK_PAUSE_MS = 1
/** While the log has no room. */
const WORK_RETRY_MS = 20
/** Batches of long changes that are not applied here yet: every other reply, a heartbeat's too, waits behind them. */
const MAX_WORK_AHEAD = 8
/** After a proposal that was refused for its size. */
const RESTART_PAUSE_MS = 20

interface WaitingReply {
  /** Everything that the decision read or wrote lies at or below. */
  index: LogIndex
  reply: ControllerReply
  done: (reply: ControllerReply) => void
}

/**
 * Joins the controller to Raft while this node leads. Decisions are made against the speculative image and pipelined;
 * a reply leaves when everything that its decision read has committed in the same term, also where it wrote nothing.
 */
export class ActiveController {
  private term: Term = 0
  /** The last index that the speculation rests on. */
  private speculativeIndex: LogIndex = 0
  private waiting: WaitingReply[] = []
  private timer: Timer | undefined
  private tickDueMs = 0
  private workTimer: Timer | undefined
  /** Anew, when the log is applied so far: a decision was dropped, so the speculative image is wrong. */
  private restart: { afterIndex: LogIndex; timer: Timer } | undefined
  /** Found dead while the log had no room. */
  private readonly deadBrokers = new Set<NodeId>()

  constructor(
    private readonly controller: Controller,
    private readonly driver: RaftDriver,
    private readonly state: StateMachine,
    private readonly codec: RecordCodec<readonly MetadataRecord[]>,
    private readonly clock: Clock,
    private readonly tickMs: number,
    private readonly logger: Logger,
    /** It may be activated again. */
    private readonly onRestart: () => void,
  ) {}

  get isActive(): boolean {
    const { node } = this.driver
    return this.controller.isActive && node.isLeader && node.term === this.term
  }

  /** Nothing is on its way that a speculative image made now would not know of. */
  get mayActivate(): boolean {
    return this.restart === undefined || this.state.appliedIndex >= this.restart.afterIndex
  }

  /** `node.canPropose` held. This term's no-op is committed and applied: everything before it is known (KAFKA-17333). */
  activate(term: Term): void {
    assert(this.mayActivate, 'what this controller proposed before is applied')
    const nowMs = this.clock.monotonicMs()
    // A change that is refused again and again must not keep anybody from being judged.
    const tickDueMs = this.restart === undefined ? nowMs + this.tickMs : this.tickDueMs
    this.endRestart()
    this.term = term
    const lastIndex = this.driver.node.lastIndex
    this.speculativeIndex = lastIndex
    if (!this.propose(this.controller.activate(this.state.image, lastIndex, nowMs))) return
    if (nowMs < tickDueMs) this.scheduleTick(tickDueMs)
    else this.onTick()
  }

  /** Leadership was lost: what was proposed may commit or not, so nobody is told that it did. */
  deactivate(): void {
    this.endRestart()
    this.cancelTimers()
    this.controller.deactivate()
    this.deadBrokers.clear()
    const waiting = this.waiting
    this.waiting = []
    for (const { done } of waiting) {
      done(failed('notController', 'the controller lost its leadership before the change was committed'))
    }
  }

  get waitingReplies(): number {
    return this.waiting.length
  }

  /** `canPropose` held. */
  decide(command: DecidedCommand, context: CommandContext, done: (reply: ControllerReply) => void): void {
    const { records, reply } = this.controller.decide(command, context, this.clock.monotonicMs())
    if (!this.propose(records)) {
      const errorMessage = `${command.type}: the change is too large for one entry of the metadata log: ask for less at once`
      done({ type: 'failed', errorCode: ErrorCode.INVALID_REQUEST, errorMessage })
      return
    }
    if (this.speculativeIndex <= this.state.appliedIndex) done(reply)
    else this.waiting.push({ index: this.speculativeIndex, reply, done })
  }

  /** Commands may be decided now: active, no transfer under way, room in the log. */
  get canPropose(): boolean {
    return this.isActive && this.driver.node.canPropose
  }

  /**
   * A broker counts its session from its heartbeats that were answered, and beyond it doubts that it leads anything. So
   * none is answered where others may have elected a controller that hears of it no more.
   */
  canAnswer({ type }: ControllerCommand): boolean {
    if (type === 'describeQuorum') return this.isActive
    if (!this.canPropose) return false
    return type !== 'brokerHeartbeat' || this.clock.monotonicMs() < this.driver.node.leaseEndMs
  }

  brokerDead(brokerId: NodeId): void {
    if (!this.isActive) return
    if (this.canPropose) this.propose(this.controller.brokerDead(brokerId, this.clock.monotonicMs()))
    else this.deadBrokers.add(brokerId)
  }

  brokerConnected(brokerId: NodeId): void {
    this.deadBrokers.delete(brokerId)
    if (this.isActive) this.controller.brokerConnected(brokerId, this.clock.monotonicMs())
  }

  unfencedBrokers(): NodeId[] {
    return this.isActive ? this.controller.unfencedBrokers() : []
  }

  /** A command waits, for room in the log or for the voters: the broker that sent it lives all the same. */
  onHeld(command: ControllerCommand): void {
    if (!this.isActive || command.type !== 'brokerHeartbeat') return
    this.controller.brokerHeard(command.brokerId, command.brokerEpoch, this.clock.monotonicMs())
  }

  onApplied(appliedIndex: LogIndex): void {
    const { node } = this.driver
    if (!node.isLeader || node.term !== this.term) return
    while (this.waiting.length > 0 && this.waiting[0]!.index <= appliedIndex) {
      const { reply, done } = this.waiting.shift()!
      done(reply)
    }
    this.continueWork(WORK_PAUSE_MS)
  }

  /**
   * Only where `canPropose` holds: then the log takes it, and the speculative image stays what the log will be. False:
   * it is larger than any entry may be, and dropped; the controller begins anew with what was proposed before.
   */
  private propose(records: MetadataRecord[]): boolean {
    if (records.length === 0) return true
    const payload = this.codec.encode(records)
    const result = this.driver.propose(payload)
    if (result === 'tooLarge') {
      this.logger.error(
        { records: records.length, bytes: payload.length },
        'a change of the metadata is too large for one entry of the log: it is dropped',
      )
      this.beginRestart()
      return false
    }
    assert(typeof result !== 'string', `the log refused a proposal that it had room for: ${result}`)
    this.speculativeIndex = result.index
    this.controller.proposed(result.index)
    this.continueWork(WORK_PAUSE_MS)
    return true
  }

  /** Replies that wait for earlier entries come all the same. */
  private beginRestart(): void {
    this.cancelTimers()
    this.controller.suspend()
    this.restart?.timer.cancel()
    this.restart = {
      afterIndex: this.driver.node.lastIndex,
      timer: this.clock.after(RESTART_PAUSE_MS, () => this.onRestart()),
    }
  }

  private endRestart(): void {
    this.restart?.timer.cancel()
    this.restart = undefined
  }

  private cancelTimers(): void {
    this.timer?.cancel()
    this.timer = undefined
    this.workTimer?.cancel()
    this.workTimer = undefined
  }

  /** What concerns many partitions goes on in turns of its own. */
  private continueWork(pauseMs: number): void {
    if (this.workTimer !== undefined || !this.controller.hasWork) return
    // When the next one is applied, it goes on.
    if (this.speculativeIndex - this.state.appliedIndex >= MAX_WORK_AHEAD) return
    this.workTimer = this.clock.after(pauseMs, () => {
      this.workTimer = undefined
      if (this.canPropose) this.propose(this.controller.work())
      this.continueWork(WORK_RETRY_MS)
    })
  }

  private tick(nowMs: number): void {
    if (!this.canPropose) return
    for (const brokerId of [...this.deadBrokers]) {
      this.deadBrokers.delete(brokerId)
      this.brokerDead(brokerId)
    }
    if (this.canPropose) this.propose(this.controller.tick(nowMs))
  }

  private scheduleTick(dueMs: number): void {
    this.timer?.cancel()
    this.tickDueMs = dueMs
    this.timer = this.clock.after(dueMs - this.clock.monotonicMs(), () => {
      // A late tick met a stalled loop: heartbeats that wait in the sockets count before anyone is judged.
      if (this.clock.monotonicMs() > dueMs + this.tickMs)
        this.timer = this.clock.after(DRAIN_MS, () => this.onTick())
      else this.onTick()
    })
  }

  private onTick(): void {
    const nowMs = this.clock.monotonicMs()
    this.scheduleTick(nowMs + this.tickMs)
    this.tick(nowMs)
  }
}
