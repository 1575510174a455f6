import type { SeededRandom } from '../../src/lib/prng.js'
import { randomBelow } from '../../src/lib/prng.js'
import type { Compression } from '../../src/ports/compression.js'
import type { Dialer } from '../../src/ports/network.js'
import { ErrorCode, isRetriable } from '../../src/wire/errors.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { Fetch } from '../../src/wire/messages/fetch.js'
import { InitProducerId } from '../../src/wire/messages/init-producer-id.js'
import { ListOffsets } from '../../src/wire/messages/list-offsets.js'
import { Metadata } from '../../src/wire/messages/metadata.js'
import { Produce } from '../../src/wire/messages/produce.js'
import { BATCH_HEADER_BYTES, buildBatch, iterateBatches, readRecords } from '../../src/wire/records.js'
import { SimConnection } from './client.js'
import { SIM_EPOCH_MS, type SimProcess } from './clock.js'
import { hostOf, KAFKA_PORT } from './node.js'

/** What the workload tells the invariants. */
export interface WorkloadObserver {
  onAcknowledged(partition: string, offset: number, value: string): void
  /** A client saw this value at this offset. */
  onConsumed(consumer: string, partition: string, offset: number, value: string): void
  onLatestOffset(client: string, partition: string, offset: number): void
  onOffsetReset(consumer: string, partition: string, offset: number): void
}

export interface ClientWorld {
  readonly process: SimProcess
  readonly dialer: Dialer
  readonly random: SeededRandom
  readonly compression: Compression
  readonly nodeIds: readonly number[]
  readonly observer: WorkloadObserver
}

const RETRY_MS = 40
const REQUEST_TIMEOUT_MS = 4_000
const NOT_ANSWERED = -2

/** What every client of the workload does: connections to brokers, metadata, leaders. */
abstract class SimClient {
  private readonly connections = new Map<number, SimConnection>()
  protected topicId = ''
  protected leaders: readonly number[] = []
  protected stopped = false

  constructor(
    protected readonly world: ClientWorld,
    readonly name: string,
    protected readonly topic: string,
  ) {}

  stop(): void {
    this.stopped = true
  }

  protected after(delayMs: number, run: () => void): void {
    this.world.process.clock.after(delayMs, () => {
      if (!this.stopped) run()
    })
  }

  protected connection(nodeId: number): SimConnection {
    const known = this.connections.get(nodeId)
    if (known !== undefined && !known.isClosed) return known
    const fresh = new SimConnection(this.world.dialer, { host: hostOf(nodeId), port: KAFKA_PORT }, this.name)
    this.connections.set(nodeId, fresh)
    return fresh
  }

  /** One of the two answers comes: `done` with the response, or with null after a break or the time-out, which closes the connection. */
  protected call<T>(
    nodeId: number,
    send: (connection: SimConnection, done: (response: T | null) => void) => void,
    done: (response: T | null) => void,
  ): void {
    const connection = this.connection(nodeId)
    const timer = this.world.process.clock.after(REQUEST_TIMEOUT_MS, () => connection.close())
    send(connection, (response) => {
      timer.cancel()
      done(response)
    })
  }

  protected anyNode(): number {
    const { nodeIds, random } = this.world
    return nodeIds[randomBelow(random, nodeIds.length)]!
  }

  protected refreshMetadata(done: () => void): void {
    this.call<{
      topics: {
        errorCode: number
        topicId: string
        partitions: { partitionIndex: number; leaderId: number }[]
      }[]
    }>(
      this.anyNode(),
      (connection, answered) =>
        connection.request(
          Metadata,
          12,
          { topics: [{ topicId: undefined, name: this.topic }], allowAutoTopicCreation: false } as never,
          answered as never,
        ),
      (response) => {
        const topic = response?.topics[0]
        if (topic === undefined || topic.errorCode !== ErrorCode.NONE)
          return this.after(RETRY_MS, () => this.refreshMetadata(done))
        this.topicId = topic.topicId
        const leaders: number[] = []
        for (const partition of topic.partitions) leaders[partition.partitionIndex] = partition.leaderId
        this.leaders = leaders
        done()
      },
    )
  }
}

/** Makes the topic and waits until it is there. */
export class SimAdmin extends SimClient {
  createTopic(partitions: number, done: () => void): void {
    this.call<{ topics: { errorCode: number }[] }>(
      this.anyNode(),
      (connection, answered) =>
        connection.request(
          CreateTopics,
          7,
          {
            topics: [
              {
                name: this.topic,
                numPartitions: partitions,
                replicationFactor: -1,
                assignments: [],
                configs: [],
              },
            ],
            timeoutMs: 3_000,
            validateOnly: false,
          },
          answered as never,
        ),
      (response) => {
        const code = response?.topics[0]?.errorCode ?? NOT_ANSWERED
        if (code === ErrorCode.NONE || code === ErrorCode.TOPIC_ALREADY_EXISTS)
          return this.refreshMetadata(done)
        this.after(RETRY_MS, () => this.createTopic(partitions, done))
      },
    )
  }
}

/** An idempotent producer with acks=all and one request in flight for each partition, retrying as librdkafka does. */
export class SimProducer extends SimClient {
  private producerId = -1
  private producerEpoch = -1
  private readonly sequences = new Map<number, number>()
  private sent = 0
  acknowledged = 0
  failed = 0

  start(meanIntervalMs: number): void {
    this.initProducer(() => {
      for (let partition = 0; partition < this.leaders.length; partition++)
        this.loop(partition, meanIntervalMs)
    })
  }

