import { assert } from '../lib/assert.js'
import type { BrokerEpoch, Offset, Uuid } from '../lib/ids.js'
import type { Timer } from '../ports/clock.js'
import { DiskError } from '../ports/disk.js'
import { AsideLogs } from './aside-logs.js'
import { type CleanShutdown, takeCleanShutdown, writeCleanShutdown } from './clean-shutdown.js'
import { DiskSpace } from './disk-space.js'
import { partitionDirectory } from './file-names.js'
import { FlushScheduler } from './flush-scheduler.js'
import { HandleCache } from './handle-cache.js'
import { inTurns } from './in-turns.js'
import { LogCheckpoints } from './log-checkpoints.js'
import type { LogContext } from './log-context.js'
import { LogLoader } from './log-loader.js'
import {
  DEFAULT_LOG_MANAGER_CONFIG,
  type LogManagerConfig,
  type LogManagerOptions,
  type LogSpec,
  type OpenResult,
  type QuarantinedLog,
} from './log-manager-options.js'
import { newLog } from './log-opening.js'
import { LogScrubber } from './log-scrubber.js'
import { PartitionLog } from './partition-log.js'
import { RecoveryPoints } from './recovery-points.js'
import { Removals } from './removals.js'
import { TailCache } from './tail-cache.js'
import type { LogConfig } from './types.js'

export type { LogManagerConfig, LogManagerOptions, LogSpec, OpenResult, QuarantinedLog }
export { DEFAULT_LOG_MANAGER_CONFIG }

/** Recovery points are synced so often, where nothing else did it. */
const POINT_SYNC_MS = 1_000
const SPACE_CHECK_MS = 1_000
const SCRUB_INTERVAL_MS = 250

/** All partition logs of one data directory. */
export class LogManager {
  private readonly context: LogContext
  private readonly points: RecoveryPoints
  private readonly removals: Removals
  private readonly flusher: FlushScheduler
  private readonly handles: HandleCache
  private readonly space: DiskSpace
  private readonly checkpoints: LogCheckpoints
  private readonly scrubber: LogScrubber
  private readonly loader: LogLoader
  private readonly logsByKey = new Map<string, PartitionLog>()
  private readonly byDirectory = new Map<string, PartitionLog>()
  /** Directories that may stand on the disk without an open log: asking it for each of thousands takes long. */
  private readonly formerDirectories = new Set<string>()
  private readonly aside: AsideLogs
  private readonly damaged = new Map<PartitionLog, string>()
  private readonly timers = new Set<Timer>()
  private cleanEpoch: BrokerEpoch | undefined
  private state: 'new' | 'opening' | 'open' | 'closing' | 'closed' | 'offline' = 'new'

