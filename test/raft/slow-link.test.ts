import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/lib/prng.js'
import {
  DEFAULT_RAFT_LIMITS,
  DEFAULT_RAFT_TIMING,
  type RaftInput,
  type RestoredState,
} from '../../src/raft/api.js'
import { RaftNode } from '../../src/raft/raft.js'
import type { Entry, RaftMessage } from '../../src/raft/types.js'
import { checksum } from './harness.js'

const MIB = 1024 * 1024
const LATENCY_MS = 2
const MESSAGE_BYTES = 100
const VOTER = { nodeId: 1, directoryId: 'd1' }

/**
 * A leader and a node without a vote. Appends and chunks queue for a link of so many bytes a millisecond; heartbeats,
 * and all that goes back, have connections of their own.
 */
class SlowLink {
  nowMs = 0
  sentBytes = 0
  readonly results: string[] = []
  private freeMs = 0
  private readonly events: { atMs: number; run: () => void }[] = []
  private readonly nodes: Map<number, RaftNode>

  constructor(
    private readonly bytesPerMs: number,
    restored: RestoredState,
  ) {
    const options = {
      random: new SeededRandom(1),
      timing: DEFAULT_RAFT_TIMING,
      limits: DEFAULT_RAFT_LIMITS,
      checksum,
      nowMs: 0,
    }
    const empty: RestoredState = { hardState: { term: 0 }, entries: [] }
    const observer = { nodeId: 2, directoryId: 'd2' }
    this.nodes = new Map([
      [1, new RaftNode({ ...options, self: VOTER, restored, learners: [2] })],
      [2, new RaftNode({ ...options, self: observer, restored: empty, learners: [] })],
    ])
  }

  get leader(): RaftNode {
    return this.nodes.get(1)!
  }

  get follower(): RaftNode {
    return this.nodes.get(2)!
  }

  runUntil(condition: () => boolean, limitMs: number): number {
    const fromMs = this.nowMs
    while (!condition() && this.nowMs < fromMs + limitMs) {
      this.events.sort((a, b) => a.atMs - b.atMs)
      const deadlines = [...this.nodes.values()].map((node) => node.nextDeadlineMs)
      this.nowMs = Math.max(this.nowMs, Math.min(this.events[0]?.atMs ?? Infinity, ...deadlines))
      if ((this.events[0]?.atMs ?? Infinity) <= this.nowMs) this.events.shift()!.run()
      for (const [id, node] of this.nodes)
        if (node.nextDeadlineMs <= this.nowMs) this.input(id, { type: 'tick' })
    }
    return this.nowMs - fromMs
  }

  input(id: number, input: RaftInput): void {
    for (const effect of this.nodes.get(id)!.step(input, this.nowMs)) {
      if (effect.type === 'send') this.send(id, effect.to, effect.message)
      else if (effect.type === 'persist') {
        this.after(1, () => {
          for (const { to, message } of effect.messages) this.send(id, to, message)
          this.input(id, { type: 'persisted', sequence: effect.sequence })
        })
      } else if (effect.type === 'membershipChanged') this.results.push('added')
      else if (effect.type === 'membershipFailed') this.results.push(effect.message)
    }
  }

  private send(from: number, to: number, message: RaftMessage): void {
    const deliver = (): void => this.input(to, { type: 'message', from, message })
    if (message.type !== 'append' && message.type !== 'installSnapshot') {
      this.after(LATENCY_MS, deliver)
      return
    }
    const bytes = MESSAGE_BYTES + payloadBytes(message)
    this.sentBytes += bytes
    this.freeMs = Math.max(this.freeMs, this.nowMs) + bytes / this.bytesPerMs
    this.after(this.freeMs - this.nowMs + LATENCY_MS, deliver)
  }

  private after(delayMs: number, run: () => void): void {
    this.events.push({ atMs: this.nowMs + delayMs, run })
  }
}

function payloadBytes(message: RaftMessage): number {
  if (message.type === 'installSnapshot') return message.chunk.length
  if (message.type !== 'append') return 0
  return message.entries.reduce(
    (bytes, entry) => bytes + (entry.type === 'data' ? entry.payload.length : 0),
    0,
  )
}

function withSnapshot(bytes: number): RestoredState {
  const data = new Uint8Array(bytes)
  const configuration = { voters: [VOTER] }
  const snapshot = { index: 5000, term: 1, configuration, clusterId: 'c', data }
  return { hardState: { term: 1 }, snapshot, entries: [] }
}

function withEntries(count: number, bytes: number): RestoredState {
  const configuration = { voters: [VOTER] }
  const first: Entry = { type: 'configuration', term: 1, index: 1, configuration, clusterId: 'c' }
  const payload = new Uint8Array(bytes)
  const data = Array.from(
    { length: count },
    (_, i): Entry => ({ type: 'data', term: 1, index: 2 + i, payload }),
  )
  return { hardState: { term: 1 }, entries: [first, ...data] }
}

describe('over a slow link', () => {
  it.each([
    ['snapshot', withSnapshot(10 * MIB)],
    ['log', withEntries(400, MIB / 40)],
  ])('a %s of 10 MiB goes once: 10 Mbit/s', (_what, restored) => {
    const link = new SlowLink(1250, restored)
    const isThere = () =>
      link.follower.commitIndex > 0 && link.follower.commitIndex === link.leader.commitIndex
    expect(link.runUntil(isThere, 60_000)).toBeLessThan(10_000)
    expect(link.sentBytes).toBeLessThan(1.1 * 10 * MIB)
  })

  it.each([
    ['a chunk takes four seconds', 64, withSnapshot(MIB)],
    ['an entry takes eight seconds', 512, withEntries(2, 4 * MIB)],
  ])('a voter is added that takes it slowly: %s', (_what, bytesPerMs, restored) => {
    const link = new SlowLink(bytesPerMs, restored)
    link.runUntil(() => link.leader.canPropose && link.leader.commitIndex === link.leader.lastIndex, 5000)
    const voter = { nodeId: 2, directoryId: 'd2' }
    const change = { type: 'addVoter' as const, voter }
    link.input(1, { type: 'changeMembership', requestId: 1, change, catchUpTimeoutMs: 120_000 })
    link.runUntil(() => link.results.length > 0, 130_000)
    expect(link.results).toEqual(['added'])
  })
})
