/**
 * The load generator, a process of its own: `load.js '<LoadJob as JSON>'` prints one LoadResult as JSON. It speaks the
 * wire protocol itself and does next to nothing for each record, so that what is measured is the cluster: one connection
 * for each leader, batches made once and sent again and again.
 */
import { connect, type Socket } from 'node:net'
import { KafkaClient } from '../../src/adapters/kafka-client/index.js'
import { decodeResponse, encodeRequest, frame } from '../../src/wire/codec.js'
import { errorName } from '../../src/wire/errors.js'
import { Fetch } from '../../src/wire/messages/fetch.js'
import { Produce } from '../../src/wire/messages/produce.js'
import { WireError } from '../../src/wire/primitives.js'
import { buildBatch, iterateBatches } from '../../src/wire/records.js'
import type { Message } from '../../src/wire/schema.js'

export type LoadJob =
  | {
      kind: 'produce'
      bootstrap: string
      topic: string
      batchBytes: number
      recordBytes: number
      seconds: number
    }
  | { kind: 'consume'; bootstrap: string; topic: string; seconds: number }
  | {
      kind: 'latency'
      bootstrap: string
      topic: string
      recordBytes: number
      perSecond: number
      seconds: number
    }

export interface LoadResult {
  readonly seconds: number
  readonly bytes: number
  readonly records: number
  /** Milliseconds, of what the job measures one by one: a produce request, or a record's way to its consumer. */
  readonly p50?: number
  readonly p99?: number
}

/** Requests on their way on one connection, as clients have it. */
const IN_FLIGHT = 5
/** Not measured: connections, caches and compilers get going. */
const WARM_UP_SECONDS = 2
/** Topics are named, not numbered, so that any broker of the last years can stand beside. */
const PRODUCE_VERSION = 9
const FETCH_VERSION = 12
const CLIENT_ID = 'kogge-bench'

/** One connection, its answers matched by their order. */
class RawConnection {
  private readonly waiting: ((frame: Buffer) => void)[] = []
  private chunks: Buffer[] = []
  private buffered = 0

  private constructor(private readonly socket: Socket) {
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.onData(chunk))
    socket.on('close', () => fail('a broker closed the connection'))
    socket.on('error', (error) => fail(error.message))
  }

  static open(host: string, port: number): Promise<RawConnection> {
    return new Promise((resolve) => {
      const socket = connect({ host, port }, () => resolve(new RawConnection(socket)))
      socket.once('error', (error) => fail(error.message))
    })
  }

  send(request: readonly Uint8Array[], onAnswer: (frame: Buffer) => void): void {
    this.waiting.push(onAnswer)
    this.socket.cork()
    for (const chunk of request) this.socket.write(chunk)
    this.socket.uncork()
  }

  private onData(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.buffered += chunk.length
    while (this.buffered >= 4) {
      if (this.chunks[0]!.length < 4) this.chunks = [Buffer.concat(this.chunks)]
      const size = this.chunks[0]!.readInt32BE(0) + 4
      if (this.buffered < size) return
      const all = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks)
      this.chunks = all.length > size ? [all.subarray(size)] : []
      this.buffered = all.length - size
      this.waiting.shift()!(all.subarray(4, size))
    }
  }
}

interface Leader {
  readonly connection: RawConnection
  readonly partitions: number[]
}

function fail(reason: string): never {
  process.stderr.write(`load: ${reason}\n`)
  process.exit(1)
}

function read<Res>(api: { readonly response: Message<Res, never> }, version: number, bytes: Buffer): Res {
  const answer = decodeResponse(api, version, bytes)
  if (answer instanceof WireError) fail(answer.message)
  return answer.body
}

function check(code: number): void {
  if (code !== 0) fail(errorName(code))
}

