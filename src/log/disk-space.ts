import { type Disk, DiskError } from '../ports/disk.js'

/**
 * Keeps the last bytes of the disk for the Raft log, the checkpoints and the recovery points: appends of partition
 * data are refused while less than the reserve is free. The disk is asked once in a while and after each quarter of the
 * reserve that was written, not for each append.
 */
export class DiskSpace {
  private isLowNow = false
  private uncheckedBytes = 0

  constructor(
    private readonly disk: Disk,
    private readonly reservedBytes: number,
    private readonly onChange: (isLow: boolean, freeBytes: number) => void,
  ) {}

  get isLow(): boolean {
    return this.isLowNow
  }

  /** So many bytes are about to be written. @throws DiskError ENOSPC where the reserve is touched */
  take(bytes: number): void {
    this.uncheckedBytes += bytes
    if (!this.isLowNow && this.uncheckedBytes * 4 > this.reservedBytes) this.check()
    if (!this.isLowNow) return
    throw new DiskError(
      'ENOSPC',
      '',
      `the disk is full up to its reserve of ${this.reservedBytes} bytes: add space, or let retention delete more`,
    )
  }

  /** Looks at the disk. @throws DiskError */
  check(): void {
    if (this.reservedBytes === 0 && !this.isLowNow) return
    this.uncheckedBytes = 0
    const freeBytes = this.disk.freeBytes()
    this.set(freeBytes < this.reservedBytes, freeBytes)
  }

  /** A write met a full disk: so it is until the next check, whatever number the file system gives (quotas). */
  noteFull(): void {
    this.set(true, 0)
  }

  private set(isLow: boolean, freeBytes: number): void {
    if (isLow === this.isLowNow) return
    this.isLowNow = isLow
    this.onChange(isLow, freeBytes)
  }
}
