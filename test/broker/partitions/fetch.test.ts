import { describe, expect, it } from 'vitest'
import { NO_NODE, ZERO_UUID } from '../../../src/lib/ids.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { Fetch, type FetchRequest, type FetchResponse } from '../../../src/wire/messages/fetch.js'
import { ListOffsets } from '../../../src/wire/messages/list-offsets.js'
import { iterateBatches } from '../../../src/wire/records.js'
import type { SimConnection } from '../../sim/client.js'
import { batch, Cluster, TOPIC, TOPIC_ID } from './cluster.js'

type Body = Partial<FetchRequest> & {
  offset?: number
  epoch?: number
  lastEpoch?: number
  maxPartitionBytes?: number
}

/** A cluster that leads at node 1, and a client of it. */
function started(topicConfig?: Record<string, string>) {
  const cluster = new Cluster([1, 2, 3], topicConfig)
  cluster.createTopic(1)
  cluster.run(50)
  const connection = cluster.node(1).connect()
  return {
    cluster,
    connection,
    fetch: (body: Body = {}, version = 13) => fetch(cluster, connection, body, version),
  }
}

function fetch(_cluster: Cluster, connection: SimConnection, body: Body, version: number) {
  const outcome: { response: FetchResponse | null } = { response: null }
  const partition = {
    partition: 0,
    currentLeaderEpoch: body.epoch ?? -1,
    fetchOffset: body.offset ?? 0,
    lastFetchedEpoch: body.lastEpoch ?? -1,
    partitionMaxBytes: body.maxPartitionBytes ?? 1 << 20,
  }
  const request = {
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 1 << 24,
    topics: [
      {
        topic: version < 13 ? TOPIC : '',
        topicId: version < 13 ? ZERO_UUID : TOPIC_ID,
        partitions: [partition],
      },
    ],
    ...body,
  }
  connection.request(Fetch as never, version, request as never, (response) => {
    outcome.response = response as FetchResponse
  })
  return outcome
}

function produce(cluster: Cluster, ...values: string[]): void {
  for (const value of values) cluster.node(1).append(batch([value]))
  cluster.run(20)
}

function fetchNow(cluster: Cluster, fetch: (body: Body) => { response: FetchResponse | null }) {
  const outcome = fetch({ offset: 0, maxWaitMs: 0 })
  cluster.run(50)
  return outcome
}

const first = (outcome: { response: FetchResponse | null }) => outcome.response?.responses[0]?.partitions[0]
const offsets = (outcome: { response: FetchResponse | null }) =>
  [...iterateBatches(first(outcome)!.records as Uint8Array)].map((view) => view.baseOffset)

