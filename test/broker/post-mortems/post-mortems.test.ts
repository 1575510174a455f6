import { describe, expect, it } from 'vitest'
import { PostMortems } from '../../../src/broker/post-mortems/post-mortems.js'
import type { PartitionElections, RaftElection } from '../../../src/broker/post-mortems/types.js'
import type { QuorumEvent, QuorumEventBody } from '../../../src/broker/quorum/events.js'
import type { MetadataRecord } from '../../../src/metadata/records.js'
import { MutableImage } from '../../../src/metadata/replay.js'
import { SimWorldClock } from '../../sim/clock.js'

const TOPIC = 'AAAAAAAAAAAAAAAAAAAAAQ'

describe('of Raft', () => {
  it('tells of a killed leader: from the broken connection to the first commit of the new term', () => {
    const { world, history, event } = node()
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'commit', index: 1, term: 1 })
    world.runFor(1000)
    event({ type: 'peerLost', peer: 1, dead: false })
    world.runFor(50)
    event({ type: 'peerLost', peer: 1, dead: true })
    event({ type: 'role', role: 'preCandidate', term: 1, leader: undefined, cause: 'leaderDead' })
    event({ type: 'role', role: 'candidate', term: 2, leader: undefined, cause: 'preVoteWon' })
    world.runFor(10)
    event({ type: 'role', role: 'leader', term: 2, leader: 2, cause: 'electionWon' })
    event({ type: 'commit', index: 1, term: 1 })
    world.runFor(5)
    event({ type: 'commit', index: 2, term: 2 })
    event({ type: 'commit', index: 3, term: 2 })
    const [first, second, ...rest] = history.recent(10)
    expect(rest).toEqual([])
    expect(first).toMatchObject({ sequence: 1, type: 'raft', formerLeader: undefined, leader: 1, term: 1 })
    expect(second).toMatchObject({ sequence: 2, formerLeader: 1, leader: 2, term: 2, cause: 'leaderDead' })
    const { fromMs, noticedMs, electedMs, untilMs } = second as RaftElection
    expect([fromMs, noticedMs, electedMs, untilMs]).toEqual([1000, 1050, 1060, 1065])
  })

  it('counts a silent leader from its last message on', () => {
    const { world, history, event, heard } = node()
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'commit', index: 1, term: 1 })
    world.runFor(500)
    heard.set(1, 500)
    world.runFor(1500)
    event({ type: 'role', role: 'preCandidate', term: 1, leader: undefined, cause: 'electionTimeout' })
    event({ type: 'role', role: 'follower', term: 2, leader: 3, cause: 'leaderFound' })
    event({ type: 'commit', index: 2, term: 2 })
    expect(history.recent(1)).toMatchObject([
      { cause: 'electionTimeout', formerLeader: 1, leader: 3, fromMs: 500, untilMs: 2000 },
    ])
  })

  it('reports no pre-vote that came to nothing (Raft thesis §9.6)', () => {
    const { history, event } = node()
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'commit', index: 1, term: 1 })
    event({ type: 'role', role: 'preCandidate', term: 1, leader: undefined, cause: 'electionTimeout' })
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'commit', index: 2, term: 1 })
    expect(history.recent(10)).toHaveLength(1)
  })

  it('counts a leader that committed nothing to the outage that it was to end', () => {
    const { world, history, event } = node()
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'commit', index: 1, term: 1 })
    world.runFor(100)
    event({ type: 'peerLost', peer: 1, dead: false })
    event({ type: 'role', role: 'follower', term: 2, leader: 3, cause: 'higherTerm' })
    world.runFor(100)
    event({ type: 'role', role: 'preCandidate', term: 2, leader: undefined, cause: 'leaderDead' })
    world.runFor(100)
    event({ type: 'role', role: 'leader', term: 3, leader: 2, cause: 'electionWon' })
    event({ type: 'commit', index: 2, term: 3 })
    expect(history.recent(10).slice(1)).toMatchObject([
      { formerLeader: 3, leader: 2, term: 3, cause: 'higherTerm', fromMs: 100, noticedMs: 100, untilMs: 300 },
    ])
  })
})