  constructor(private readonly options: LogManagerOptions) {
    const { disk, clock, config } = options
    this.points = new RecoveryPoints(disk)
    this.removals = new Removals(disk, clock, (error) => this.onWorkFailed(error))
    this.aside = new AsideLogs(disk, options.logger)
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
      removals: this.removals,
      onDamaged: (log, reason) => this.onDamaged(log, reason),
    }
    const logs = (): Iterable<PartitionLog> => this.logs()
    this.scrubber = new LogScrubber(clock, logs)
    this.checkpoints = new LogCheckpoints(disk, clock, logs, options.highWatermarkOf)
    this.loader = new LogLoader(options, this.context, this.checkpoints, {
      listed: (directories) => {
        for (const directory of directories) this.formerDirectories.add(directory)
      },
      add: (log) => this.add(log),
      isFound: (topicId, partition) =>
        this.get(topicId, partition) !== undefined || this.aside.isQuarantined(topicId, partition),
      setAside: (...damaged) => this.setAside(...damaged),
      restore: (directory) => this.aside.restore(directory),
      onHeld: (topicId, partition) => this.missIfGone(topicId, partition),
      damageOf: (directory) => this.aside.markOf(directory),
    })
  }

  /** KIP-966: the broker epoch of the clean stop before this start; undefined: there was none. */
  get previousBrokerEpoch(): BrokerEpoch | undefined {
    return this.cleanEpoch
  }

  get quarantined(): readonly QuarantinedLog[] {
    return this.aside.quarantined
  }

  /** The damaged log that lies in this directory has left every ISR and ELR: its replica may begin anew. */
  settleQuarantine(directory: string): void {
    try {
      this.aside.settle(directory)
    } catch (error) {
      this.flusher.fail(error as Error)
    }
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
    let clean: CleanShutdown | null = null
    const finish = (error: Error | null): void => {
      if (error === null) {
        this.state = 'open'
        this.startTimers()
      }
      done(error, {
        cleanStart: clean !== null,
        logs: [...this.logs()],
        quarantined: [...this.aside.quarantined],
      })
    }
    clock.after(0, () => {
      try {
        clean = takeCleanShutdown(disk)
        this.cleanEpoch = clean?.brokerEpoch
        this.points.open()
        this.checkpoints.read()
      } catch (error) {
        finish(error as Error)
        return
      }
      this.loader.run(clean?.logs ?? null, configOf, (error) => {
        if (error === null) this.syncRecovered(finish)
        else finish(error)
      })
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

  get(topicId: Uuid, partition: number): PartitionLog | undefined {
    return this.logsByKey.get(keyOf(topicId, partition))
  }

  /** A log costs the disk nothing before its first record. @throws DiskError where another topic of that name is still there: `delete` the stray log first. */
  getOrCreate(spec: LogSpec): PartitionLog {
    const { topic, topicId, partition, config } = spec
    const existing = this.get(topicId, partition)
    if (existing !== undefined) return existing
    this.checkOnline()
    const directory = partitionDirectory(topic, partition)
    if (this.byDirectory.has(directory) || this.isLeftOver(directory)) {
      throw new DiskError(
        'EOTHER',
        directory,
        `${directory} exists and belongs to another topic id: delete that log first`,
      )
    }
    const log = new PartitionLog(this.context, topic, topicId, partition, directory, config, newLog())
    this.add(log)
    return log
  }

  private isLeftOver(directory: string): boolean {
    return this.formerDirectories.has(directory) && this.options.disk.exists(directory)
  }

  /** The log that stands where one of this topic would be, whatever topic it belongs to. */
  namesake(topic: string, partition: number): PartitionLog | undefined {
    return this.byDirectory.get(partitionDirectory(topic, partition))
  }

  private add(log: PartitionLog): void {
    this.logsByKey.set(keyOf(log.topicId, log.partition), log)
    this.byDirectory.set(log.directory, log)
  }

  /** At the start: an empty replica must not take the place of one that held records and is not there any more. */
  private missIfGone(topicId: Uuid, partition: number): void {
    if (this.get(topicId, partition) !== undefined) return
    if (!this.aside.isQuarantined(topicId, partition)) this.aside.quarantineMissing(topicId, partition)
    this.points.remove(topicId, partition)
    this.points.syncNow()
  }

  private forget(log: PartitionLog): void {
    this.logsByKey.delete(keyOf(log.topicId, log.partition))
    this.byDirectory.delete(log.directory)
    if (log.isStored) this.formerDirectories.add(log.directory)
  }

  /** Closes the log and renames its directory to `-delete`; its bytes go after `file.delete.delay.ms`. */
  delete(topicId: Uuid, partition: number): void {
    const log = this.get(topicId, partition)
    if (log === undefined) return
    this.checkOnline()
    const { disk } = this.options
    log.close()
    this.forget(log)
    if (!log.isStored) return
    const aside = this.aside.freeName(log.directory, 'delete')
    try {
      this.points.remove(topicId, partition)
      disk.rename(log.directory, aside)
      this.points.noteDirectory()
      this.formerDirectories.delete(log.directory)
    } catch (error) {
      this.failOn(error)
      throw error
    }
    // Durable first, the slot too: a log that has one, and no directory, is missed at the next start.
    this.points.synced(
      () => {
        if (this.state === 'open') this.after(log.fileDeleteDelayMs, () => this.removals.addTree(aside))
      },
      (error) => this.flusher.fail(error),
    )
  }

  /** Every open log: those that metadata does not know are strays for the caller to `delete`. */
  logs(): IterableIterator<PartitionLog> {
    return this.logsByKey.values()
  }

  /**
   * The high watermark as it was checkpointed before the start; 0 where unknown. Never above the log's end, nor above
   * what was durable when the checkpoint was read: a suffix behind that may be another than the one that was committed.
   */
  checkpointedHighWatermark(topicId: Uuid, partition: number): Offset {
    const log = this.get(topicId, partition)
    if (log === undefined) return 0
    const stored = this.checkpoints.highWatermark(log)
    return Math.max(log.logStartOffset, Math.min(stored, log.logEndOffset, log.foundDurableEnd))
  }

  /** Runs retention on every log, some in each turn; happens by itself at each interval. `done`: the deleted bytes. */
  maintain(done: (bytes: number) => void = () => {}): void {
    const { clock } = this.options
    let bytes = 0
    const visit = (log: PartitionLog): void => {
      if (this.state === 'open') bytes += this.retain(log)
    }
    inTurns(clock, [...this.logs()], visit, () => done(bytes))
  }

  private retain(log: PartitionLog): number {
    const { clock, highWatermarkOf, logger } = this.options
    try {
      return log.maintain(clock.wallMs(), highWatermarkOf(log.topicId, log.partition) ?? 0)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      logger.error({ log: log.directory, error }, 'retention failed')
      return 0
    }
  }

  /** What cannot be read costs the one log that it belongs to, which has reported that itself; the next one is due. */
  private scrub(): void {
    try {
      this.scrubber.step()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.options.logger.error({ error }, 'a log could not be read through')
    }
  }

  /** A clean stop: syncs all, writes checkpoints and the mark of a clean shutdown. */
  close(done: (error: Error | null) => void): void {
    const { clock, disk } = this.options
    const wasOpen = this.state === 'open'
    this.state = this.state === 'offline' ? 'offline' : 'closing'
    this.stopWork()
    const end = (error: Error | null): void => {
      for (const log of [...this.logs()]) log.close()
      this.logsByKey.clear()
      this.byDirectory.clear()
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
          this.checkpoints.writeNow()
          this.points.syncNow()
          writeCleanShutdown(disk, this.options.brokerEpoch?.() ?? 0, this.logs())
        }
        end(failure)
      } catch (error) {
        end(error as Error)
      }
    }
    try {
      for (const log of this.logs()) {
        log.flushIndexes()
        if (log.isSynced) continue
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
      this.forget(log)
      try {
        this.options.onQuarantined(
          this.setAside(log.directory, log.topic, log.topicId, log.partition, reason),
        )
      } catch (error) {
        this.flusher.fail(error as Error)
      }
    })
  }

  private stopWork(): void {
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
    this.removals.close()
  }

  private setAside(
    directory: string,
    topic: string,
    topicId: Uuid | undefined,
    partition: number,
    reason: string,
  ): QuarantinedLog {
    this.handles.closeUnder(directory)
    const quarantined = this.aside.quarantine(directory, topic, topicId, partition, reason)
    this.formerDirectories.delete(directory)
    if (topicId !== undefined) this.points.remove(topicId, partition)
    return quarantined
  }

  private goOffline(error: Error): void {
    if (this.state === 'offline') return
    this.state = 'offline'
    this.stopWork()
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
        this.onWorkFailed(error)
      }
    })
    this.timers.add(timer)
  }

  private onWorkFailed(error: unknown): void {
    if (!(error instanceof DiskError)) throw error
    this.failOn(error)
    this.options.logger.error({ error }, 'work on the data directory failed')
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
    this.every(config.checkpointIntervalMs, () =>
      this.checkpoints.write(
        () => this.state === 'open',
        (error) => this.onWorkFailed(error),
        (error) => this.flusher.fail(error),
      ),
    )
    this.every(SPACE_CHECK_MS, () => this.space.check())
    this.every(POINT_SYNC_MS, () => this.points.syncSoon((error) => this.flusher.fail(error)))
    this.every(SCRUB_INTERVAL_MS, () => this.scrub())
  }
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}:${partition}`
}
