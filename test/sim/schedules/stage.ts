import type { Partition } from '../../../src/broker/partitions/partition.js'
import type { PeerMessage } from '../../../src/broker/peer-message.js'
import { SeededRandom } from '../../../src/lib/prng.js'
import type { ControllerCommand } from '../../../src/metadata/commands.js'
import type { MetadataImage, PartitionImage } from '../../../src/metadata/image.js'
import type { Compression } from '../../../src/ports/compression.js'
import type { Random } from '../../../src/ports/random.js'
import { ErrorCode, errorName } from '../../../src/wire/errors.js'
import { CreateTopics } from '../../../src/wire/messages/create-topics.js'
import { ElectLeaders } from '../../../src/wire/messages/elect-leaders.js'
import { Fetch } from '../../../src/wire/messages/fetch.js'
import { FindCoordinator } from '../../../src/wire/messages/find-coordinator.js'
import { IncrementalAlterConfigs } from '../../../src/wire/messages/incremental-alter-configs.js'
import { ListOffsets } from '../../../src/wire/messages/list-offsets.js'
import { OffsetCommit } from '../../../src/wire/messages/offset-commit.js'
import { OffsetFetch } from '../../../src/wire/messages/offset-fetch.js'
import { Produce } from '../../../src/wire/messages/produce.js'
import { buildBatch, iterateBatches, readRecords } from '../../../src/wire/records.js'
import type { Api } from '../../../src/wire/schema.js'
import { SimConnection } from '../client.js'
import { SIM_EPOCH_MS, type SimProcess, SimWorldClock } from '../clock.js'
import { type Observed, Violation } from '../invariants/invariant.js'
import { InvariantMonitor } from '../invariants/monitor.js'
import { SimLinks, SimNetwork } from '../network.js'
import { hostOf, KAFKA_PORT, SimNode, type SimNodeWorld } from '../node.js'
import { SimPeerNetwork } from '../peers.js'

/** For whatever a schedule waits for. */
const PATIENCE_MS = 30_000
const TOPIC = 'stage'
const NAME = `${TOPIC}-0`
/** Of what chance decides at a power cut, nothing survives. */
const FORGETFUL: Random = { uint32: () => 0 }

export interface Produced {
  readonly errorCode: number
  readonly baseOffset: number
}

/**
 * Three nodes and no chance: a schedule says what happens, step by step, and every invariant looks on. One topic of one
 * partition; what was acknowledged must be there in the end.
 */
export class Stage implements SimNodeWorld, Observed {
  readonly clock = new SimWorldClock()
  readonly random = new SeededRandom(1)
  readonly links = new SimLinks(this.random.fork())
  readonly network = new SimNetwork(this.clock, this.links)
  readonly peers = new SimPeerNetwork<PeerMessage>(this.network)
  readonly nodes: readonly SimNode[]
  readonly minInsyncReplicas = 2
  readonly flushBeforeAck: boolean
  readonly damagedNodes = new Map<number, null>()
  readonly lines: string[] = []
  /** A message that this says true to is kept back, for `release`. */
  holds: ((from: number, to: number, message: PeerMessage) => boolean) | null = null
  readonly held: { from: number; to: number; message: PeerMessage }[] = []
  private readonly invariants: InvariantMonitor
  private readonly client: SimProcess
  private readonly acknowledged = new Map<number, string>()
  private readonly consumed = new Map<string, number>()
  private configured = 0

  /** `onViolation`: of an invariant; to throw it is the default, and ends the schedule. */
  constructor(
    readonly compression: Compression,
    { flushBeforeAck = true }: { readonly flushBeforeAck?: boolean } = {},
    onViolation: (violation: Violation) => void = (violation) => {
      throw violation
    },
  ) {
    this.flushBeforeAck = flushBeforeAck
    const properties = new Map([
      ['offsets.topic.num.partitions', '1'],
      ['flush.before.ack', String(flushBeforeAck)],
    ])
    this.nodes = [1, 2, 3].map(
      (id) => new SimNode(id, this, [1, 2, 3], new Map([...properties, ['node.id', String(id)]])),
    )
    this.invariants = new InvariantMonitor(this, 'all', onViolation)
    this.client = this.clock.process('client')
    this.observe()
    for (const node of this.nodes) node.start(0)
  }

