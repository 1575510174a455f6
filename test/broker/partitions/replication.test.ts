import { describe, expect, it } from 'vitest'
import { ErrorCode } from '../../../src/wire/errors.js'
import { BatchView, iterateBatches } from '../../../src/wire/records.js'
import { type Broker, batch, Cluster, TOPIC, TOPIC_ID } from './cluster.js'

function started(leader = 1): Cluster {
  const cluster = new Cluster()
  cluster.createTopic(leader)
  cluster.run(50)
  return cluster
}

/** Base offset, leader epoch and size of every batch on this node. */
function layout(node: Broker): string[] {
  const log = node.logs.get(TOPIC_ID, 0)!
  const { chunks } = log.read(log.logStartOffset, log.logEndOffset, 1 << 20, true)
  return chunks.flatMap((chunk) =>
    [...iterateBatches(chunk)].map(
      (view) => `${view.baseOffset}@${view.partitionLeaderEpoch}:${view.sizeInBytes}`,
    ),
  )
}

describe('replication', () => {
  it('acknowledges acks=all within a few milliseconds, and all replicas hold the record', () => {
    const cluster = started()
    const before = cluster.clock.nowMs
    const produced = cluster.node(1).append(batch(['a', 'b']))
    expect(cluster.clock.runUntilTrue(() => produced.result !== null, 100)).toBe(true)
    expect(produced.result).toMatchObject({ errorCode: 0, baseOffset: 0 })
    // Two network hops and two fsyncs of 1 ms, not a long poll of 500 ms.
    expect(cluster.clock.nowMs - before).toBeLessThan(10)
    cluster.run(600)
    for (const id of cluster.ids)
      expect(cluster.node(id).status).toMatchObject({ logEndOffset: 2, highWatermark: 2 })
    expect(layout(cluster.node(2))).toEqual(layout(cluster.node(1)))
  })

  it('goes by the default minimum ISR of as many brokers as there are, the moment it knows of them', () => {
    const cluster = new Cluster([1, 2], {})
    cluster.commit({ type: 'featureLevelRecord', name: 'kogge.version', level: 1 })
    cluster.createTopic(1)
    cluster.run(50)
    const append = (value: string): number | undefined => {
      const produced = cluster.node(1).append(batch([value]), { timeoutMs: 200 })
      cluster.run(250)
      return produced.result?.errorCode
    }
    cluster.node(2).kill()
    cluster.fence(2)
    cluster.run(100)
    expect(cluster.node(1).status.isr.committed).toEqual([1])
    expect(append('one is the minimum of two brokers')).toBe(ErrorCode.NONE)
    const third = cluster.registration(2)
    if (third.type !== 'registerBrokerRecord') throw new Error('a registration registers')
    cluster.commit({ ...third, brokerId: 3 })
    expect(append('two is the minimum of three')).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
    cluster.commit({ type: 'unregisterBrokerRecord', brokerId: 3, brokerEpoch: third.brokerEpoch })
    expect(append('one again')).toBe(ErrorCode.NONE)
  })

  it('never acknowledges before the copies of the ISR survive a power cut', () => {
    const cluster = started()
    const log = (id: number) => `${cluster.node(id).logs.get(TOPIC_ID, 0)!.directory}/${'0'.repeat(20)}.log`
    for (let round = 0; round < 20; round++) {
      const records = batch([`value-${round}`])
      const produced = cluster.node(1).append(records)
      cluster.clock.runUntilTrue(() => produced.result !== null, 1_000)
      expect(produced.result?.errorCode).toBe(0)
      for (const id of cluster.ids) {
        const { disk } = cluster.node(id)
        expect(disk.durableSize(log(id))).toBeGreaterThanOrEqual(disk.open(log(id)).size())
      }
    }
  })

  it('syncs a truncation before it goes on, also where acknowledgements do not wait for the disk', () => {
    const cluster = new Cluster()
    cluster.commit({ type: 'featureLevelRecord', name: 'flush.before.ack', level: 0 })
    cluster.createTopic(1)
    cluster.run(100)
    for (const id of [2, 3]) cluster.links.cutBoth('node-1', `node-${id}`)
    cluster.node(1).append(batch(['on one alone']), { acks: 1 })
    cluster.run(50)
    expect(cluster.node(1).status.logEndOffset).toBe(1)
    cluster.deaf.add(1)
    cluster.elect(2, [2, 3])
    const produced = cluster.node(2).append(batch(['a', 'b', 'c']))
    cluster.run(50)
    expect(produced.result?.errorCode).toBe(ErrorCode.NONE)
    cluster.node(1).disk.faults.syncLatencyMs = () => 500
    cluster.deaf.delete(1)
    cluster.links.healAll()
    cluster.node(1).catchUp()
    expect(cluster.clock.runUntilTrue(() => cluster.node(1).status.logEndOffset === 0, 2_000)).toBe(true)
    cluster.run(300)
    expect(cluster.node(1).status.logEndOffset).toBe(0)
    cluster.run(1_000)
    expect(cluster.node(1).status.logEndOffset).toBe(3)
  })

  it('counts the leader only after its own fsync, however fast the followers are', () => {
    const cluster = started()
    // The first one makes the log's files, which costs more than one fsync.
    cluster.node(1).append(batch(['first']))
    cluster.run(100)
    cluster.node(1).disk.faults.syncLatencyMs = () => 100
    const all = cluster.node(1).append(batch(['a']))
    const one = cluster.node(1).append(batch(['b']), { acks: 1 })
    cluster.run(90)
    expect(cluster.node(2).status.durableEndOffset).toBe(3)
    expect([all.result, one.result]).toEqual([null, null])
    cluster.run(20)
    expect([all.result?.errorCode, one.result?.errorCode]).toEqual([0, 0])
  })

  it('answers acks=1 after the leader’s own fsync though no follower lives', () => {
    const cluster = started()
    cluster.node(2).kill()
    cluster.node(3).kill()
    const one = cluster.node(1).append(batch(['a']), { acks: 1 })
    const all = cluster.node(1).append(batch(['b']), { timeoutMs: 300 })
    cluster.run(100)
    expect(one.result).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(all.result).toBeNull()
    cluster.run(300)
    expect(all.result?.errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
    expect(cluster.node(1).status.highWatermark).toBe(0)
  })

  it('shrinks the ISR at once when a follower is fenced, and what waited is acknowledged', () => {
    const cluster = started()
    cluster.node(3).kill()
    const produced = cluster.node(1).append(batch(['a']))
    cluster.run(100)
    expect(produced.result).toBeNull()
    cluster.fence(3)
    cluster.run(20)
    expect(produced.result?.errorCode).toBe(0)
    expect(cluster.image.topicsById.get(TOPIC_ID)!.partitions[0]!.isr).toEqual([1, 2])
  })

  it('keeps its followers in the ISR though it stood still for longer than they may lag', () => {
    const cluster = started()
    const leader = cluster.node(1)
    const produced = leader.append(batch(['a']), { timeoutMs: 60_000 })
    cluster.run(0)
    leader.process.pause()
    cluster.run(12_000)
    leader.process.resume()
    cluster.run(1_000)
    expect(produced.result?.errorCode).toBe(0)
    expect(cluster.alterPartitionRequests).toEqual([])
  })

  it('refuses acks=all below the minimum ISR before anything is written', () => {
    const cluster = started()
    cluster.node(2).kill()
    cluster.node(3).kill()
    cluster.fence(2)
    cluster.fence(3)
    cluster.run(50)
    const produced = cluster.node(1).append(batch(['a']))
    cluster.run(10)
    expect(produced.result?.errorCode).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
    expect(cluster.node(1).status.logEndOffset).toBe(0)
  })

  it('takes a restarted follower back into the ISR, also while nothing is produced', () => {
    const cluster = started()
    cluster.node(1).append(batch(['a']))
    cluster.run(50)
    cluster.node(3).kill()
    cluster.fence(3)
    cluster.run(50)
    cluster.node(1).append(batch(['b']))
    cluster.run(50)
    cluster.node(3).start()
    cluster.run(50)
    cluster.commit(cluster.registration(3))
    cluster.run(1_000)
    expect(new Set(cluster.image.topicsById.get(TOPIC_ID)!.partitions[0]!.isr)).toEqual(new Set([1, 2, 3]))
    expect(layout(cluster.node(3))).toEqual(layout(cluster.node(1)))
  })

  it('follows a new leader at once with every partition, though their fsyncs end at different times', () => {
    const cluster = new Cluster([1, 3])
    const other = 'T3RoZXJzT3RoZXJzT3RoZQ'
    cluster.createTopic(3)
    const { replicas, directories } = cluster.image.topicsById.get(TOPIC_ID)!.partitions[0]!
    cluster.commit(
      { type: 'topicRecord', name: 'others', topicId: other },
      {
        type: 'partitionRecord',
        topicId: other,
        partitionId: 0,
        replicas: [...replicas],
        directories: [...directories],
        isr: [1, 3],
        elr: [],
        lastKnownElr: [],
        addingReplicas: [],
        removingReplicas: [],
        leader: 3,
        leaderRecovering: false,
        leaderEpoch: 0,
        partitionEpoch: 0,
      },
    )
    cluster.run(600)
    const slow = [1, 50]
    cluster.node(3).disk.faults.syncLatencyMs = () => slow.shift() ?? 1
    const moved = [TOPIC_ID, other].map((topicId) => ({
      type: 'partitionChangeRecord' as const,
      topicId,
      partitionId: 0,
      leader: 1,
      isr: { nodes: [1, 3] },
    }))
    cluster.commit(...moved)
    cluster.run(60)
    let errorCode = -1
    cluster.node(1).process.schedule(0, () => {
      const asked = { requiredAcks: -1, timeoutMs: 5_000, origin: 'client' } as const
      cluster.node(1).partitions.appendAsLeader(other, 0, batch(['a']), asked, (result) => {
        errorCode = result.errorCode
      })
    })
    cluster.run(60)
    expect(errorCode).toBe(0)
  })

  it('takes a leader for lost whose connection broke, not one that answered with an error', () => {
    const cluster = started()
    const { brokerEpoch } = cluster.node(3)
    cluster.commit(cluster.registration(3))
    cluster.node(3).brokerEpoch = brokerEpoch // it learns of its registration later
    cluster.run(1_000)
    expect(cluster.lostLeaders).toEqual([])
    cluster.node(3).brokerEpoch = cluster.image.brokers.get(3)!.epoch
    cluster.run(1_000)
    cluster.node(1).kill()
    cluster.run(50)
    expect(cluster.lostLeaders.sort()).toEqual([1, 1])
  })

  it('follows the configurations that came with a snapshot', () => {
    const cluster = started()
    cluster.deaf.add(1)
    cluster.commit({
      type: 'configRecord',
      resourceType: 'topic',
      resourceName: TOPIC,
      name: 'segment.bytes',
      value: '160',
    })
    cluster.deaf.clear()
    cluster.node(1).applySnapshot()
    cluster.run(50)
    for (let round = 0; round < 3; round++) cluster.node(1).append(batch(['a']))
    cluster.run(50)
    const { directory } = cluster.node(1).logs.get(TOPIC_ID, 0)!
    const segments = cluster
      .node(1)
      .disk.list(directory)
      .filter((name) => name.endsWith('.log'))
    expect(segments).toHaveLength(2)
  })

  it('replicates what many turns bring, in order and without a copy', () => {
    const cluster = started()
    const produced = Array.from({ length: 200 }, (_, index) => cluster.node(1).append(batch([`${index}`])))
    cluster.run(1_500)
    expect(produced.map(({ result }) => result?.baseOffset)).toEqual(produced.map((_, index) => index))
    for (const id of [2, 3]) expect(layout(cluster.node(id))).toEqual(layout(cluster.node(1)))
  })
})

describe('a change of the leader', () => {
  it('answers what waits with the new leader, and cuts what only the old one wrote (KIP-101)', () => {
    const cluster = started()
    cluster.node(1).append(batch(['a']))
    cluster.run(50)
    cluster.links.cutBoth('node-1', 'node-2')
    cluster.links.cutBoth('node-1', 'node-3')
    cluster.deaf.add(1)
    const lost = cluster.node(1).append(batch(['lost']))
    cluster.elect(2, [2, 3])
    cluster.run(50)
    const kept = cluster.node(2).append(batch(['kept']))
    cluster.run(100)
    expect(lost.result).toBeNull()
    expect(kept.result).toMatchObject({ errorCode: 0, baseOffset: 1 })
    cluster.deaf.delete(1)
    cluster.node(1).catchUp()
    cluster.run(10)
    expect(lost.result).toMatchObject({
      errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER,
      leaderId: 2,
      leaderEpoch: 1,
    })
    cluster.links.healAll()
    cluster.run(2_000)
    expect(layout(cluster.node(1))).toEqual(layout(cluster.node(2)))
    expect(cluster.node(1).status).toMatchObject({ highWatermark: 2, role: 'follower' })
  })

  it('leaves a zombie leader unable to acknowledge anything', () => {
    const cluster = started()
    cluster.deaf.add(1)
    cluster.elect(2, [2, 3])
    cluster.run(50)
    const zombie = cluster.node(1).append(batch(['zombie']), { timeoutMs: 60_000 })
    cluster.run(15_000)
    expect(zombie.result).toBeNull()
    expect(cluster.node(1).status.highWatermark).toBe(0)
  })

  it('marks the epoch’s start even where nothing was ever written (KIP-279)', () => {
    const cluster = started()
    cluster.elect(2, [1, 2, 3])
    cluster.run(50)
    const log = cluster.node(2).logs.get(TOPIC_ID, 0)!
    expect(log.latestEpoch).toBe(1)
    expect(log.endOffsetForEpoch(1)).toEqual({ epoch: 1, endOffset: 0 })
  })

  it('tells its listeners of leaderships, with the epochs', () => {
    const cluster = new Cluster()
    const heard: string[] = []
    cluster.node(1).partitions.onLeadership(({ isLeader, leaderEpoch, epochStartOffset }) => {
      heard.push(`${isLeader ? 'leads' : 'lost'} ${leaderEpoch} from ${epochStartOffset}`)
    })
    cluster.createTopic(1)
    cluster.run(50)
    cluster.elect(2, [1, 2, 3])
    cluster.run(50)
    cluster.elect(1, [1, 2, 3])
    cluster.run(50)
    expect(heard).toEqual(['leads 0 from 0', 'lost 0 from -1', 'leads 2 from 0'])
  })

  it('does not let a restarted broker lead an epoch of its former life', () => {
    const cluster = started()
    cluster.node(1).kill()
    cluster.node(1).start()
    cluster.run(100)
    expect(cluster.node(1).partitions.list()).toEqual([])
    cluster.commit(cluster.registration(1))
    cluster.elect(1, [1, 2, 3])
    cluster.run(100)
    expect(cluster.node(1).status).toMatchObject({ role: 'leader', leaderEpoch: 1 })
  })
})

describe('idempotence across an election', () => {
  it('answers a retry at the new leader with the original offset', () => {
    const cluster = started()
    const send = (node: number, sequence: number) =>
      cluster.node(node).append(batch(['x'], { producerId: 9, producerEpoch: 0, baseSequence: sequence }))
    send(1, 0)
    send(1, 1)
    cluster.run(600)
    cluster.elect(2, [1, 2, 3])
    cluster.run(50)
    const again = send(2, 1)
    const next = send(2, 2)
    const gap = send(2, 9)
    cluster.run(100)
    expect(again.result).toMatchObject({ errorCode: 0, baseOffset: 1 })
    expect(next.result).toMatchObject({ errorCode: 0, baseOffset: 2 })
    expect(gap.result?.errorCode).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
  })

  it('rebuilds the producers from the log after a crash', () => {
    const cluster = started()
    const records = () => batch(['x'], { producerId: 9, producerEpoch: 0, baseSequence: 0 })
    cluster.node(1).append(records())
    cluster.run(600)
    cluster.node(1).kill()
    cluster.node(1).start()
    cluster.run(50)
    cluster.commit(cluster.registration(1))
    cluster.elect(1, [1, 2, 3])
    cluster.run(600)
    const again = cluster.node(1).append(records())
    cluster.run(50)
    expect(again.result).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(cluster.node(1).status.logEndOffset).toBe(1)
  })

  it('forgets what was cut off: a retry of it is appended', () => {
    const cluster = started()
    const records = () => batch(['x'], { producerId: 9, producerEpoch: 0, baseSequence: 0 })
    cluster.links.cutBoth('node-1', 'node-2')
    cluster.links.cutBoth('node-1', 'node-3')
    cluster.node(1).append(records())
    cluster.run(20)
    cluster.elect(2, [2, 3])
    cluster.links.healAll()
    cluster.run(2_000)
    expect(cluster.node(1).status.logEndOffset).toBe(0)
    cluster.elect(1, [1, 2, 3])
    cluster.run(600)
    const again = cluster.node(1).append(records())
    cluster.run(100)
    expect(again.result).toMatchObject({ errorCode: 0, baseOffset: 0 })
    expect(cluster.node(1).status.logEndOffset).toBe(1)
  })
})

describe('topics', () => {
  it('are told apart by id: a topic made anew under the old name begins empty', () => {
    const cluster = started()
    cluster.node(1).append(batch(['a']))
    cluster.run(50)
    const other = 'T3RoZXJzT3RoZXJzT3RoZQ'
    const [partition] = cluster.image.topicsById.get(TOPIC_ID)!.partitions
    cluster.commit(
      { type: 'removeTopicRecord', topicId: TOPIC_ID },
      { type: 'topicRecord', name: TOPIC, topicId: other },
      {
        type: 'partitionRecord',
        topicId: other,
        partitionId: 0,
        replicas: [...partition!.replicas],
        directories: [...partition!.directories],
        isr: [1, 2, 3],
        elr: [],
        lastKnownElr: [],
        addingReplicas: [],
        removingReplicas: [],
        leader: 2,
        leaderRecovering: false,
        leaderEpoch: 0,
        partitionEpoch: 0,
      },
    )
    cluster.run(100)
    for (const id of cluster.ids) {
      expect(cluster.node(id).partitions.list()).toMatchObject([{ topicId: other, logEndOffset: 0 }])
    }
  })
})

describe('a damaged batch', () => {
  it('is refused and writes nothing', () => {
    const cluster = started()
    const records = batch(['a'])
    records[records.length - 1]! ^= 1
    const produced = cluster.node(1).append(records)
    cluster.run(10)
    expect(produced.result?.errorCode).toBe(ErrorCode.CORRUPT_MESSAGE)
    expect(cluster.node(1).status.logEndOffset).toBe(0)
  })

  it('keeps offsets and epoch out of its CRC: a replica holds the producer’s bytes', () => {
    const cluster = started()
    const records = batch(['a'])
    const { crc } = new BatchView(records)
    cluster.node(1).append(records)
    cluster.run(100)
    const slice = cluster
      .node(3)
      .logs.get(TOPIC_ID, 0)!
      .read(0, 1, 1 << 20, true)
    expect(new BatchView(slice.chunks[0]!).crc).toBe(crc)
  })
})
