import { describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../src/lib/ids.js'
import { MutableImage } from '../../src/metadata/replay.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { Cluster } from './cluster.js'

describe('founding', () => {
  it('writes the cluster id and the features once', () => {
    const cluster = new Cluster()
    expect(cluster.log).toEqual([
      { type: 'clusterRecord', clusterId: 'cluster' },
      {
        type: 'configRecord',
        resourceType: 'broker',
        resourceName: '',
        name: 'min.insync.replicas',
        value: '2',
      },
      { type: 'featureLevelRecord', name: 'kogge.version', level: 2 },
      { type: 'featureLevelRecord', name: 'metadata.version', level: 25 },
      { type: 'featureLevelRecord', name: 'kraft.version', level: 1 },
      { type: 'featureLevelRecord', name: 'eligible.leader.replicas.version', level: 1 },
      { type: 'featureLevelRecord', name: 'flush.before.ack', level: 1 },
    ])
    cluster.failOver()
    expect(cluster.last).toEqual([])
  })

  it('answers NOT_CONTROLLER where it is not active', () => {
    const cluster = new Cluster()
    cluster.controller.deactivate()
    const { reply, records } = cluster.controller.decide(
      { type: 'unregisterBroker', brokerId: 1 },
      { principal: '', clientId: '', clientAddress: '', listener: '' },
      0,
    )
    expect(records).toEqual([])
    expect(reply).toMatchObject({ type: 'failed', errorCode: ErrorCode.NOT_CONTROLLER })
  })
})

describe('registration', () => {
  it('starts fenced, and gives every registration a new epoch', () => {
    const cluster = new Cluster()
    expect(cluster.register(1).brokerEpoch).toBe(1)
    expect(cluster.register(2).brokerEpoch).toBe(2)
    expect(cluster.committed.brokers.get(1)?.fenced).toBe(true)
  })

  it('is idempotent for one incarnation: a lost reply costs nothing', () => {
    const cluster = new Cluster()
    const first = cluster.register(1, { incarnationId: 'a' })
    const again = cluster.register(1, { incarnationId: 'a' })
    expect(again).toEqual(first)
    expect(cluster.last).toEqual([])
  })

  it('refuses a broker of another cluster', () => {
    const reply = new Cluster().register(1, { clusterId: 'other' })
    expect(reply.errorCode).toBe(ErrorCode.INCONSISTENT_CLUSTER_ID)
    expect(reply.errorMessage).toContain('other')
  })

  it('never gives an epoch twice, also after an unregistration and a snapshot', () => {
    const cluster = Cluster.of(3)
    cluster.decide({ type: 'unregisterBroker', brokerId: 3 })
    cluster.committed = MutableImage.replay(cluster.committed.toRecords())
    cluster.failOver()
    expect(cluster.register(3).brokerEpoch).toBe(4)
  })

  it('an instant restart in the same directory does not wait for the old session', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2, 3])
    const before = cluster.partition('t')
    expect(cluster.register(1).errorCode).toBe(0)
    expect(cluster.state('t')).toBe('leader 2, isr 2 3, elr -')
    expect(cluster.partition('t').leaderEpoch).toBe(before.leaderEpoch + 1)
    // One batch: the old incarnation is fenced, the leadership moves, the new one is registered.
    expect(cluster.last.map(({ type }) => type)).toEqual([
      'brokerRegistrationChangeRecord',
      'partitionChangeRecord',
      'registerBrokerRecord',
    ])
  })

  it('another directory must wait until the session of the old one has ended', () => {
    const cluster = Cluster.of(3)
    const other = { directoryIds: ['directory-new'] }
    expect(cluster.register(1, other).errorCode).toBe(ErrorCode.DUPLICATE_BROKER_REGISTRATION)
    expect(cluster.last).toEqual([])
    cluster.pass(3_200, [2, 3])
    expect(cluster.register(1, other).errorCode).toBe(0)
  })

  it('a process that is known to be dead has no session', () => {
    const cluster = Cluster.of(3)
    cluster.kill(1)
    expect(cluster.register(1, { directoryIds: ['directory-new'] }).errorCode).toBe(0)
  })

  it('an empty directory takes its replicas out of the ISR and the ELR', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2, 3])
    for (const id of [1, 2, 3]) cluster.kill(id)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2 3')
    cluster.start(3, { directoryIds: ['directory-new'] })
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2')
    expect(cluster.partition('t').directories).toEqual(['directory-1', 'directory-2', ZERO_UUID])
    cluster.start(2)
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr -')
    cluster.alter(2, 't', [2, 3])
    expect(cluster.partition('t').directories).toEqual(['directory-1', 'directory-2', 'directory-new'])
  })

  it('an empty directory is noticed also after an unregistration', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2, 3])
    for (const id of [1, 2, 3]) cluster.kill(id)
    cluster.decide({ type: 'unregisterBroker', brokerId: 3 })
    cluster.start(3, { directoryIds: ['directory-new'] })
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 2')
  })
})

