/**
 * `npm run bench -- topics`: many topics on three nodes. How long it takes to create them, to move what a killed broker
 * led, to bring that broker back, and to stop and start the whole cluster; and what it costs in memory and on disk.
 */
import { execFileSync } from 'node:child_process'
import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type ClusterMetadata, KafkaClient, throwIfError } from '../../src/adapters/kafka-client/index.js'
import { ErrorCode, errorName } from '../../src/wire/errors.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { DescribeQuorum } from '../../src/wire/messages/describe-quorum.js'
import { Produce } from '../../src/wire/messages/produce.js'
import { buildBatch } from '../../src/wire/records.js'
import { Nodes } from './nodes.js'
import { residentMb } from './processes.js'
import { Pulse } from './pulse.js'

const USAGE = `npm run bench -- topics [options]
  --topics n             how many (default 1000)
  --partitions n         of each (default 3)
  --batch n              topics in one CreateTopics (default 200)
  --records              writes a record into every partition first: each log then has its files
  --probes n             partitions that are written to after each fault (default 300)
  --first-port n         default 24092
  --override key=value   a configuration key for every node; may be repeated
  --keep                 leaves the data directories and logs`

const NODES = [1, 2, 3]
const POLL_MS = 100
const LIMIT_MS = 240_000
/** Asked for again and again; all of them only where these are well, for Metadata of all topics is work for the nodes too. */
const SAMPLED_TOPICS = 100

