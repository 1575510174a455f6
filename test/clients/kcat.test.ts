import { afterAll, beforeAll, expect, it } from 'vitest'
import { kogge, startCluster, type TestCluster } from '../support/cluster.js'
import { describeWith, LARGEST_VALUE_BYTES, runTool } from '../support/toolchain.js'

describeWith('kcat', () => {
  let cluster: TestCluster
  /** With kcat's own exit code; it writes to standard error even where all is well. */
  const kcat = async (args: readonly string[], input?: string | Buffer) => {
    const result = await runTool(
      'kcat',
      ['-b', cluster.bootstrap, ...args],
      input === undefined ? {} : { input },
    )
    return { ...result, lines: result.stdout.split('\n').slice(0, -1) }
  }
  const createTopic = async (name: string, partitions: number) => {
    const { code, stderr } = await kogge([
      ...['topic', 'create', name, '--partitions', String(partitions)],
      ...['--bootstrap-server', cluster.bootstrap],
    ])
    expect(stderr).toBe('')
    expect(code).toBe(0)
  }

  beforeAll(async () => {
    cluster = await startCluster({ overrides: ['group.initial.rebalance.delay.ms=0'] })
    await createTopic('listed', 3)
  })
  afterAll(() => cluster?.stop())

  it('-L lists three brokers, three partitions and three replicas in sync', async () => {
    const { stdout } = await kcat(['-L', '-J', '-t', 'listed'])
    const { brokers, topics } = JSON.parse(stdout) as {
      brokers: { id: number; name: string }[]
      topics: {
        topic: string
        partitions: { leader: number; replicas: { id: number }[]; isrs: { id: number }[] }[]
      }[]
    }
    expect(brokers.map(({ id, name }) => [id, name]).sort()).toEqual(
      cluster.nodes.map(({ id, kafkaPort }) => [id, `127.0.0.1:${kafkaPort}`]),
    )
    expect(topics).toHaveLength(1)
    const [topic] = topics
    expect(topic!.partitions.map(({ leader }) => leader).sort()).toEqual([1, 2, 3])
    for (const { replicas, isrs } of topic!.partitions) {
      expect(replicas.map(({ id }) => id).sort()).toEqual([1, 2, 3])
      expect(isrs.map(({ id }) => id).sort()).toEqual([1, 2, 3])
    }
  })

  it.each([
    'none',
    'gzip',
    'snappy',
    'lz4',
    'zstd',
  ])('-P with acks=all, idempotence and %s; -C reads the same, headers and keys included', async (codec) => {
    const topic = `codec-${codec}`
    await createTopic(topic, 1)
    const sent = Array.from({ length: 200 }, (_, i) => `k${i}:${'value '.repeat(20)}${i}`)
    const settings = ['acks=all', 'enable.idempotence=true'].flatMap((setting) => ['-X', setting])
    const produced = await kcat(
      [
        '-P',
        '-t',
        topic,
        '-K',
        ':',
        '-z',
        codec,
        '-H',
        `codec=${codec}`,
        '-H',
        'twice=1',
        '-H',
        'twice=2',
        ...settings,
      ],
      `${sent.join('\n')}\n`,
    )
    expect(produced).toMatchObject({ code: 0, stderr: '' })
    const { lines } = await kcat(['-C', '-t', topic, '-q', '-e', '-o', 'beginning', '-f', '%o %h %k:%s\\n'])
    expect(lines).toEqual(sent.map((record, i) => `${i} codec=${codec},twice=1,twice=2 ${record}`))
  })

  it('tells null from empty, in keys and in values', async () => {
    await createTopic('nulls', 1)
    // -Z: an empty key or value is null; without it, it is empty.
    expect((await kcat(['-P', '-t', 'nulls', '-K', ':', '-Z'], 'k:v\n:v\nk:\n')).code).toBe(0)
    expect((await kcat(['-P', '-t', 'nulls', '-K', ':'], 'k:\n')).code).toBe(0)
    const { lines } = await kcat(['-C', '-t', 'nulls', '-q', '-e', '-o', 'beginning', '-f', '%K/%S\\n'])
    expect(lines).toEqual(['1/1', '-1/1', '1/-1', '1/0'])
  })

  it('takes a record of the largest size, and not one byte more', async () => {
    await createTopic('large', 1)
    const produce = (bytes: number) =>
      kcat(['-P', '-t', 'large', '-X', 'message.max.bytes=2000000', '-z', 'none'], Buffer.alloc(bytes, 'x'))
    expect(await produce(LARGEST_VALUE_BYTES)).toMatchObject({ code: 0 })
    const refused = await produce(LARGEST_VALUE_BYTES + 1)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('Delivery failed for message: Broker: Message size too large')
    const { lines } = await kcat(['-C', '-t', 'large', '-q', '-e', '-o', 'beginning', '-f', '%S\\n'])
    expect(lines).toEqual([String(LARGEST_VALUE_BYTES)])
  })

  it('-Q finds offsets: the earliest, the latest, and those of a time', async () => {
    await createTopic('queried', 1)
    expect((await kcat(['-P', '-t', 'queried'], 'a\nb\nc\n')).code).toBe(0)
    const { lines } = await kcat(['-C', '-t', 'queried', '-q', '-e', '-o', 'beginning', '-f', '%T\\n'])
    const offsetAt = async (position: string) => (await kcat(['-Q', '-t', `queried:0:${position}`])).stdout
    expect(await offsetAt('-2')).toBe('queried [0] offset 0\n')
    expect(await offsetAt('-1')).toBe('queried [0] offset 3\n')
    expect(await offsetAt(lines[0]!)).toBe('queried [0] offset 0\n')
    expect(await offsetAt(String(Number(lines[2]) + 1))).toBe('queried [0] offset -1\n')
  })

  it('-G consumes in a group, commits, and goes on where it stopped', async () => {
    await createTopic('grouped', 3)
    const sent = Array.from({ length: 60 }, (_, i) => `record ${i}`)
    expect((await kcat(['-P', '-t', 'grouped'], `${sent.join('\n')}\n`)).code).toBe(0)
    const group = (...more: string[]) =>
      kcat(['-G', 'kcat-group', '-q', '-X', 'auto.offset.reset=earliest', ...more, 'grouped'])
    const first = await group('-c', '25')
    expect(first.lines).toHaveLength(25)
    const second = await group('-e')
    expect([...first.lines, ...second.lines].sort()).toEqual([...sent].sort())
    const third = await group('-e')
    expect(third).toMatchObject({ code: 0, lines: [] })
  })

  it('makes a topic by itself where it produces to an unknown one', async () => {
    expect((await kcat(['-P', '-t', 'made-by-producing'], 'x\n')).code).toBe(0)
    expect((await kcat(['-C', '-t', 'made-by-producing', '-q', '-e', '-o', 'beginning'])).lines).toEqual([
      'x',
    ])
  })
})
