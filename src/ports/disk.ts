/**
 * Files below one directory. Paths are relative to it, '/' between parts. Reads and writes go through the page
 * cache and return at once; only `sync` waits for the device. So the log engine is plain synchronous code, and an
 * fsync's completion is the one input that comes back later.
 */
export interface Disk {
  /** Opens a file; with `create`, makes it where it does not exist. @throws DiskError */
  open(path: string, options?: { create?: boolean }): DiskFile
  exists(path: string): boolean
  /** Names in a directory, sorted; directories end in '/'. @throws DiskError ENOENT */
  list(directory: string): string[]
  /** Makes a directory and its parents; no error where it exists. @throws DiskError */
  mkdir(path: string): void
  /** Atomic; replaces the target. Durable after a `sync` of the directory. @throws DiskError */
  rename(from: string, to: string): void
  /** A file. @throws DiskError */
  unlink(path: string): void
  /** A directory with all it holds; no error where it does not exist. @throws DiskError */
  removeTree(path: string): void
  /**
   * fsyncs open files (data and size) and directories (their entries), then calls `done` once. After an error
   * nothing may be assumed durable and the same file must never be synced again (fsyncgate): the caller stops
   * or takes the directory offline.
   */
  sync(targets: readonly SyncTarget[], done: (error: DiskError | null) => void): void
  /** The same, waiting; for start-up and recovery only. @throws DiskError */
  syncNow(targets: readonly SyncTarget[]): void
  /** Bytes that may still be written, for the reserve that Raft's log keeps. */
  freeBytes(): number
}

export type SyncTarget = DiskFile | { readonly directory: string }

export interface DiskFile {
  readonly path: string
  /** Bytes. */
  size(): number
  /** Up to `length` bytes from `position`; fewer only at the end of the file. The result belongs to the caller. @throws DiskError */
  read(position: number, length: number): Uint8Array
  /** Writes all chunks, gathered, at `position`. A failure may leave part of them written. @throws DiskError ENOSPC, EIO */
  write(position: number, chunks: readonly Uint8Array[]): void
  /** Cuts or zero-fills to `size` bytes. @throws DiskError */
  truncate(size: number): void
  close(): void
}

/** EBUSY: the disk as a whole is another process's. */
export type DiskErrorCode = 'ENOENT' | 'ENOSPC' | 'EIO' | 'EACCES' | 'EMFILE' | 'EBUSY' | 'EOTHER'

export class DiskError extends Error {
  override name = 'DiskError'
  constructor(
    readonly code: DiskErrorCode,
    readonly path: string,
    message: string,
  ) {
    super(message)
  }
}
