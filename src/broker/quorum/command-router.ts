import type { NodeId, Term } from '../../lib/ids.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../../metadata/commands.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { PeerMessage } from '../peer-message.js'
import { failed, tooLarge } from './command-errors.js'
import {
  CommandQueue,
  commandBytes,
  isBrokersOwn,
  MAX_COMMAND_BYTES,
  type QueueLimits,
} from './command-queue.js'

/** What the router asks of the rest of the reactor. */
export interface RouterEnvironment {
  clock: Clock
  nodeId: NodeId
  /** Drawn at each start: a reply to the process before this one must answer no command of this one. */
  firstRequestId: number
  limits: QueueLimits
  /** The Raft leader as far as this node knows. */
  leader(): NodeId | undefined
  /** The term that it leads. */
  term(): Term
  isConnected(peer: NodeId): boolean
  /** This node is the active controller, its log has room where the command may write, and it may answer. */
  canDecide(command: ControllerCommand): boolean
  /** It cannot at the moment, and the command waits. */
  onHeld(command: ControllerCommand): void
  /** `timeoutMs`: what whoever asked still waits. */
  decide(
    command: ControllerCommand,
    context: CommandContext,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): Abandon
  send(to: NodeId, message: PeerMessage): void
}

/** Whoever asked is gone. */
export type Abandon = () => void

interface Item {
  command: ControllerCommand
  context: CommandContext
  /** The broker of another node; undefined: this node's own. */
  origin: NodeId | undefined
  done: (reply: ControllerReply) => void
  bytes: number
  deadlineMs: number
  timer: Timer
  /** By the controller, which cannot decide it yet. */
  wasHeld: boolean
  settled: boolean
  /** Where it was sent, or this node, which has decided it; its outcome is unknown from then on. */
  sentTo: NodeId | undefined
  /** The leader's term then: another one of the same node is another controller, perhaps another process. */
  sentInTerm: Term
  /** This node has decided it. */
  abandon: Abandon | undefined
  /** The office of the node that it was sent to has ended: how long its last word is waited for. */
  lastWord: Timer | undefined
}

/** A command of another node waits here no longer than its sender, and no longer than any client may ask for. */
const MAX_REMOTE_HOLD_MS = 120_000
/**
 * A leader that steps down answers all that it has decided, and news of its successor comes over another stream, often
 * first: as when it has committed its own removal. Without its answer a client would try again what was done.
 */
const LAST_WORD_MS = 500

/**
 * Brings each command to the active controller, wherever it is: decided here, sent to the leader once, or held while
 * there is none. No command is ever sent twice. Everything that waits is counted and has a time limit.
 */
export class CommandRouter {
  private held: Item[] = []
  private readonly sent = new Map<number, Item>()
  /** Of other nodes, by their number and the request's. */
  private readonly remote = new Map<string, Item>()
  private readonly queue: CommandQueue
  private nextRequestId: number
  private closed = false

  constructor(private readonly environment: RouterEnvironment) {
    this.nextRequestId = environment.firstRequestId
    this.queue = new CommandQueue(environment.limits)
  }

  /** `done` is an input of its own, never called from within. See QuorumHandle for what it returns. */
  submit(
    command: ControllerCommand,
    context: CommandContext,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): Abandon {
    const { clock } = this.environment
    const item = this.add(command, context, undefined, timeoutMs, (reply) =>
      clock.endOfTurn(() => done(reply)),
    )
    return () => this.abandon(item)
  }

  /** Another node takes this one for the active controller. */
  onCommand(from: NodeId, message: Extract<PeerMessage, { type: 'command' }>): void {
    const { requestId, command, context, timeoutMs } = message
    const key = `${from} ${requestId}`
    const item = this.add(command, context, from, Math.min(timeoutMs, MAX_REMOTE_HOLD_MS), (reply) => {
      this.remote.delete(key)
      this.environment.send(from, { type: 'commandReply', requestId, reply })
    })
    if (item?.settled === false) this.remote.set(key, item)
  }

  onCommandAbandoned(from: NodeId, requestId: number): void {
    this.abandon(this.remote.get(`${from} ${requestId}`))
  }

  onCommandReply(from: NodeId, message: Extract<PeerMessage, { type: 'commandReply' }>): void {
    const item = this.sent.get(message.requestId)
    if (item === undefined || item.sentTo !== from) return
    this.sent.delete(message.requestId)
    this.settle(item, message.reply)
  }

