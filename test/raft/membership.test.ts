import { describe, expect, it } from 'vitest'
import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/api.js'
import type { Configuration, Voter } from '../../src/raft/types.js'
import { Harness, type HarnessNode } from './harness.js'
import { Invariants } from './invariants.js'

const SEEDS = Number(process.env.KOGGE_SEEDS ?? 60)
const STEPS = 3000
const NODES = 6

const LIMITS = {
  ...DEFAULT_RAFT_LIMITS,
  maxAppendEntries: 3,
  maxInflightMessages: 2,
  maxUncommittedEntries: 20,
  snapshotChunkBytes: 64,
}

/** Every configuration that some node's disk or memory knows: any of them may count again. */
function knownConfigurations(world: Harness): Configuration[] {
  const known: Configuration[] = []
  for (const { disk, node, isDown } of world.nodes.values()) {
    if (disk.snapshot !== undefined) known.push(disk.snapshot.configuration)
    for (const entry of disk.entries) if (entry.type === 'configuration') known.push(entry.configuration)
    if (!isDown) known.push(node.status().configuration)
  }
  return known.filter(({ voters }) => voters.length > 0)
}

/** Would a majority of the voters of each configuration still have its disk? */
function mayWipe(world: Harness, victim: HarnessNode): boolean {
  const isWhole = ({ nodeId, directoryId }: Voter): boolean =>
    nodeId !== victim.id && world.node(nodeId).directoryId === directoryId
  return knownConfigurations(world).every(
    ({ voters }) => voters.filter(isWhole).length >= Math.floor(voters.length / 2) + 1,
  )
}

class Run {
  readonly world: Harness
  readonly invariants: Invariants
  private readonly random: SeededRandom
  private value = 0
  private wipes = 0

  constructor(readonly seed: number) {
    this.random = new SeededRandom(seed)
    this.world = new Harness(1 + this.below(4), 0, seed, LIMITS, NODES)
    this.world.startAll()
    for (const node of this.world.nodes.values()) node.holdsDisk = true
    this.invariants = new Invariants(this.world, seed)
  }

  below(bound: number): number {
    return randomBelow(this.random, bound)
  }

  pick(): HarnessNode {
    return this.world.node(1 + this.below(NODES))
  }

  act(faults: boolean): void {
    const { world } = this
    const dice = this.below(faults ? 110 : 96)
    if (dice < 55) this.deliverOne(faults)
    else if (dice < 77) this.pick().flushOne()
    else if (dice < 84) this.passTime(this.below(60))
    else if (dice < 89) this.propose(this.pick(), `v${++this.value}`)
    else if (dice < 94) this.change()
    else if (dice < 95) {
      const node = this.pick()
      if (node.appliedIndex > 3) node.takeSnapshot(this.below(4))
    } else if (dice < 96) {
      this.invariants.read(++this.value)
      this.pick().input({ type: 'readIndex', requestId: this.value })
    } else if (dice < 101) {
      const node = this.pick()
      node.start()
      this.invariants.restarted(node)
    } else if (dice < 105) {
      if (this.below(2) === 0) world.cuts.add(`${1 + this.below(NODES)}>${1 + this.below(NODES)}`)
      else world.cuts.clear()
    } else if (dice < 106) {
      const node = this.pick()
      if (node.node.leader !== undefined) node.input({ type: 'peerDead', peer: node.node.leader })
    } else if (dice < 107) this.pick().input({ type: 'transferLeadership', to: undefined })
    else this.wipe(this.pick())
  }

  private describe(): string {
    const lines = [...this.world.nodes.values()].map(({ id, directoryId, node }) => {
      const { role, term, lastIndex, configuration } = node.status()
      const voters = configuration.voters.map((voter) => voter.directoryId).join(' ')
      return `${id}@${directoryId} ${role} ${term}/${lastIndex} counts ${voters}`
    })
    return lines.join('; ')
  }

  propose(node: HarnessNode, value: string): void {
    node.input({ type: 'propose', payloads: [Buffer.from(value)], proposalId: ++this.value })
  }

  passTime(ms: number): void {
    this.world.nowMs += ms
    for (const node of this.world.nodes.values()) {
      if (node.node.nextDeadlineMs <= this.world.nowMs) node.input({ type: 'tick' })
    }
  }