const { values: options } = parseArgs({
  options: {
    topics: { type: 'string', default: '1000' },
    partitions: { type: 'string', default: '3' },
    batch: { type: 'string', default: '200' },
    records: { type: 'boolean', default: false },
    probes: { type: 'string', default: '300' },
    'first-port': { type: 'string', default: '24092' },
    override: { type: 'string', multiple: true, default: [] },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const topicCount = Number(options.topics)
const partitionCount = Number(options.partitions)
const probes = Number(options.probes)
const nodes = new Nodes(NODES, Number(options['first-port']), options.override)
const pulse = new Pulse(nodes)

function newClient(ids: readonly number[] = NODES, timeoutMs = LIMIT_MS): KafkaClient {
  return new KafkaClient({
    bootstrap: ids.map((id) => ({ host: '127.0.0.1', port: nodes.port(id) })),
    timeoutMs,
    requestTimeoutMs: 60_000,
  })
}

/**
 * Prints what a phase took, the longest stall of each node's loop meanwhile, the CPU time that the nodes spent, and the
 * machine's load: of the two times, the CPU's depends less on who else is at work.
 */
async function timed<T>(what: string, action: () => Promise<T>): Promise<T> {
  pulse.reset()
  const spentBefore = nodes.cpuSeconds()
  const startedAt = performance.now()
  const result = await action()
  const seconds = (performance.now() - startedAt) / 1000
  // What a process spends on its own stop nobody can read any more.
  const spent = Math.max(0, nodes.cpuSeconds() - spentBefore)
  const stalls = pulse.worstMs().map(([id, ms]) => `${id}: ${ms.toFixed(0)}`)
  console.log(
    `${what.padEnd(64)} ${seconds.toFixed(2).padStart(7)} s, CPU ${spent.toFixed(1).padStart(5)} s   longest answer (ms) ${stalls.join(', ')}   load ${loadavg()[0]!.toFixed(1)}`,
  )
  return result
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS
  for (;;) {
    const isOver = await condition().catch((error: Error) => {
      if (performance.now() > deadline) throw error
      return false
    })
    if (isOver) return
    if (performance.now() > deadline) throw new Error(`not within ${LIMIT_MS} ms`)
    await sleep(POLL_MS)
  }
}

const name = (index: number): string => `bench-${String(index).padStart(6, '0')}`

async function createTopics(client: KafkaClient): Promise<void> {
  const size = Number(options.batch)
  for (let from = 0; from < topicCount; from += size) {
    const topics = Array.from({ length: Math.min(size, topicCount - from) }, (_, i) => ({
      name: name(from + i),
      numPartitions: partitionCount,
      replicationFactor: NODES.length,
      assignments: [],
      configs: [],
    }))
    const answer = await client.request(
      CreateTopics,
      { topics, timeoutMs: 60_000 },
      { requestTimeoutMs: 60_000 },
    )
    for (const { errorCode, errorMessage } of answer.topics) throwIfError(errorCode, errorMessage)
  }
}

function benchPartitions({ topics }: ClusterMetadata) {
  return topics.filter((topic) => topic.name.startsWith('bench-')).flatMap(({ partitions }) => partitions)
}

/** Every partition exists, is led by a broker of `ids` and has so many in sync. First of a sample of the topics, then of all. */
async function isWhole(inSync: number, ids: readonly number[] = NODES): Promise<boolean> {
  const count = Math.min(SAMPLED_TOPICS, topicCount)
  const sample = Array.from({ length: count }, (_, i) => name(Math.floor((i * topicCount) / count)))
  for (const asked of [sample, null]) {
    const partitions = benchPartitions(await newestMetadata(asked, ids))
    const isWell =
      partitions.length === (asked?.length ?? topicCount) * partitionCount &&
      partitions.every(({ leader, isr }) => ids.includes(leader) && isr.length >= inSync)
    if (!isWell) return false
  }
  return true
}

/** One record into each of the first `limit` partitions that `filter` admits, in large requests by leader. */
async function produceInto(
  client: KafkaClient,
  limit: number,
  filter: (topic: string, index: number) => boolean,
): Promise<void> {
  const { topics } = await client.metadata(null)
  const byLeader = new Map<number, Map<string, number[]>>()
  let count = 0
  for (const topic of topics) {
    for (const { index, leader } of topic.partitions) {
      if (count >= limit || !topic.name.startsWith('bench-') || !filter(topic.name, index)) continue
      const led = byLeader.get(leader) ?? new Map<string, number[]>()
      byLeader.set(leader, led)
      led.set(topic.name, [...(led.get(topic.name) ?? []), index])
      count++
    }
  }
  for (const [leader, led] of byLeader) {
    const all = [...led]
    for (let from = 0; from < all.length; from += 200) {
      const answer = await client.requestFrom(
        leader,
        Produce,
        {
          transactionalId: null,
          acks: -1,
          timeoutMs: 30_000,
          topicData: all.slice(from, from + 200).map(([topic, indexes]) => ({
            name: topic,
            partitionData: indexes.map((index) => ({ index, records: batch() })),
          })),
        },
        { maxVersion: 12, requestTimeoutMs: 60_000 },
      )
      for (const { name: topic, partitionResponses } of answer.responses) {
        for (const { index, errorCode } of partitionResponses) {
          if (errorCode !== ErrorCode.NONE) throw new Error(`${topic}-${index}: ${errorName(errorCode)}`)
        }
      }
    }
  }
}

function batch(): Uint8Array {
  return buildBatch([{ key: null, value: Buffer.alloc(100, 'x'), timestamp: Date.now() }], {
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
  })
}

function printCost(when: string): void {
  const rss = NODES.map((id) => `${residentMb(nodes.pid(id)).toFixed(0)} MB`)
  const usage = execFileSync('du', ['-sm', ...NODES.map((id) => nodes.path(id, 'data'))], {
    encoding: 'utf8',
  })
  const raft = execFileSync('du', ['-sk', ...NODES.map((id) => nodes.path(id, 'data/raft'))], {
    encoding: 'utf8',
  })
  const sizes = (text: string): string =>
    text
      .trim()
      .split('\n')
      .map((line) => line.split('\t')[0])
      .join(', ')
  console.log(
    `${when}: resident ${rss.join(', ')}; on disk ${sizes(usage)} MB, of which Raft ${sizes(raft)} KB`,
  )
}

async function metadataRecords(client: KafkaClient): Promise<number> {
  const answer = await client.request(DescribeQuorum, {
    topics: [{ topicName: '__cluster_metadata', partitions: [{ partitionIndex: 0 }] }],
  })
  return Number(answer.topics[0]?.partitions[0]?.highWatermark ?? -1)
}

async function failOver(victim: number): Promise<void> {
  const others = NODES.filter((id) => id !== victim)
  const client = newClient(others)
  const before = await client.metadata(null)
  const led = new Set<string>()
  for (const topic of before.topics) {
    for (const { index, leader } of topic.partitions) if (leader === victim) led.add(`${topic.name}:${index}`)
  }
  const isController = before.controllerId === victim
  const label = `${led.size} leaderships moved from a killed broker${isController ? ' (the controller)' : ''}`
  await timed(label, async () => {
    await nodes.end(victim, 'SIGKILL')
    await until(() => isWhole(2, others))
  })
  await timed(`a record acknowledged by ${probes} partitions that moved`, async () => {
    await produceInto(client, probes, (topic, index) => led.has(`${topic}:${index}`))
  })
  await timed('the killed broker restarted: everything in sync again', async () => {
    nodes.start(victim)
    await until(() => isWhole(NODES.length))
  })
  client.close()
}

async function main(): Promise<void> {
  if (options.help) return console.log(USAGE)
  console.log(
    `${topicCount} topics of ${partitionCount} partitions on ${NODES.length} nodes${options.records ? ', a record in each' : ''}`,
  )
  try {
    let client = newClient()
    await timed('an empty cluster started', async () => {
      for (const id of NODES) nodes.start(id)
      await until(async () => (await newestMetadata([])).brokers.length === NODES.length)
    })
    pulse.start()
    await timed(`created, in batches of ${options.batch}`, () => createTopics(client))
    await timed('all led and in sync after that', () => until(() => isWhole(NODES.length)))
    console.log(`metadata log: ${await metadataRecords(client)} entries`)
    if (options.records) await timed('a record in each', () => produceInto(client, Infinity, () => true))
    await timed('Metadata of all topics, once', () => client.metadata(null))
    await timed('ten seconds of rest', () => sleep(10_000))
    printCost('afterwards')
    const { controllerId } = await client.metadata([])
    await failOver(NODES.find((id) => id !== controllerId)!)
    await failOver((await client.metadata([])).controllerId)
    printCost('afterwards')
    client.close()
    await timed('the whole cluster stopped', () => Promise.all(NODES.map((id) => nodes.end(id, 'SIGTERM'))))
    client = newClient()
    await timed('started again: three brokers and everything led', async () => {
      for (const id of NODES) nodes.start(id)
      await until(() => isWhole(1))
    })
    await timed('everything in sync after that', () => until(() => isWhole(NODES.length)))
    await timed(`a record acknowledged by ${probes} partitions`, () =>
      produceInto(client, probes, () => true),
    )
    printCost('afterwards')
    client.close()
  } finally {
    pulse.stop()
    await nodes.dispose(options.keep)
    if (options.keep) console.log(`kept: ${nodes.directory}`)
  }
}

/** While a node is not there, or does not serve yet, each try is a client of its own, which gives up at once. */
async function newestMetadata(
  topics: readonly string[] | null,
  ids: readonly number[] = NODES,
): Promise<ClusterMetadata> {
  const client = newClient(ids, 0)
  try {
    return await client.metadata(topics)
  } finally {
    client.close()
  }
}

await main()
