import { expect, it } from 'vitest'
import { batch, Cluster, TOPIC_ID } from './cluster.js'

it('a follower’s snapshot holds the producers of all that lies below it, though one fetch brought several segments', () => {
  // Two batches a segment.
  const cluster = new Cluster([1, 2, 3], { 'min.insync.replicas': '2', 'segment.bytes': '160' })
  cluster.createTopic(1)
  cluster.run(50)
  cluster.node(3).kill()
  cluster.fence(3)
  cluster.run(50)
  const of = (producerId: number, baseSequence: number) =>
    batch(['x'], { producerId, producerEpoch: 0, baseSequence })
  for (const sequence of [0, 1, 2, 3]) cluster.node(1).append(of(9, sequence))
  const newest = cluster.node(1).append(of(8, 0))
  cluster.run(100)
  expect(newest.result).toMatchObject({ errorCode: 0, baseOffset: 4 })

  cluster.node(3).start()
  cluster.run(50)
  cluster.commit(cluster.registration(3))
  cluster.run(2_000)
  expect(cluster.node(3).status).toMatchObject({ logEndOffset: 5 })
  expect(cluster.image.topicsById.get(TOPIC_ID)!.partitions[0]!.isr).toContain(3)
  // The producers are read anew from the snapshot and what follows it.
  cluster.node(3).kill()
  cluster.node(3).start()
  cluster.run(50)
  cluster.commit(cluster.registration(3))
  cluster.elect(3, [1, 2, 3])
  cluster.run(1_000)
  const retry = cluster.node(3).append(of(9, 3))
  const next = cluster.node(3).append(of(9, 4))
  cluster.run(600)
  expect(retry.result).toMatchObject({ errorCode: 0, baseOffset: 3 })
  expect(next.result).toMatchObject({ errorCode: 0, baseOffset: 5 })
})
