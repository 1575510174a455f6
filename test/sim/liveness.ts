import { randomBelow, type SeededRandom } from '../../src/lib/prng.js'
import type { Compression } from '../../src/ports/compression.js'
import type { SimWorldClock } from './clock.js'
import type { FaultSchedule, Loss } from './faults.js'
import { describeNode, isQuiet, isQuorumWhole, replicaHolders } from './health.js'
import type { HistoryRecorder } from './history.js'
import { Violation } from './invariants/invariant.js'
import type { InvariantMonitor } from './invariants/monitor.js'
import type { SimNode } from './node.js'
import { type Acknowledged, reckonReplicas, reckonValues } from './reckoning.js'
import { PARTITIONS, TOPIC, type Workload } from './workload.js'

/** With a core of a majority, and then with all. */
const LIMIT_MS = 30_000
/** What a loss may cost: an election, and the session of a silent node as the new controller counts it. */
const OUTAGE_MS = 7_000
/**
 * How often the majority that serves may elect while the lost node is a nuisance. Who hears its leader refuses a
 * pre-vote: whoever is cut off, or not heard, brings none. One that comes and goes may lead at first, and loses that
 * once; a vote may split.
 */
const ELECTIONS_BY_NUISANCE: Readonly<Record<Loss, number>> = {
  lostGone: 0,
  lostPaused: 0,
  lostIsolated: 0,
  lostDeaf: 0,
  lostMute: 0,
  lostFlapping: 3,
  lostLossy: 3,
}
/** For as long it is looked whether terms grow, where any are allowed. */
const NUISANCE_MS = 10_000
/** For what was under way at the heal to be answered or given up. */
const SETTLE_MS = 3_500

/** The life that ends so. */
export interface Life {
  readonly clock: SimWorldClock
  readonly random: SeededRandom
  readonly compression: Compression
  readonly nodes: readonly SimNode[]
  readonly brokers: readonly SimNode[]
  readonly faults: FaultSchedule
  readonly invariants: InvariantMonitor
  readonly workload: Workload
  readonly history: HistoryRecorder
  readonly acknowledged: Acknowledged
  note(line: string): void
  isWhole(): boolean
  /** Compares what spans nodes. */
  compare(): void
}

/**
 * The end of a life. A majority must serve while one node is lost for good, in one of seven ways; then all are healed,
 * must serve, get in sync and fall silent; and then what was promised is held against what the disks hold.
 */
export class Liveness {
  private healedAtMs = 0
  /** From here on every request to these nodes must be answered. */
  private answersDue: { sinceMs: number; nodes: readonly SimNode[] } | null = null

  constructor(private readonly life: Life) {}

  /** Liveness: a random majority must serve, whatever became of the rest. */
  serveWithoutOne(): void {
    const { life } = this
    const lost = this.oneToLose()
    if (lost === null) return
    life.note(`liveness: all are healed but node ${lost.id}`)
    const loss = life.faults.stop(lost)!
    const core = life.nodes.filter((node) => node !== lost)
    this.within(() => this.servesSince(this.healedAtMs + OUTAGE_MS), core)
    const term = highestTerm(core)
    // A node that is heard now and then may lead the quorum on: what asks the controller waits for it.
    if (loss !== 'lostLossy' && loss !== 'lostFlapping') this.answersAreDueFrom(core)
    const most = ELECTIONS_BY_NUISANCE[loss]
    if (most > 0) life.clock.runFor(NUISANCE_MS)
    const grown = highestTerm(core) - term
    if (grown > most)
      throw new Violation(
        'a lost node does not disturb',
        `terms of the majority grew by ${grown} after it served, ${loss}: node ${lost.id}\n  ${core.map(describeNode).join('\n  ')}`,
      )
  }

  /** All must serve, and are held to what they promised. */
  serveWithAll(): void {
    const { life } = this
    const { nodes, workload } = life
    life.faults.stop(null)
    life.note('liveness: every node is healed')
    this.within(
      () =>
        this.servesSince(this.healedAtMs) &&
        life.isWhole() &&
        isQuorumWhole(nodes) &&
        workload.hasGroupPolledSince(this.healedAtMs),
      nodes,
    )
    this.answersAreDueFrom(nodes)
    workload.stopSending()
    this.within(() => life.isWhole() && isQuiet(nodes, TOPIC, PARTITIONS), nodes)
    workload.addFinalConsumer()
    this.within(() => this.haveConsumedAll(), nodes)
    this.reckon()
  }

