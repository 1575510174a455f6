import type { Clock } from '../ports/clock.js'
import type { Disk } from '../ports/disk.js'
import type { DiskSpace } from './disk-space.js'
import type { FlushScheduler } from './flush-scheduler.js'
import type { HandleCache } from './handle-cache.js'
import type { PartitionLog } from './partition-log.js'
import type { RecoveryPoints } from './recovery-points.js'
import type { Removals } from './removals.js'
import type { TailCache } from './tail-cache.js'

/** What all logs of a directory share. */
export interface LogContext {
  readonly disk: Disk
  readonly clock: Clock
  readonly handles: HandleCache
  readonly tail: TailCache
  readonly flusher: FlushScheduler
  readonly points: RecoveryPoints
  readonly removals: Removals
  readonly space: DiskSpace
  /** The log is damaged: it will be set aside in an input of its own. */
  onDamaged(log: PartitionLog, reason: string): void
}
