import type { Offset, Uuid } from '../lib/ids.js'
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
import type { PartitionLog } from './partition-log.js'

/** Kafka's text checkpoints of one data directory: what they said at the start, and how they are written. */
export class LogCheckpoints {
  private highWatermarks = new Map<string, Offset>()
  private recoveryPoints = new Map<string, Offset>()
  private logStarts = new Map<string, Offset>()
  private isWriting = false

  constructor(
    private readonly disk: Disk,
    private readonly logs: () => Iterable<PartitionLog>,
    private readonly highWatermarkOf: (topicId: Uuid, partition: number) => Offset | undefined,
  ) {}

  read(): void {
    this.highWatermarks = readOffsetCheckpoint(this.disk, HIGH_WATERMARK_CHECKPOINT)
    this.recoveryPoints = readOffsetCheckpoint(this.disk, RECOVERY_POINT_CHECKPOINT)
    this.logStarts = readOffsetCheckpoint(this.disk, LOG_START_CHECKPOINT)
  }

  /** As of the start, by directory; 0 where nothing was said. */
  highWatermark(directory: string): Offset {
    return this.highWatermarks.get(directory) ?? 0
  }

  recoveryPoint(directory: string): Offset {
    return this.recoveryPoints.get(directory) ?? 0
  }

  logStart(directory: string): Offset {
    return this.logStarts.get(directory) ?? 0
  }

  /** [path, rows]. */
  private rows(): [string, OffsetRow[]][] {
    const recoveryPoints: OffsetRow[] = []
    const highWatermarks: OffsetRow[] = []
    const logStarts: OffsetRow[] = []
    for (const { topic, topicId, partition, directory, durableEndOffset, logStartOffset } of this.logs()) {
      recoveryPoints.push({ topic, partition, offset: durableEndOffset })
      const highWatermark = this.highWatermarkOf(topicId, partition) ?? this.highWatermarks.get(directory)
      if (highWatermark !== undefined) highWatermarks.push({ topic, partition, offset: highWatermark })
      if (logStartOffset > 0) logStarts.push({ topic, partition, offset: logStartOffset })
    }
    return [
      [RECOVERY_POINT_CHECKPOINT, recoveryPoints],
      [HIGH_WATERMARK_CHECKPOINT, highWatermarks],
      [LOG_START_CHECKPOINT, logStarts],
    ]
  }

  /**
   * Writes them without holding up the loop, one round at a time. `mayReplace` is asked when all is synced.
   * @throws DiskError
   */
  write(mayReplace: () => boolean, failed: (error: Error) => void): void {
    if (this.isWriting) return
    const { disk } = this
    const rounds: { path: string; file: DiskFile }[] = []
    try {
      for (const [path, rows] of this.rows()) {
        rounds.push({ path, file: writeWhole(disk, `${path}.tmp`, encodeOffsetCheckpoint(rows)) })
      }
    } catch (error) {
      for (const { file } of rounds) file.close()
      throw error
    }
    this.isWriting = true
    disk.sync(
      rounds.map(({ file }) => file),
      (error) => {
        this.isWriting = false
        for (const { file } of rounds) file.close()
        if (error !== null) failed(error)
        else if (mayReplace()) for (const { path } of rounds) disk.rename(`${path}.tmp`, path)
      },
    )
  }

  /** Waits for the disk: before the mark of a clean stop. @throws DiskError */
  writeNow(): void {
    for (const [path, rows] of this.rows()) writeOffsetCheckpoint(this.disk, path, rows)
  }
}
