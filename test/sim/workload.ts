import type { SeededRandom } from '../../src/lib/prng.js'
import { randomBelow } from '../../src/lib/prng.js'
import type { Compression } from '../../src/ports/compression.js'
import type { Dialer } from '../../src/ports/network.js'
import { ErrorCode, errorName, isRetriable } from '../../src/wire/errors.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { Fetch } from '../../src/wire/messages/fetch.js'
import { FindCoordinator } from '../../src/wire/messages/find-coordinator.js'
import { IncrementalAlterConfigs } from '../../src/wire/messages/incremental-alter-configs.js'
import { InitProducerId } from '../../src/wire/messages/init-producer-id.js'
import { ListOffsets } from '../../src/wire/messages/list-offsets.js'
import { Metadata } from '../../src/wire/messages/metadata.js'
import { OffsetCommit } from '../../src/wire/messages/offset-commit.js'
import { OffsetFetch } from '../../src/wire/messages/offset-fetch.js'
import { Produce } from '../../src/wire/messages/produce.js'
import { BATCH_HEADER_BYTES, buildBatch, iterateBatches, readRecords } from '../../src/wire/records.js'
import type { Api } from '../../src/wire/schema.js'
import { SimConnection } from './client.js'
import { SIM_EPOCH_MS, type SimProcess } from './clock.js'
import { hostOf, KAFKA_PORT } from './node.js'
import type { Load } from './profiles.js'

/** What the workload tells the invariants. */
export interface WorkloadObserver {
  /** A client sends a request. */
  onRequest(): void
  onAcknowledged(partition: string, offset: number, value: string): void
  /** With acks=1: nothing is promised. */
  onUnpromised(): void
  /** A client saw this value at this offset. */
  onConsumed(consumer: string, partition: string, offset: number, value: string): void
  onLatestOffset(client: string, partition: string, offset: number): void
  onOffsetReset(consumer: string, partition: string, offset: number): void
  onCommitAcknowledged(group: string, offset: number): void
  onCommitFetched(group: string, offset: number, nodeId: number): void
  onConfigured(): void
  /** An answer that a correct cluster never gives. */
  onImpossible(client: string, what: string): void
  /** The client gave up waiting for this node. */
  onTimeOut(client: string, nodeId: number): void
  /** A response was thrown away on purpose: the client does not know what came of its request. */
  onResponseLost(): void
}

export interface ClientWorld {
  readonly process: SimProcess
  readonly dialer: Dialer
  readonly random: SeededRandom
  readonly compression: Compression
  readonly nodeIds: readonly number[]
  readonly load: Load
  readonly observer: WorkloadObserver
}

const RETRY_MS = 40
const REQUEST_TIMEOUT_MS = 3_000
const METADATA_MAX_AGE_MS = 5_000
const NOT_ANSWERED = -2
const NO_LEADER = { id: -1, epoch: -1 }

interface LeaderKnown {
  readonly id: number
  readonly epoch: number
}

/** What every client of the workload does: connections to brokers, metadata, leaders. */
abstract class SimClient {
  private readonly connections = new Map<number, SimConnection>()
  private readonly leaders = new Map<number, LeaderKnown>()
  protected stopped = false

  constructor(
    protected readonly world: ClientWorld,
    readonly name: string,
    protected readonly topic: string,
    protected readonly partitions: number,
  ) {}

  stop(): void {
    this.stopped = true
  }

  protected after(delayMs: number, run: () => void): void {
    this.world.process.clock.after(delayMs, () => {
      if (!this.stopped) run()
    })
  }

  protected leaderOf(partition: number): LeaderKnown {
    return this.leaders.get(partition) ?? NO_LEADER
  }

  protected connection(nodeId: number): SimConnection {
    const known = this.connections.get(nodeId)
    if (known !== undefined && !known.isClosed) return known
    const fresh = new SimConnection(this.world.dialer, { host: hostOf(nodeId), port: KAFKA_PORT }, this.name)
    this.connections.set(nodeId, fresh)
    return fresh
  }

  /** `done` comes once: with the response, or with null after a break or the time-out, which closes the connection. */
  protected call<Req, Res, ReqIn, ResOut>(
    nodeId: number,
    api: Api<Req, Res, ReqIn, ResOut>,
    version: number,
    body: ReqIn,
    done: (response: ResOut | null) => void,
  ): void {
    this.world.observer.onRequest()
    const connection = this.connection(nodeId)
    const timer = this.world.process.clock.after(REQUEST_TIMEOUT_MS, () => {
      this.world.observer.onTimeOut(this.name, nodeId)
      connection.close()
    })
    connection.request(api, version, body, (response) => {
      timer.cancel()
      done(response)
    })
  }

