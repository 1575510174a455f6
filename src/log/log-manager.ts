import { assert } from '../lib/assert.js'
import type { Offset, Uuid } from '../lib/ids.js'
import type { Clock, Timer } from '../ports/clock.js'
import { type Disk, DiskError, type DiskFile } from '../ports/disk.js'
import type { Logger } from '../ports/logger.js'
import {
  encodeOffsetCheckpoint,
  HIGH_WATERMARK_CHECKPOINT,
  LOG_START_CHECKPOINT,
  type OffsetRow,
  RECOVERY_POINT_CHECKPOINT,
  readOffsetCheckpoint,
  readWhole,
  writeOffsetCheckpoint,
  writeWhole,
} from './checkpoint-files.js'
import { DiskSpace } from './disk-space.js'
import { EpochCache } from './epoch-cache.js'
import {
  asideDirectory,
  isAside,
  PARTITION_METADATA,
  parsePartitionDirectory,
  partitionDirectory,
} from './file-names.js'
import { FlushScheduler } from './flush-scheduler.js'
import { HandleCache } from './handle-cache.js'
import { type LogContext, PartitionLog } from './partition-log.js'
import { type RecoveredLog, recoverLog } from './recovery.js'
import { RecoveryPoints } from './recovery-points.js'
import { LogDamage, Segment } from './segment.js'
import { TailCache } from './tail-cache.js'
import type { LogConfig } from './types.js'

export interface LogManagerConfig {
  /** At most so many fsyncs of partition data in flight: the thread pool's size less two. */
  maxConcurrentSyncs: number
  /** Bytes of recently appended batches kept for followers and tailing consumers, over all logs. */
  tailCacheBytes: number
  /** File handles kept open, over all logs. */
  maxOpenFiles: number
  /** Appends are refused while less is free on the disk: the Raft log lives there too. 0: no reserve. */
  reservedBytes: number
  /** `log.retention.check.interval.ms`. */
  retentionCheckIntervalMs: number
  /** `replica.high.watermark.checkpoint.interval.ms`, for the start offsets and recovery points too. */
  checkpointIntervalMs: number
}

export const DEFAULT_LOG_MANAGER_CONFIG: LogManagerConfig = {
  maxConcurrentSyncs: 8,
  tailCacheBytes: 64 * 1024 * 1024,
  maxOpenFiles: 2048,
  reservedBytes: 64 * 1024 * 1024,
  retentionCheckIntervalMs: 300_000,
  checkpointIntervalMs: 5_000,
}

export interface LogManagerOptions {
  disk: Disk
  clock: Clock
  logger: Logger
  config: LogManagerConfig
  /** What retention may not pass, and what the checkpoint of high watermarks holds; undefined: not hosted now. */
  highWatermarkOf(topicId: Uuid, partition: number): Offset | undefined
  /** A failed fsync or an EIO: nothing of this directory may be trusted or written any more. Called once. */
  onOffline(error: Error): void
  /** A log turned out to be damaged while it was open. It was set aside already; fetch the replica anew. */
  onQuarantined(quarantined: QuarantinedLog): void
}

export interface QuarantinedLog {
  topic: string
  /** undefined where the directory does not tell it any more. */
  topicId: Uuid | undefined
  partition: number
  reason: string
  /** Where its bytes were moved to, below the data directory. */
  directory: string
}

export interface LogSpec {
  /** Validated by the controller (Kafka's rules for names). */
  topic: string
  topicId: Uuid
  partition: number
  config: LogConfig
}

export interface OpenResult {
  /** Kafka's clean-shutdown mark was found. */
  cleanStart: boolean
  logs: readonly PartitionLog[]
  quarantined: readonly QuarantinedLog[]
}

