import { createPeerMessageCodec } from '../../src/adapters/peer-codec.js'
import type { NodeRoles } from '../../src/broker/node-config.js'
import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { JitterStatus } from '../../src/broker/quorum/handle.js'
import { randomBelow, randomBetween, SeededRandom } from '../../src/lib/prng.js'
import type { ControllerCommand, ControllerReply } from '../../src/metadata/commands.js'
import type { MetadataImage, PartitionImage } from '../../src/metadata/image.js'
import type { Compression } from '../../src/ports/compression.js'
import type { Entry } from '../../src/raft/types.js'
import { type SimProcess, SimWorldClock } from './clock.js'
import { FAULTS, type Fault, FaultSchedule, LOSSES, type Loss } from './faults.js'
import { describeNode, isQuiet, isQuorumWhole, isWhole, replicaHolders } from './health.js'
import type { SimEvent } from './heap.js'
import { HistoryRecorder } from './history.js'
import { type LostEnds, type Observed, Violation } from './invariants/invariant.js'
import { InvariantMonitor } from './invariants/monitor.js'
import { SimLinks, SimNetwork } from './network.js'
import { SimNode, type SimNodeWorld } from './node.js'
import { copyOf, SimPeerNetwork } from './peers.js'
import { DEFAULT_PROFILE, type Profile } from './profiles.js'
import { reckonReplicas, reckonValues } from './reckoning.js'
import { RETAINED_TOPIC } from './retention.js'
import { type ClientWorld, WORKLOAD_EVENTS, type WorkloadEvent, type WorkloadObserver } from './sim-client.js'
import { TraceHash, TraceLog } from './trace.js'
import { PARTITIONS, TOPIC, Workload } from './workload.js'

export interface RunOptions {
  readonly seed: number
  readonly nodes: number
  /** The first so many are controllers and found the cluster; the others follow without a vote. Unless said: all. */
  readonly voters?: number
  /** The first so many are controllers, who may be made voters; unless said: those that are. */
  readonly controllers?: number | undefined
  /** Controllers are no brokers. */
  readonly isDedicated?: boolean
  /** Simulated seconds under load and faults. */
  readonly seconds: number
  readonly compression: Compression
  readonly keepTrace?: boolean
  /** Each line of the timeline, as it comes. */
  readonly onLine?: (line: string) => void
  /** What clients ask, and whether faults strike; `mixed` unless said otherwise. */
  readonly profile?: Profile
  /** False: a life without faults, whatever the profile says. */
  readonly faults?: boolean
  /** `clients`: nothing but what clients see counts; `all` unless said otherwise. */
  readonly judgedBy?: 'clients' | 'all'
  /** A life goes on for so long after its first violation, to see who else notices; 0 unless said otherwise. */
  readonly secondsAfterViolation?: number
}

export interface RunResult {
  readonly seed: number
  readonly violation: string | null
  /** The titles of all that was violated. */
  readonly violated: readonly string[]
  readonly traceHash: string
  readonly simulatedSeconds: number
  readonly events: number
  /** How often each fault struck and each thing happened that a sweep is to see. */
  readonly counts: Readonly<Record<string, number>>
  /** How often each invariant was looked at. */
  readonly checks: Readonly<Record<string, number>>
  readonly timeline: readonly string[]
  /** Of each node and of the world around them. */
  readonly lastEvents: Readonly<Record<string, readonly string[]>>
  readonly profile: Profile
  /** How late a leader's heartbeats left, as it says itself after the load; null: nobody leads then. */
  readonly heartbeats: JitterStatus | null
  /** Of 1, how much of their time the nodes were busy until the end of the load, where events cost anything. */
  readonly busy: readonly number[]
}

/** Too rare to be asked of a short sweep. */
export const RARE: ReadonlySet<string> = new Set([
  'tornTails',
  // Where a seed draws more than three brokers.
  'dataReplicasMoved',
  // Asked for by one profile alone.
  'votersAdded',
  'votersPromoted',
  'votersRemoved',
  'leadersRemoved',
  // One a life.
  ...LOSSES,
])

