import { ErrorCode, errorName, isRetriable } from '../../src/wire/errors.js'
import { InitProducerId } from '../../src/wire/messages/init-producer-id.js'
import { Produce } from '../../src/wire/messages/produce.js'
import { buildBatch } from '../../src/wire/records.js'
import { SIM_EPOCH_MS } from './clock.js'
import type { OpenOperation } from './history.js'
import { NOT_ANSWERED, RETRY_MS, SimClient } from './sim-client.js'

/** As librdkafka and the Java client do it: so many batches of a partition travel at once. */
const MAX_IN_FLIGHT = 5
/** Beyond it a producer waits, as with a full buffer. */
const MAX_QUEUED = 12

/** Sends batches of one to three unique values, to one partition after the other. */
export abstract class SendingClient extends SimClient {
  private sent = 0
  private nextPartition = 0

  protected loop(meanIntervalMs: number): void {
    this.after(this.draw(2 * meanIntervalMs) + 1, () => {
      const partition = this.nextPartition++ % this.partitions
      if (this.mayQueue(partition)) {
        const values = Array.from({ length: 1 + this.draw(3) }, () => `${this.name}-${this.sent++}`)
        this.enqueue(partition, values)
      }
      this.loop(meanIntervalMs)
    })
  }

  protected abstract mayQueue(partition: number): boolean
  protected abstract enqueue(partition: number, values: readonly string[]): void

  protected beginSend(process: number, partition: number, values: readonly string[]): OpenOperation {
    const name = this.nameOf(partition)
    return this.world.history.begin(
      process,
      'send',
      values.map((value) => ['send', name, [null, value]]),
    )
  }

  /** Every value is where the answer said. */
  protected acknowledged(
    operation: OpenOperation,
    partition: number,
    values: readonly string[],
    baseOffset: number,
  ): void {
    const name = this.nameOf(partition)
    operation.end(
      'ok',
      values.map((value, i) => ['send', name, [baseOffset + i, value]]),
    )
    values.forEach((value, i) => {
      this.world.observer.onAcknowledged(name, baseOffset + i, value)
    })
  }

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
    done: (errorCode: number, baseOffset: number, errorMessage: string | null) => void,
  ): void {
    const leader = this.leaderOf(partition)
    if (leader.id < 0) return this.after(0, () => done(NOT_ANSWERED, -1, null))
    const body = {
      acks,
      timeoutMs: 2_000,
      topicData: [{ name: this.topic, partitionData: [{ index: partition, records }] }],
    }
    this.call(leader.id, Produce, 12, body as never, (response) => {
      const answer = response?.responses[0]?.partitionResponses[0]
      done(answer?.errorCode ?? NOT_ANSWERED, answer?.baseOffset ?? -1, answer?.errorMessage ?? null)
    })
  }
}

interface Batch {
  /** Its place among all batches of the lane. */
  readonly ordinal: number
  readonly values: readonly string[]
  readonly baseSequence: number
  readonly operation: OpenOperation
  isSent: boolean
  /** When it was sent last, everything before it had been acknowledged. */
  wasFirst: boolean
}

/** The batches of a partition that are not acknowledged yet, in their order. */
interface Lane {
  readonly partition: number
  readonly batches: Batch[]
  nextSequence: number
  nextOrdinal: number
  inFlight: number
  /** To whom the last one went. */
  leaderEpoch: number
  /** One failed: when the others have been answered, all go out again in their order. */
  mustRepeat: boolean
}

/** An idempotent producer with acks=all and several batches in flight that tries again for ever. */
export class SimProducer extends SendingClient {
  private producerId = -1
  private producerEpoch = -1
  private readonly process = this.world.history.process()
  private readonly lanes = Array.from(
    { length: this.partitions },
    (_, partition): Lane => ({
      partition,
      batches: [],
      nextSequence: 0,
      nextOrdinal: 0,
      inFlight: 0,
      leaderEpoch: -1,
      mustRepeat: false,
    }),
  )
  private readonly lastAcknowledgedMs = new Map<number, number>()