  node(id: number): SimNode {
    return this.nodes[id - 1]!
  }

  /** One partition on these nodes, the first of which leads it; the controller is the node that is named. */
  begin(replicas: readonly number[], controller: number): void {
    this.until('a topic', (done) => {
      const assignments = [{ partitionIndex: 0, brokerIds: [...replicas] }]
      const topic = { name: TOPIC, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }
      const body = { topics: [topic], timeoutMs: 1_000, validateOnly: false }
      this.call(1, CreateTopics, 7, body, (response) => {
        const code = response?.topics[0]?.errorCode
        done(code === ErrorCode.NONE || code === ErrorCode.TOPIC_ALREADY_EXISTS)
      })
    })
    this.wait('all replicas in sync', () => this.isWhole(replicas.length))
    this.until(`node ${controller} as the controller`, (done) => {
      const leader = this.nodes.find(({ quorum }) => quorum?.status().role === 'leader')
      if (leader?.id === controller) done(true)
      else if (leader === undefined) done(false)
      else leader.quorum!.transferLeadership(controller, () => done(false))
    })
    this.wait('the controller at work', () => this.node(1).quorum!.status().leader === controller)
    this.runFor(500)
  }

  runFor(durationMs: number): void {
    this.clock.runFor(durationMs)
  }

  /** With the whole comparisons that a life has each second. */
  runSeconds(seconds: number): void {
    for (let i = 0; i < seconds; i++) {
      this.runFor(1_000)
      this.invariants.eachSecond()
    }
  }

  /** @throws Violation of liveness where it does not come true */
  wait(what: string, isTrue: () => boolean, limitMs = PATIENCE_MS): void {
    if (!this.clock.runUntilTrue(isTrue, limitMs))
      throw new Violation('liveness', `there was no ${what} within ${limitMs} ms`)
  }

  /** @throws Violation where it does not hold */
  expect(what: string, isTrue: boolean): void {
    if (!isTrue) throw new Violation('the schedule', what)
  }

  /** From the other nodes; clients reach it. */
  isolate(id: number): void {
    for (const other of this.nodes) if (other.id !== id) this.cut(id, other.id)
  }

  cut(a: number, b: number): void {
    this.links.cutBoth(hostOf(a), hostOf(b))
  }

  heal(): void {
    this.links.healAll()
  }

  partition(id: number): Partition | undefined {
    const { node, isUp } = this.node(id)
    if (!isUp || node === null || node.state === 'stopped') return undefined
    for (const partition of node.services.partitions.all()) if (partition.topic === TOPIC) return partition
    return undefined
  }

  /** As this node's metadata has it. */
  image(id: number): PartitionImage | undefined {
    return this.node(id).node?.services.metadata.image.topicsByName.get(TOPIC)?.partitions[0]
  }

  leads(id: number): boolean {
    return this.partition(id)?.leading !== undefined
  }

  /** As another node's metadata has it. */
  isFenced(id: number, as: number): boolean | undefined {
    return this.node(as).node?.services.metadata.image.brokers.get(id)?.fenced
  }

  /** The node that leads the quorum and acts, as a node that runs knows it. */
  controller(): number | undefined {
    for (const { id, quorum } of this.nodes) {
      const status = quorum?.status()
      if (status?.role === 'leader' && status.leader === id) return id
    }
    return undefined
  }

  /** Asks a node for a change of the metadata, and waits for nothing. */
  configure(id: number): void {
    const value = String(86_400_000 + this.configured++)
    const configs = [{ name: 'retention.ms', configOperation: 0, value }]
    const resources = [{ resourceType: 2, resourceName: TOPIC, configs }]
    this.call(id, IncrementalAlterConfigs, 1, { resources, validateOnly: false }, () => {})
  }

  /** Has a node ask for a vote to be taken, and waits for nothing. */
  removeVoter(asked: number, id: number): void {
    const { voters } = this.node(asked).quorum!.status()
    const { nodeId, directoryId } = voters.find((voter) => voter.nodeId === id)!
    this.submit(asked, { type: 'removeVoter', nodeId, directoryId })
  }

