import { describe, expect, it } from 'vitest'
import { type NodeId, ZERO_UUID } from '../../src/lib/ids.js'
import { MutableImage } from '../../src/metadata/replay.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { Cluster } from './cluster.js'

/** null: cancel. */
function reassign(cluster: Cluster, replicas: NodeId[] | null, allowReplicationFactorChange = true): number {
  const reply = cluster.decide({
    type: 'alterPartitionReassignments',
    allowReplicationFactorChange,
    partitions: [
      { topic: 't', partitionId: 0, ...(replicas === null ? {} : { replicas: { nodes: replicas } }) },
    ],
  })
  expect(MutableImage.replay(cluster.committed.toRecords()).toRecords()).toEqual(
    cluster.committed.toRecords(),
  )
  return reply.partitions[0]!.errorCode
}

/** '1 2 3 +4 -1': replicas, what is added, what is removed. */
function replicas(cluster: Cluster): string {
  const { replicas, directories, isr, addingReplicas, removingReplicas } = cluster.partition('t')
  // The directories move with the replicas; who has not been in sync yet holds nothing.
  replicas.forEach((id, i) => {
    if (isr.includes(id) || !addingReplicas.includes(id)) expect(directories[i]).toBe(`directory-${id}`)
  })
  return [replicas, addingReplicas.map((id) => `+${id}`), removingReplicas.map((id) => `-${id}`)]
    .flat()
    .join(' ')
}

function of(brokers: number, on: NodeId[], configs: Record<string, string> = {}): Cluster {
  const cluster = Cluster.of(brokers)
  cluster.createOn('t', on, configs)
  return cluster
}