  protected anyNode(): number {
    const { nodeIds, random } = this.world
    return nodeIds[randomBelow(random, nodeIds.length)]!
  }

  protected refreshMetadata(done: () => void): void {
    const body = { topics: [{ name: this.topic }], allowAutoTopicCreation: false }
    this.call(this.anyNode(), Metadata, 12, body as never, (response) => {
      const topic = response?.topics[0]
      if (
        topic === undefined ||
        topic.errorCode !== ErrorCode.NONE ||
        topic.partitions.length < this.partitions
      )
        return this.after(RETRY_MS, () => this.refreshMetadata(done))
      for (const { partitionIndex, leaderId, leaderEpoch } of topic.partitions) {
        // KIP-320: a broker that lags behind names a leader of the past; what a newer epoch said holds.
        if ((leaderEpoch ?? -1) >= this.leaderOf(partitionIndex).epoch)
          this.leaders.set(partitionIndex, { id: leaderId, epoch: leaderEpoch ?? -1 })
      }
      done()
    })
  }
}

/** Makes the topic and waits until it is there. */
export class SimAdmin extends SimClient {
  createTopic(done: () => void): void {
    const topic = {
      name: this.topic,
      numPartitions: this.partitions,
      replicationFactor: -1,
      assignments: [],
      configs: [],
    }
    const body = { topics: [topic], timeoutMs: 3_000, validateOnly: false }
    this.call(this.anyNode(), CreateTopics, 7, body, (response) => {
      const code = response?.topics[0]?.errorCode ?? NOT_ANSWERED
      if (code === ErrorCode.NONE || code === ErrorCode.TOPIC_ALREADY_EXISTS)
        return this.refreshMetadata(done)
      this.after(RETRY_MS, () => this.createTopic(done))
    })
  }
}

/** Changes a configuration again and again, so that the metadata log moves on, snapshots are due, and who was away needs one. */
export class SimOperator extends SimClient {
  start(): void {
    this.after(randomBelow(this.world.random, this.world.load.configureWithinMs), () => {
      const value = String(86_400_000 + randomBelow(this.world.random, 1_000_000))
      const configs = [{ name: 'retention.ms', configOperation: 0, value }]
      const resource = { resourceType: 2, resourceName: this.topic, configs }
      this.call(
        this.anyNode(),
        IncrementalAlterConfigs,
        1,
        { resources: [resource], validateOnly: false },
        (response) => {
          if (response?.responses[0]?.errorCode === ErrorCode.NONE) this.world.observer.onConfigured()
          this.start()
        },
      )
    })
  }
}

/** Sends batches of one to three unique values to every partition, one in flight for each. */
abstract class SendingClient extends SimClient {
  private sent = 0

  protected loop(partition: number, meanIntervalMs: number): void {
    const pauseMs = randomBelow(this.world.random, 2 * meanIntervalMs) + 1
    this.after(pauseMs, () => {
      const count = 1 + randomBelow(this.world.random, 3)
      const values = Array.from({ length: count }, () => `${this.name}-${this.sent++}`)
      this.sendNext(partition, values, () => this.loop(partition, meanIntervalMs))
    })
  }

  protected abstract sendNext(partition: number, values: readonly string[], done: () => void): void

  protected batchOf(
    values: readonly string[],
    producer: { producerId?: number; producerEpoch?: number; baseSequence?: number },
  ): Uint8Array {
    const timestamp = SIM_EPOCH_MS + Math.floor(this.world.process.clock.monotonicMs())
    const records = values.map((value) => ({ key: null, value: Buffer.from(value), timestamp }))
    return buildBatch(records, producer)
  }

  protected produce(
    partition: number,
    acks: -1 | 1,
    records: Uint8Array,
    done: (errorCode: number, baseOffset: number) => void,
  ): void {
    const leader = this.leaderOf(partition)
    if (leader.id < 0) return done(NOT_ANSWERED, -1)
    const body = {
      acks,
      timeoutMs: 2_000,
      topicData: [{ name: this.topic, partitionData: [{ index: partition, records }] }],
    }
    this.call(leader.id, Produce, 12, body as never, (response) => {
      const answer = response?.responses[0]?.partitionResponses[0]
      done(answer?.errorCode ?? NOT_ANSWERED, answer?.baseOffset ?? -1)
    })
  }
}

/** An idempotent producer with acks=all that tries again for ever, as librdkafka does within its delivery time-out. */
export class SimProducer extends SendingClient {
  private producerId = -1
  private producerEpoch = -1
  private readonly sequences = new Map<number, number>()
  private readonly lastAcknowledgedMs = new Map<number, number>()

