import { describe, expect, it } from 'vitest'
import { ConfigView } from '../../src/metadata/configs.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { Cluster } from './cluster.js'

/** Three brokers, a topic of one partition on all of them, min.insync.replicas 2. */
function threeReplicas(configs: Record<string, string> = {}, properties: [string, string][] = []): Cluster {
  const cluster = Cluster.of(3, { properties: new Map(properties) })
  cluster.createOn('t', [1, 2, 3], configs)
  expect(cluster.state('t')).toBe('leader 1, isr 1 2 3, elr -')
  return cluster
}

describe('KIP-966: eligible leader replicas', () => {
  it('who leaves while the ISR is below the minimum stays eligible, and the ISR may become empty', () => {
    const cluster = threeReplicas()
    cluster.kill(1)
    expect(cluster.state('t')).toBe('leader 2, isr 2 3, elr -')
    cluster.kill(2)
    expect(cluster.state('t')).toBe('leader 3, isr 3, elr 2')
    cluster.kill(3)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2 3')
  })

  it('who left while the ISR was large enough never leads uncleanly', () => {
    const cluster = threeReplicas()
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.start(1)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2 3')
  })

  it('an eligible replica that returns leads, and the other stays eligible', () => {
    const cluster = threeReplicas()
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.start(2)
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr 3')
  })

  it('the ELR is cleared when the ISR reaches the minimum', () => {
    const cluster = threeReplicas()
    for (const id of [1, 2, 3]) cluster.kill(id)
    for (const id of [1, 2, 3]) cluster.start(id)
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr 3')
    expect(cluster.alter(2, 't', [2, 1]).errorCode).toBe(0)
    expect(cluster.state('t')).toBe('leader 2, isr 1 2, elr -')
  })

  it('a member of the ELR that joins the ISR leaves the ELR', () => {
    const cluster = threeReplicas({ 'min.insync.replicas': '3' })
    cluster.kill(3)
    expect(cluster.state('t')).toBe('leader 1, isr 1 2, elr 3')
    cluster.kill(2)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr 2 3')
    cluster.start(3)
    cluster.alter(1, 't', [1, 3])
    expect(cluster.state('t')).toBe('leader 1, isr 1 3, elr 2')
  })

  it('killing all at once and restarting all elects one of the last members', () => {
    const cluster = threeReplicas()
    cluster.failOver()
    for (const id of [3, 2, 1]) cluster.register(id)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 1 2')
    for (const id of [3, 2, 1]) cluster.heartbeat(id)
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr 1')
  })

  it('with one replica the minimum is one', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [2])
    cluster.kill(2)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2')
    cluster.start(2)
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr -')
  })

  it('without flush.before.ack a restart empties the sets, and the last leader returns recovering', () => {
    const cluster = threeReplicas({}, [['flush.before.ack', 'false']])
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.start(2)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 3')
    cluster.start(3)
    expect(cluster.state('t')).toBe('leader 3, isr 3, elr -')
    expect(cluster.partition('t').leaderRecovering).toBe(true)
  })
})

