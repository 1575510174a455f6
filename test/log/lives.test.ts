import { expect, it } from 'vitest'
import { randomBelow, randomBetween, SeededRandom } from '../../src/lib/prng.js'
import type { PartitionLog } from '../../src/log/partition-log.js'
import { Bench, batchAt, readAll, TOPIC_ID } from './support.js'

const PAYLOAD_BYTES = 500
const SIZE = 61 + PAYLOAD_BYTES
type End = 'kill' | 'clean stop' | 'power cut'

/** One disk and its log: life after life, with each way in which a log can be changed, and in which a life can end. */
class Lives {
  readonly seen = { quarantines: 0, cleanStops: 0, trusted: 0 }
  private readonly random: SeededRandom
  private readonly bench: Bench
  /** By offset, from `start` to `end`; all below `durable` was reported so, by a sync or by `isSynced`. */
  private written = new Map<number, Buffer>()
  private start = 0
  private end = 0
  private durable = 0
  private epoch = 0
  /** Counts what made earlier syncs say nothing. */
  private generation = 0
  /** A truncation that is not on the disk yet may look like damage after a power cut. */
  private isCut = false

  constructor(readonly seed: number) {
    this.random = new SeededRandom(seed)
    this.bench = Bench.started(
      seed,
      { segmentBytes: 1500, indexIntervalBytes: 200, segmentMs: 1e12, fileDeleteDelayMs: 3 },
      { maxConcurrentSyncs: 1, checkedAtCleanStart: randomBelow(this.random, 2) * 500 },
    )
    this.bench.disk.faults.syncLatencyMs = () => randomBelow(this.random, 4)
  }

  live(): void {
    const log = this.bench.log()
    log.onSnapshotDue = (base) => log.writeProducerSnapshot(base, new Uint8Array([base & 255]))
    const steps = randomBelow(this.random, 4) === 0 ? 0 : 40
    for (let step = 0; step < steps; step++) {
      if (log.isSynced) {
        this.durable = this.end
        this.isCut = false
      }
      this.act(log, randomBelow(this.random, 26))
    }
    const how = this.finish()
    this.bench.start()
    if (randomBelow(this.random, 2) === 0) this.bench.world.runFor(randomBelow(this.random, 2_000))
    this.check(how)
  }

  private act(log: PartitionLog, what: number): void {
    const { random, bench } = this
    if (what < 12) this.append(log, randomBetween(random, 1, 3))
    else if (what < 15) this.sync(log)
    else if (what === 15) log.assignEpochStart(++this.epoch, log.logEndOffset)
    else if (what === 16)
      this.truncate(log, randomBetween(random, Math.max(this.start, this.end - 5), this.end))
    else if (what === 17) {
      this.start = randomBetween(random, this.start, Math.max(this.start, this.durable))
      log.advanceLogStartOffset(this.start)
    } else if (what === 18 && randomBelow(random, 4) === 0)
      this.restart(log, this.end + randomBelow(random, 10))
    else if (what === 19) log.maintain(1, this.end)
    else if (what === 20) log.flushIndexes()
    else bench.world.runFor(randomBelow(random, 5))
  }

  private append(log: PartitionLog, count: number): void {
    for (let i = 0; i < count; i++) {
      const payload = Buffer.alloc(PAYLOAD_BYTES, randomBetween(this.random, 1, 255))
      const batch = batchAt(this.end, { epoch: this.epoch, payload })
      log.append([batch])
      this.written.set(this.end++, Buffer.from(batch.bytes))
    }
  }

  private sync(log: PartitionLog): void {
    const { generation } = this
    log.sync((error, end) => {
      if (error === null && generation === this.generation) this.durable = Math.max(this.durable, end)
    })
  }

  private truncate(log: PartitionLog, to: number): void {
    log.truncateTo(to)
    this.end = to
    this.durable = Math.min(this.durable, to)
    this.cut()
  }

  private restart(log: PartitionLog, at: number): void {
    log.truncateFullyAndStartAt(at)
    this.start = this.end = this.durable = at
    this.cut()
  }

  private cut(): void {
    this.epoch++
    this.generation++
    this.isCut = true
  }

  private finish(): End {
    const { bench, random } = this
    const how = randomBelow(random, 4)
    if (how === 0) bench.kill()
    else if (how === 1) {
      bench.stop()
      this.seen.cleanStops++
      this.durable = this.end
      // And then the power goes as well.
      if (randomBelow(random, 2) === 0) bench.disk.powerCut(bench.random)
    } else bench.powerCut()
    return how === 0 ? 'kill' : how === 1 ? 'clean stop' : 'power cut'
  }

  private check(how: End): void {
    const { bench } = this
    expect(bench.offline).toBeNull()
    expect(bench.quarantined, `after a ${how}`).toEqual([])
    const log = bench.manager.get(TOPIC_ID, 0)
    const { quarantined } = bench.manager
    if (log === undefined) {
      if (quarantined.length === 0) expect(this.durable).toBe(0)
      else expect(this.isCut && how === 'power cut', quarantined[0]!.reason).toBe(true)
      for (const { directory } of quarantined) bench.manager.settleQuarantine(directory)
      this.seen.quarantines += quarantined.length
      this.start = this.end = this.durable = 0
      this.isCut = false
    } else this.compare(log, how)
    this.generation++
  }

  private compare(log: PartitionLog, how: End): void {
    const from = log.logStartOffset
    const bytes = readAll(log)
    const at = (offset: number): Buffer => bytes.subarray((offset - from) * SIZE, (offset - from + 1) * SIZE)
    expect(log.logEndOffset).toBeGreaterThanOrEqual(this.durable)
    if (how !== 'power cut') expect(log.logEndOffset).toBe(this.end)
    for (let offset = Math.max(from, this.start); offset < this.durable; offset++) {
      expect(at(offset).equals(this.written.get(offset)!), `offset ${offset} after a ${how}`).toBe(true)
    }
    this.start = from
    this.end = log.logEndOffset
    this.written = new Map()
    for (let offset = from; offset < this.end; offset++) this.written.set(offset, Buffer.from(at(offset)))
    this.durable = log.durableEndOffset
    this.isCut = !log.isSynced
    if (log.isSynced) this.seen.trusted++
    this.epoch = Math.max(this.epoch, log.latestEpoch) + 1
  }
}

it('lose nothing that was said to be durable, whichever way they end', () => {
  const sum = { quarantines: 0, cleanStops: 0, trusted: 0 }
  for (let seed = 1; seed <= 10; seed++) {
    const lives = new Lives(seed)
    for (let life = 0; life < 8; life++) lives.live()
    sum.quarantines += lives.seen.quarantines
    sum.cleanStops += lives.seen.cleanStops
    sum.trusted += lives.seen.trusted
  }
  expect(sum.quarantines).toBeLessThan(10)
  expect(sum.cleanStops).toBeGreaterThan(8)
  expect(sum.trusted).toBeGreaterThan(20)
})
