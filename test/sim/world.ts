import type { PeerMessage } from '../../src/broker/peer-message.js'
import { randomBelow, randomBetween, SeededRandom } from '../../src/lib/prng.js'
import type { Compression } from '../../src/ports/compression.js'
import { SimWorldClock } from './clock.js'
import { DurableLogIndex } from './durable-log.js'
import { FaultSchedule } from './faults.js'
import {
  AcknowledgedIsDurable,
  CommittedIsDurable,
  ConsumedNeverChanges,
  EpochsAreMonotonic,
  HighWatermarkIsSafe,
  type Invariant,
  LeaderCompleteness,
  LeaderHoldsAcknowledged,
  LogMatching,
  type Observed,
  OneLeaderPerTerm,
  OneVotePerTerm,
  Violation,
} from './invariants.js'
import { SimLinks, SimNetwork } from './network.js'
import { SimNode, type SimNodeWorld } from './node.js'
import { SimPeerNetwork } from './peers.js'
import { TraceHash, TraceLog } from './trace.js'
import { SimAdmin, SimConsumer, SimProducer, type WorkloadObserver } from './workload.js'

export interface RunOptions {
  readonly seed: number
  readonly nodes: number
  /** Simulated seconds under load and faults. */
  readonly seconds: number
  readonly compression: Compression
  readonly keepTrace?: boolean
  /** Which faults may come; all of them where it is absent. */
  readonly faults?: boolean
}

export interface RunResult {
  readonly seed: number
  readonly violation: string | null
  readonly traceHash: string
  readonly simulatedSeconds: number
  readonly events: number
  readonly counts: Readonly<Record<string, number>>
  readonly timeline: readonly string[]
}

