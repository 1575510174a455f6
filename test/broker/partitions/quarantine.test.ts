import { expect, it } from 'vitest'
import { SeededRandom } from '../../../src/lib/prng.js'
import { partitionRecord } from '../../../src/metadata/replay.js'
import { batch, Cluster, TOPIC, TOPIC_ID } from './cluster.js'

// The second one's CRC does not cover what is flipped: a base offset.
it.each([
  70, 80,
])('keeps a replica with byte %i damaged away until it has left the ISR, then fetches it anew', (byte) => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  for (let round = 0; round < 5; round++) cluster.node(1).append(batch([`value-${round}`]))
  cluster.run(600)
  const node = cluster.node(3)
  const { directory } = node.logs.get(TOPIC_ID, 0)!
  node.kill()
  node.disk.flipBit(`${directory}/${'0'.repeat(20)}.log`, byte)
  cluster.fence(3)
  cluster.run(50)
  node.start()
  cluster.run(100)
  // The controller still has it in the ISR, as with flush.before.ack.
  cluster.commit(cluster.registration(3), {
    type: 'partitionChangeRecord',
    topicId: TOPIC_ID,
    partitionId: 0,
    leader: 1,
    isr: { nodes: [1, 2, 3] },
  })
  cluster.run(200)
  expect(node.partitions.quarantined()).toEqual([{ topicId: TOPIC_ID, partitionId: 0 }])
  expect(node.partitions.list()).toEqual([])
  cluster.elect(1, [1, 2])
  cluster.run(2_000)
  // An unclean election might still take it for a replica that holds something.
  expect(node.partitions.quarantined()).toEqual([{ topicId: TOPIC_ID, partitionId: 0 }])
  cluster.drop(3)
  cluster.run(2_000)
  expect(node.partitions.quarantined()).toEqual([])
  expect(node.status).toMatchObject({ role: 'follower', logEndOffset: 5 })
  expect(cluster.image.topicsById.get(TOPIC_ID)!.partitions[0]!.isr).toContain(3)
})

it('fetches a replica anew that was not in the ISR when it was found damaged', () => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  for (let round = 0; round < 5; round++) cluster.node(1).append(batch([`value-${round}`]))
  cluster.run(600)
  const node = cluster.node(3)
  // Out of the ISR, and unable to come back into it.
  cluster.links.cutBoth('node-1', 'node-3')
  cluster.elect(1, [1, 2])
  cluster.run(50)
  node.process.schedule(0, () => {
    const log = node.logs.get(TOPIC_ID, 0)!
    node.disk.flipBit(`${log.directory}/${'0'.repeat(20)}.log`, 70)
    log.scrub(0, 1 << 20)
  })
  expect(() => cluster.run(10)).toThrow('wrong CRC')
  cluster.run(10)
  expect(node.logs.quarantined).toHaveLength(1)
  cluster.links.healAll()
  cluster.drop(3)
  // So long the leader might take it back for what it had fetched before.
  cluster.run(9_000)
  expect(node.partitions.quarantined()).toEqual([{ topicId: TOPIC_ID, partitionId: 0 }])
  cluster.run(9_000)
  expect(node.partitions.quarantined()).toEqual([])
  expect(node.status).toMatchObject({ role: 'follower', logEndOffset: 5 })
})

it('remembers across a power cut that a log was damaged, until the replica has left the ISR', () => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  for (let round = 0; round < 5; round++) cluster.node(1).append(batch([`value-${round}`]))
  cluster.run(600)
  const node = cluster.node(3)
  const { directory } = node.logs.get(TOPIC_ID, 0)!
  const restart = (): void => {
    node.kill()
    node.disk.powerCut(new SeededRandom(1))
    node.start()
    cluster.run(100)
    cluster.commit(cluster.registration(3))
    cluster.run(200)
  }
  node.process.schedule(0, () => {
    node.disk.flipBit(`${directory}/${'0'.repeat(20)}.log`, 70)
    node.logs.get(TOPIC_ID, 0)!.scrub(0, 1 << 20)
  })
  expect(() => cluster.run(10)).toThrow('wrong CRC')
  cluster.run(10)
  expect(node.logs.quarantined).toHaveLength(1)
  // Nobody has heard of it when the power goes: the controller has it in the ISR all the same.
  restart()
  expect(node.partitions.quarantined()).toEqual([{ topicId: TOPIC_ID, partitionId: 0 }])
  expect(node.partitions.list()).toEqual([])
  cluster.elect(1, [1, 2])
  cluster.run(2_000)
  // An unclean election might still take it for a replica that holds something.
  expect(node.partitions.quarantined()).toEqual([{ topicId: TOPIC_ID, partitionId: 0 }])
  cluster.drop(3)
  cluster.run(2_000)
  expect(node.partitions.quarantined()).toEqual([])
  expect(node.status).toMatchObject({ role: 'follower', logEndOffset: 5 })
  // And what was fetched anew is no more damaged than any other log.
  restart()
  expect(node.partitions.quarantined()).toEqual([])
  expect(node.logs.get(TOPIC_ID, 0)?.logEndOffset).toBe(5)
})

it('forgets a damaged replica that is moved to another broker', () => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  for (let round = 0; round < 5; round++) cluster.node(1).append(batch([`value-${round}`]))
  cluster.run(600)
  const node = cluster.node(3)
  const { directory } = node.logs.get(TOPIC_ID, 0)!
  node.kill()
  node.disk.flipBit(`${directory}/${'0'.repeat(20)}.log`, 70)
  cluster.fence(3)
  cluster.run(50)
  node.start()
  cluster.run(100)
  cluster.commit(cluster.registration(3), {
    type: 'partitionChangeRecord',
    topicId: TOPIC_ID,
    partitionId: 0,
    leader: 1,
    isr: { nodes: [1, 2, 3] },
  })
  cluster.run(200)
  expect(node.partitions.quarantined()).toEqual([{ topicId: TOPIC_ID, partitionId: 0 }])
  const partition = cluster.image.topicsById.get(TOPIC_ID)!.partitions[0]!
  cluster.commit({
    ...partitionRecord(TOPIC_ID, 0, partition),
    replicas: [1, 2],
    directories: [TOPIC_ID, TOPIC_ID],
    isr: [1, 2],
    leaderEpoch: partition.leaderEpoch + 1,
    partitionEpoch: partition.partitionEpoch + 1,
  })
  cluster.run(200)
  expect(node.partitions.quarantined()).toEqual([])
})

it('takes back at once what it named in the request that opens a session: nothing counts as fetched any more', () => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  const image = cluster.image.topicsById.get(TOPIC_ID)!.partitions[0]!
  // What it goes on fetching.
  cluster.commit(partitionRecord(TOPIC_ID, 1, image))
  cluster.run(500)
  const node = cluster.node(3)
  node.kill()
  cluster.links.extraLatencyMs.set('node-1>node-3', 200)
  node.start()
  cluster.run(50)
  cluster.commit(cluster.registration(3))
  const progress = () => cluster.node(1).partitions.all()[0]!.leading!.replica(3)!
  const { brokerEpoch } = node
  while (progress().brokerEpoch !== brokerEpoch) cluster.run(10)
  // The leader has got the request, and its answer is on its way.
  const damaged = { topic: TOPIC, topicId: TOPIC_ID, partition: 0, reason: 'a test', directory: 'aside' }
  node.process.schedule(0, () => node.partitions.onQuarantined(damaged))
  cluster.run(1_000)
  const { lastFetchMs } = progress()
  cluster.run(3_000)
  expect(progress().lastFetchMs).toBe(lastFetchMs)
})