/** Written at the very end of a clean stop, removed at the start (Kafka's name; KAFKA-15375). */
const CLEAN_SHUTDOWN = '.kafka_cleanshutdown'
/** Recovery points are synced so often, where nothing else did it. */
const POINT_SYNC_MS = 1_000
/** Loading goes on in a turn for so long, but not beyond so many logs. */
const LOAD_TURN_MS = 10
const LOADS_IN_TURN = 100
const SPACE_CHECK_MS = 1_000
const SCRUB_INTERVAL_MS = 250
const SCRUB_BYTES = 1024 * 1024

/** All partition logs of one data directory. */
export class LogManager {
  private readonly context: LogContext
  private readonly points: RecoveryPoints
  private readonly flusher: FlushScheduler
  private readonly handles: HandleCache
  private readonly space: DiskSpace
  private readonly logsByKey = new Map<string, PartitionLog>()
  private readonly setAsideLogs: QuarantinedLog[] = []
  private readonly damaged = new Map<PartitionLog, string>()
  private readonly timers = new Set<Timer>()
  private highWatermarks = new Map<string, Offset>()
  private recoveryPoints = new Map<string, Offset>()
  private logStarts = new Map<string, Offset>()
  private asideCount = 0
  private isCheckpointing = false
  private isCleanStart = false
  private readonly unidentified: { name: string; topic: string; partition: number }[] = []
  private scrubbed: { queue: PartitionLog[]; cursor: Offset } = { queue: [], cursor: 0 }
  private state: 'new' | 'opening' | 'open' | 'closing' | 'closed' | 'offline' = 'new'

  constructor(private readonly options: LogManagerOptions) {
    const { disk, clock, config } = options
    this.points = new RecoveryPoints(disk)
    this.handles = new HandleCache(disk, config.maxOpenFiles)
    this.flusher = new FlushScheduler(disk, clock, config.maxConcurrentSyncs, (error) =>
      this.goOffline(error),
    )
    this.space = new DiskSpace(disk, config.reservedBytes, (isLow, freeBytes) => {
      const fields = { freeBytes, reservedBytes: config.reservedBytes }
      if (isLow) options.logger.error(fields, 'the disk is full up to its reserve: appends are refused')
      else options.logger.info(fields, 'the disk has room again: appends are taken')
    })
    this.context = {
      disk,
      space: this.space,
      clock,
      handles: this.handles,
      tail: new TailCache(config.tailCacheBytes),
      flusher: this.flusher,
      points: this.points,
      onDamaged: (log, reason) => this.onDamaged(log, reason),
    }
  }

  get quarantined(): readonly QuarantinedLog[] {
    return this.setAsideLogs
  }

  /** False while the disk is full up to its reserve: logs refuse appends, and new ones need not be tried. */
  get hasRoom(): boolean {
    return !this.space.isLow
  }

  get isOffline(): boolean {
    return this.state === 'offline'
  }

  /**
   * Loads and recovers every log, some in each turn; `done` is called once, later, when all that was found is durable.
   * Errors: DiskError.
   */
  open(
    configOf: (topic: string) => LogConfig,
    done: (error: Error | null, result: OpenResult) => void,
  ): void {
    assert(this.state === 'new', 'opened twice')
    this.state = 'opening'
    const { disk, clock } = this.options
    let names: string[] = []
    const finish = (error: Error | null): void => {
      if (error === null) {
        this.state = 'open'
        this.startTimers()
      }
      done(error, {
        cleanStart: this.isCleanStart,
        logs: [...this.logs()],
        quarantined: [...this.setAsideLogs],
      })
    }
    const next = (): void => {
      try {
        const begunMs = clock.monotonicMs()
        for (let i = 0; i < LOADS_IN_TURN && clock.monotonicMs() - begunMs < LOAD_TURN_MS; i++) {
          const name = names.shift()
          if (name === undefined) {
            this.settleUnidentified()
            this.syncRecovered(finish)
            return
          }
          this.load(name, configOf)
        }
      } catch (error) {
        finish(error as Error)
        return
      }
      clock.after(0, next)
    }
    clock.after(0, () => {
      try {
        this.isCleanStart = disk.exists(CLEAN_SHUTDOWN)
        if (this.isCleanStart) {
          disk.unlink(CLEAN_SHUTDOWN)
          disk.syncNow([{ directory: '' }])
        }
        this.points.open()
        this.highWatermarks = readOffsetCheckpoint(disk, HIGH_WATERMARK_CHECKPOINT)
        this.recoveryPoints = readOffsetCheckpoint(disk, RECOVERY_POINT_CHECKPOINT)
        this.logStarts = readOffsetCheckpoint(disk, LOG_START_CHECKPOINT)
        names = disk
          .list('')
          .filter((name) => name.endsWith('/'))
          .map((name) => name.slice(0, -1))
      } catch (error) {
        finish(error as Error)
        return
      }
      next()
    })
  }

