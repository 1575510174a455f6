import { describe, expect, it } from 'vitest'
import { ZERO_UUID } from '../../src/lib/ids.js'
import type { AlterConfigs } from '../../src/metadata/commands.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { Cluster } from './cluster.js'

describe('CreateTopics', () => {
  it('takes the defaults for -1', () => {
    const cluster = Cluster.of(3)
    expect(cluster.create('t')).toMatchObject({ errorCode: 0, numPartitions: 1, replicationFactor: 3 })
    expect(cluster.partition('t').isr).toHaveLength(3)
    expect(cluster.partition('t').directories.toSorted()).toEqual([
      'directory-1',
      'directory-2',
      'directory-3',
    ])
  })

  it('waits, by a code of its own, until the brokers that the default needs have registered', () => {
    const cluster = new Cluster()
    cluster.start(1)
    cluster.start(2)
    expect(cluster.create('t').errorCode).toBe(ErrorCode.BROKER_NOT_AVAILABLE)
    expect(cluster.create('t', { replicationFactor: 3 }).errorCode).toBe(ErrorCode.INVALID_REPLICATION_FACTOR)
    cluster.register(3)
    expect(cluster.create('t')).toMatchObject({ errorCode: 0, replicationFactor: 3 })
    // The third is fenced yet: it holds a replica and is not in sync.
    expect(cluster.partition('t').isr.toSorted()).toEqual([1, 2])
  })

  it('leads on brokers that are up alone', () => {
    const cluster = Cluster.of(3)
    cluster.kill(1)
    cluster.create('two', { numPartitions: 6, replicationFactor: 2 })
    cluster.create('three', { numPartitions: 6 })
    for (const { replicas } of cluster.committed.topicsByName.get('two')!.partitions) {
      expect(replicas.toSorted()).toEqual([2, 3])
    }
    for (const { leader, isr } of cluster.committed.topicsByName.get('three')!.partitions) {
      expect([2, 3]).toContain(leader)
      expect(isr).not.toContain(1)
    }
    cluster.kill(2)
    cluster.kill(3)
    expect(cluster.create('none').errorCode).toBe(ErrorCode.BROKER_NOT_AVAILABLE)
  })

  it('spreads leaders and replicas evenly', () => {
    const cluster = Cluster.of(5)
    cluster.create('t', { numPartitions: 20, replicationFactor: 3 })
    const { partitions } = cluster.committed.topicsByName.get('t')!
    for (const id of [1, 2, 3, 4, 5]) {
      expect(partitions.filter(({ leader }) => leader === id)).toHaveLength(4)
      expect(partitions.filter(({ replicas }) => replicas.includes(id))).toHaveLength(12)
    }
  })

  it('spreads replicas over racks', () => {
    const cluster = new Cluster({ voters: [1, 2, 3, 4] })
    for (const id of [1, 2, 3, 4]) cluster.start(id, { rack: id <= 2 ? 'a' : 'b' })
    cluster.create('t', { numPartitions: 12, replicationFactor: 2 })
    for (const { replicas } of cluster.committed.topicsByName.get('t')!.partitions) {
      expect(replicas.map((id) => (id <= 2 ? 'a' : 'b')).toSorted()).toEqual(['a', 'b'])
    }
  })

  it('puts no two replicas into one rack while another one is free, and all racks lead', () => {
    const rackOf = (id: number) => ['a', 'b', 'c'][id % 3]!
    const cluster = new Cluster({ voters: [1, 2, 3, 4, 5, 6] })
    for (const id of [1, 2, 3, 4, 5, 6]) cluster.start(id, { rack: rackOf(id) })
    cluster.create('t', { numPartitions: 12, replicationFactor: 3 })
    // What is there counts where partitions are added.
    cluster.decide({
      type: 'createPartitions',
      validateOnly: false,
      topics: [{ name: 't', count: 24, assignments: [] }],
    })
    const { partitions } = cluster.committed.topicsByName.get('t')!
    for (const { replicas } of partitions) expect(new Set(replicas.map(rackOf)).size).toBe(3)
    for (const id of [1, 2, 3, 4, 5, 6]) {
      expect(partitions.filter(({ replicas }) => replicas[0] === id)).toHaveLength(4)
      expect(partitions.filter(({ replicas }) => replicas.includes(id))).toHaveLength(12)
    }
  })

  it('with fewer racks than replicas, or racks of unequal size, every rack has one', () => {
    const rackOf = (id: number) => (id === 1 ? 'small' : 'large')
    const cluster = new Cluster({ voters: [1, 2, 3, 4] })
    for (const id of [1, 2, 3, 4]) cluster.start(id, { rack: rackOf(id) })
    cluster.create('t', { numPartitions: 12, replicationFactor: 3 })
    for (const { replicas } of cluster.committed.topicsByName.get('t')!.partitions) {
      expect(replicas).toContain(1)
      expect(new Set(replicas).size).toBe(3)
    }
  })

  it('a rack whose broker is down gets replicas only where the others are too few', () => {
    const cluster = new Cluster({ voters: [1, 2, 3] })
    for (const id of [1, 2, 3]) cluster.start(id, { rack: `r${id}` })
    cluster.kill(3)
    cluster.create('two', { numPartitions: 6, replicationFactor: 2 })
    cluster.create('three', { numPartitions: 6, replicationFactor: 3 })
    for (const { replicas } of cluster.committed.topicsByName.get('two')!.partitions)
      expect(replicas).not.toContain(3)
    for (const { replicas, isr } of cluster.committed.topicsByName.get('three')!.partitions) {
      expect(replicas[2]).toBe(3)
      expect(isr).not.toContain(3)
    }
  })

  it.each([
    ['', 'empty'],
    ['.', '"."'],
    ['..', '".."'],
    ['a/b', 'other characters'],
    ['a\0b', 'other characters'],
    ['ü', 'other characters'],
    ['x'.repeat(250), '249'],
  ])('refuses the name %j', (name, reason) => {
    const result = Cluster.of(1).create(name)
    expect(result.errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    expect(result.errorMessage).toContain(reason)
  })

  it('refuses what exists, what collides, and what is named twice', () => {
    const cluster = Cluster.of(1)
    cluster.create('a.b')
    expect(cluster.create('a.b').errorCode).toBe(ErrorCode.TOPIC_ALREADY_EXISTS)
    expect(cluster.create('a_b').errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
    const topic = {
      name: 'c',
      numPartitions: 1,
      replicationFactor: 1,
      assignments: [],
      configs: [],
      internal: false,
    }
    const reply = cluster.decide({
      type: 'createTopics',
      validateOnly: false,
      topics: [topic, topic, { ...topic, name: 'd' }],
    })
    expect(reply.topics.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.INVALID_REQUEST,
      ErrorCode.INVALID_REQUEST,
      0,
    ])
  })

  it.each([
    [{ numPartitions: 0 }, ErrorCode.INVALID_PARTITIONS],
    [{ numPartitions: -2 }, ErrorCode.INVALID_PARTITIONS],
    [{ numPartitions: 10_001 }, ErrorCode.INVALID_PARTITIONS],
    [{ replicationFactor: 0 }, ErrorCode.INVALID_REPLICATION_FACTOR],
    [{ replicationFactor: 4 }, ErrorCode.INVALID_REPLICATION_FACTOR],
    [{ assignments: [{ partitionId: 1, replicas: [1] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [{ assignments: [{ partitionId: 0, replicas: [1, 1] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [{ assignments: [{ partitionId: 0, replicas: [9] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [{ assignments: [{ partitionId: 0, replicas: [] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
    [{ numPartitions: 1, assignments: [{ partitionId: 0, replicas: [1] }] }, ErrorCode.INVALID_REQUEST],
    [{ configs: [{ name: 'retention.sm', value: '1' }] }, ErrorCode.INVALID_CONFIG],
    [{ configs: [{ name: 'retention.ms', value: 'x' }] }, ErrorCode.INVALID_CONFIG],
    [{ configs: [{ name: 'retention.ms' }] }, ErrorCode.INVALID_CONFIG],
  ])('refuses %j and writes nothing', (topic, errorCode) => {
    const cluster = Cluster.of(3)
    const result = cluster.create('t', topic)
    expect(result.errorCode).toBe(errorCode)
    expect(result.errorMessage).not.toBe('')
    expect(cluster.last).toEqual([])
  })

  it('only validates where asked to', () => {
    const cluster = Cluster.of(3)
    const topic = {
      name: 't',
      numPartitions: 2,
      replicationFactor: 2,
      assignments: [],
      configs: [],
      internal: false,
    }
    const reply = cluster.decide({ type: 'createTopics', validateOnly: true, topics: [topic] })
    expect(reply.topics[0]).toMatchObject({ errorCode: 0, numPartitions: 2, replicationFactor: 2 })
    expect(cluster.last).toEqual([])
  })
})

describe('DeleteTopics', () => {
  it('deletes by name and by id, with the configuration', () => {
    const cluster = Cluster.of(1)
    cluster.createOn('a', [1], { 'retention.ms': '1' })
    cluster.createOn('b', [1])
    const b = cluster.committed.topicsByName.get('b')!.id
    const reply = cluster.decide({
      type: 'deleteTopics',
      topics: [
        { name: 'a', topicId: ZERO_UUID },
        { name: '', topicId: b },
        { name: 'c', topicId: ZERO_UUID },
        { name: '', topicId: 'unknown' },
      ],
    })
    expect(reply.topics.map(({ errorCode }) => errorCode)).toEqual([
      0,
      0,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      ErrorCode.UNKNOWN_TOPIC_ID,
    ])
    cluster.createOn('a', [1])
    expect(cluster.committed.topicConfig('a').size).toBe(0)
  })

  it('deletes none of those that are named twice, by name, by id or by both', () => {
    const cluster = Cluster.of(1)
    for (const name of ['a', 'b', 'c', 'd']) cluster.createOn(name, [1])
    const idOf = (name: string): string => cluster.committed.topicsByName.get(name)!.id
    const reply = cluster.decide({
      type: 'deleteTopics',
      topics: [
        { name: 'a', topicId: ZERO_UUID },
        { name: '', topicId: idOf('b') },
        { name: 'a', topicId: ZERO_UUID },
        { name: '', topicId: idOf('b') },
        { name: 'c', topicId: ZERO_UUID },
        { name: '', topicId: idOf('c') },
        { name: 'e', topicId: ZERO_UUID },
        { name: 'e', topicId: ZERO_UUID },
        { name: 'd', topicId: ZERO_UUID },
      ],
    })
    expect(reply.topics.map(({ errorCode }) => errorCode)).toEqual([
      ...Array.from({ length: 8 }, () => ErrorCode.INVALID_REQUEST),
      0,
    ])
    expect(reply.topics[0]!.errorMessage).toBe(
      'topic a is named more than once in this request, and nothing was done for it: name it once',
    )
    expect([...cluster.committed.topicsByName.keys()]).toEqual(['a', 'b', 'c'])
  })

  it('takes a name or an id, and neither both nor none', () => {
    const cluster = Cluster.of(1)
    cluster.createOn('a', [1])
    cluster.createOn('b', [1])
    const reply = cluster.decide({
      type: 'deleteTopics',
      topics: [
        { name: 'a', topicId: cluster.committed.topicsByName.get('b')!.id },
        { name: '', topicId: ZERO_UUID },
      ],
    })
    expect(reply.topics.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.INVALID_REQUEST,
      ErrorCode.INVALID_REQUEST,
    ])
    expect(reply.topics[0]!.errorMessage).toContain('name the topic by one of the two')
    expect(cluster.last).toEqual([])
  })

  it('can be forbidden', () => {
    const cluster = Cluster.of(1, { properties: new Map([['delete.topic.enable', 'false']]) })
    cluster.createOn('a', [1])
    const reply = cluster.decide({ type: 'deleteTopics', topics: [{ name: 'a', topicId: ZERO_UUID }] })
    expect(reply.topics[0]!.errorCode).toBe(ErrorCode.TOPIC_DELETION_DISABLED)
  })
})

describe('CreatePartitions', () => {
  const add = (cluster: Cluster, count: number, assignments: { replicas: number[] }[] = []) =>
    cluster.decide({
      type: 'createPartitions',
      validateOnly: false,
      topics: [{ name: 't', count, assignments }],
    }).topics[0]!

  it('lets the offsets topic grow, as Kafka does', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('__consumer_offsets', [1, 2, 3])
    const topics = [{ name: '__consumer_offsets', count: 2, assignments: [] }]
    const reply = cluster.decide({ type: 'createPartitions', validateOnly: false, topics })
    expect(reply.topics[0]!.errorCode).toBe(0)
    expect(cluster.committed.topicsByName.get('__consumer_offsets')!.partitions).toHaveLength(2)
  })

  it('adds partitions with as many replicas as the others have', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2])
    expect(add(cluster, 3).errorCode).toBe(0)
    expect(
      cluster.committed.topicsByName.get('t')!.partitions.map(({ replicas }) => replicas.length),
    ).toEqual([2, 2, 2])
    expect(add(cluster, 4, [{ replicas: [3, 1] }]).errorCode).toBe(0)
    expect(cluster.partition('t', 3).replicas).toEqual([3, 1])
  })

  it('grows none of those that are named twice', () => {
    const cluster = Cluster.of(1)
    cluster.createOn('t', [1])
    cluster.createOn('u', [1])
    const topics = ['t', 'u', 't'].map((name, i) => ({ name, count: 2 + i, assignments: [] }))
    const reply = cluster.decide({ type: 'createPartitions', validateOnly: false, topics })
    expect(reply.topics.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.INVALID_REQUEST,
      0,
      ErrorCode.INVALID_REQUEST,
    ])
    expect(cluster.committed.topicsByName.get('t')!.partitions).toHaveLength(1)
  })

  it('refuses fewer, wrong assignments and unknown topics', () => {
    const cluster = Cluster.of(3)
    expect(add(cluster, 3).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    cluster.createOn('t', [1, 2])
    expect(add(cluster, 1).errorCode).toBe(ErrorCode.INVALID_PARTITIONS)
    expect(add(cluster, 3, [{ replicas: [1, 2] }]).errorCode).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(add(cluster, 2, [{ replicas: [1] }]).errorCode).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(add(cluster, 2, [{ replicas: [1, 9] }]).errorCode).toBe(ErrorCode.INVALID_REPLICA_ASSIGNMENT)
    expect(cluster.last).toEqual([])
  })
})

describe('configurations', () => {
  const alter = (
    cluster: Cluster,
    operations: AlterConfigs['resources'][number]['operations'],
    options: Partial<AlterConfigs> = {},
  ) =>
    cluster.decide({
      type: 'alterConfigs',
      validateOnly: false,
      replaceAll: false,
      resources: [{ resourceType: 'topic', resourceName: 't', operations }],
      ...options,
    }).resources[0]!

  it('sets, deletes, appends and subtracts', () => {
    const cluster = Cluster.of(1)
    cluster.createOn('t', [1])
    alter(cluster, [{ name: 'cleanup.policy', operation: 'append', value: 'compact' }])
    expect(cluster.committed.topicConfig('t').get('cleanup.policy')).toBe('delete,compact')
    alter(cluster, [{ name: 'cleanup.policy', operation: 'subtract', value: 'delete' }])
    expect(cluster.committed.topicConfig('t').get('cleanup.policy')).toBe('compact')
    alter(cluster, [{ name: 'cleanup.policy', operation: 'delete' }])
    expect(cluster.committed.topicConfig('t').size).toBe(0)
  })

  it('replaces everything where asked to', () => {
    const cluster = Cluster.of(1)
    cluster.createOn('t', [1], { 'retention.ms': '1', 'segment.bytes': '2048' })
    alter(cluster, [{ name: 'retention.ms', operation: 'set', value: '2' }], { replaceAll: true })
    expect([...cluster.committed.topicConfig('t')]).toEqual([['retention.ms', '2']])
  })

  it('is bounded: one batch is one entry of the Raft log', () => {
    const cluster = Cluster.of(1)
    const key = 'follower.replication.throttled.replicas'
    const list = (chars: number, element = '0:1') => `${element},`.repeat(chars / 4)
    cluster.createOn('t', [1])
    const tooLong = alter(cluster, [{ name: key, operation: 'set', value: list(32_768) }])
    expect(tooLong).toMatchObject({
      errorCode: ErrorCode.INVALID_CONFIG,
      errorMessage: `${key}: the value given is not allowed; it must be no longer than 32767 characters`,
    })
    const half = [
      { name: key, operation: 'set' as const, value: list(20_000) },
      { name: key, operation: 'append' as const, value: list(20_000, '0:2') },
    ]
    expect(half.map((operation) => alter(cluster, [operation]).errorCode)).toEqual([
      ErrorCode.NONE,
      ErrorCode.INVALID_CONFIG,
    ])
    const rest = { numPartitions: 1, replicationFactor: 1, assignments: [], internal: false }
    const configs = [{ name: key, value: list(32_764) }]
    const created = cluster.decide({
      type: 'createTopics',
      validateOnly: false,
      topics: Array.from({ length: 40 }, (_, i) => ({ name: `n${i}`, configs, ...rest })),
    }).topics
    expect(created.slice(0, 30).every(({ errorCode }) => errorCode === ErrorCode.NONE)).toBe(true)
    expect(created.at(-1)).toMatchObject({
      errorCode: ErrorCode.INVALID_REQUEST,
      errorMessage:
        'one request may set configurations of at most 1000000 characters: ask in several requests',
    })
    expect(cluster.committed.topicsByName.has('n39')).toBe(false)
    expect(alter(cluster, [{ name: 'retention.ms', operation: 'set', value: '5' }]).errorCode).toBe(
      ErrorCode.NONE,
    )
  })

  it('bounds what one command adds to the log by the names of the resources too: each record repeats one', () => {
    const cluster = Cluster.of(1)
    const name = 'm'.repeat(30_000)
    const operations = [{ name: 'interval.ms', operation: 'set' as const, value: '100' }]
    const altered = cluster.decide({
      type: 'alterConfigs',
      validateOnly: false,
      replaceAll: false,
      resources: Array.from({ length: 400 }, (_, i) => ({
        resourceType: 'clientMetrics' as const,
        resourceName: `${name}${i}`,
        operations,
      })),
    }).resources
    expect(altered[0]!.errorCode).toBe(ErrorCode.NONE)
    expect(altered.at(-1)!.errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect(JSON.stringify(cluster.last).length).toBeLessThan(1_100_000)
    const repeated = Array.from({ length: 50_000 }, () => ({ name: 'retention.ms', value: '5' }))
    const created = cluster.create('t'.repeat(200), {
      numPartitions: 1,
      replicationFactor: 1,
      configs: repeated,
    })
    expect(created.errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })

  it('changes a resource as a whole or not at all, and says what is allowed', () => {
    const cluster = Cluster.of(1)
    cluster.createOn('t', [1])
    const result = alter(cluster, [
      { name: 'retention.ms', operation: 'set', value: '1' },
      { name: 'message.timestamp.type', operation: 'set', value: 'Never' },
    ])
    expect(result).toMatchObject({ errorCode: ErrorCode.INVALID_CONFIG })
    expect(result.errorMessage).toBe(
      'message.timestamp.type: "Never" is not allowed; it must be one of CreateTime, LogAppendTime',
    )
    expect(cluster.last).toEqual([])
  })

  it('of a node that is neither a broker nor a controller are refused, and those that are left of it can be removed', () => {
    const cluster = Cluster.of(2, { isController: (id) => id === 9 })
    const set = (id: string, value?: string) => cluster.setConfig('broker', id, 'log.retention.ms', value)
    expect(set('7', '1')).toMatchObject({
      errorCode: ErrorCode.BROKER_ID_NOT_REGISTERED,
      errorMessage:
        'node 7 is neither a registered broker nor a controller: name one that is, or start it first',
    })
    expect(cluster.last).toEqual([])
    expect([set('2', '1'), set('9', '1')].map(({ errorCode }) => errorCode)).toEqual([0, 0])
    cluster.setConfig('broker', '2', 'log.retention.bytes', '1')
    cluster.decide({ type: 'unregisterBroker', brokerId: 2 })
    expect(set('2', '2').errorCode).toBe(ErrorCode.BROKER_ID_NOT_REGISTERED)
    const append = alter(cluster, [], {
      resources: [
        {
          resourceType: 'broker',
          resourceName: '2',
          operations: [{ name: 'log.cleanup.policy', operation: 'append', value: 'compact' }],
        },
      ],
    })
    expect(append.errorCode).toBe(ErrorCode.BROKER_ID_NOT_REGISTERED)
    expect(set('2').errorCode).toBe(0)
    expect([...cluster.committed.brokerConfig(2)]).toEqual([['log.retention.bytes', '1']])
    const resources = [{ resourceType: 'broker' as const, resourceName: '2', operations: [] }]
    expect(alter(cluster, [], { replaceAll: true, resources }).errorCode).toBe(0)
    expect(cluster.committed.brokerConfig(2).size).toBe(0)
  })

  it('changes none of the resources that are named twice', () => {
    const cluster = Cluster.of(1)
    cluster.createOn('t', [1])
    cluster.createOn('u', [1])
    const resource = (resourceName: string, value: string) => ({
      resourceType: 'topic' as const,
      resourceName,
      operations: [{ name: 'retention.ms', operation: 'set' as const, value }],
    })
    const { resources } = cluster.decide({
      type: 'alterConfigs',
      validateOnly: false,
      replaceAll: false,
      resources: [resource('t', '1'), resource('u', '2'), resource('t', '3')],
    })
    expect(resources.map(({ errorCode }) => errorCode)).toEqual([
      ErrorCode.INVALID_REQUEST,
      0,
      ErrorCode.INVALID_REQUEST,
    ])
    expect(cluster.committed.topicConfig('t').size).toBe(0)
  })

  it('writes nothing where nothing changes, or where it only validates', () => {
    const cluster = Cluster.of(1)
    cluster.createOn('t', [1], { 'retention.ms': '1' })
    alter(cluster, [{ name: 'retention.ms', operation: 'set', value: '1' }])
    expect(cluster.last).toEqual([])
    expect(
      alter(cluster, [{ name: 'retention.ms', operation: 'set', value: '2' }], { validateOnly: true })
        .errorCode,
    ).toBe(0)
    expect(cluster.last).toEqual([])
  })

  it('refuses start-up keys, single brokers’ cluster keys, unknown resources and lists’ operations on others', () => {
    const cluster = Cluster.of(1)
    expect(cluster.setConfig('broker', '1', 'log.dirs', 'x').errorCode).toBe(ErrorCode.INVALID_REQUEST)
    expect(cluster.setConfig('broker', '1', 'min.insync.replicas', '2').errorCode).toBe(
      ErrorCode.INVALID_REQUEST,
    )
    expect(cluster.setConfig('broker', 'x', 'log.retention.ms', '2').errorCode).toBe(
      ErrorCode.INVALID_REQUEST,
    )
    expect(cluster.setConfig('broker', '', 'nonsense', '2').errorCode).toBe(ErrorCode.INVALID_CONFIG)
    expect(cluster.setConfig('topic', 't', 'retention.ms', '2').errorCode).toBe(
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    )
    cluster.createOn('t', [1])
    const result = alter(cluster, [{ name: 'retention.ms', operation: 'append', value: '1' }])
    expect(result.errorCode).toBe(ErrorCode.INVALID_CONFIG)
  })
})

describe('producer ids', () => {
  it('gives every block once, to brokers of the present epoch', () => {
    const cluster = Cluster.of(2)
    const ask = (brokerId: number, brokerEpoch: number) =>
      cluster.decide({ type: 'allocateProducerIds', brokerId, brokerEpoch })
    expect(ask(1, 1)).toMatchObject({ errorCode: 0, firstProducerId: 0, count: 1_000 })
    expect(ask(2, 2)).toMatchObject({ errorCode: 0, firstProducerId: 1_000 })
    expect(ask(1, 2).errorCode).toBe(ErrorCode.STALE_BROKER_EPOCH)
    cluster.failOver()
    expect(ask(1, 1).firstProducerId).toBe(2_000)
  })
})

describe('unregistration', () => {
  it('fences first, and forgets the broker', () => {
    const cluster = Cluster.of(3)
    cluster.createOn('t', [1, 2, 3])
    expect(cluster.decide({ type: 'unregisterBroker', brokerId: 1 }).errorCode).toBe(0)
    expect(cluster.state('t')).toBe('leader 2, isr 2 3, elr -')
    const again = cluster.decide({ type: 'unregisterBroker', brokerId: 1 })
    expect(again.errorCode).toBe(ErrorCode.BROKER_ID_NOT_REGISTERED)
  })
})