describe('quarantined replicas', () => {
  it('leave the ISR at once; a leader loses its leadership', () => {
    const cluster = threeReplicas()
    const topicId = cluster.committed.topicsByName.get('t')!.id
    cluster.heartbeat(1, { quarantined: [{ topicId, partitionId: 0 }] })
    expect(cluster.state('t')).toBe('leader 2, isr 2 3, elr -')
    cluster.heartbeat(1, { quarantined: [{ topicId, partitionId: 0 }] })
    expect(cluster.last).toEqual([])
  })

  it.each([
    [
      'quarantined',
      (cluster: Cluster, topicId: string) => {
        cluster.heartbeat(3, { quarantined: [{ topicId, partitionId: 0 }] })
      },
    ],
    [
      'on a wiped disk',
      (cluster: Cluster) => {
        cluster.kill(3)
        cluster.start(3, { directoryIds: ['directory-3-new'] })
      },
    ],
  ])('%s are not the last known leader either, who returns without flush.before.ack', (_, lose) => {
    const cluster = threeReplicas({ 'min.insync.replicas': '1' }, [['flush.before.ack', 'false']])
    for (const id of [1, 2]) cluster.kill(id)
    for (const id of [1, 2]) cluster.start(id)
    expect(cluster.state('t')).toBe('leader 3, isr 3, elr -')
    lose(cluster, cluster.committed.topicsByName.get('t')!.id)
    cluster.kill(1)
    cluster.start(1)
    // Its empty log would make the others cut theirs.
    expect(cluster.state('t')).toBe('leader -1, isr -, elr -')
    expect(cluster.partition('t').lastKnownElr).toEqual([])
  })

  it('are the last to be elected uncleanly', () => {
    const cluster = threeReplicas({ 'min.insync.replicas': '1', 'unclean.leader.election.enable': 'true' })
    for (const id of [2, 3]) cluster.kill(id)
    for (const id of [2, 3]) cluster.start(id)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
    const topicId = cluster.committed.topicsByName.get('t')!.id
    cluster.heartbeat(1, { quarantined: [{ topicId, partitionId: 0 }] })
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr -')
  })

  it('are not eligible, and do not lead when their broker is unfenced with the same heartbeat', () => {
    const cluster = threeReplicas()
    const topicId = cluster.committed.topicsByName.get('t')!.id
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.register(3)
    expect(cluster.heartbeat(3, { quarantined: [{ topicId, partitionId: 0 }] }).isFenced).toBe(false)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2')
  })

  it('of which none is left are never elected but uncleanly', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [2])
    const topicId = cluster.committed.topicsByName.get('t')!.id
    cluster.heartbeat(2, { quarantined: [{ topicId, partitionId: 0 }] })
    expect(cluster.state('t')).toBe('leader -1, isr -, elr -')
    expect(cluster.partition('t').lastKnownElr).toEqual([])
    const reply = cluster.decide({
      type: 'electLeaders',
      unclean: true,
      all: false,
      partitions: [{ topic: 't', partitionId: 0 }],
    })
    expect(reply.partitions[0]!.errorCode).toBe(0)
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr -')
  })
})

