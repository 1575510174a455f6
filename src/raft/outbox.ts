import { assert } from '../lib/assert.js'
import type { LogIndex, NodeId } from '../lib/ids.js'
import type { Outgoing, PersistEffect, RaftEffect } from './api.js'
import type { Entry, HardState, RaftMessage, Snapshot } from './types.js'

interface Pending {
  sequence: number
  /** The log's end once this is durable; lowered where a later step truncates. */
  lastIndex: LogIndex
  hardState: boolean
  sinceMs: number
  snapshot: Snapshot | undefined
  /** The effect's own: what comes later and waits for this write joins it. */
  messages: Outgoing[]
}

/**
 * Gathers what one step brings into effects, and knows what is still on its way to the disk. The rule of Raft §5
 * ("persist before answering") is kept here, once: a message that depends on the disk is held in a persist effect.
 */
export class Outbox {
  private sends: Outgoing[] = []
  private held: Outgoing[] = []
  private others: RaftEffect[] = []
  private entries: Entry[] = []
  private hardState: HardState | undefined
  private snapshot: Snapshot | undefined
  private truncateFrom: LogIndex | undefined
  private pending: Pending[] = []
  private pendingHardStates = 0
  private nextSequence = 1

  constructor(private durable: LogIndex) {}

  /** Everything up to here is on this node's disk. */
  get durableIndex(): LogIndex {
    return this.durable
  }

  /** The term and vote in memory are also on disk. */
  get isHardStateDurable(): boolean {
    return this.hardState === undefined && this.pendingHardStates === 0
  }

  /** When the oldest write that is still under way was asked for; undefined: none is. */
  get oldestPendingMs(): number | undefined {
    return this.pending[0]?.sinceMs
  }

  /** Leaves at once, but never before the term that it tells of is durable. */
  send(to: NodeId, message: RaftMessage): void {
    if (this.isHardStateDurable) this.sends.push({ to, message })
    else this.held.push({ to, message })
  }

  /** Leaves when everything that is in the log and the hard state now is durable. */
  sendDurable(to: NodeId, message: RaftMessage): void {
    this.held.push({ to, message })
  }

  effect(effect: RaftEffect): void {
    this.others.push(effect)
  }

  writeHardState(hardState: HardState): void {
    this.hardState = hardState
  }

  writeEntry(entry: Entry): void {
    this.entries.push(entry)
  }

  /** Before the entries of the same step. */
  writeTruncation(from: LogIndex): void {
    assert(this.entries.length === 0, 'a step truncates before it appends')
    this.truncateFrom = from
    this.lowerDurable(from - 1)
  }

  /** Before anything else of the same step. The old log counts for nothing beyond `commitIndex` from now on. */
  writeSnapshot(snapshot: Snapshot, commitIndex: LogIndex): void {
    this.snapshot = snapshot
    this.lowerDurable(commitIndex)
  }

  /** Returns the snapshots that became durable. */
  persisted(sequence: number): Snapshot[] {
    const snapshots: Snapshot[] = []
    const left = this.pending.findIndex((write) => write.sequence > sequence)
    for (const write of this.pending.splice(0, left === -1 ? this.pending.length : left)) {
      this.durable = Math.max(this.durable, write.lastIndex)
      if (write.hardState) this.pendingHardStates--
      if (write.snapshot !== undefined) snapshots.push(write.snapshot)
    }
    return snapshots
  }

  /** The effects of the step, in an order that a driver may simply follow. */
  flush(lastIndex: LogIndex, nowMs: number): RaftEffect[] {
    const effects: RaftEffect[] = this.sends.map((outgoing) => ({ type: 'send', ...outgoing }))
    const writes =
      this.hardState !== undefined ||
      this.snapshot !== undefined ||
      this.truncateFrom !== undefined ||
      this.entries.length > 0
    const newest = this.pending.at(-1)
    if (writes) effects.push(this.persistEffect(lastIndex, nowMs))
    else if (newest !== undefined) {
      for (const outgoing of this.held) join(newest.messages, outgoing)
    } else {
      for (const outgoing of this.held) effects.push({ type: 'send', ...outgoing })
    }
    effects.push(...this.others)
    this.sends = []
    this.held = []
    this.others = []
    this.entries = []
    this.hardState = undefined
    this.snapshot = undefined
    this.truncateFrom = undefined
    return effects
  }

  private persistEffect(lastIndex: LogIndex, nowMs: number): PersistEffect {
    const sequence = this.nextSequence++
    this.pending.push({
      sequence,
      lastIndex,
      hardState: this.hardState !== undefined,
      sinceMs: nowMs,
      snapshot: this.snapshot,
      messages: this.held,
    })
    if (this.hardState !== undefined) this.pendingHardStates++
    const effect: PersistEffect = { type: 'persist', sequence, entries: this.entries, messages: this.held }
    if (this.hardState !== undefined) effect.hardState = this.hardState
    if (this.snapshot !== undefined) effect.snapshot = this.snapshot
    if (this.truncateFrom !== undefined) effect.truncateFrom = this.truncateFrom
    return effect
  }

  private lowerDurable(limit: LogIndex): void {
    this.durable = Math.min(this.durable, limit)
    for (const write of this.pending) write.lastIndex = Math.min(write.lastIndex, limit)
  }
}

/**
 * The disk may hang for an hour, and a leader asks ten times a second: of the same kind, to the same node and under the
 * same term one answer says all.
 */
function join(messages: Outgoing[], added: Outgoing): void {
  const at = messages.findLastIndex((earlier) => isOutdatedBy(earlier, added))
  if (at === -1) messages.push(added)
  else if (!saysMore(messages[at]!.message, added.message)) messages[at] = added
}

function isOutdatedBy(
  { to, message: earlier }: Outgoing,
  { to: receiver, message: later }: Outgoing,
): boolean {
  if (to !== receiver || earlier.type !== later.type || earlier.term !== later.term) return false
  if (later.type === 'append' || later.type === 'installSnapshot') return false
  if (earlier.type !== 'appendReply' || later.type !== 'appendReply') return true
  return earlier.success === later.success
}

/** An append that was overtaken is answered for less. */
function saysMore(earlier: RaftMessage, later: RaftMessage): boolean {
  return (
    earlier.type === 'appendReply' &&
    later.type === 'appendReply' &&
    earlier.success &&
    earlier.matchIndex > later.matchIndex
  )
}
