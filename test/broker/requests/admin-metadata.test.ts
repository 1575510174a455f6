import { describe, expect, it } from 'vitest'
import { describeClusterHandler } from '../../../src/broker/requests/describe-cluster.js'
import { describeTopicPartitionsHandler } from '../../../src/broker/requests/describe-topic-partitions.js'
import { metadataHandler } from '../../../src/broker/requests/metadata.js'
import type { MetadataChange } from '../../../src/broker/services.js'
import { ZERO_UUID } from '../../../src/lib/ids.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import type { DescribeTopicPartitionsResponse } from '../../../src/wire/messages/describe-topic-partitions.js'
import type { MetadataRequest } from '../../../src/wire/messages/metadata.js'
import { Node } from './admin-services.js'

function request(names: string[] | null, overrides: Partial<MetadataRequest> = {}): MetadataRequest {
  return {
    topics: names === null ? null : names.map((name) => ({ name, topicId: ZERO_UUID })),
    allowAutoTopicCreation: true,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
    ...overrides,
  }
}

function node(): Node {
  const made = Node.of(3)
  made.cluster.createOn('a', [1, 2, 3])
  made.cluster.createOn('b', [2, 3])
  made.sync()
  return made
}

describe('Metadata', () => {
  it('null asks for all, an empty list for none; in v0 an empty list for all', () => {
    const n = node()
    const handler = metadataHandler(n.services)
    const names = (topics: string[] | null, version: number) =>
      n.answer(handler, request(topics), version).topics.map(({ name }) => name)
    expect(names(null, 13)).toEqual(['a', 'b'])
    expect(names([], 1)).toEqual([])
    expect(names([], 0)).toEqual(['a', 'b'])
    expect(names(['b'], 6)).toEqual(['b'])
  })

  it('gives the endpoints of the listener, and no fenced broker', () => {
    const n = node()
    n.cluster.kill(3)
    n.sync()
    n.clock.pass(5_000)
    const handler = metadataHandler(n.services)
    expect(n.answer(handler, request([])).brokers).toEqual([
      { nodeId: 1, host: 'host-1', port: 9092, rack: null },
      { nodeId: 2, host: 'host-2', port: 9092, rack: null },
    ])
    const elsewhere = n.ask(handler, request(['a']), { listener: 'OTHER' }).response!
    expect(elsewhere.brokers).toEqual([])
    expect(elsewhere.topics[0]!.partitions[0]).toMatchObject({
      errorCode: ErrorCode.LISTENER_NOT_FOUND,
      leaderId: -1,
    })
  })

  it('names a broker that was fenced a moment ago, so that no client lets go of it while its partitions move', () => {
    const n = node()
    const named = () => n.answer(metadataHandler(n.services), request([]), undefined, 0).brokers
    n.cluster.kill(3)
    n.cache.applyCommitted(n.cluster.last, n.cluster.index)
    expect(named().map(({ nodeId }) => nodeId)).toEqual([1, 2, 3])
    n.clock.pass(5_000)
    expect(named().map(({ nodeId }) => nodeId)).toEqual([1, 2])
    // A node that lagged hears of it by a snapshot.
    const lagging = node()
    lagging.cluster.kill(3)
    lagging.sync()
    const namedThere = () =>
      lagging.answer(metadataHandler(lagging.services), request([]), undefined, 0).brokers
    expect(namedThere().map(({ nodeId }) => nodeId)).toEqual([1, 2, 3])
    lagging.clock.pass(5_000)
    expect(namedThere().map(({ nodeId }) => nodeId)).toEqual([1, 2])
  })

  it('names the active controller where it is a live broker, else always the same', () => {
    const n = node()
    const controller = () => n.answer(metadataHandler(n.services), request([])).controllerId
    expect(controller()).toBe(1)
    n.cache.setController(3)
    expect(controller()).toBe(3)
    n.cluster.kill(3)
    n.sync()
    expect(controller()).toBe(1)
  })

  it('knows topics by their ids', () => {
    const n = node()
    const { id } = n.cluster.committed.topicsByName.get('a')!
    const topics = [
      { name: null, topicId: id },
      { name: null, topicId: 'ABEiM0RVZneImaq7zN3u_w' },
    ]
    const answer = n.answer(metadataHandler(n.services), request(null, { topics }))
    expect(answer.topics.map(({ name, errorCode }) => [name, errorCode])).toEqual([
      ['a', 0],
      [null, ErrorCode.UNKNOWN_TOPIC_ID],
    ])
  })

  it('creates a topic that is asked for: at first LEADER_NOT_AVAILABLE, then it is there', () => {
    const n = node()
    const handler = metadataHandler(n.services)
    expect(n.ask(handler, request(['new'])).response!.topics[0]!.errorCode).toBe(
      ErrorCode.LEADER_NOT_AVAILABLE,
    )
    n.ask(handler, request(['new']))
    expect(n.commands).toHaveLength(1)
    n.clock.pass(20)
    expect(n.answer(handler, request(['new'])).topics[0]).toMatchObject({ errorCode: 0, name: 'new' })
  })

  it('creates nothing where the client or the broker does not want it, and nothing internal or invalid', () => {
    const n = node()
    const code = (name: string, overrides = {}) =>
      n.answer(metadataHandler(n.services), request([name], overrides)).topics[0]!.errorCode
    expect(code('new', { allowAutoTopicCreation: false })).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(code('__consumer_offsets')).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(code('a/b')).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    const other = Node.of(3, { properties: new Map([['auto.create.topics.enable', 'false']]) })
    const answer = other.answer(metadataHandler(other.services), request(['new']))
    expect(answer.topics[0]!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect([...n.commands, ...other.commands]).toEqual([])
  })

  it('says so where a partition has no leader', () => {
    const n = node()
    for (const id of [1, 2, 3]) n.cluster.kill(id)
    n.sync()
    expect(n.answer(metadataHandler(n.services), request(['a'])).topics[0]!.partitions[0]).toMatchObject({
      errorCode: ErrorCode.LEADER_NOT_AVAILABLE,
      leaderId: -1,
      offlineReplicas: [1, 2, 3],
    })
  })

  it('fits every version', () => {
    const n = node()
    const handler = metadataHandler(n.services)
    for (let version = handler.api.minVersion; version <= handler.api.maxVersion; version++) {
      expect(n.answer(handler, request(['a', 'b', 'c']), version).topics).toHaveLength(3)
    }
  })
})

describe('an answer that names a leader whose connection broke', () => {
  it('waits until the metadata moves', () => {
    const n = node()
    n.cache.suspect(1)
    const asked = n.ask(metadataHandler(n.services), request(['a']))
    n.clock.pass(100)
    expect(asked.response).toBeUndefined()
    n.cluster.kill(1)
    n.cache.applyCommitted(n.cluster.last, n.cluster.index)
    expect(asked.response!.topics[0]!.partitions[0]!.leaderId).toBe(2)
  })

  it('is not given before this node had the time to see the connection break', () => {
    const n = node()
    const asked = n.ask(metadataHandler(n.services), request(['b']))
    n.clock.pass(19)
    expect(asked.response).toBeUndefined()
    n.cache.suspect(2)
    n.clock.pass(5)
    n.cluster.kill(2)
    n.cache.applyCommitted(n.cluster.last, n.cluster.index)
    expect(asked.response!.topics[0]!.partitions[0]!.leaderId).toBe(3)
  })

  it('waits for 300 ms at most', () => {
    const n = node()
    n.cache.suspect(1)
    const asked = n.ask(metadataHandler(n.services), request(['a']))
    n.clock.pass(299)
    expect(asked.response).toBeUndefined()
    n.clock.pass(1)
    expect(asked.response!.topics[0]!.partitions[0]!.leaderId).toBe(1)
    expect(n.cache.isSuspect(1)).toBe(false)
  })

  it('is not held where it names others, and dropped with its connection', () => {
    const n = node()
    n.cache.suspect(1)
    expect(n.answer(metadataHandler(n.services), request(['b']), undefined, 20)).toBeDefined()
    const closing: (() => void)[] = []
    const asked = n.ask(metadataHandler(n.services), request(['a']), {
      onClose: (input) => closing.push(input),
    })
    for (const input of closing) input()
    n.clock.pass(1_000)
    expect(asked.response).toBeUndefined()
  })

  it('a new registration ends the suspicion', () => {
    const n = node()
    n.cache.suspect(1)
    n.cluster.register(1)
    n.cache.applyCommitted(n.cluster.last, n.cluster.index)
    expect(n.cache.isSuspect(1)).toBe(false)
  })
})

describe('the metadata cache', () => {
  it('says what a batch has touched', () => {
    const n = node()
    const changes: MetadataChange[] = []
    n.cache.onChange((change) => changes.push(change))
    const a = n.cluster.committed.topicsByName.get('a')!.id
    n.cluster.setConfig('topic', 'a', 'retention.ms', '1')
    n.cache.applyCommitted(n.cluster.last, n.cluster.index)
    n.cluster.decide({ type: 'deleteTopics', topics: [{ name: 'a', topicId: ZERO_UUID }] })
    n.cache.applyCommitted(n.cluster.last, n.cluster.index)
    n.cluster.kill(3)
    n.cache.applyCommitted(n.cluster.last, n.cluster.index)
    n.cache.applyCommitted([], n.cluster.index + 1)
    const nothing = {
      everything: false,
      topicsChanged: new Set(),
      topicsDeleted: new Map(),
      brokersChanged: new Set(),
      topicConfigsChanged: new Set(),
      brokerConfigsChanged: false,
    }
    const b = n.cluster.committed.topicsByName.get('b')!.id
    expect(changes).toEqual([
      { ...nothing, topicConfigsChanged: new Set(['a']) },
      { ...nothing, topicsDeleted: new Map([[a, 'a']]) },
      { ...nothing, brokersChanged: new Set([3]), topicsChanged: new Set([b]) },
    ])
    expect(n.cache.appliedIndex).toBe(n.cluster.index + 1)
  })

  it('after a snapshot everything may have changed, and what is gone is named', () => {
    const n = node()
    const a = n.cluster.committed.topicsByName.get('a')!.id
    const changes: MetadataChange[] = []
    n.cache.onChange((change) => changes.push(change))
    n.cluster.decide({ type: 'deleteTopics', topics: [{ name: 'a', topicId: ZERO_UUID }] })
    n.sync()
    expect(changes).toMatchObject([{ everything: true, topicsDeleted: new Map([[a, 'a']]) }])
  })
})

describe('DescribeCluster', () => {
  it('names live brokers, and fenced ones where asked to', () => {
    const n = node()
    n.cluster.kill(3)
    n.sync()
    const handler = describeClusterHandler(n.services)
    const ask = (includeFencedBrokers: boolean) =>
      n.answer(handler, { includeClusterAuthorizedOperations: false, endpointType: 1, includeFencedBrokers })
    expect(ask(false).brokers.map(({ brokerId }) => brokerId)).toEqual([1, 2])
    expect(ask(true).brokers.map(({ isFenced }) => isFenced)).toEqual([false, false, true])
    expect(ask(false)).toMatchObject({ clusterId: 'cluster', controllerId: 1 })
  })

  it('has no controllers’ endpoints', () => {
    const n = node()
    const asked = { includeClusterAuthorizedOperations: false, endpointType: 2, includeFencedBrokers: false }
    expect(n.answer(describeClusterHandler(n.services), asked).errorCode).toBe(
      ErrorCode.MISMATCHED_ENDPOINT_TYPE,
    )
  })
})

describe('DescribeTopicPartitions', () => {
  it('pages through all partitions', () => {
    const n = Node.of(3)
    n.cluster.create('a', { numPartitions: 3, replicationFactor: 2 })
    n.cluster.create('b', { numPartitions: 2, replicationFactor: 2 })
    n.sync()
    const handler = describeTopicPartitionsHandler(n.services)
    const seen: string[] = []
    let cursor: { topicName: string; partitionIndex: number } | null = null
    for (let page = 0; page < 3; page++) {
      const answer: DescribeTopicPartitionsResponse = n.answer(handler, {
        topics: [],
        responsePartitionLimit: 2,
        cursor,
      })
      for (const topic of answer.topics) {
        for (const { partitionIndex } of topic.partitions) seen.push(`${topic.name}-${partitionIndex}`)
      }
      cursor = answer.nextCursor ?? null
    }
    expect(seen).toEqual(['a-0', 'a-1', 'a-2', 'b-0', 'b-1'])
    expect(cursor).toBeNull()
  })

  it('gives the ELR, and names what does not exist', () => {
    const n = node()
    for (const id of [1, 2]) n.cluster.kill(id)
    n.sync()
    const topics = [{ name: 'nope' }, { name: 'a' }]
    const answer = n.answer(describeTopicPartitionsHandler(n.services), {
      topics,
      responsePartitionLimit: 2_000,
      cursor: null,
    })
    expect(answer.topics[0]!.partitions[0]).toMatchObject({ leaderId: 3, eligibleLeaderReplicas: [2] })
    expect(answer.topics[1]).toMatchObject({ name: 'nope', errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION })
  })
})