  start(meanIntervalMs: number): void {
    this.initProducer(() => {
      for (let partition = 0; partition < this.partitions; partition++) this.loop(partition, meanIntervalMs)
    })
  }

  /** Simulated milliseconds; -1: never. */
  acknowledgedAtMs(partition: number): number {
    return this.lastAcknowledgedMs.get(partition) ?? -1
  }

  private initProducer(done: () => void): void {
    const body = { transactionalId: null, transactionTimeoutMs: 60_000 }
    this.call(this.anyNode(), InitProducerId, 4, body as never, (response) => {
      if (response === null || response.errorCode !== ErrorCode.NONE)
        return this.after(RETRY_MS, () => this.initProducer(done))
      this.producerId = response.producerId
      this.producerEpoch = response.producerEpoch ?? 0
      this.refreshMetadata(done)
    })
  }

  protected sendNext(partition: number, values: readonly string[], done: () => void): void {
    const baseSequence = this.sequences.get(partition) ?? 0
    this.sequences.set(partition, baseSequence + values.length)
    const { producerId, producerEpoch } = this
    const attempt = (): void => {
      const batch = this.batchOf(values, { producerId, producerEpoch, baseSequence })
      // A retry goes out under the identity of the first try, else the broker could not tell a duplicate.
      this.produce(partition, -1, batch, (errorCode, baseOffset) => {
        if (errorCode === ErrorCode.NONE && randomBelow(this.world.random, 200) === 0) {
          this.world.observer.onResponseLost()
          attempt()
        } else this.onOutcome(partition, values, errorCode, baseOffset, attempt, done)
      })
    }
    attempt()
  }

  private onOutcome(
    partition: number,
    values: readonly string[],
    errorCode: number,
    baseOffset: number,
    retry: () => void,
    done: () => void,
  ): void {
    if (errorCode === ErrorCode.NONE) {
      this.lastAcknowledgedMs.set(partition, this.world.process.world.nowMs)
      values.forEach((value, i) => {
        this.world.observer.onAcknowledged(`${this.topic}-${partition}`, baseOffset + i, value)
      })
      done()
    } else if (errorCode === NOT_ANSWERED || isRetriable(errorCode)) {
      this.after(RETRY_MS, () => this.refreshMetadata(retry))
    } else {
      // One batch in flight, repeated until it is answered: nothing can be out of order.
      this.world.observer.onImpossible(
        this.name,
        `${errorName(errorCode)} for ${values.join(', ')} to ${partition}`,
      )
    }
  }
}

/** acks=1 and no retries: what a leader writes that is cut off, and what its followers then have to cut. */
export class SimCarelessProducer extends SendingClient {
  start(meanIntervalMs: number): void {
    this.refreshMetadata(() => {
      for (let partition = 0; partition < this.partitions; partition++) this.loop(partition, meanIntervalMs)
    })
  }

  protected sendNext(partition: number, values: readonly string[], done: () => void): void {
    this.produce(partition, 1, this.batchOf(values, {}), (errorCode) => {
      if (errorCode === ErrorCode.NONE) {
        this.world.observer.onUnpromised()
        done()
      } else this.after(RETRY_MS, () => this.refreshMetadata(done))
    })
  }
}

/** Reads every partition from the beginning, without sessions, and looks at the latest offset now and then. */
export class SimConsumer extends SimClient {
  private readonly positions = new Map<number, number>()

  position(partition: number): number {
    return this.positions.get(partition) ?? 0
  }

  start(): void {
    this.refreshMetadata(() => {
      for (let partition = 0; partition < this.partitions; partition++) {
        this.poll(partition)
        this.watchLatest(partition)
      }
      this.renewMetadata()
    })
  }

  /** Clients' metadata.max.age.ms, shortened like all of this life: else a leader that was cut off keeps them for ever. */
  private renewMetadata(): void {
    this.after(METADATA_MAX_AGE_MS, () => this.refreshMetadata(() => this.renewMetadata()))
  }