  /** A client gave up waiting. */
  onTimeOut(client: string, nodeId: number, askedAtMs: number): void {
    const due = this.answersDue
    if (due !== null && askedAtMs >= due.sinceMs && due.nodes.some((node) => node.id === nodeId))
      throw new Violation('liveness', `${client} got no answer from node ${nodeId}, long after the heal`)
  }

  /**
   * Anybody, unless somebody is without a vote or fetches a lost log anew: the others cannot spare another. Null: each of
   * them is needed, since voters were removed, or since who led last is the only one who may lead.
   */
  private oneToLose(): SimNode | null {
    const { nodes, faults, random } = this.life
    const weak = nodes.filter((node) => faults.budget.isDamaged(node))
    if (weak.length > 1) return null
    const from = (weak.length > 0 ? weak : nodes).filter((node) => this.canSpare(node))
    return from.length === 0 ? null : from[randomBelow(random, from.length)]!
  }

  /** Whichever of the sets of voters counts in the end, the others are a majority of it. */
  private canSpare(node: SimNode): boolean {
    const { facts } = this.life.invariants
    return facts.possibleConfigurations().every(({ voters }) => {
      const present = voters.filter(
        (v) => v.nodeId !== node.id && facts.directories.get(v.nodeId) === v.directoryId,
      )
      return present.length * 2 > voters.length
    })
  }

  private reckon(): void {
    const { life } = this
    const { records } = life.acknowledged
    life.compare()
    this.verifyCommands()
    reckonValues(records, life.invariants.consumed.values)
    for (const [partition, promised] of records) {
      const disks = replicaHolders(life.nodes, partition).map((node) => node.disk)
      reckonReplicas(disks, new Map([[partition, promised]]), life.compression)
    }
    life.history.judge(true)
  }

  /** What was confirmed to the administrator is what every node says. */
  private verifyCommands(): void {
    const { brokers, clock, workload } = this.life
    const answers = new Map<number, readonly string[]>()
    for (const { id } of brokers) workload.verifyCommands(id, (wrong) => answers.set(id, wrong))
    clock.runUntilTrue(() => answers.size === brokers.length, LIMIT_MS)
    for (const { id } of brokers) {
      const [first] = answers.get(id) ?? [`node ${id} does not answer`]
      if (first !== undefined) throw new Violation('a confirmed command holds', first)
    }
  }

  private within(isWell: () => boolean, among: readonly SimNode[]): void {
    const { clock } = this.life
    this.healedAtMs = clock.nowMs
    if (!clock.runUntilTrue(isWell, LIMIT_MS)) throw new Violation('liveness', this.whatIsNotWell(among))
  }

  private whatIsNotWell(among: readonly SimNode[]): string {
    const lines = [...among.map(describeNode), ...this.life.workload.describe()]
    return `not well ${LIMIT_MS} ms after the heal at ${this.healedAtMs} ms\n  ${lines.join('\n  ')}`
  }

  /** What was under way may still be given up; what is asked from then on must be answered. */
  private answersAreDueFrom(nodes: readonly SimNode[]): void {
    const { clock } = this.life
    this.answersDue = { sinceMs: clock.nowMs, nodes }
    clock.runFor(SETTLE_MS)
    this.answersDue = null
  }

  /** Every partition took a record since then, and every consumer got it. */
  private servesSince(timeMs: number): boolean {
    return this.life.workload.hasServedSince(timeMs) && this.haveConsumedAll()
  }

  private haveConsumedAll(): boolean {
    const { acknowledged, workload } = this.life
    for (const [partition, highest] of acknowledged.highest)
      if (!workload.hasConsumed(partition, highest)) return false
    return true
  }
}

function highestTerm(nodes: readonly SimNode[]): number {
  return Math.max(0, ...nodes.map(({ quorum }) => quorum?.raft?.term ?? 0))
}
