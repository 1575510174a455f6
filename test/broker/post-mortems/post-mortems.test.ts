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

  it('tells of a leader that committed nothing, and counts the outage on', () => {
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
      { formerLeader: 1, leader: 3, term: 2, cause: 'higherTerm', fromMs: 100, untilMs: 200, noCommit: true },
      {
        formerLeader: 3,
        leader: 2,
        term: 3,
        cause: 'leaderDead',
        fromMs: 100,
        untilMs: 300,
        noCommit: false,
      },
    ])
  })

  it('forgets no leader over a pre-vote that came to nothing before its first commit', () => {
    const { history, event } = node()
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'role', role: 'preCandidate', term: 1, leader: undefined, cause: 'electionTimeout' })
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'commit', index: 1, term: 1 })
    expect(history.recent(10)).toMatchObject([{ leader: 1, term: 1, cause: 'leaderFound', noCommit: false }])
  })

  it('tells of a leader before it knows of a commit: a disk that stands still keeps that from it', () => {
    const { world, history, event } = node()
    event({ type: 'role', role: 'leader', term: 1, leader: 2, cause: 'electionWon' })
    event({ type: 'commit', index: 1, term: 1 })
    event({ type: 'role', role: 'follower', term: 1, leader: undefined, cause: 'diskStalled', sinceMs: 0 })
    event({ type: 'role', role: 'follower', term: 2, leader: 3, cause: 'leaderFound' })
    world.runFor(100)
    expect(history.recent(1)).toMatchObject([
      { sequence: 2, cause: 'diskStalled', formerLeader: 2, leader: 3, untilMs: 100, noCommit: true },
    ])
    event({ type: 'commit', index: 2, term: 2 })
    expect(history.recent(10)).toHaveLength(2)
    expect(history.recent(1)).toMatchObject([{ sequence: 2, untilMs: 100, noCommit: false }])
  })

  it('times the end of its own leadership by when it could commit no more', () => {
    const { world, history, event } = node()
    event({ type: 'role', role: 'leader', term: 1, leader: 2, cause: 'electionWon' })
    event({ type: 'commit', index: 1, term: 1 })
    world.runFor(2000)
    event({ type: 'role', role: 'follower', term: 1, leader: undefined, cause: 'noQuorum', sinceMs: 500 })
    world.runFor(100)
    event({ type: 'role', role: 'follower', term: 2, leader: 3, cause: 'leaderFound' })
    event({ type: 'commit', index: 2, term: 2 })
    expect(history.recent(1)).toMatchObject([
      { cause: 'noQuorum', formerLeader: 2, leader: 3, fromMs: 500, noticedMs: 2000, untilMs: 2100 },
    ])
  })

  it('counts a transfer from its decision on, however long ago the leader had last spoken', () => {
    const { world, history, event, heard } = node()
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'commit', index: 1, term: 1 })
    heard.set(1, 0)
    world.runFor(90)
    event({ type: 'role', role: 'candidate', term: 2, leader: undefined, cause: 'transfer' })
    world.runFor(5)
    event({ type: 'role', role: 'leader', term: 2, leader: 2, cause: 'electionWon' })
    event({ type: 'commit', index: 2, term: 2 })
    expect(history.recent(1)).toMatchObject([{ cause: 'transfer', fromMs: 90, untilMs: 95 }])
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

  it('counts what moves in several batches from the moment on at which its leader was to go', () => {
    const { world, history, event, heard, apply } = node()
    apply(...cluster(), ...partitions(3, 1))
    event({ type: 'role', role: 'leader', term: 1, leader: 2, cause: 'electionWon' })
    event({ type: 'commit', index: 1, term: 1 })
    heard.set(1, 1000)
    world.runFor(1000)
    apply(
      { type: 'brokerRegistrationChangeRecord', brokerId: 1, brokerEpoch: 1, fenced: true },
      moved(0, 2),
      { type: 'unregisterBrokerRecord', brokerId: 1, brokerEpoch: 1 },
    )
    // It still talks, as a node without a registration does.
    world.runFor(6000)
    heard.set(1, 7000)
    apply(moved(1, 2))
    world.runFor(6000)
    heard.set(1, 13_000)
    apply(moved(2, 2))
    expect(history.recent(10).slice(-3)).toMatchObject([
      { cause: 'brokerUnregistered', fromMs: 1000, untilMs: 1000 },
      { cause: 'brokerUnregistered', fromMs: 1000, untilMs: 7000 },
      { cause: 'brokerUnregistered', fromMs: 1000, untilMs: 13_000 },
    ])
  })

  it('counts a silence from its beginning, not from when the connection was given up over it', () => {
    const { world, history, event, heard, apply } = node()
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    apply(...cluster(), ...partitions(1, 1))
    world.runFor(1000)
    heard.set(1, 1000)
    world.runFor(1500)
    event({ type: 'role', role: 'leader', term: 2, leader: 2, cause: 'electionWon' })
    event({ type: 'commit', index: 1, term: 2 })
    world.runFor(2000)
    event({ type: 'peerLost', peer: 1, dead: false })
    world.runFor(500)
    apply({ type: 'brokerRegistrationChangeRecord', brokerId: 1, brokerEpoch: 1, fenced: true }, moved(0, 2))
    expect(history.recent(1)).toMatchObject([{ cause: 'brokerFenced', fromMs: 1000, untilMs: 5000 }])
  })

  it('counts a restart from the break of the former connection, though the new process speaks already', () => {
    const { world, history, event, heard, apply } = node()
    apply(...cluster(), ...partitions(1, 1))
    world.runFor(1000)
    event({ type: 'peerLost', peer: 1, dead: false })
    world.runFor(400)
    heard.set(1, 1400)
    apply(register(1, 9), moved(0, 2))
    expect(history.recent(1)).toMatchObject([{ cause: 'brokerRestarted', fromMs: 1000, untilMs: 1400 }])
  })

  it('counts what was left without a leader until it has one again', () => {
    const { world, history, event, apply } = node()
    apply(...cluster(), ...partitions(2, 3))
    world.runFor(1000)
    event({ type: 'peerLost', peer: 3, dead: false })
    world.runFor(100)
    apply(
      { type: 'brokerRegistrationChangeRecord', brokerId: 3, brokerEpoch: 3, fenced: true },
      moved(0, -1),
      moved(1, 2),
    )
    world.runFor(5000)
    apply(moved(0, 3))
    expect(history.recent(10)).toMatchObject([
      {
        cause: 'brokerFenced',
        count: 1,
        partitions: [{ partition: 0, leader: -1 }],
        fromMs: 1000,
        untilMs: 1100,
      },
      {
        cause: 'brokerFenced',
        count: 1,
        partitions: [{ partition: 1, leader: 2 }],
        fromMs: 1000,
        untilMs: 1100,
      },
      { cause: 'recovered', formerLeader: -1, fromMs: 1000, untilMs: 6100 },
    ])
  })

  it('makes nothing of the silence of a peer that has nothing to say to this node', () => {
    const { world, history, event, heard, apply } = node()
    event({ type: 'role', role: 'follower', term: 1, leader: 1, cause: 'leaderFound' })
    event({ type: 'commit', index: 1, term: 1 })
    apply(...cluster(), ...partitions(1, 3))
    heard.set(3, 0)
    world.runFor(20_000)
    apply({ type: 'brokerRegistrationChangeRecord', brokerId: 3, brokerEpoch: 3, fenced: true }, moved(0, 2))
    expect(history.recent(1)).toMatchObject([{ cause: 'brokerFenced', fromMs: undefined }])
  })

  it('tells what a snapshot shows, without a reason or a time', () => {
    const { world, history, apply, install } = node()
    apply(...cluster(), ...partitions(2, 1))
    world.runFor(10)
    install([...cluster(), ...partitions(2, 1), moved(1, 3)], 90)
    expect(history.recent(10)).toMatchObject([
      {
        type: 'partitions',
        cause: 'unknown',
        formerLeader: 1,
        fromMs: undefined,
        index: 90,
        count: 1,
        partitions: [{ topic: 'orders', partition: 1, leader: 3, leaderEpoch: 1 }],
      },
    ])
  })

  it('makes nothing of the snapshot that it starts from', () => {
    const { history, apply, install } = node(1000, false)
    apply(...cluster(), ...partitions(2, 1))
    install([...cluster(), ...partitions(2, 1), moved(1, 3)], 90)
    expect(history.recent(10)).toEqual([])
  })

  it('finds a partition among many, and names few of each change in a long answer', () => {
    const { history, apply } = node()
    const all = Array.from({ length: 500 }, (_, id) => moved(id, 2))
    apply(...cluster(), ...partitions(500, 1))
    apply(...all)
    expect(history.recent(10, { topic: 'orders', partition: 300 })).toMatchObject([
      { count: 1, partitions: [{ topic: 'orders', partition: 300, leader: 2 }] },
    ])
    expect(history.recent(10, { topic: 'other' })).toEqual([])
    for (let round = 0; round < 220; round++)
      apply(...all.map((each) => moved(each.partitionId, round % 2 === 0 ? 3 : 2)))
    const answer = history.recent(1000) as readonly PartitionElections[]
    expect(answer).toHaveLength(221)
    expect(answer.map(({ count }) => count)).toEqual(answer.map(() => 500))
    expect(answer.at(-1)!.partitions).toHaveLength(100)
    expect(answer[0]!.partitions).toHaveLength(1)
    // The oldest keep the first hundred alone.
    expect(history.recent(1000, { partition: 300 }).length).toBeLessThan(210)
    expect(history.recent(1000, { partition: 99 })).toHaveLength(221)
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
    2,
    clock,
    capacity,
    (peer) => heard.get(peer),
    () => isCaughtUp,
  )
  let image = new MutableImage()
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
  const install = (records: MetadataRecord[], upTo: number) => {
    const former = image
    image = MutableImage.replay(records)
    index = upTo
    history.onSnapshot(former, image, index)
  }
  return { world, history, event, heard, apply, catchUp, install }
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
