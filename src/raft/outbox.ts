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
  private nextSequence = 1

  constructor(private durable: LogIndex) {}

  /** Everything up to here is on this node's disk. */
  get durableIndex(): LogIndex {
    return this.durable
  }

  /** The term and vote in memory are also on disk. */
  get isHardStateDurable(): boolean {
    return this.hardState === undefined && !this.pending.some((write) => write.hardState)
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
    while (this.pending.length > 0 && this.pending[0]!.sequence <= sequence) {
      const write = this.pending.shift()!
      this.durable = Math.max(this.durable, write.lastIndex)
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
    if (writes || (this.held.length > 0 && this.pending.length > 0)) {
      effects.push(this.persistEffect(lastIndex, nowMs))
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
    })
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
