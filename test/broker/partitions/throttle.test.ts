import { expect, it } from 'vitest'
import type { MetadataRecord } from '../../../src/metadata/records.js'
import { batch, Cluster, TOPIC, TOPIC_ID } from './cluster.js'

const BATCH_BYTES = 20_000
const BATCHES = 500
const RATE = 1_000_000
const OTHER = 'T3RoZXJzT3RoZXJzT3RoZQ'

function config(
  resourceType: Extract<MetadataRecord, { type: 'configRecord' }>['resourceType'],
  resourceName: string,
  name: string,
  value?: string,
): MetadataRecord {
  return { type: 'configRecord', resourceType, resourceName, name, value }
}

/** Node 3 was away while 10 MB were written, and comes back. */
function behind(...configs: MetadataRecord[]): Cluster {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  cluster.node(3).kill()
  cluster.fence(3)
  cluster.run(50)
  const value = 'x'.repeat(BATCH_BYTES - 100)
  for (let i = 0; i < BATCHES; i++) cluster.node(1).append(batch([value]), { acks: 1 })
  cluster.run(500)
  expect(cluster.node(2).status.logEndOffset).toBe(BATCHES)
  cluster.commit(...configs)
  cluster.node(3).start()
  cluster.run(50)
  cluster.commit(cluster.registration(3))
  return cluster
}

function isr(cluster: Cluster): number[] {
  return [...cluster.image.topicsById.get(TOPIC_ID)!.partitions[0]!.isr].sort()
}

/** Bytes a second that node 3 gets between the first second and the sixth. */
function measure(cluster: Cluster): number {
  cluster.run(1_000)
  const from = cluster.node(3).status.logEndOffset
  cluster.run(5_000)
  return ((cluster.node(3).status.logEndOffset - from) * BATCH_BYTES) / 5
}

it('without a throttle it is back at once', () => {
  const cluster = behind()
  cluster.run(1_000)
  expect(isr(cluster)).toEqual([1, 2, 3])
})

const sides = [
  [
    'a leader sends',
    'leader',
    config('topic', TOPIC, 'leader.replication.throttled.replicas', '0:1'),
    config('broker', '1', 'leader.replication.throttled.rate', String(RATE)),
  ],
  [
    'a follower fetches',
    'follower',
    config('topic', TOPIC, 'follower.replication.throttled.replicas', '*'),
    config('broker', '', 'follower.replication.throttled.rate', String(RATE)),
  ],
] as const

it.each(sides)('%s no more than the rate of what is not in sync', (_, side, list, rate) => {
  const cluster = behind(list, rate)
  const measured = measure(cluster)
  expect(measured).toBeGreaterThan(RATE * 0.9)
  expect(measured).toBeLessThan(RATE * 1.1)
  expect(isr(cluster)).toEqual([1, 2])

  // Node 2 is in sync: what it needs for an acknowledgement passes.
  const asked = cluster.node(1).append(batch(['y']))
  cluster.run(50)
  expect(asked.result?.errorCode).toBe(0)

  const { resourceType, resourceName, name } = rate as Extract<MetadataRecord, { type: 'configRecord' }>
  expect(name).toContain(side)
  cluster.commit(config(resourceType, resourceName, name))
  cluster.run(1_500)
  expect(isr(cluster)).toEqual([1, 2, 3])
})

it.each(sides)('%s everything again once it is in sync', (_, _side, list, rate) => {
  const cluster = behind(list, rate)
  for (let i = 0; i < 20 && isr(cluster).length < 3; i++) cluster.run(1_000)
  expect(isr(cluster)).toEqual([1, 2, 3])
  // Far more than the rate.
  for (let i = 0; i < BATCHES; i++) {
    cluster.node(1).append(batch(['z'.repeat(BATCH_BYTES - 100)]), { acks: 1 })
  }
  cluster.run(1_000)
  expect(cluster.node(3).status.logEndOffset).toBe(2 * BATCHES)
  expect(isr(cluster)).toEqual([1, 2, 3])
})

it.each(
  sides,
)('%s nothing at a rate of zero, and other partitions on the same connection pass', (_, side, list) => {
  const cluster = behind(
    list,
    config('broker', '', `${side}.replication.throttled.rate`, '0'),
    { type: 'topicRecord', name: 'others', topicId: OTHER },
    {
      type: 'partitionRecord',
      topicId: OTHER,
      partitionId: 0,
      replicas: [1, 3],
      directories: [TOPIC_ID, TOPIC_ID],
      isr: [1],
      elr: [],
      lastKnownElr: [],
      addingReplicas: [],
      removingReplicas: [],
      leader: 1,
      leaderRecovering: false,
      leaderEpoch: 0,
      partitionEpoch: 0,
    },
  )
  cluster.run(2_000)
  const answers: number[] = []
  for (let i = 0; i < 20; i++) {
    cluster.node(1).process.schedule(0, () => {
      const asked = { requiredAcks: -1, timeoutMs: 1_000, origin: 'client' } as const
      cluster.node(1).partitions.appendAsLeader(OTHER, 0, batch(['a']), asked, (result) => {
        answers.push(result.errorCode)
      })
    })
    cluster.run(20)
    expect(answers).toHaveLength(i + 1)
  }
  expect(new Set(answers)).toEqual(new Set([0]))
  const orders = cluster
    .node(3)
    .partitions.list()
    .find(({ topic }) => topic === TOPIC)
  expect(orders?.logEndOffset).toBe(0)
})