/** One per cent: more than a clock that somebody sets right now and then ever has. */
const NOTABLE_DRIFT_PPM = 10_000
/** Between two whole comparisons of what spans nodes. */
const CHECK_INTERVAL_MS = 1_000
/** Of each node, for the report of a failure. */
const EVENTS_KEPT = 20
const START_LIMIT_MS = 30_000
/** RELIABILITY's liveness phase, with a core of a majority and then with all. */
const LIVENESS_LIMIT_MS = 30_000
/** What a loss may cost: an election, and the session of a silent node as the new controller counts it. */
const OUTAGE_MS = 7_000
/** When no change of the voters is under way any more: longer than anybody waits for one. */
const CHANGES_END_MS = 10_000
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
/** Of so many messages between nodes one comes as the codec decodes it. */
const ENCODED_ONE_IN = 20
const peerCodec = createPeerMessageCodec()
/** Segments of clients' and followers' connections. */
const PARTS_OF_ONE_IN = 40
/** For what was under way at the heal to be answered or given up. */
const SETTLE_MS = 3_500

const BROKER_PROPERTIES: Readonly<Record<string, string>> = {
  // The wall clocks of nodes jump by years, those of clients do not.
  'log.message.timestamp.after.max.ms': '9223372036854775807',
  'offsets.topic.num.partitions': '1',
  'log.segment.bytes': '16384',
  // By size alone, where a topic asks for it: a clock that jumps by years would make every closed segment old.
  'log.retention.ms': '-1',
  'log.retention.check.interval.ms': '1000',
  // Below what a fault may last: leaders have to shrink their ISR themselves, not the controller alone.
  'replica.lag.time.max.ms': '3000',
  'replica.high.watermark.checkpoint.interval.ms': '1000',
}

/** One life of a cluster: start, load under faults, heal, and the reckoning. The same seed gives the same life. */
export class SimRun implements SimNodeWorld, Observed, WorkloadObserver {
  readonly clock = new SimWorldClock()
  readonly random: SeededRandom
  readonly compression: Compression
  readonly links: SimLinks
  readonly network: SimNetwork
  readonly peers: SimPeerNetwork<PeerMessage>
  readonly nodes: readonly SimNode[]
  readonly minInsyncReplicas: number
  readonly flushBeforeAck: boolean
  readonly counts: Record<string, number> = {
    ...Object.fromEntries(FAULTS.map((fault) => [fault, 0])),
    lostResponses: 0,
    requests: 0,
    acknowledgements: 0,
    unpromised: 0,
    consumed: 0,
    seenAgain: 0,
    commits: 0,
    ...Object.fromEntries(WORKLOAD_EVENTS.map((event) => [event, 0])),
    elections: 0,
    leaderships: 0,
    isrShrinks: 0,
    isrExpands: 0,
    truncations: 0,
    tornTails: 0,
    tornWrites: 0,
    splitSegments: 0,
    encodedMessages: 0,
    brokenSegments: 0,
    clockDrifts: 0,
    snapshotInstalls: 0,
    quarantines: 0,
    raftQuarantines: 0,
    voterChanges: 0,
    dataReplicasMoved: 0,
    logStartsMoved: 0,
    replicasBegunAnew: 0,
  }
  private readonly hash = new TraceHash()
  private readonly lines: TraceLog
  private readonly profile: Profile
  private readonly hasFaults: boolean
  private readonly faults: FaultSchedule
  private readonly invariants: InvariantMonitor
  private readonly violations: Error[] = []
  private readonly acknowledged = new Map<string, Map<number, string>>()
  readonly clientHosts: string[] = []
  readonly damagedNodes = new Map<number, LostEnds | null>()
  private readonly history: HistoryRecorder
  private readonly workload: Workload
  /** By partition, the newest leadership that any node's image ever showed. */
  private readonly newestLeaders = new Map<string, { epoch: number; leader: number }>()
  private readonly highestAcknowledged = new Map<number, number>()
  private readonly lastEvents = new Map<string, string[]>()
  private readonly seenImages = new WeakSet<PartitionImage>()
  private readonly seenConfigurations = new Set<number>()
  /** Of the records' partitions: the nodes that hold each. */
  private readonly holders = new Map<string, string>()
  /** Of the topic that keeps its newest bytes alone, by node. */
  private readonly logStarts = new Map<number, number>()
  private healedAtMs = 0
  private peerMessages = 0
  private heartbeats: JitterStatus | null = null
  private busy: readonly number[] = []
  /** From here on every request to these nodes must be answered. */
  private answersDue: { sinceMs: number; nodes: readonly SimNode[] } | null = null