  private poll(partition: number): void {
    const leader = this.leaderOf(partition)
    const again = (delayMs: number): void =>
      this.after(delayMs, () => this.refreshMetadata(() => this.poll(partition)))
    if (leader.id < 0) return again(RETRY_MS)
    const asked = {
      partition,
      currentLeaderEpoch: leader.epoch,
      fetchOffset: this.position(partition),
      partitionMaxBytes: 64 * 1024,
    }
    const body = { maxWaitMs: 500, minBytes: 1, topics: [{ topic: this.topic, partitions: [asked] }] }
    this.call(leader.id, Fetch, 12, body as never, (response) => {
      const answer = response?.responses[0]?.partitions[0]
      if (answer === undefined) return again(RETRY_MS)
      if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE)
        this.world.observer.onOffsetReset(this.name, `${this.topic}-${partition}`, this.position(partition))
      if (answer.errorCode !== ErrorCode.NONE) return again(RETRY_MS)
      this.deliver(partition, (answer.records as Uint8Array | null) ?? new Uint8Array(0))
      this.after(1, () => this.poll(partition))
    })
  }

  private deliver(partition: number, bytes: Uint8Array): void {
    if (bytes.byteLength < BATCH_HEADER_BYTES) return
    for (const batch of iterateBatches(bytes)) {
      for (const record of readRecords(batch, this.world.compression, 1 << 20)) {
        if (record.offset < this.position(partition)) continue
        const value = record.value === null ? '' : Buffer.from(record.value).toString()
        this.world.observer.onConsumed(this.name, `${this.topic}-${partition}`, record.offset, value)
        this.positions.set(partition, record.offset + 1)
      }
    }
  }

  private watchLatest(partition: number): void {
    this.after(randomBelow(this.world.random, this.world.load.latestWithinMs), () => {
      const leader = this.leaderOf(partition)
      if (leader.id < 0) return this.watchLatest(partition)
      const asked = { partitionIndex: partition, currentLeaderEpoch: leader.epoch, timestamp: -1n }
      const body = { replicaId: -1, isolationLevel: 0, topics: [{ name: this.topic, partitions: [asked] }] }
      this.call(leader.id, ListOffsets, 7, body as never, (response) => {
        const answer = response?.topics[0]?.partitions[0]
        if (answer?.errorCode === ErrorCode.NONE)
          this.world.observer.onLatestOffset(this.name, `${this.topic}-${partition}`, answer.offset ?? -1)
        this.watchLatest(partition)
      })
    })
  }
}

/** Commits ever larger offsets for a group without members, and asks for what is committed. */
export class SimCommitter extends SimClient {
  private coordinator = -1
  private next = 1

  start(): void {
    this.after(randomBelow(this.world.random, this.world.load.commitWithinMs), () => this.step())
  }

  private step(): void {
    if (this.coordinator < 0) return this.find()
    const again = (errorCode: number): void => {
      if (errorCode !== ErrorCode.NONE) this.coordinator = -1
      this.after(
        errorCode === ErrorCode.NONE
          ? randomBelow(this.world.random, this.world.load.commitWithinMs)
          : RETRY_MS,
        () => this.step(),
      )
    }
    if (randomBelow(this.world.random, 3) === 0) this.fetch(again)
    else this.commit(again)
  }

  private find(): void {
    this.call(
      this.anyNode(),
      FindCoordinator,
      4,
      { keyType: 0, coordinatorKeys: [this.name] },
      (response) => {
        const found = response?.coordinators?.[0]
        if (found !== undefined && found.errorCode === ErrorCode.NONE) this.coordinator = found.nodeId
        this.after(RETRY_MS, () => this.step())
      },
    )
  }

  private commit(done: (errorCode: number) => void): void {
    const committedOffset = this.next++
    const partitions = [
      { partitionIndex: 0, committedOffset, committedLeaderEpoch: -1, committedMetadata: '' },
    ]
    const body = {
      groupId: this.name,
      generationIdOrMemberEpoch: -1,
      memberId: '',
      groupInstanceId: null,
      topics: [{ name: this.topic, partitions }],
    }
    this.call(this.coordinator, OffsetCommit, 8, body as never, (response) => {
      const errorCode = response?.topics[0]?.partitions[0]?.errorCode ?? NOT_ANSWERED
      if (errorCode === ErrorCode.NONE) this.world.observer.onCommitAcknowledged(this.name, committedOffset)
      done(errorCode)
    })
  }

  private fetch(done: (errorCode: number) => void): void {
    const group = { groupId: this.name, topics: [{ name: this.topic, partitionIndexes: [0] }] }
    const { coordinator } = this
    this.call(coordinator, OffsetFetch, 8, { groups: [group] } as never, (response) => {
      const found = response?.groups?.[0]
      const partition = found?.topics[0]?.partitions[0]
      const errorCode = found?.errorCode || (partition?.errorCode ?? NOT_ANSWERED)
      if (errorCode === ErrorCode.NONE && partition !== undefined)
        this.world.observer.onCommitFetched(this.name, partition.committedOffset, coordinator)
      done(errorCode)
    })
  }
}
