/**
 * `npm run bench -- saturation`: is Raft ever late because the data plane is busy? Three nodes under as much load as
 * clients that are not ours can make; every change of leadership meanwhile, and how late the leader's heartbeats left.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { KafkaClient, throwIfError } from '../../src/adapters/kafka-client/index.js'
import { InspectClient, type InspectStatus } from '../../src/cli/inspect-client.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { Nodes } from './nodes.js'
import { cpuSeconds, residentMb } from './processes.js'

const USAGE = `npm run bench -- saturation [options]
  --minutes n            of load (default 10)
  --producers n          processes of Kafka's own kafka-producer-perf-test (default 2)
  --jars directory       of Kafka (default .cache/clients/java)
  --first-port n         default 25092
  --override key=value   a configuration key for every node; may be repeated
Exits with 1 where leadership of Raft or of a partition changed.`

const NODES = [1, 2, 3]
const PARTITIONS = 6
const REPORT_EVERY_MS = 30_000
const TOPIC = 'saturated'
/** So that an hour of it fits on a disk. */
const RETAINED = { 'segment.bytes': '50000000', 'retention.bytes': '200000000' }
const PROJECT = resolve(import.meta.dirname, '../../../..')

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    producers: { type: 'string', default: '2' },
    jars: { type: 'string', default: join(PROJECT, '.cache/clients/java') },
    'first-port': { type: 'string', default: '25092' },
    override: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
})

const overrides = ['log.retention.check.interval.ms=5000', ...options.override]
const nodes = new Nodes(NODES, Number(options['first-port']), overrides)
const bootstrap = NODES.map((id) => `127.0.0.1:${nodes.port(id)}`)
const inspection = NODES.map((id) => new InspectClient(`127.0.0.1:${nodes.port(id) + 1}`))
const load: ChildProcess[] = []

async function main(): Promise<boolean> {
  if (options.help) {
    console.log(USAGE)
    return true
  }
  if (!existsSync(options.jars)) throw new Error(`there are no jars of Kafka in ${options.jars}`)
  for (const id of NODES) nodes.start(id)
  await ready()
  await createTopic()
  const before = await sequences()
  const leader = await raftLeader()
  console.log(`Raft leader ${leader.quorum.nodeId} in term ${leader.quorum.term}; the load begins`)
  for (let i = 0; i < Number(options.producers); i++) load.push(produce())
  load.push(consume())
  const pids = NODES.map((id) => nodes.pid(id))
  const startedAt = performance.now()
  const endAt = startedAt + Number(options.minutes) * 60_000
  let cpuBefore = cpuSeconds(pids)
  let endBefore = await logEnd()
  while (performance.now() < endAt) {
    const from = performance.now()
    await sleep(Math.min(REPORT_EVERY_MS, endAt - from))
    const seconds = (performance.now() - from) / 1000
    const [cpu, end] = [cpuSeconds(pids), await logEnd()]
    const { quorum } = await raftLeader()
    const rate = (end - endBefore) / seconds
    console.log(
      `${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${rate.toFixed(0)} records/s  ` +
        `term ${quorum.term}  heartbeats late by ${jitterText(quorum)}  ` +
        `nodes' CPU ${(((cpu - cpuBefore) / seconds) * 100).toFixed(0)} %  ` +
        `memory ${pids.map((pid) => residentMb(pid).toFixed(0)).join('/')} MB  load ${loadavg()[0]!.toFixed(1)}`,
    )
    cpuBefore = cpu
    endBefore = end
    if (load.some((child) => child.exitCode !== null))
      throw new Error('a load generator ended before its time')
  }
  return judge(before)
}

function jitterText({ heartbeatJitter }: InspectStatus['quorum']): string {
  if (heartbeatJitter === undefined) return '?'
  const { count, p50Ms, p99Ms, maxMs } = heartbeatJitter
  return `p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)}, worst ${maxMs.toFixed(0)} ms (of ${count})`
}