  constructor(private readonly options: RunOptions) {
    this.profile = options.profile ?? DEFAULT_PROFILE
    this.flushBeforeAck = this.profile.flushBeforeAck
    this.hasFaults = options.faults !== false && Object.keys(this.profile.faults).length > 0
    this.random = new SeededRandom(options.seed)
    this.compression = options.compression
    this.lines = new TraceLog(options.keepTrace ?? false)
    this.links = new SimLinks(this.random.fork())
    this.links.partsOfOneIn = PARTS_OF_ONE_IN
    this.network = new SimNetwork(this.clock, this.links)
    this.peers = new SimPeerNetwork<PeerMessage>(this.network, (message) => this.passOn(message))
    const ids = Array.from({ length: options.nodes }, (_, i) => i + 1)
    const voters = ids.slice(0, options.voters ?? options.nodes)
    const controllers = ids.slice(0, options.controllers ?? voters.length)
    const rolesOf = (id: number): NodeRoles =>
      controllers.includes(id)
        ? { broker: options.isDedicated !== true, controller: true }
        : { broker: true, controller: false }
    // Whoever lost its disk, or its Raft log, has a vote again by itself; where voters come and go, not everybody.
    const isChanging = this.profile.load.changeVotersWithinMs > 0 && controllers.length >= 3
    const joinsByItself = (id: number): boolean =>
      voters.includes(id) && !(isChanging && id === voters.at(-1))
    this.nodes = ids.map((id) => {
      const properties = new Map([
        ['node.id', String(id)],
        ['flush.before.ack', String(this.flushBeforeAck)],
        ...Object.entries(BROKER_PROPERTIES),
      ])
      return new SimNode(id, this, voters, properties, rolesOf(id), joinsByItself(id))
    })
    for (const node of this.nodes) node.slowDown(this.profile.eventCostMs, this.profile.extraSyncMs)
    this.minInsyncReplicas = Math.min(2, this.brokers.length)
    this.invariants = new InvariantMonitor(this, options.judgedBy ?? 'all', (violation) =>
      this.onViolation(violation),
    )
    this.faults = new FaultSchedule(this, this.profile, this.random.fork())
    this.history = new HistoryRecorder(this.clock)
    this.workload = new Workload(this.profile.load, (name) => this.clientWorld(name))
    this.observe()
  }

  run(): RunResult {
    try {
      this.live()
    } catch (error) {
      this.violations.push(error as Error)
    }
    const [first] = this.violations
    const violated = this.violations.map((error) => (error instanceof Violation ? error.invariant : 'crash'))
    const { elections, epochs } = this.invariants
    this.counts.elections = elections.elections
    this.counts.leaderships = epochs.leaderships
    this.counts.isrShrinks = epochs.isrShrinks
    this.counts.isrExpands = epochs.isrExpands
    this.counts.splitSegments = this.links.splits
    this.counts.brokenSegments = this.links.brokenSegments
    this.counts.tornWrites = this.nodes.reduce((sum, { disk }) => sum + disk.tornWrites, 0)
    return {
      seed: this.options.seed,
      violation: first === undefined ? null : messageOf(first),
      violated,
      traceHash: this.hash.toString(),
      simulatedSeconds: this.clock.nowMs / 1000,
      events: this.clock.eventCount,
      counts: this.counts,
      checks: this.invariants.checks(),
      timeline: this.options.keepTrace ? this.lines.all() : this.lines.last(80),
      lastEvents: Object.fromEntries([...this.lastEvents].sort(([a], [b]) => (a < b ? -1 : 1))),
      profile: this.profile,
      heartbeats: this.heartbeats,
      busy: this.busy,
    }
  }

  /** An invariant speaks up once. */
  private onViolation(violation: Violation): void {
    const { secondsAfterViolation: seconds = 0 } = this.options
    if (seconds === 0) throw violation
    if (this.violations.length === 0)
      this.clock.schedule(null, seconds * 1000, () => {
        throw violation
      })
    this.violations.push(violation)
  }

