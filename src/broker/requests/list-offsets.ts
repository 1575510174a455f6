import { assert } from '../../lib/assert.js'
import type { LeaderEpoch, Offset } from '../../lib/ids.js'
import type { LeaderState } from '../../partition/leader-state.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  ListOffsets,
  type ListOffsetsRequest,
  type ListOffsetsResponse,
} from '../../wire/messages/list-offsets.js'
import { WireError } from '../../wire/primitives.js'
import { type BatchView, iterateBatches, walkRecords } from '../../wire/records.js'
import type { ApiHandler, RequestContext } from '../handler.js'
import { MAX_INFLATED_BYTES } from '../partitions/inflation-budget.js'
import type { Partition } from '../partitions/partition.js'
import { leaderFor } from '../partitions/partition-reads.js'
import type { BrokerServices } from '../services.js'
import { LookupTurns } from './lookup-turns.js'

const LATEST = -1n
const EARLIEST = -2n
const MAX_TIMESTAMP = -3n
const EARLIEST_LOCAL = -4n
const LATEST_TIERED = -5n
const EARLIEST_PENDING_UPLOAD = -6n
/** The version that first knows each of these places. */
const SINCE: ReadonlyMap<bigint, number> = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
])

const OFFSET_NOT_AVAILABLE_SINCE = 5
/** The replica id of a debugging consumer, who may ask any replica. */
const DEBUGGING_CONSUMER = -2

type PartitionRequest = ListOffsetsRequest['topics'][number]['partitions'][number]
type PartitionResponse = ListOffsetsResponse['topics'][number]['partitions'][number]

/** A place in the log: timestamp −1 where it has none, offset −1 where there is no such record. */
interface Found {
  timestamp: number
  offset: Offset
  leaderEpoch: LeaderEpoch
}

/**
 * ListOffsets v1-11. Deviations: nothing is tiered, so −5 and −6 find no offset; without transactions the last
 * stable offset is the high watermark.
 */
export function listOffsetsHandler(
  services: BrokerServices,
): ApiHandler<ListOffsetsRequest, ListOffsetsResponse> {
  const turns = new LookupTurns(services.clock)
  return {
    api: ListOffsets,
    handle(request, context, responder) {
      const twice = namedTwice(request)
      const topics: { name: string; partitions: PartitionResponse[] }[] = []
      const lookups: (() => void)[] = []
      for (const { name, partitions } of request.topics) {
        const responses = partitions.map((asked) => failed(asked, ErrorCode.INVALID_REQUEST))
        topics.push({ name, partitions: responses })
        partitions.forEach((asked, place) => {
          if (twice.has(keyOf(name, asked))) return
          const look = (): void => {
            responses[place] = answer(services, name, asked, request.replicaId, context)
          }
          if (readsRecords(asked.timestamp)) lookups.push(look)
          else look()
        })
      }
      const send = (): void => responder.send({ throttleTimeMs: 0, topics })
      if (lookups.length === 0) {
        send()
        return
      }
      let done = 0
      turns.add(context.connectionId, () => {
        lookups[done++]!()
        if (done < lookups.length) return true
        send()
        return false
      })
      context.onClose(() => turns.drop(context.connectionId))
    },
  }
}

/** Partitions that the request names more than once: each time they get INVALID_REQUEST. */
function namedTwice(request: ListOffsetsRequest): ReadonlySet<string> {
  const once = new Set<string>()
  const twice = new Set<string>()
  for (const { name, partitions } of request.topics) {
    for (const asked of partitions) {
      const key = keyOf(name, asked)
      if (once.has(key)) twice.add(key)
      once.add(key)
    }
  }
  return twice
}

function keyOf(topic: string, { partitionIndex }: PartitionRequest): string {
  return `${partitionIndex} ${topic}`
}

function readsRecords(timestamp: bigint): boolean {
  return timestamp === MAX_TIMESTAMP || timestamp >= 0n
}

function failed({ partitionIndex }: PartitionRequest, errorCode: number): PartitionResponse {
  return { partitionIndex, errorCode, timestamp: -1n, offset: -1, leaderEpoch: -1 }
}

