import { describe, expect, it } from 'vitest'
import { alterConfigsHandler } from '../../../src/broker/requests/alter-configs.js'
import {
  apiVersionsHandler,
  unsupportedApiVersionsResponse,
} from '../../../src/broker/requests/api-versions.js'
import { createPartitionsHandler } from '../../../src/broker/requests/create-partitions.js'
import { createTopicsHandler } from '../../../src/broker/requests/create-topics.js'
import { deleteTopicsHandler } from '../../../src/broker/requests/delete-topics.js'
import { describeConfigsHandler } from '../../../src/broker/requests/describe-configs.js'
import { describeQuorumHandler } from '../../../src/broker/requests/describe-quorum.js'
import { electLeadersHandler } from '../../../src/broker/requests/elect-leaders.js'
import { incrementalAlterConfigsHandler } from '../../../src/broker/requests/incremental-alter-configs.js'
import { initProducerIdHandler } from '../../../src/broker/requests/init-producer-id.js'
import { ZERO_UUID } from '../../../src/lib/ids.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { Cluster } from '../../metadata/cluster.js'
import { Node } from './admin-services.js'

const newTopic = (name: string) => ({
  name,
  numPartitions: -1,
  replicationFactor: -1,
  assignments: [],
  configs: [],
})
const FAILED = {
  type: 'failed',
  errorCode: ErrorCode.NOT_CONTROLLER,
  errorMessage: 'the controller moved',
} as const

describe('CreateTopics', () => {
  it('answers when this broker knows the topic, with its effective configuration', () => {
    const n = Node.of(3)
    const topics = [{ ...newTopic('t'), configs: [{ name: 'retention.ms', value: '5' }] }]
    const asked = n.ask(createTopicsHandler(n.services), { topics, timeoutMs: 1_000, validateOnly: false })
    n.clock.pass(5)
    expect(n.cluster.committed.topicsByName.has('t')).toBe(true)
    expect(asked.response).toBeUndefined()
    n.clock.pass(5)
    expect(n.cache.image.topicsByName.has('t')).toBe(true)
    const answer = asked.response!.topics[0]!
    expect(answer).toMatchObject({ errorCode: 0, errorMessage: null, numPartitions: 1, replicationFactor: 3 })
    expect(answer.configs!.find(({ name }) => name === 'retention.ms')).toMatchObject({
      value: '5',
      configSource: 1,
    })
    expect(answer.configs!.find(({ name }) => name === 'segment.bytes')).toMatchObject({ configSource: 5 })
  })

  it('waits for the brokers that the default needs, within its time-out', () => {
    const cluster = new Cluster()
    cluster.start(1)
    cluster.start(2)
    const n = new Node(cluster)
    const handler = createTopicsHandler(n.services)
    const late = n.ask(handler, { topics: [newTopic('t')], timeoutMs: 5_000, validateOnly: false })
    const early = n.ask(handler, { topics: [newTopic('u')], timeoutMs: 300, validateOnly: false })
    n.clock.pass(400)
    expect(late.response).toBeUndefined()
    expect(early.response!.topics[0]!.errorCode).toBe(ErrorCode.REQUEST_TIMED_OUT)
    expect(early.response!.topics[0]!.errorMessage).toContain('2 brokers have registered')
    cluster.start(3)
    n.clock.pass(400)
    expect(late.response!.topics[0]!.errorCode).toBe(0)
  })

  it('tells every topic where the controller could not be reached, and fits every version', () => {
    const n = Node.of(3)
    n.outage = FAILED
    const handler = createTopicsHandler(n.services)
    for (let version = handler.api.minVersion; version <= handler.api.maxVersion; version++) {
      const topics = [newTopic('t'), newTopic('u')]
      const answer = n.answer(handler, { topics, timeoutMs: 1_000, validateOnly: false }, version)
      expect(answer.topics.map(({ errorCode }) => errorCode)).toEqual([41, 41])
    }
  })
})