describe('of partitions', () => {
  it('groups what a dead broker led, and lists no more than a hundred', () => {
    const { world, history, event, apply } = node()
    apply(...cluster(), ...partitions(120, 1))
    expect(history.recent(10)).toEqual([])
    world.runFor(1000)
    event({ type: 'peerLost', peer: 1, dead: false })
    world.runFor(60)
    apply(
      { type: 'brokerRegistrationChangeRecord', brokerId: 1, brokerEpoch: 1, fenced: true },
      ...Array.from({ length: 120 }, (_, id) => moved(id, 2)),
    )
    const [election, ...rest] = history.recent(10)
    expect(rest).toEqual([])
    expect(election).toMatchObject({ type: 'partitions', cause: 'brokerFenced', formerLeader: 1, count: 120 })
    const { fromMs, untilMs, partitions: listed } = election as PartitionElections
    expect([fromMs, untilMs]).toEqual([1000, 1060])
    expect(listed).toHaveLength(100)
    expect(listed[7]).toEqual({ topic: 'orders', partition: 7, leader: 2, leaderEpoch: 1 })
  })

  it('tells the causes apart', () => {
    const { history, apply } = node()
    apply(...cluster(), ...partitions(1, 1))
    apply(moved(0, 2))
    apply(moved(0, 1))
    apply(
      { type: 'brokerRegistrationChangeRecord', brokerId: 1, brokerEpoch: 1, inControlledShutdown: true },
      moved(0, 3),
    )
    apply(register(3, 9), moved(0, 3))
    apply({ ...moved(0, 2), replicas: { nodes: [2, 1] } })
    apply({ type: 'brokerRegistrationChangeRecord', brokerId: 2, brokerEpoch: 2, fenced: true }, moved(0, -1))
    apply({ ...moved(0, 1), leaderRecovering: true })
    apply({ type: 'unregisterBrokerRecord', brokerId: 1, brokerEpoch: 1 }, moved(0, -1))
    apply(moved(0, 2))
    expect(history.recent(20).map(({ cause }) => cause)).toEqual([
      'elected',
      'preferred',
      'controlledShutdown',
      'brokerRestarted',
      'reassigned',
      'brokerFenced',
      'unclean',
      'brokerUnregistered',
      'recovered',
    ])
  })

  it('reads whole records too: the end of a reassignment, and a leader whose directory changes with its election', () => {
    const { history, apply } = node()
    const [first] = partitions(1, 1) as (MetadataRecord & { type: 'partitionRecord' })[]
    apply(...cluster(), first!)
    expect(history.recent(10)).toEqual([])
    const adding = { ...first!, replicas: [2, 3, 1], removingReplicas: [1], partitionEpoch: 1 }
    apply(adding)
    expect(history.recent(10)).toEqual([])
    const done = { ...adding, replicas: [2, 3], isr: [2, 3], removingReplicas: [], leader: 2, leaderEpoch: 1 }
    apply({ ...done, partitionEpoch: 2 })
    apply({ ...done, leader: 3, leaderRecovering: true, leaderEpoch: 2, partitionEpoch: 3 })
    // A new term of the same leader: a replica left (KIP-455).
    apply({ ...done, replicas: [3], isr: [3], leader: 3, leaderEpoch: 3, partitionEpoch: 4 })
    expect(history.recent(10)).toMatchObject([
      {
        cause: 'reassigned',
        formerLeader: 1,
        partitions: [{ topic: 'orders', partition: 0, leader: 2, leaderEpoch: 1 }],
      },
      { cause: 'unclean', formerLeader: 2, partitions: [{ leader: 3, leaderEpoch: 2 }] },
      { cause: 'reassigned', formerLeader: 3, partitions: [{ leader: 3, leaderEpoch: 3 }] },
    ])
  })

  it('tells nothing of what a node that comes back catches up on: it was decided long before', () => {
    const { history, apply, catchUp } = node(1000, false)
    apply(...cluster(), ...partitions(1, 1))
    apply(moved(0, 2))
    catchUp()
    apply(moved(0, 3))
    expect(history.recent(10)).toMatchObject([{ formerLeader: 2, partitions: [{ leader: 3 }] }])
  })

  it('keeps the last ones only', () => {
    const { history, apply } = node(3)
    apply(...cluster(), ...partitions(1, 1))
    for (let i = 0; i < 5; i++) apply(moved(0, (i % 2) + 2))
    expect(history.recent(10).map(({ sequence }) => sequence)).toEqual([3, 4, 5])
    expect(history.recent(2).map(({ sequence }) => sequence)).toEqual([4, 5])
  })
})

function node(capacity = 1000, isCaughtUp = true) {
  const world = new SimWorldClock()
  const { clock } = world.process('node-2')
  const heard = new Map<number, number>()
  const history = new PostMortems(
    clock,
    capacity,
    (peer) => heard.get(peer),
    () => isCaughtUp,
  )
  const image = new MutableImage()
  let sequence = 1
  let index = 0
  const event = (body: QuorumEventBody) => {
    const stamped: QuorumEvent = {
      ...body,
      sequence: sequence++,
      atMs: clock.monotonicMs(),
      wallMs: clock.wallMs(),
    }
    history.onQuorumEvent(stamped)
  }
  const apply = (...records: MetadataRecord[]) => {
    for (const record of records) {
      history.onRecord(record, image)
      image.apply(record)
    }
    history.onApplied(++index)
  }
  const catchUp = () => {
    isCaughtUp = true
  }
  return { world, history, event, heard, apply, catchUp }
}

function register(brokerId: number, brokerEpoch: number): MetadataRecord {
  return {
    type: 'registerBrokerRecord',
    brokerId,
    brokerEpoch,
    incarnationId: TOPIC,
    directoryIds: [TOPIC],
    endpoints: [],
    features: [],
    fenced: false,
    inControlledShutdown: false,
  }
}

function cluster(): MetadataRecord[] {
  return [
    register(1, 1),
    register(2, 2),
    register(3, 3),
    { type: 'topicRecord', name: 'orders', topicId: TOPIC },
  ]
}

function partitions(count: number, leader: number): MetadataRecord[] {
  return Array.from({ length: count }, (_, partitionId) => ({
    type: 'partitionRecord',
    topicId: TOPIC,
    partitionId,
    replicas: [1, 2, 3],
    directories: [TOPIC, TOPIC, TOPIC],
    isr: [1, 2, 3],
    elr: [],
    lastKnownElr: [],
    addingReplicas: [],
    removingReplicas: [],
    leader,
    leaderRecovering: false,
    leaderEpoch: 0,
    partitionEpoch: 0,
  }))
}

function moved(partitionId: number, leader: number): MetadataRecord & { type: 'partitionChangeRecord' } {
  return { type: 'partitionChangeRecord', topicId: TOPIC, partitionId, leader }
}
