import { describe, expect, it } from 'vitest'
import type { PartitionElections, PostMortem, RaftElection } from '../../src/broker/post-mortems/types.js'
import { row } from '../../src/cli/commands/raft-elections.js'
import { mergeElections } from '../../src/cli/merge-elections.js'

it('takes what several nodes saw for one change, by the node that measured the longest outage', () => {
  const merged = mergeElections([
    { nodeId: 2, monotonicMs: 0, elections: [raft(1, 4, 100, undefined, 50), moved(2, 9, 160, 100, 130)] },
    { nodeId: 3, monotonicMs: 0, elections: [raft(7, 4, 110, 1000, 1060), moved(8, 9, 150, 1000, 1070)] },
  ])
  expect(merged).toEqual([
    { election: raft(7, 4, 100, 1000, 1060), seenBy: [2, 3] },
    { election: moved(8, 9, 150, 1000, 1070), seenBy: [2, 3] },
  ])
})

it('takes the cause from whoever campaigned', () => {
  const hearsay = { ...raft(1, 4, 100, 0, 60), cause: 'higherTerm' as const }
  const campaigner = raft(1, 4, 90, 10, 50)
  for (const order of [
    [hearsay, campaigner],
    [campaigner, hearsay],
  ]) {
    const [merged] = mergeElections(
      order.map((election, i) => ({ nodeId: i + 3, monotonicMs: 0, elections: [election] })),
    )
    expect(merged!.election).toEqual({ ...hearsay, cause: 'leaderDead', wallMs: 90 })
  }
})

it('takes an election whose cost nobody knows by whoever learned of it first: others came back later', () => {
  const cameBack = { ...raft(1, 4, 900, undefined, 60), cause: 'higherTerm' as const }
  const sawIt = raft(1, 4, 100, undefined, 50)
  for (const order of [
    [cameBack, sawIt],
    [sawIt, cameBack],
  ]) {
    const [merged] = mergeElections(
      order.map((election, i) => ({ nodeId: i + 3, monotonicMs: 0, elections: [election] })),
    )
    expect(merged!.election).toEqual(sawIt)
  }
})

it('knows a change of partitions again that another node applied in a longer batch', () => {
  const merged = mergeElections([
    { nodeId: 2, monotonicMs: 0, elections: [moved(1, 9, 100, 0, 10), moved(2, 30, 500, 0, 10)] },
    { nodeId: 3, monotonicMs: 0, elections: [moved(1, 31, 501, 0, 5)] },
  ])
  // The same partition and epoch twice on one node: its topic was deleted and created again.
  expect(merged).toEqual([
    { election: moved(1, 9, 100, 0, 10), seenBy: [2] },
    { election: moved(2, 30, 500, 0, 10), seenBy: [2, 3] },
  ])
})

it('keeps changes apart that differ in term, epoch or cause, oldest first', () => {
  const elections = [
    moved(3, 9, 300, 0, 1),
    raft(2, 5, 200, 0, 1),
    raft(1, 4, 100, 0, 1),
    moved(4, 10, 400, 0, 1),
  ]
  expect(
    mergeElections([{ nodeId: 1, monotonicMs: 0, elections }]).map(({ election }) => election.wallMs),
  ).toEqual([100, 200, 300, 400])
})

it('takes the word of the leader that resigned, over how the others noticed, and times it by both', () => {
  // It lost its quorum at 8 000 of the wall clock; the others heard it until 9 000; the new one served from 9 800 on.
  const own = { ...raft(1, 4, 9_900, 500, 2_400), cause: 'noQuorum' as const }
  const other = { ...raft(1, 4, 9_800, 100, 900), cause: 'electionTimeout' as const }
  for (const order of [
    [own, other],
    [other, own],
  ]) {
    const replies = order.map((election) => reply(election === own ? 1 : 2, election))
    const [merged, ...rest] = mergeElections(replies)
    expect(rest).toEqual([])
    expect(merged!.election).toMatchObject({ cause: 'noQuorum', untilMs: 900, fromMs: 900 - 1_800 })
  }
})

it('takes no clock that is wrong for a long outage', () => {
  const own = { ...raft(1, 4, 500_000, 500, 2_400), cause: 'noQuorum' as const }
  const other = { ...raft(1, 4, 9_800, 100, 900), cause: 'electionTimeout' as const }
  const [tooLate] = mergeElections([reply(1, own), reply(2, other)])
  expect(tooLate!.election).toMatchObject({ fromMs: 100, untilMs: 900 })
  const [tooEarly] = mergeElections([reply(1, { ...own, wallMs: 1 }), reply(2, other)])
  expect(tooEarly!.election).toMatchObject({ fromMs: 900 - 1_900, untilMs: 900 })
})

it('takes no times of a node that was away meanwhile', () => {
  const away = raft(1, 4, 70_000, 0, 60_000)
  const successor = raft(1, 4, 10_000, 500, 600)
  const [merged] = mergeElections([reply(3, away), reply(2, successor)])
  expect(merged!.election).toMatchObject({ fromMs: 500, untilMs: 600 })
  const awayToo = moved(2, 9, 70_000, 0, 60_000)
  const [move] = mergeElections([reply(1, awayToo), reply(2, moved(2, 9, 10_000, 500, 600))])
  expect(move!.election).toMatchObject({ fromMs: 500, untilMs: 600 })
})