describe('DeleteTopics and CreatePartitions', () => {
  it('answer when this broker knows', () => {
    const n = Node.of(3)
    n.cluster.createOn('t', [1, 2])
    n.sync()
    const topic = { name: 't', count: 3, assignments: null }
    const grown = n.ask(createPartitionsHandler(n.services), {
      topics: [topic],
      timeoutMs: 1_000,
      validateOnly: false,
    })
    n.clock.pass(10)
    expect(grown.response!.results[0]).toMatchObject({ name: 't', errorCode: 0, errorMessage: null })
    expect(n.cache.image.topicsByName.get('t')!.partitions).toHaveLength(3)
    const deleted = n.ask(
      deleteTopicsHandler(n.services),
      { topics: [], topicNames: ['t'], timeoutMs: 1_000 },
      { apiVersion: 3 },
    )
    n.clock.pass(10)
    expect(deleted.response!.responses[0]).toMatchObject({ name: 't', errorCode: 0 })
    expect(n.cache.image.topicsByName.has('t')).toBe(false)
  })

  it('delete by id, and name an unknown id by nothing but itself', () => {
    const n = Node.of(1)
    const topics = [{ name: null, topicId: 'ABEiM0RVZneImaq7zN3u_w' }]
    const answer = n.answer(deleteTopicsHandler(n.services), { topics, topicNames: [], timeoutMs: 1_000 })
    expect(answer.responses[0]).toMatchObject({
      name: null,
      topicId: topics[0]!.topicId,
      errorCode: ErrorCode.UNKNOWN_TOPIC_ID,
    })
  })
})

describe('DescribeConfigs', () => {
  const ask = (
    n: Node,
    resourceType: number,
    resourceName: string,
    configurationKeys: string[] | null = null,
    version?: number,
  ) =>
    n.answer(
      describeConfigsHandler(n.services),
      {
        resources: [{ resourceType, resourceName, configurationKeys }],
        includeSynonyms: true,
        includeDocumentation: true,
      },
      version,
    ).results[0]!

  it('describes topics, this broker and the default of all brokers; success has an empty message', () => {
    const n = Node.of(3)
    n.cluster.createOn('t', [1], { 'retention.ms': '7' })
    n.cluster.setConfig('broker', '', 'log.segment.bytes', '2048')
    n.sync()
    const topic = ask(n, 2, 't', ['retention.ms'])
    expect(topic).toMatchObject({ errorCode: 0, errorMessage: '' })
    expect(topic.configs).toMatchObject([
      { name: 'retention.ms', value: '7', configSource: 1, configType: 5, isSensitive: false },
    ])
    expect(topic.configs[0]!.synonyms.map(({ source }) => source)).toEqual([1, 5])
    expect(topic.configs[0]!.documentation).not.toBe('')
    expect(ask(n, 4, '1').configs.length).toBeGreaterThan(50)
    expect(ask(n, 4, '').configs).toMatchObject([
      { name: 'log.segment.bytes', value: '2048', configSource: 3 },
      { name: 'min.insync.replicas', value: '2', configSource: 3 },
    ])
    for (const version of [1, 2, 3, 4]) expect(ask(n, 2, 't', [], version).configs.length).toBeGreaterThan(20)
  })

  it('refuses unknown topics, other brokers and loggers', () => {
    const n = Node.of(3)
    expect(ask(n, 2, 'nope').errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(ask(n, 4, '2').errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect(ask(n, 8, '1')).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, configs: [] })
    expect(ask(n, 8, '1').errorMessage).toContain('brokerLogger')
  })
})