  /** Has a node ask for a vote to be given, and waits for nothing. */
  addVoter(asked: number, id: number): void {
    const { directoryId } = this.node(id).quorum!.status()
    this.submit(asked, { type: 'addVoter', nodeId: id, directoryId })
  }

  private submit(asked: number, command: ControllerCommand): void {
    const { process, quorum } = this.node(asked)
    const context = { principal: 'User:admin', clientId: '', clientAddress: '', listener: '' }
    process!.schedule(0, () => quorum!.submit(command, context, 2_000, () => {}))
  }

  /** As the consensus of this node goes by. */
  voters(id: number): string {
    const voters = this.node(id).quorum?.status().voters ?? []
    return voters.map(({ nodeId }) => nodeId).join()
  }

  /** The leader of the groups' partition, as this node knows it. */
  coordinator(as: number): number | undefined {
    return this.node(as).node?.services.metadata.image.topicsByName.get('__consumer_offsets')?.partitions[0]
      ?.leader
  }

  /** Has the groups' topic made where there is none yet, and waits for nothing. */
  askForCoordinator(id: number, group: string): void {
    this.call(id, FindCoordinator, 4, { keyType: 0, coordinatorKeys: [group] }, () => {})
  }

  /** Tries again every so often. @throws Violation of liveness where it does not come true */
  retry(what: string, attempt: () => boolean): void {
    const endMs = this.clock.nowMs + PATIENCE_MS
    while (!attempt()) {
      if (this.clock.nowMs > endMs)
        throw new Violation('liveness', `there was no ${what} within ${PATIENCE_MS} ms`)
      this.runFor(200)
    }
  }

