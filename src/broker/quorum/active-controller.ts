import { assert } from '../../lib/assert.js'
import type { LogIndex, NodeId, Term } from '../../lib/ids.js'
import type { CommandContext, ControllerReply, DecidedCommand } from '../../metadata/commands.js'
import type { Controller } from '../../metadata/controller.js'
import type { MetadataRecord } from '../../metadata/records.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { RecordCodec } from '../../ports/record-codec.js'
import { failed } from './command-errors.js'
import type { RaftDriver } from './raft-driver.js'
import type { StateMachine } from './state-machine.js'

/** After a stall, for what the sockets hold. */
const DRAIN_MS = 10
/** Between two batches of one long change: requests and heartbeats come in between. */
const WORK_PAUSE_MS = 1
/** While the log has no room. */
const WORK_RETRY_MS = 20

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
  private workTimer: Timer | undefined
  /** Found dead while the log had no room. */
  private readonly deadBrokers = new Set<NodeId>()

  constructor(
    private readonly controller: Controller,
    private readonly driver: RaftDriver,
    private readonly state: StateMachine,
    private readonly codec: RecordCodec<readonly MetadataRecord[]>,
    private readonly clock: Clock,
    private readonly tickMs: number,
  ) {}

  get isActive(): boolean {
    const { node } = this.driver
    return this.controller.isActive && node.isLeader && node.term === this.term
  }

  /** `node.canPropose` held. This term's no-op is committed and applied: everything before it is known (KAFKA-17333). */
  activate(term: Term): void {
    this.term = term
    const lastIndex = this.driver.node.lastIndex
    this.speculativeIndex = lastIndex
    const records = this.controller.activate(this.state.image, lastIndex, this.clock.monotonicMs())
    this.propose(records)
    this.scheduleTick()
  }

  /** Leadership was lost: what was proposed may commit or not, so nobody is told that it did. */
  deactivate(): void {
    this.timer?.cancel()
    this.timer = undefined
    this.workTimer?.cancel()
    this.workTimer = undefined
    this.deadBrokers.clear()
    if (this.controller.isActive) this.controller.deactivate()
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
    this.propose(records)
    if (this.speculativeIndex <= this.state.appliedIndex) done(reply)
    else this.waiting.push({ index: this.speculativeIndex, reply, done })
  }

  /** Commands may be decided now: active, no transfer under way, room in the log. */
  get canPropose(): boolean {
    return this.isActive && this.driver.node.canPropose
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

  onApplied(appliedIndex: LogIndex): void {
    if (!this.isActive) return
    while (this.waiting.length > 0 && this.waiting[0]!.index <= appliedIndex) {
      const { reply, done } = this.waiting.shift()!
      done(reply)
    }
  }

  /** Only where `canPropose` holds: then the log takes it, and the speculative image stays what the log will be. */
  private propose(records: MetadataRecord[]): void {
    if (records.length === 0) return
    const result = this.driver.propose(this.codec.encode(records))
    assert(typeof result !== 'string', `the log refused a proposal that it had room for: ${result}`)
    this.speculativeIndex = result.index
    this.controller.proposed(result.index)
    this.continueWork(WORK_PAUSE_MS)
  }

  /** What concerns many partitions goes on in turns of its own. */
  private continueWork(pauseMs: number): void {
    if (this.workTimer !== undefined || !this.controller.hasWork) return
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

  private scheduleTick(): void {
    this.timer?.cancel()
    const dueMs = this.clock.monotonicMs() + this.tickMs
    this.timer = this.clock.after(this.tickMs, () => {
      // A late tick met a stalled loop: heartbeats that wait in the sockets count before anyone is judged.
      if (this.clock.monotonicMs() > dueMs + this.tickMs)
        this.timer = this.clock.after(DRAIN_MS, () => this.onTick())
      else this.onTick()
    })
  }

  private onTick(): void {
    this.scheduleTick()
    this.tick(this.clock.monotonicMs())
  }
}
