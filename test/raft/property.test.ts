import { describe, expect, it } from 'vitest'
import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/api.js'
import { Harness, type HarnessNode } from './harness.js'
import { Invariants } from './invariants.js'

const SEEDS = 120
const STEPS = 3000

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
      invariants.read(++value)
      node.input({ type: 'readIndex', requestId: value })
    }
  }
  for (let step = 0; step < STEPS; step++) {
    act(step % 600 > 150)
    invariants.checkAll()
    invariants.checkDurableMajority()
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
