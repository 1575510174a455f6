import { SeededRandom } from '../../src/lib/prng.js'
import {
  DEFAULT_RAFT_LIMITS,
  DEFAULT_RAFT_TIMING,
  type PersistEffect,
  type RaftEffect,
  type RaftInput,
  type RaftLimits,
} from '../../src/raft/api.js'
import { foundingEntry } from '../../src/raft/founding.js'
import { RaftNode } from '../../src/raft/raft.js'
import type { Entry, HardState, RaftMessage, Snapshot } from '../../src/raft/types.js'

/** Any checksum that notices a change will do here. */
export function checksum(bytes: Uint8Array): number {
  let sum = 1
  for (const byte of bytes) sum = (sum * 31 + byte) >>> 0
  return sum
}

/** A disk that writes one effect at a time, and keeps nothing that it has not written when its node restarts. */
export class HarnessDisk {
  hardState: HardState = { term: 0 }
  snapshot: Snapshot | undefined
  entries: Entry[] = []
  pending: RaftEffect[] = []

  write(effect: PersistEffect): void {
    if (effect.hardState !== undefined) this.hardState = effect.hardState
    if (effect.snapshot !== undefined) {
      this.snapshot = effect.snapshot
      this.entries = []
    }
    const { truncateFrom } = effect
    if (truncateFrom !== undefined) this.entries = this.entries.filter((entry) => entry.index < truncateFrom)
    this.entries.push(...effect.entries)
  }

  /** Durably: the entry, or a snapshot of it. */
  holds(index: number, term: number): boolean {
    if ((this.snapshot?.index ?? 0) >= index) return true
    return this.entries.some((entry) => entry.index === index && entry.term === term)
  }

  save(snapshot: Snapshot, compactTo: number): void {
    if (snapshot.index <= (this.snapshot?.index ?? 0)) return
    this.snapshot = snapshot
    this.entries = this.entries.filter((entry) => entry.index > compactTo)
  }
}

export interface InFlight {
  from: number
  to: number
  message: RaftMessage
}

export class HarnessNode {
  directoryId: string
  disk = new HarnessDisk()
  node!: RaftNode
  /** What the state machine was told: index and payload, as text. */
  applied: string[] = []
  appliedIndex = 0
  holdsDisk = false
  isDown = false

  constructor(
    readonly world: Harness,
    readonly id: number,
    private readonly random: SeededRandom,
  ) {
    this.directoryId = `d${id}`
  }

  start(): void {
    const { disk, world } = this
    this.isDown = false
    disk.pending = []
    this.applied = disk.snapshot === undefined ? [] : JSON.parse(Buffer.from(disk.snapshot.data).toString())
    this.appliedIndex = disk.snapshot?.index ?? 0
    this.node = new RaftNode({
      self: { nodeId: this.id, directoryId: this.directoryId },
      random: this.random,
      restored: {
        hardState: disk.hardState,
        entries: structuredClone(disk.entries),
        ...(disk.snapshot === undefined ? {} : { snapshot: disk.snapshot }),
      },
      learners: world.ids,
      timing: DEFAULT_RAFT_TIMING,
      limits: world.limits,
      checksum,
      nowMs: world.nowMs,
    })
  }

  /** Its disk is gone; it starts again with an empty one, under another directory id. */
  wipe(directoryId: string): void {
    this.disk = new HarnessDisk()
    this.directoryId = directoryId
    this.start()
  }

  input(input: RaftInput): void {
    for (const effect of this.node.step(input, this.world.nowMs)) this.run(effect)
    if (!this.holdsDisk) this.flushAll()
  }

  flushAll(): void {
    while (this.disk.pending.length > 0) this.flushOne()
  }

  /** One write becomes durable, and what waited for it goes on. */
  flushOne(): void {
    const effect = this.disk.pending.shift()
    if (effect === undefined) return
    if (effect.type === 'saveSnapshot') {
      this.disk.save(effect.snapshot, effect.compactTo)
      return
    }
    if (effect.type !== 'persist') throw new Error(`${effect.type} is no write`)
    this.disk.write(effect)
    for (const { to, message } of effect.messages) this.world.send(this.id, to, message)
    for (const next of this.node.step({ type: 'persisted', sequence: effect.sequence }, this.world.nowMs)) {
      this.run(next)
    }
  }

