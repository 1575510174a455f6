import type { Offset, Uuid } from '../lib/ids.js'
import { DiskError } from '../ports/disk.js'
import type { CleanLog } from './clean-shutdown.js'
import { isAside, PARTITION_METADATA, parsePartitionDirectory } from './file-names.js'
import type { LogCheckpoints } from './log-checkpoints.js'
import type { LogContext } from './log-context.js'
import type { LogManagerOptions } from './log-manager-options.js'
import { cleanLog, opened, readTopicId, recoveredLog, rewriteTopicId } from './log-opening.js'
import { PartitionLog } from './partition-log.js'
import { recoverLog } from './recovery.js'
import { LogDamage } from './segment.js'
import type { LogConfig } from './types.js'

/** Loading goes on in a turn for so long, but not beyond so many logs. */
const LOAD_TURN_MS = 10
const LOADS_IN_TURN = 100

/** What the loader hands what it finds to. */
export interface LoadTarget {
  /** Every directory that was found, whatever it holds. */
  listed(directories: readonly string[]): void
  add(log: PartitionLog): void
  /** The directory of a log that an earlier run set aside. */
  restore(directory: string): void
  /** Why an earlier run was about to set this log aside; null: it was not. */
  damageOf(directory: string): { topicId: Uuid | undefined; reason: string } | null
  /** All were found: this one held records, and may be missing. */
  onHeld(topicId: Uuid, partition: number): void
  /** True where a log of this id was found, whole or damaged. */
  isFound(topicId: Uuid, partition: number): boolean
  setAside(
    directory: string,
    topic: string,
    topicId: Uuid | undefined,
    partition: number,
    reason: string,
  ): void
}

/** Finds and recovers the logs of a data directory at the start, some in each turn. */
export class LogLoader {
  /** Logs of a clean stop that were checked. */
  private checked = 0
  private readonly unidentified: { name: string; topic: string; partition: number }[] = []

  constructor(
    private readonly options: Pick<LogManagerOptions, 'disk' | 'clock' | 'logger' | 'config'>,
    private readonly context: LogContext,
    private readonly checkpoints: LogCheckpoints,
    private readonly target: LoadTarget,
  ) {}

  /** `clean`: what the mark of a clean stop says. `done` is called once, in a later turn. */
  run(
    clean: readonly CleanLog[] | null,
    configOf: (topic: string) => LogConfig,
    done: (error: Error | null) => void,
  ): void {
    const { clock } = this.options
    const closed = new Map((clean ?? []).map((log) => [log.directory, log]))
    let names: string[] | null = null
    let at = 0
    const next = (): void => {
      try {
        names ??= this.list()
        const begunMs = clock.monotonicMs()
        for (let i = 0; i < LOADS_IN_TURN && clock.monotonicMs() - begunMs < LOAD_TURN_MS; i++) {
          const name = names[at++]
          if (name === undefined) {
            this.settleMissing(this.settleUnidentified())
            break
          }
          const known = closed.get(name)
          if (known === undefined) this.load(name, clean !== null, configOf)
          else this.take(known, configOf)
        }
      } catch (error) {
        done(error as Error)
        return
      }
      if (at > names.length) done(null)
      else clock.after(0, next)
    }
    next()
  }

  private list(): string[] {
    const names = this.options.disk
      .list('')
      .filter((name) => name.endsWith('/'))
      .map((name) => name.slice(0, -1))
    this.target.listed(names)
    return names
  }

  /** A log that was closed by a clean stop. */
  private take(clean: CleanLog, configOf: (topic: string) => LogConfig): void {
    const { context } = this
    const { directory, topicId } = clean
    const { topic, partition } = parsePartitionDirectory(directory)!
    const config = configOf(topic)
    let found = cleanLog(context, clean, config.indexIntervalBytes)
    // All of a few are checked before anything is served; of many, each one before its own first use.
    const isChecked = this.checked < this.options.config.checkedAtCleanStart
    if (isChecked) {
      this.checked++
      try {
        found = opened(found)
      } catch (error) {
        this.target.setAside(directory, topic, topicId, partition, damageIn(error))
        return
      }
    }
    const log = new PartitionLog(context, topic, topicId, partition, directory, config, found)
    if (isChecked) log.open()
    this.target.add(log)
  }

