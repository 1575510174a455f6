import { expect, it } from 'vitest'
import { DiskError } from '../../../src/ports/disk.js'
import { batch, Cluster, TOPIC_ID } from './cluster.js'

it('a log that cannot be moved aside ends nothing but itself: it is a stray at the next start', () => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  cluster.node(1).append(batch(['a']))
  cluster.run(600)
  const node = cluster.node(3)
  const rename = node.disk.rename.bind(node.disk)
  node.disk.rename = (from, to) => {
    if (to.endsWith('-delete')) throw new DiskError('ENOSPC', to, 'ENOSPC: no space left on device')
    rename(from, to)
  }
  cluster.commit({ type: 'removeTopicRecord', topicId: TOPIC_ID })
  cluster.run(200)
  expect(node.partitions.list()).toEqual([])
  node.disk.rename = rename
  node.kill()
  node.start()
  cluster.run(50)
  cluster.commit(cluster.registration(3))
  cluster.run(200)
  expect([...node.logs.logs()]).toEqual([])
})