  private live(): void {
    for (const node of this.nodes) node.start(this.drift())
    this.clock.schedule(null, CHECK_INTERVAL_MS, () => this.check())
    // A topic gets no more replicas than there are brokers when it is made.
    if (
      !this.clock.runUntilTrue(
        () => this.brokers.every(({ node }) => node?.state === 'running'),
        START_LIMIT_MS,
      )
    )
      throw new Violation('liveness', `not every broker serves ${START_LIMIT_MS} ms after the start`)
    let ready = false
    this.workload.createTopic(() => {
      ready = true
    })
    if (!this.clock.runUntilTrue(() => ready, START_LIMIT_MS))
      throw new Violation('liveness', 'no topic could be made at the start')
    this.workload.start()
    if (this.hasFaults) this.faults.start()
    this.clock.runFor(this.options.seconds * 1000)
    this.heartbeats = this.leaderJitter()
    if (this.profile.eventCostMs > 0) this.busy = this.nodes.map((node) => this.busyShareOf(node))
    this.workload.keepMembers()
    // A removal that is still on its way and a node that is lost could be two of three voters.
    if (this.hasFaults && this.profile.load.changeVotersWithinMs > 0) {
      this.faults.stop(null)
      this.clock.runFor(CHANGES_END_MS)
    }
    const lost = this.hasFaults && this.nodes.length >= 3 ? this.oneToLose() : null
    if (lost !== null) this.serveWithout(lost)
    this.faults.stop(null)
    this.serveWithAll()
  }

  /** The codec costs more than a copy: it is not asked for each. */
  private passOn(message: PeerMessage): PeerMessage {
    if (this.peerMessages++ % ENCODED_ONE_IN !== 0) return copyOf(message)
    this.counts.encodedMessages!++
    return peerCodec.decode(peerCodec.encode(message))
  }

  private busyShareOf({ process }: SimNode): number {
    return process === null ? 0 : process.busyMs / (this.clock.nowMs - process.bornMs)
  }

  private leaderJitter(): JitterStatus | null {
    for (const { quorum } of this.nodes) {
      const status = quorum?.status()
      if (status?.role === 'leader' && status.heartbeatJitter !== undefined) return status.heartbeatJitter
    }
    return null
  }

  /**
   * Anybody, unless somebody is without a vote or fetches a lost log anew: the others cannot spare another. Null: each of
   * them is needed, since voters were removed, or since who led last is the only one who may lead.
   */
  private oneToLose(): SimNode | null {
    const weak = this.nodes.filter((node) => this.faults.budget.isDamaged(node))
    if (weak.length > 1) return null
    const from = (weak.length > 0 ? weak : this.nodes).filter((node) => this.canSpare(node))
    return from.length === 0 ? null : from[randomBelow(this.random, from.length)]!
  }

  /** Whichever of the sets of voters counts in the end, the others are a majority of it. */
  private canSpare(node: SimNode): boolean {
    const { directories } = this.invariants.facts
    return this.invariants.facts.possibleConfigurations().every(({ voters }) => {
      const present = voters.filter(
        (v) => v.nodeId !== node.id && directories.get(v.nodeId) === v.directoryId,
      )
      return present.length * 2 > voters.length
    })
  }

  /** Liveness: a random majority must serve, whatever became of the rest. */
  private serveWithout(lost: SimNode): void {
    this.note(`liveness: all are healed but node ${lost.id}`)
    const loss = this.faults.stop(lost)!
    const core = this.nodes.filter((node) => node !== lost)
    this.within(() => this.servesSince(this.healedAtMs + OUTAGE_MS), core)
    const term = highestTerm(core)
    // A node that is heard now and then may lead the quorum on: what asks the controller waits for it.
    if (loss !== 'lostLossy' && loss !== 'lostFlapping') this.answersAreDueFrom(core)
    const most = ELECTIONS_BY_NUISANCE[loss]
    if (most > 0) this.clock.runFor(NUISANCE_MS)
    const grown = highestTerm(core) - term
    if (grown > most)
      throw new Violation(
        'a lost node does not disturb',
        `terms of the majority grew by ${grown} after it served, ${loss}: node ${lost.id}\n  ${core.map(describeNode).join('\n  ')}`,
      )
  }

  private serveWithAll(): void {
    this.note('liveness: every node is healed')
    this.within(() => {
      const { healedAtMs } = this
      return (
        this.servesSince(healedAtMs) &&
        this.isWhole() &&
        isQuorumWhole(this.nodes) &&
        this.workload.hasGroupPolledSince(healedAtMs)
      )
    }, this.nodes)
    this.answersAreDueFrom(this.nodes)
    this.workload.stopSending()
    this.within(() => this.isWhole() && isQuiet(this.nodes, TOPIC, PARTITIONS), this.nodes)
    this.workload.addFinalConsumer()
    this.within(() => this.haveConsumedAll(), this.nodes)
    this.reckon()
  }

