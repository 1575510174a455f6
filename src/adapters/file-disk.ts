import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type Disk, DiskError, type DiskErrorCode, type DiskFile, type SyncTarget } from '../ports/disk.js'

/** What one writev takes (IOV_MAX on Linux). */
const MAX_IOVECS = 1024
const LOCK_FILE = '.lock'

/** Files below one directory of the real file system. Reads and writes wait for the page cache alone. */
export class FileDisk implements Disk {
  private constructor(
    readonly root: string,
    private lock: number | null,
  ) {}

  /**
   * Makes the directory where it is missing and takes its lock, which falls with the process however it ends.
   * @throws DiskError EBUSY where a live process seems to hold it
   */
  static open(root: string): FileDisk {
    const absolute = path.resolve(root)
    return wrap(absolute, () => {
      fs.mkdirSync(absolute, { recursive: true })
      return new FileDisk(absolute, takeLock(path.join(absolute, LOCK_FILE)))
    })
  }

  /** Gives the lock back. */
  close(): void {
    if (this.lock === null) return
    fs.closeSync(this.lock)
    this.lock = null
    releaseLock(path.join(this.root, LOCK_FILE))
  }

  open(name: string, options: { create?: boolean } = {}): DiskFile {
    const flags = fs.constants.O_RDWR | (options.create === true ? fs.constants.O_CREAT : 0)
    return wrap(name, () => new RealFile(name, fs.openSync(this.resolve(name), flags, 0o640)))
  }

  exists(name: string): boolean {
    return fs.existsSync(this.resolve(name))
  }

  list(directory: string): string[] {
    return wrap(directory, () => {
      const entries = fs.readdirSync(this.resolve(directory), { withFileTypes: true })
      return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort()
    })
  }

  mkdir(name: string): void {
    wrap(name, () => fs.mkdirSync(this.resolve(name), { recursive: true }))
  }

  rename(from: string, to: string): void {
    wrap(from, () => fs.renameSync(this.resolve(from), this.resolve(to)))
  }

  unlink(name: string): void {
    wrap(name, () => fs.unlinkSync(this.resolve(name)))
  }

  removeTree(name: string): void {
    wrap(name, () => fs.rmSync(this.resolve(name), { recursive: true, force: true }))
  }

  /** One thread of the pool at a time: the caller decides how many calls are under way. */
  sync(targets: readonly SyncTarget[], done: (error: DiskError | null) => void): void {
    const steps: { path: string; fd: number; isDirectory: boolean }[] = []
    const closeDirectories = (): void => {
      for (const { fd, isDirectory } of steps) if (isDirectory) fs.closeSync(fd)
    }
    try {
      for (const target of targets) steps.push(this.step(target))
    } catch (error) {
      closeDirectories()
      setImmediate(done, toDiskError('', error))
      return
    }
    let at = 0
    const next = (error: NodeJS.ErrnoException | null): void => {
      const last = steps[at - 1]
      if (error !== null || at === steps.length) {
        closeDirectories()
        done(error === null ? null : toDiskError(last?.path ?? '', error))
        return
      }
      const { fd, isDirectory } = steps[at++]!
      if (isDirectory) fs.fsync(fd, next)
      else fs.fdatasync(fd, next)
    }
    if (steps.length === 0) setImmediate(next, null)
    else next(null)
  }

  syncNow(targets: readonly SyncTarget[]): void {
    for (const target of targets) {
      const { path: name, fd, isDirectory } = wrap('', () => this.step(target))
      try {
        wrap(name, () => fs.fsyncSync(fd))
      } finally {
        if (isDirectory) fs.closeSync(fd)
      }
    }
  }

  freeBytes(): number {
    return wrap('', () => {
      const stats = fs.statfsSync(this.root)
      return stats.bavail * stats.bsize
    })
  }

  /** Directories are opened at once, since they may be renamed before their turn comes. */
  private step(target: SyncTarget): { path: string; fd: number; isDirectory: boolean } {
    if (!('directory' in target))
      return { path: target.path, fd: (target as RealFile).descriptor, isDirectory: false }
    const fd = fs.openSync(this.resolve(target.directory), fs.constants.O_RDONLY)
    return { path: target.directory, fd, isDirectory: true }
  }

  private resolve(name: string): string {
    const resolved = path.join(this.root, name)
    if (resolved !== this.root && !resolved.startsWith(this.root + path.sep)) {
      throw new DiskError('EACCES', name, `${name} lies outside the data directory`)
    }
    return resolved
  }
}

class RealFile implements DiskFile {
  private knownSize = -1

  constructor(
    readonly path: string,
    private fd: number,
  ) {}

  get descriptor(): number {
    return this.fd
  }