  /** Commits an offset for a group of no members; the error's code, null where no answer came. */
  commit(id: number, group: string, committedOffset: number): number | null {
    const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata: '' }]
    const body = { groupId: group, memberId: '', topics: [{ name: TOPIC, partitions }] }
    let result: number | null | undefined
    this.call(id, OffsetCommit, 8, body as never, (response) => {
      result = response?.topics[0]?.partitions[0]?.errorCode ?? null
      if (result === ErrorCode.NONE) this.invariants.onCommitAcknowledged(group, committedOffset)
    })
    this.clock.runUntilTrue(() => result !== undefined, 10_000)
    return result ?? null
  }

  /** What a group has committed, as this node says; null where it says nothing. */
  committed(id: number, group: string): number | null {
    const asked = { groupId: group, topics: [{ name: TOPIC, partitionIndexes: [0] }] }
    let result: number | null | undefined
    this.call(id, OffsetFetch, 8, { groups: [asked] } as never, (response) => {
      const found = response?.groups?.[0]
      const partition = found?.topics[0]?.partitions[0]
      result = null
      if (found?.errorCode !== ErrorCode.NONE || partition?.errorCode !== ErrorCode.NONE) return
      result = partition.committedOffset
      this.invariants.onCommitFetched(group, result, id)
    })
    this.clock.runUntilTrue(() => result !== undefined, 2_000)
    return result ?? null
  }

  /** Asks a node to have the first of the replicas lead again, and waits for nothing. */
  electPreferred(id: number, topic = TOPIC): void {
    const topicPartitions = [{ topic, partitions: [0] }]
    this.call(id, ElectLeaders, 2, { electionType: 0, topicPartitions, timeoutMs: 1_000 }, () => {})
  }

  /** A bit of the first batch's magic flips. It must be down. */
  damage(id: number): void {
    this.node(id).disk.flipBit(`${NAME}/00000000000000000000.log`, 16, 3)
    this.damagedNodes.set(id, null)
  }

  /** The machine loses power, and with it everything that was not synced. */
  forget(id: number): void {
    this.damagedNodes.set(id, null)
    this.node(id).powerCut(FORGETFUL)
  }

  /** An empty machine in its place. It must be down. */
  wipe(id: number): void {
    const node = this.node(id)
    node.disk.wipe()
    node.store.wipe()
    node.onPowerCut?.()
    this.damagedNodes.set(id, null)
  }

  /** Sends one record and waits for the answer; null: none came. */
  produce(id: number, value: string, acks: -1 | 1, timeoutMs = 2_000): Produced | null {
    let answer: Produced | null | undefined
    this.send(id, value, acks, timeoutMs, (produced) => {
      answer = produced
    })
    this.clock.runUntilTrue(() => answer !== undefined, timeoutMs + 2_000)
    return answer ?? null
  }

  send(
    id: number,
    value: string,
    acks: -1 | 1,
    timeoutMs: number,
    done: (produced: Produced | null) => void,
  ): void {
    const timestamp = SIM_EPOCH_MS + Math.floor(this.clock.nowMs)
    const records = buildBatch([{ key: null, value: Buffer.from(value), timestamp }], {})
    const body = { acks, timeoutMs, topicData: [{ name: TOPIC, partitionData: [{ index: 0, records }] }] }
    this.call(id, Produce, 12, body as never, (response) => {
      const found = response?.responses[0]?.partitionResponses[0]
      if (found === undefined) return done(null)
      if (found.errorCode === ErrorCode.NONE && acks === -1) {
        this.acknowledged.set(found.baseOffset, value)
        this.invariants.onAcknowledged(NAME, found.baseOffset, value)
      }
      done({ errorCode: found.errorCode, baseOffset: found.baseOffset })
    })
  }

  /** What a consumer that knows this leader epoch reads there from its position on; the error's name otherwise. */
  consume(id: number, consumer: string, leaderEpoch: number): string[] | string {
    const fetchOffset = this.consumed.get(consumer) ?? 0
    const asked = { partition: 0, currentLeaderEpoch: leaderEpoch, fetchOffset, partitionMaxBytes: 1 << 20 }
    const body = { maxWaitMs: 0, minBytes: 0, topics: [{ topic: TOPIC, partitions: [asked] }] }
    let result: string[] | string | undefined
    this.call(id, Fetch, 12, body as never, (response) => {
      const answer = response?.responses[0]?.partitions[0]
      if (answer === undefined) result = 'no answer'
      else if (answer.errorCode !== ErrorCode.NONE) result = errorName(answer.errorCode)
      else {
        this.invariants.onFetched(consumer, NAME, answer.highWatermark, answer.lastStableOffset ?? -1)
        result = this.deliver(consumer, (answer.records as Uint8Array | null) ?? new Uint8Array(0))
      }
    })
    this.clock.runUntilTrue(() => result !== undefined, 2_000)
    return result ?? 'no answer'
  }

  /** ListOffsets(latest); the error's name otherwise. */
  latest(id: number, client: string, leaderEpoch: number): number | string {
    const asked = { partitionIndex: 0, currentLeaderEpoch: leaderEpoch, timestamp: -1n }
    const body = { replicaId: -1, isolationLevel: 0, topics: [{ name: TOPIC, partitions: [asked] }] }
    let result: number | string | undefined
    this.call(id, ListOffsets, 7, body as never, (response) => {
      const answer = response?.topics[0]?.partitions[0]
      if (answer === undefined) result = 'no answer'
      else if (answer.errorCode !== ErrorCode.NONE) result = errorName(answer.errorCode ?? -1)
      else {
        result = answer.offset ?? -1
        this.invariants.onLatestOffset(client, NAME, result)
      }
    })
    this.clock.runUntilTrue(() => result !== undefined, 2_000)
    return result ?? 'no answer'
  }

  /** What was held back arrives now, as the network of the past brings it. */
  release(): void {
    this.holds = null
    for (const { from, to, message } of this.held.splice(0)) this.inject(from, to, message)
    this.runFor(100)
  }

  /** A message arrives, whoever sent it. */
  inject(from: number, to: number, message: PeerMessage): void {
    const transport = this.peers.nodes.get(to)!
    transport.process.schedule(0, () => {
      this.peers.onDeliver?.(from, to, message)
      transport.handler.onMessage(from, message)
    })
  }

  /** The end of each schedule: everything comes back, and what was acknowledged is on every replica. */
  finish(): void {
    this.release()
    this.heal()
    for (const node of this.nodes) {
      if (!node.isUp) node.start(0)
      else node.process?.resume()
    }
    const replicas = this.newestImage().replicas
    this.wait('whole cluster in the end', () => this.isWhole(replicas.length))
    const leader = this.newestImage().leader
    const produced = this.produce(leader, 'the last one', -1)
    this.expect(
      `the cluster serves in the end: ${produced?.errorCode}`,
      produced?.errorCode === ErrorCode.NONE,
    )
    this.runFor(1_000)
    this.invariants.eachSecond()
    const found = new Map<number, string>()
    for (;;) {
      const from = this.consumed.get('the judge') ?? 0
      const values = this.consume(leader, 'the judge', -1)
      if (typeof values === 'string') throw new Violation('the schedule', `the judge cannot read: ${values}`)
      if (values.length === 0) break
      for (const [i, value] of values.entries()) found.set(from + i, value)
    }
    for (const [offset, value] of this.acknowledged) {
      if (found.get(offset) !== value)
        throw new Violation(
          'no acknowledged record is lost',
          `${value} at ${offset}: ${found.get(offset) ?? 'nothing'}`,
        )
    }
  }

  private newestImage(): PartitionImage {
    const images = this.nodes.flatMap(({ id }) => this.image(id) ?? [])
    return images.reduce((newest, image) => (image.partitionEpoch > newest.partitionEpoch ? image : newest))
  }

  private isWhole(replicas: number): boolean {
    return (
      this.nodes.every((node) => node.isUp && node.node?.state === 'running') &&
      this.nodes.some(({ id }) => {
        const leading = this.partition(id)?.leading
        return leading?.isr.type === 'committed' && leading.isr.isr.length === replicas
      })
    )
  }

  private until(what: string, attempt: (done: (isTrue: boolean) => void) => void): void {
    let isTrue = false
    let isAsking = false
    this.wait(what, () => {
      if (isTrue || isAsking) return isTrue
      isAsking = true
      this.client.schedule(100, () =>
        attempt((result) => {
          isTrue = result
          isAsking = false
        }),
      )
      return false
    })
  }

  private call<Req, Res, ReqIn, ResOut>(
    nodeId: number,
    api: Api<Req, Res, ReqIn, ResOut>,
    version: number,
    body: ReqIn,
    done: (response: ResOut | null) => void,
  ): void {
    const dialer = this.network.endpoint(this.client, 'client')
    const connection = new SimConnection(dialer, { host: hostOf(nodeId), port: KAFKA_PORT }, 'client')
    connection.request(api, version, body, (response) => {
      done(response)
      connection.close()
    })
  }

  private deliver(consumer: string, bytes: Uint8Array): string[] {
    const values: string[] = []
    for (const batch of iterateBatches(bytes)) {
      for (const record of readRecords(batch, this.compression, 1 << 20)) {
        if (record.offset < (this.consumed.get(consumer) ?? 0)) continue
        const value = Buffer.from(record.value ?? []).toString()
        this.invariants.onConsumed(consumer, NAME, record.offset, value)
        this.consumed.set(consumer, record.offset + 1)
        values.push(value)
      }
    }
    return values
  }

  private observe(): void {
    this.peers.onSend = (from, to, message) => this.invariants.onSent(from, to, message)
    this.peers.onDeliver = (from, to, message) => this.invariants.onDelivered(from, to, message)
    this.peers.drop = (from, to, message) => {
      if (this.holds?.(from, to, message) !== true) return false
      this.held.push({ from, to, message })
      return true
    }
    this.clock.afterEvent = (event) => {
      const node = this.nodes.find(({ process }) => process !== null && process === event.owner)
      if (node !== undefined) this.invariants.afterEvent(node)
    }
    for (const node of this.nodes) {
      const index = this.invariants.diskOf(node.id)
      node.disk.onWrite = (path, position, chunks) => index.onWrite(path, position, chunks)
      node.disk.onTruncate = (path, _from, to) => index.onTruncate(path, to)
      node.disk.onMoved = (from, to) => index.onMoved(from, to)
      node.onPowerCut = () => index.rescan()
    }
  }

  // What the nodes tell.

  log(node: number, line: string): void {
    this.lines.push(`${this.clock.nowMs.toFixed(1)} node-${node} ${line}`)
  }

  onImage(node: SimNode, image: MetadataImage): void {
    this.invariants.onImage(node, image)
  }

  onFatal(node: SimNode, error: Error): void {
    throw new Violation('no node gives up', `node ${node.id}: ${error.stack ?? error.message}`)
  }
}