describe('configuration changes', () => {
  it('are forwarded, answered when known here, in the order of the resources', () => {
    const n = Node.of(3)
    n.cluster.createOn('t', [1])
    n.sync()
    const set = [{ name: 'retention.ms', configOperation: 0, value: '9' }]
    const asked = n.ask(incrementalAlterConfigsHandler(n.services), {
      resources: [
        { resourceType: 8, resourceName: '1', configs: [] },
        { resourceType: 2, resourceName: 't', configs: set },
        { resourceType: 2, resourceName: 'nope', configs: set },
      ],
      validateOnly: false,
    })
    n.clock.pass(10)
    expect(asked.response!.responses.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.INVALID_REQUEST,
      0,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ])
    expect(n.services.configs.topic('t').retentionMs).toBe(9)
  })

  it('AlterConfigs replaces what is not named', () => {
    const n = Node.of(3)
    n.cluster.createOn('t', [1], { 'retention.ms': '7' })
    n.sync()
    const configs = [{ name: 'segment.bytes', value: '4096' }]
    n.answer(alterConfigsHandler(n.services), {
      resources: [{ resourceType: 2, resourceName: 't', configs }],
      validateOnly: false,
    })
    expect([...n.cache.image.topicConfig('t')]).toEqual([['segment.bytes', '4096']])
  })
})

describe('ElectLeaders', () => {
  it('groups the results by topic', () => {
    const n = Node.of(3)
    n.cluster.createOn('t', [1, 2])
    n.sync()
    const topicPartitions = [{ topic: 't', partitions: [0, 1] }]
    const answer = n.answer(electLeadersHandler(n.services), {
      electionType: 0,
      topicPartitions,
      timeoutMs: 1_000,
    })
    expect(answer.errorCode).toBe(0)
    expect(answer.replicaElectionResults).toMatchObject([
      {
        topic: 't',
        partitionResult: [
          { partitionId: 0, errorCode: ErrorCode.ELECTION_NOT_NEEDED },
          { partitionId: 1, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION },
        ],
      },
    ])
  })
})

