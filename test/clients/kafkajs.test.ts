import kafkajs, {
  type Admin,
  type ConfigResourceTypes as ConfigType,
  type Kafka as KafkaClient,
  type KafkaMessage,
  type Message,
} from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import { startCluster, type TestCluster } from '../support/cluster.js'
import { LARGEST_VALUE_BYTES } from '../support/toolchain.js'

// kafkajs is CommonJS, whose names an ES module sees only on the default export.
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel, Partitioners } = kafkajs
const TOPIC = ConfigResourceTypes.TOPIC as ConfigType
const BROKER = ConfigResourceTypes.BROKER as ConfigType
const IDEMPOTENT = {
  idempotent: true,
  maxInFlightRequests: 1,
  createPartitioner: Partitioners.DefaultPartitioner,
}

let cluster: TestCluster
let kafka: KafkaClient
let admin: Admin

beforeAll(async () => {
  cluster = await startCluster({ overrides: ['group.initial.rebalance.delay.ms=100'] })
  kafka = new Kafka({
    brokers: cluster.bootstrap.split(','),
    clientId: 'kafkajs-test',
    logLevel: logLevel.NOTHING,
    retry: { retries: 3, initialRetryTime: 50, maxRetryTime: 200 },
  })
  admin = kafka.admin()
  await admin.connect()
  // kafkajs brings gzip alone and asks for the others.
  const compression = await loadCompression()
  for (const [type, codec] of Object.entries({ Snappy: 2, LZ4: 3, ZSTD: 4 } as const)) {
    CompressionCodecs[CompressionTypes[type as 'Snappy' | 'LZ4' | 'ZSTD']] = () => ({
      compress: async (encoder: { buffer: Buffer }) =>
        Buffer.from(compression.compress(codec, encoder.buffer)),
      decompress: async (bytes: Buffer) => Buffer.from(compression.decompress(codec, bytes, 64 << 20)),
    })
  }
})
afterAll(async () => {
  await admin?.disconnect()
  await cluster?.stop()
})

async function createTopic(topic: string, numPartitions = 3): Promise<void> {
  expect(await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 3 }] })).toBe(true)
}

async function send(topic: string, messages: Message[], compression?: number): Promise<void> {
  const producer = kafka.producer(IDEMPOTENT)
  await producer.connect()
  await producer.send({ topic, acks: -1, messages, ...(compression === undefined ? {} : { compression }) })
  await producer.disconnect()
}

type Received = KafkaMessage & { partition: number }

/** A member of a group: it commits after each batch. */
async function member(groupId: string, topic: string) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, heartbeatInterval: 200 })
  const received: Received[] = []
  const assignments: number[][] = []
  const waiters = new Set<() => void>()
  const wake = () => {
    for (const waiter of [...waiters]) waiter()
  }
  consumer.on('consumer.group_join', ({ payload }) => {
    assignments.push(payload.memberAssignment[topic] ?? [])
    wake()
  })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message, partition }) => {
      received.push({ ...message, partition })
      wake()
    },
  })
  return {
    received,
    assignments,
    until: (seen: () => boolean) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if (!seen()) return
          waiters.delete(look)
          resolve()
        }
        waiters.add(look)
        look()
      }),
    leave: () => consumer.disconnect(),
  }
}

async function readAll(topic: string, count: number): Promise<Received[]> {
  const reader = await member(`reads-${topic}`, topic)
  await reader.until(() => reader.received.length >= count)
  await reader.leave()
  return reader.received
}