describe('AlterPartitions', () => {
  it('shrinks and expands, each with a new partition epoch and the same leader epoch', () => {
    const cluster = threeReplicas()
    const before = cluster.partition('t')
    expect(cluster.alter(1, 't', [1, 2])).toMatchObject({
      errorCode: 0,
      isr: [1, 2],
      partitionEpoch: before.partitionEpoch + 1,
    })
    expect(cluster.alter(1, 't', [1, 2, 3])).toMatchObject({
      errorCode: 0,
      isr: [1, 2, 3],
      leaderEpoch: before.leaderEpoch,
    })
  })

  it('the loser of a race gets INVALID_UPDATE_VERSION', () => {
    const cluster = threeReplicas()
    const { partitionEpoch } = cluster.partition('t')
    cluster.kill(3)
    expect(cluster.alter(1, 't', [1, 3], { partitionEpoch }).errorCode).toBe(ErrorCode.INVALID_UPDATE_VERSION)
    expect(cluster.last).toEqual([])
  })

  it('a retry of what has succeeded succeeds again (KAFKA-14144)', () => {
    const cluster = threeReplicas()
    const { partitionEpoch } = cluster.partition('t')
    const first = cluster.alter(1, 't', [1, 2], { partitionEpoch })
    expect(cluster.alter(1, 't', [1, 2], { partitionEpoch })).toEqual(first)
    expect(cluster.last).toEqual([])
  })

  it('a deposed leader is fenced by the leader epoch', () => {
    const cluster = threeReplicas()
    const { leaderEpoch, partitionEpoch } = cluster.partition('t')
    cluster.kill(1)
    cluster.heartbeat(1)
    const reply = cluster.alter(1, 't', [1], { leaderEpoch, partitionEpoch })
    expect(reply).toMatchObject({ errorCode: ErrorCode.FENCED_LEADER_EPOCH, leader: 2 })
  })

  it('a leader that knows more than this controller goes to the real one', () => {
    const cluster = threeReplicas()
    const ahead = cluster.partition('t').partitionEpoch + 1
    expect(cluster.alter(1, 't', [1, 2], { partitionEpoch: ahead }).errorCode).toBe(ErrorCode.NOT_CONTROLLER)
  })

  it('refuses a fenced replica, one that shuts down, and one of an older epoch', () => {
    const cluster = threeReplicas()
    cluster.kill(3)
    expect(cluster.alter(1, 't', [1, 2, 3]).errorCode).toBe(ErrorCode.INELIGIBLE_REPLICA)
    const oldEpoch = cluster.epoch(3)
    cluster.start(3)
    expect(cluster.alter(1, 't', [1, 2, 3], { brokerEpochs: { 3: oldEpoch } }).errorCode).toBe(
      ErrorCode.INELIGIBLE_REPLICA,
    )
    cluster.heartbeat(3, { wantShutDown: true })
    expect(cluster.alter(1, 't', [1, 2, 3]).errorCode).toBe(ErrorCode.INELIGIBLE_REPLICA)
    expect(cluster.state('t')).toBe('leader 1, isr 1 2, elr -')
  })

  it('refuses an ISR without the leader, a stranger, a double, and who does not lead', () => {
    const cluster = threeReplicas()
    for (const isr of [
      [2, 3],
      [1, 9],
      [1, 1],
    ]) {
      expect(cluster.alter(1, 't', isr).errorCode).toBe(ErrorCode.INVALID_REQUEST)
    }
    expect(cluster.alter(2, 't', [1, 2]).errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })

  it('refuses a broker of an older epoch as a whole', () => {
    const cluster = threeReplicas()
    const reply = cluster.decide({ type: 'alterPartitions', brokerId: 1, brokerEpoch: 0, partitions: [] })
    expect(reply.errorCode).toBe(ErrorCode.STALE_BROKER_EPOCH)
  })

  it('knows no partition of an unknown topic', () => {
    const cluster = threeReplicas()
    const asked = {
      topicId: 'x',
      partitionId: 0,
      leaderEpoch: 0,
      partitionEpoch: 0,
      newIsr: [],
      leaderRecovering: false,
    }
    const reply = cluster.decide({
      type: 'alterPartitions',
      brokerId: 1,
      brokerEpoch: cluster.epoch(1),
      partitions: [asked],
    })
    expect(reply.partitions[0]!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  it('a recovering leader stays alone until it has recovered', () => {
    const cluster = threeReplicas({ 'unclean.leader.election.enable': 'true' })
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.start(1)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
    cluster.start(2)
    expect(cluster.alter(1, 't', [1, 2], { leaderRecovering: true }).errorCode).toBe(
      ErrorCode.INVALID_REQUEST,
    )
    expect(cluster.alter(1, 't', [1], { leaderRecovering: false }).errorCode).toBe(0)
    expect(cluster.alter(1, 't', [1, 2]).errorCode).toBe(0)
    expect(cluster.alter(1, 't', [1, 2], { leaderRecovering: true }).errorCode).toBe(
      ErrorCode.INVALID_REQUEST,
    )
  })
})

describe('elections', () => {
  const elect = (cluster: Cluster, unclean: boolean, all = false) =>
    cluster.decide({
      type: 'electLeaders',
      unclean,
      all,
      partitions: all ? [] : [{ topic: 't', partitionId: 0 }],
    }).partitions

  it('gives the leadership back to the preferred replica', () => {
    const cluster = threeReplicas()
    expect(elect(cluster, false)[0]!.errorCode).toBe(ErrorCode.ELECTION_NOT_NEEDED)
    cluster.kill(1)
    expect(elect(cluster, false)[0]!.errorCode).toBe(ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE)
    cluster.start(1)
    cluster.alter(2, 't', [1, 2, 3])
    expect(elect(cluster, false)[0]!.errorCode).toBe(0)
    expect(cluster.state('t')).toBe('leader 1, isr 1 2 3, elr -')
    expect(elect(cluster, false, true)).toEqual([])
  })

  it('elects uncleanly only where there is no leader, and somebody is up', () => {
    const cluster = threeReplicas()
    expect(elect(cluster, true)[0]!.errorCode).toBe(ErrorCode.ELECTION_NOT_NEEDED)
    for (const id of [1, 2, 3]) cluster.kill(id)
    expect(elect(cluster, true)[0]!.errorCode).toBe(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE)
    cluster.start(1)
    expect(elect(cluster, true)[0]!.errorCode).toBe(0)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
    expect(cluster.partition('t').leaderRecovering).toBe(true)
  })

  it('turning unclean elections on elects at once', () => {
    const cluster = threeReplicas()
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.start(1)
    cluster.setConfig('topic', 't', 'unclean.leader.election.enable', 'true')
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
  })

  it('names what it does not know', () => {
    const cluster = Cluster.of(1)
    expect(elect(cluster, false)[0]!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  it('returns leaderships by itself at the interval', () => {
    const cluster = threeReplicas({}, [['leader.imbalance.check.interval.seconds', '10']])
    cluster.kill(1)
    cluster.start(1)
    cluster.alter(2, 't', [1, 2, 3])
    cluster.pass(9_000, [1, 2, 3])
    expect(cluster.partition('t').leader).toBe(2)
    cluster.pass(1_100, [1, 2, 3])
    expect(cluster.partition('t').leader).toBe(1)
  })
})

describe('min.insync.replicas', () => {
  it('a lower minimum clears the ELR in the same batch', () => {
    const cluster = threeReplicas({ 'min.insync.replicas': '3' })
    cluster.kill(3)
    expect(cluster.state('t')).toBe('leader 1, isr 1 2, elr 3')
    cluster.setConfig('topic', 't', 'min.insync.replicas', '2')
    expect(cluster.last.map(({ type }) => type)).toEqual(['configRecord', 'partitionChangeRecord'])
    expect(cluster.state('t')).toBe('leader 1, isr 1 2, elr -')
  })

  it('is one for all, also while the nodes are restarted with another static value', () => {
    const cluster = threeReplicas({}, [['min.insync.replicas', '1']])
    cluster.options.properties = new Map([['min.insync.replicas', '2']])
    cluster.failOver()
    const minimumOf = (value: string): number =>
      new ConfigView({
        nodeId: 1,
        properties: new Map([['min.insync.replicas', value]]),
        configuredBrokers: 3,
        image: () => cluster.committed,
      }).topic('t').minInsyncReplicas
    expect([minimumOf('1'), minimumOf('2')]).toEqual([1, 1])
    // The leader goes on alone, so nobody whom it leaves behind may stay eligible.
    cluster.alter(1, 't', [1])
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
    cluster.setConfig('broker', '', 'min.insync.replicas', '2')
    expect([minimumOf('1'), minimumOf('2')]).toEqual([2, 2])
  })

  it('a higher minimum refuses ISR changes that were decided under the old one', () => {
    const cluster = threeReplicas({ 'min.insync.replicas': '1' })
    const before = cluster.index
    const { leaderEpoch, partitionEpoch } = cluster.partition('t')
    cluster.setConfig('topic', 't', 'min.insync.replicas', '2')
    expect(cluster.last).toHaveLength(1)
    const shrink = (appliedIndex: number) =>
      cluster.decide({
        type: 'alterPartitions',
        brokerId: 1,
        brokerEpoch: cluster.epoch(1),
        appliedIndex,
        partitions: [
          {
            topicId: cluster.committed.topicsByName.get('t')!.id,
            partitionId: 0,
            leaderEpoch,
            partitionEpoch,
            leaderRecovering: false,
            newIsr: [{ brokerId: 1, brokerEpoch: cluster.epoch(1) }],
          },
        ],
      })
    // Under the old minimum it would advance without 2 and 3, which are eligible under the new one.
    expect(shrink(before).errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
    expect(cluster.state('t')).toBe('leader 1, isr 1 2 3, elr -')
    expect(shrink(cluster.index).errorCode).toBe(0)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr 2 3')
  })

  it('after a change of the controller, too', () => {
    const cluster = threeReplicas({ 'min.insync.replicas': '1' })
    const before = cluster.index
    cluster.setConfig('topic', 't', 'min.insync.replicas', '2')
    cluster.failOver()
    const shrink = {
      type: 'alterPartitions' as const,
      brokerId: 1,
      brokerEpoch: cluster.epoch(1),
      partitions: [],
    }
    expect(cluster.decide(shrink).errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
    expect(cluster.decide({ ...shrink, appliedIndex: before }).errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
    cluster.heartbeat(1)
    expect(cluster.decide(shrink).errorCode).toBe(0)
  })

  it('of all brokers cannot be removed (KIP-966): what a leader counts by must not depend on its file', () => {
    const cluster = threeReplicas()
    expect(cluster.committed.brokerConfig('').get('min.insync.replicas')).toBe('2')
    const result = cluster.setConfig('broker', '', 'min.insync.replicas')
    expect(result.errorCode).toBe(ErrorCode.INVALID_CONFIG)
    expect(cluster.last).toEqual([])
    const replaced = cluster.decide({
      type: 'alterConfigs',
      validateOnly: false,
      replaceAll: true,
      resources: [{ resourceType: 'broker', resourceName: '', operations: [] }],
    })
    expect(replaced.resources[0]!.errorCode).toBe(ErrorCode.INVALID_CONFIG)
    expect(cluster.setConfig('broker', '', 'min.insync.replicas', '1').errorCode).toBe(0)
  })

  it('the third broker to register raises the default for all', () => {
    const cluster = Cluster.of(2)
    cluster.createOn('t', [1, 2])
    cluster.register(3)
    cluster.kill(2)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr 2')
  })
})
