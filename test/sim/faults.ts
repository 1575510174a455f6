import type { PeerMessage } from '../../src/broker/peer-message.js'
import { randomBelow, randomBetween, randomFloat, type SeededRandom } from '../../src/lib/prng.js'
import { DamageBudget } from './damage.js'
import { DISK_FAULTS } from './disk-faults.js'
import { linkKey } from './network.js'
import { NETWORK_FAULTS } from './network-faults.js'
import { hostOf, type SimNode } from './node.js'
import { PROCESS_FAULTS } from './process-faults.js'
import type { Profile } from './profiles.js'
import type { SimRun } from './world.js'

/** Before somebody is looked for again whom a fault may strike. */
const RETRY_MS = 100
/** A fault that finds nobody for so long gives way to the next. */
const MAX_TRIES = 100

/** When the keepalives of both ends have found out that nothing passes: one a 2 s, answered within 3 s. */
const KEEPALIVE_MS = 5_000

/** What a fault needs to strike, and to undo itself in time. */
export interface FaultContext {
  readonly world: SimRun
  readonly random: SeededRandom
  readonly budget: DamageBudget
  /** Does not run once all is healed. */
  later(delayMs: number, run: () => void): void
  restart(node: SimNode, delayMs: number): void
  otherThan(node: SimNode): SimNode
  /** By a crash or a power cut. Without `flush.before.ack` one node at a time may; it has until all is whole again. */
  mayEnd(node: SimNode): boolean
  /** By a crash, all at once. */
  mayEndAll(): boolean
}

/** False: not now. */
export type Strike = (context: FaultContext, node: SimNode) => boolean

const STRIKES = { ...PROCESS_FAULTS, ...NETWORK_FAULTS, ...DISK_FAULTS } as const satisfies Record<
  string,
  Strike
>

/** What may be drawn. */
export type DrawnFault = keyof typeof STRIKES
/** What becomes of the node without which a majority must serve. */
export const LOSSES = [
  'lostGone',
  'lostPaused',
  'lostIsolated',
  'lostDeaf',
  'lostMute',
  'lostFlapping',
  'lostLossy',
] as const
export type Loss = (typeof LOSSES)[number]
export type Fault = DrawnFault | 'powerCutAfterVote' | Loss
export const FAULTS: readonly Fault[] = [
  ...(Object.keys(STRIKES) as DrawnFault[]),
  'powerCutAfterVote',
  ...LOSSES,
]

/** Draws faults from the seed at the rates of the profile, and undoes each of them in time. Some are aimed at leaders. */
export class FaultSchedule implements FaultContext {
  private isStopped = true
  /** Whoever does not come back. */
  private lost: SimNode | null = null
  private readonly kinds: readonly DrawnFault[]
  readonly budget: DamageBudget

  /** When what strikes, apart from whom and for how long: a change of the broker must not shift the plan of a seed. */
  private readonly plan: SeededRandom
  private readonly votes: SeededRandom
  random: SeededRandom

  constructor(
    readonly world: SimRun,
    private readonly profile: Profile,
    random: SeededRandom,
  ) {
    this.plan = random.fork()
    this.votes = random.fork()
    this.random = random
    this.budget = new DamageBudget(world)
    this.kinds = Object.entries(profile.faults).flatMap(([kind, weight]) =>
      Array<DrawnFault>(weight).fill(kind as DrawnFault),
    )
  }

  start(): void {
    this.isStopped = false
    if (this.kinds.length > 0) this.later(randomBetween(this.plan, 200, 2_000), () => this.strike())
  }

  /**
   * No further fault. Every node but `lost` comes back and every link among them is healed; `lost` stays as it is, or
   * goes for good, and how is returned.
   */
  stop(lost: SimNode | null): Loss | null {
    this.isStopped = true
    this.lost = lost
    this.world.links.healAll()
    this.world.links.extraLatencyMs.clear()
    this.world.links.loss.clear()
    for (const node of this.world.nodes) {
      node.healDisk()
      node.makeRoom()
      node.cancelFailure()
      node.setWallOffset(0)
      if (node !== lost) this.bringBack(node)
    }
    return lost === null ? null : this.loseForGood(lost)
  }

  later(delayMs: number, run: () => void): void {
    this.world.clock.schedule(null, delayMs, () => {
      if (!this.isStopped) run()
    })
  }

