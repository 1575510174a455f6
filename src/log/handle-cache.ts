import { assert } from '../lib/assert.js'
import type { Disk, DiskFile } from '../ports/disk.js'

interface Handle {
  readonly file: DiskFile
  pins: number
  /** Closed for everyone else; the file itself is closed with the last pin. */
  isDetached: boolean
}

/** A file that stays open until `release`. */
export interface PinnedFile {
  readonly file: DiskFile
  release(): void
}

/** Open files of all logs, the least recently used closed first. Pinned ones stay open: a sync is under way. */
export class HandleCache {
  private readonly handles = new Map<string, Handle>()
  /** The last of them, as long as it is open. */
  private newest = ''
  /** The paths above by directory: a log that is closed must not look through the files of all others. */
  private readonly byDirectory = new Map<string, Set<string>>()

  constructor(
    private readonly disk: Disk,
    private readonly limit: number,
  ) {
    assert(limit > 0, 'a handle cache holds at least one file')
  }

  get size(): number {
    return this.handles.size
  }

  /** The file at `path`, for use within this turn. @throws DiskError */
  get(path: string, create = false): DiskFile {
    return this.handle(path, create).file
  }

  /** null where there is no such file. @throws DiskError */
  getIfExists(path: string): DiskFile | null {
    return this.handles.has(path) || this.disk.exists(path) ? this.get(path) : null
  }

  /** @throws DiskError */
  pin(path: string): PinnedFile {
    const handle = this.handle(path, false)
    handle.pins++
    return {
      file: handle.file,
      release: () => {
        handle.pins--
        if (handle.isDetached && handle.pins === 0) handle.file.close()
      },
    }
  }

  close(path: string): void {
    const handle = this.handles.get(path)
    if (handle === undefined) return
    this.handles.delete(path)
    this.siblings(path)?.delete(path)
    if (this.siblings(path)?.size === 0) this.byDirectory.delete(directoryOf(path))
    handle.isDetached = true
    if (handle.pins === 0) handle.file.close()
  }

  closeUnder(directory: string): void {
    for (const path of [...(this.byDirectory.get(directory) ?? [])]) this.close(path)
  }

  closeAll(): void {
    for (const path of [...this.handles.keys()]) this.close(path)
  }

  private handle(path: string, create: boolean): Handle {
    let handle = this.handles.get(path)
    if (handle !== undefined) {
      if (path === this.newest) return handle
      // To the end of the order: the most recently used.
      this.handles.delete(path)
      this.handles.set(path, handle)
      this.newest = path
      return handle
    }
    if (this.handles.size >= this.limit) this.evict()
    handle = { file: this.disk.open(path, { create }), pins: 0, isDetached: false }
    this.handles.set(path, handle)
    this.newest = path
    const siblings = this.siblings(path)
    if (siblings === undefined) this.byDirectory.set(directoryOf(path), new Set([path]))
    else siblings.add(path)
    return handle
  }

  private siblings(path: string): Set<string> | undefined {
    return this.byDirectory.get(directoryOf(path))
  }

  private evict(): void {
    for (const [path, handle] of this.handles) {
      if (handle.pins > 0) continue
      this.close(path)
      return
    }
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'))
}