  private load(name: string, isCleanStart: boolean, configOf: (topic: string) => LogConfig): void {
    const { disk, logger } = this.options
    if (isAside(name, 'delete')) {
      disk.removeTree(name)
      return
    }
    if (isAside(name, 'quarantined')) {
      this.target.restore(name)
      return
    }
    const parsed = parsePartitionDirectory(name)
    if (parsed === null) return
    const { topic, partition } = parsed
    const damage = this.target.damageOf(name)
    if (damage !== null) {
      this.target.setAside(name, topic, damage.topicId, partition, damage.reason)
      return
    }
    const topicId = readTopicId(this.context, name)
    if (topicId === null) {
      this.unidentified.push({ name, topic, partition })
      return
    }
    const stored = this.context.points.atOpen(topicId, partition)
    const logStartOffset = stored?.logStartOffset ?? this.checkpoints.logStart(name)
    const recoveryPoint = Math.max(
      logStartOffset,
      stored?.recoveryPoint ?? this.checkpoints.recoveryPoint(name),
    )
    const config = configOf(topic)
    try {
      const recovered = recoverLog({
        disk,
        handles: this.context.handles,
        directory: name,
        recoveryPoint,
        logStartOffset,
        indexIntervalBytes: config.indexIntervalBytes,
        onStartMoved: (offset) => this.storeStart(topicId, partition, recoveryPoint, offset),
        isCleanStart,
      })
      if (recovered.truncatedBytes > 0) {
        logger.warn(
          { log: name, bytes: recovered.truncatedBytes, logEndOffset: recovered.logEndOffset, recoveryPoint },
          'cut a torn end that was never synced',
        )
      }
      // Nothing of it was ever known to be durable.
      if (recoveryPoint <= logStartOffset) rewriteTopicId(this.context, name)
      const found = recoveredLog(recovered, stored?.isSettled === true)
      const log = new PartitionLog(this.context, topic, topicId, partition, name, config, found)
      log.open()
      this.target.add(log)
    } catch (error) {
      this.target.setAside(name, topic, topicId, partition, damageIn(error))
    }
  }

  /** Durable at once. What fails is the file of all logs: that is no damage of this one, and ends the start. */
  private storeStart(topicId: Uuid, partition: number, recoveryPoint: Offset, logStartOffset: Offset): void {
    const { points } = this.context
    const point = {
      recoveryPoint: Math.max(recoveryPoint, logStartOffset),
      logStartOffset,
      isSettled: false,
    }
    try {
      points.set(topicId, partition, point)
      points.syncNow()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      throw new DiskError('EOTHER', error.path, error.message)
    }
  }

  /**
   * Directories that do not tell their topic id: one whose making the power cut broke off goes, any other is damage.
   * Returns the partition numbers of these.
   */
  private settleUnidentified(): Set<number> {
    const { disk } = this.options
    const partitions = new Set<number>()
    for (const { name, topic, partition } of this.unidentified.splice(0)) {
      // The file is synced with the first group commit: before that, nothing of the log was reported durable.
      const isNew =
        !this.context.points.hasUnclaimed(partition, (topicId) => this.target.isFound(topicId, partition)) &&
        !(this.checkpoints.recoveryPoint(name) > 0)
      if (isNew) {
        disk.removeTree(name)
        continue
      }
      this.target.setAside(name, topic, undefined, partition, `${PARTITION_METADATA} is missing or damaged`)
      partitions.add(partition)
    }
    return partitions
  }

  /** `unidentified`: of these one may be the log. */
  private settleMissing(unidentified: ReadonlySet<number>): void {
    for (const { topicId, partition } of this.context.points.holders()) {
      if (!unidentified.has(partition)) this.target.onHeld(topicId, partition)
    }
  }
}

/**
 * Why this one log is to be set aside: it is damaged, or sectors of it cannot be read (where more than those fail,
 * setting it aside fails as well). @throws any other error, as it is
 */
function damageIn(error: unknown): string {
  if (error instanceof LogDamage || (error instanceof DiskError && error.code === 'EIO')) return error.message
  throw error
}
