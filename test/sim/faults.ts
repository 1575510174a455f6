import type { PeerMessage } from '../../src/broker/peer-message.js'
import { randomBelow, randomBetween, randomFloat, type SeededRandom } from '../../src/lib/prng.js'
import { linkKey } from './network.js'
import { hostOf, type SimNode } from './node.js'
import type { SimRun } from './world.js'

/** Before somebody is looked for again whom a fault may strike. */
const RETRY_MS = 100
const TEN_YEARS_MS = 10 * 365 * 86_400_000
/** Of granted votes, how many cost their voter the power in the same moment. */
const POWER_CUT_AFTER_VOTE = 0.1

/** What may strike, and how often one is drawn before another. */
const WEIGHTS = {
  crash: 4,
  instantRestart: 3,
  powerCut: 4,
  powerCutAll: 2,
  powerCutOneOthersPaused: 2,
  pause: 3,
  isolate: 5,
  oneWayCut: 3,
  flappingCut: 2,
  slowLink: 2,
  slowDisk: 2,
  failedSync: 2,
  cleanRestart: 2,
  clockJump: 2,
} as const

export type Fault = keyof typeof WEIGHTS | 'powerCutAfterVote'
export const FAULTS: readonly Fault[] = [
  ...(Object.keys(WEIGHTS) as (keyof typeof WEIGHTS)[]),
  'powerCutAfterVote',
]

/** Draws faults from the seed, one every few seconds, and undoes each of them in time. Some are aimed at leaders. */
export class FaultSchedule {
  private isStopped = true
  /** Whoever does not come back. */
  private lost: SimNode | null = null
  private readonly kinds: readonly (keyof typeof WEIGHTS)[] = Object.entries(WEIGHTS).flatMap(
    ([kind, weight]) => Array<keyof typeof WEIGHTS>(weight).fill(kind as keyof typeof WEIGHTS),
  )

  /** When what strikes, apart from whom and for how long: a change of the broker must not shift the plan of a seed. */
  private readonly plan: SeededRandom
  private readonly votes: SeededRandom
  private random: SeededRandom

  constructor(
    private readonly world: SimRun,
    random: SeededRandom,
  ) {
    this.plan = random.fork()
    this.votes = random.fork()
    this.random = random
  }

  start(): void {
    this.isStopped = false
    this.later(randomBetween(this.plan, 200, 2_000), () => this.strike())
  }

  /**
   * No further fault. Every node but `lost` comes back and every link among them is healed; `lost` stays as it is, or
   * goes for good.
   */
  stop(lost: SimNode | null): void {
    this.isStopped = true
    this.lost = lost
    this.world.links.healAll()
    this.world.links.extraLatencyMs.clear()
    for (const node of this.world.nodes) {
      node.healDisk()
      node.cancelFailure()
      node.setWallOffset(0)
      if (node !== lost) this.bringBack(node)
    }
    if (lost !== null) this.loseForGood(lost)
  }

  bringBack(node: SimNode): void {
    if (node.isUp) node.process?.resume()
    else node.start(this.world.drift())
  }

  /** A vote is about to be told. */
  onPeerMessage(from: number, message: PeerMessage): void {
    if (this.isStopped || message.type !== 'raft') return
    if (message.message.type !== 'voteReply' || !message.message.granted) return
    if (randomFloat(this.votes) >= POWER_CUT_AFTER_VOTE) return
    const voter = this.world.nodes.find((node) => node.id === from)!
    const { incarnation } = voter
    this.later(0, () => {
      if (!voter.isUp || voter.incarnation !== incarnation) return
      this.world.struck('powerCutAfterVote', `power cut of node ${voter.id}, which has just voted`)
      voter.powerCut(this.random)
      this.restart(voter, randomBetween(this.random, 10, 60))
    })
  }

  private later(delayMs: number, run: () => void): void {
    this.world.clock.schedule(null, delayMs, () => {
      if (!this.isStopped) run()
    })
  }

  private strike(): void {
    const kind = this.kinds[randomBelow(this.plan, this.kinds.length)]!
    this.random = this.plan.fork()
    this.strikeWith(kind)
  }