async function leadersOf(bootstrap: string, topicName: string): Promise<Leader[]> {
  const client = new KafkaClient({ bootstrap: addressesOf(bootstrap), clientId: CLIENT_ID })
  const { brokers, topics } = await client.metadata([topicName])
  client.close()
  const leaders = new Map<number, Leader>()
  for (const { index, leader } of topics[0]?.partitions ?? fail(`there is no topic ${topicName}`)) {
    const broker = brokers.find(({ nodeId }) => nodeId === leader) ?? fail(`partition ${index} has no leader`)
    const known = leaders.get(leader)
    if (known !== undefined) known.partitions.push(index)
    else {
      const connection = await RawConnection.open(broker.host, broker.port)
      leaders.set(leader, { connection, partitions: [index] })
    }
  }
  return [...leaders.values()]
}

function addressesOf(bootstrap: string): { host: string; port: number }[] {
  return bootstrap.split(',').map((address) => {
    const at = address.lastIndexOf(':')
    return { host: address.slice(0, at), port: Number(address.slice(at + 1)) }
  })
}

function batchOf(batchBytes: number, recordBytes: number): { batch: Uint8Array; records: number } {
  const records = Math.max(1, Math.floor(batchBytes / recordBytes))
  const value = Buffer.alloc(recordBytes - RECORD_OVERHEAD_BYTES, 'kogge ')
  const timestamp = Date.now()
  const batch = buildBatch(Array.from({ length: records }, () => ({ key: null, value, timestamp })))
  return { batch, records }
}

/** Of a record without key and headers, and its share of the batch's header: about. */
const RECORD_OVERHEAD_BYTES = 12

function produceRequest(topic: string, partitions: readonly number[], batch: Uint8Array): Uint8Array[] {
  const partitionData = partitions.map((index) => ({ index, records: batch }))
  const body = { acks: -1, timeoutMs: 30_000, topicData: [{ name: topic, partitionData }] }
  return frame(encodeRequest(Produce, PRODUCE_VERSION, { correlationId: 1, clientId: CLIENT_ID }, body))
}

function checkProduced(answer: Buffer): void {
  for (const { partitionResponses } of read(Produce, PRODUCE_VERSION, answer).responses)
    for (const { errorCode } of partitionResponses) check(errorCode)
}

/** acks=all, a few requests in flight for each leader, each with one batch for each of its partitions. */
async function produce(job: LoadJob & { kind: 'produce' }): Promise<LoadResult> {
  const leaders = await leadersOf(job.bootstrap, job.topic)
  const { batch, records } = batchOf(job.batchBytes, job.recordBytes)
  const startsAt = performance.now() + WARM_UP_SECONDS * 1000
  const endsAt = startsAt + job.seconds * 1000
  const latencies: number[] = []
  let batches = 0
  const runs = leaders.flatMap(({ connection, partitions }) => {
    const request = produceRequest(job.topic, partitions, batch)
    return Array.from(
      { length: IN_FLIGHT },
      () =>
        new Promise<void>((resolve) => {
          const next = (): void => {
            const sentAt = performance.now()
            connection.send(request, (answer) => {
              const now = performance.now()
              checkProduced(answer)
              if (now >= startsAt && now < endsAt) {
                batches += partitions.length
                latencies.push(now - sentAt)
              }
              if (now < endsAt) next()
              else resolve()
            })
          }
          next()
        }),
    )
  })
  await Promise.all(runs)
  return {
    seconds: job.seconds,
    bytes: batches * batch.length,
    records: batches * records,
    ...quantiles(latencies),
  }
}

interface Position {
  readonly partition: number
  fetchOffset: number
}

function fetchRequest(topic: string, positions: readonly Position[]): Uint8Array[] {
  const body = {
    maxWaitMs: 500,
    minBytes: 1,
    maxBytes: 50 * 1024 * 1024,
    topics: [
      { topic, partitions: positions.map((position) => ({ ...position, partitionMaxBytes: 1024 * 1024 })) },
    ],
  }
  return frame(encodeRequest(Fetch, FETCH_VERSION, { correlationId: 1, clientId: CLIENT_ID }, body))
}