describe('unfencing', () => {
  it('waits until the broker has applied its own registration', () => {
    const cluster = new Cluster()
    cluster.register(1)
    const registered = cluster.index
    expect(cluster.heartbeat(1, { appliedIndex: registered - 1 })).toMatchObject({
      isFenced: true,
      isCaughtUp: false,
    })
    expect(cluster.heartbeat(1, { appliedIndex: registered })).toMatchObject({
      isFenced: false,
      isCaughtUp: true,
    })
  })

  it('waits until the broker has recovered', () => {
    const cluster = new Cluster()
    cluster.register(1)
    expect(cluster.heartbeat(1, { wantFence: true })).toMatchObject({ isFenced: true, isCaughtUp: true })
    expect(cluster.heartbeat(1).isFenced).toBe(false)
  })

  it('after a change of the controller waits for all that the log held', () => {
    const cluster = new Cluster()
    cluster.register(1)
    cluster.register(2)
    cluster.failOver()
    expect(cluster.heartbeat(1, { appliedIndex: cluster.index - 1 }).isFenced).toBe(true)
    expect(cluster.heartbeat(1).isFenced).toBe(false)
  })

  it('a broker that slept through its fencing must learn of it first', () => {
    const cluster = Cluster.of(3)
    const asleep = cluster.index
    cluster.kill(1)
    expect(cluster.heartbeat(1, { appliedIndex: asleep }).isFenced).toBe(true)
    expect(cluster.heartbeat(1).isFenced).toBe(false)
  })

  it('refuses an old epoch and an unknown broker', () => {
    const cluster = Cluster.of(1)
    expect(cluster.heartbeat(1, { brokerEpoch: 0 }).errorCode).toBe(ErrorCode.STALE_BROKER_EPOCH)
    expect(cluster.heartbeat(9).errorCode).toBe(ErrorCode.BROKER_ID_NOT_REGISTERED)
  })
})

describe('sessions', () => {
  it('last while heartbeats come, also where they wait to be decided; those of another registration count for nothing', () => {
    const cluster = Cluster.of(3)
    const heard = (brokerEpoch: number): void => {
      cluster.pass(2_900, [2, 3])
      cluster.controller.brokerHeard(1, brokerEpoch, cluster.nowMs)
      cluster.pass(2_900, [2, 3])
    }
    heard(cluster.epoch(1))
    expect(cluster.committed.brokers.get(1)!.fenced).toBe(false)
    heard(cluster.epoch(1) - 1)
    expect(cluster.committed.brokers.get(1)!.fenced).toBe(true)
  })

  it('silence fences after the time-out, heartbeats keep the session', () => {
    const cluster = Cluster.of(3)
    cluster.pass(2_900, [2, 3])
    expect(cluster.committed.brokers.get(1)?.fenced).toBe(false)
    cluster.pass(300, [2, 3])
    expect([1, 2, 3].map((id) => cluster.committed.brokers.get(id)?.fenced)).toEqual([true, false, false])
  })

  it('a new controller gives everybody a whole time-out', () => {
    const cluster = Cluster.of(3)
    cluster.pass(2_900, [2, 3])
    cluster.failOver()
    cluster.pass(2_900, [2, 3])
    expect(cluster.committed.brokers.get(1)?.fenced).toBe(false)
  })

  it('where the controller itself slept, nobody is judged for that time', () => {
    const cluster = Cluster.of(3)
    cluster.nowMs += 60_000
    cluster.commit(cluster.controller.tick(cluster.nowMs))
    expect(cluster.last).toEqual([])
    cluster.pass(3_200, [2, 3])
    expect(cluster.committed.brokers.get(1)?.fenced).toBe(true)
  })

  it('a dead process is fenced at once, once', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2, 3])
    cluster.kill(1)
    expect(cluster.state('t')).toBe('leader 2, isr 2 3, elr -')
    cluster.kill(1)
    expect(cluster.last).toEqual([])
    expect(cluster.controller.unfencedBrokers()).toEqual([2, 3])
  })

  it('a dead follower leaves the ISR at once', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2, 3])
    const { leaderEpoch } = cluster.partition('t')
    cluster.kill(3)
    expect(cluster.state('t')).toBe('leader 1, isr 1 2, elr -')
    expect(cluster.partition('t').leaderEpoch).toBe(leaderEpoch)
  })
})

describe('controlled shutdown', () => {
  it('moves leaderships first, waits until everybody knows, then fences', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2, 3])
    const before = cluster.index
    expect(cluster.heartbeat(1, { wantShutDown: true })).toMatchObject({
      isFenced: false,
      shouldShutDown: false,
    })
    expect(cluster.state('t')).toBe('leader 2, isr 2 3, elr -')
    expect(cluster.heartbeat(1, { wantShutDown: true, appliedIndex: before }).shouldShutDown).toBe(false)
    cluster.heartbeat(2)
    cluster.heartbeat(3)
    expect(cluster.heartbeat(1, { wantShutDown: true })).toMatchObject({
      isFenced: true,
      shouldShutDown: true,
    })
  })

  it('a leader that nobody can follow serves until it goes, and stays eligible', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1])
    cluster.heartbeat(1, { wantShutDown: true })
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
    for (const id of [2, 3]) cluster.heartbeat(id)
    expect(cluster.heartbeat(1, { wantShutDown: true }).shouldShutDown).toBe(true)
    expect(cluster.state('t')).toBe('leader -1, isr -, elr 1')
    cluster.start(1)
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr -')
  })

  it('a shutting-down leader may let a follower in, which then leads', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2])
    cluster.alter(1, 't', [1])
    cluster.heartbeat(1, { wantShutDown: true })
    expect(cluster.state('t')).toBe('leader 1, isr 1, elr 2')
    expect(cluster.alter(1, 't', [1, 2])).toMatchObject({
      errorCode: ErrorCode.NEW_LEADER_ELECTED,
      leader: 2,
    })
    expect(cluster.state('t')).toBe('leader 2, isr 2, elr 1')
  })

  it('a broker on its way out is not unfenced again', () => {
    const cluster = Cluster.of(1)
    cluster.heartbeat(1, { wantShutDown: true })
    expect(cluster.heartbeat(1, { wantShutDown: true }).shouldShutDown).toBe(true)
    expect(cluster.heartbeat(1).isFenced).toBe(true)
    cluster.start(1)
  })
})