  private reckon(): void {
    this.check()
    this.verifyCommands()
    reckonValues(this.acknowledged, this.invariants.consumed.values)
    for (const [partition, records] of this.acknowledged) {
      const disks = replicaHolders(this.nodes, partition).map((node) => node.disk)
      reckonReplicas(disks, new Map([[partition, records]]), this.compression)
    }
    this.history.judge(true)
  }

  /** What was confirmed to the administrator is what every node says. */
  private verifyCommands(): void {
    const answers = new Map<number, readonly string[]>()
    for (const { id } of this.brokers) this.workload.verifyCommands(id, (wrong) => answers.set(id, wrong))
    this.clock.runUntilTrue(() => answers.size === this.brokers.length, LIVENESS_LIMIT_MS)
    for (const { id } of this.brokers) {
      const [first] = answers.get(id) ?? [`node ${id} does not answer`]
      if (first !== undefined) throw new Violation('a confirmed command holds', first)
    }
  }

  private within(isWell: () => boolean, among: readonly SimNode[]): void {
    this.healedAtMs = this.clock.nowMs
    if (!this.clock.runUntilTrue(isWell, LIVENESS_LIMIT_MS))
      throw new Violation('liveness', this.whatIsNotWell(among))
  }

  /** What was under way may still be given up; what is asked from then on must be answered. */
  private answersAreDueFrom(nodes: readonly SimNode[]): void {
    this.answersDue = { sinceMs: this.clock.nowMs, nodes }
    this.clock.runFor(SETTLE_MS)
    this.answersDue = null
  }

  private clientWorld(name: string): ClientWorld {
    const process = this.clock.process(name)
    this.clientHosts.push(name)
    return {
      process,
      dialer: this.network.endpoint(process, name),
      random: this.random.fork(),
      compression: this.compression,
      nodeIds: this.brokers.map((n) => n.id),
      controllers: this.nodes.filter(({ roles }) => roles.controller).map(({ id }) => id),
      command: (nodeId, command, timeoutMs, done) => this.command(process, nodeId, command, timeoutMs, done),
      load: this.profile.load,
      observer: this,
      history: this.history,
    }
  }

  /** As the inspection service of a node hands it on. */
  private command(
    client: SimProcess,
    nodeId: number,
    command: ControllerCommand,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): void {
    const node = this.nodes.find(({ id }) => id === nodeId)!
    if (!node.isUp) return
    node.process!.schedule(1, () => {
      const context = { principal: 'User:admin', clientId: '', clientAddress: '', listener: '' }
      node.quorum?.submit(command, context, timeoutMs, (reply) => client.schedule(1, () => done(reply)))
    })
  }

  private observe(): void {
    this.clock.afterEvent = (event) => this.afterEvent(event)
    this.peers.onSend = (from, to, message) => this.invariants.onSent(from, to, message)
    this.peers.onDeliver = (from, to, message) => {
      this.hash.add(`${from}>${to} ${fingerprintOf(message)}`)
      if (message.type === 'raft' && message.message.type === 'append')
        this.countVoterChanges(message.message.entries)
      this.invariants.onDelivered(from, to, message)
      this.faults.onPeerMessage(from, message)
    }
    for (const node of this.nodes) {
      const index = this.invariants.diskOf(node.id)
      node.disk.onWrite = (path, position, chunks) => {
        index.onWrite(path, position, chunks)
        this.hash.add(`${node.id} write ${path} ${position}`, chunks)
      }
      node.disk.onTruncate = (path, from, to) => {
        if (path.endsWith('.log') && to < from)
          this.counts[this.hasOpenLogs(node) ? 'truncations' : 'tornTails']!++
        index.onTruncate(path, to)
      }
      node.disk.onMoved = (from, to) => index.onMoved(from, to)
      node.onPowerCut = () => index.rescan()
    }
  }

  private countVoterChanges(entries: readonly Entry[]): void {
    for (const { type, index } of entries) {
      // The first one founded the cluster.
      if (type !== 'configuration' || index === 1 || this.seenConfigurations.has(index)) continue
      this.seenConfigurations.add(index)
      this.counts.voterChanges!++
    }
  }

  private hasOpenLogs(node: SimNode): boolean {
    return node.node !== null && node.node.state !== 'starting' && node.node.state !== 'recovering'
  }

  private afterEvent(event: SimEvent): void {
    this.hash.event(event.timeMs, event.sequence)
    const node = this.ownerOf(event)
    if (node !== undefined) this.invariants.afterEvent(node)
  }

