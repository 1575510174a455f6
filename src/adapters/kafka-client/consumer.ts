import type { NodeId } from '../../lib/ids.js'
import type { Compression } from '../../ports/compression.js'
import { ErrorCode } from '../../wire/errors.js'
import { Fetch } from '../../wire/messages/fetch.js'
import { iterateBatches, type Record, readRecords, verifyCrc } from '../../wire/records.js'
import type { ClusterTopic, KafkaClient } from './client.js'
import { isWorthRetrying, KafkaConnectionError, KafkaError, throwIfError } from './errors.js'
import { EARLIEST, LATEST, listOffsets } from './offsets.js'

/** From this version on topics are named by id. */
const LAST_VERSION_BY_NAME = 12
const FETCH_WAIT_MS = 500
const FETCH_MAX_BYTES = 16 * 1024 * 1024
const PARTITION_MAX_BYTES = 1024 * 1024
const MAX_BATCH_BYTES = 128 * 1024 * 1024
const RETRY_DELAY_MS = 50

export interface ConsumedRecord extends Record {
  readonly partition: number
}

export interface ConsumerOptions {
  readonly topic: string
  readonly fromBeginning: boolean
  /** Stop at the end of each partition as it was at the start. */
  readonly exitAtEnd: boolean
  readonly compression: Compression
}

interface Position {
  readonly index: number
  next: number
  /** Exclusive; undefined: without end. */
  readonly end: number | undefined
}

/**
 * Reads all partitions of a topic without a group, one long poll for each leader. A leader that dies costs nothing
 * but time: its partitions are read on from the same offset at the next one.
 */
export async function* consume(
  client: KafkaClient,
  options: ConsumerOptions,
): AsyncGenerator<ConsumedRecord[], void> {
  const reader = await Reader.open(client, options)
  yield* reader.read()
}

class Reader {
  private readonly busy = new Map<NodeId, Promise<void>>()
  private readonly ready: ConsumedRecord[][] = []
  private readonly fetching = new Set<Position>()
  private lastAnswerAt = performance.now()
  private failure: unknown

  private constructor(
    private readonly client: KafkaClient,
    private readonly options: ConsumerOptions,
    private topic: ClusterTopic,
    private readonly positions: Position[],
  ) {}

  static async open(client: KafkaClient, options: ConsumerOptions): Promise<Reader> {
    const topic = await client.topic(options.topic)
    const partitions = topic.partitions.map((partition) => partition.index)
    const starts = await listOffsets(
      client,
      options.topic,
      partitions,
      options.fromBeginning ? EARLIEST : LATEST,
    )
    const ends = options.exitAtEnd ? await listOffsets(client, options.topic, partitions, LATEST) : undefined
    const positions = partitions.map((index) => ({ index, next: starts.get(index)!, end: ends?.get(index) }))
    return new Reader(client, options, topic, positions)
  }

  async *read(): AsyncGenerator<ConsumedRecord[], void> {
    while (this.open().length > 0) {
      this.startFetches()
      if (this.busy.size > 0) await Promise.race(this.busy.values())
      else await this.rediscover()
      if (this.failure !== undefined) throw this.failure
      for (const records of this.ready.splice(0)) yield records
    }
  }

  private open(): Position[] {
    return this.positions.filter(({ next, end }) => end === undefined || next < end)
  }

  private startFetches(): void {
    const byLeader = new Map<NodeId, Position[]>()
    for (const position of this.open()) {
      const leader =
        this.topic.partitions.find((partition) => partition.index === position.index)?.leader ?? -1
      if (leader < 0 || this.busy.has(leader) || this.fetching.has(position)) continue
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), position])
    }
    for (const [leader, positions] of byLeader) {
      for (const position of positions) this.fetching.add(position)
      const fetch = this.fetchFrom(leader, positions).finally(() => {
        this.busy.delete(leader)
        for (const position of positions) this.fetching.delete(position)
      })
      this.busy.set(leader, fetch)
    }
  }

  private async fetchFrom(leader: NodeId, positions: readonly Position[]): Promise<void> {
    try {
      const answer = await this.client.requestFrom(
        leader,
        Fetch,
        {
          maxWaitMs: FETCH_WAIT_MS,
          minBytes: 1,
          maxBytes: FETCH_MAX_BYTES,
          topics: [
            {
              topic: this.options.topic,
              partitions: positions.map(({ index, next }) => ({
                partition: index,
                fetchOffset: next,
                partitionMaxBytes: PARTITION_MAX_BYTES,
              })),
            },
          ],
        },
        { maxVersion: LAST_VERSION_BY_NAME },
      )
      throwIfError(answer.errorCode)
      let stale = false
      for (const partition of answer.responses[0]?.partitions ?? []) {
        const position = positions.find(({ index }) => index === partition.partitionIndex)
        if (position === undefined) continue
        if (partition.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE)
          throw outOfRange(this.options.topic, position)
        const failure = new KafkaError(partition.errorCode)
        if (partition.errorCode === 0) this.take(position, partition.records)
        else if (failure.retriable) stale = true
        else throw failure
      }
      this.lastAnswerAt = performance.now()
      if (stale) await this.rediscover()
    } catch (error) {
      if (!isWorthRetrying(error)) this.failure = error
      else await this.rediscover()
    }
  }

  /** Looks where the leaders are now. Gives up when nothing could be read for as long as the client's time-out. */
  private async rediscover(): Promise<void> {
    try {
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS))
      this.topic = await this.client.topic(this.options.topic)
    } catch (error) {
      this.failure = error
      return
    }
    if (performance.now() - this.lastAnswerAt > this.client.timeoutMs) {
      this.failure = new KafkaConnectionError(
        `no leader of ${this.options.topic} answered for ${this.client.timeoutMs} ms`,
      )
    }
  }

  private take(position: Position, bytes: Uint8Array | null): void {
    const taken: ConsumedRecord[] = []
    for (const batch of iterateBatches(bytes ?? new Uint8Array(0))) {
      if (!verifyCrc(batch)) {
        throw new KafkaError(
          ErrorCode.CORRUPT_MESSAGE,
          `${this.options.topic}-${position.index}: bad checksum at offset ${batch.baseOffset}`,
        )
      }
      if (!batch.isControl) {
        for (const record of readRecords(batch, this.options.compression, MAX_BATCH_BYTES)) {
          const past = position.end !== undefined && record.offset >= position.end
          if (record.offset >= position.next && !past) taken.push({ ...record, partition: position.index })
        }
      }
      position.next = Math.max(position.next, batch.lastOffset + 1)
    }
    if (taken.length > 0) this.ready.push(taken)
  }
}

function outOfRange(topic: string, { index, next }: Position): KafkaError {
  return new KafkaError(
    ErrorCode.OFFSET_OUT_OF_RANGE,
    `${topic}-${index}: offset ${next} is not in the log any more; begin anew with --from-beginning`,
  )
}
