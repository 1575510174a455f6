/**
 * `npm run bench`: what a cluster of three nodes does on this machine, as a table. Without options it starts kogge and
 * measures its start-up too; `--bootstrap host:port,…` measures whatever runs there (memory and CPU where `--pids` names
 * its processes); `--kafka-jars DIR` starts Apache Kafka from its jars, to stand beside.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { KafkaClient, throwIfError } from '../../src/adapters/kafka-client/index.js'
import { ZERO_UUID } from '../../src/lib/ids.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { DeleteTopics } from '../../src/wire/messages/delete-topics.js'
import { type Cluster, foreign, startKafka, startKogge } from './clusters.js'
import type { LoadJob, LoadResult } from './load.js'
import { cpuSeconds, median, residentMb, run } from './processes.js'

const USAGE = `npm run bench -- [options]
  --bootstrap host:port,...  measure this cluster instead of starting kogge
  --pids 1,2,3               its processes, for memory and CPU
  --kafka-jars directory     start Apache Kafka from these jars (needs java) and measure that
  --override key=value       a configuration key for kogge's nodes; may be repeated
  --seconds n                of each measurement (default 8)
  --starts n                 how often the start-up is timed (default 5)
  --only text                the measurements whose name contains it`

const RECORD_BYTES = 1024
const SETTLE_MS = 3_000

const { values: options } = parseArgs({
  options: {
    bootstrap: { type: 'string' },
    pids: { type: 'string' },
    'kafka-jars': { type: 'string' },
    override: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '8' },
    starts: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    help: { type: 'boolean' },
  },
})

interface Row {
  readonly what: string
  readonly mbPerSecond?: number
  readonly recordsPerSecond?: number
  readonly p50?: number
  readonly p99?: number
  /** Of all the cluster's processes. */
  readonly cpuSecondsPerGb?: number
}

interface Measurement {
  readonly name: string
  readonly partitions: number
  /** In turn, against one topic. */
  readonly steps: readonly {
    name: string
    client: 'wire' | 'librdkafka'
    job: DistributiveOmit<LoadJob, 'bootstrap' | 'topic'>
  }[]
}
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

const seconds = Number(options.seconds)
/** The client's environment that the tests of foreign clients make; see README.md. */
const PYTHON = resolve(import.meta.dirname, '../../../clients/python/bin/python')
const LIBRDKAFKA = resolve(import.meta.dirname, '../../../../test/bench/librdkafka.py')

function measurements(): Measurement[] {
  const sizes = [
    { name: '16 KB', batchBytes: 16 * 1024 },
    { name: '1 MB', batchBytes: 1000 * 1024 },
  ]
  const found: Measurement[] = []
  for (const client of ['wire', 'librdkafka'] as const) {
    if (client === 'librdkafka' && !existsSync(PYTHON)) {
      console.log(`librdkafka is left out: there is no ${PYTHON}`)
      continue
    }
    for (const { name, batchBytes } of sizes) {
      for (const partitions of [1, 6]) {
        const suffix = `${name} batches, ${partitions} partition${partitions > 1 ? 's' : ''}, ${client}`
        found.push({
          name: suffix,
          partitions,
          steps: [
            {
              name: `produce ${suffix}`,
              client,
              job: { kind: 'produce', batchBytes, recordBytes: RECORD_BYTES, seconds },
            },
            { name: `consume ${suffix}`, client, job: { kind: 'consume', seconds } },
          ],
        })
      }
    }
  }
  const perSecond = 500
  const name = `latency end to end, ${perSecond} records/s`
  const job = { kind: 'latency', recordBytes: RECORD_BYTES, perSecond, seconds } as const
  found.push({ name, partitions: 1, steps: [{ name, client: 'wire', job }] })
  return found.filter(({ name }) => name.includes(options.only))
}

async function main(): Promise<void> {
  if (options.help) return console.log(USAGE)
  const jars = options['kafka-jars']
  const overrides = options.override ?? []
  const pids = options.pids?.split(',').map(Number) ?? []
  if (options.bootstrap !== undefined) await measure(foreign(options.bootstrap, pids))
  else if (jars !== undefined) await measure(await startKafka(resolve(jars)))
  else {
    for (const how of ['npm start', 'kogge dev'] as const) await measureStarts(how, overrides)
    await measure(await startKogge('kogge dev', overrides))
  }
}

async function measureStarts(how: 'npm start' | 'kogge dev', overrides: readonly string[]): Promise<void> {
  if (Number(options.starts) === 0) return
  const seen: number[] = []
  const ready: number[] = []
  for (let i = 0; i < Number(options.starts); i++) {
    const cluster = await startKogge(how, overrides)
    seen.push(cluster.seenAfterSeconds!)
    ready.push(cluster.readyAfterSeconds!)
    await cluster.stop()
  }
  const list = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(' ')
  console.log(
    `start-up by ${how}: three brokers seen after ${median(seen).toFixed(2)} s (${list(seen)}), ready after ${median(ready).toFixed(2)} s (${list(ready)})`,
  )
}