it('tells of each leader, though not every node heard of each', () => {
  const first = { ...raft(1, 7, 100, 0, 10), formerLeader: 2, leader: 1 }
  const unserved = { ...raft(1, 9, 180, 0, 10), formerLeader: undefined, leader: 3, noCommit: true }
  const next = { ...raft(2, 11, 200, 0, 10), formerLeader: 1, leader: 2 }
  const merged = mergeElections([reply(1, first), reply(2, first, next), reply(3, unserved, next)])
  expect(merged.map(({ election }) => election)).toMatchObject([
    { term: 7, formerLeader: 2, leader: 1 },
    { term: 9, formerLeader: 1, leader: 3, noCommit: true },
    { term: 11, formerLeader: 3, leader: 2 },
  ])
})

it('lists what came first first, whoever saw it, and when', () => {
  const fenced = { ...moved(4, 20, 9_000, 0, 10), partitions: [{ ...PARTITION, leader: -1, leaderEpoch: 4 }] }
  const partitions = [{ ...PARTITION, leader: 3, leaderEpoch: 5 }]
  const unclean = { ...moved(5, 15, 2_000, 0, 10), formerLeader: -1, cause: 'unclean' as const, partitions }
  const apart = mergeElections([reply(1, fenced), reply(2, unclean)])
  expect(apart.map(({ election }) => election.cause)).toEqual(['brokerFenced', 'unclean'])
  const both = mergeElections([reply(1, fenced, { ...unclean, wallMs: 9_001 }), reply(2, unclean)])
  expect(both.map(({ election }) => election.cause)).toEqual(['brokerFenced', 'unclean'])
})

it('leaves out what one node has from a snapshot and others saw happen', () => {
  const snapshot = { ...moved(1, 30, 500, 0, 0), cause: 'unknown' as const, fromMs: undefined }
  expect(mergeElections([reply(1, snapshot), reply(2, moved(1, 9, 100, 0, 10))])).toHaveLength(1)
  const alone = mergeElections([reply(1, snapshot)])
  expect(alone).toHaveLength(1)
  expect(row(alone[0]!)[2]).toBe('unknown: learnt from a snapshot')
})

it('counts no partition twice that another node applied in a longer batch', () => {
  const [a, b] = [0, 1].map((partition) => ({ ...PARTITION, partition }))
  const long = { ...moved(1, 9, 100, 0, 10), count: 2, partitions: [a!, b!] }
  const short = [a, b].map((each, i) => ({ ...moved(i + 1, 8 + i, 100, 0, 10), partitions: [each!] }))
  const merged = mergeElections([reply(1, long), reply(2, ...short)])
  expect(merged.map(({ election }) => (election as PartitionElections).count)).toEqual([1, 1])
})

describe('a line', () => {
  it('names a few partitions, and how many more', () => {
    const partitions = Array.from({ length: 100 }, (_, partition) => ({ ...PARTITION, partition }))
    const election = { ...moved(1, 9, 0, 0, 10), count: 120, partitions }
    expect(row({ election, seenBy: [] })).toEqual([
      '1970-01-01 00:00:00.000',
      '120 partitions',
      'brokerFenced',
      '1',
      '2',
      '10 ms',
      't-0, t-1, t-2 and 117 more',
    ])
  })

  it('says where the outage went on', () => {
    const left = { ...moved(1, 9, 0, 0, 10), partitions: [{ ...PARTITION, leader: -1 }] }
    expect(row({ election: left, seenBy: [] }).slice(3)).toEqual(['1', 'none', '> 10 ms', 't-0'])
    const election = { ...raft(1, 4, 0, 0, 60), noCommit: true }
    expect(row({ election, seenBy: [] }).slice(5)).toEqual([
      '> 60 ms',
      'noticed at 40, elected at 50, no commit by 60 ms',
    ])
  })
})

const PARTITION = { topic: 't', partition: 0, leader: 2, leaderEpoch: 3 }

function reply(nodeId: number, ...elections: PostMortem[]) {
  return { nodeId, monotonicMs: 0, elections }
}

function raft(sequence: number, term: number, wallMs: number, fromMs: number | undefined, untilMs: number) {
  const election: RaftElection = {
    type: 'raft',
    formerLeader: 1,
    leader: 2,
    term,
    cause: 'leaderDead',
    fromMs,
    noticedMs: untilMs - 20,
    electedMs: untilMs - 10,
    untilMs,
    noCommit: false,
  }
  return { ...election, sequence, wallMs } as const satisfies PostMortem
}

function moved(sequence: number, index: number, wallMs: number, fromMs: number, untilMs: number) {
  const election: PartitionElections = {
    type: 'partitions',
    formerLeader: 1,
    cause: 'brokerFenced',
    index,
    fromMs,
    untilMs,
    count: 1,
    partitions: [{ topic: 't', partition: 0, leader: 2, leaderEpoch: 3 }],
  }
  return { ...election, sequence, wallMs } satisfies PostMortem
}