/** Takes an answer in and moves the positions on. */
function takeFetched(
  answer: Buffer,
  positions: readonly Position[],
  onBatches: (bytes: Uint8Array) => void,
): void {
  const body = read(Fetch, FETCH_VERSION, answer)
  check(body.errorCode ?? 0)
  for (const { partitions } of body.responses) {
    for (const { partitionIndex, errorCode, records } of partitions) {
      check(errorCode)
      if (records === null || !(records instanceof Uint8Array) || records.length === 0) continue
      const position = positions.find(({ partition }) => partition === partitionIndex)!
      for (const batch of iterateBatches(records)) position.fetchOffset = batch.lastOffset + 1
      onBatches(records)
    }
  }
}

/** From the beginning again and again, one fetch in flight for each leader; batches are counted, not decoded. */
async function consume(job: LoadJob & { kind: 'consume' }): Promise<LoadResult> {
  const leaders = await leadersOf(job.bootstrap, job.topic)
  const startsAt = performance.now()
  const endsAt = startsAt + job.seconds * 1000
  let bytes = 0
  let records = 0
  const runs = leaders.map(
    ({ connection, partitions }) =>
      new Promise<void>((resolve) => {
        const positions = partitions.map((partition) => ({ partition, fetchOffset: 0 }))
        const next = (): void => {
          connection.send(fetchRequest(job.topic, positions), (answer) => {
            const before = bytes
            takeFetched(answer, positions, (taken) => {
              bytes += taken.length
              for (const batch of iterateBatches(taken)) records += batch.recordCount
            })
            if (bytes === before) for (const position of positions) position.fetchOffset = 0
            if (performance.now() < endsAt) next()
            else resolve()
          })
        }
        next()
      }),
  )
  await Promise.all(runs)
  return { seconds: (performance.now() - startsAt) / 1000, bytes, records }
}

/** Single records at a steady rate, read by a long-polling consumer of the same process: one clock for both ends. */
async function latency(job: LoadJob & { kind: 'latency' }): Promise<LoadResult> {
  const [producer] = await leadersOf(job.bootstrap, job.topic)
  const [consumer] = await leadersOf(job.bootstrap, job.topic)
  const sentAt: number[] = []
  const latencies: number[] = []
  const { batch } = batchOf(job.recordBytes, job.recordBytes)
  const request = produceRequest(job.topic, [0], batch)
  const total = job.perSecond * (job.seconds + WARM_UP_SECONDS)
  const warmUp = job.perSecond * WARM_UP_SECONDS
  const positions: Position[] = [{ partition: 0, fetchOffset: 0 }]
  const done = new Promise<void>((resolve) => {
    const poll = (): void =>
      consumer!.connection.send(fetchRequest(job.topic, positions), (answer) => {
        const now = performance.now()
        const before = positions[0]!.fetchOffset
        takeFetched(answer, positions, () => {})
        // The topic is this job's own: a record's offset is its number.
        for (let i = before; i < positions[0]!.fetchOffset; i++)
          if (i >= warmUp) latencies.push(now - sentAt[i]!)
        if (positions[0]!.fetchOffset < total) poll()
        else resolve()
      })
    poll()
  })
  const startsAt = performance.now()
  const tick = (): void => {
    const due = Math.min(total, Math.floor(((performance.now() - startsAt) / 1000) * job.perSecond))
    while (sentAt.length < due) {
      sentAt.push(performance.now())
      producer!.connection.send(request, checkProduced)
    }
    if (sentAt.length < total) setTimeout(tick, 1)
  }
  tick()
  await done
  return {
    seconds: job.seconds,
    bytes: latencies.length * batch.length,
    records: latencies.length,
    ...quantiles(latencies),
  }
}

function quantiles(values: number[]): { p50: number; p99: number } {
  const sorted = Float64Array.from(values).sort()
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50: at(0.5), p99: at(0.99) }
}

const job: LoadJob = JSON.parse(process.argv[2]!)
const result = await (job.kind === 'produce'
  ? produce(job)
  : job.kind === 'consume'
    ? consume(job)
    : latency(job))
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