async function measure(cluster: Cluster): Promise<void> {
  try {
    console.log(`\n${cluster.name}`)
    if (cluster.seenAfterSeconds !== undefined)
      console.log(`three brokers seen after ${cluster.seenAfterSeconds.toFixed(2)} s`)
    await sleep(SETTLE_MS)
    printMemory('idle', cluster)
    const rows: Row[] = []
    for (const measurement of measurements()) rows.push(...(await measureOne(cluster, measurement)))
    printMemory('after load', cluster)
    await sleep(10_000)
    printMemory('ten seconds later', cluster)
    console.log(tableOf(rows))
  } finally {
    await cluster.stop()
  }
}

function printMemory(when: string, { pids }: Cluster): void {
  if (pids.length > 0)
    console.log(
      `resident memory ${when}: ${pids.map((pid) => `${residentMb(pid).toFixed(0)} MB`).join(', ')}`,
    )
}

async function measureOne(cluster: Cluster, { partitions, steps }: Measurement): Promise<Row[]> {
  const topic = `bench-${Date.now()}`
  const bootstrap = cluster.bootstrap.split(',').map((address) => {
    const at = address.lastIndexOf(':')
    return { host: address.slice(0, at), port: Number(address.slice(at + 1)) }
  })
  const client = new KafkaClient({ bootstrap })
  const rows: Row[] = []
  try {
    await createTopic(client, topic, partitions)
    for (const step of steps) {
      const before = cpuSeconds(cluster.pids)
      const job = { ...step.job, bootstrap: cluster.bootstrap, topic } as LoadJob
      const wallBefore = performance.now()
      const result = await load(step.client, job)
      const wallSeconds = (performance.now() - wallBefore) / 1000
      rows.push(
        rowOf(
          step.name,
          result,
          cluster.pids.length > 0 ? cpuSeconds(cluster.pids) - before : undefined,
          wallSeconds,
        ),
      )
      process.stderr.write(
        `${tableOf([rows.at(-1)!])
          .split('\n')
          .at(-1)}\n`,
      )
    }
  } finally {
    await client.request(
      DeleteTopics,
      { topics: [{ name: topic, topicId: ZERO_UUID }], topicNames: [topic], timeoutMs: 10_000 },
      { maxVersion: 5 },
    )
    client.close()
  }
  // Segments of the deleted topic go a minute later at Kafka; nothing else may run into the next measurement.
  await sleep(SETTLE_MS)
  return rows
}

async function load(client: 'wire' | 'librdkafka', job: LoadJob): Promise<LoadResult> {
  const program = client === 'wire' ? process.execPath : PYTHON
  const file = client === 'wire' ? resolve(import.meta.dirname, 'load.js') : LIBRDKAFKA
  return JSON.parse(await run(program, [file, JSON.stringify(job)])) as LoadResult
}

async function createTopic(client: KafkaClient, name: string, numPartitions: number): Promise<void> {
  const configs = [{ name: 'min.insync.replicas', value: '2' }]
  const body = {
    topics: [{ name, numPartitions, replicationFactor: 3, assignments: [], configs }],
    timeoutMs: 10_000,
  }
  const answer = await client.request(CreateTopics, body)
  throwIfError(answer.topics[0]!.errorCode, answer.topics[0]!.errorMessage)
  for (;;) {
    const { topics } = await client.metadata([name])
    const partitions = topics[0]?.partitions ?? []
    if (
      partitions.length === numPartitions &&
      partitions.every(({ leader, isr }) => leader > 0 && isr.length === 3)
    )
      return
    await sleep(50)
  }
}

/** CPU time counts over the whole job, warm-up included, so it is set against that share of the bytes. */
function rowOf(what: string, result: LoadResult, cpu: number | undefined, wallSeconds: number): Row {
  const share = Math.max(1, (wallSeconds - START_SECONDS) / result.seconds)
  return {
    what,
    mbPerSecond: result.bytes / result.seconds / 1e6,
    recordsPerSecond: result.records / result.seconds,
    ...(result.p50 === undefined ? {} : { p50: result.p50, p99: result.p99! }),
    ...(cpu === undefined ? {} : { cpuSecondsPerGb: cpu / ((result.bytes * share) / 1e9) }),
  }
}

/** That a load generator takes to start. */
const START_SECONDS = 0.3

function tableOf(rows: readonly Row[]): string {
  const number = (value: number | undefined, digits: number): string =>
    value === undefined ? '' : value.toFixed(digits)
  const lines = [
    ['', 'MB/s', 'records/s', 'p50 ms', 'p99 ms', 'CPU s/GB'],
    ...rows.map((row) => [
      row.what,
      number(row.mbPerSecond, 1),
      number(row.recordsPerSecond, 0),
      number(row.p50, 2),
      number(row.p99, 2),
      number(row.cpuSecondsPerGb, 1),
    ]),
  ]
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)))
  return lines
    .map((line) =>
      line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    )
    .join('\n')
}

await main()