  private deliverOne(faults: boolean): void {
    const { inFlight } = this.world
    const message = inFlight.splice(this.below(Math.max(1, Math.min(inFlight.length, 8))), 1)[0]
    if (message === undefined) return
    if (faults && this.below(20) === 0) return
    if (faults && this.below(20) === 0) inFlight.push(structuredClone(message))
    this.world.deliver(message)
  }

  /** Whoever leads, or thinks so, is asked for any change, sensible or not. */
  private change(): void {
    const leaders = [...this.world.nodes.values()].filter((node) => node.node.isLeader)
    const leader = leaders[this.below(Math.max(1, leaders.length))] ?? this.pick()
    const { id: nodeId, directoryId } = this.pick()
    const voters = leader.node.status().configuration.voters
    const removed = voters[this.below(Math.max(1, voters.length))]
    const change =
      this.below(2) === 0 && removed !== undefined
        ? ({ type: 'removeVoter', voter: removed } as const)
        : this.below(2) === 0
          ? ({ type: 'addVoter', voter: { nodeId, directoryId } } as const)
          : ({ type: 'promote', nodeId } as const)
    leader.input({ type: 'changeMembership', requestId: ++this.value, change, catchUpTimeoutMs: 1000 })
  }

  private wipe(victim: HarnessNode): void {
    if (!mayWipe(this.world, victim)) return
    this.invariants.wipe(victim)
    victim.wipe(`d${victim.id}-${++this.wipes}`)
    this.world.inFlight = this.world.inFlight.filter(({ from }) => from !== victim.id)
    // Its voice is forgotten before anyone may rely on it for another change.
    this.passTime(600)
  }

  /** Healed, the cluster leads, commits and agrees, and takes every node in as a voter. */
  settle(): HarnessNode {
    const { world, seed } = this
    world.cuts.clear()
    for (const node of world.nodes.values()) {
      node.holdsDisk = false
      node.flushAll()
    }
    world.advance(10_000)
    this.invariants.checkAll()
    const leader = [...world.nodes.values()].find((node) => node.node.isLeader)
    if (leader === undefined)
      throw new Error(`seed ${seed}: nobody leads in a healed cluster: ${this.describe()}`)
    for (const voter of leader.node.status().configuration.voters) {
      if (world.node(voter.nodeId).directoryId === voter.directoryId) continue
      const change = { type: 'removeVoter', voter } as const
      leader.input({ type: 'changeMembership', requestId: ++this.value, change, catchUpTimeoutMs: 1000 })
      world.advance(300)
    }
    for (const node of world.nodes.values()) {
      const change = { type: 'promote', nodeId: node.id } as const
      leader.input({ type: 'changeMembership', requestId: ++this.value, change, catchUpTimeoutMs: 1000 })
      world.advance(300)
    }
    this.propose(leader, 'last')
    world.advance(2000)
    this.invariants.checkAll()
    return leader
  }
}

describe('changes of the voters under losses, repeats, cuts, crashes and wiped disks', () => {
  it(`keep the invariants over ${SEEDS} seeds`, () => {
    const only = process.env.KOGGE_SEED
    const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(only)]
    let changes = 0
    let reads = 0
    let wiped = 0
    for (const seed of seeds) {
      const run = new Run(seed)
      for (let step = 0; step < STEPS; step++) {
        run.act(step % 600 > 150)
        run.invariants.checkAll()
        if (run.world.inFlight.length > 500) run.world.inFlight.splice(0, 100)
      }
      const leader = run.settle()
      const expected = leader.applied
      expect(expected.at(-1), `seed ${seed}`).toMatch(/last$/)
      for (const node of run.world.nodes.values()) {
        expect(node.applied, `seed ${seed}, node ${node.id}`).toEqual(expected)
        expect(node.node.status().configuration.voters.length, `seed ${seed}`).toBe(NODES)
      }
      changes += run.invariants.changes
      reads += run.invariants.readsDone
      wiped += run.invariants.wiped.size
    }
    expect(changes / seeds.length).toBeGreaterThan(8)
    expect(reads / seeds.length).toBeGreaterThan(1)
    expect(wiped).toBeGreaterThan(seeds.length / 2)
  })
})
