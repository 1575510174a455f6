import type { Offset, Uuid } from '../lib/ids.js'
import { PARTITION_METADATA } from './file-names.js'
import type { LogContext } from './log-context.js'
import type { LogFaults } from './log-faults.js'
import type { LogFlush } from './log-flush.js'
import { createFiles, type LogOpening, removeFiles } from './log-opening.js'
import { LogSegments } from './log-segments.js'
import { Segment } from './segment.js'

/** The files of one log, made or checked at their first use. */
export class LogFiles {
  private opened: LogSegments | null = null

  constructor(
    private readonly context: LogContext,
    private readonly log: {
      readonly topicId: Uuid
      readonly directory: string
      readonly logStartOffset: Offset
    },
    private readonly faults: LogFaults,
    private readonly flush: LogFlush,
    /** How to get at them; null once that was done. */
    private opening: LogOpening | null,
  ) {}

  /** False: there is none yet. */
  get areStored(): boolean {
    return this.opening?.type !== 'new'
  }

  get sizeBytes(): number {
    return this.opened?.totalBytes ?? this.opening!.sizeBytes
  }

  /** What is open already; null: nothing. */
  get openSegments(): LogSegments | null {
    return this.opened
  }

  /** @throws DiskError as `open` */
  get segments(): LogSegments {
    this.open()
    return this.opened!
  }

  /** Gets at the files where that was not done yet, or not wholly. @throws DiskError; damage is reported as well */
  open(): void {
    const { opening, faults } = this
    if (opening === null) {
      this.opened?.finishRestart()
      return
    }
    faults.checkOpen()
    if (opening.type === 'new') this.create()
    else faults.detectDamage(() => this.onOpened(opening.load(), opening.isTrusted))
  }

  private create(): void {
    const { context } = this
    const { topicId, directory, logStartOffset } = this.log
    this.faults.guard(
      () => createFiles(context, directory, topicId, logStartOffset),
      () => removeFiles(context, directory),
    )
    this.onOpened([new Segment(context.handles, directory, logStartOffset)], false)
    this.flush.storePoint()
  }

  private onOpened(segments: Segment[], isTrusted: boolean): void {
    this.opened = new LogSegments(this.context, this.log.directory, this.faults, this.flush, segments)
    this.opening = null
    if (!isTrusted) this.distrustDisk()
  }

  /** What was read may stand in the page cache alone, nor is it known what the process before had synced. */
  private distrustDisk(): void {
    const { flush } = this
    const { all, active } = this.segments
    for (const segment of all) {
      if (segment === active || segment.baseOffset >= flush.durableEnd) flush.noteFile(segment.path('.log'))
      // Made anew by the recovery. Those of the active one are written when it ends.
      if (segment !== active) this.segments.flushIndexesOf(segment)
    }
    const before = all[all.findIndex((segment) => segment.baseOffset >= flush.durableEnd) - 1]
    if (before !== undefined) flush.noteFile(before.path('.log'))
    flush.noteEverything()
    flush.noteFile(`${this.log.directory}/${PARTITION_METADATA}`)
  }
}
