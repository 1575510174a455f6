import type { PeerMessage } from '../../src/broker/peer-message.js'
import { randomBelow, randomBetween, SeededRandom } from '../../src/lib/prng.js'
import type { MetadataImage } from '../../src/metadata/image.js'
import type { Compression } from '../../src/ports/compression.js'
import { SimWorldClock } from './clock.js'
import { FAULTS, type Fault, FaultSchedule } from './faults.js'
import type { SimEvent } from './heap.js'
import {
  AcknowledgedIsDurable,
  CommitsAreKept,
  ConsumedNeverChanges,
  EpochsAreMonotonic,
  HighWatermarkIsSafe,
  type Invariant,
  IsrIsSound,
  LeaderHoldsAcknowledged,
  MembersHoldCommitted,
  type Observed,
  Violation,
} from './invariants.js'
import { LogIndex } from './log-index.js'
import { SimLinks, SimNetwork } from './network.js'
import { SimNode, type SimNodeWorld } from './node.js'
import { SimPeerNetwork } from './peers.js'
import { DEFAULT_PROFILE, type Profile } from './profiles.js'
import {
  CommittedIsDurable,
  LeaderCompleteness,
  LogMatching,
  OneLeaderPerTerm,
  OneVotePerTerm,
} from './raft-invariants.js'
import { reckonReplicas, reckonValues } from './reckoning.js'
import { TraceHash, TraceLog } from './trace.js'
import {
  type ClientWorld,
  SimAdmin,
  SimCarelessProducer,
  SimCommitter,
  SimConsumer,
  SimOperator,
  SimProducer,
  type WorkloadObserver,
} from './workload.js'

export interface RunOptions {
  readonly seed: number
  readonly nodes: number
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
}

export interface RunResult {
  readonly seed: number
  readonly violation: string | null
  readonly traceHash: string
  readonly simulatedSeconds: number
  readonly events: number
  /** How often each fault struck and each thing happened that a sweep is to see. */
  readonly counts: Readonly<Record<string, number>>
  /** How often each invariant was looked at. */
  readonly checks: Readonly<Record<string, number>>
  readonly timeline: readonly string[]
}

/** Counted, but too rare to be asked for. */
export const LEFT_TO_CHANCE: ReadonlySet<string> = new Set(['tornTails'])

const TOPIC = 'sim'
const PARTITIONS = 3
/** Between two looks at what spans nodes. */
const CHECK_INTERVAL_MS = 5
const START_LIMIT_MS = 30_000
/** RELIABILITY's liveness phase, with a core of a majority and then with all. */
const LIVENESS_LIMIT_MS = 30_000
/** What a loss may cost: an election, and the session of a silent node as the new controller counts it. */
const OUTAGE_MS = 7_000
/** For what was under way at the heal to be answered or given up. */
const SETTLE_MS = 3_500

