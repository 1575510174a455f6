import { beforeEach, describe, expect, it } from 'vitest'
import { describeQuorum } from '../../../src/broker/quorum/describe-quorum.js'
import type { PeerProgress, QuorumStatus } from '../../../src/broker/quorum/handle.js'
import { addRaftVoterHandler } from '../../../src/broker/requests/add-raft-voter.js'
import { describeQuorumHandler } from '../../../src/broker/requests/describe-quorum.js'
import { allHandlers } from '../../../src/broker/requests/index.js'
import { removeRaftVoterHandler } from '../../../src/broker/requests/remove-raft-voter.js'
import { ZERO_UUID } from '../../../src/lib/ids.js'
import type { Voter } from '../../../src/raft/types.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { APIS } from '../../../src/wire/messages/index.js'
import { ManualClock, Node } from './admin-services.js'

const DIRECTORY = 'q1Sv0VjMQrqWYyW3bYb2-g'
const OTHER = 'AAAAAAAAAAAAAAAAAAAABQ'
const LISTENERS = [
  { name: 'OTHER', host: 'other', port: 1 },
  { name: 'CONTROLLER', host: 'four', port: 9094 },
]

let node: Node

beforeEach(() => {
  node = Node.of(1)
})

describe('AddRaftVoter', () => {
  const ask = (change: object) => {
    const request = {
      clusterId: null,
      timeoutMs: 1_000,
      voterId: 4,
      voterDirectoryId: DIRECTORY,
      listeners: LISTENERS,
      ackWhenCommitted: true,
      ...change,
    }
    const asked = node.ask(addRaftVoterHandler(node.services), request)
    node.clock.pass(50)
    return asked.response
  }

  it('asks the leader, with the address of the controller listener', () => {
    node.outage = { type: 'addVoter', errorCode: 0, errorMessage: '' }
    expect(ask({})).toEqual({ errorCode: 0, errorMessage: null })
    expect(node.commands).toEqual([
      { type: 'addVoter', nodeId: 4, directoryId: DIRECTORY, host: 'four', port: 9094 },
    ])
  })

  it('v1 may ask for an answer before the commit (KIP-1186)', () => {
    node.outage = { type: 'addVoter', errorCode: 0, errorMessage: '' }
    expect(ask({ ackWhenCommitted: false })).toEqual({ errorCode: 0, errorMessage: null })
    expect(node.commands).toMatchObject([{ type: 'addVoter', nodeId: 4, ackWhenCommitted: false }])
  })

  it('calls the change off where its client hangs up', () => {
    node.outage = { type: 'addVoter', errorCode: 0, errorMessage: '' }
    let hangUp = (): void => {}
    const request = {
      clusterId: null,
      timeoutMs: 60_000,
      voterId: 4,
      voterDirectoryId: DIRECTORY,
      listeners: LISTENERS,
      ackWhenCommitted: true,
    }
    node.ask(addRaftVoterHandler(node.services), request, { onClose: (input) => void (hangUp = input) })
    expect(node.calledOff).toEqual([])
    hangUp()
    expect(node.calledOff).toEqual(node.commands)
  })

  it('tells what the leader says', () => {
    node.outage = { type: 'addVoter', errorCode: ErrorCode.DUPLICATE_VOTER, errorMessage: 'node 4 is one' }
    expect(ask({})).toEqual({ errorCode: ErrorCode.DUPLICATE_VOTER, errorMessage: 'node 4 is one' })
    node.outage = { type: 'failed', errorCode: ErrorCode.NOT_CONTROLLER, errorMessage: 'no leader' }
    expect(ask({})).toEqual({ errorCode: ErrorCode.NOT_CONTROLLER, errorMessage: 'no leader' })
  })

  it.each([
    ['another cluster', { clusterId: 'other' }, ErrorCode.INCONSISTENT_CLUSTER_ID],
    ['no node id', { voterId: -1 }, ErrorCode.INVALID_REQUEST],
    ['no directory', { voterDirectoryId: ZERO_UUID }, ErrorCode.INVALID_REQUEST],
    ['no listener', { listeners: [] }, ErrorCode.INVALID_REQUEST],
  ])('refuses %s without asking', (_what, change, errorCode) => {
    const answer = ask(change)
    expect(answer?.errorCode).toBe(errorCode)
    expect(answer?.errorMessage).toBeTruthy()
    expect(node.commands).toEqual([])
  })
})

