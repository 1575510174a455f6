import { describe, expect, it } from 'vitest'
import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/api.js'
import { Harness, type HarnessNode } from './harness.js'

const SEEDS = 120
const STEPS = 3000

/** Watches every effect and message; a violation names the seed, which replays the run. */
class Invariants {
  private readonly leaders = new Map<number, number>()
  private readonly votes = new Map<string, string>()
  private readonly committed = new Map<number, string>()
  private readonly commits = new Map<number, number>()
  private readonly terms = new Map<number, number>()

  constructor(
    private readonly world: Harness,
    private readonly seed: number,
  ) {
    world.onEffect = (node, effect) => {
      if (effect.type === 'roleChanged' && effect.role === 'leader') this.onLeader(node, effect.term)
      if (effect.type === 'apply') {
        for (const entry of effect.entries) {
          const text = `${entry.term} ${entry.type} ${entry.type === 'data' ? Buffer.from(entry.payload) : ''}`
          const known = this.committed.get(entry.index)
          this.check(known === undefined || known === text, `index ${entry.index} holds ${known} and ${text}`)
          this.committed.set(entry.index, text)
        }
      }
    }
    world.onSend = ({ from, to, message }) => {
      const durable = world.node(from).disk.hardState
      if (message.type === 'preVote') {
        this.check(message.term <= durable.term + 1, 'a pre-vote asks under the next term')
        return
      }
      // 2: what a message tells of is durable.
      this.check(
        message.term <= durable.term,
        `node ${from} tells of term ${message.term} before it is durable`,
      )
      if (message.type === 'voteReply' && message.granted) {
        const key = `${message.term} ${message.voter.nodeId}@${message.voter.directoryId}`
        const known = this.votes.get(key)
        this.check(known === undefined || known === String(to), `${key} voted for ${known} and ${to}`)
        this.votes.set(key, String(to))
      }
      if (message.type === 'appendReply' && message.success) {
        const { entries, snapshot } = world.node(from).disk
        const last = entries.at(-1)?.index ?? snapshot?.index ?? 0
        this.check(
          message.matchIndex <= last,
          `node ${from} acknowledges ${message.matchIndex} and holds ${last}`,
        )
      }
    }
  }

  restarted(node: HarnessNode): void {
    this.commits.delete(node.id)
  }

  /** After each step. */
  checkAll(): void {
    for (const node of this.world.nodes.values()) {
      if (node.isDown) continue
      const { commitIndex, term } = node.node.status()
      this.check(commitIndex >= (this.commits.get(node.id) ?? 0), `node ${node.id}'s commit index went back`)
      this.commits.set(node.id, commitIndex)
      const { term: durableTerm } = node.disk.hardState
      this.check(durableTerm >= (this.terms.get(node.id) ?? 0), `node ${node.id}'s term went back on disk`)
      this.check(term >= durableTerm, 'the term in memory is behind the disk')
      this.terms.set(node.id, durableTerm)
    }
    this.checkLogMatching()
    this.checkDurableMajority()
  }

  private onLeader(node: HarnessNode, term: number): void {
    const known = this.leaders.get(term)
    this.check(known === undefined, `term ${term} is led by ${known} and ${node.id}, or again by it`)
    this.leaders.set(term, node.id)
    // 5: whatever has committed is in its log.
    const { firstIndex, lastIndex } = node.node
    for (const [index, text] of this.committed) {
      this.check(index <= lastIndex, `leader ${node.id} lacks the committed entry ${index}`)
      if (index < firstIndex) continue
      const entry = node.node.entries(index, 1)[0]!
      this.check(String(entry.term) === text.split(' ')[0], `leader ${node.id} has another entry ${index}`)
    }
  }

  /** 4: two logs with the same term at an index are the same up to it. */
  private checkLogMatching(): void {
    const running = [...this.world.nodes.values()].filter((node) => !node.isDown)
    for (const a of running) {
      for (const b of running) {
        if (a.id >= b.id) continue
        const first = Math.max(a.node.firstIndex, b.node.firstIndex)
        let index = Math.min(a.node.lastIndex, b.node.lastIndex)
        while (index >= first && a.node.termAt(index) !== b.node.termAt(index)) index--
        for (; index >= first; index--) {
          const same = a.node.termAt(index) === b.node.termAt(index)
          this.check(same, `the logs of ${a.id} and ${b.id} part before ${index}`)
        }
      }
    }
  }

