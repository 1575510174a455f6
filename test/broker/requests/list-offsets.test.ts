import { expect, it } from 'vitest'
import type { RequestContext } from '../../../src/broker/handler.js'
import { listOffsetsHandler } from '../../../src/broker/requests/list-offsets.js'
import type { BrokerServices } from '../../../src/broker/services.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import type { ListOffsetsResponse } from '../../../src/wire/messages/list-offsets.js'
import { buildBatch } from '../../../src/wire/records.js'

const TOPIC = 'orders'
const LATEST = -1n
const MAX_TIMESTAMP = -3n
const SAME_BYTES = {
  compress: (_: number, bytes: Uint8Array) => bytes,
  decompress: (_: number, bytes: Uint8Array) => bytes,
}

/** A leader of as many partitions as are asked for: one compressed batch each, which takes `inflationMs` to read. */
function broker(inflationMs = 20) {
  let nowMs = 0
  let inflations = 0
  const turns: (() => void)[] = []
  const bytes = buildBatch(
    [
      { key: null, value: Buffer.from('a'), timestamp: 100 },
      { key: null, value: Buffer.from('b'), timestamp: 200 },
    ],
    { compression: { codec: 1, port: SAME_BYTES } },
  )
  const leading = { leaderEpoch: 3, highWatermark: 2, isHighWatermarkCurrent: true }
  const partition: Record<string, unknown> = {
    health: 'online',
    leaderEpoch: 3,
    leading,
    log: {
      logStartOffset: 0,
      logEndOffset: 2,
      findByTimestamp: () => ({ baseOffset: 0, lastOffset: 1, maxTimestampMs: 200 }),
      maxTimestamp: () => ({ baseOffset: 0, lastOffset: 1, maxTimestampMs: 200 }),
      read: () => ({ chunks: [bytes], byteLength: bytes.length, nextOffset: 2 }),
      epochForOffset: () => 3,
    },
  }
  const handler = listOffsetsHandler({
    clock: {
      monotonicMs: () => nowMs,
      after: (_: number, input: () => void) => {
        turns.push(input)
        return { cancel() {} }
      },
    },
    compression: {
      ...SAME_BYTES,
      decompress: (_: number, compressed: Uint8Array) => {
        inflations += 1
        nowMs += inflationMs
        return compressed
      },
    },
    partitions: { locateByName: () => ({ partition }) },
  } as unknown as BrokerServices)

  return {
    get inflations() {
      return inflations
    },
    /** One turn of the loop. Returns how many lookups it did. */
    turn(): number {
      const before = inflations
      turns.shift()?.()
      return inflations - before
    },
    depose: () => {
      partition.leading = undefined
    },
    ask(connectionId: number, partitions: readonly number[], timestamp: bigint) {
      const asked = {
        closers: [] as (() => void)[],
        answer: null as { partitionIndex: number; errorCode: number; offset: number }[] | null,
        close: () => {
          for (const closer of asked.closers) closer()
        },
      }
      const context = {
        apiVersion: 7,
        connectionId,
        onClose: (input: () => void) => void asked.closers.push(input),
      }
      const topic = partitions.map((partitionIndex) => ({
        partitionIndex,
        currentLeaderEpoch: -1,
        timestamp,
        maxNumOffsets: 1,
      }))
      handler.handle(
        { replicaId: -1, isolationLevel: 0, topics: [{ name: TOPIC, partitions: topic }], timeoutMs: 0 },
        context as unknown as RequestContext,
        {
          send: (response: ListOffsetsResponse) => {
            if (asked.answer !== null) throw new Error('answered twice')
            asked.answer = response.topics[0]!.partitions as never
          },
          none: () => {},
          close: () => {},
        } as never,
      )
      return asked
    },
  }
}

const found = (partitionIndex: number, offset: number) => ({ partitionIndex, errorCode: 0, offset })

it.each([
  150n,
  MAX_TIMESTAMP,
])('looks records up in turns, so that heartbeats leave in between (%s)', (timestamp) => {
  const node = broker()
  const asked = node.ask(1, [0, 1, 2], timestamp)
  expect(node.inflations).toBe(0)
  expect([node.turn(), node.turn()]).toEqual([1, 1])
  expect(asked.answer).toBeNull()
  expect(node.turn()).toBe(1)
  expect(asked.answer).toMatchObject([found(0, 1), found(1, 1), found(2, 1)])
  expect(node.turn()).toBe(0)
})

it('shares one turn among what comes at once', () => {
  const node = broker(4)
  for (let i = 0; i < 4; i++) node.ask(1, [0, 1], 0n)
  expect([node.turn(), node.turn(), node.turn()]).toEqual([3, 3, 2])
})

it('tells the ends of a log at once, whatever else is being looked up', () => {
  const node = broker()
  node.ask(1, [0, 1, 2], 0n)
  expect(node.ask(1, [0], LATEST).answer).toMatchObject([found(0, 2)])
})

it('lets nobody wait for another connection’s many lookups', () => {
  const node = broker()
  for (let i = 0; i < 64; i++) node.ask(1, [0, 1, 2, 3], 0n)
  const other = node.ask(2, [0], 0n)
  node.turn()
  node.turn()
  expect(other.answer).toMatchObject([found(0, 0)])
})

it('ends with the connection', () => {
  const node = broker()
  const asked = node.ask(1, [0, 1, 2], 0n)
  node.ask(1, [0, 1, 2], 0n)
  node.turn()
  asked.close()
  expect([node.turn(), node.turn()]).toEqual([0, 0])
  expect(asked.answer).toBeNull()
})

it('looks at the leadership when a partition’s turn comes', () => {
  const node = broker()
  const asked = node.ask(1, [0, 1], 0n)
  node.turn()
  node.depose()
  node.turn()
  expect(asked.answer).toMatchObject([
    found(0, 0),
    { partitionIndex: 1, errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, offset: -1 },
  ])
})

it('refuses a partition that is named twice, as Kafka does, and answers the others', () => {
  const node = broker()
  const asked = node.ask(1, [4, 5, 4, 4], 0n)
  node.turn()
  const refused = { partitionIndex: 4, errorCode: ErrorCode.INVALID_REQUEST, offset: -1 }
  expect(asked.answer).toMatchObject([refused, found(5, 0), refused, refused])
  expect(node.inflations).toBe(1)
  expect(node.ask(1, [4, 4], LATEST).answer).toMatchObject([refused, refused])
})