  private syncRecovered(finish: (error: Error | null) => void): void {
    let waiting = 1
    let failure: Error | null = null
    const one = (error: Error | null): void => {
      failure ??= error
      if (--waiting === 0) finish(failure)
    }
    for (const log of this.logs()) {
      if (log.durableEndOffset === log.logEndOffset) continue
      waiting++
      log.sync(one)
    }
    one(null)
  }

  private load(name: string, configOf: (topic: string) => LogConfig): void {
    const { disk, logger } = this.options
    if (isAside(name, 'delete')) {
      disk.removeTree(name)
      return
    }
    const parsed = parsePartitionDirectory(name)
    if (parsed === null) return
    const { topic, partition } = parsed
    const topicId = readTopicId(disk, name)
    if (topicId === null) {
      this.unidentified.push({ name, topic, partition })
      return
    }
    const stored = this.points.atOpen(topicId, partition)
    const logStartOffset = stored?.logStartOffset ?? this.logStarts.get(name) ?? 0
    const recoveryPoint = Math.max(
      logStartOffset,
      stored?.recoveryPoint ?? this.recoveryPoints.get(name) ?? 0,
    )
    const config = configOf(topic)
    try {
      const recovered = recoverLog({
        disk,
        handles: this.handles,
        directory: name,
        recoveryPoint,
        logStartOffset,
        indexIntervalBytes: config.indexIntervalBytes,
        isCleanStart: this.isCleanStart,
      })
      if (recovered.truncatedBytes > 0) {
        logger.warn(
          { log: name, bytes: recovered.truncatedBytes, logEndOffset: recovered.logEndOffset, recoveryPoint },
          'cut a torn end that was never synced',
        )
      }
      const log = new PartitionLog(this.context, topic, topicId, partition, name, config, recovered, false)
      this.logsByKey.set(keyOf(topicId, partition), log)
    } catch (error) {
      if (!(error instanceof LogDamage)) throw error
      this.setAside(name, topic, topicId, partition, error.message)
    }
  }

  /** Directories that do not tell their topic id: one whose making the power cut broke off goes, any other is damage. */
  private settleUnidentified(): void {
    const { disk } = this.options
    for (const { name, topic, partition } of this.unidentified.splice(0)) {
      const isKnown = (topicId: Uuid): boolean =>
        this.get(topicId, partition) !== undefined ||
        this.setAsideLogs.some((one) => one.topicId === topicId && one.partition === partition)
      // The file is synced with the first group commit: before that, nothing of the log was reported durable.
      const isNew =
        !this.points.hasUnclaimed(partition, isKnown) && !((this.recoveryPoints.get(name) ?? 0) > 0)
      if (isNew) disk.removeTree(name)
      else this.setAside(name, topic, undefined, partition, `${PARTITION_METADATA} is missing or damaged`)
    }
  }

  get(topicId: Uuid, partition: number): PartitionLog | undefined {
    return this.logsByKey.get(keyOf(topicId, partition))
  }