  /** The leader or a connection changed. */
  onChange(): void {
    const leader = this.environment.leader()
    const term = this.environment.term()
    for (const [requestId, item] of this.sent) {
      const isInOffice = item.sentTo === leader && item.sentInTerm === term
      const isConnected = this.environment.isConnected(item.sentTo!)
      if (!isConnected || (!isInOffice && isBrokersOwn(item.context))) this.giveUp(requestId, item)
      else if (!isInOffice) {
        const { clock } = this.environment
        item.lastWord ??= clock.after(LAST_WORD_MS, () => this.giveUp(requestId, item))
      }
    }
    this.retryHeld()
  }

  private giveUp(requestId: number, item: Item): void {
    this.sent.delete(requestId)
    this.settle(
      item,
      failed('notController', `node ${item.sentTo} was lost as the controller; the outcome is unknown`),
    )
  }

  /** The log has room again, or the controller acts. */
  retryHeld(): void {
    if (this.held.length === 0) return
    const held = this.held
    this.held = []
    for (const item of held) if (!item.settled) this.route(item)
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    const items = [...this.held, ...this.sent.values()]
    this.held = []
    this.sent.clear()
    for (const item of items) this.settle(item, failed('notController', 'this node is stopping'))
  }

  private add(
    command: ControllerCommand,
    context: CommandContext,
    origin: NodeId | undefined,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): Item | undefined {
    if (this.closed) {
      done(failed('notController', 'this node is stopping'))
      return undefined
    }
    const bytes = commandBytes(command)
    if (bytes > MAX_COMMAND_BYTES) {
      done(tooLarge(command, bytes))
      return undefined
    }
    if (!this.queue.add(bytes, isBrokersOwn(context))) {
      done(failed('busy', `${this.queue} wait for the controller at node ${this.environment.nodeId} already`))
      return undefined
    }
    const { clock } = this.environment
    const deadlineMs = clock.monotonicMs() + timeoutMs
    const timer = clock.after(timeoutMs, () => this.onTimeout(item, timeoutMs))
    const item: Item = {
      command,
      context,
      origin,
      done,
      bytes,
      deadlineMs,
      timer,
      settled: false,
      wasHeld: false,
      sentTo: undefined,
      sentInTerm: 0,
      abandon: undefined,
      lastWord: undefined,
    }
    this.route(item)
    return item
  }

  private abandon(item: Item | undefined): void {
    if (item === undefined || item.settled) return
    if (item.sentTo === undefined) {
      this.held = this.held.filter((other) => other !== item)
      this.settle(item, failed('timedOut', 'whoever asked is gone'))
      return
    }
    item.abandon?.()
  }

  private route(item: Item): void {
    const { environment } = this
    const leader = environment.leader()
    if (leader === environment.nodeId) {
      if (environment.canDecide(item.command)) {
        item.sentTo = leader
        const left = this.timeLeftMs(item)
        item.abandon = environment.decide(item.command, item.context, left, (reply) =>
          this.settle(item, reply),
        )
      } else {
        this.held.push(item)
        // Whoever sent it lived then.
        if (!item.wasHeld) environment.onHeld(item.command)
        item.wasHeld = true
      }
      return
    }
    if (item.origin !== undefined) {
      this.settle(item, failed('notController', `node ${environment.nodeId} is not the controller`))
      return
    }
    if (leader === undefined || !environment.isConnected(leader)) {
      this.held.push(item)
      return
    }
    const requestId = this.nextRequestId++
    item.sentTo = leader
    item.sentInTerm = environment.term()
    this.sent.set(requestId, item)
    item.abandon = () => environment.send(leader, { type: 'commandAbandoned', requestId })
    const { command, context } = item
    environment.send(leader, {
      type: 'command',
      requestId,
      command,
      context,
      timeoutMs: this.timeLeftMs(item),
    })
  }

  /** Whole milliseconds, at least one. */
  private timeLeftMs(item: Item): number {
    return Math.max(1, Math.ceil(item.deadlineMs - this.environment.clock.monotonicMs()))
  }

  private onTimeout(item: Item, timeoutMs: number): void {
    const { nodeId } = this.environment
    let where = `node ${item.sentTo} did not answer`
    if (item.sentTo === undefined) where = 'no controller was active'
    else if (item.sentTo === nodeId)
      where = `node ${nodeId} is the controller, and the change was not committed`
    this.held = this.held.filter((other) => other !== item)
    for (const [requestId, other] of this.sent) if (other === item) this.sent.delete(requestId)
    this.settle(item, failed('timedOut', `${where} within ${timeoutMs} ms`))
  }

  private settle(item: Item, reply: ControllerReply): void {
    if (item.settled) return
    item.settled = true
    item.timer.cancel()
    item.lastWord?.cancel()
    this.queue.remove(item.bytes)
    item.done(reply)
  }
}