  private ownerOf(event: SimEvent): SimNode | undefined {
    if (event.owner === null) return undefined
    for (const node of this.nodes) if (node.process === event.owner) return node
    return undefined
  }

  private check(): void {
    this.faults.budget.review()
    this.invariants.eachSecond()
    this.countLogStarts()
    for (const node of this.nodes) {
      if (node.quarantined().length > 0 && !this.faults.budget.isDamaged(node))
        throw new Violation(
          'no undamaged log is quarantined',
          `node ${node.id}: ${JSON.stringify(node.quarantined())}`,
        )
    }
    this.clock.schedule(null, CHECK_INTERVAL_MS, () => this.check())
  }

  private countLogStarts(): void {
    for (const node of this.nodes) {
      for (const { topic, logStartOffset } of node.replicas()) {
        if (topic !== RETAINED_TOPIC || logStartOffset <= (this.logStarts.get(node.id) ?? 0)) continue
        this.logStarts.set(node.id, logStartOffset)
        this.counts.logStartsMoved!++
      }
    }
  }

  /** Every partition took a record since then, and every consumer got it. */
  private servesSince(timeMs: number): boolean {
    return this.workload.hasServedSince(timeMs) && this.haveConsumedAll()
  }

  private haveConsumedAll(): boolean {
    for (const [partition, highest] of this.highestAcknowledged) {
      if (!this.workload.hasConsumed(partition, highest)) return false
    }
    return true
  }

  private get brokers(): readonly SimNode[] {
    return this.nodes.filter((node) => node.roles.broker)
  }

  logEndsOf(node: SimNode): LostEnds {
    return this.invariants.diskOf(node.id).ends()
  }

  /** Also as the newest metadata have it: a leader that stood still believes in the ISR of long ago. */
  isWhole(): boolean {
    return isWhole(this.nodes) && this.invariants.facts.isEveryIsrFull()
  }

  private whatIsNotWell(among: readonly SimNode[]): string {
    const lines = [...among.map(describeNode), ...this.workload.describe()]
    return `not well ${LIVENESS_LIMIT_MS} ms after the heal at ${this.healedAtMs} ms\n  ${lines.join('\n  ')}`
  }

  // What the nodes tell.

  log(node: number, line: string): void {
    if (line.startsWith('error the Raft log is quarantined')) this.counts.raftQuarantines!++
    else if (line.includes('to be fetched anew')) this.counts.quarantines!++
    else if (line.startsWith('info snapshot installed')) this.counts.snapshotInstalls!++
    else if (line.startsWith('warn out of the range of the leader')) this.counts.replicasBegunAnew!++
    this.line(`node-${node} ${line}`, `node ${node}`)
  }

  onImage(node: SimNode, image: MetadataImage): void {
    this.invariants.onImage(node, image)
    for (const topic of image.topicsById.values()) {
      topic.partitions.forEach((partition, id) => {
        if (this.seenImages.has(partition)) return
        this.seenImages.add(partition)
        const name = `${topic.name}-${id}`
        if (topic.name === TOPIC) this.countMoved(name, partition)
        const { leaderEpoch: epoch, leader } = partition
        if (epoch >= (this.newestLeaders.get(name)?.epoch ?? -1))
          this.newestLeaders.set(name, { epoch, leader })
      })
    }
  }

  /** Whose records are, and nobody comes or goes any more. */
  private countMoved(name: string, { replicas, addingReplicas, removingReplicas }: PartitionImage): void {
    if (addingReplicas.length + removingReplicas.length > 0) return
    const holders = [...replicas].sort((a, b) => a - b).join()
    const before = this.holders.get(name)
    if (before !== undefined && before !== holders) this.counts.dataReplicasMoved!++
    this.holders.set(name, holders)
  }

  isNewestLeader(partition: string, nodeId: number): boolean {
    return this.newestLeaders.get(partition)?.leader === nodeId
  }

  onFatal(node: SimNode, error: Error): void {
    throw new Violation('no node gives up', `node ${node.id}: ${error.stack ?? error.message}`)
  }

  // What the clients tell.

  onRequest(): void {
    this.counts.requests!++
  }