describe('RemoveRaftVoter', () => {
  const ask = (change: object) => {
    const request = { clusterId: null, voterId: 2, voterDirectoryId: DIRECTORY, ...change }
    const asked = node.ask(removeRaftVoterHandler(node.services), request)
    node.clock.pass(50)
    return asked.response
  }

  it('asks the leader, and tells what it says', () => {
    node.outage = { type: 'removeVoter', errorCode: ErrorCode.VOTER_NOT_FOUND, errorMessage: 'not a voter' }
    expect(ask({ clusterId: node.services.metadata.image.clusterId })).toEqual({
      errorCode: ErrorCode.VOTER_NOT_FOUND,
      errorMessage: 'not a voter',
    })
    expect(node.commands).toEqual([{ type: 'removeVoter', nodeId: 2, directoryId: DIRECTORY }])
  })

  it.each([
    ['another cluster', { clusterId: 'other' }, ErrorCode.INCONSISTENT_CLUSTER_ID],
    ['no directory', { voterDirectoryId: ZERO_UUID }, ErrorCode.INVALID_REQUEST],
  ])('refuses %s without asking', (_what, change, errorCode) => {
    expect(ask(change)?.errorCode).toBe(errorCode)
    expect(node.commands).toEqual([])
  })
})

describe('DescribeQuorum', () => {
  const voter = (nodeId: number, directoryId = DIRECTORY): Voter => ({ nodeId, directoryId })
  const progress = (of: Voter, isVoter: boolean): PeerProgress => ({
    voter: of,
    isVoter,
    matchIndex: 8,
    nextIndex: 9,
    lastContactMs: 900,
    lastCaughtUpMs: -1,
    state: 'replicate',
  })
  const status = (voters: Voter[], peers: PeerProgress[]): Partial<QuorumStatus> => ({
    nodeId: 1,
    directoryId: DIRECTORY,
    term: 3,
    leader: 1,
    commitIndex: 8,
    lastIndex: 9,
    voters,
    progress: peers,
  })
  const describeWith = (voters: Voter[], peers: PeerProgress[]) =>
    describeQuorum(status(voters, peers) as QuorumStatus, new ManualClock())

  it('names voters and observers with their directories', () => {
    node.status = status([voter(1), voter(2)], [progress(voter(2), true), progress(voter(3), false)])
    const asked = node.ask(describeQuorumHandler(node.services), {
      topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
    })
    node.clock.pass(50)
    const partition = asked.response!.topics[0]!.partitions[0]!
    const ids = (replicas: typeof partition.currentVoters) =>
      replicas.map(({ replicaId, replicaDirectoryId, logEndOffset }) => [
        replicaId,
        replicaDirectoryId,
        logEndOffset,
      ])
    expect(ids(partition.currentVoters)).toEqual([
      [1, DIRECTORY, 10],
      [2, DIRECTORY, 9],
    ])
    expect(ids(partition.observers)).toEqual([[3, DIRECTORY, 9]])
  })

  it('tells a wiped disk from the voter that it was', () => {
    const { voters, observers } = describeWith([voter(1), voter(2)], [progress(voter(2, OTHER), false)])
    expect(
      voters.map(({ replicaId, directoryId, logEndOffset }) => [replicaId, directoryId, logEndOffset]),
    ).toEqual([
      [1, DIRECTORY, 10],
      [2, DIRECTORY, -1],
    ])
    expect(observers.map(({ replicaId, directoryId }) => [replicaId, directoryId])).toEqual([[2, OTHER]])
  })

  it('lists a leader that was removed, and leads until that is committed, as an observer', () => {
    const { voters, observers } = describeWith([voter(2)], [progress(voter(2), true)])
    expect(voters.map(({ replicaId }) => replicaId)).toEqual([2])
    expect(observers.map(({ replicaId }) => replicaId)).toEqual([1])
  })

  it('leaves out who never answered', () => {
    expect(describeWith([voter(1)], [progress(voter(7, ''), false)]).observers).toEqual([])
  })
})

it('ApiVersions lists exactly what is served', () => {
  const served = allHandlers(node.services).map(({ api }) => api.name)
  expect(served.sort()).toEqual(APIS.map(({ name }) => name).sort())
})
