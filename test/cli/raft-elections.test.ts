import { expect, it } from 'vitest'
import type { PartitionElections, PostMortem, RaftElection } from '../../src/broker/post-mortems/types.js'
import { merge } from '../../src/cli/commands/raft-elections.js'

it('takes what several nodes saw for one change, by the node that measured the longest outage', () => {
  const merged = merge([
    { nodeId: 2, monotonicMs: 0, elections: [raft(1, 4, 100, undefined, 50), moved(2, 9, 160, 100, 130)] },
    { nodeId: 3, monotonicMs: 0, elections: [raft(7, 4, 110, 1000, 1060), moved(8, 9, 150, 1000, 1070)] },
  ])
  expect(merged).toEqual([
    { election: raft(7, 4, 110, 1000, 1060), seenBy: [2, 3] },
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
    const [merged] = merge(order.map((election, i) => ({ nodeId: i, monotonicMs: 0, elections: [election] })))
    expect(merged!.election).toEqual({ ...hearsay, cause: 'leaderDead' })
  }
})

it('takes an election whose cost nobody knows by whoever learned of it first: others came back later', () => {
  const cameBack = { ...raft(1, 4, 900, undefined, 60), cause: 'higherTerm' as const }
  const sawIt = raft(1, 4, 100, undefined, 50)
  for (const order of [
    [cameBack, sawIt],
    [sawIt, cameBack],
  ]) {
    const [merged] = merge(order.map((election, i) => ({ nodeId: i, monotonicMs: 0, elections: [election] })))
    expect(merged!.election).toEqual(sawIt)
  }
})

it('knows a change of partitions again that another node applied in a longer batch', () => {
  const merged = merge([
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
  expect(merge([{ nodeId: 1, monotonicMs: 0, elections }]).map(({ election }) => election.wallMs)).toEqual([
    100, 200, 300, 400,
  ])
})

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
  }
  return { ...election, sequence, wallMs } satisfies PostMortem
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
