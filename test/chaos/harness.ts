import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { badAnomalies, checkHistory } from '../../src/checker/checker.js'
import type { Operation } from '../../src/checker/history.js'
import { PROJECT } from '../support/cluster.js'
import {
  acknowledged,
  type ClientKind,
  LoadClient,
  type LoadEvent,
  longestGapMs,
  monotonicNowMs,
} from '../support/load-client.js'
import type { ProcessCluster } from './nodes.js'

/** Of each kind of fault and client; `npm run test:chaos` sets three. */
export const ROUNDS = Number(process.env.KOGGE_CHAOS_ROUNDS ?? 1)
const RATE = 500
/** What a round measures begins this long before the fault. */
const BEFORE_MS = 1_000

/** A producer under test and a consumer that follows it through everything, on one partition of a topic of their own. */
export class Load {
  private constructor(
    private readonly cluster: ProcessCluster,
    readonly topic: string,
    private readonly producer: LoadClient,
    private readonly follower: LoadClient,
  ) {}

  static async start(
    cluster: ProcessCluster,
    kind: ClientKind,
    topic: string,
    { rate = RATE, clientConfig = [] }: { rate?: number; clientConfig?: readonly string[] } = {},
  ): Promise<Load> {
    await cluster.createTopic(topic)
    const { bootstrap } = cluster
    const follower = new LoadClient('librdkafka', ['follow', bootstrap, topic, '0', ...clientConfig])
    const producer = new LoadClient(kind, ['produce', bootstrap, topic, '0', String(rate), ...clientConfig])
    const load = new Load(cluster, topic, producer, follower)
    await load.waitForProgress(monotonicNowMs())
    return load
  }

  /** Records were acknowledged, and read, after `fromMs`. */
  async waitForProgress(fromMs: number, timeoutMs = 30_000): Promise<void> {
    const isLater = (event: LoadEvent | undefined) => event !== undefined && event.at! > fromMs
    await this.producer.until(
      'a record is acknowledged',
      (events) => isLater(events.findLast((e) => e.ack !== undefined)),
      timeoutMs,
    )
    await this.follower.until(
      'a record is consumed',
      (events) => isLater(events.findLast((e) => e.value !== undefined)),
      timeoutMs,
    )
  }

  /** The longest interval without an acknowledgement, and without a record read, from a second before `atMs` on. */
  gaps(atMs: number, beforeMs = BEFORE_MS): { writeMs: number; readMs: number } {
    return {
      writeMs: longestGapMs(this.producer.events, atMs - beforeMs),
      readMs: longestGapOf(received(this.follower.events), atMs - beforeMs),
    }
  }

  /** Acknowledgements so far. */
  get acknowledged(): number {
    return acknowledged(this.producer.events).length
  }

  lastAckMs(): number {
    return this.producer.events.findLast((e) => e.ack !== undefined)?.at ?? 0
  }

  /** Ends the load. Every anomaly that the history shows, as text; each acknowledged record was read, once, in order. */
  async finish(): Promise<string[]> {
    const produced = await this.producer.finish()
    const acks = acknowledged(produced)
    const fresh = new LoadClient('librdkafka', [
      'consume',
      this.cluster.bootstrap,
      this.topic,
      '0',
      String(acks.length),
    ])
    await fresh.until('the fresh consumer is done', (events) => events.at(-1)?.done !== undefined, 90_000)
    const read = await fresh.finish()
    const last = Math.max(...acks.map((a) => a.offset))
    await this.follower.until(
      `the follower has read offset ${last}`,
      (events) => (events.findLast((e) => e.value !== undefined)?.offset ?? -1) >= last,
    )
    const followed = await this.follower.finish()
    return [
      ...this.problemsOf('the producer', produced),
      ...this.problemsOf('the fresh consumer', read),
      ...this.problemsOf('the consumer that ran through', followed),
      ...exactlyOnce('the fresh consumer', acks, read),
      ...exactlyOnce('the consumer that ran through', acks, followed),
      ...badAnomalies(checkHistory(historyOf(this.topic, produced, [read, followed]))).map(
        ({ type, detail }) => `${type}: ${detail}`,
      ),
    ].slice(0, 20)
  }

  kill(): void {
    this.producer.kill()
    this.follower.kill()
  }

  private problemsOf(who: string, events: readonly LoadEvent[]): string[] {
    return events.flatMap((e) => {
      if (e.failed !== undefined) return [`${who}: record ${e.failed} failed: ${e.reason}`]
      // What librdkafka says of brokers that are away is no error of the consumer's.
      if (e.error !== undefined && !TRANSIENT.includes(e.error)) return [`${who}: ${e.error}: ${e.reason}`]
      return []
    })
  }
}

const TRANSIENT = ['_TRANSPORT', '_ALL_BROKERS_DOWN', '_RESOLVE', '_TIMED_OUT']

function received(events: readonly LoadEvent[]): { value: number; offset: number; at: number }[] {
  return events.flatMap((e) =>
    e.value === undefined || e.offset === undefined ? [] : [{ value: e.value, offset: e.offset, at: e.at! }],
  )
}

/** The longest interval between two events in a row, from `fromMs` on. */
export function longestGapOf(records: readonly { at: number }[], fromMs: number): number {
  let longest = 0
  for (let i = 1; i < records.length; i++) {
    const { at } = records[i]!
    if (at >= fromMs) longest = Math.max(longest, at - Math.max(records[i - 1]!.at, fromMs))
  }
  return longest
}

