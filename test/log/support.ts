import type { Offset, Uuid } from '../../src/lib/ids.js'
import { SeededRandom } from '../../src/lib/prng.js'
import {
  DEFAULT_LOG_MANAGER_CONFIG,
  LogManager,
  type LogManagerConfig,
  type OpenResult,
  type QuarantinedLog,
} from '../../src/log/log-manager.js'
import type { PartitionLog } from '../../src/log/partition-log.js'
import type { AppendBatch, LogConfig, LogSlice } from '../../src/log/types.js'
import type { Logger } from '../../src/ports/logger.js'
import { crc32c } from '../../src/wire/crc32c.js'
import { type SimProcess, SimWorldClock } from '../sim/clock.js'
import { SimDisk } from '../sim/disk.js'

export const TOPIC_ID: Uuid = 'QUJDREVGR0hJSktMTU5PUA'

export const LOG_CONFIG: LogConfig = {
  segmentBytes: 4096,
  segmentMs: 7 * 24 * 3600 * 1000,
  indexIntervalBytes: 256,
  segmentIndexBytes: 10 * 1024 * 1024,
  retentionBytes: -1,
  retentionMs: -1,
  cleanupPolicy: 'delete',
  fileDeleteDelayMs: 60_000,
  flushMessages: Number.POSITIVE_INFINITY,
  flushMs: Number.POSITIVE_INFINITY,
}

export const QUIET: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => QUIET }

export interface BatchOptions {
  records?: number
  epoch?: number
  payload?: Uint8Array
  timestampMs?: number
}

/** A batch with a right head and CRC; the records are bytes that nobody decodes here. */
export function batchAt(baseOffset: Offset, options: BatchOptions = {}): AppendBatch {
  const {
    records = 1,
    epoch = 0,
    payload = new Uint8Array(40).fill(7),
    timestampMs = 1000 + baseOffset,
  } = options
  const bytes = new Uint8Array(61 + payload.length)
  const view = new DataView(bytes.buffer)
  view.setBigInt64(0, BigInt(baseOffset))
  view.setInt32(8, bytes.length - 12)
  view.setInt32(12, epoch)
  view.setInt8(16, 2)
  view.setInt32(23, records - 1)
  view.setBigInt64(27, BigInt(timestampMs))
  view.setBigInt64(35, BigInt(timestampMs))
  view.setBigInt64(43, -1n)
  view.setInt16(51, -1)
  view.setInt32(53, -1)
  view.setInt32(57, records)
  bytes.set(payload, 61)
  view.setUint32(17, crc32c(bytes.subarray(21)))
  return {
    bytes,
    baseOffset,
    lastOffset: baseOffset + records - 1,
    leaderEpoch: epoch,
    maxTimestampMs: timestampMs,
  }
}

export function appendMany(log: PartitionLog, count: number, options: BatchOptions = {}): void {
  for (let i = 0; i < count; i++) log.append([batchAt(log.logEndOffset, options)])
}

export function bytesOf(slice: LogSlice): Buffer {
  return Buffer.concat(slice.chunks)
}

/** Everything from `from` on, read as a follower does. */
export function readAll(log: PartitionLog, from = log.logStartOffset): Buffer {
  const parts: Uint8Array[] = []
  for (let at = from; at < log.logEndOffset; ) {
    const slice = log.read(at, log.logEndOffset, 1000, true)
    if (slice.nextOffset <= at) throw new Error(`no progress at ${at}`)
    parts.push(...slice.chunks)
    at = slice.nextOffset
  }
  return Buffer.concat(parts)
}

/** One node's disk and log manager, restarted at will. */
export class Bench {
  readonly world = new SimWorldClock()
  readonly disk = new SimDisk(this.world)
  readonly random: SeededRandom
  readonly quarantined: QuarantinedLog[] = []
  offline: Error | null = null
  highWatermark: Offset = Number.MAX_SAFE_INTEGER
  process!: SimProcess
  manager!: LogManager
  result!: OpenResult
  config: LogConfig = LOG_CONFIG
  managerConfig: LogManagerConfig = { ...DEFAULT_LOG_MANAGER_CONFIG, tailCacheBytes: 2000, maxOpenFiles: 8 }

  constructor(seed = 1) {
    this.random = new SeededRandom(seed)
  }

  static started(
    seed = 1,
    config: Partial<LogConfig> = {},
    managerConfig: Partial<LogManagerConfig> = {},
  ): Bench {
    const bench = new Bench(seed)
    bench.config = { ...LOG_CONFIG, ...config }
    bench.managerConfig = { ...bench.managerConfig, ...managerConfig }
    bench.start()
    return bench
  }

  start(): OpenResult {
    this.process = this.world.process('broker')
    this.disk.attach(this.process)
    this.manager = new LogManager({
      disk: this.disk,
      clock: this.process.clock,
      logger: QUIET,
      config: this.managerConfig,
      highWatermarkOf: () => this.highWatermark,
      onOffline: (error) => {
        this.offline = error
      },
      onQuarantined: (one) => this.quarantined.push(one),
    })
    let opened = false
    this.manager.open(
      () => this.config,
      (error, result) => {
        if (error !== null) throw error
        this.result = result
        opened = true
      },
    )
    if (!this.world.runUntilTrue(() => opened, 60_000)) throw new Error('the log manager did not open')
    return this.result
  }

  log(partition = 0): PartitionLog {
    return this.manager.getOrCreate({ topic: 'orders', topicId: TOPIC_ID, partition, config: this.config })
  }

  sync(log: PartitionLog): Offset {
    let reported = -1
    log.sync((error, endOffset) => {
      if (error !== null) throw error
      reported = endOffset
    })
    if (!this.world.runUntilTrue(() => reported >= 0, 60_000)) throw new Error('the sync did not end')
    return reported
  }

  kill(): void {
    this.process.kill()
    this.disk.crash()
  }

  powerCut(): void {
    this.process.kill()
    this.disk.powerCut(this.random)
  }

  stop(): void {
    let closed = false
    this.manager.close((error) => {
      if (error !== null) throw error
      closed = true
    })
    if (!this.world.runUntilTrue(() => closed, 60_000)) throw new Error('the log manager did not close')
    this.process.kill()
    this.disk.crash()
  }

  fileBytes(path: string): Uint8Array {
    const file = this.disk.open(path)
    const bytes = file.read(0, file.size())
    file.close()
    return bytes
  }
}