  size(): number {
    if (this.knownSize < 0) this.knownSize = wrap(this.path, () => fs.fstatSync(this.fd).size)
    return this.knownSize
  }

  read(position: number, length: number): Uint8Array {
    return wrap(this.path, () => {
      // Never the shared pool: slices of it would keep one another alive, and their rest is foreign bytes.
      const bytes = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, this.size() - position)))
      let filled = 0
      while (filled < bytes.length) {
        const count = fs.readSync(this.fd, bytes, filled, bytes.length - filled, position + filled)
        if (count === 0) break
        filled += count
      }
      return bytes.subarray(0, filled)
    })
  }

  write(position: number, chunks: readonly Uint8Array[]): void {
    wrap(this.path, () => {
      let at = position
      try {
        for (let from = 0; from < chunks.length; from += MAX_IOVECS) {
          at = this.writeAll(at, chunks.slice(from, from + MAX_IOVECS))
        }
      } catch (error) {
        this.knownSize = -1
        throw error
      }
      if (this.knownSize >= 0) this.knownSize = Math.max(this.knownSize, at)
    })
  }

  private writeAll(position: number, chunks: readonly Uint8Array[]): number {
    let rest: Uint8Array[] = [...chunks]
    while (rest.length > 0) {
      let written = fs.writevSync(this.fd, rest, position)
      position += written
      const left: Uint8Array[] = []
      for (const chunk of rest) {
        if (written >= chunk.length) written -= chunk.length
        else {
          left.push(written === 0 ? chunk : chunk.subarray(written))
          written = 0
        }
      }
      rest = left
    }
    return position
  }

  truncate(size: number): void {
    wrap(this.path, () => fs.ftruncateSync(this.fd, size))
    this.knownSize = size
  }

  close(): void {
    if (this.fd < 0) return
    fs.closeSync(this.fd)
    this.fd = -1
  }
}

function wrap<T>(name: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw toDiskError(name, error)
  }
}

const CODES: ReadonlyMap<string, DiskErrorCode> = new Map([
  ['ENOENT', 'ENOENT'],
  ['ENOSPC', 'ENOSPC'],
  ['EDQUOT', 'ENOSPC'],
  ['EIO', 'EIO'],
  ['EROFS', 'EIO'],
  ['EACCES', 'EACCES'],
  ['EPERM', 'EACCES'],
  ['EMFILE', 'EMFILE'],
  ['ENFILE', 'EMFILE'],
])

function toDiskError(name: string, error: unknown): DiskError {
  if (error instanceof DiskError) return error
  const { code, message } = error as NodeJS.ErrnoException
  return new DiskError(CODES.get(code ?? '') ?? 'EOTHER', name, `${name}: ${message}`)
}

/** Locks that this very process holds: its own pid in a file says nothing. */
const held = new Set<string>()

/**
 * A file with the holder's pid and its start time, so that a pid which was given to another process since is not taken
 * for the holder. It lies there after a kill -9, and the next start sees that nobody stands behind it.
 */
function takeLock(file: string): number {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const fd = fs.openSync(file, 'wx', 0o640)
      fs.writeSync(fd, `${process.pid} ${startTimeOf(process.pid) ?? '-'}\n`)
      held.add(file)
      return fd
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = liveHolder(file)
    if (holder !== null) {
      throw new DiskError(
        'EBUSY',
        file,
        `${path.dirname(file)} is locked: its ${LOCK_FILE} names process ${holder}, which runs on this host (${os.hostname()}). ` +
          'Where that process uses this directory, stop it, or give each node a log.dirs of its own. ' +
          `Where the directory was copied together with its ${LOCK_FILE}, remove ${file}; ` +
          'of the original and its copy only one may run.',
      )
    }
    fs.rmSync(file, { force: true })
  }
  const message = `${file}: other processes are taking this lock at the same time: give each node a log.dirs of its own.`
  throw new DiskError('EBUSY', file, message)
}

function releaseLock(file: string): void {
  held.delete(file)
  fs.rmSync(file, { force: true })
}

function liveHolder(file: string): number | null {
  let text: string
  try {
    text = fs.readFileSync(file, 'utf8')
  } catch {
    return null // gone meanwhile
  }
  const [pidText = '', startTime] = text.trim().split(' ')
  const pid = Number(pidText)
  if (!Number.isSafeInteger(pid) || pid <= 0) return null
  if (pid === process.pid) return held.has(file) ? pid : null
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return null
  }
  const now = startTimeOf(pid)
  return now !== null && startTime !== '-' && now !== startTime ? null : pid
}

/** In clock ticks since the boot (proc(5), stat, field 22); null where there is no /proc. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}
