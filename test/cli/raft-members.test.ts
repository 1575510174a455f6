import { expect, it } from 'vitest'
import type { QuorumStatus } from '../../src/broker/quorum/handle.js'
import { membersOf, type Reached } from '../../src/cli/raft-members.js'

const voter = (nodeId: number, directoryId = `d${nodeId}`) => ({ nodeId, directoryId })

const peer = { isVoter: true, nextIndex: 1, lastCaughtUpMs: -1, state: 'replicate' as const }

const LEADER: QuorumStatus = {
  nodeId: 1,
  directoryId: 'd1',
  clusterId: 'c',
  role: 'leader',
  term: 3,
  leader: 1,
  commitIndex: 10,
  lastIndex: 10,
  firstIndex: 1,
  snapshotIndex: 0,
  voters: [voter(1), voter(2), voter(3)],
  progress: [
    { ...peer, voter: voter(2), matchIndex: 8, lastContactMs: 960 },
    { ...peer, voter: voter(3, 'wiped'), matchIndex: 4, lastContactMs: 990, isVoter: false },
    { ...peer, voter: voter(4), matchIndex: 0, lastContactMs: -1, isVoter: false },
    { ...peer, voter: voter(5, ''), matchIndex: 0, lastContactMs: -1, isVoter: false },
  ],
  hasQuorum: true,
  addresses: [{ nodeId: 2, host: 'two', port: 9093 }],
}

function reached(quorum: QuorumStatus): Reached[] {
  const broker = { state: 'none' as const, brokerEpoch: 0, appliedIndex: 0 }
  return [{ address: 'a:1', status: { version: '1', monotonicMs: 1000, quorum, broker } }]
}

it('lists voters and observers as the leader sees them, a wiped disk apart from the voter that it was', () => {
  const members = membersOf(reached(LEADER))
  const none = { matchIndex: null, lag: null, lastHeardMs: null, address: null }
  expect(members).toEqual([
    { ...none, nodeId: 1, directoryId: 'd1', role: 'leader', matchIndex: 10, lag: 0, lastHeardMs: 0 },
    {
      nodeId: 2,
      directoryId: 'd2',
      role: 'voter',
      matchIndex: 8,
      lag: 2,
      lastHeardMs: 40,
      address: 'two:9093',
    },
    { ...none, nodeId: 3, directoryId: 'd3', role: 'voter' },
    { ...none, nodeId: 3, directoryId: 'wiped', role: 'observer', matchIndex: 4, lag: 6, lastHeardMs: 10 },
    { ...none, nodeId: 4, directoryId: 'd4', role: 'observer', matchIndex: 0, lag: 10 },
  ])
})

it('names the voters alone where no leader answers', () => {
  const members = membersOf(reached({ ...LEADER, nodeId: 2, role: 'follower', progress: [] }))
  expect(members.map(({ nodeId, role, matchIndex }) => [nodeId, role, matchIndex])).toEqual([
    [1, 'leader', null],
    [2, 'voter', null],
    [3, 'voter', null],
  ])
})
