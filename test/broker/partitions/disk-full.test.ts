import { expect, it } from 'vitest'
import { ErrorCode } from '../../../src/wire/errors.js'
import type { SimDisk } from '../../sim/disk.js'
import { batch, Cluster } from './cluster.js'

function fill(disk: SimDisk, left: number): void {
  disk.capacityBytes = Number.MAX_SAFE_INTEGER
  disk.capacityBytes = Number.MAX_SAFE_INTEGER - disk.freeBytes() + left
}

it('refuses produce while the disk is full, loses nothing, and goes on by itself when there is room', () => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  const node = cluster.node(1)
  const before = node.append(batch(['before']))
  cluster.run(100)
  expect(before.result!.errorCode).toBe(ErrorCode.NONE)
  fill(node.disk, 10)
  // The first two meet the disk itself in one write, the third one its own refusal.
  const refused = [
    node.append(batch(['one'])),
    node.append(batch(['two'])),
    node.append(batch(['three']), { acks: 1 }),
  ]
  cluster.run(100)
  refused.push(node.append(batch(['four']), { acks: 0 }))
  cluster.run(100)
  for (const { result } of refused) {
    expect(result).toMatchObject({ errorCode: ErrorCode.KAFKA_STORAGE_ERROR, baseOffset: -1 })
    expect(result!.errorMessage).toMatch(/ENOSPC|full/)
  }
  expect(node.status).toMatchObject({ role: 'leader', state: 'online', logEndOffset: 1, highWatermark: 1 })
  fill(node.disk, 1e9)
  cluster.run(1_500)
  const after = node.append(batch(['after']))
  cluster.run(200)
  expect(after.result).toMatchObject({ errorCode: ErrorCode.NONE, baseOffset: 1 })
  for (const id of [1, 2, 3]) expect(cluster.node(id).status.logEndOffset).toBe(2)
})

it('lets a follower whose disk was full catch up', () => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  fill(cluster.node(3).disk, 10)
  cluster.run(1_500)
  const append = cluster.node(1).append(batch(['value']), { acks: 1 })
  cluster.run(2_000)
  expect(append.result!.errorCode).toBe(ErrorCode.NONE)
  expect(cluster.node(3).status).toMatchObject({ logEndOffset: 0, state: 'online' })
  fill(cluster.node(3).disk, 1e9)
  cluster.run(5_000)
  expect(cluster.node(3).status).toMatchObject({ logEndOffset: 1, highWatermark: 1 })
})

it('hosts a replica without a byte of room, and takes its first record when there is some', () => {
  const cluster = new Cluster()
  fill(cluster.node(3).disk, 0)
  cluster.createTopic(1)
  cluster.run(500)
  expect(cluster.node(3).status).toMatchObject({ role: 'follower', state: 'online' })
  cluster.node(1).append(batch(['value']), { acks: 1 })
  cluster.run(500)
  expect(cluster.node(3).status).toMatchObject({ logEndOffset: 0, state: 'online' })
  fill(cluster.node(3).disk, 1e9)
  cluster.run(5_000)
  expect(cluster.node(3).status).toMatchObject({ logEndOffset: 1, highWatermark: 1 })
})

it('takes the replicas of a device that fails offline', () => {
  const cluster = new Cluster()
  cluster.createTopic(1)
  cluster.run(50)
  const node = cluster.node(1)
  node.disk.faults.failAccess = (path, operation) => operation === 'write' && path.endsWith('.log')
  const append = node.append(batch(['value']))
  cluster.run(100)
  expect(append.result!.errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
  expect(node.status).toMatchObject({ role: 'none', state: 'offline' })
  expect(node.logs.isOffline).toBe(true)
})
