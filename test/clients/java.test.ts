import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCluster, type TestCluster } from '../support/cluster.js'
import { describeWith, LARGEST_VALUE_BYTES, runJava, type ToolResult } from '../support/toolchain.js'

const TOPICS = 'org.apache.kafka.tools.TopicCommand'
const GROUPS = 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand'
const CONFIGS = 'kafka.admin.ConfigCommand'
const OFFSETS = 'org.apache.kafka.tools.GetOffsetShell'
const QUORUM = 'org.apache.kafka.tools.MetadataQuorumCommand'
const PRODUCER = 'org.apache.kafka.tools.ConsoleProducer'
const CONSUMER = 'org.apache.kafka.tools.consumer.ConsoleConsumer'

// The tools are run as they come, one JVM each; what does not depend on one another runs two at a time.
describeWith("Kafka's own tools", () => {
  let cluster: TestCluster
  const tool = (mainClass: string, ...args: string[]): Promise<ToolResult> =>
    runJava(mainClass, ['--bootstrap-server', cluster.bootstrap, ...args])
  /** Of a tool that must succeed: its standard output. */
  const output = async (mainClass: string, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tool(mainClass, ...args)
    expect(code, stdout + stderr).toBe(0)
    return stdout
  }
  const produce = (topic: string, input: string | Buffer, ...args: string[]) =>
    runJava(PRODUCER, ['--bootstrap-server', cluster.bootstrap, '--topic', topic, ...args], { input })

  beforeAll(async () => {
    cluster = await startCluster({ overrides: ['group.initial.rebalance.delay.ms=100'] })
  })
  afterAll(() => cluster?.stop())

  it('kafka-topics creates, lists, describes, grows and deletes', async () => {
    const threeByThree = ['--partitions', '3', '--replication-factor', '3']
    expect(
      await output(TOPICS, '--create', '--topic', 'made', ...threeByThree, '--config', 'retention.ms=60000'),
    ).toBe('Created topic made.\n')
    const [listed, described, again] = await Promise.all([
      output(TOPICS, '--list'),
      output(TOPICS, '--describe', '--topic', 'made'),
      tool(TOPICS, '--create', '--topic', 'made', ...threeByThree),
    ])
    expect(listed).toBe('made\n')
    const [head, ...partitions] = described.trimEnd().split('\n')
    expect(head).toMatch(
      /^Topic: made\tTopicId: [\w-]{22}\tPartitionCount: 3\tReplicationFactor: 3\tConfigs: min.insync.replicas=2,retention.ms=60000$/,
    )
    expect(partitions).toHaveLength(3)
    for (const [i, line] of partitions.entries()) {
      const replicas = line.match(/Replicas: ([\d,]+)\tIsr: \1\tElr: \tLastKnownElr: ?$/)?.[1]
      expect(line).toContain(`Topic: made\tPartition: ${i}\tLeader: ${replicas?.[0]}\t`)
      expect(replicas?.split(',').sort()).toEqual(['1', '2', '3'])
    }
    expect(again.code).toBe(1)
    expect(again.stdout + again.stderr).toContain('topic made already exists')

    await output(TOPICS, '--alter', '--topic', 'made', '--partitions', '4')
    const [grown, shrunk] = await Promise.all([
      output(TOPICS, '--describe', '--topic', 'made'),
      tool(TOPICS, '--alter', '--topic', 'made', '--partitions', '2'),
    ])
    expect(grown).toContain('PartitionCount: 4\t')
    expect(shrunk.code).toBe(1)
    expect(shrunk.stdout + shrunk.stderr).toContain(
      'topic made has 4 partitions; the new total must be larger, not 2',
    )
    await output(TOPICS, '--delete', '--topic', 'made')
    expect((await output(TOPICS, '--list')).split('\n')).not.toContain('made')
  })

  it('the console producer and consumer round-trip keys, headers, nulls and codecs', async () => {
    await output(TOPICS, '--create', '--topic', 'console', '--partitions', '1')
    const shape = ['parse.key=true', 'parse.headers=true', 'null.marker=NULL'].flatMap((property) => [
      '--reader-property',
      property,
    ])
    // The Java producer is idempotent and acks=all by default.
    for (const codec of ['gzip', 'snappy', 'lz4', 'zstd']) {
      const lines = [`codec:${codec}\tk\tv`, 'a:1,b:2\tNULL\tv', 'a:1\tk\tNULL'].join('\n')
      const produced = await produce('console', `${lines}\n`, ...shape, '--compression-codec', codec)
      expect(produced).toMatchObject({ code: 0, stderr: '' })
    }
    const print = ['print.key=true', 'print.headers=true', 'print.offset=true', 'null.literal=NULL'].flatMap(
      (property) => ['--formatter-property', property],
    )
    const read = await output(
      CONSUMER,
      '--topic',
      'console',
      '--from-beginning',
      '--max-messages',
      '12',
      ...print,
    )
    expect(read.trimEnd().split('\n')).toEqual(
      ['gzip', 'snappy', 'lz4', 'zstd'].flatMap((codec, i) => [
        `Offset:${3 * i}\tcodec:${codec}\tk\tv`,
        `Offset:${3 * i + 1}\ta:1,b:2\tNULL\tv`,
        `Offset:${3 * i + 2}\ta:1\tk\tNULL`,
      ]),
    )
  })

  it('a record of the largest size passes, one byte more is refused', async () => {
    await output(TOPICS, '--create', '--topic', 'large', '--partitions', '1')
    const settings = ['--command-property', 'max.request.size=2000000', '--compression-codec', 'none']
    const largest = await produce('large', Buffer.alloc(LARGEST_VALUE_BYTES, 'x'), ...settings)
    expect(largest).toMatchObject({ code: 0, stderr: '' })
    const larger = await produce('large', Buffer.alloc(LARGEST_VALUE_BYTES + 1, 'x'), ...settings)
    expect(larger.stdout + larger.stderr).toContain('RecordTooLargeException')
    const [read, offsets] = await Promise.all([
      output(CONSUMER, '--topic', 'large', '--from-beginning', '--max-messages', '1'),
      output(OFFSETS, '--topic', 'large'),
    ])
    expect(read.length).toBe(LARGEST_VALUE_BYTES + 1)
    expect(offsets).toBe('large:0:1\n')
  })

  it('kafka-consumer-groups lists, describes, resets and deletes a group of the console consumer', async () => {
    await output(TOPICS, '--create', '--topic', 'grouped', '--partitions', '3')
    const input = Array.from({ length: 30 }, (_, i) => `${i}\n`).join('')
    expect((await produce('grouped', input)).code).toBe(0)
    const read = await output(
      CONSUMER,
      ...['--topic', 'grouped', '--group', 'console-group', '--from-beginning', '--max-messages', '30'],
    )
    expect(read.trimEnd().split('\n').sort()).toEqual(input.trimEnd().split('\n').sort())
    const [listed, described, state, members] = [
      ...(await Promise.all([
        output(GROUPS, '--list', '--state'),
        output(GROUPS, '--describe', '--group', 'console-group'),
      ])),
      ...(await Promise.all([
        output(GROUPS, '--describe', '--group', 'console-group', '--state'),
        output(GROUPS, '--describe', '--group', 'console-group', '--members'),
      ])),
    ]
    expect(listed).toMatch(/^console-group +Empty *$/m)
    const rows = tableOf(described!, 'console-group')
    expect(rows.map(([, topic, partition]) => `${topic}-${partition}`).sort()).toEqual([
      'grouped-0',
      'grouped-1',
      'grouped-2',
    ])
    const sum = (column: number) => rows.reduce((total, row) => total + Number(row[column]), 0)
    expect([sum(3), sum(4), sum(5)], 'committed, end, lag').toEqual([30, 30, 0])
    expect(state).toMatch(/console-group +127\.0\.0\.1:\d+ +\([123]\) +- +Empty +0 *\n/)
    expect(members).toMatch(/^\nGROUP +CONSUMER-ID .*#PARTITIONS *\n$/)

    const reset = await output(
      GROUPS,
      ...[
        '--reset-offsets',
        '--group',
        'console-group',
        '--topic',
        'grouped:1',
        '--to-earliest',
        '--execute',
      ],
    )
    expect(tableOf(reset, 'console-group')).toEqual([['console-group', 'grouped', '1', '0']])
    const after = tableOf(await output(GROUPS, '--describe', '--group', 'console-group'), 'console-group')
    expect(after.find((row) => row[2] === '1')![3]).toBe('0')
    expect(await output(GROUPS, '--delete', '--group', 'console-group')).toBe(
      "Deletion of requested consumer groups ('console-group') was successful.\n",
    )
    expect((await output(GROUPS, '--list')).split('\n')).not.toContain('console-group')
  })

  it('kafka-configs describes and alters a topic and a broker', async () => {
    await output(TOPICS, '--create', '--topic', 'configured', '--partitions', '1')
    const ofTopic = ['--entity-type', 'topics', '--entity-name', 'configured']
    const ofBroker = ['--entity-type', 'brokers', '--entity-name', '1']
    const ofBrokers = ['--entity-type', 'brokers', '--entity-default']
    const altered = await Promise.all([
      output(
        CONFIGS,
        '--alter',
        ...ofTopic,
        '--add-config',
        'retention.ms=70000,cleanup.policy=[compact,delete]',
      ),
      output(CONFIGS, '--alter', ...ofBroker, '--add-config', 'message.max.bytes=2000000'),
    ])
    expect(altered).toEqual([
      'Completed updating config for topic configured.\n',
      'Completed updating config for broker 1.\n',
    ])
    expect(await output(CONFIGS, '--alter', ...ofBrokers, '--add-config', 'log.retention.ms=80000')).toBe(
      'Completed updating default config for brokers in the cluster.\n',
    )
    const [topic, broker] = await Promise.all([
      output(CONFIGS, '--describe', ...ofTopic),
      output(CONFIGS, '--describe', ...ofBroker),
    ])
    expect(topic.trimEnd().split('\n')).toEqual([
      'Dynamic configs for topic configured are:',
      '  cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}',
      '  retention.ms=70000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=70000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=80000, DEFAULT_CONFIG:log.retention.hours=168}',
    ])
    expect(broker.trimEnd().split('\n')).toEqual([
      'Dynamic configs for broker 1 are:',
      '  message.max.bytes=2000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:message.max.bytes=2000000, DEFAULT_CONFIG:message.max.bytes=1048588}',
    ])
    const [all, refused, deleted] = [
      ...(await Promise.all([
        output(CONFIGS, '--describe', '--all', ...ofTopic),
        tool(CONFIGS, '--alter', ...ofTopic, '--add-config', 'retention.mx=1'),
      ])),
      await output(CONFIGS, '--alter', ...ofTopic, '--delete-config', 'retention.ms,cleanup.policy'),
    ] as const
    expect(all).toContain('  flush.messages=9223372036854775807 sensitive=false')
    // KIP-226: a topic's value falls back on the brokers' dynamic one.
    expect(all).toContain('  max.message.bytes=')
    expect(refused.code).toBe(1)
    expect(refused.stdout + refused.stderr).toContain(
      '"retention.mx" is no topic configuration; did you mean retention.ms?',
    )
    expect(deleted).toBe('Completed updating config for topic configured.\n')
    await output(CONFIGS, '--alter', ...ofBrokers, '--delete-config', 'log.retention.ms')
  })

  it('kafka-log-dirs, kafka-get-offsets, kafka-leader-election and kafka-metadata-quorum', async () => {
    await output(TOPICS, '--create', '--topic', 'inspected', '--partitions', '2')
    expect((await produce('inspected', 'a\nb\nc\n')).code).toBe(0)
    const [dirs, latest] = await Promise.all([
      output('org.apache.kafka.tools.LogDirsCommand', '--describe', '--topic-list', 'inspected'),
      output(OFFSETS, '--topic', 'inspected'),
    ])
    const { brokers } = JSON.parse(dirs.split('\n').find((line) => line.startsWith('{'))!) as {
      brokers: {
        broker: number
        logDirs: { logDir: string; error: null; partitions: { partition: string; size: number }[] }[]
      }[]
    }
    expect(brokers.map(({ broker }) => broker)).toEqual([1, 2, 3])
    for (const [i, { logDirs }] of brokers.entries()) {
      expect(logDirs[0]).toMatchObject({ logDir: `${cluster.nodes[i]!.directory}/data`, error: null })
      expect(logDirs[0]!.partitions.map(({ partition }) => partition).sort()).toEqual([
        'inspected-0',
        'inspected-1',
      ])
      expect(logDirs[0]!.partitions.reduce((total, { size }) => total + size, 0)).toBeGreaterThan(60)
    }
    const counts = latest
      .trimEnd()
      .split('\n')
      .map((line) => line.split(':'))
    expect(counts.map(([topic, partition]) => `${topic}-${partition}`)).toEqual([
      'inspected-0',
      'inspected-1',
    ])
    expect(counts.reduce((total, [, , offset]) => total + Number(offset), 0)).toBe(3)
    const [earliest, elected] = await Promise.all([
      output(OFFSETS, '--topic', 'inspected', '--time', 'earliest'),
      output(
        'org.apache.kafka.tools.LeaderElectionCommand',
        ...['--election-type', 'preferred', '--topic', 'inspected', '--partition', '0'],
      ),
    ])
    expect(earliest).toBe('inspected:0:0\ninspected:1:0\n')
    expect(elected).toContain('Valid replica already elected for partitions inspected-0')
    // Any node is asked, and answers for the leader.
    const [status, replication] = await Promise.all([
      output(QUORUM, 'describe', '--status'),
      output(QUORUM, 'describe', '--replication'),
    ])
    const voters = cluster.nodes.map(({ id, grpcPort }) => [id, `127.0.0.1:${grpcPort}`])
    expect(status).toMatch(
      /^ClusterId: +[\w-]{22}\nLeaderId: +[123]\nLeaderEpoch: +\d+\nHighWatermark: +\d+\n/,
    )
    expect(status).toMatch(/MaxFollowerLag: +\d\n/)
    const listed = JSON.parse(status.match(/CurrentVoters: +(\[.*\])\n/)![1]!) as {
      id: number
      endpoints: string[]
    }[]
    expect(listed.map(({ id, endpoints }) => [id, endpoints[0]!.replace(/^\w+:\/\//, '')])).toEqual(voters)
    expect(status).toMatch(/CurrentObservers: +\[\]\n/)
    const rows = replication.trimEnd().split('\n').slice(1)
    expect(rows.map((row) => row.split('\t')[0]!.trim()).sort()).toEqual(['1', '2', '3'])
    expect(rows.map((row) => row.trim().split(/\s+/).at(-1)).sort()).toEqual([
      'Follower',
      'Follower',
      'Leader',
    ])
  })

  it('kafka-broker-api-versions shows what is served on every node, and nothing else', async () => {
    const versions = await output('org.apache.kafka.tools.BrokerApiVersionsCommand')
    const nodes = versions.split(/^\)$/m).filter((text) => text.includes('(id: '))
    expect(nodes).toHaveLength(3)
    const served = Object.entries(ADVERTISED).map(([name, [min, max]]) =>
      min === max ? `${name}: ${min} [usable: ${max}]` : `${name}: ${min} to ${max} [usable: ${max}]`,
    )
    for (const node of nodes) {
      const lines = node
        .split('\n')
        .slice(1)
        .map((line) => line.trim().replace(/,$/, ''))
        .filter((line) => line !== '' && !line.includes('-> (') && !line.endsWith(': UNSUPPORTED'))
      expect(lines.sort()).toEqual(served.sort())
    }
  })
})

/**
 * What Apache Kafka 4.3 advertises, for the APIs that are served here. Produce below 3 is refused when it is used, but
 * without it librdkafka before 2.11.1 turns compression off (KAFKA-18659).
 */
const ADVERTISED: Record<string, [min: number, max: number]> = {
  'Produce(0)': [0, 13],
  'Fetch(1)': [4, 18],
  'ListOffsets(2)': [1, 11],
  'Metadata(3)': [0, 13],
  'OffsetCommit(8)': [2, 10],
  'OffsetFetch(9)': [1, 10],
  'FindCoordinator(10)': [0, 6],
  'JoinGroup(11)': [0, 9],
  'Heartbeat(12)': [0, 4],
  'LeaveGroup(13)': [0, 5],
  'SyncGroup(14)': [0, 5],
  'DescribeGroups(15)': [0, 6],
  'ListGroups(16)': [0, 5],
  'ApiVersions(18)': [0, 4],
  'CreateTopics(19)': [2, 7],
  'DeleteTopics(20)': [1, 6],
  'InitProducerId(22)': [0, 5],
  'OffsetForLeaderEpoch(23)': [2, 4],
  'DescribeConfigs(32)': [1, 4],
  'AlterConfigs(33)': [0, 2],
  'DescribeLogDirs(35)': [1, 5],
  'CreatePartitions(37)': [0, 3],
  'DeleteGroups(42)': [0, 2],
  'ElectLeaders(43)': [0, 2],
  'IncrementalAlterConfigs(44)': [0, 1],
  'AlterPartitionReassignments(45)': [0, 1],
  'ListPartitionReassignments(46)': [0, 0],
  'DescribeQuorum(55)': [0, 2],
  'UpdateFeatures(57)': [0, 2],
  'DescribeCluster(60)': [0, 2],
  'UnregisterBroker(64)': [0, 0],
  'ListConfigResources(74)': [0, 1],
  'DescribeTopicPartitions(75)': [0, 0],
  'AddRaftVoter(80)': [0, 1],
  'RemoveRaftVoter(81)': [0, 0],
}

/** The rows of a table of kafka-consumer-groups that begin with this word, cut into their columns. */
function tableOf(text: string, first: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((row) => row[0] === first)
}