  /** @throws DiskError; Error where another topic of that name is still there: `delete` the stray log first. */
  getOrCreate(spec: LogSpec): PartitionLog {
    const { topic, topicId, partition, config } = spec
    const existing = this.get(topicId, partition)
    if (existing !== undefined) return existing
    this.checkOnline()
    const directory = partitionDirectory(topic, partition)
    const { disk } = this.options
    if (disk.exists(directory)) {
      throw new DiskError(
        'EOTHER',
        directory,
        `${directory} exists and belongs to another topic id: delete that log first`,
      )
    }
    try {
      disk.mkdir(directory)
      const text = `version: 0\ntopic_id: ${topicId}\n`
      writeWhole(disk, `${directory}/${PARTITION_METADATA}`, Buffer.from(text)).close()
      const segment = new Segment(this.handles, directory, 0)
      this.handles.get(segment.path('.log'), true)
      const recovered: RecoveredLog = {
        segments: [segment],
        epochs: new EpochCache(),
        logStartOffset: 0,
        logEndOffset: 0,
        durableEndOffset: 0,
        epochsAreStored: true,
        truncatedBytes: 0,
      }
      const log = new PartitionLog(
        this.context,
        topic,
        topicId,
        partition,
        directory,
        config,
        recovered,
        true,
      )
      this.points.set(topicId, partition, { recoveryPoint: 0, logStartOffset: 0 })
      this.logsByKey.set(keyOf(topicId, partition), log)
      return log
    } catch (error) {
      this.handles.closeUnder(directory)
      this.failOn(error)
      disk.removeTree(directory)
      throw error
    }
  }

  /** Closes the log and renames its directory to `-delete`; its bytes go after `file.delete.delay.ms`. */
  delete(topicId: Uuid, partition: number): void {
    const log = this.get(topicId, partition)
    if (log === undefined) return
    this.checkOnline()
    const { disk } = this.options
    log.close()
    this.logsByKey.delete(keyOf(topicId, partition))
    const aside = this.freeName(log.directory, 'delete')
    try {
      this.points.remove(topicId, partition)
      disk.rename(log.directory, aside)
    } catch (error) {
      this.failOn(error)
      throw error
    }
    this.after(log.fileDeleteDelayMs, () => disk.removeTree(aside))
    disk.sync([{ directory: '' }], (error) => {
      if (error !== null) this.flusher.fail(error)
    })
  }

  /** Every open log: those that metadata does not know are strays for the caller to `delete`. */
  logs(): IterableIterator<PartitionLog> {
    return this.logsByKey.values()
  }

  /** The high watermark as it was checkpointed before the start; 0 where unknown. Never above the log's end. */
  checkpointedHighWatermark(topicId: Uuid, partition: number): Offset {
    const log = this.get(topicId, partition)
    if (log === undefined) return 0
    const stored = this.highWatermarks.get(log.directory) ?? 0
    return Math.max(log.logStartOffset, Math.min(stored, log.logEndOffset))
  }

  /** Runs retention on every log now; happens by itself at each interval. Returns the deleted bytes. */
  maintain(): number {
    const { clock, highWatermarkOf, logger } = this.options
    let bytes = 0
    for (const log of [...this.logs()]) {
      if (this.state === 'offline') break
      try {
        bytes += log.maintain(clock.wallMs(), highWatermarkOf(log.topicId, log.partition) ?? 0)
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        logger.error({ log: log.directory, error }, 'retention failed')
      }
    }
    return bytes
  }

