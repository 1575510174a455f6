import { describe, expect, it } from 'vitest'
import { alterPartitionReassignmentsHandler } from '../../../src/broker/requests/alter-partition-reassignments.js'
import { listPartitionReassignmentsHandler } from '../../../src/broker/requests/list-partition-reassignments.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { Node } from './admin-services.js'

function moving(): Node {
  const n = Node.of(4)
  n.cluster.createOn('t', [1, 2, 3])
  n.cluster.createOn('u', [1, 2, 3])
  n.sync()
  return n
}

function request(replicas: number[] | null, topic = 't') {
  const partitions = [{ partitionIndex: 0, replicas }]
  return { timeoutMs: 1_000, allowReplicationFactorChange: true, topics: [{ name: topic, partitions }] }
}

const ALL = { timeoutMs: 1_000, topics: null }

describe('AlterPartitionReassignments', () => {
  it('answers when this broker knows of it; a list then shows it', () => {
    const n = moving()
    const asked = n.ask(alterPartitionReassignmentsHandler(n.services), request([4, 2, 3]))
    n.clock.pass(5)
    expect(asked.response).toBeUndefined()
    n.clock.pass(5)
    expect(asked.response).toEqual({
      allowReplicationFactorChange: true,
      errorCode: 0,
      errorMessage: null,
      responses: [{ name: 't', partitions: [{ partitionIndex: 0, errorCode: 0, errorMessage: null }] }],
    })
    expect(n.answer(listPartitionReassignmentsHandler(n.services), ALL).topics).toEqual([
      {
        name: 't',
        partitions: [
          { partitionIndex: 0, replicas: [4, 2, 3, 1], addingReplicas: [4], removingReplicas: [1] },
        ],
      },
    ])
  })

  it('cancels by null', () => {
    const n = moving()
    const handler = alterPartitionReassignmentsHandler(n.services)
    n.answer(handler, request([4, 2, 3]))
    const answer = n.answer(handler, request(null))
    expect(answer.responses[0]!.partitions[0]!.errorCode).toBe(0)
    expect(n.answer(listPartitionReassignmentsHandler(n.services), ALL).topics).toEqual([])
    const again = n.answer(handler, request(null), undefined, 10)
    expect(again.responses[0]!.partitions[0]).toEqual({
      partitionIndex: 0,
      errorCode: ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
      errorMessage: 'partition t-0 is not being reassigned',
    })
  })

  it('a cancelled removal too is answered when this broker knows of it', () => {
    const n = moving()
    const handler = alterPartitionReassignmentsHandler(n.services)
    n.cluster.kill(2)
    n.sync()
    // 1 and 3 are in sync: 3 stays until 2 is back.
    n.answer(handler, request([1, 2]))
    expect(n.answer(listPartitionReassignmentsHandler(n.services), ALL).topics).toHaveLength(1)
    const asked = n.ask(handler, request(null))
    n.clock.pass(5)
    expect(asked.response).toBeUndefined()
    n.clock.pass(5)
    expect(asked.response).toBeDefined()
    expect(n.answer(listPartitionReassignmentsHandler(n.services), ALL).topics).toEqual([])
  })

  it('answers a refusal without waiting, and by partition', () => {
    const n = moving()
    const answer = n.answer(alterPartitionReassignmentsHandler(n.services), request([1, 9], 'u'), 0, 5)
    expect(answer.responses[0]!.partitions[0]!.errorCode).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(answer.responses[0]!.partitions[0]!.errorMessage).toContain('broker 9 is not registered')
  })

  it('answers as a whole where there is no controller, and fits every version', () => {
    const n = moving()
    n.outage = { type: 'failed', errorCode: ErrorCode.NOT_CONTROLLER, errorMessage: 'the controller moved' }
    for (const version of [0, 1]) {
      const answer = n.answer(alterPartitionReassignmentsHandler(n.services), request([1, 2, 4]), version)
      expect(answer).toMatchObject({ errorCode: ErrorCode.NOT_CONTROLLER, responses: [] })
    }
  })
})

describe('ListPartitionReassignments', () => {
  it('leaves out what is not being moved and what does not exist', () => {
    const n = moving()
    n.answer(alterPartitionReassignmentsHandler(n.services), request([4, 2, 3]))
    const topics = ['t', 'u', 'nowhere'].map((name) => ({ name, partitionIndexes: [0, 0, 7] }))
    const answer = n.answer(listPartitionReassignmentsHandler(n.services), { timeoutMs: 1_000, topics })
    expect(answer.topics.map(({ name, partitions }) => [name, partitions.length])).toEqual([['t', 1]])
  })
})
