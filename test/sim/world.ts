import { createPeerMessageCodec } from '../../src/adapters/peer-codec.js'
import type { NodeRoles } from '../../src/broker/node-config.js'
import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { JitterStatus } from '../../src/broker/quorum/handle.js'
import { randomBetween, SeededRandom } from '../../src/lib/prng.js'
import type { ControllerCommand, ControllerReply } from '../../src/metadata/commands.js'
import type { MetadataImage, PartitionImage } from '../../src/metadata/image.js'
import type { Compression } from '../../src/ports/compression.js'
import { type SimProcess, SimWorldClock } from './clock.js'
import { type Fault, FaultSchedule } from './faults.js'
import { isWhole } from './health.js'
import type { SimEvent } from './heap.js'
import { HistoryRecorder } from './history.js'
import { type LostEnds, type Observed, Violation } from './invariants/invariant.js'
import { InvariantMonitor } from './invariants/monitor.js'
import { type Life, Liveness } from './liveness.js'
import { SimLinks, SimNetwork } from './network.js'
import { SimNode, type SimNodeWorld } from './node.js'
import { copyOf, SimPeerNetwork } from './peers.js'
import { DEFAULT_PROFILE, type Profile } from './profiles.js'
import { Acknowledged } from './reckoning.js'
import type { ClientWorld, WorkloadEvent, WorkloadObserver } from './sim-client.js'
import { Tally } from './tally.js'
import { TraceHash, TraceLog } from './trace.js'
import { Workload } from './workload.js'

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

/** Between two whole comparisons of what spans nodes. */
const CHECK_INTERVAL_MS = 1_000
/** Of each node, for the report of a failure. */
const EVENTS_KEPT = 20
const START_LIMIT_MS = 30_000
/** When no change of the voters is under way any more: longer than anybody waits for one. */
const CHANGES_END_MS = 10_000
/** Of so many messages between nodes one comes as the codec decodes it. */
const ENCODED_ONE_IN = 20
const peerCodec = createPeerMessageCodec()
/** Segments of clients' and followers' connections. */
const PARTS_OF_ONE_IN = 40
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
export class SimRun implements SimNodeWorld, Observed, WorkloadObserver, Life {
  readonly clock = new SimWorldClock()
  readonly random: SeededRandom
  readonly compression: Compression
  readonly links: SimLinks
  readonly network: SimNetwork
  readonly peers: SimPeerNetwork<PeerMessage>
  readonly nodes: readonly SimNode[]
  readonly minInsyncReplicas: number
  readonly flushBeforeAck: boolean
  private readonly tally = new Tally()
  private readonly hash = new TraceHash()
  private readonly lines: TraceLog
  private readonly profile: Profile
  private readonly hasFaults: boolean
  readonly faults: FaultSchedule
  readonly invariants: InvariantMonitor
  private readonly violations: Error[] = []
  readonly acknowledged = new Acknowledged()
  readonly clientHosts: string[] = []
  readonly damagedNodes = new Map<number, LostEnds | null>()
  readonly history: HistoryRecorder
  readonly workload: Workload
  /** By partition, the newest leadership that any node's image ever showed. */
  private readonly newestLeaders = new Map<string, { epoch: number; leader: number }>()
  private readonly lastEvents = new Map<string, string[]>()
  private readonly seenImages = new WeakSet<PartitionImage>()
  private readonly liveness: Liveness
  private peerMessages = 0
  private heartbeats: JitterStatus | null = null
  private busy: readonly number[] = []
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
    this.liveness = new Liveness(this)
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
    this.tally.take(this.invariants, this.links, this.nodes)
    return {
      seed: this.options.seed,
      violation: first === undefined ? null : messageOf(first),
      violated,
      traceHash: this.hash.toString(),
      simulatedSeconds: this.clock.nowMs / 1000,
      events: this.clock.eventCount,
      counts: this.tally.counts,
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
    this.clock.schedule(null, CHECK_INTERVAL_MS, () => this.checkEachSecond())
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
    this.workload.settle()
    // A removal that is still on its way and a node that is lost could be two of three voters.
    if (this.hasFaults && this.profile.load.changeVotersWithinMs > 0) {
      this.faults.stop(null)
      this.clock.runFor(CHANGES_END_MS)
    }
    if (this.hasFaults && this.nodes.length >= 3) this.liveness.serveWithoutOne()
    this.liveness.serveWithAll()
  }