describe("kafkajs' admin client", () => {
  it('describes the cluster', async () => {
    const described = await admin.describeCluster()
    expect(described.brokers.sort((a, b) => a.nodeId - b.nodeId)).toEqual(
      cluster.nodes.map(({ id, kafkaPort }) => ({ nodeId: id, host: '127.0.0.1', port: kafkaPort })),
    )
    expect([1, 2, 3]).toContain(described.controller)
    expect(described.clusterId).toMatch(/^[A-Za-z0-9_-]{22}$/)
  })

  it('creates a topic of three partitions and three replicas, lists, describes, grows and deletes it', async () => {
    await createTopic('made')
    expect(await admin.createTopics({ topics: [{ topic: 'made' }] }), 'it exists already').toBe(false)
    expect(await admin.listTopics()).toContain('made')
    const { topics } = await admin.fetchTopicMetadata({ topics: ['made'] })
    expect(topics[0]!.partitions.map(({ leader }) => leader).sort()).toEqual([1, 2, 3])
    for (const { replicas, isr } of topics[0]!.partitions) {
      expect([...replicas].sort()).toEqual([1, 2, 3])
      expect([...isr].sort()).toEqual([1, 2, 3])
    }
    await admin.createPartitions({ topicPartitions: [{ topic: 'made', count: 5 }] })
    expect((await admin.fetchTopicMetadata({ topics: ['made'] })).topics[0]!.partitions).toHaveLength(5)
    await expect(
      admin.createPartitions({ topicPartitions: [{ topic: 'made', count: 2 }] }),
    ).rejects.toMatchObject({ type: 'INVALID_PARTITIONS' })
    await admin.deleteTopics({ topics: ['made'] })
    expect(await admin.listTopics()).not.toContain('made')
  })

  it.each([
    ['no such/name', 3, 'INVALID_TOPIC_EXCEPTION'],
    ['too-many-replicas', 4, 'INVALID_REPLICATION_FACTOR'],
  ])('is refused a topic %s with %i replicas', async (topic, replicationFactor, type) => {
    await expect(admin.createTopics({ topics: [{ topic, replicationFactor }] })).rejects.toMatchObject({
      errors: [{ type }],
    })
  })

  it('reads and writes the configuration of a topic, and reads that of a broker', async () => {
    await createTopic('configured')
    const value = async (name: string) => {
      const { resources } = await admin.describeConfigs({
        resources: [{ type: TOPIC, name: 'configured', configNames: [name] }],
        includeSynonyms: true,
      })
      return resources[0]!.configEntries[0]
    }
    expect(await value('flush.messages')).toMatchObject({
      configValue: '9223372036854775807',
      isDefault: true,
    })
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        { type: TOPIC, name: 'configured', configEntries: [{ name: 'retention.ms', value: '70000' }] },
      ],
    })
    expect(await value('retention.ms')).toMatchObject({
      configValue: '70000',
      isDefault: false,
      configSynonyms: [
        { configName: 'retention.ms', configValue: '70000', configSource: 1 },
        { configName: 'log.retention.hours', configValue: '168', configSource: 5 },
      ],
    })
    await expect(
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          { type: TOPIC, name: 'configured', configEntries: [{ name: 'retention.mx', value: '1' }] },
        ],
      }),
    ).rejects.toMatchObject({ type: 'INVALID_CONFIG' })
    const broker = await admin.describeConfigs({
      resources: [{ type: BROKER, name: '2', configNames: ['node.id', 'default.replication.factor'] }],
      includeSynonyms: false,
    })
    const values = broker.resources[0]!.configEntries.map(({ configName, configValue }) => [
      configName,
      configValue,
    ])
    expect(values.sort()).toEqual([
      ['default.replication.factor', '3'],
      ['node.id', '2'],
    ])
  })

  it('is told by the list of versions what this broker does not serve', async () => {
    const everything = { resourceType: 1, resourcePatternType: 1, operation: 1, permissionType: 1 }
    await expect(admin.describeAcls(everything)).rejects.toMatchObject({
      name: 'KafkaJSServerDoesNotSupportApiKey',
    })
  })
})

describe("kafkajs' producer", () => {
  it.each([
    ['no compression', CompressionTypes.None],
    ['gzip', CompressionTypes.GZIP],
    ['snappy', CompressionTypes.Snappy],
    ['lz4', CompressionTypes.LZ4],
    ['zstd', CompressionTypes.ZSTD],
  ])('round-trips records with acks=all, idempotence and %s', async (_name, compression) => {
    const topic = `codec-${compression}`
    await createTopic(topic)
    const sent = Array.from({ length: 100 }, (_, i) => ({ key: `k${i}`, value: 'value '.repeat(20) + i }))
    await send(topic, sent, compression)
    const got = await readAll(topic, sent.length)
    expect(got.map(({ key, value }) => ({ key: String(key), value: String(value) })).sort(byKey)).toEqual(
      sent.sort(byKey),
    )
  })

  it('keeps headers, null apart from empty, and the order within a partition', async () => {
    await createTopic('shapes', 1)
    const sent: Message[] = [
      { key: null, value: null },
      { key: '', value: '' },
      { key: 'k', value: null, headers: { one: '1', many: ['a', 'b'], empty: '' } },
      { key: null, value: 'v' },
    ]
    await send('shapes', sent)
    const got = await readAll('shapes', sent.length)
    expect(got.map(({ key, value }) => [key?.toString() ?? null, value?.toString() ?? null])).toEqual([
      [null, null],
      ['', ''],
      ['k', null],
      [null, 'v'],
    ])
    expect(got.map(({ offset }) => offset)).toEqual(['0', '1', '2', '3'])
    const { one, many, empty } = got[2]!.headers!
    expect([String(one), String(many), String(empty)]).toEqual(['1', 'a,b', ''])
  })

  it('sends a record of the largest size, and not one byte more', async () => {
    await createTopic('large', 1)
    await send('large', [{ value: Buffer.alloc(LARGEST_VALUE_BYTES, 'x') }])
    await expect(
      send('large', [{ value: Buffer.alloc(LARGEST_VALUE_BYTES + 1, 'x') }]),
    ).rejects.toMatchObject({
      type: 'MESSAGE_TOO_LARGE',
    })
    const got = await readAll('large', 1)
    expect(got.map(({ value }) => value!.length)).toEqual([LARGEST_VALUE_BYTES])
    expect(await admin.fetchTopicOffsets('large')).toMatchObject([{ high: '1' }])
  })
})