  /** As soon as there is somebody to strike; only then the next one is drawn. */
  private strikeWith(kind: keyof typeof WEIGHTS): void {
    const node = this.victim()
    if (node === null || (kind === 'cleanRestart' && node.node?.state !== 'running')) {
      this.later(RETRY_MS, () => this.strikeWith(kind))
      return
    }
    this[kind](node)
    this.later(randomBetween(this.plan, 300, 4_000), () => this.strike())
  }

  /**
   * A node that runs, mostly while all others do, so that most of the time the cluster can serve; often one that
   * leads. Null: not now.
   */
  private victim(): SimNode | null {
    const running = this.world.nodes.filter((n) => n.isUp && n.process?.state === 'running' && !n.isStopping)
    if (running.length === 0) return null
    if (running.length < this.world.nodes.length && randomBelow(this.random, 4) > 0) return null
    const aim = randomBelow(this.random, 3)
    const leaders =
      aim === 0
        ? running.filter((node) => node.quorum?.status().role === 'leader')
        : aim === 1
          ? running.filter((node) => node.replicas().some((replica) => replica.role === 'leader'))
          : running
    const candidates = leaders.length > 0 ? leaders : running
    return candidates[randomBelow(this.random, candidates.length)]!
  }

  private otherThan(node: SimNode): SimNode {
    const others = this.world.nodes.filter((other) => other !== node)
    return others[randomBelow(this.random, others.length)]!
  }

  private crash(node: SimNode): void {
    this.world.struck('crash', `crash of node ${node.id}`)
    node.crash()
    this.restart(node, this.downTimeMs())
  }

  private instantRestart(node: SimNode): void {
    this.world.struck('instantRestart', `crash of node ${node.id}, and a supervisor that waits for nothing`)
    node.crash()
    this.restart(node, randomBetween(this.random, 10, 60))
  }

  private powerCut(node: SimNode): void {
    this.world.struck('powerCut', `power cut of node ${node.id}`)
    node.powerCut(this.random)
    this.restart(node, this.downTimeMs())
  }

  private powerCutAll(): void {
    this.world.struck('powerCutAll', 'power cut of all nodes')
    for (const node of this.world.nodes) {
      node.powerCut(this.random)
      this.restart(node, this.downTimeMs())
    }
  }

  /** The case that cost NATS its records: what only the one had on its disk must not count. */
  private powerCutOneOthersPaused(node: SimNode): void {
    this.world.struck('powerCutOneOthersPaused', `power cut of node ${node.id} while the others are paused`)
    for (const other of this.world.nodes) {
      if (other !== node && other.process?.state === 'running')
        this.pauseFor(other, randomBetween(this.random, 100, 5_000))
    }
    this.later(randomBetween(this.random, 0, 50), () => {
      if (!node.isUp) return
      node.powerCut(this.random)
      this.restart(node, this.downTimeMs())
    })
  }

  private pause(node: SimNode): void {
    this.world.struck('pause', `pause of node ${node.id}`)
    this.pauseFor(node, randomBetween(this.random, 100, 6_000))
  }

  private pauseFor(node: SimNode, durationMs: number): void {
    const process = node.process!
    process.pause()
    this.later(durationMs, () => {
      if (process.state !== 'paused') return
      this.world.note(`node ${node.id} goes on`)
      process.resume()
    })
  }

  /** From the other nodes, not from clients: a leader goes on taking what it cannot replicate. */
  private isolate(node: SimNode): void {
    this.world.struck('isolate', `node ${node.id} is isolated from the others`)
    for (const other of this.world.nodes)
      if (other !== node) this.world.links.cutBoth(hostOf(node.id), hostOf(other.id))
    this.healLater(randomBetween(this.random, 200, 8_000))
  }

  private oneWayCut(node: SimNode): void {
    const other = this.otherThan(node)
    const [from, to] = randomBelow(this.random, 2) === 0 ? [node, other] : [other, node]
    this.world.struck('oneWayCut', `nothing passes from node ${from.id} to node ${to.id}`)
    this.world.links.cut(hostOf(from.id), hostOf(to.id))
    this.healLater(randomBetween(this.random, 200, 8_000))
  }