  /** The codec costs more than a copy: it is not asked for each. */
  private passOn(message: PeerMessage): PeerMessage {
    if (this.peerMessages++ % ENCODED_ONE_IN !== 0) return copyOf(message)
    this.tally.add('encodedMessages')
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
      maySpareVote: () => this.faults.budget.isNobodyDamaged(),
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
        this.tally.addEntries(message.message.entries)
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
          this.tally.add(this.hasOpenLogs(node) ? 'truncations' : 'tornTails')
        index.onTruncate(path, to)
      }
      node.disk.onMoved = (from, to) => index.onMoved(from, to)
      node.onPowerCut = () => index.rescan()
      node.onTruncationCut = () => this.faults.budget.strike(node, 'later')
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

  private checkEachSecond(): void {
    this.compare()
    this.clock.schedule(null, CHECK_INTERVAL_MS, () => this.checkEachSecond())
  }

  compare(): void {
    this.faults.budget.review()
    this.invariants.eachSecond()
    this.tally.addLogStarts(this.nodes)
    for (const node of this.nodes) {
      if (node.quarantined().length > 0 && !this.faults.budget.isDamaged(node))
        throw new Violation(
          'no undamaged log is quarantined',
          `node ${node.id}: ${JSON.stringify(node.quarantined())}`,
        )
    }
  }

  get brokers(): readonly SimNode[] {
    return this.nodes.filter((node) => node.roles.broker)
  }

  logEndsOf(node: SimNode): LostEnds {
    return this.invariants.diskOf(node.id).ends()
  }

  /** Also as the newest metadata have it: a leader that stood still believes in the ISR of long ago. */
  isWhole(): boolean {
    return isWhole(this.nodes) && this.invariants.facts.isEveryIsrFull()
  }

  // What the nodes tell.

  log(node: number, line: string): void {
    this.tally.addLogLine(line)
    this.line(`node-${node} ${line}`, `node ${node}`)
  }

  onImage(node: SimNode, image: MetadataImage): void {
    this.invariants.onImage(node, image)
    for (const topic of image.topicsById.values()) {
      topic.partitions.forEach((partition, id) => {
        if (this.seenImages.has(partition)) return
        this.seenImages.add(partition)
        const name = `${topic.name}-${id}`
        this.tally.addPartition(topic.name, id, partition)
        const { leaderEpoch: epoch, leader } = partition
        if (epoch >= (this.newestLeaders.get(name)?.epoch ?? -1))
          this.newestLeaders.set(name, { epoch, leader })
      })
    }
  }

  isNewestLeader(partition: string, nodeId: number): boolean {
    return this.newestLeaders.get(partition)?.leader === nodeId
  }

  onFatal(node: SimNode, error: Error): void {
    throw new Violation('no node gives up', `node ${node.id}: ${error.stack ?? error.message}`)
  }

  // What the clients tell.

  onRequest(): void {
    this.tally.add('requests')
  }

  onAcknowledged(partition: string, offset: number, value: string): void {
    this.tally.add('acknowledgements')
    this.acknowledged.add(partition, offset, value)
    this.hash.add(`ack ${partition} ${offset} ${value}`)
    this.invariants.onAcknowledged(partition, offset, value)
  }

  onAcknowledgedForNow(partition: string, offset: number, value: string): void {
    this.hash.add(`ack ${partition} ${offset} ${value}`)
    this.invariants.onAcknowledged(partition, offset, value)
  }

  onUnpromised(): void {
    this.tally.add('unpromised')
  }

  onConsumed(consumer: string, partition: string, offset: number, value: string): void {
    this.tally.add('consumed')
    this.invariants.onConsumed(consumer, partition, offset, value)
  }

  onSeen(consumer: string, partition: string, offset: number, value: string): void {
    this.tally.add('seenAgain')
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
    this.tally.add('commits')
    this.invariants.onCommitAcknowledged(group, offset)
  }

  onCommitFetched(group: string, offset: number, nodeId: number): void {
    this.invariants.onCommitFetched(group, offset, nodeId)
  }

  onDone(what: WorkloadEvent): void {
    this.tally.add(what)
  }

  onImpossible(client: string, what: string): void {
    throw new Violation('23 a sequence in order is taken', `${client} was answered ${what}`)
  }

  onTimeOut(client: string, nodeId: number, askedAtMs: number): void {
    this.line(`${client} waited too long for node ${nodeId}`)
    this.liveness.onTimeOut(client, nodeId, askedAtMs)
  }

  onResponseLost(): void {
    this.tally.add('lostResponses')
  }

  // What the faults do, and what the invariants ask.

  note(line: string): void {
    this.hash.add(line)
    this.line(`-- ${line}`)
  }

  struck(fault: Fault, line: string): void {
    this.tally.add(fault)
    this.note(line)
  }

  /** Of a process that starts now, in parts of a million. */
  drift(): number {
    const { driftPpm } = this.profile
    const drift = randomBetween(this.random, -driftPpm, driftPpm)
    this.tally.addDrift(drift)
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