const BROKER_PROPERTIES: Readonly<Record<string, string>> = {
  // The wall clocks of nodes jump by years, those of clients do not.
  'log.message.timestamp.after.max.ms': '9223372036854775807',
  'offsets.topic.num.partitions': '1',
  'log.segment.bytes': '16384',
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
  readonly counts: Record<string, number> = {
    ...Object.fromEntries(FAULTS.map((fault) => [fault, 0])),
    lostResponses: 0,
    requests: 0,
    acknowledgements: 0,
    unpromised: 0,
    consumed: 0,
    commits: 0,
    configChanges: 0,
    elections: 0,
    leaderships: 0,
    isrShrinks: 0,
    isrExpands: 0,
    truncations: 0,
    tornTails: 0,
    snapshotChunks: 0,
  }
  private readonly hash = new TraceHash()
  private readonly lines: TraceLog
  private readonly indexes = new Map<number, LogIndex>()
  private readonly profile: Profile
  private readonly hasFaults: boolean
  private readonly faults: FaultSchedule
  private readonly raftLeaders = new OneLeaderPerTerm()
  private readonly epochs = new EpochsAreMonotonic()
  private readonly consumed = new ConsumedNeverChanges()
  private readonly invariants: readonly Invariant[]
  private readonly acknowledged = new Map<string, Map<number, string>>()
  private readonly consumers: SimConsumer[] = []
  private readonly producers: SimProducer[] = []
  private readonly careless: SimCarelessProducer[] = []
  private healedAtMs = 0
  /** From here on every request to these nodes must be answered. */
  private answersDue: { sinceMs: number; nodes: readonly SimNode[] } | null = null

  constructor(private readonly options: RunOptions) {
    this.profile = options.profile ?? DEFAULT_PROFILE
    this.hasFaults = this.profile.faults && options.faults !== false
    this.random = new SeededRandom(options.seed)
    this.compression = options.compression
    this.lines = new TraceLog(options.keepTrace ?? false)
    this.links = new SimLinks(this.random.fork())
    this.network = new SimNetwork(this.clock, this.links)
    this.peers = new SimPeerNetwork<PeerMessage>(this.network)
    this.minInsyncReplicas = Math.min(2, options.nodes)
    const ids = Array.from({ length: options.nodes }, (_, i) => i + 1)
    this.nodes = ids.map(
      (id) =>
        new SimNode(id, this, ids, new Map([['node.id', String(id)], ...Object.entries(BROKER_PROPERTIES)])),
    )
    this.invariants = [
      this.raftLeaders,
      new OneVotePerTerm(),
      new LogMatching(),
      new LeaderCompleteness(),
      new CommittedIsDurable(),
      new MembersHoldCommitted(),
      new LeaderHoldsAcknowledged(),
      new IsrIsSound(),
      this.epochs,
      new HighWatermarkIsSafe(),
      this.consumed,
      new AcknowledgedIsDurable(),
      new CommitsAreKept(),
    ]
    this.faults = new FaultSchedule(this, this.random.fork())
    this.observe()
  }

  run(): RunResult {
    let violation: string | null = null
    try {
      this.live()
    } catch (error) {
      violation =
        error instanceof Violation ? error.message : `crash: ${(error as Error).stack ?? String(error)}`
    }
    this.counts.elections = this.raftLeaders.elections
    this.counts.leaderships = this.epochs.leaderships
    this.counts.isrShrinks = this.epochs.isrShrinks
    this.counts.isrExpands = this.epochs.isrExpands
    return {
      seed: this.options.seed,
      violation,
      traceHash: this.hash.toString(),
      simulatedSeconds: this.clock.nowMs / 1000,
      events: this.clock.eventCount,
      counts: this.counts,
      checks: Object.fromEntries(this.invariants.map(({ title, checks }) => [title, checks])),
      timeline: this.options.keepTrace ? this.lines.all() : this.lines.last(80),
    }
  }

  private live(): void {
    for (const node of this.nodes) node.start(this.drift())
    let ready = false
    new SimAdmin(this.clientWorld('admin'), 'admin', TOPIC, PARTITIONS).createTopic(() => {
      ready = true
    })
    this.clock.schedule(null, CHECK_INTERVAL_MS, () => this.check())
    if (!this.clock.runUntilTrue(() => ready, START_LIMIT_MS))
      throw new Violation('liveness', 'no topic could be made at the start')
    this.startClients()
    if (this.hasFaults) this.faults.start()
    this.clock.runFor(this.options.seconds * 1000)
    if (this.hasFaults) this.serveWithout(this.nodes[randomBelow(this.random, this.nodes.length)]!)
    this.faults.stop(null)
    this.serveWithAll()
  }

  /** Liveness: a random majority must serve, whatever became of the rest. */
  private serveWithout(lost: SimNode): void {
    this.note(`liveness: all are healed but node ${lost.id}`)
    this.faults.stop(lost)
    const core = this.nodes.filter((node) => node !== lost)
    this.within(() => this.servesSince(this.healedAtMs + OUTAGE_MS), core)
    this.answersAreDueFrom(core)
  }

  private serveWithAll(): void {
    this.note('liveness: every node is healed')
    this.within(() => this.servesSince(this.healedAtMs) && this.isWhole(), this.nodes)
    this.answersAreDueFrom(this.nodes)
    for (const producer of [...this.producers, ...this.careless]) producer.stop()
    this.within(() => this.isQuiet(), this.nodes)
    this.check()
    const logs = this.nodes.map((node) => node.disk)
    reckonValues(this.acknowledged, this.consumed.values)
    reckonReplicas(logs, this.acknowledged, this.compression)
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

  private startClients(): void {
    const make = <C>(
      name: string,
      Client: new (world: ClientWorld, name: string, topic: string, partitions: number) => C,
    ): C => new Client(this.clientWorld(name), name, TOPIC, PARTITIONS)
    const { load } = this.profile
    for (let i = 0; i < Math.max(load.producers, load.consumers); i++) {
      if (i < load.producers) this.producers.push(make(`p${i}`, SimProducer))
      if (i < load.consumers) this.consumers.push(make(`c${i}`, SimConsumer))
    }
    for (let i = 0; i < load.carelessProducers; i++) this.careless.push(make(`u${i}`, SimCarelessProducer))
    make('o0', SimOperator).start()
    make('g0', SimCommitter).start()
    for (const producer of this.producers) producer.start(load.produceIntervalMs)
    for (const producer of this.careless) producer.start(load.carelessIntervalMs)
    for (const consumer of this.consumers) consumer.start()
  }

  private clientWorld(name: string): ClientWorld {
    const process = this.clock.process(name)
    return {
      process,
      dialer: this.network.endpoint(process, name),
      random: this.random.fork(),
      compression: this.compression,
      nodeIds: this.nodes.map((n) => n.id),
      load: this.profile.load,
      observer: this,
    }
  }

  private observe(): void {
    this.clock.afterEvent = (event) => this.afterEvent(event)
    this.peers.onDeliver = (from, to, message) => {
      this.hash.add(`${from}>${to} ${fingerprintOf(message)}`)
      if (message.type === 'raft' && message.message.type === 'installSnapshot') this.counts.snapshotChunks!++
      for (const invariant of this.invariants) invariant.onPeerMessage(this, from, to, message)
      this.faults.onPeerMessage(from, message)
    }
    for (const node of this.nodes) {
      const index = new LogIndex(node.disk)
      this.indexes.set(node.id, index)
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

  private hasOpenLogs(node: SimNode): boolean {
    return node.node !== null && node.node.state !== 'starting' && node.node.state !== 'recovering'
  }

  private afterEvent(event: SimEvent): void {
    this.hash.event(event.timeMs, event.sequence)
    const node = this.ownerOf(event)
    if (node === undefined || !node.isUp) return
    const changed = node.changedReplicas()
    if (changed.length === 0) return
    for (const invariant of this.invariants) invariant.afterNodeEvent(this, node, changed)
  }

  private ownerOf(event: SimEvent): SimNode | undefined {
    if (event.owner === null) return undefined
    for (const node of this.nodes) if (node.process === event.owner) return node
    return undefined
  }

  private check(): void {
    for (const invariant of this.invariants) invariant.check(this)
    for (const node of this.nodes) {
      if (node.quarantined().length > 0)
        throw new Violation(
          'no undamaged log is quarantined',
          `node ${node.id}: ${JSON.stringify(node.quarantined())}`,
        )
    }
    this.clock.schedule(null, CHECK_INTERVAL_MS, () => this.check())
  }

  /** Every partition took a record since then, and every consumer got it. */
  private servesSince(timeMs: number): boolean {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      if (!this.producers.every((p) => p.acknowledgedAtMs(partition) > timeMs)) return false
    }
    return this.haveConsumedAll()
  }

  private haveConsumedAll(): boolean {
    for (const [partition, records] of this.acknowledged) {
      let highest = -1
      for (const offset of records.keys()) highest = Math.max(highest, offset)
      const number = Number(partition.slice(partition.lastIndexOf('-') + 1))
      if (!this.consumers.every((c) => c.position(number) > highest)) return false
    }
    return true
  }

  /** Every node serves, and every replica is in sync. */
  private isWhole(): boolean {
    return this.nodes.every(
      (node) =>
        node.isUp &&
        node.node?.state === 'running' &&
        node.replicas().every((p) => p.role !== 'leader' || p.isr.committed.length === this.nodes.length),
    )
  }

  /** No record is under way any more: every replica holds the same, and everyone knows it. */
  private isQuiet(): boolean {
    if (!this.isWhole() || !this.haveConsumedAll()) return false
    const ends = new Map<string, string>()
    for (const node of this.nodes) {
      for (const { topic, partitionId, logStartOffset, logEndOffset, highWatermark } of node.replicas()) {
        if (topic !== TOPIC) continue
        if (highWatermark !== logEndOffset) return false
        const name = `${topic}-${partitionId}`
        const own = `${logStartOffset}-${logEndOffset}`
        if ((ends.get(name) ?? own) !== own) return false
        ends.set(name, own)
      }
    }
    return ends.size === PARTITIONS
  }

  private whatIsNotWell(among: readonly SimNode[]): string {
    const nodes = among.map((n) => {
      const status = n.quorum?.status()
      const replicas = n
        .replicas()
        .map(
          (p) =>
            `${p.topic}-${p.partitionId} ${p.role} e${p.leaderEpoch} isr ${p.isr.committed.join('/')} [${p.logStartOffset},${p.highWatermark},${p.logEndOffset})`,
        )
      return `node ${n.id} ${n.isUp ? n.node?.state : 'down'} ${status?.role} term ${status?.term} commit ${status?.commitIndex}: ${replicas.join('; ')}`
    })
    const across = (positionOf: (partition: number) => number): string =>
      Array.from({ length: PARTITIONS }, (_, i) => positionOf(i)).join(' / ')
    const clients = [
      ...this.consumers.map((c) => `${c.name} at ${across((i) => c.position(i))}`),
      ...this.producers.map((p) => `${p.name} acknowledged at ${across((i) => p.acknowledgedAtMs(i))} ms`),
    ]
    return `not well ${LIVENESS_LIMIT_MS} ms after the heal at ${this.healedAtMs} ms\n  ${[...nodes, ...clients].join('\n  ')}`
  }

  // What the nodes tell.

  log(node: number, line: string): void {
    this.line(`node-${node} ${line}`)
  }

  onImage(node: SimNode, image: MetadataImage): void {
    for (const invariant of this.invariants) invariant.onImage(this, node, image)
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
    this.hash.add(`ack ${partition} ${offset} ${value}`)
    for (const invariant of this.invariants) invariant.onAcknowledged(this, partition, offset, value)
  }

  onUnpromised(): void {
    this.counts.unpromised!++
  }

  onConsumed(consumer: string, partition: string, offset: number, value: string): void {
    this.counts.consumed!++
    for (const invariant of this.invariants) invariant.onConsumed(consumer, partition, offset, value)
  }

  onLatestOffset(client: string, partition: string, offset: number): void {
    for (const invariant of this.invariants) invariant.onLatestOffset(client, partition, offset)
  }

  onOffsetReset(consumer: string, partition: string, offset: number): void {
    for (const invariant of this.invariants) invariant.onOffsetReset(consumer, partition, offset)
  }

  onCommitAcknowledged(group: string, offset: number): void {
    this.counts.commits!++
    for (const invariant of this.invariants) invariant.onCommitAcknowledged(group, offset)
  }

  onCommitFetched(group: string, offset: number, nodeId: number): void {
    for (const invariant of this.invariants) invariant.onCommitFetched(this, group, offset, nodeId)
  }

  onConfigured(): void {
    this.counts.configChanges!++
  }

  onImpossible(client: string, what: string): void {
    throw new Violation('23 a sequence in order is taken', `${client} was answered ${what}`)
  }

  onTimeOut(client: string, nodeId: number): void {
    this.line(`${client} waited too long for node ${nodeId}`)
    if (this.answersDue?.nodes.some((node) => node.id === nodeId))
      throw new Violation('liveness', `${client} got no answer from node ${nodeId}, long after the heal`)
  }

  onResponseLost(): void {
    this.counts.lostResponses!++
  }

  // What the faults do, and what the invariants ask.

  durableCopies(partition: string, offset: number): Map<number, string> {
    const copies = new Map<number, string>()
    for (const [id, index] of this.indexes) {
      const identity = index.durableAt(partition, offset)
      if (identity !== undefined) copies.set(id, identity)
    }
    return copies
  }

  heldAt(node: number, partition: string, offset: number): string | undefined {
    return this.indexes.get(node)!.heldAt(partition, offset)
  }

  note(line: string): void {
    this.hash.add(line)
    this.line(`-- ${line}`)
  }

  struck(fault: Fault, line: string): void {
    this.counts[fault]!++
    this.note(line)
  }

  drift(): number {
    return randomBetween(this.random, -200, 200)
  }

  private line(line: string): void {
    this.lines.add(this.clock.nowMs, line)
    this.options.onLine?.(`${this.clock.nowMs.toFixed(1).padStart(10)}  ${line}`)
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