  takeSnapshot(keepEntries: number, keepBytes?: number): void {
    const data = Buffer.from(JSON.stringify(this.applied))
    const bound = keepBytes === undefined ? {} : { keepBytes }
    this.input({ type: 'snapshotTaken', index: this.appliedIndex, data, keepEntries, ...bound })
  }

  private run(effect: RaftEffect): void {
    this.world.onEffect?.(this, effect)
    switch (effect.type) {
      case 'send':
        this.world.send(this.id, effect.to, effect.message)
        return
      case 'persist':
      case 'saveSnapshot':
        this.disk.pending.push(effect)
        return
      case 'apply':
        for (const entry of effect.entries) {
          if (entry.index !== this.appliedIndex + 1)
            throw new Error(`node ${this.id} skips to ${entry.index}`)
          this.appliedIndex = entry.index
          this.applied.push(`${entry.index}:${entryText(entry)}`)
        }
        return
      case 'restoreSnapshot':
        this.applied = JSON.parse(Buffer.from(effect.snapshot.data).toString())
        this.appliedIndex = effect.snapshot.index
        return
      default:
        return
    }
  }
}

export function entryText(entry: Entry): string {
  if (entry.type === 'data') return Buffer.from(entry.payload).toString()
  if (entry.type !== 'configuration' || entry.index === 1) return entry.type
  return entry.configuration.voters.map((voter) => voter.directoryId).join('+')
}

/** Several nodes, the messages between them and one clock, all moved by hand. */
export class Harness {
  nowMs = 0
  readonly ids: number[]
  readonly nodes = new Map<number, HarnessNode>()
  inFlight: InFlight[] = []
  /** 'from>to': nothing is taken on this link. */
  readonly cuts = new Set<string>()
  onEffect: ((node: HarnessNode, effect: RaftEffect) => void) | undefined
  onSend: ((message: InFlight) => void) | undefined

  constructor(
    voters: number,
    observers: number,
    seed: number,
    readonly limits: RaftLimits = DEFAULT_RAFT_LIMITS,
    nodes = voters + observers,
  ) {
    this.ids = Array.from({ length: nodes }, (_, i) => i + 1)
    const random = new SeededRandom(seed)
    for (const id of this.ids) this.nodes.set(id, new HarnessNode(this, id, random.fork()))
    const configuration = {
      voters: this.ids.slice(0, voters).map((nodeId) => ({ nodeId, directoryId: `d${nodeId}` })),
    }
    for (const node of this.nodes.values()) {
      if (node.id <= voters) {
        node.disk.hardState = { term: 1 }
        node.disk.entries = [foundingEntry('cluster', configuration)]
      }
    }
  }

  startAll(): void {
    for (const node of this.nodes.values()) node.start()
  }

  node(id: number): HarnessNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`there is no node ${id}`)
    return node
  }

  send(from: number, to: number, message: RaftMessage): void {
    if (this.cuts.has(`${from}>${to}`)) return
    const copy = { from, to, message: structuredClone(message) }
    this.onSend?.(copy)
    this.inFlight.push(copy)
  }

  /** Hands one message over. */
  deliver({ from, to, message }: InFlight): void {
    const node = this.nodes.get(to)
    if (node === undefined || node.isDown) return
    node.input({ type: 'message', from, message })
  }

  /** Everything, and what it causes, in order. */
  deliverAll(filter: (message: InFlight) => boolean = () => true): void {
    for (let rounds = 0; rounds < 10_000; rounds++) {
      const at = this.inFlight.findIndex(filter)
      if (at === -1) return
      this.deliver(this.inFlight.splice(at, 1)[0]!)
    }
    throw new Error('the messages do not come to rest')
  }

  /** Lets time pass: each deadline in its order, all messages at once. */
  advance(ms: number): void {
    const end = this.nowMs + ms
    for (;;) {
      this.deliverAll()
      let next: HarnessNode | undefined
      for (const node of this.nodes.values()) {
        if (node.isDown) continue
        if (next === undefined || node.node.nextDeadlineMs < next.node.nextDeadlineMs) next = node
      }
      if (next === undefined || next.node.nextDeadlineMs > end) break
      this.nowMs = Math.max(this.nowMs, next.node.nextDeadlineMs)
      next.input({ type: 'tick' })
    }
    this.nowMs = end
  }
}
