import { expect, it } from 'vitest'
import { FetchSessions } from '../../../src/broker/partitions/fetch-sessions.js'
import { SeededRandom } from '../../../src/lib/prng.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import type { FetchRequest } from '../../../src/wire/messages/fetch.js'
import { SimWorldClock } from '../../sim/clock.js'
import { TOPIC_ID } from './cluster.js'

function cache(maxSessions: number) {
  const world = new SimWorldClock()
  const sessions = new FetchSessions(world.process('node').clock, new SeededRandom(1), maxSessions)
  const open = (replicaId = -1) => sessions.open(request(0, 0), true, replicaId)
  return { world, sessions, open }
}

function request(sessionId: number, sessionEpoch: number): FetchRequest {
  const partition = {
    partition: 0,
    currentLeaderEpoch: -1,
    fetchOffset: 0,
    lastFetchedEpoch: -1,
    partitionMaxBytes: 1,
  }
  const topics = sessionEpoch === 0 ? [{ topic: '', topicId: TOPIC_ID, partitions: [partition] }] : []
  return { sessionId, sessionEpoch, topics, forgottenTopicsData: [] } as unknown as FetchRequest
}

it('is bounded: a client without a place goes without a session', () => {
  const { open, sessions } = cache(2)
  expect([open().type, open().type, open().type]).toEqual(['session', 'session', 'sessionless'])
  expect(sessions.size).toBe(2)
})

it('gives the place of a client that was unused for two minutes', () => {
  const { open, world, sessions } = cache(1)
  const old = open()
  world.runFor(119_999)
  expect(open().type).toBe('sessionless')
  world.runFor(1)
  expect(open().type).toBe('session')
  const id = old.type === 'session' ? old.session.id : 0
  expect(sessions.open(request(id, 1), true, -1)).toEqual({
    type: 'error',
    errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
  })
})

it('gives a replica the place of a client at once, and never that of a live replica', () => {
  const { open } = cache(1)
  open()
  expect(open(2).type).toBe('session')
  expect(open(3).type).toBe('sessionless')
})

it('holds one session of a replica, however often its connection breaks', () => {
  const { open, sessions } = cache(10)
  const client = open()
  for (let connection = 0; connection < 20; connection++) expect(open(2).type).toBe('session')
  expect(open(3).type).toBe('session')
  expect(sessions.size).toBe(3)
  const id = client.type === 'session' ? client.session.id : 0
  expect(sessions.open(request(id, 1), true, -1).type).toBe('session')
})

it('is bound to who opened it', () => {
  const { open, sessions } = cache(1)
  const context = open(2)
  const id = context.type === 'session' ? context.session.id : 0
  expect(sessions.open(request(id, 1), true, -1)).toMatchObject({
    errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH,
  })
})

it('looks at all of a large session by turns, and not at what was named lately', () => {
  const { world, sessions } = cache(1)
  const count = 2_000
  const partitions = Array.from({ length: count }, (_, partition) => ({
    partition,
    currentLeaderEpoch: -1,
    fetchOffset: 0,
    lastFetchedEpoch: -1,
    partitionMaxBytes: 1,
  }))
  const first = {
    ...request(0, 0),
    topics: [{ topic: '', topicId: TOPIC_ID, partitions }],
  } as unknown as FetchRequest
  const context = sessions.open(first, true, 2)
  if (context.type !== 'session') throw new Error('no session')
  const { session } = context
  const seen = new Set<number>()
  for (let epoch = 1; epoch <= 14; epoch++) {
    session.pending.clear()
    world.runFor(500)
    sessions.open(request(session.id, epoch), true, 2)
    if (epoch === 1) expect(session.pending.size).toBe(0)
    expect(session.pending.size).toBeLessThanOrEqual(500)
    for (const { partitionId } of session.pending) seen.add(partitionId)
  }
  expect(seen.size).toBe(count)
})