/** Every change of leadership since the load began, as each node saw it. */
async function judge(before: readonly number[]): Promise<boolean> {
  let changes = 0
  for (const [i, client] of inspection.entries()) {
    const { nodeId, elections } = await client.elections(0)
    for (const election of elections.filter(({ sequence }) => sequence > before[i]!)) {
      changes++
      console.log(`node ${nodeId} saw: ${JSON.stringify(election)}`)
    }
  }
  console.log(changes === 0 ? 'no change of leadership' : 'leadership CHANGED')
  return changes === 0
}

async function sequences(): Promise<number[]> {
  return Promise.all(
    inspection.map(async (client) => (await client.elections(1)).elections[0]?.sequence ?? 0),
  )
}

async function raftLeader(): Promise<InspectStatus> {
  const statuses = await Promise.all(inspection.map((client) => client.status()))
  const leader = statuses.find(({ quorum }) => quorum.role === 'leader')
  if (leader === undefined) throw new Error('no node leads the quorum')
  return leader
}

async function ready(): Promise<void> {
  for (;;) {
    const states = await Promise.all(
      inspection.map((client) =>
        client.status().then(
          ({ broker }) => broker.state,
          () => 'away',
        ),
      ),
    )
    if (states.every((state) => state === 'running')) return
    await sleep(50)
  }
}

async function withClient<T>(action: (client: KafkaClient) => Promise<T>): Promise<T> {
  const client = new KafkaClient({
    bootstrap: NODES.map((id) => ({ host: '127.0.0.1', port: nodes.port(id) })),
  })
  try {
    return await action(client)
  } finally {
    client.close()
  }
}

async function createTopic(): Promise<void> {
  await withClient(async (client) => {
    const configs = Object.entries(RETAINED).map(([name, value]) => ({ name, value }))
    const topics = [
      { name: TOPIC, numPartitions: PARTITIONS, replicationFactor: 3, assignments: [], configs },
    ]
    const answer = await client.request(CreateTopics, { topics, timeoutMs: 10_000 })
    throwIfError(answer.topics[0]!.errorCode, answer.topics[0]!.errorMessage)
  })
  while ((await leading()).length < PARTITIONS) await sleep(50)
}

/** The log end of each partition, by its leader's word. */
async function leading(): Promise<number[]> {
  const lists = await Promise.all(inspection.map((client) => client.partitions()))
  return lists
    .flat()
    .filter(({ topic, role, isr }) => topic === TOPIC && role === 'leader' && isr.committed.length === 3)
    .map(({ logEndOffset }) => logEndOffset)
}

async function logEnd(): Promise<number> {
  const lists = await Promise.all(inspection.map((client) => client.partitions()))
  return lists
    .flat()
    .filter(({ topic, role }) => topic === TOPIC && role === 'leader')
    .reduce((sum, { logEndOffset }) => sum + logEndOffset, 0)
}

/** kafka-producer-perf-test, as fast as it can, with acks=all as is its default. */
function produce(): ChildProcess {
  return java('org.apache.kafka.tools.ProducerPerformance', [
    ...['--topic', TOPIC, '--num-records', '100000000000', '--record-size', '1024', '--throughput', '-1'],
    ...['--producer-props', `bootstrap.servers=${bootstrap.join(',')}`, 'batch.size=65536', 'linger.ms=5'],
  ])
}

/** kafka-consumer-perf-test, behind the producers. */
function consume(): ChildProcess {
  return java('org.apache.kafka.tools.ConsumerPerformance', [
    ...['--topic', TOPIC, '--messages', '100000000000', '--timeout', '600000'],
    ...['--bootstrap-server', bootstrap.join(','), '--group', 'saturation'],
  ])
}

function java(mainClass: string, args: readonly string[]): ChildProcess {
  return spawn('java', ['-Xmx256M', '-cp', join(options.jars, '*'), mainClass, ...args], { stdio: 'ignore' })
}

let isClean = false
try {
  isClean = await main()
} finally {
  for (const child of load) child.kill('SIGKILL')
  for (const client of inspection) client.close()
  await nodes.dispose(false)
}
process.exit(isClean ? 0 : 1)
