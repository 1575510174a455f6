import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { KafkaClient, LATEST, listOffsets, Producer } from '../../src/adapters/kafka-client/index.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { DescribeConfigs } from '../../src/wire/messages/describe-configs.js'
import { startCluster, type TestCluster } from '../support/cluster.js'
import { describeWith, runJava } from '../support/toolchain.js'

const REASSIGN = 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand'
const TOPICS = 'org.apache.kafka.tools.TopicCommand'

const VALUE_BYTES = 20_000
const RECORDS = 500
/** Nothing ends under it while a JVM starts, however slow the machine is. */
const THROTTLE = 1_000
const RAISED = 100_000_000
const THROTTLE_KEYS = /^(leader|follower)\.replication\.throttled\.(rate|replicas)$/

describeWith("Kafka's own tools", () => {
  let cluster: TestCluster
  let client: KafkaClient
  const files = mkdtempSync(join(tmpdir(), 'kogge-reassign-'))

  const output = async (mainClass: string, ...args: string[]): Promise<string> => {
    const result = await runJava(mainClass, ['--bootstrap-server', cluster.bootstrap, ...args])
    expect(result.code, result.stdout + result.stderr).toBe(0)
    return result.stdout
  }
  const plan = (partitions: [partition: number, replicas: number[]][]): string => {
    const file = join(files, `plan-${partitions.map(([, replicas]) => replicas.join('')).join('-')}.json`)
    const moves = partitions.map(([partition, replicas]) => ({ topic: 'moved', partition, replicas }))
    writeFileSync(file, JSON.stringify({ version: 1, partitions: moves }))
    return file
  }
  const replicas = async (): Promise<number[][]> => {
    const { topics } = await client.metadata(['moved'])
    return topics[0]!.partitions.map((partition) => [...partition.replicas])
  }
  const untilReplicas = async (expected: number[][]): Promise<void> => {
    while (JSON.stringify(await replicas()) !== JSON.stringify(expected)) await sleep(20)
  }
  const throttles = async (): Promise<string[]> => {
    const resources = [
      { resourceType: 2, resourceName: 'moved', configurationKeys: null },
      ...[1, 2, 3].map((id) => ({ resourceType: 4, resourceName: String(id), configurationKeys: null })),
    ]
    const found: string[] = []
    for (const resource of resources) {
      const request = { resources: [resource], includeSynonyms: false, includeDocumentation: false }
      const { results } =
        resource.resourceType === 4
          ? await client.requestFrom(Number(resource.resourceName), DescribeConfigs, request)
          : await client.request(DescribeConfigs, request)
      for (const { name, value, configSource } of results[0]!.configs) {
        const isSet = configSource === 1 || configSource === 2
        if (THROTTLE_KEYS.test(name) && isSet) found.push(`${resource.resourceName} ${name}=${value}`)
      }
    }
    return found
  }
  const dataDirectories = (node: number): string[] =>
    readdirSync(cluster.nodes[node - 1]!.directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /(^|\/)moved-\d+$/.test(name),
    )

  beforeAll(async () => {
    cluster = await startCluster()
    const bootstrap = cluster.nodes.map(({ kafkaPort }) => ({ host: '127.0.0.1', port: kafkaPort }))
    client = new KafkaClient({ bootstrap })
    const assignments = [0, 1].map((partitionIndex) => ({ partitionIndex, brokerIds: [1, 2] }))
    const topic = { name: 'moved', numPartitions: -1, replicationFactor: -1, assignments, configs: [] }
    const { topics } = await client.request(CreateTopics, {
      topics: [topic],
      timeoutMs: 10_000,
      validateOnly: false,
    })
    expect(topics[0]!.errorCode).toBe(0)
    const producer = await Producer.open(client, 'moved')
    for (let i = 0; i < RECORDS; i++) {
      await producer.send(Buffer.from(String(i)), Buffer.alloc(VALUE_BYTES, i % 251), i)
    }
    await producer.flush()
  })
  afterAll(async () => {
    client?.close()
    await cluster?.stop()
    rmSync(files, { recursive: true, force: true })
  })

  it('kafka-reassign-partitions moves replicas under a throttle, shows and verifies it, and lifts the throttle', async () => {
    const endsBefore = await ends()
    const file = plan([
      [0, [2, 3]],
      [1, [1, 3]],
    ])
    const args = ['--reassignment-json-file', file]
    const executed = await output(REASSIGN, ...args, '--execute', '--throttle', String(THROTTLE))
    expect(executed).toContain('Successfully started partition reassignments for moved-0,moved-1')
    expect(executed).toContain(`The inter-broker throttle limit was set to ${THROTTLE} B/s`)
    expect((await throttles()).sort()).toEqual(
      [
        'moved follower.replication.throttled.replicas=0:3,1:3',
        'moved leader.replication.throttled.replicas=0:1,0:2,1:1,1:2',
        ...[1, 2, 3].flatMap((id) => [
          `${id} follower.replication.throttled.rate=${THROTTLE}`,
          `${id} leader.replication.throttled.rate=${THROTTLE}`,
        ]),
      ].sort(),
    )
    const [listed, described] = await Promise.all([
      output(REASSIGN, '--list'),
      output(TOPICS, '--describe', '--topic', 'moved'),
    ])
    expect(listed).toContain('moved-0: replicas: 2,3,1. adding: 3. removing: 1.')
    expect(listed).toContain('moved-1: replicas: 1,3,2. adding: 3. removing: 2.')
    expect(described).toMatch(
      /Partition: 0.*Replicas: 2,3,1\s+Isr: .*Adding Replicas: 3\s+Removing Replicas: 1/,
    )
    const raised = await output(REASSIGN, ...args, '--execute', '--additional', '--throttle', String(RAISED))
    expect(raised).toContain(`The inter-broker throttle limit was set to ${RAISED} B/s`)
    await untilReplicas([
      [2, 3],
      [1, 3],
    ])

    const verified = await output(REASSIGN, ...args, '--verify')
    expect(verified).toContain('Reassignment of partition moved-0 is completed.')
    expect(verified).toContain('Reassignment of partition moved-1 is completed.')
    expect(verified).toContain('Clearing broker-level throttles on brokers 1,2,3')
    expect(verified).toContain('Clearing topic-level throttles on topic moved')
    expect(await throttles()).toEqual([])
    expect(await ends()).toEqual(endsBefore)
    while (dataDirectories(1).length + dataDirectories(2).length > 2) await sleep(20)
    expect(
      [1, 2, 3].map((node) =>
        dataDirectories(node)
          .map((name) => name.slice(-1))
          .sort(),
      ),
    ).toEqual([['1'], ['0'], ['0', '1']])
  })

  it('kafka-reassign-partitions cancels what is going on', async () => {
    const before = await replicas()
    const file = plan([[0, [1, 2]]])
    const args = ['--reassignment-json-file', file]
    await output(REASSIGN, ...args, '--execute', '--throttle', String(THROTTLE))
    expect((await replicas())[0]).toEqual([1, 2, 3])
    const cancelled = await output(REASSIGN, ...args, '--cancel')
    expect(cancelled).toContain('Successfully cancelled partition reassignment for: moved-0')
    expect(await output(REASSIGN, '--list')).toContain('No partition reassignments found.')
    expect(await replicas()).toEqual(before)
    expect(await throttles()).toEqual([])
    while (dataDirectories(1).length > 1) await sleep(20)
  })

  async function ends(): Promise<string[]> {
    const offsets = await listOffsets(client, 'moved', [0, 1], LATEST)
    return [...offsets].map(([partition, offset]) => `${partition}: ${offset}`)
  }
})