describe("kafkajs' consumer", () => {
  it('joins, is rebalanced, commits, and goes on where the group was', async () => {
    await createTopic('shared')
    const sent = Array.from({ length: 30 }, (_, i) => ({ partition: i % 3, value: `before ${i}` }))
    await send('shared', sent)
    const first = await member('workers', 'shared')
    await first.until(() => first.received.length === 30)
    expect(first.assignments).toEqual([[0, 1, 2]])

    const second = await member('workers', 'shared')
    await second.until(() => second.assignments.length > 0)
    await first.until(() => first.assignments.length > 1)
    expect([...first.assignments.at(-1)!, ...second.assignments.at(-1)!].sort()).toEqual([0, 1, 2])

    // kafkajs asks each coordinator for its own, in the order in which it found them.
    const described = await admin.describeGroups(['workers', 'nobody'])
    const groups = described.groups.toSorted((a, b) => (a.groupId > b.groupId ? -1 : 1))
    expect(groups.map(({ groupId, state, protocolType }) => [groupId, state, protocolType])).toEqual([
      ['workers', 'Stable', 'consumer'],
      ['nobody', 'Dead', ''],
    ])
    expect(groups[0]!.members.map(({ clientId, clientHost }) => [clientId, clientHost])).toEqual([
      ['kafkajs-test', '/127.0.0.1'],
      ['kafkajs-test', '/127.0.0.1'],
    ])
    await expect(admin.deleteGroups(['workers'])).rejects.toMatchObject({
      groups: [{ groupId: 'workers', error: { type: 'NON_EMPTY_GROUP' } }],
    })

    await first.leave()
    await second.until(() => second.assignments.at(-1)!.length === 3)
    await second.leave()
    await send('shared', [{ partition: 1, value: 'after' }])
    const third = await member('workers', 'shared')
    await third.until(() => third.received.length > 0)
    await third.leave()
    expect(second.received, 'everything before was committed').toEqual([])
    expect(third.received.map(({ value }) => String(value))).toEqual(['after'])
  })

  it('offsets are fetched through the admin client, and end with the group', async () => {
    await createTopic('offsets')
    await send(
      'offsets',
      [0, 1, 2].map((partition) => ({ partition, value: 'x' })),
    )
    const reader = await member('readers', 'offsets')
    await reader.until(() => reader.received.length === 3)
    await reader.leave()
    const offsets = async () => {
      const [topic] = await admin.fetchOffsets({ groupId: 'readers', topics: ['offsets'] })
      return topic!.partitions.sort((a, b) => a.partition - b.partition).map(({ offset }) => offset)
    }
    expect(await offsets()).toEqual(['1', '1', '1'])
    expect((await admin.listGroups()).groups).toContainEqual({ groupId: 'readers', protocolType: 'consumer' })
    await admin.deleteGroups(['readers'])
    expect((await admin.listGroups()).groups.map(({ groupId }) => groupId)).not.toContain('readers')
    expect(await offsets()).toEqual(['-1', '-1', '-1'])
    await expect(admin.deleteGroups(['readers'])).rejects.toMatchObject({
      groups: [{ groupId: 'readers', error: { type: 'GROUP_ID_NOT_FOUND' } }],
    })
    const byTime = await admin.fetchTopicOffsetsByTimestamp('offsets', 0)
    expect(byTime.map(({ offset }) => offset)).toEqual(['0', '0', '0'])
  })
})

function byKey(a: { key: string }, b: { key: string }): number {
  return a.key < b.key ? -1 : 1
}
