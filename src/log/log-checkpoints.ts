import type { Offset, Uuid } from '../lib/ids.js'
import type { Clock } from '../ports/clock.js'
import type { Disk, DiskFile } from '../ports/disk.js'
import {
  encodeOffsetCheckpoint,
  HIGH_WATERMARK_CHECKPOINT,
  LOG_START_CHECKPOINT,
  type OffsetRow,
  RECOVERY_POINT_CHECKPOINT,
  readOffsetCheckpoint,
  writeOffsetCheckpoint,
  writeWhole,
} from './checkpoint-files.js'
import { inTurns } from './in-turns.js'
import type { PartitionLog } from './partition-log.js'

/** Kafka's text checkpoints of one data directory: what they said at the start, and how they are written. */
export class LogCheckpoints {
  private highWatermarks = new Map<string, OffsetRow>()
  private recoveryPoints = new Map<string, OffsetRow>()
  private logStarts = new Map<string, OffsetRow>()
  private isWriting = false
  /** What this process wrote last, by path: an idle node writes nothing. */
  private readonly written = new Map<string, Uint8Array>()

  constructor(
    private readonly disk: Disk,
    private readonly clock: Clock,
    private readonly logs: () => Iterable<PartitionLog>,
    private readonly highWatermarkOf: (topicId: Uuid, partition: number) => Offset | undefined,
  ) {}

  read(): void {
    this.highWatermarks = readOffsetCheckpoint(this.disk, HIGH_WATERMARK_CHECKPOINT)
    this.recoveryPoints = readOffsetCheckpoint(this.disk, RECOVERY_POINT_CHECKPOINT)
    this.logStarts = readOffsetCheckpoint(this.disk, LOG_START_CHECKPOINT)
  }

  /**
   * As of the start; 0 where nothing was said of this very topic. One of the same name may have been deleted since the
   * checkpoint, and what was committed of it says nothing of this one.
   */
  highWatermark({ directory, topicId }: Pick<PartitionLog, 'directory' | 'topicId'>): Offset {
    const row = this.highWatermarks.get(directory)
    return row?.topicId === topicId ? row.offset : 0
  }

  /** As of the start, like `logStart`, by directory: 0 where nothing was said. */
  recoveryPoint(directory: string): Offset {
    return this.recoveryPoints.get(directory)?.offset ?? 0
  }

  logStart(directory: string): Offset {
    return this.logStarts.get(directory)?.offset ?? 0
  }

  private newRows(): Rows {
    return { recoveryPoints: [], highWatermarks: [], logStarts: [] }
  }

  /** What is 0 need not be said: that is what a missing row means. */
  private addRow(rows: Rows, log: PartitionLog): void {
    const { topic, topicId, partition, durableEndOffset, logStartOffset } = log
    const highWatermark = this.highWatermarkOf(topicId, partition) ?? this.highWatermark(log)
    if (durableEndOffset > 0) rows.recoveryPoints.push({ topic, partition, offset: durableEndOffset })
    if (highWatermark > 0) rows.highWatermarks.push({ topic, partition, offset: highWatermark, topicId })
    if (logStartOffset > 0) rows.logStarts.push({ topic, partition, offset: logStartOffset })
  }

  /**
   * Writes what changed without holding up the loop, one round at a time, as long as `isWanted`. `notWritten` is told
   * of a write that failed, `failed` of a sync.
   */
  write(isWanted: () => boolean, notWritten: (error: unknown) => void, failed: (error: Error) => void): void {
    if (this.isWriting) return
    this.isWriting = true
    const rows = this.newRows()
    inTurns(
      this.clock,
      [...this.logs()],
      (log) => this.addRow(rows, log),
      () => {
        try {
          if (isWanted()) this.replace(rows, isWanted, notWritten, failed)
          else this.isWriting = false
        } catch (error) {
          this.isWriting = false
          notWritten(error)
        }
      },
    )
  }

  /** @throws DiskError */
  private replace(
    rows: Rows,
    isWanted: () => boolean,
    notWritten: (error: unknown) => void,
    failed: (error: Error) => void,
  ): void {
    const { disk } = this
    const rounds: { path: string; file: DiskFile; bytes: Uint8Array }[] = []
    try {
      for (const [path, list] of byPath(rows)) {
        const bytes = encodeOffsetCheckpoint(list)
        const written = this.written.get(path)
        if (written !== undefined && Buffer.compare(written, bytes) === 0) continue
        rounds.push({ path, bytes, file: writeWhole(disk, `${path}.tmp`, bytes) })
      }
    } catch (error) {
      for (const { file } of rounds) file.close()
      throw error
    }
    disk.sync(
      rounds.map(({ file }) => file),
      (error) => {
        this.isWriting = false
        for (const { file } of rounds) file.close()
        if (error !== null) {
          failed(error)
          return
        }
        if (!isWanted()) return
        try {
          for (const { path, bytes } of rounds) {
            disk.rename(`${path}.tmp`, path)
            this.written.set(path, bytes)
          }
        } catch (renameError) {
          notWritten(renameError)
        }
      },
    )
  }

  /** Waits for the disk: before the mark of a clean stop. @throws DiskError */
  writeNow(): void {
    const rows = this.newRows()
    for (const log of this.logs()) this.addRow(rows, log)
    for (const [path, list] of byPath(rows)) writeOffsetCheckpoint(this.disk, path, list)
  }
}

interface Rows {
  readonly recoveryPoints: OffsetRow[]
  readonly highWatermarks: OffsetRow[]
  readonly logStarts: OffsetRow[]
}

function byPath(rows: Rows): [string, OffsetRow[]][] {
  return [
    [RECOVERY_POINT_CHECKPOINT, rows.recoveryPoints],
    [HIGH_WATERMARK_CHECKPOINT, rows.highWatermarks],
    [LOG_START_CHECKPOINT, rows.logStarts],
  ]
}