  /** Kafka's text checkpoints: [path, rows]. */
  private checkpointRows(): [string, OffsetRow[]][] {
    const { highWatermarkOf } = this.options
    const recoveryPoints: OffsetRow[] = []
    const highWatermarks: OffsetRow[] = []
    const logStarts: OffsetRow[] = []
    for (const { topic, topicId, partition, directory, durableEndOffset, logStartOffset } of this.logs()) {
      recoveryPoints.push({ topic, partition, offset: durableEndOffset })
      const highWatermark = highWatermarkOf(topicId, partition) ?? this.highWatermarks.get(directory)
      if (highWatermark !== undefined) highWatermarks.push({ topic, partition, offset: highWatermark })
      if (logStartOffset > 0) logStarts.push({ topic, partition, offset: logStartOffset })
    }
    return [
      [RECOVERY_POINT_CHECKPOINT, recoveryPoints],
      [HIGH_WATERMARK_CHECKPOINT, highWatermarks],
      [LOG_START_CHECKPOINT, logStarts],
    ]
  }

  /** Writes the checkpoints without holding up the loop. One round at a time. */
  private checkpoint(): void {
    if (this.isCheckpointing) return
    const { disk } = this.options
    const rounds: { path: string; file: DiskFile }[] = []
    try {
      for (const [path, rows] of this.checkpointRows()) {
        rounds.push({ path, file: writeWhole(disk, `${path}.tmp`, encodeOffsetCheckpoint(rows)) })
      }
    } catch (error) {
      for (const { file } of rounds) file.close()
      throw error
    }
    this.isCheckpointing = true
    disk.sync(
      rounds.map(({ file }) => file),
      (error) => {
        this.isCheckpointing = false
        for (const { file } of rounds) file.close()
        if (error !== null) this.flusher.fail(error)
        else if (this.state === 'open') for (const { path } of rounds) disk.rename(`${path}.tmp`, path)
      },
    )
  }

  /** A clean stop: syncs all, writes checkpoints and the mark of a clean shutdown. */
  close(done: (error: Error | null) => void): void {
    const { clock, disk } = this.options
    const wasOpen = this.state === 'open'
    this.state = this.state === 'offline' ? 'offline' : 'closing'
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
    const end = (error: Error | null): void => {
      for (const log of [...this.logs()]) log.close()
      this.logsByKey.clear()
      this.handles.closeAll()
      this.points.close()
      if (this.state !== 'offline') this.state = 'closed'
      done(error)
    }
    // A stop before all was loaded leaves no mark (KAFKA-15375).
    if (!wasOpen) {
      clock.after(0, () => end(null))
      return
    }
    this.flusher.stopWaiting()
    let waiting = 1
    let failure: Error | null = null
    const one = (error: Error | null): void => {
      failure ??= error
      if (--waiting > 0) return
      try {
        if (failure === null) {
          for (const [path, rows] of this.checkpointRows()) writeOffsetCheckpoint(disk, path, rows)
          this.points.syncNow()
          const mark = writeWhole(disk, CLEAN_SHUTDOWN, Buffer.from('{"version":0}'))
          disk.syncNow([mark, { directory: '' }])
          mark.close()
        }
        end(failure)
      } catch (error) {
        end(error as Error)
      }
    }
    try {
      for (const log of this.logs()) {
        log.flushIndexes()
        waiting++
        log.sync(one)
      }
    } catch (error) {
      failure = error as Error
    }
    clock.after(0, () => one(null))
  }

  private onDamaged(log: PartitionLog, reason: string): void {
    if (this.damaged.has(log) || log.isClosed) return
    this.damaged.set(log, reason)
    this.options.clock.endOfTurn(() => {
      this.damaged.delete(log)
      if (log.isClosed || this.get(log.topicId, log.partition) !== log || this.isOffline) return
      log.fail(new Error(reason))
      this.logsByKey.delete(keyOf(log.topicId, log.partition))
      try {
        this.options.onQuarantined(
          this.setAside(log.directory, log.topic, log.topicId, log.partition, reason),
        )
      } catch (error) {
        this.flusher.fail(error as Error)
      }
    })
  }