describe('fetching', () => {
  it('returns what is committed, with empty records of length zero where there is nothing', () => {
    const { cluster, fetch } = started()
    produce(cluster, 'a', 'b')
    const some = fetch()
    cluster.run(10)
    expect(offsets(some)).toEqual([0, 1])
    const none = fetch({ offset: 2, maxWaitMs: 0 })
    cluster.run(10)
    expect(first(none)).toMatchObject({ errorCode: 0, highWatermark: 2, lastStableOffset: 2 })
    expect(first(none)!.records).toHaveLength(0)
  })

  it('waits for data, and is woken when it is committed', () => {
    const { cluster, fetch } = started()
    const waiting = fetch({ maxWaitMs: 5_000 })
    cluster.run(100)
    expect(waiting.response).toBeNull()
    produce(cluster, 'a')
    expect(offsets(waiting)).toEqual([0])
  })

  it('waits for min bytes, and no longer than max wait', () => {
    const { cluster, fetch } = started()
    const waiting = fetch({ minBytes: 1_000_000, maxWaitMs: 300 })
    produce(cluster, 'a')
    cluster.run(200)
    expect(waiting.response).toBeNull()
    cluster.run(100)
    expect(offsets(waiting)).toEqual([0])
  })

  it('bounds what the fetches that wait on one connection bring together, and each brings a batch', () => {
    const { cluster, fetch } = started()
    const value = 'x'.repeat(500_000)
    for (let i = 0; i < 8; i++) produce(cluster, value)
    const ready = { minBytes: 1 << 30, maxWaitMs: 300, maxBytes: 1 << 30, maxPartitionBytes: 1 << 30 }
    const outcomes = Array.from({ length: 60 }, () => fetch(ready))
    cluster.run(2_000)
    const sizes = outcomes.map((outcome) => (first(outcome)!.records as Uint8Array).length)
    expect(sizes.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => sizes[0]))
    expect(Math.min(...sizes)).toBeGreaterThan(value.length)
    // 64 MB of the connection, and a batch each; without a bound 240 MB.
    expect(sizes.reduce((sum, bytes) => sum + bytes)).toBeLessThan(64 * 2 ** 20 + 60 * (value.length + 100))
  })

  it('does not show a client what followers do not hold yet, and answers empty between HW and log end', () => {
    const { cluster, fetch } = started()
    cluster.node(2).kill()
    cluster.node(3).kill()
    produce(cluster, 'a', 'b')
    const uncommitted = fetch({ offset: 1, maxWaitMs: 10 })
    cluster.run(50)
    expect(first(uncommitted)).toMatchObject({ errorCode: 0, highWatermark: 0 })
    expect(first(uncommitted)!.records).toHaveLength(0)
    const beyond = fetch({ offset: 3, maxWaitMs: 10 })
    cluster.run(50)
    expect(first(beyond)!.errorCode).toBe(ErrorCode.OFFSET_OUT_OF_RANGE)
  })

  it('does not tell a client to begin anew where others may lead by now and have written more', () => {
    const { cluster, fetch } = started()
    produce(cluster, 'a')
    cluster.deaf.add(1)
    cluster.elect(2, [2, 3])
    cluster.run(50)
    cluster.node(2).append(batch(['b', 'c']))
    cluster.run(50)
    const beyond = fetch({ offset: 3, epoch: 0, maxWaitMs: 10 })
    cluster.run(50)
    expect(first(beyond)!.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    // Nor where it has read what another leader wrote, of an epoch that is not known here.
    const ahead = fetch({ offset: 1, epoch: 0, lastEpoch: 1, maxWaitMs: 10 })
    cluster.run(50)
    expect(first(ahead)!.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    // What it has it may still serve: that is committed.
    expect(offsets(fetchNow(cluster, fetch))).toEqual([0])
  })

  it('sends the first batch whole though it is over the limits, and no second one', () => {
    const { cluster, fetch } = started()
    produce(cluster, 'x'.repeat(5_000), 'y')
    const outcome = fetch({ maxBytes: 100, maxPartitionBytes: 100 })
    cluster.run(10)
    expect(offsets(outcome)).toEqual([0])
  })

  it('checks the leader epoch (KIP-320), and names the new leader with its endpoint (KIP-951)', () => {
    const { cluster, fetch } = started()
    cluster.elect(1, [1, 2, 3])
    cluster.run(20)
    const old = fetch({ epoch: 0 })
    const future = fetch({ epoch: 9 })
    cluster.run(20)
    expect(first(old)!.errorCode).toBe(ErrorCode.FENCED_LEADER_EPOCH)
    expect(first(future)!.errorCode).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH)
    cluster.elect(2, [1, 2, 3])
    cluster.run(20)
    const moved = fetch({}, 16)
    cluster.run(20)
    expect(first(moved)).toMatchObject({
      errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER,
      currentLeader: { leaderId: 2, leaderEpoch: 2 },
    })
    expect(moved.response!.nodeEndpoints).toMatchObject([{ nodeId: 2, host: 'node-2', port: 9092 }])
  })

  it('answers at once when the leadership goes while a fetch waits', () => {
    const { cluster, fetch } = started()
    const waiting = fetch({ maxWaitMs: 60_000 })
    cluster.run(20)
    cluster.elect(2, [1, 2, 3])
    cluster.run(20)
    expect(first(waiting)!.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  it('tells a client where its log parts from the leader’s (v12)', () => {
    const { cluster, fetch } = started()
    produce(cluster, 'a', 'b')
    cluster.elect(1, [1, 2, 3])
    cluster.run(20)
    produce(cluster, 'c')
    const outcome = fetch({ offset: 3, lastEpoch: 0 })
    cluster.run(20)
    expect(first(outcome)).toMatchObject({ errorCode: 0, divergingEpoch: { epoch: 0, endOffset: 2 } })
  })

  it('knows topics by id and by name, and says which it does not know', () => {
    const { cluster, fetch } = started()
    produce(cluster, 'a')
    const byName = fetch({}, 11)
    const unknown = fetch({
      topics: [{ topic: '', topicId: 'VW5rbm93blVua25vd25Vbg', partitions: [PARTITION] }],
    })
    cluster.run(20)
    expect(offsets(byName)).toEqual([0])
    expect(first(unknown)!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_ID)
  })
})

const PARTITION = {
  partition: 0,
  currentLeaderEpoch: -1,
  fetchOffset: 0,
  lastFetchedEpoch: -1,
  logStartOffset: -1,
  partitionMaxBytes: 1 << 20,
  replicaDirectoryId: ZERO_UUID,
  highWatermark: 0n,
}

describe('a fetch session (KIP-227)', () => {
  const empty = { maxWaitMs: 0, topics: [] }

  it('leaves out what did not change, and keeps its own epochs', () => {
    const { cluster, fetch } = started()
    produce(cluster, 'a')
    const opened = fetch({ sessionEpoch: 0 })
    cluster.run(10)
    const sessionId = opened.response!.sessionId!
    expect(sessionId).not.toBe(0)
    const same = fetch({ ...empty, sessionId, sessionEpoch: 1, topics: [] })
    cluster.run(10)
    // The position is still 0: the records come again until the client names another.
    expect(offsets(same)).toEqual([0])
    const moved = fetch({ maxWaitMs: 0, sessionId, sessionEpoch: 2, offset: 1 })
    cluster.run(10)
    expect(moved.response).toMatchObject({ errorCode: 0, responses: [] })
    produce(cluster, 'b')
    const next = fetch({ ...empty, sessionId, sessionEpoch: 3 })
    cluster.run(10)
    expect(offsets(next)).toEqual([1])
  })

  it('tells of thousands of partitions in several answers', () => {
    const { cluster, fetch } = started()
    const partitions = Array.from({ length: 5_000 }, (_, i) => ({
      partition: 1 + i,
      currentLeaderEpoch: -1,
      fetchOffset: 0,
      lastFetchedEpoch: -1,
      logStartOffset: -1,
      replicaDirectoryId: ZERO_UUID,
      highWatermark: -1n,
      partitionMaxBytes: 1 << 20,
    }))
    const opened = fetch({ sessionEpoch: 0, topics: [{ topic: '', topicId: TOPIC_ID, partitions }] })
    cluster.run(10)
    const failed = (outcome: { response: FetchResponse | null }) =>
      outcome.response!.responses.flatMap((topic) => topic.partitions.map((one) => one.partitionIndex))
    expect(failed(opened)).toHaveLength(5_000)
    const sessionId = opened.response!.sessionId!
    const told = new Set<number>()
    for (let sessionEpoch = 1; sessionEpoch <= 3; sessionEpoch++) {
      const next = fetch({ sessionId, sessionEpoch, topics: [] })
      cluster.run(10)
      expect(failed(next)).toHaveLength(2_000)
      for (const partition of failed(next)) told.add(partition)
    }
    expect(told.size).toBe(5_000)
  })

  it('answers 70 for an unknown session, 71 for a wrong epoch, 106 for names in a session of ids', () => {
    const { cluster, fetch } = started()
    const opened = fetch({ sessionEpoch: 0, maxWaitMs: 0 })
    cluster.run(10)
    const sessionId = opened.response!.sessionId!
    const unknown = fetch({ ...empty, sessionId: sessionId ^ 1, sessionEpoch: 1 })
    const skipped = fetch({ ...empty, sessionId, sessionEpoch: 2 })
    const byName = fetch({ ...empty, sessionId, sessionEpoch: 1 }, 12)
    cluster.run(10)
    expect(unknown.response!.errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    expect(skipped.response!.errorCode).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
    expect(byName.response!.errorCode).toBe(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)
  })

  it('forgets partitions that the client forgets, and ends when the client says so', () => {
    const { cluster, fetch } = started()
    const opened = fetch({ sessionEpoch: 0, maxWaitMs: 0 })
    cluster.run(10)
    const sessionId = opened.response!.sessionId!
    const forgotten = [{ topic: '', topicId: TOPIC_ID, partitions: [0] }]
    fetch({ ...empty, sessionId, sessionEpoch: 1, forgottenTopicsData: forgotten })
    cluster.run(10)
    produce(cluster, 'a')
    const after = fetch({ ...empty, sessionId, sessionEpoch: 2 })
    fetch({ ...empty, sessionId, sessionEpoch: -1 })
    const gone = fetch({ ...empty, sessionId, sessionEpoch: 3 })
    cluster.run(10)
    expect(after.response!.responses).toEqual([])
    expect(gone.response!.errorCode).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
  })
})

describe('ListOffsets', () => {
  function listOffsets(cluster: Cluster, connection: SimConnection, timestamp: bigint, version = 7) {
    const outcome: { errorCode?: number; offset?: number; timestamp?: bigint } = {}
    const body = {
      replicaId: NO_NODE,
      topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, timestamp }] }],
    }
    connection.request(ListOffsets as never, version, body as never, (response) => {
      const answer = response as { topics: { partitions: object[] }[] } | null
      Object.assign(outcome, answer?.topics[0]?.partitions[0])
    })
    cluster.run(20)
    return outcome
  }

  it('finds the ends and exact records', () => {
    const { cluster, connection } = started()
    produce(cluster, 'a', 'b')
    expect(listOffsets(cluster, connection, -1n)).toMatchObject({ errorCode: 0, offset: 2 })
    expect(listOffsets(cluster, connection, -2n)).toMatchObject({ errorCode: 0, offset: 0 })
    expect(listOffsets(cluster, connection, -3n)).toMatchObject({ errorCode: 0, offset: 0 })
    expect(listOffsets(cluster, connection, 1_767_225_600_000n)).toMatchObject({ offset: 0 })
    expect(listOffsets(cluster, connection, 1_767_225_600_001n)).toMatchObject({ errorCode: 0, offset: -1 })
    expect(listOffsets(cluster, connection, 2n ** 63n - 1n)).toMatchObject({ errorCode: 0, offset: -1 })
    expect(listOffsets(cluster, connection, -5n, 9)).toMatchObject({ errorCode: 0, offset: -1 })
    expect(listOffsets(cluster, connection, -99n).errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
  })

  it('says nothing of the end until the new leader knows what was committed before it', () => {
    const { cluster } = started()
    produce(cluster, 'a')
    // Node 2 holds the record, but has not heard yet that it is committed; node 3 cannot tell it either.
    expect(cluster.node(2).status).toMatchObject({ logEndOffset: 1, highWatermark: 0 })
    cluster.links.cutBoth('node-2', 'node-3')
    cluster.links.cutBoth('node-2', 'node-1')
    cluster.elect(2, [1, 2, 3])
    const connection = cluster.node(2).connect()
    expect(listOffsets(cluster, connection, -1n).errorCode).toBe(ErrorCode.OFFSET_NOT_AVAILABLE)
    expect(listOffsets(cluster, connection, -1n, 4).errorCode).toBe(ErrorCode.LEADER_NOT_AVAILABLE)
    expect(listOffsets(cluster, connection, -2n)).toMatchObject({ errorCode: 0, offset: 0 })
    cluster.links.healAll()
    cluster.run(3_000)
    expect(listOffsets(cluster, connection, -1n)).toMatchObject({ errorCode: 0, offset: 1 })
  })
})