describe('InitProducerId', () => {
  const request = { transactionalId: null, transactionTimeoutMs: 0, producerId: -1, producerEpoch: -1 }

  it('never gives an id twice, and asks for a block of ids once for all who wait', () => {
    const n = Node.of(3)
    const handler = initProducerIdHandler(n.services)
    const asked = Array.from({ length: 2_500 }, () => n.ask(handler, request))
    n.clock.pass(100)
    const ids = asked.map(({ response }) => response!.producerId)
    expect(new Set(ids).size).toBe(2_500)
    expect(asked.every(({ response }) => response!.errorCode === 0 && response!.producerEpoch === 0)).toBe(
      true,
    )
    expect(n.commands.length).toBeLessThanOrEqual(4)
  })

  it('two brokers never share an id', () => {
    const cluster = Cluster.of(3)
    const [one, two] = [new Node(cluster), new Node(cluster)]
    const first = one.answer(initProducerIdHandler(one.services), request).producerId
    expect(two.answer(initProducerIdHandler(two.services), request).producerId).not.toBe(first)
  })

  it('is retriable without a controller, and final for a transactional id', () => {
    const n = Node.of(3)
    n.outage = FAILED
    const handler = initProducerIdHandler(n.services)
    expect(n.answer(handler, request).errorCode).toBe(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    const transactional = n.answer(handler, { ...request, transactionalId: 'x' })
    expect(transactional.errorCode).toBe(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  })
})

describe('DescribeQuorum', () => {
  const request = { topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }] }

  it('tells what the leader knows of everybody’s progress, in Unix time', () => {
    const n = Node.of(3)
    const askedMs = n.clock.wallMs()
    const voter = (nodeId: number) => ({ nodeId, directoryId: ZERO_UUID })
    const peer = { isVoter: true, nextIndex: 8, lastCaughtUpMs: -1, state: 'replicate' as const }
    n.status = {
      nodeId: 2,
      directoryId: ZERO_UUID,
      role: 'leader',
      term: 4,
      leader: 2,
      commitIndex: 7,
      lastIndex: 8,
      voters: [voter(1), voter(2), voter(3)],
      progress: [
        { ...peer, voter: voter(1), matchIndex: 7, lastContactMs: n.clock.monotonicMs() - 40 },
        { ...peer, voter: voter(3), matchIndex: 5, lastContactMs: -1 },
      ],
    }
    const answer = n.answer(describeQuorumHandler(n.services), request)
    const partition = answer.topics[0]!.partitions[0]!
    expect(partition).toMatchObject({
      errorCode: 0,
      leaderId: 2,
      leaderEpoch: 4,
      highWatermark: 8,
      observers: [],
    })
    expect(partition.currentVoters.map(({ replicaId, logEndOffset }) => [replicaId, logEndOffset])).toEqual([
      [1, 8],
      [2, 9],
      [3, 6],
    ])
    expect(partition.currentVoters[0]!.lastFetchTimestamp).toBe(askedMs - 40)
    expect(partition.currentVoters[2]!.lastFetchTimestamp).toBe(-1)
    expect(answer.nodes![0]).toEqual({
      nodeId: 1,
      listeners: [{ name: 'CONTROLLER', host: 'host-1', port: 9093 }],
    })
  })

  it('without an answer of the leader it is retriable, and the nodes are told all the same', () => {
    const n = Node.of(3)
    n.status = { nodeId: 1, role: 'follower', leader: 2, term: 4 }
    n.outage = FAILED
    const topics = [...request.topics, { topicName: 't', partitions: [{ partitionIndex: 0 }] }]
    const answer = n.answer(describeQuorumHandler(n.services), { topics })
    expect(answer.topics.map(({ partitions }) => partitions[0]!.errorCode)).toEqual([
      ErrorCode.NOT_LEADER_OR_FOLLOWER,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ])
    expect(answer.topics[0]!.partitions[0]!.leaderId).toBe(2)
    expect(answer.topics[0]!.partitions[0]!.errorMessage).toContain('node 2, which led the quorum: ')
    expect(answer.nodes).toHaveLength(3)

    n.status = { nodeId: 1, role: 'follower', leader: undefined, term: 4 }
    const leaderless = n.answer(describeQuorumHandler(n.services), { topics }, undefined, 0)
    expect(leaderless.topics[0]!.partitions[0]).toMatchObject({
      errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER,
      errorMessage: 'the quorum has no leader at present',
      leaderId: -1,
    })
  })
})

describe('ApiVersions', () => {
  it('lists what is served and the finalised features, without transactions', () => {
    const n = Node.of(1)
    const request = { clientSoftwareName: 'test', clientSoftwareVersion: '1.0' }
    const answer = n.answer(apiVersionsHandler(n.services), request)
    expect(answer.apiKeys.map(({ apiKey }) => apiKey)).toContain(3)
    expect(answer.finalizedFeatures!.map(({ name }) => name)).toEqual([
      'kogge.version',
      'metadata.version',
      'kraft.version',
      'eligible.leader.replicas.version',
      'flush.before.ack',
    ])
    expect(answer.finalizedFeaturesEpoch).toBe(n.cluster.index)
    expect(n.answer(apiVersionsHandler(n.services), request, 3).supportedFeatures).toEqual([
      { name: 'kogge.version', minVersion: 1, maxVersion: 2 },
      { name: 'metadata.version', minVersion: 25, maxVersion: 25 },
      { name: 'kraft.version', minVersion: 1, maxVersion: 1 },
      { name: 'eligible.leader.replicas.version', minVersion: 1, maxVersion: 1 },
    ])
    expect(unsupportedApiVersionsResponse()).toEqual({
      errorCode: ErrorCode.UNSUPPORTED_VERSION,
      apiKeys: answer.apiKeys,
    })
  })

  it('refuses a software name that KIP-511 does not allow', () => {
    const n = Node.of(1)
    const answer = n.answer(apiVersionsHandler(n.services), {
      clientSoftwareName: ' ',
      clientSoftwareVersion: '1',
    })
    expect(answer.errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })
})
