import { describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../src/lib/ids.js'
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

  it('returns the leaderships of a broker by itself only above the percentage, in bounded batches', () => {
    const properties = new Map([['leader.imbalance.per.broker.percentage', '10']])
    const cluster = Cluster.of(3, { properties, maxBatchRecords: 4 })
    for (let i = 0; i < 20; i++) cluster.createOn(`t${i}`, [1, 2, 3])
    const led = () => Array.from({ length: 20 }, (_, i) => cluster.partition(`t${i}`).leader)
    const move = (i: number) => {
      cluster.alter(1, `t${i}`, [1, 2, 3])
      cluster.kill(1)
      cluster.start(1)
    }
    move(0)
    expect(led()).not.toContain(1)
    for (let i = 0; i < 17; i++) cluster.alter(2, `t${i}`, [1, 2, 3])
    cluster.pass(299_900, [1, 2, 3])
    expect(led()).not.toContain(1)
    cluster.pass(100, [1, 2, 3])
    expect(led().filter((leader) => leader === 1)).toHaveLength(4)
    cluster.pass(1_000, [1, 2, 3])
    // Three of them are not in sync on broker 1.
    expect(led().filter((leader) => leader === 1)).toHaveLength(17)
    for (let i = 17; i < 20; i++) cluster.alter(2, `t${i}`, [1, 2, 3])
    cluster.pass(300_000, [1, 2, 3])
    expect(led().filter((leader) => leader === 1)).toHaveLength(20)
  })

  it('tolerates an imbalance up to the percentage', () => {
    const cluster = Cluster.of(3, { properties: new Map([['leader.imbalance.per.broker.percentage', '50']]) })
    for (let i = 0; i < 2; i++) cluster.createOn(`t${i}`, [1, 2, 3])
    // Broker 1 leaves the ISR of t0 alone, which 2 leads from then on.
    const topicId = cluster.committed.topicsByName.get('t0')!.id
    cluster.heartbeat(1, { quarantined: [{ topicId, partitionId: 0 }] })
    cluster.alter(2, 't0', [1, 2, 3])
    expect([cluster.partition('t0').leader, cluster.partition('t1').leader]).toEqual([2, 1])
    cluster.pass(600_000, [1, 2, 3])
    expect(cluster.partition('t0').leader).toBe(2)
    cluster.options.properties = new Map([['leader.imbalance.per.broker.percentage', '49']])
    cluster.failOver()
    cluster.pass(300_100, [1, 2, 3])
    expect(cluster.partition('t0').leader).toBe(1)
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

describe('KIP-966: unclean shutdown without flush.before.ack', () => {
  const lossy: [string, string][] = [['flush.before.ack', 'false']]

  /** Everybody dies at once, 3 last: ISR empty, ELR 2 3. */
  function allDown(): Cluster {
    const cluster = threeReplicas({}, lossy)
    for (const id of [1, 2, 3]) cluster.kill(id)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2 3')
    return cluster
  }

  it('a clean stop keeps the place in the ELR: the mark names the epoch that is registered', () => {
    const cluster = allDown()
    cluster.start(2, { previousBrokerEpoch: cluster.epoch(2) })
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr 3')
    expect(cluster.partition('t').leaderRecovering).toBe(false)
  })

  it.each([
    ['without a mark', () => undefined],
    ['with the mark of an older epoch', (cluster: Cluster) => cluster.epoch(2) - 1],
  ])('%s the place is lost', (_, previous) => {
    const cluster = allDown()
    const previousBrokerEpoch = previous(cluster)
    cluster.start(2, previousBrokerEpoch === undefined ? {} : { previousBrokerEpoch })
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 3')
  })

  it('an unregistration in between proves nothing: the place is lost', () => {
    const cluster = allDown()
    const previousBrokerEpoch = cluster.epoch(2)
    cluster.decide({ type: 'unregisterBroker', brokerId: 2 })
    cluster.start(2, { previousBrokerEpoch })
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 3')
  })

  it('the last leader returns, whoever of the eligible ones comes back first', () => {
    const cluster = allDown()
    cluster.start(3)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2')
    expect(cluster.partition('t').lastKnownElr).toEqual([3])
    cluster.start(2)
    expect(cluster.state('t')).toBe('leader 3, isr 3, elr -')
    expect(cluster.partition('t')).toMatchObject({ leaderRecovering: true, lastKnownElr: [] })
  })

  it('with flush.before.ack all of them keep their places, also where all are killed at once', () => {
    const cluster = threeReplicas()
    for (const id of [1, 2, 3]) cluster.kill(id)
    for (const id of [1, 2, 3]) cluster.register(id)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2 3')
    cluster.heartbeat(3)
    expect(cluster.state('t')).toBe('leader 3, isr 3, elr 2')
  })
})

describe('unclean elections and replicas that hold nothing', () => {
  /** 1 has led alone and is down; 2 is wiped; 3 is down. */
  function wiped(): Cluster {
    const cluster = threeReplicas({ 'min.insync.replicas': '1', 'unclean.leader.election.enable': 'true' })
    for (const id of [2, 3, 1]) cluster.kill(id)
    cluster.start(2, { directoryIds: ['directory-2-new'] })
    return cluster
  }

  it('by configuration an empty one never leads while another one may come back', () => {
    const cluster = wiped()
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 1')
    cluster.kill(2)
    cluster.start(2, { directoryIds: ['directory-2-new'] })
    cluster.failOver()
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 1')
    // It lacks records, but not all of them.
    cluster.start(3)
    expect(cluster.state('t')).toBe('leader 3, isr 3, elr -')
    expect(cluster.partition('t').leaderRecovering).toBe(true)
  })

  it('by command it may', () => {
    const cluster = wiped()
    const command = { type: 'electLeaders' as const, unclean: true, all: true, partitions: [] }
    expect(cluster.decide(command).partitions).toMatchObject([{ topic: 't', errorCode: 0 }])
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr -')
  })

  it('by configuration it may where nothing is left anywhere', () => {
    const cluster = wiped()
    cluster.start(1, { directoryIds: ['directory-1-new'] })
    expect(cluster.state('t')).toBe('leader -1, isr -, elr -')
    cluster.start(3, { directoryIds: ['directory-3-new'] })
    expect(cluster.partition('t').leader).not.toBe(-1)
  })

  it('who was down when the partition was created holds nothing either, until it is in sync', () => {
    const cluster = Cluster.of(3)
    cluster.kill(3)
    cluster.createOn('t', [1, 2, 3], { 'unclean.leader.election.enable': 'true' })
    expect(cluster.partition('t').directories).toEqual(['directory-1', 'directory-2', ZERO_UUID])
    for (const id of [1, 2]) cluster.kill(id)
    cluster.start(3)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 1 2')
    cluster.start(1)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr 2')
    cluster.alter(1, 't', [1, 3])
    expect(cluster.partition('t').directories).toEqual(['directory-1', 'directory-2', 'directory-3'])
  })

  it('is forgotten as soon as it is in sync again', () => {
    const cluster = threeReplicas({ 'unclean.leader.election.enable': 'true' })
    cluster.kill(3)
    cluster.start(3, { directoryIds: ['directory-3-new'] })
    cluster.alter(1, 't', [1, 2, 3])
    cluster.alter(1, 't', [1, 2])
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.start(3, { directoryIds: ['directory-3-new'] })
    expect(cluster.state('t')).toBe('leader 3, isr 3, elr -')
  })

  it('the default of all brokers counts at once, too', () => {
    const cluster = threeReplicas()
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.start(1)
    expect(cluster.setConfig('broker', '1', 'unclean.leader.election.enable', 'true').errorCode).not.toBe(0)
    cluster.setConfig('broker', '', 'unclean.leader.election.enable', 'true')
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
  })
})