const TOPIC = 'sim'
const PARTITIONS = 3
const CHECK_INTERVAL_MS = 25
/** RELIABILITY's liveness phase: after the last heal everything must be well again within this. */
const LIVENESS_LIMIT_MS = 30_000
const START_LIMIT_MS = 30_000

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
    acknowledgements: 0,
    consumed: 0,
    elections: 0,
    leaderships: 0,
    truncations: 0,
    crash: 0,
    powerCut: 0,
    powerCutAll: 0,
    pause: 0,
    isolate: 0,
    oneWayCut: 0,
  }
  private readonly hash = new TraceHash()
  private readonly log_: TraceLog
  private readonly indexes = new Map<number, DurableLogIndex>()
  private readonly elections = new OneLeaderPerTerm()
  private readonly epochs = new EpochsAreMonotonic()
  private readonly consumed = new ConsumedNeverChanges()
  private readonly invariants: readonly Invariant[]
  private readonly acknowledged = new Map<string, Map<number, string>>()
  private readonly consumers: SimConsumer[] = []
  private readonly producers: SimProducer[] = []

  constructor(private readonly options: RunOptions) {
    this.random = new SeededRandom(options.seed)
    this.compression = options.compression
    this.log_ = new TraceLog(options.keepTrace ?? false)
    this.links = new SimLinks(this.random.fork())
    this.network = new SimNetwork(this.clock, this.links)
    this.peers = new SimPeerNetwork<PeerMessage>(this.network)
    this.minInsyncReplicas = Math.min(2, options.nodes)
    const ids = Array.from({ length: options.nodes }, (_, i) => i + 1)
    this.nodes = ids.map((id) => new SimNode(id, this, ids, new Map([['node.id', String(id)]])))
    this.invariants = [
      this.elections,
      new OneVotePerTerm(),
      new LogMatching(),
      new LeaderCompleteness(),
      new CommittedIsDurable(),
      new LeaderHoldsAcknowledged(),
      this.epochs,
      new HighWatermarkIsSafe(),
      this.consumed,
      new AcknowledgedIsDurable(),
    ]
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
    this.counts.elections = this.elections.elections
    this.counts.leaderships = this.epochs.leaderships
    return {
      seed: this.options.seed,
      violation,
      traceHash: this.hash.toString(),
      simulatedSeconds: this.clock.nowMs / 1000,
      events: this.clock.eventCount,
      counts: this.counts,
      timeline: this.options.keepTrace ? this.log_.all() : this.log_.last(60),
    }
  }

  private live(): void {
    for (const node of this.nodes) node.start(this.drift())
    let ready = false
    const admin = new SimAdmin(this.clientWorld('admin'), 'admin', TOPIC)
    admin.createTopic(PARTITIONS, () => {
      ready = true
    })
    this.clock.schedule(null, CHECK_INTERVAL_MS, () => this.check())
    if (!this.clock.runUntilTrue(() => ready, START_LIMIT_MS))
      throw new Violation('liveness', 'no topic could be made at the start')
    this.startClients()
    const faults = new FaultSchedule(this, this.random.fork())
    if (this.options.faults !== false) faults.start()
    this.clock.runFor(this.options.seconds * 1000)
    faults.stop()
    this.note('heal: the liveness phase begins')
    for (const producer of this.producers) producer.stop()
    const healed = (): boolean => this.isWell()
    if (!this.clock.runUntilTrue(healed, LIVENESS_LIMIT_MS))
      throw new Violation('liveness', this.whatIsNotWell())
    this.reckon()
  }

  private startClients(): void {
    for (let i = 0; i < 2; i++) {
      const producer = new SimProducer(this.clientWorld(`producer-${i}`), `p${i}`, TOPIC)
      producer.start(60)
      this.producers.push(producer)
      const consumer = new SimConsumer(this.clientWorld(`consumer-${i}`), `c${i}`, TOPIC)
      consumer.start()
      this.consumers.push(consumer)
    }
  }

  private clientWorld(name: string): ConstructorParameters<typeof SimProducer>[0] {
    const process = this.clock.process(name)
    return {
      process,
      dialer: this.network.endpoint(process, name),
      random: this.random.fork(),
      compression: this.compression,
      nodeIds: this.nodes.map((n) => n.id),
      observer: this,
    }
  }

  private observe(): void {
    this.peers.onDeliver = (from, to, message) => {
      this.hash.add(this.clock.nowMs, `${from}>${to} ${fingerprintOf(message)}`)
      for (const invariant of this.invariants) invariant.onPeerMessage(from, to, message)
    }
    for (const node of this.nodes) {
      const index = new DurableLogIndex(node.disk)
      this.indexes.set(node.id, index)
      node.disk.onWrite = (path, position, chunks) => {
        index.onWrite(path, position, chunks)
        this.hash.add(
          this.clock.nowMs,
          `${node.id} write ${path} ${position}`,
          chunks.length === 1 ? chunks[0] : Buffer.concat(chunks),
        )
      }
    }
  }

  private check(): void {
    for (const invariant of this.invariants) invariant.check(this)
    this.clock.schedule(null, CHECK_INTERVAL_MS, () => this.check())
  }

  /** The end: every acknowledged record was consumed, once, where it was acknowledged. */
  private reckon(): void {
    for (const [partition, records] of this.acknowledged) {
      const seen = this.consumed.values.get(partition)
      for (const [offset, value] of records) {
        const found = seen?.get(offset)
        if (found !== value) {
          throw new Violation(
            'no acknowledged record is lost',
            `${partition}:${offset} was acknowledged as ${value} and holds ${found ?? 'nothing'}`,
          )
        }
      }
    }
    for (const [partition, records] of this.consumed.values) {
      const places = new Map<string, number>()
      for (const [offset, value] of records) {
        const first = places.get(value)
        if (first !== undefined)
          throw new Violation(
            '23 a sequence is appended once',
            `${value} lies at ${partition}:${first} and :${offset}`,
          )
        places.set(value, offset)
      }
    }
  }

  private isWell(): boolean {
    if (!this.nodes.every((n) => n.isUp && n.node?.state === 'running')) return false
    for (const [partition, records] of this.acknowledged) {
      const highest = Math.max(...records.keys())
      const number = Number(partition.slice(partition.lastIndexOf('-') + 1))
      if (!this.consumers.every((c) => c.position(number) > highest)) return false
    }
    return this.nodes.every((n) =>
      n
        .node!.services.partitions.list()
        .every((p) => p.role !== 'leader' || p.isr.committed.length === this.nodes.length),
    )
  }

  private whatIsNotWell(): string {
    const nodes = this.nodes.map((n) => {
      const status = n.node?.startedQuorum?.status()
      const partitions = n.node?.services.partitions.list() ?? []
      const replicas = partitions.map(
        (p) =>
          `${p.topic}-${p.partitionId} ${p.role} e${p.leaderEpoch} isr ${p.isr.committed.join('/')} [${p.logStartOffset},${p.highWatermark},${p.logEndOffset})`,
      )
      return `node ${n.id} ${n.isUp ? n.node?.state : 'down'} ${status?.role} term ${status?.term} commit ${status?.commitIndex}: ${replicas.join('; ')}`
    })
    const positions = this.consumers.map(
      (c) => `${c.name} at ${Array.from({ length: PARTITIONS }, (_, i) => c.position(i)).join('/')}`,
    )
    return `not well within ${LIVENESS_LIMIT_MS} ms\n  ${[...nodes, ...positions].join('\n  ')}`
  }

  // What the nodes tell.

  log(node: number, line: string): void {
    if (/truncat/i.test(line)) this.counts.truncations!++
    this.log_.add(this.clock.nowMs, `node-${node} ${line}`)
  }

  onFatal(node: SimNode, error: Error): void {
    throw new Violation('no node gives up', `node ${node.id}: ${error.stack ?? error.message}`)
  }

  // What the clients tell.

  onAcknowledged(partition: string, offset: number, value: string): void {
    this.counts.acknowledgements!++
    let records = this.acknowledged.get(partition)
    if (records === undefined) {
      records = new Map()
      this.acknowledged.set(partition, records)
    }
    records.set(offset, value)
    this.hash.add(this.clock.nowMs, `ack ${partition} ${offset} ${value}`)
    for (const invariant of this.invariants) invariant.onAcknowledged(this, partition, offset, value)
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

  // What the faults do.

  durableHolders(partition: string, offset: number): number[] {
    return this.nodes.filter((n) => this.indexes.get(n.id)!.holds(partition, offset)).map((n) => n.id)
  }

  note(line: string): void {
    this.hash.add(this.clock.nowMs, line)
    this.log_.add(this.clock.nowMs, `-- ${line}`)
  }

  count(fault: string): void {
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
  }

  drift(): number {
    return randomBetween(this.random, -200, 200)
  }

  restartDelayMs(random: SeededRandom): number {
    return randomBelow(random, 3) === 0 ? randomBetween(random, 10, 60) : randomBetween(random, 100, 4_000)
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
