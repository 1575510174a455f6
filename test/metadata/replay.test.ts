import { describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../src/lib/ids.js'
import type { MetadataRecord, PartitionRecord } from '../../src/metadata/records.js'
import { MutableImage } from '../../src/metadata/replay.js'
import { Cluster } from './cluster.js'

function partition(topicId: string, partitionId: number): PartitionRecord {
  return {
    type: 'partitionRecord',
    topicId,
    partitionId,
    replicas: [1, 2],
    directories: ['a', 'b'],
    isr: [1, 2],
    elr: [],
    lastKnownElr: [],
    addingReplicas: [],
    removingReplicas: [],
    leader: 1,
    leaderRecovering: false,
    leaderEpoch: 0,
    partitionEpoch: 0,
  }
}

describe('MutableImage', () => {
  const records: MetadataRecord[] = [
    { type: 'topicRecord', name: 't', topicId: 'T' },
    partition('T', 0),
    partition('T', 1),
  ]

  it('a change without a leader adds to the partition epoch alone, with one to both', () => {
    const image = MutableImage.replay(records)
    image.apply({
      type: 'partitionChangeRecord',
      topicId: 'T',
      partitionId: 0,
      isr: { nodes: [1] },
      elr: { nodes: [2] },
    })
    expect(image.topicsByName.get('t')!.partitions[0]).toMatchObject({
      isr: [1],
      elr: [2],
      leaderEpoch: 0,
      partitionEpoch: 1,
    })
    image.apply({ type: 'partitionChangeRecord', topicId: 'T', partitionId: 0, leader: 1 })
    expect(image.topicsByName.get('t')!.partitions[0]).toMatchObject({
      isr: [1],
      leader: 1,
      leaderEpoch: 1,
      partitionEpoch: 2,
    })
    expect(image.topicsByName.get('t')!.partitions[1]).toMatchObject({ partitionEpoch: 0 })
  })

  it('clones go their own ways', () => {
    const image = MutableImage.replay(records)
    const clone = image.clone()
    clone.apply({ type: 'partitionChangeRecord', topicId: 'T', partitionId: 0, leader: 2 })
    image.apply({ type: 'partitionChangeRecord', topicId: 'T', partitionId: 1, leader: -1 })
    image.apply({
      type: 'configRecord',
      resourceType: 'topic',
      resourceName: 't',
      name: 'retention.ms',
      value: '1',
    })
    expect(image.topicsById.get('T')!.partitions.map(({ leader }) => leader)).toEqual([1, -1])
    expect(clone.topicsById.get('T')!.partitions.map(({ leader }) => leader)).toEqual([2, 1])
    expect(clone.topicConfig('t').size).toBe(0)
  })

  it('clones share topics until one changes them', () => {
    const image = MutableImage.replay(records)
    const clone = image.clone()
    expect(clone.topicsById.get('T')).toBe(image.topicsById.get('T'))
    clone.apply(partition('T', 2))
    expect(clone.topicsById.get('T')).not.toBe(image.topicsById.get('T'))
    expect(clone.topicsById.get('T')).toBe(clone.topicsByName.get('t'))
    expect(image.topicsById.get('T')!.partitions).toHaveLength(2)
  })

  it('iterates in the same order after a snapshot as after the whole log', () => {
    const cluster = Cluster.of(3)
    for (const name of ['c', 'a', 'b']) cluster.create(name)
    cluster.register(1)
    cluster.decide({ type: 'deleteTopics', topics: [{ name: 'c', topicId: ZERO_UUID }] })
    cluster.create('c')
    const restored = MutableImage.replay(cluster.committed.toRecords())
    expect([...restored.topicsByName.keys()]).toEqual(['a', 'b', 'c'])
    expect([...restored.topicsByName.keys()]).toEqual([...cluster.committed.topicsByName.keys()])
    expect([...restored.brokers.keys()]).toEqual([...cluster.committed.brokers.keys()])
  })

  it.each<[string, MetadataRecord]>([
    ['an unknown topic', partition('X', 0)],
    ['a gap between partitions', partition('T', 3)],
    ['epochs that go back', partition('T', 1)],
    ['a topic that exists', { type: 'topicRecord', name: 't', topicId: 'U' }],
    ['an unknown broker', { type: 'unregisterBrokerRecord', brokerId: 1, brokerEpoch: 1 }],
  ])('stops at %s', (_, record) => {
    expect(() => MutableImage.replay([...records, record])).toThrow()
  })
})