  private setAside(
    directory: string,
    topic: string,
    topicId: Uuid | undefined,
    partition: number,
    reason: string,
  ): QuarantinedLog {
    const { disk, logger } = this.options
    const aside = this.freeName(directory, 'quarantined')
    this.handles.closeUnder(directory)
    disk.rename(directory, aside)
    disk.syncNow([{ directory: '' }])
    if (topicId !== undefined) this.points.remove(topicId, partition)
    const quarantined = { topic, topicId, partition, reason, directory: aside }
    this.setAsideLogs.push(quarantined)
    logger.error(
      { log: directory, reason, movedTo: aside },
      'the log is damaged: quarantined, to be fetched anew',
    )
    return quarantined
  }

  private freeName(directory: string, why: 'delete' | 'quarantined'): string {
    for (;;) {
      const name = asideDirectory(directory, String(this.asideCount++), why)
      if (!this.options.disk.exists(name)) return name
    }
  }

  private goOffline(error: Error): void {
    if (this.state === 'offline') return
    this.state = 'offline'
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
    this.options.logger.error({ error }, 'the data directory is offline')
    this.options.clock.endOfTurn(() => {
      for (const log of [...this.logs()]) log.fail(error)
      this.options.onOffline(error)
    })
  }

  private failOn(error: unknown): void {
    if (!(error instanceof DiskError)) return
    if (error.code === 'EIO') this.flusher.fail(error)
    if (error.code === 'ENOSPC') this.space.noteFull()
  }

  private checkOnline(): void {
    if (this.state !== 'offline') return
    throw new DiskError('EIO', '', 'the data directory is offline')
  }

  private after(delayMs: number, input: () => void): void {
    const timer = this.options.clock.after(delayMs, () => {
      this.timers.delete(timer)
      try {
        input()
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        this.failOn(error)
        this.options.logger.error({ error }, 'work on the data directory failed')
      }
    })
    this.timers.add(timer)
  }

  private every(intervalMs: number, input: () => void): void {
    this.after(intervalMs, () => {
      if (this.state !== 'open') return
      this.every(intervalMs, input)
      input()
    })
  }

  private startTimers(): void {
    const { config } = this.options
    this.every(config.retentionCheckIntervalMs, () => this.maintain())
    this.every(config.checkpointIntervalMs, () => this.checkpoint())
    this.every(SPACE_CHECK_MS, () => this.space.check())
    this.every(POINT_SYNC_MS, () => this.syncPoints())
    this.every(SCRUB_INTERVAL_MS, () => this.scrub())
  }

  private syncPoints(): void {
    const { version } = this.points
    if (version === this.points.syncedVersion) return
    this.options.disk.sync([this.points.syncTarget()], (error) => {
      if (error !== null) this.flusher.fail(error)
      else this.points.syncedVersion = Math.max(this.points.syncedVersion, version)
    })
  }

  /** Reads every log through in the background, once from each start on, so that rot is found before it is needed. */
  private scrub(): void {
    if (this.scrubbed.queue.length === 0) {
      if (this.scrubbed.cursor < 0) return
      this.scrubbed = { queue: [...this.logs()], cursor: 0 }
    }
    const log = this.scrubbed.queue[0]
    const { cursor } = this.scrubbed
    // Should it throw, it has reported the damage, and the next log is due.
    this.scrubbed.cursor = 0
    this.scrubbed.queue.shift()
    const next = log === undefined || log.isClosed ? null : log.scrub(cursor, SCRUB_BYTES)
    if (log !== undefined && next !== null) {
      this.scrubbed.cursor = next
      this.scrubbed.queue.unshift(log)
    }
    if (this.scrubbed.queue.length === 0) this.scrubbed.cursor = -1
  }
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}:${partition}`
}

/** null: the file is missing or damaged. */
function readTopicId(disk: Disk, directory: string): Uuid | null {
  const path = `${directory}/${PARTITION_METADATA}`
  if (!disk.exists(path)) return null
  const text = Buffer.from(readWhole(disk, path)).toString('latin1')
  return /^version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\n$/.exec(text)?.[1] ?? null
}