function answer(
  services: BrokerServices,
  topic: string,
  asked: PartitionRequest,
  replicaId: number,
  context: RequestContext,
): PartitionResponse {
  if (replicaId >= 0 && !context.isInterBrokerListener) return failed(asked, ErrorCode.INVALID_REQUEST)
  const located = services.partitions.locateByName(topic, asked.partitionIndex)
  if ('errorCode' in located) return failed(asked, located.errorCode)
  const leader = leaderFor(located.partition, asked.currentLeaderEpoch)
  if ('errorCode' in leader) return failed(asked, leader.errorCode)
  if (asked.timestamp < 0n && (SINCE.get(asked.timestamp) ?? Number.POSITIVE_INFINITY) > context.apiVersion) {
    return failed(asked, ErrorCode.UNSUPPORTED_VERSION)
  }
  const isReplica = replicaId >= 0 || replicaId === DEBUGGING_CONSUMER
  // Just after an election the high watermark may lag behind what was acknowledged before: telling it would go back.
  if (needsHighWatermark(asked.timestamp) && !isReplica && !leader.state.isHighWatermarkCurrent) {
    return failed(
      asked,
      context.apiVersion >= OFFSET_NOT_AVAILABLE_SINCE
        ? ErrorCode.OFFSET_NOT_AVAILABLE
        : ErrorCode.LEADER_NOT_AVAILABLE,
    )
  }
  try {
    const limit = isReplica ? located.partition.log.logEndOffset : leader.state.highWatermark
    const found = find(services, located.partition, leader.state, asked.timestamp, limit)
    return {
      ...found,
      partitionIndex: asked.partitionIndex,
      errorCode: 0,
      timestamp: BigInt(found.timestamp),
    }
  } catch (error) {
    if (error instanceof WireError) return failed(asked, ErrorCode.CORRUPT_MESSAGE)
    located.partition.reportFailure(error as Error)
    return failed(asked, ErrorCode.KAFKA_STORAGE_ERROR)
  }
}

function needsHighWatermark(timestamp: bigint): boolean {
  return timestamp === LATEST || readsRecords(timestamp)
}

function find(
  services: BrokerServices,
  partition: Partition,
  state: LeaderState,
  timestamp: bigint,
  limit: Offset,
): Found {
  const { log } = partition
  switch (timestamp) {
    case LATEST:
      return { timestamp: -1, offset: limit, leaderEpoch: state.leaderEpoch }
    case EARLIEST:
    case EARLIEST_LOCAL: {
      const offset = log.logStartOffset
      const holds = log.epochForOffset(offset)
      return { timestamp: -1, offset, leaderEpoch: holds >= 0 ? holds : state.leaderEpoch }
    }
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return NONE
    case MAX_TIMESTAMP: {
      const batch = log.maxTimestamp()
      if (batch === null || batch.maxTimestampMs < 0) return NONE
      return firstRecord(services, partition, batch.baseOffset, limit, batch.maxTimestampMs)
    }
    default:
      return findByTime(services, partition, timestamp, limit)
  }
}

const NONE: Found = { timestamp: -1, offset: -1, leaderEpoch: -1 }

function findByTime(services: BrokerServices, partition: Partition, timestamp: bigint, limit: Offset): Found {
  // No record can be stored with a timestamp beyond the safe integers.
  if (timestamp > BigInt(Number.MAX_SAFE_INTEGER)) return NONE
  const timestampMs = Number(timestamp)
  const batch = partition.log.findByTimestamp(timestampMs)
  return batch === null ? NONE : firstRecord(services, partition, batch.baseOffset, limit, timestampMs)
}

/** The first record of the batch at `baseOffset` with at least this timestamp, below `limit`. */
function firstRecord(
  services: BrokerServices,
  partition: Partition,
  baseOffset: Offset,
  limit: Offset,
  timestampMs: number,
): Found {
  const { log } = partition
  const { logStartOffset } = log
  if (baseOffset >= limit) return NONE
  const slice = log.read(Math.max(baseOffset, logStartOffset), limit, 1, true)
  for (const view of batchesOf(slice.chunks)) {
    let found = NONE
    const isOver = walkRecords(view, services.compression, MAX_INFLATED_BYTES, (offset, timestamp) => {
      if (timestamp < timestampMs || offset < logStartOffset) return true
      if (offset < limit) found = { timestamp, offset, leaderEpoch: log.epochForOffset(offset) }
      return false
    })
    if (!isOver) return found
  }
  return NONE
}

/** Each chunk of a slice holds whole batches. */
function* batchesOf(chunks: readonly Uint8Array[]): Generator<BatchView> {
  for (const chunk of chunks) {
    for (const view of iterateBatches(chunk)) {
      assert(view.magic === 2, 'the log holds batches of magic 2 only')
      yield view
    }
  }
}