  start(meanIntervalMs: number): void {
    this.initProducer(() => this.loop(meanIntervalMs))
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

  protected mayQueue(partition: number): boolean {
    return this.lanes[partition]!.batches.length < MAX_QUEUED
  }

  protected enqueue(partition: number, values: readonly string[]): void {
    const lane = this.lanes[partition]!
    const baseSequence = lane.nextSequence
    lane.nextSequence += values.length
    const operation = this.beginSend(this.process, partition, values)
    lane.batches.push({
      ordinal: lane.nextOrdinal++,
      values,
      baseSequence,
      operation,
      isSent: false,
      wasFirst: false,
    })
    this.pump(lane)
  }

  private pump(lane: Lane): void {
    for (const batch of lane.batches) {
      // The broker remembers as many: whoever is that far behind the last, acknowledged or not, is no longer known.
      if (batch.ordinal >= lane.batches[0]!.ordinal + MAX_IN_FLIGHT) return
      if (lane.mustRepeat || this.stopped) return
      // What a former leader has not answered may have to be sent again, in front of all that follows.
      if (lane.inFlight > 0 && lane.leaderEpoch !== this.leaderOf(lane.partition).epoch) return
      if (!batch.isSent) this.send(lane, batch)
    }
  }

  /** A repetition goes out under the identity of the first try, else the broker could not tell a duplicate. */
  private send(lane: Lane, batch: Batch): void {
    const { producerId, producerEpoch } = this
    const { values, baseSequence } = batch
    batch.isSent = true
    batch.wasFirst = lane.batches[0] === batch
    lane.inFlight++
    lane.leaderEpoch = this.leaderOf(lane.partition).epoch
    const bytes = this.batchOf(values, { producerId, producerEpoch, baseSequence })
    this.produce(lane.partition, -1, bytes, (errorCode, baseOffset, message) => {
      lane.inFlight--
      this.onAnswer(lane, batch, errorCode, baseOffset, message)
      if (lane.mustRepeat && lane.inFlight === 0) this.repeat(lane)
      else this.pump(lane)
    })
  }

  private onAnswer(
    lane: Lane,
    batch: Batch,
    errorCode: number,
    baseOffset: number,
    message: string | null,
  ): void {
    const { answersForALostOne } = this.world.load
    if (errorCode === ErrorCode.NONE && answersForALostOne > 0 && this.draw(answersForALostOne) === 0) {
      this.world.observer.onResponseLost()
      lane.mustRepeat = true
    } else if (errorCode === ErrorCode.NONE) {
      lane.batches.splice(lane.batches.indexOf(batch), 1)
      this.lastAcknowledgedMs.set(lane.partition, this.world.process.world.nowMs)
      this.acknowledged(batch.operation, lane.partition, batch.values, baseOffset)
    } else if (
      errorCode === NOT_ANSWERED ||
      isRetriable(errorCode) ||
      (errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER && !batch.wasFirst)
    ) {
      lane.mustRepeat = true
    } else {
      // In order and without a gap: nothing can be out of order.
      this.world.observer.onImpossible(
        this.name,
        `${errorName(errorCode)} for ${batch.values.join(', ')} to ${lane.partition}: ${message}`,
      )
    }
  }

  private repeat(lane: Lane): void {
    this.after(RETRY_MS, () =>
      this.refreshMetadata(() => {
        lane.mustRepeat = false
        for (const batch of lane.batches) batch.isSent = false
        this.pump(lane)
      }),
    )
  }
}

/** acks=all without sequences and without retries: what came of a request that failed is often not known. */
export class SimPlainProducer extends SendingClient {
  private readonly processes = Array.from({ length: this.partitions }, () => this.world.history.process())
  private readonly busy = new Set<number>()

  start(meanIntervalMs: number): void {
    this.refreshMetadata(() => this.loop(meanIntervalMs))
  }

  protected mayQueue(partition: number): boolean {
    return !this.busy.has(partition) && this.leaderOf(partition).id >= 0
  }

  protected enqueue(partition: number, values: readonly string[]): void {
    this.busy.add(partition)
    const operation = this.beginSend(this.processes[partition]!, partition, values)
    const free = (): void => {
      this.busy.delete(partition)
    }
    this.produce(partition, -1, this.batchOf(values, {}), (errorCode, baseOffset) => {
      if (errorCode === ErrorCode.NONE) {
        this.acknowledged(operation, partition, values, baseOffset)
        return free()
      }
      // Of all errors this one alone proves that nothing was written.
      if (errorCode === ErrorCode.NOT_ENOUGH_REPLICAS) operation.end('fail')
      else {
        operation.end('info')
        this.processes[partition] = this.world.history.process()
      }
      this.after(RETRY_MS, () => this.refreshMetadata(free))
    })
  }
}

/** acks=1 and no retries: what a leader writes that is cut off, and what its followers then have to cut. */
export class SimCarelessProducer extends SendingClient {
  private readonly busy = new Set<number>()

  start(meanIntervalMs: number): void {
    this.refreshMetadata(() => this.loop(meanIntervalMs))
  }

  protected mayQueue(partition: number): boolean {
    return !this.busy.has(partition) && this.leaderOf(partition).id >= 0
  }

  protected enqueue(partition: number, values: readonly string[]): void {
    this.busy.add(partition)
    // What came of it is never known: an answer to acks=1 promises nothing.
    this.beginSend(this.world.history.process(), partition, values).end('info')
    this.produce(partition, 1, this.batchOf(values, {}), (errorCode) => {
      if (errorCode === ErrorCode.NONE) {
        this.world.observer.onUnpromised()
        this.busy.delete(partition)
      } else this.after(RETRY_MS, () => this.refreshMetadata(() => this.busy.delete(partition)))
    })
  }
}
