import type { Uuid } from '../lib/ids.js'
import { readWhole } from './checkpoint-files.js'
import { isAside, PARTITION_METADATA, parsePartitionDirectory } from './file-names.js'
import type { LogCheckpoints } from './log-checkpoints.js'
import type { LogContext } from './log-context.js'
import type { LogManagerOptions } from './log-manager-options.js'
import { PartitionLog } from './partition-log.js'
import { recoverLog } from './recovery.js'
import { LogDamage } from './segment.js'
import type { LogConfig } from './types.js'

/** Loading goes on in a turn for so long, but not beyond so many logs. */
const LOAD_TURN_MS = 10
const LOADS_IN_TURN = 100

/** What the loader hands what it finds to. */
export interface LoadTarget {
  add(log: PartitionLog): void
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
  private readonly unidentified: { name: string; topic: string; partition: number }[] = []

  constructor(
    private readonly options: Pick<LogManagerOptions, 'disk' | 'clock' | 'logger'>,
    private readonly context: LogContext,
    private readonly checkpoints: LogCheckpoints,
    private readonly target: LoadTarget,
  ) {}

  /** `done` is called once, in a later turn. */
  run(
    isCleanStart: boolean,
    configOf: (topic: string) => LogConfig,
    done: (error: Error | null) => void,
  ): void {
    const { clock, disk } = this.options
    let names: string[] | null = null
    let at = 0
    const next = (): void => {
      try {
        names ??= disk
          .list('')
          .filter((name) => name.endsWith('/'))
          .map((name) => name.slice(0, -1))
        const begunMs = clock.monotonicMs()
        for (let i = 0; i < LOADS_IN_TURN && clock.monotonicMs() - begunMs < LOAD_TURN_MS; i++) {
          const name = names[at++]
          if (name === undefined) {
            this.settleUnidentified()
            break
          }
          this.load(name, isCleanStart, configOf)
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

  private load(name: string, isCleanStart: boolean, configOf: (topic: string) => LogConfig): void {
    const { disk, logger } = this.options
    if (isAside(name, 'delete')) {
      disk.removeTree(name)
      return
    }
    const parsed = parsePartitionDirectory(name)
    if (parsed === null) return
    const { topic, partition } = parsed
    const topicId = this.readTopicId(name)
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
        isCleanStart,
      })
      if (recovered.truncatedBytes > 0) {
        logger.warn(
          { log: name, bytes: recovered.truncatedBytes, logEndOffset: recovered.logEndOffset, recoveryPoint },
          'cut a torn end that was never synced',
        )
      }
      this.target.add(
        new PartitionLog(this.context, topic, topicId, partition, name, config, recovered, false),
      )
    } catch (error) {
      if (!(error instanceof LogDamage)) throw error
      this.target.setAside(name, topic, topicId, partition, error.message)
    }
  }

  /** Directories that do not tell their topic id: one whose making the power cut broke off goes, any other is damage. */
  private settleUnidentified(): void {
    const { disk } = this.options
    for (const { name, topic, partition } of this.unidentified.splice(0)) {
      // The file is synced with the first group commit: before that, nothing of the log was reported durable.
      const isNew =
        !this.context.points.hasUnclaimed(partition, (topicId) => this.target.isFound(topicId, partition)) &&
        !(this.checkpoints.recoveryPoint(name) > 0)
      if (isNew) disk.removeTree(name)
      else
        this.target.setAside(name, topic, undefined, partition, `${PARTITION_METADATA} is missing or damaged`)
    }
  }

  /** null: the file is missing or damaged. */
  private readTopicId(directory: string): Uuid | null {
    const { disk } = this.options
    const path = `${directory}/${PARTITION_METADATA}`
    if (!disk.exists(path)) return null
    const text = Buffer.from(readWhole(disk, path)).toString('latin1')
    return /^version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\n$/.exec(text)?.[1] ?? null
  }
}