  private initProducer(done: () => void): void {
    this.call<{ errorCode: number; producerId: number; producerEpoch: number }>(
      this.anyNode(),
      (connection, answered) =>
        connection.request(
          InitProducerId,
          4,
          { transactionalId: null, transactionTimeoutMs: 60_000 } as never,
          answered as never,
        ),
      (response) => {
        if (response === null || response.errorCode !== ErrorCode.NONE)
          return this.after(RETRY_MS, () => this.initProducer(done))
        this.producerId = response.producerId
        this.producerEpoch = response.producerEpoch
        this.refreshMetadata(done)
      },
    )
  }

  private loop(partition: number, meanIntervalMs: number): void {
    const pauseMs = randomBelow(this.world.random, 2 * meanIntervalMs) + 1
    this.after(pauseMs, () => this.sendNext(partition, () => this.loop(partition, meanIntervalMs)))
  }

  private sendNext(partition: number, done: () => void): void {
    const count = 1 + randomBelow(this.world.random, 3)
    const values = Array.from({ length: count }, () => `${this.name}-${this.sent++}`)
    const sequence = this.sequences.get(partition) ?? 0
    this.sequences.set(partition, sequence + count)
    // A retry goes out under the identity of the first try, else the broker could not tell a duplicate.
    const { producerId, producerEpoch } = this
    const attempt = (): void => {
      const records = values.map((value) => ({
        key: null,
        value: Buffer.from(value),
        timestamp: SIM_EPOCH_MS + Math.floor(this.world.process.clock.monotonicMs()),
      }))
      const batch = buildBatch(records, { producerId, producerEpoch, baseSequence: sequence })
      this.sendBatch(partition, batch, (errorCode, baseOffset) =>
        this.onOutcome(partition, values, errorCode, baseOffset, attempt, done),
      )
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
      values.forEach((value, i) => {
        this.acknowledged++
        this.world.observer.onAcknowledged(`${this.topic}-${partition}`, baseOffset + i, value)
      })
      done()
    } else if (errorCode === NOT_ANSWERED || isRetriable(errorCode)) {
      this.after(RETRY_MS, () => this.refreshMetadata(retry))
    } else {
      // A fatal answer ends this producer's identity, as it does in every client: a fresh one goes on.
      this.failed++
      this.sequences.clear()
      this.initProducer(done)
    }
  }

  private sendBatch(
    partition: number,
    batch: Uint8Array,
    done: (errorCode: number, baseOffset: number) => void,
  ): void {
    const leader = this.leaders[partition] ?? -1
    if (leader < 0) return done(NOT_ANSWERED, -1)
    this.call<{ responses: { partitionResponses: { errorCode: number; baseOffset: number }[] }[] }>(
      leader,
      (connection, answered) =>
        connection.request(
          Produce,
          12,
          {
            acks: -1,
            timeoutMs: 2_000,
            topicData: [{ name: this.topic, partitionData: [{ index: partition, records: batch }] }],
          },
          answered as never,
        ),
      (response) => {
        const answer = response?.responses[0]?.partitionResponses[0]
        done(answer?.errorCode ?? NOT_ANSWERED, answer?.baseOffset ?? -1)
      },
    )
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
      for (let partition = 0; partition < this.leaders.length; partition++) {
        this.poll(partition)
        this.watchLatest(partition)
      }
    })
  }

  private poll(partition: number): void {
    const leader = this.leaders[partition] ?? -1
    const again = (delayMs: number): void =>
      this.after(delayMs, () => this.refreshMetadata(() => this.poll(partition)))
    if (leader < 0) return again(RETRY_MS)
    this.call<{ responses: { partitions: { errorCode: number; records: Uint8Array | null }[] }[] }>(
      leader,
      (connection, answered) =>
        connection.request(Fetch, 12, this.fetchRequest(partition), answered as never),
      (response) => {
        const answer = response?.responses[0]?.partitions[0]
        if (answer === undefined) return again(RETRY_MS)
        if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
          this.world.observer.onOffsetReset(this.name, `${this.topic}-${partition}`, this.position(partition))
        }
        if (answer.errorCode !== ErrorCode.NONE) return again(RETRY_MS)
        this.deliver(partition, answer.records ?? new Uint8Array(0))
        this.after(1, () => this.poll(partition))
      },
    )
  }

  private fetchRequest(partition: number): never {
    return {
      maxWaitMs: 200,
      minBytes: 1,
      topics: [
        {
          topic: this.topic,
          partitions: [{ partition, fetchOffset: this.position(partition), partitionMaxBytes: 64 * 1024 }],
        },
      ],
    } as never
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
    this.after(500, () => {
      const leader = this.leaders[partition] ?? -1
      if (leader < 0) return this.watchLatest(partition)
      this.call<{ topics: { partitions: { errorCode: number; offset: number }[] }[] }>(
        leader,
        (connection, answered) =>
          connection.request(
            ListOffsets,
            7,
            {
              replicaId: -1,
              isolationLevel: 0,
              topics: [{ name: this.topic, partitions: [{ partitionIndex: partition, timestamp: -1n }] }],
            } as never,
            answered as never,
          ),
        (response) => {
          const answer = response?.topics[0]?.partitions[0]
          if (answer?.errorCode === ErrorCode.NONE) {
            this.world.observer.onLatestOffset(this.name, `${this.topic}-${partition}`, answer.offset)
          }
          this.watchLatest(partition)
        },
      )
    })
  }
}