  onAcknowledged(partition: string, offset: number, value: string): void {
    this.counts.acknowledgements!++
    let records = this.acknowledged.get(partition)
    if (records === undefined) {
      records = new Map()
      this.acknowledged.set(partition, records)
    }
    const before = records.get(offset)
    if (before !== undefined && before !== value)
      throw new Violation(
        'one offset, one record',
        `${partition}:${offset} was acknowledged as ${before} and as ${value}`,
      )
    records.set(offset, value)
    const number = Number(partition.slice(partition.lastIndexOf('-') + 1))
    this.highestAcknowledged.set(number, Math.max(offset, this.highestAcknowledged.get(number) ?? -1))
    this.hash.add(`ack ${partition} ${offset} ${value}`)
    this.invariants.onAcknowledged(partition, offset, value)
  }

  onAcknowledgedForNow(partition: string, offset: number, value: string): void {
    this.hash.add(`ack ${partition} ${offset} ${value}`)
    this.invariants.onAcknowledged(partition, offset, value)
  }

  onUnpromised(): void {
    this.counts.unpromised!++
  }

  onConsumed(consumer: string, partition: string, offset: number, value: string): void {
    this.counts.consumed!++
    this.invariants.onConsumed(consumer, partition, offset, value)
  }

  onSeen(consumer: string, partition: string, offset: number, value: string): void {
    this.counts.seenAgain!++
    this.invariants.onSeen(consumer, partition, offset, value)
  }

  onFetched(consumer: string, partition: string, highWatermark: number, lastStable: number): void {
    this.invariants.onFetched(consumer, partition, highWatermark, lastStable)
  }

  onLatestOffset(client: string, partition: string, offset: number): void {
    this.invariants.onLatestOffset(client, partition, offset)
  }

  onOffsetReset(consumer: string, partition: string, offset: number): void {
    this.invariants.onOffsetReset(consumer, partition, offset)
  }

  onCommitAcknowledged(group: string, offset: number): void {
    this.counts.commits!++
    this.invariants.onCommitAcknowledged(group, offset)
  }

  onCommitFetched(group: string, offset: number, nodeId: number): void {
    this.invariants.onCommitFetched(group, offset, nodeId)
  }

  onDone(what: WorkloadEvent): void {
    this.counts[what]!++
  }

  onImpossible(client: string, what: string): void {
    throw new Violation('23 a sequence in order is taken', `${client} was answered ${what}`)
  }

  onTimeOut(client: string, nodeId: number, askedAtMs: number): void {
    this.line(`${client} waited too long for node ${nodeId}`)
    const due = this.answersDue
    if (due !== null && askedAtMs >= due.sinceMs && due.nodes.some((node) => node.id === nodeId))
      throw new Violation('liveness', `${client} got no answer from node ${nodeId}, long after the heal`)
  }

  onResponseLost(): void {
    this.counts.lostResponses!++
  }

  // What the faults do, and what the invariants ask.

  note(line: string): void {
    this.hash.add(line)
    this.line(`-- ${line}`)
  }

  struck(fault: Fault, line: string): void {
    this.counts[fault]!++
    this.note(line)
  }

  /** Of a process that starts now, in parts of a million. */
  drift(): number {
    const { driftPpm } = this.profile
    const drift = randomBetween(this.random, -driftPpm, driftPpm)
    if (Math.abs(drift) >= NOTABLE_DRIFT_PPM) this.counts.clockDrifts!++
    return drift
  }

  private line(line: string, who = 'the world'): void {
    this.lines.add(this.clock.nowMs, line)
    const timed = `${this.clock.nowMs.toFixed(1).padStart(10)}  ${line}`
    let events = this.lastEvents.get(who)
    if (events === undefined) this.lastEvents.set(who, (events = []))
    events.push(timed)
    if (events.length > 2 * EVENTS_KEPT) events.splice(0, EVENTS_KEPT)
    this.options.onLine?.(timed)
  }
}

function highestTerm(nodes: readonly SimNode[]): number {
  return Math.max(0, ...nodes.map(({ quorum }) => quorum?.raft?.term ?? 0))
}

function fingerprintOf(message: PeerMessage): string {
  return message.type === 'raft'
    ? `${message.message.type} ${message.message.term}`
    : message.type === 'command'
      ? `command ${message.command.type} ${message.requestId}`
      : message.type === 'commandReply'
        ? `reply ${message.reply.type} ${message.requestId}`
        : message.type
}

function messageOf(error: Error): string {
  return error instanceof Violation ? error.message : `crash: ${error.stack ?? String(error)}`
}