describe('KIP-455: a reassignment', () => {
  it('holds the old replicas until all new ones are in sync, then moves the leadership and lets the old ones go', () => {
    const cluster = of(6, [1, 2, 3])
    expect(reassign(cluster, [4, 5, 6])).toBe(0)
    expect(replicas(cluster)).toBe('4 5 6 1 2 3 +4 +5 +6 -1 -2 -3')
    expect(cluster.state('t')).toBe('leader 1, isr 1 2 3, elr -')
    expect(cluster.alter(1, 't', [1, 2, 3, 4]).errorCode).toBe(0)
    expect(cluster.alter(1, 't', [1, 2, 3, 4, 5]).errorCode).toBe(0)
    expect(replicas(cluster)).toBe('4 5 6 1 2 3 +4 +5 +6 -1 -2 -3')
    const { leaderEpoch } = cluster.partition('t')
    expect(cluster.alter(1, 't', [1, 2, 3, 4, 5, 6]).errorCode).toBe(ErrorCode.NEW_LEADER_ELECTED)
    expect(cluster.last.map((record) => record.type)).toEqual(['partitionRecord'])
    expect(replicas(cluster)).toBe('4 5 6')
    expect(cluster.state('t')).toBe('leader 4, isr 4 5 6, elr -')
    expect(cluster.partition('t').leaderEpoch).toBe(leaderEpoch + 1)
  })

  it('begins a new leader epoch where a replica leaves, also under the same leader, so that it is forgotten there', () => {
    const cluster = of(4, [1, 2, 3])
    expect(reassign(cluster, [1, 2, 4])).toBe(0)
    const { leaderEpoch } = cluster.partition('t')
    expect(cluster.alter(1, 't', [1, 2, 3, 4]).errorCode).toBe(ErrorCode.NEW_LEADER_ELECTED)
    expect(replicas(cluster)).toBe('1 2 4')
    expect(cluster.state('t')).toBe('leader 1, isr 1 2 4, elr -')
    expect(cluster.partition('t').leaderEpoch).toBe(leaderEpoch + 1)
  })

  it('adds replicas without a new leader epoch', () => {
    const cluster = of(3, [1], { 'min.insync.replicas': '2' })
    expect(reassign(cluster, [1, 2, 3])).toBe(0)
    expect(cluster.alter(1, 't', [1, 2]).errorCode).toBe(0)
    expect(cluster.alter(1, 't', [1, 2, 3]).errorCode).toBe(0)
    expect(replicas(cluster)).toBe('1 2 3')
    expect(cluster.partition('t').leaderEpoch).toBe(0)
  })

  it('changes the order at once, where nothing moves', () => {
    const cluster = of(3, [1, 2, 3])
    expect(reassign(cluster, [3, 1, 2])).toBe(0)
    expect(replicas(cluster)).toBe('3 1 2')
    expect(cluster.state('t')).toBe('leader 1, isr 3 1 2, elr -')
    expect(reassign(cluster, [3, 1, 2])).toBe(0)
    expect(cluster.last).toEqual([])
  })

  it('takes replicas away at once where enough of the clusters are in sync, and waits where they are not', () => {
    const cluster = of(3, [1, 2, 3])
    expect(reassign(cluster, [2, 3])).toBe(0)
    expect(replicas(cluster)).toBe('2 3')
    expect(cluster.state('t')).toBe('leader 2, isr 2 3, elr -')

    const waiting = of(3, [1, 2, 3])
    waiting.kill(3)
    expect(reassign(waiting, [2, 3])).toBe(0)
    expect(replicas(waiting)).toBe('2 3 1 -1')
    waiting.start(3)
    waiting.alter(1, 't', [1, 2, 3])
    expect(replicas(waiting)).toBe('2 3')
  })

  it('does not raise the minimum ISR by replicas that are still being added', () => {
    const cluster = of(3, [1], { 'min.insync.replicas': '2' })
    reassign(cluster, [1, 2])
    // With a minimum of 2, broker 1 alone would be below it, and would stay eligible after leaving.
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
    cluster.alter(1, 't', [1, 2])
    cluster.kill(2)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr 2')
  })

  it('is completed by a lower minimum ISR', () => {
    const cluster = of(3, [1, 2, 3])
    cluster.kill(3)
    reassign(cluster, [2, 3])
    expect(replicas(cluster)).toBe('2 3 1 -1')
    cluster.setConfig('topic', 't', 'min.insync.replicas', '1')
    expect(replicas(cluster)).toBe('2 3')
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr -')
  })

  it('survives a change of the controller', () => {
    const cluster = of(4, [1, 2, 3])
    reassign(cluster, [2, 3, 4])
    cluster.failOver()
    expect(replicas(cluster)).toBe('2 3 4 1 +4 -1')
    cluster.alter(1, 't', [1, 2, 3, 4])
    expect(replicas(cluster)).toBe('2 3 4')
  })

  it('ends with its topic', () => {
    const cluster = of(4, [1, 2, 3])
    reassign(cluster, [2, 3, 4])
    cluster.decide({ type: 'deleteTopics', topics: [{ name: 't', topicId: ZERO_UUID }] })
    expect(reassign(cluster, null)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  it('gives further partitions as many replicas as the first will have', () => {
    const cluster = of(4, [1, 2])
    reassign(cluster, [3, 4])
    cluster.decide({
      type: 'createPartitions',
      validateOnly: false,
      topics: [{ name: 't', count: 2, assignments: [] }],
    })
    expect(cluster.partition('t', 1).replicas).toHaveLength(2)
  })
})

describe('brokers that go during a reassignment', () => {
  it('a new replica that is fenced before the end leaves the ISR, and the end waits for it', () => {
    const cluster = of(5, [1, 2, 3])
    reassign(cluster, [3, 4, 5])
    cluster.alter(1, 't', [1, 2, 3, 4])
    cluster.kill(4)
    cluster.alter(1, 't', [1, 2, 3, 5])
    expect(replicas(cluster)).toBe('3 4 5 1 2 +4 +5 -1 -2')
    cluster.start(4)
    cluster.alter(1, 't', [1, 2, 3, 4, 5])
    expect(cluster.state('t')).toBe('leader 3, isr 3 4 5, elr -')
  })

  it('a new replica in sync may come to lead, and the old ones stay until the end', () => {
    const cluster = of(6, [1, 2, 3])
    reassign(cluster, [4, 5, 6])
    cluster.alter(1, 't', [1, 4])
    cluster.kill(1)
    expect(cluster.state('t')).toBe('leader 4, isr 4, elr 1')
    expect(replicas(cluster)).toBe('4 5 6 1 2 3 +4 +5 +6 -1 -2 -3')
    // Broker 2 was not in sync: it holds nothing that it could lead with.
    cluster.kill(4)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 4 1')
  })

  it('one that is being added is elected uncleanly by command only: it may have nothing', () => {
    const cluster = of(4, [1, 2], { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' })
    reassign(cluster, [4, 1])
    cluster.alter(1, 't', [1])
    cluster.kill(1)
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr -')
    cluster.kill(2)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2')
    cluster.decide({ type: 'electLeaders', unclean: true, all: true, partitions: [] })
    expect(cluster.state('t')).toBe('leader 4, isr 4, elr -')
  })
})

describe('cancelling', () => {
  it('goes back to the replicas of before', () => {
    const cluster = of(6, [1, 2, 3])
    reassign(cluster, [4, 5, 6])
    cluster.alter(1, 't', [1, 2, 3, 4])
    expect(reassign(cluster, null)).toBe(0)
    expect(replicas(cluster)).toBe('1 2 3')
    expect(cluster.state('t')).toBe('leader 1, isr 1 2 3, elr -')
    expect(reassign(cluster, null)).toBe(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
  })

  it('gives the leadership back to an old replica', () => {
    const cluster = of(5, [1, 2, 3])
    reassign(cluster, [4, 5, 1])
    cluster.alter(1, 't', [1, 2, 3, 4])
    cluster.decide({ type: 'electLeaders', unclean: false, all: true, partitions: [] })
    expect(cluster.partition('t').leader).toBe(4)
    expect(reassign(cluster, null)).toBe(0)
    expect(cluster.state('t')).toBe('leader 1, isr 1 2 3, elr -')
  })

  it('is refused where the replicas that stay do not hold what was acknowledged, or are too few that do', () => {
    const cluster = of(6, [1, 2, 3])
    reassign(cluster, [4, 5, 6])
    cluster.alter(1, 't', [1, 4, 5])
    expect(reassign(cluster, null)).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT)
    cluster.kill(1)
    cluster.start(1)
    expect(cluster.state('t')).toBe('leader 4, isr 4 5, elr -')
    expect(reassign(cluster, null)).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT)
    cluster.alter(4, 't', [1, 2, 4, 5])
    expect(reassign(cluster, null)).toBe(0)
    expect(cluster.state('t')).toBe('leader 1, isr 1 2, elr -')
  })

  it('is refused where nobody of those that stay is up', () => {
    const cluster = of(5, [1, 2], { 'min.insync.replicas': '2' })
    reassign(cluster, [4, 5])
    cluster.alter(1, 't', [1, 2, 4])
    cluster.kill(2)
    cluster.kill(1)
    expect(cluster.state('t')).toBe('leader 4, isr 4, elr 1')
    expect(reassign(cluster, null)).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT)
  })
})

describe('a further reassignment of a partition that is being moved', () => {
  it('replaces it: what only the former one added goes at once', () => {
    const cluster = of(6, [1, 2, 3])
    reassign(cluster, [4, 5, 6])
    cluster.alter(1, 't', [1, 2, 3, 4])
    expect(reassign(cluster, [1, 2, 5])).toBe(0)
    expect(replicas(cluster)).toBe('1 2 5 3 +5 -3')
    expect(cluster.state('t')).toBe('leader 1, isr 1 2 3, elr -')
  })

  it('counts what the former one added as new, though it is in sync already', () => {
    const cluster = of(6, [1, 2, 3])
    reassign(cluster, [4, 5, 6])
    cluster.alter(1, 't', [1, 2, 3, 4])
    expect(reassign(cluster, [1, 2, 4])).toBe(0)
    expect(replicas(cluster)).toBe('1 2 4')
  })

  it('back to where it was ends it', () => {
    const cluster = of(6, [1, 2, 3])
    reassign(cluster, [4, 5, 6])
    expect(reassign(cluster, [1, 2, 3])).toBe(0)
    expect(replicas(cluster)).toBe('1 2 3')
  })
})

describe('what is refused', () => {
  it.each([
    ['no replicas', [], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ['a broker twice', [1, 1, 2], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ['an unknown broker', [1, 2, 9], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    ['a negative broker', [1, 2, -1], ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ])('%s', (_, target, errorCode) => {
    const cluster = of(4, [1, 2, 3])
    expect(reassign(cluster, target)).toBe(errorCode)
    expect(cluster.last).toEqual([])
  })

  it('ancluster number of replicas, where the request forbids it (KIP-860)', () => {
    const cluster = of(4, [1, 2, 3])
    expect(reassign(cluster, [1, 2], false)).toBe(ErrorCode.INVALID_REPLICATION_FACTOR)
    expect(reassign(cluster, [1, 2, 4], false)).toBe(0)
    // Of one that is going on, what it comes to counts.
    expect(reassign(cluster, [4, 3], false)).toBe(ErrorCode.INVALID_REPLICATION_FACTOR)
    expect(reassign(cluster, [4, 3, 2], false)).toBe(0)
  })

  it('partitions that do not exist; the others of the request are moved', () => {
    const cluster = of(4, [1, 2, 3])
    const { partitions } = cluster.decide({
      type: 'alterPartitionReassignments',
      allowReplicationFactorChange: true,
      partitions: [
        { topic: 'nowhere', partitionId: 0, replicas: { nodes: [1] } },
        { topic: 't', partitionId: 7, replicas: { nodes: [1] } },
        { topic: 't', partitionId: 0, replicas: { nodes: [2, 3, 4] } },
      ],
    })
    expect(partitions.map(({ errorCode }) => errorCode)).toEqual([3, 3, 0])
    expect(replicas(cluster)).toBe('2 3 4 1 +4 -1')
  })
})