  /** 8: the newest committed entry is durable on a majority of the three voters. */
  private checkDurableMajority(): void {
    const newest = Math.max(0, ...this.committed.keys())
    if (newest === 0) return
    const term = Number(this.committed.get(newest)!.split(' ')[0])
    let holders = 0
    for (const node of this.world.nodes.values()) {
      if (node.id > 3) continue
      const { entries, snapshot } = node.disk
      const holds =
        (snapshot?.index ?? 0) >= newest || entries.some((e) => e.index === newest && e.term === term)
      if (holds) holders++
    }
    this.check(holders >= 2, `the committed entry ${newest} is durable on ${holders} of three`)
  }

  private check(condition: boolean, what: string): void {
    if (!condition) throw new Error(`seed ${this.seed}: ${what}`)
  }
}

function run(seed: number): { committed: number; leaders: number } {
  const random = new SeededRandom(seed)
  const limits = {
    ...DEFAULT_RAFT_LIMITS,
    maxAppendEntries: 3,
    maxInflightMessages: 2,
    maxUncommittedEntries: 20,
    snapshotChunkBytes: 64,
  }
  const world = new Harness(3, 1, seed, limits)
  world.startAll()
  for (const node of world.nodes.values()) node.holdsDisk = true
  const invariants = new Invariants(world, seed)
  let value = 0
  const pick = (): HarnessNode => world.node(1 + randomBelow(random, 4))
  const act = (faults: boolean): void => {
    const dice = randomBelow(random, faults ? 100 : 90)
    if (dice < 50) {
      const at = randomBelow(random, Math.max(1, Math.min(world.inFlight.length, 8)))
      const message = world.inFlight.splice(at, 1)[0]
      if (message === undefined) return
      if (faults && randomBelow(random, 20) === 0) return
      if (faults && randomBelow(random, 20) === 0) world.inFlight.push(structuredClone(message))
      world.deliver(message)
    } else if (dice < 75) {
      const node = pick()
      if (!node.isDown) node.flushOne()
    } else if (dice < 82) {
      world.nowMs += randomBelow(random, 60)
      for (const node of world.nodes.values()) {
        if (!node.isDown && node.node.nextDeadlineMs <= world.nowMs) node.input({ type: 'tick' })
      }
    } else if (dice < 89) {
      const node = pick()
      if (node.isDown) return
      const payloads = [Buffer.from(`v${++value}`)]
      node.input({ type: 'propose', payloads, proposalId: value })
    } else if (dice < 90) {
      const node = pick()
      if (!node.isDown && node.appliedIndex > 3) node.takeSnapshot(randomBelow(random, 4))
    } else if (dice < 94) {
      // A crash: what was not durable is lost.
      const node = pick()
      node.start()
      invariants.restarted(node)
    } else if (dice < 96) {
      const [from, to] = [1 + randomBelow(random, 4), 1 + randomBelow(random, 4)]
      if (randomBelow(random, 2) === 0) world.cuts.add(`${from}>${to}`)
      else world.cuts.clear()
    } else if (dice < 97) {
      const node = pick()
      if (node.node.leader !== undefined) node.input({ type: 'peerDead', peer: node.node.leader })
    } else if (dice < 98) {
      const node = pick()
      node.input({ type: 'transferLeadership', to: undefined })
    } else {
      const node = pick()
      node.input({ type: 'readIndex', requestId: ++value })
    }
  }
  for (let step = 0; step < STEPS; step++) {
    act(step % 600 > 150)
    invariants.checkAll()
    if (world.inFlight.length > 500) world.inFlight.splice(0, 100)
  }
  // Liveness: healed and with a working disk, the cluster leads, commits and agrees.
  world.cuts.clear()
  for (const node of world.nodes.values()) {
    node.holdsDisk = false
    node.flushAll()
  }
  world.advance(8000)
  invariants.checkAll()
  const leader = [...world.nodes.values()].find((node) => node.node.isLeader)
  if (leader === undefined) throw new Error(`seed ${seed}: nobody leads in a healed cluster`)
  leader.input({ type: 'propose', payloads: [Buffer.from('last')], proposalId: ++value })
  world.advance(2000)
  const expected = leader.applied
  if (!expected.at(-1)?.endsWith('last')) throw new Error(`seed ${seed}: a healed cluster does not commit`)
  for (const node of world.nodes.values()) {
    expect(node.applied, `seed ${seed}, node ${node.id}`).toEqual(expected)
  }
  return { committed: expected.length, leaders: leader.node.term }
}

describe('the Raft core under losses, repeats, cuts and crashes', () => {
  it(`keeps its invariants over ${SEEDS} seeds`, () => {
    const only = process.env.KOGGE_SEED
    const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(only)]
    let committed = 0
    let terms = 0
    for (const seed of seeds) {
      const result = run(seed)
      committed += result.committed
      terms += result.leaders
    }
    // The runs did something: entries committed and leaders changed.
    expect(committed / seeds.length).toBeGreaterThan(20)
    expect(terms / seeds.length).toBeGreaterThan(2)
  })
})
