/**
 * `npm run bench -- throttle`: how near a throttled reassignment comes to its rate. Two replicas of three partitions are
 * written, then one of each moves to the third node under the throttle of the leaders, of the follower, or of both.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { KafkaClient, Producer, throwIfError } from '../../src/adapters/kafka-client/index.js'
import { AlterPartitionReassignments } from '../../src/wire/messages/alter-partition-reassignments.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { DescribeLogDirs } from '../../src/wire/messages/describe-log-dirs.js'
import { IncrementalAlterConfigs } from '../../src/wire/messages/incremental-alter-configs.js'
import { startKogge } from './clusters.js'

const USAGE = `npm run bench -- throttle [options]
  --rates n,n,...        megabytes a second (default 1,4,16)
  --seconds n            what each move should take (default 12)
  --value-bytes n        of each record (default 10000)
  --busy n               megabytes a second that are produced to another topic meanwhile (default 0)
  --override key=value   a configuration key for every node; may be repeated`

const { values: options } = parseArgs({
  args: process.argv.slice(2),
  options: {
    rates: { type: 'string', default: '1,4,16' },
    seconds: { type: 'string', default: '12' },
    'value-bytes': { type: 'string', default: '10000' },
    busy: { type: 'string', default: '0' },
    override: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean' },
  },
})
if (options.help) {
  console.log(USAGE)
  process.exit(0)
}

const PARTITIONS = [0, 1, 2]
const NEW_REPLICA = 3
const RESOURCE_TOPIC = 2
const RESOURCE_BROKER = 4
const SAMPLE_MS = 200
/** Not counted: the first window's share comes at once. */
const BEGINNING_SECONDS = 2
const MB = 1_000_000
const SIDES = { leader: ['leader'], follower: ['follower'], both: ['leader', 'follower'] } as const

/** Assigned before anything runs. */
let client!: KafkaClient

function monotonicSeconds(): number {
  return performance.now() / 1_000
}

async function createTopic(name: string, replicas: number[]): Promise<void> {
  const assignments = PARTITIONS.map((partitionIndex) => ({ partitionIndex, brokerIds: replicas }))
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] }
  const { topics } = await client.request(CreateTopics, {
    topics: [topic],
    timeoutMs: 10_000,
    validateOnly: false,
  })
  throwIfError(topics[0]!.errorCode)
}

async function fill(topic: string, bytes: number): Promise<void> {
  const producer = await Producer.open(client, topic)
  const value = Buffer.alloc(Number(options['value-bytes']), 'x')
  for (let sent = 0; sent < bytes; sent += value.length) await producer.send(null, value, Date.now())
  await producer.flush()
}

/** A steady load that nothing throttles, until the returned function is called. */
function produceSteadily(topic: string, mbPerSecond: number): () => Promise<void> {
  let isOver = false
  const run = async (): Promise<void> => {
    const producer = await Producer.open(client, topic)
    const value = Buffer.alloc(10_000, 'y')
    const startedAt = monotonicSeconds()
    for (let sent = 0; !isOver; sent += value.length) {
      await producer.send(null, value, Date.now())
      const aheadSeconds = sent / (mbPerSecond * MB) - (monotonicSeconds() - startedAt)
      if (aheadSeconds > 0.01) await sleep(aheadSeconds * 1_000)
    }
    await producer.flush()
  }
  const running = run()
  return () => {
    isOver = true
    return running
  }
}

async function set(resourceType: number, resourceName: string, name: string, value: string): Promise<void> {
  const configs = [{ name, configOperation: 0, value }]
  const resources = [{ resourceType, resourceName, configs }]
  const { responses } = await client.request(IncrementalAlterConfigs, { resources, validateOnly: false })
  throwIfError(responses[0]!.errorCode)
}

/** Bytes of the topic on the node that it moves to. */
async function arrived(topic: string): Promise<number> {
  const asked = [{ topic, partitions: PARTITIONS }]
  const { results } = await client.requestFrom(NEW_REPLICA, DescribeLogDirs, { topics: asked })
  const partitions = results[0]!.topics.flatMap((found) => found.partitions)
  return partitions.reduce((sum, { partitionSize }) => sum + partitionSize, 0)
}

async function isMoved(topic: string): Promise<boolean> {
  const { partitions } = await client.topic(topic)
  return partitions.every(({ replicas }) => replicas.length === 2 && replicas.includes(NEW_REPLICA))
}

interface Reached {
  /** All of it, from the command to the end of the reassignment. */
  readonly overall: number
  /** Without the beginning and the last tenth. */
  readonly steady: number
}

/** In megabytes a second. */
async function move(topic: string, bytes: number): Promise<Reached> {
  const partitions = PARTITIONS.map((partitionIndex) => ({ partitionIndex, replicas: [1, NEW_REPLICA] }))
  const startedAt = monotonicSeconds()
  const answer = await client.request(AlterPartitionReassignments, {
    timeoutMs: 10_000,
    topics: [{ name: topic, partitions }],
  })
  throwIfError(answer.errorCode)
  for (const partition of answer.responses[0]!.partitions) throwIfError(partition.errorCode)
  const samples: { seconds: number; bytes: number }[] = []
  while (!(await isMoved(topic))) {
    samples.push({ bytes: await arrived(topic), seconds: monotonicSeconds() - startedAt })
    await sleep(SAMPLE_MS)
  }
  const overall = bytes / (monotonicSeconds() - startedAt) / MB
  const middle = samples.filter(
    (sample) => sample.seconds >= BEGINNING_SECONDS && sample.bytes <= 0.9 * bytes,
  )
  const [first, last] = [middle[0], middle.at(-1)]
  const steady =
    first === undefined || last === undefined
      ? Number.NaN
      : (last.bytes - first.bytes) / (last.seconds - first.seconds) / MB
  return { overall, steady }
}

const cluster = await startKogge('kogge dev', options.override)
try {
  client = new KafkaClient({
    bootstrap: cluster.bootstrap.split(',').map((address) => {
      const [host, port] = address.split(':')
      return { host: host!, port: Number(port) }
    }),
    timeoutMs: 60_000,
  })
  const busy = Number(options.busy)
  await createTopic('busy', [1, 2, 3])
  console.log('throttle   configured MB/s   reached overall        reached steadily')
  for (const rate of options.rates.split(',').map(Number)) {
    for (const [side, keys] of Object.entries(SIDES)) {
      const topic = `moved-${side}-${rate}`
      const bytes = rate * MB * Number(options.seconds)
      await createTopic(topic, [1, 2])
      await fill(topic, bytes)
      for (const key of keys) {
        for (const id of [1, 2, 3]) {
          await set(RESOURCE_BROKER, String(id), `${key}.replication.throttled.rate`, String(rate * MB))
        }
        await set(RESOURCE_TOPIC, topic, `${key}.replication.throttled.replicas`, '*')
      }
      const stop = busy > 0 ? produceSteadily('busy', busy) : async () => {}
      const { overall, steady } = await move(topic, bytes)
      await stop()
      const shown = (value: number): string =>
        `${value.toFixed(2).padStart(6)} (${((value / rate - 1) * 100).toFixed(1)} %)`.padEnd(22)
      console.log(`${side.padEnd(10)} ${String(rate).padStart(15)}   ${shown(overall)} ${shown(steady)}`)
    }
  }
} finally {
  client?.close()
  await cluster.stop()
}
