import { ErrorCode } from '../../wire/errors.js'
import { InitProducerId } from '../../wire/messages/init-producer-id.js'
import { Produce } from '../../wire/messages/produce.js'
import { buildBatch, incrementSequence, type NewRecord } from '../../wire/records.js'
import type { ClusterTopic, KafkaClient } from './client.js'
import { KafkaConnectionError, KafkaError, throwIfError } from './errors.js'
import { partitionOfKey } from './murmur2.js'

/** Of keys and values; well below `max.message.bytes` (1 MiB), whatever the records' own overhead. */
const BATCH_BYTES = 256 * 1024
const BATCH_RECORDS = 10_000
/** Waiting records; above this `send` asks its caller to wait. */
const QUEUE_BYTES = 8 * 1024 * 1024
/** From this version on topics are named by id. */
const LAST_VERSION_BY_NAME = 12

interface Queue {
  readonly index: number
  readonly records: NewRecord[]
  bytes: number
  nextSequence: number
  sending: boolean
}

/**
 * An idempotent producer with acks=all for one topic: one batch in flight for each partition, whatever waited
 * meanwhile in the next. A batch is repeated with the same sequence until it is acknowledged or the time is over.
 */
export class Producer {
  private readonly queues = new Map<number, Queue>()
  private queuedBytes = 0
  private acknowledged = 0
  private nextPartition = 0
  private failure: unknown
  private waiters: (() => void)[] = []

  private constructor(
    private readonly client: KafkaClient,
    private topic: ClusterTopic,
    private readonly producerId: number,
    private readonly producerEpoch: number,
  ) {}

  /** @throws KafkaError where there is no such topic */
  static async open(client: KafkaClient, topicName: string): Promise<Producer> {
    const topic = await client.topic(topicName)
    const identity = await client.retrying(async () => {
      const answer = await client.request(InitProducerId, {
        transactionalId: null,
        transactionTimeoutMs: 60_000,
      })
      throwIfError(answer.errorCode)
      return answer
    })
    return new Producer(client, topic, identity.producerId, identity.producerEpoch)
  }

  /** Records that a broker has acknowledged. */
  get acknowledgedRecords(): number {
    return this.acknowledged
  }

  /** Queues one record. Resolves when there is room for the next one. @throws what made an earlier record fail */
  async send(key: Uint8Array | null, value: Uint8Array | null, timestamp: number): Promise<void> {
    const queue = this.queueFor(key)
    const bytes = (key?.length ?? 0) + (value?.length ?? 0)
    queue.records.push({ key, value, timestamp })
    queue.bytes += bytes
    this.queuedBytes += bytes
    this.pump(queue)
    while (this.queuedBytes > QUEUE_BYTES && this.failure === undefined) await this.progress()
    if (this.failure !== undefined) throw this.failure
  }

  /** Resolves when everything that was sent is acknowledged. @throws what made a record fail */
  async flush(): Promise<void> {
    const busy = () => [...this.queues.values()].some((queue) => queue.sending || queue.records.length > 0)
    while (busy() && this.failure === undefined) await this.progress()
    if (this.failure !== undefined) throw this.failure
  }

  private progress(): Promise<void> {
    return new Promise((resolve) => this.waiters.push(resolve))
  }

  /** Keys by hash; records without one stay with a partition while its batch grows. */
  private queueFor(key: Uint8Array | null): Queue {
    const count = this.topic.partitions.length
    if (key !== null) return this.queue(partitionOfKey(key, count))
    const current = this.queue(this.nextPartition % count)
    if (current.bytes < BATCH_BYTES || count === 1) return current
    this.nextPartition++
    return this.queue(this.nextPartition % count)
  }

  private queue(index: number): Queue {
    const existing = this.queues.get(index)
    if (existing !== undefined) return existing
    const created: Queue = { index, records: [], bytes: 0, nextSequence: 0, sending: false }
    this.queues.set(index, created)
    return created
  }

  /** Sends what has gathered, unless a batch is on its way: then that one's end calls again. */
  private pump(queue: Queue): void {
    if (queue.sending || queue.records.length === 0 || this.failure !== undefined) return
    queue.sending = true
    // Gathers what the present turn of the loop brings: one chunk of the input, many lines.
    setImmediate(() => {
      const records = takeBatch(queue)
      this.sendBatch(queue, records).then(
        () => this.onDone(queue, records),
        (error: unknown) => {
          this.failure ??= error
          this.wake()
        },
      )
    })
  }

  private onDone(queue: Queue, records: readonly NewRecord[]): void {
    const bytes = records.reduce((sum, r) => sum + (r.key?.length ?? 0) + (r.value?.length ?? 0), 0)
    this.queuedBytes -= bytes
    this.acknowledged += records.length
    queue.sending = false
    this.pump(queue)
    this.wake()
  }

  private wake(): void {
    const waiters = this.waiters
    this.waiters = []
    for (const wake of waiters) wake()
  }

  private async sendBatch(queue: Queue, records: readonly NewRecord[]): Promise<void> {
    const batch = buildBatch(records, {
      producerId: this.producerId,
      producerEpoch: this.producerEpoch,
      baseSequence: queue.nextSequence,
    })
    queue.nextSequence = incrementSequence(queue.nextSequence, records.length)
    let first = true
    await this.client.retrying(async () => {
      if (!first) this.topic = await this.client.topic(this.topic.name)
      first = false
      await this.sendOnce(queue.index, batch)
    })
  }

  private async sendOnce(index: number, batch: Uint8Array): Promise<void> {
    const leader = this.topic.partitions.find((partition) => partition.index === index)?.leader ?? -1
    if (leader < 0) throw new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE)
    const answer = await this.client.requestFrom(
      leader,
      Produce,
      {
        acks: -1,
        // The broker gives up first, so that its own reason arrives.
        timeoutMs: Math.ceil(this.client.requestTimeoutMs * 0.8),
        topicData: [{ name: this.topic.name, partitionData: [{ index, records: batch }] }],
      },
      { maxVersion: LAST_VERSION_BY_NAME },
    )
    const result = answer.responses[0]?.partitionResponses[0]
    if (result === undefined) throw new KafkaConnectionError('a Produce answer without the partition')
    // The first try was appended after all, and its answer was lost.
    if (result.errorCode === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) return
    throwIfError(result.errorCode, result.errorMessage)
  }
}

/** As much as fits one batch, one record at least. */
function takeBatch(queue: Queue): NewRecord[] {
  let bytes = 0
  let count = 0
  while (count < queue.records.length && count < BATCH_RECORDS) {
    const { key, value } = queue.records[count]!
    const size = (key?.length ?? 0) + (value?.length ?? 0)
    if (count > 0 && bytes + size > BATCH_BYTES) break
    bytes += size
    count++
  }
  queue.bytes -= bytes
  return queue.records.splice(0, count)
}