/** Offsets one after the other; each acknowledged value at its offset; values ascend: nothing lost, doubled, swapped. */
function exactlyOnce(
  who: string,
  acks: readonly { value: number; offset: number }[],
  events: readonly LoadEvent[],
): string[] {
  const problems: string[] = []
  const records = received(events)
  const byOffset = new Map(records.map((r) => [r.offset, r.value]))
  for (const { value, offset } of acks) {
    if (byOffset.get(offset) !== value)
      problems.push(
        `${who}: record ${value} was acknowledged at ${offset}, where ${byOffset.get(offset)} was read`,
      )
  }
  for (let i = 0; i < records.length; i++) {
    const { offset, value } = records[i]!
    if (offset !== i) problems.push(`${who}: record ${i} has offset ${offset}: skipped, repeated or reset`)
    if (i > 0 && value <= records[i - 1]!.value)
      problems.push(`${who}: value ${value} at ${offset} after ${records[i - 1]!.value}`)
    if (problems.length > 20) break
  }
  return problems
}

/** For the checker: sends as single operations, reads in polls of up to a hundred. */
export function historyOf(
  partition: string,
  produced: readonly LoadEvent[],
  consumers: readonly (readonly LoadEvent[])[],
): Operation[] {
  const sends = produced.flatMap((e): Operation[] => {
    if (e.ack !== undefined)
      return [operation(0, 'ok', 'send', e.at!, [['send', partition, [e.offset!, e.ack]]])]
    if (e.failed !== undefined)
      return [operation(0, 'info', 'send', e.at!, [['send', partition, [null, e.failed]]])]
    return []
  })
  const polls = consumers.flatMap((events, i) => {
    const records = received(events)
    const operations = [operation(i + 1, 'ok', 'assign', 0, [])]
    for (let from = 0; from < records.length; from += 100) {
      const batch = records.slice(from, from + 100)
      const ops: Operation['ops'] = [
        ['poll', { [partition]: batch.map((r): [number, number] => [r.offset, r.value]) }],
      ]
      operations.push(operation(i + 1, 'ok', 'poll', batch.at(-1)!.at, ops))
    }
    return operations
  })
  return [...sends, ...polls]
}

export function operation(
  process: number,
  type: Operation['type'],
  f: Operation['f'],
  at: number,
  ops: Operation['ops'],
): Operation {
  return { process, type, f, tStart: at, tEnd: at, ops }
}

/** Waits until the clock shows `atMs`. */
export async function sleepUntil(atMs: number): Promise<void> {
  await sleep(Math.max(0, atMs - monotonicNowMs()))
}

interface Row {
  readonly fault: string
  readonly client: string
  readonly what: string
  readonly valueMs: number
}

/** The measured outages of a file; printed at its end, and left in `.cache/chaos-<name>.json` with the raw figures. */
export class Figures {
  private readonly rows: Row[] = []
  private readonly load = loadavg()[0]!

  constructor(private readonly name: string) {}

  add(fault: string, client: string, values: Readonly<Record<string, number>>): void {
    for (const [what, valueMs] of Object.entries(values)) this.rows.push({ fault, client, what, valueMs })
  }

  /** One outage at once, with the wall clock of the fault, for whoever reads the nodes' logs beside it. */
  say(fault: string, client: string, atMs: number, values: Readonly<Record<string, number>>): void {
    if (process.env.KOGGE_CHAOS_VERBOSE === undefined) return
    const wallMs = Date.now() - (monotonicNowMs() - atMs)
    const cells = Object.entries(values).map(([what, ms]) => `${what} ${ms.toFixed(0)}`)
    console.log(`${wallMs.toFixed(0)} ${fault}, ${client}: ${cells.join(' ')}`)
  }

  /** `total`: the name of more lines, over all kinds of fault together. */
  print(total?: string): void {
    const groups = new Map<string, Row[]>()
    const totals = total === undefined ? [] : this.rows.map((row) => ({ ...row, fault: total }))
    for (const row of [...this.rows, ...totals]) {
      const key = `${row.fault}|${row.client}|${row.what}`
      groups.set(key, [...(groups.get(key) ?? []), row])
    }
    const lines = [...groups.values()].map((rows) => {
      const { fault, client, what } = rows[0]!
      const sorted = rows.map((row) => row.valueMs).sort((a, b) => a - b)
      const cells = [medianOf(sorted), percentileOf(sorted, 99), sorted.at(-1)!]
      return line([fault, client, what, ...cells.map((ms) => ms.toFixed(0)), String(rows.length)])
    })
    const head = line(['outage (milliseconds)', 'client', 'of', 'p50', 'p99', 'worst', 'n'])
    const load = `load average ${this.load.toFixed(1)} at the start, ${loadavg()[0]!.toFixed(1)} at the end`
    console.log([head, ...lines, load].join('\n'))
    mkdirSync(resolve(PROJECT, '.cache'), { recursive: true })
    writeFileSync(resolve(PROJECT, `.cache/chaos-${this.name}.json`), JSON.stringify(this.rows))
  }
}

const WIDTHS = [-30, -11, -18, 8, 8, 8, 4]

/** A row of the table: texts flush left, numbers flush right. */
function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) => (WIDTHS[i]! < 0 ? cell.padEnd(-WIDTHS[i]!) : cell.padStart(WIDTHS[i]!)))
    .join(' ')
}

/** The nearest rank: of fewer than a hundred, the 99th is the worst. */
function percentileOf(sorted: readonly number[], percent: number): number {
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1]!
}

export function medianOf(sorted: readonly number[]): number {
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