  private flappingCut(node: SimNode): void {
    const other = this.otherThan(node)
    this.world.struck('flappingCut', `the link of nodes ${node.id} and ${other.id} comes and goes`)
    const flap = (left: number): void => {
      this.world.links.cutBoth(hostOf(node.id), hostOf(other.id))
      this.later(randomBetween(this.random, 50, 700), () => {
        this.world.links.heal(hostOf(node.id), hostOf(other.id))
        this.world.links.heal(hostOf(other.id), hostOf(node.id))
        if (left > 0) this.later(randomBetween(this.random, 50, 700), () => flap(left - 1))
      })
    }
    flap(randomBetween(this.random, 2, 6))
  }

  private slowLink(node: SimNode): void {
    const link = linkKey(hostOf(node.id), hostOf(this.otherThan(node).id))
    const extraMs = randomBetween(this.random, 20, 400)
    this.world.struck('slowLink', `${link} takes ${extraMs} ms more`)
    const { extraLatencyMs } = this.world.links
    extraLatencyMs.set(link, extraMs)
    this.later(randomBetween(this.random, 500, 6_000), () => extraLatencyMs.delete(link))
  }

  private slowDisk(node: SimNode): void {
    const extraMs = randomBetween(this.random, 20, 600)
    this.world.struck('slowDisk', `the disk of node ${node.id} takes ${extraMs} ms more`)
    node.slowDisk(extraMs)
    this.later(randomBetween(this.random, 500, 5_000), () => node.healDisk())
  }

  /** EIO: the process must end. Whether the machine loses what it held in its page cache is left to chance. */
  private failedSync(node: SimNode): void {
    const losesPower = randomBelow(this.random, 2) === 0
    this.world.struck('failedSync', `the next sync of node ${node.id} fails`)
    node.failNextSync(() => {
      this.world.note(`node ${node.id} gives up`)
      if (losesPower) node.powerCut(this.random)
      else node.crash()
      this.restart(node, this.downTimeMs())
    })
  }

  private cleanRestart(node: SimNode): void {
    this.world.struck('cleanRestart', `node ${node.id} is asked to stop`)
    node.stop(() => {
      this.world.note(`node ${node.id} has stopped`)
      this.restart(node, randomBetween(this.random, 10, 1_000))
    })
  }

  private clockJump(node: SimNode): void {
    const jumpMs = randomBelow(this.random, 2) === 0 ? TEN_YEARS_MS : -TEN_YEARS_MS
    this.world.struck('clockJump', `the wall clock of node ${node.id} jumps by ${jumpMs} ms`)
    node.setWallOffset(jumpMs)
    this.later(randomBetween(this.random, 500, 5_000), () => node.setWallOffset(0))
  }

  private loseForGood(node: SimNode): void {
    switch (randomBelow(this.random, 3)) {
      case 0:
        this.world.note(`node ${node.id} is gone for good`)
        if (node.isUp) node.crash()
        return
      case 1:
        this.world.note(`node ${node.id} is paused for good`)
        if (node.isUp) node.process?.pause()
        return
      default:
        this.world.note(`node ${node.id} is isolated for good`)
        this.bringBack(node)
        for (const other of this.world.nodes)
          if (other !== node) this.world.links.cutBoth(hostOf(node.id), hostOf(other.id))
    }
  }

  private healLater(delayMs: number): void {
    this.later(delayMs, () => {
      this.world.note('links are healed')
      this.world.links.healAll()
    })
  }

  private downTimeMs(): number {
    const { random } = this
    return randomBelow(random, 3) === 0 ? randomBetween(random, 10, 60) : randomBetween(random, 100, 4_000)
  }

  private restart(node: SimNode, delayMs: number): void {
    const { incarnation } = node
    this.world.clock.schedule(null, this.isStopped ? 0 : delayMs, () => {
      if (node.isUp || node.incarnation !== incarnation || node === this.lost) return
      this.world.note(`node ${node.id} starts`)
      node.start(this.world.drift())
    })
  }
}