  restart(node: SimNode, delayMs: number): void {
    const { incarnation } = node
    this.world.clock.schedule(null, this.isStopped ? 0 : delayMs, () => {
      if (node.isUp || node.incarnation !== incarnation || node === this.lost) return
      this.world.note(`node ${node.id} starts`)
      node.start(this.world.drift())
    })
  }

  otherThan(node: SimNode): SimNode {
    const others = this.world.nodes.filter((other) => other !== node)
    return others[randomBelow(this.random, others.length)]!
  }

  mayEnd(node: SimNode): boolean {
    return this.profile.flushBeforeAck || this.budget.mayForget(node)
  }

  mayEndAll(): boolean {
    return this.profile.flushBeforeAck || this.budget.mayAllForget()
  }

  /** A vote is about to be told. */
  onPeerMessage(from: number, message: PeerMessage): void {
    if (this.isStopped || this.profile.powerCutAfterVote === 0 || message.type !== 'raft') return
    if (message.message.type !== 'voteReply' || !message.message.granted) return
    if (randomFloat(this.votes) >= this.profile.powerCutAfterVote) return
    const voter = this.world.nodes.find((node) => node.id === from)!
    const { incarnation } = voter
    this.later(0, () => {
      if (!voter.isUp || voter.incarnation !== incarnation || !this.mayEnd(voter)) return
      this.world.struck('powerCutAfterVote', `power cut of node ${voter.id}, which has just voted`)
      voter.powerCut(this.random)
      this.restart(voter, randomBetween(this.random, 10, 60))
    })
  }

  private bringBack(node: SimNode): void {
    if (node.isUp) node.process?.resume()
    else node.start(this.world.drift())
  }

  private strike(): void {
    const kind = this.kinds[randomBelow(this.plan, this.kinds.length)]!
    const next = randomBetween(this.plan, ...this.profile.faultIntervalMs)
    this.random = this.plan.fork()
    this.strikeWith(kind, next, MAX_TRIES)
  }

  /** As soon as there is somebody to strike; only then the next one is drawn. */
  private strikeWith(kind: DrawnFault, nextMs: number, tries: number): void {
    const node = this.victim()
    const strikes: Strike = STRIKES[kind]
    if ((node !== null && strikes(this, node)) || tries === 0) this.later(nextMs, () => this.strike())
    else this.later(RETRY_MS, () => this.strikeWith(kind, nextMs, tries - 1))
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

  private loseForGood(node: SimNode): Loss {
    const { world } = this
    const { links } = world
    const loss = LOSSES[randomBelow(this.random, LOSSES.length)]!
    world.struck(loss, `node ${node.id} ${LOSS_LINES[loss]} for good`)
    if (loss === 'lostGone') {
      if (!this.profile.flushBeforeAck) this.budget.strike(node, 'now')
      if (node.isUp) node.crash()
      return loss
    }
    if (loss === 'lostPaused') {
      if (node.isUp) node.process?.pause()
      return loss
    }
    this.bringBack(node)
    const own = hostOf(node.id)
    const share = 0.05 + randomFloat(this.random) * 0.3
    for (const { id } of world.nodes) {
      const other = hostOf(id)
      if (id === node.id) continue
      if (loss === 'lostIsolated' || loss === 'lostDeaf') links.cut(other, own)
      if (loss === 'lostIsolated' || loss === 'lostMute') links.cut(own, other)
      if (loss === 'lostFlapping') this.flap(node, own, other)
      if (loss !== 'lostLossy') continue
      links.loss.set(linkKey(own, other), share)
      links.loss.set(linkKey(other, own), share)
    }
    if (loss === 'lostIsolated' || loss === 'lostDeaf' || loss === 'lostMute')
      world.clock.schedule(null, KEEPALIVE_MS, () => {
        if (this.lost === node) world.peers.expire(own)
      })
    return loss
  }

  /** For as long as the node is lost. */
  private flap(node: SimNode, a: string, b: string): void {
    const { clock, links } = this.world
    const undo = links.cutBoth(a, b)
    clock.schedule(null, randomBetween(this.random, 50, 700), () => {
      undo()
      clock.schedule(null, randomBetween(this.random, 50, 700), () => {
        if (this.lost === node) this.flap(node, a, b)
      })
    })
  }
}

const LOSS_LINES: Readonly<Record<Loss, string>> = {
  lostGone: 'is gone',
  lostPaused: 'is paused',
  lostIsolated: 'is isolated',
  lostDeaf: 'hears nothing of the others',
  lostMute: 'is not heard by the others',
  lostFlapping: 'comes and goes',
  lostLossy: 'loses a part of its segments',
}
