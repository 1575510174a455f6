import { describe, expect, it } from 'vitest'
import { ErrorCode } from '../../src/wire/errors.js'
import { Cluster } from './cluster.js'

const TOPICS = 20
const LIMIT = 8

/** Three brokers and a topic of one partition a number, its replicas rotated; batches of about eight records. */
function many(): Cluster {
  const cluster = Cluster.of(3, { maxBatchRecords: LIMIT })
  for (let i = 0; i < TOPICS; i++) cluster.createOn(`t${i}`, i % 2 === 0 ? [1, 2, 3] : [2, 3, 1])
  cluster.isLazy = true
  return cluster
}

function leaders(cluster: Cluster): number[] {
  return Array.from({ length: TOPICS }, (_, i) => cluster.partition(`t${i}`).leader)
}

describe('what concerns many partitions', () => {
  it('is decided in bounded batches, the leaderships first', () => {
    const cluster = many()
    cluster.kill(1)
    expect(cluster.last).toHaveLength(LIMIT)
    expect(cluster.last[0]).toMatchObject({ type: 'brokerRegistrationChangeRecord', fenced: true })
    expect(cluster.last.slice(1).every((record) => 'leader' in record && record.leader === 2)).toBe(true)
    let batches = 0
    while (cluster.controller.hasWork) {
      const records = cluster.controller.work()
      expect(records.length).toBeLessThanOrEqual(LIMIT)
      cluster.commit(records)
      batches++
    }
    expect(batches).toBe(2)
    for (let i = 0; i < TOPICS; i++) expect(cluster.state(`t${i}`)).toBe('leader 2, isr 2 3, elr -')
  })

  it('comes early for a partition that somebody asks about, as if it had been one batch', () => {
    const cluster = many()
    cluster.kill(1)
    const late = `t${TOPICS - 1}`
    expect(cluster.partition(late).isr).toEqual([2, 3, 1])
    // Refused: the partition has moved on.
    cluster.alter(2, late, [2, 3, 1])
    expect(cluster.state(late)).toBe('leader 2, isr 2 3, elr -')
    cluster.work()
    expect(cluster.partition(late).partitionEpoch).toBe(1)
  })

  it('comes early for a partition that is reassigned: who is fenced is none of those that stay in sync', () => {
    const cluster = many()
    cluster.kill(1)
    const late = `t${TOPICS - 1}`
    expect(cluster.partition(late).isr).toEqual([2, 3, 1])
    const move = (nodes: number[]) =>
      cluster.decide({
        type: 'alterPartitionReassignments',
        allowReplicationFactorChange: true,
        partitions: [{ topic: late, partitionId: 0, replicas: { nodes } }],
      }).partitions[0]!.errorCode
    // 2 stays until 1 is in sync again: else a single copy would be left.
    expect(move([3, 1])).toBe(0)
    expect(cluster.partition(late)).toMatchObject({ replicas: [3, 1, 2], removingReplicas: [2], isr: [3, 2] })
  })

  it('lets nobody be unfenced, or registered anew, before it is done', () => {
    const cluster = many()
    cluster.kill(1)
    expect(cluster.heartbeat(1).isFenced).toBe(true)
    expect(cluster.register(1).errorCode).not.toBe(0)
    cluster.work()
    expect(cluster.register(1).errorCode).toBe(0)
    expect(cluster.heartbeat(1).isFenced).toBe(false)
  })

  it('is taken up by the next controller', () => {
    const cluster = many()
    cluster.kill(1)
    cluster.failOver()
    cluster.work()
    for (let i = 0; i < TOPICS; i++) expect(cluster.state(`t${i}`)).toBe('leader 2, isr 2 3, elr -')
  })

  it('elects for all that wait for a broker, also across a change of the controller', () => {
    const cluster = many()
    for (const id of [1, 2, 3]) {
      cluster.kill(id)
      cluster.work()
    }
    expect(new Set(leaders(cluster))).toEqual(new Set([-1]))
    cluster.register(3)
    cluster.heartbeat(3)
    expect(leaders(cluster)).toContain(-1)
    cluster.failOver()
    cluster.work()
    expect(new Set(leaders(cluster))).toEqual(new Set([3]))
  })

  it('a controlled shutdown waits until everything has moved and everybody knows', () => {
    const cluster = many()
    const stop = () => cluster.heartbeat(1, { wantShutDown: true })
    expect(stop().shouldShutDown).toBe(false)
    for (const id of [2, 3]) cluster.heartbeat(id)
    expect(stop().shouldShutDown).toBe(false)
    cluster.failOver()
    expect(stop().shouldShutDown).toBe(false)
    cluster.work()
    const before = cluster.index
    cluster.heartbeat(2, { appliedIndex: before - 1 })
    cluster.heartbeat(3)
    expect(stop().shouldShutDown).toBe(false)
    cluster.heartbeat(2)
    expect(stop()).toMatchObject({ shouldShutDown: true, isFenced: true })
    expect(new Set(leaders(cluster))).toEqual(new Set([2]))
  })

  it('a wiped disk is settled before its broker is registered', () => {
    const cluster = many()
    for (const id of [1, 2, 3]) {
      cluster.kill(id)
      cluster.work()
    }
    const fresh = { directoryIds: ['directory-3-new'] }
    expect(cluster.register(3, fresh).errorCode).not.toBe(0)
    expect(cluster.register(3, fresh).errorCode).not.toBe(0)
    cluster.work()
    expect(cluster.register(3, fresh).errorCode).toBe(0)
    for (let i = 0; i < TOPICS; i++) expect(cluster.state(`t${i}`)).toBe('leader -1, isr -, elr 2')
  })
})

it('elects so many leaders for one request, and says that there are more', () => {
  const cluster = Cluster.of(3, { maxCommandRecords: 5 })
  for (let i = 0; i < 8; i++) cluster.createOn(`t${i}`, [1, 2, 3])
  cluster.kill(1)
  cluster.start(1)
  for (let i = 0; i < 8; i++) cluster.alter(2, `t${i}`, [1, 2, 3])
  const elect = () =>
    cluster
      .decide({ type: 'electLeaders', unclean: false, all: true, partitions: [] })
      .partitions.map(({ errorCode }) => errorCode)
  const { NONE, REQUEST_TIMED_OUT } = ErrorCode
  expect(elect()).toEqual([...Array(5).fill(NONE), ...Array(3).fill(REQUEST_TIMED_OUT)])
  expect(elect()).toEqual([NONE, NONE, NONE])
  expect(elect()).toEqual([])
})
