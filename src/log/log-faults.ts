import { DiskError } from '../ports/disk.js'
import type { LogContext } from './log-context.js'
import { LogDamage } from './segment.js'

/** How one log meets errors: what takes the directory offline, what costs this log alone, what a full disk is. */
export class LogFaults {
  private failureValue: Error | null = null

  constructor(
    private readonly context: Pick<LogContext, 'flusher' | 'space'>,
    private readonly directory: string,
    private readonly onDamaged: (reason: string) => void,
  ) {}

  /** Why the log takes no more reads and writes; null while it is open. */
  get failure(): Error | null {
    return this.failureValue
  }

  close(error: Error): void {
    this.failureValue ??= error
  }

  /** @throws DiskError */
  checkOpen(): void {
    if (this.failureValue === null) return
    throw new DiskError('EIO', this.directory, this.failureValue.message)
  }

  /** A failed write: `undo` takes back what it left; anything but a full disk takes the directory offline. */
  guard(write: () => void, undo: () => void = nothing): void {
    try {
      write()
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      if (error.code === 'EIO') {
        this.context.flusher.fail(error)
        throw error
      }
      if (error.code === 'ENOSPC') this.context.space.noteFull()
      try {
        undo()
      } catch (undoError) {
        this.context.flusher.fail(undoError as Error)
      }
      throw error
    }
  }

  /** Reports damage that `action` meets. @throws DiskError */
  detectDamage<T>(action: () => T): T {
    try {
      return action()
    } catch (error) {
      // A sector that cannot be read costs this log alone, unless setting it aside fails as well.
      const isUnreadable = error instanceof DiskError && error.code === 'EIO' && this.failureValue === null
      if (isUnreadable) this.onDamaged(error.message)
      if (!(error instanceof LogDamage)) throw error
      this.onDamaged(error.message)
      throw new DiskError('EOTHER', this.directory, error.message)
    }
  }
}

function nothing(): void {}
