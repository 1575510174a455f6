import { expect, it } from 'vitest'
import { batch, Cluster } from './cluster.js'

it('a wall clock that jumps ahead by years makes no leader forget its producers', () => {
  const cluster = new Cluster([1, 2, 3], { 'min.insync.replicas': '2' })
  cluster.createTopic(1)
  cluster.run(50)
  const of = (baseSequence: number) => batch(['x'], { producerId: 9, producerEpoch: 0, baseSequence })
  cluster.node(1).append(of(0))
  cluster.run(100)
  cluster.node(1).process.wallOffsetMs = 10 * 365 * 86_400_000
  const retry = cluster.node(1).append(of(0))
  cluster.run(100)
  expect(retry.result).toMatchObject({ errorCode: 0, baseOffset: 0 })
})
