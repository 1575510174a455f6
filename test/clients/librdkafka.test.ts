import { afterAll, beforeAll, expect, it } from 'vitest'
import { PROJECT, startCluster, type TestCluster } from '../support/cluster.js'
import { describeWith, LARGEST_VALUE_BYTES, PYTHON, runTool } from '../support/toolchain.js'

const SCRIPT = `${PROJECT}/test/clients/python/roundtrip.py`
const EVERY_REPLICA = [1, 2, 3]

// biome-ignore lint/suspicious/noExplicitAny: a JSON document, whose shape each test asserts
type Report = any

describeWith('librdkafka (confluent-kafka)', () => {
  let cluster: TestCluster
  const report = async (command: string, ...args: string[]): Promise<Report> => {
    const { code, stdout, stderr } = await runTool(PYTHON, [SCRIPT, command, cluster.bootstrap, ...args])
    expect(code, stderr).toBe(0)
    return JSON.parse(stdout)
  }

  beforeAll(async () => {
    cluster = await startCluster({ overrides: ['group.initial.rebalance.delay.ms=100'] })
  })
  afterAll(() => cluster?.stop())

  it('administers topics, configurations and offsets, and is told in words what it may not do', async () => {
    const admin = await report('admin')
    expect(admin).toMatchObject({ created: 'done', grown: 'done', deleted: 'done', left: [], elected: {} })
    expect(admin.refused).toEqual({
      exists: 'TOPIC_ALREADY_EXISTS: topic py-admin already exists',
      name: `TOPIC_EXCEPTION: topic name "../py" has other characters than ASCII letters, digits, '.', '_' and '-'`,
      replicas:
        'INVALID_REPLICATION_FACTOR: replicationFactor is 4, larger than the 3 brokers that are registered',
      config: 'INVALID_CONFIG: "retention.mx" is no topic configuration; did you mean retention.ms?',
      value:
        'INVALID_CONFIG: retention.ms: "long" is not allowed; it must be a whole number from -1 to 9223372036854775807',
      partitions: 'INVALID_PARTITIONS: topic py-admin has 3 partitions; the new total must be larger, not 2',
      unknown: 'UNKNOWN_TOPIC_OR_PART: Broker: Unknown topic or partition',
      alter:
        'INVALID_CONFIG: segment.bytes: "-5" is not allowed; it must be a whole number from 1024 to 2147483647',
    })
    expect(admin.topic).toEqual({
      partitions: [0, 1, 2, 3, 4],
      replicas: Array(5).fill(EVERY_REPLICA),
      isr: Array(5).fill(EVERY_REPLICA),
    })
    expect(admin.configs).toEqual({
      'retention.ms': ['60000', false],
      'cleanup.policy': ['delete', true],
      'flush.messages': ['9223372036854775807', true],
      'max.message.bytes': ['1048588', true],
    })
    expect(admin.altered).toEqual(['done', 'done'])
    expect(admin.configsAfter).toEqual({
      'retention.ms': ['70000', false],
      'cleanup.policy': ['delete,compact', false],
    })
    expect(admin.deletedConfig).toBe('done')
    expect(admin.configsAtLast).toEqual({ 'retention.ms': ['604800000', true] })
    expect(admin.broker).toEqual({
      'node.id': '2',
      'default.replication.factor': '3',
      'min.insync.replicas': '2',
    })
    expect([1, 2, 3]).toContain(admin.cluster.controller)
    expect(admin.cluster.nodes).toEqual(
      cluster.nodes.map(({ id, kafkaPort }) => [id, '127.0.0.1', kafkaPort]),
    )
    // Earliest, latest, of the largest timestamp, by a timestamp, by one that is later than all.
    expect(admin.offsets).toEqual([0, 4, 3, 2, -1])
  })

  it('round-trips codecs, headers, null and empty, and a record of the largest size', async () => {
    const records = await report('records', String(LARGEST_VALUE_BYTES))
    const whole = { acknowledged: 300, same: true }
    expect(records.codecs).toEqual({ none: whole, gzip: whole, snappy: whole, lz4: whole, zstd: whole })
    expect(records.shapes).toEqual([
      [null, null, []],
      ['', '', []],
      [
        'k',
        null,
        [
          ['h', '1'],
          ['h', '2'],
          ['null', null],
          ['empty', ''],
        ],
      ],
      [null, 'v', []],
    ])
    expect(records.large).toEqual([[[0, 0]], ['MSG_SIZE_TOO_LARGE']])
    expect(records.largeRead).toEqual([LARGEST_VALUE_BYTES])
    expect(records.compacted, 'a compacted topic needs keys').toEqual(['INVALID_RECORD'])
  })

  it('consumes in groups: join, rebalance, commit, resume, administration, static members', async () => {
    const groups = await report('groups')
    const everything = [0, 1, 2, 3].map((partition) => [partition, 10])
    expect(groups.committed).toEqual(everything)
    expect(groups.shared).toEqual([0, 1, 2, 3])
    expect(groups.described).toEqual({ state: 'STABLE', assignor: 'range', members: 2, coordinator: true })
    expect(groups.refused).toBe('NON_EMPTY_GROUP: Broker: The group is not empty')
    expect(groups.listed).toEqual(['EMPTY'])
    expect(groups.resumed).toEqual([[2, 10]])
    expect(groups.reset).toEqual([[0, 3, 'None']])
    expect(groups.fetched).toEqual([[0, 3], ...everything.slice(1)])
    expect(groups.deleted).toBe('done')
    expect(groups.deletedAgain).toBe('GROUP_ID_NOT_FOUND: Broker: The group id does not exist')
    expect(groups.static, 'a restart within the session').toEqual({ sameAssignment: true, rebalances: 0 })
    expect(groups.transactional).toBe('TRANSACTIONAL_ID_AUTHORIZATION_FAILED')
  })
})
