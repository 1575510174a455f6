import { randomBelow } from '../../src/lib/prng.js'
import { type Disk, DiskError, type DiskFile, type SyncTarget } from '../../src/ports/disk.js'
import type { Random } from '../../src/ports/random.js'
import type { SimProcess, SimWorldClock } from './clock.js'
import type { Doom } from './doom.js'
import { Inode } from './inode.js'

/** A directory: its entries as the process sees them, and those that were synced. */
interface Directory {
  entries: Map<string, Directory | Inode>
  durable: Map<string, Directory | Inode>
}

/** A change of entries that is not durable yet. A rename touches one or two directories and is all or nothing. */
interface PendingEntry {
  readonly directories: readonly Directory[]
  apply(): void
}

export interface DiskFaults {
  /** What each asynchronous sync takes. */
  syncLatencyMs: () => number
  /** An EIO for this sync's paths (directories end in '/'). What it covered does not become durable. */
  failSync: ((paths: readonly string[]) => boolean) | null
  /** An EIO for this read or write. */
  failAccess: ((path: string, operation: 'read' | 'write') => boolean) | null
  /** How many of so many bytes a write that fails leaves behind; null: none. */
  tear: ((bytes: number) => number) | null
}

export interface SyncRecord {
  readonly timeMs: number
  readonly path: string
  /** Bytes of the file when the sync was asked for; -1 for a directory. */
  readonly size: number
}

const SECTOR_BYTES = 512

/**
 * A disk of the simulated world. It outlives its process: `crash` keeps the page cache, `powerCut` keeps what was
 * synced and chance's part of the rest. After either, `attach` the new process.
 */
export class SimDisk implements Disk {
  readonly faults: DiskFaults = { syncLatencyMs: () => 1, failSync: null, failAccess: null, tear: null }
  /** Bytes that all files together may hold. */
  capacityBytes = Number.POSITIVE_INFINITY
  writeCount = 0
  /** Writes that failed and left a part. */
  tornWrites = 0
  bytesWritten = 0
  syncCount = 0
  openFiles = 0
  /** Every sync that completed, in order. */
  readonly recordSync: SyncRecord[] = []
  /** Called for every write, before it happens: for trace hashes. */
  onWrite: ((path: string, position: number, chunks: readonly Uint8Array[]) => void) | null = null
  /** A file is cut from one size to another, before it happens. */
  onTruncate: ((path: string, from: number, to: number) => void) | null = null
  /** A file or a tree is gone, or has another name (`to`). */
  onMoved: ((from: string, to: string | null) => void) | null = null
  /** The process is to die within an event. */
  doom: Doom | null = null
  private root: Directory = newDirectory()
  private pending: PendingEntry[] = []
  private generation = 0
  private process: SimProcess | null = null
  private usedBytes = 0

  constructor(private readonly world: SimWorldClock) {}

  /** Completions go to this process from now on. */
  attach(process: SimProcess): void {
    this.process = process
  }

  /** The process was killed: what it wrote stays in the page cache. Syncs under way go on. */
  crash(): void {
    this.openFiles = 0
  }

  /** The machine lost power. Syncs under way are cut short. */
  powerCut(random: Random): void {
    this.generation++
    this.openFiles = 0
    const inOrder = randomBelow(random, 2) === 0
    const kept = randomBelow(random, this.pending.length + 1)
    this.pending.forEach((change, index) => {
      if (inOrder ? index < kept : randomBelow(random, 2) === 0) change.apply()
    })
    this.pending = []
    this.root = survivors(this.root, (inode) => inode.afterPowerCut(random))
    this.usedBytes = totalBytes(this.root)
  }

  /** A disk that holds what is durable now and nothing else: the worst power cut. For checks of durability. */
  durableImage(): SimDisk {
    const image = new SimDisk(this.world)
    image.root = survivors(this.root, (inode) => inode.durableBytes())
    image.process = this.process
    return image
  }

  /** Bytes of a file that survive the worst power cut; -1 where its name does not. */
  durableSize(path: string): number {
    return this.durableInode(path)?.durableLength ?? -1
  }

  /** What of these bytes of a file survives the worst power cut; null where its name does not. */
  durableRead(path: string, position: number, length: number): Uint8Array | null {
    return this.durableInode(path)?.durableRead(position, length) ?? null
  }

  private durableInode(path: string): Inode | null {
    let at: Directory | Inode | undefined = this.root
    for (const part of parts(path)) at = at instanceof Inode ? undefined : at?.durable.get(part)
    return at instanceof Inode ? at : null
  }

  /** Everything is lost: a wiped disk. */
  wipe(): void {
    this.generation++
    this.root = newDirectory()
    this.pending = []
    this.usedBytes = 0
    this.openFiles = 0
  }

  /** From now on so many bytes fit; Infinity: as many as you like. */
  leaveFree(bytes: number): void {
    this.capacityBytes = this.usedBytes + bytes
  }

  /** Flips one bit of a file, in the cache and on the device. */
  flipBit(path: string, position: number, bit = 0): void {
    this.inode(path).flipBit(position, bit)
  }

  open(path: string, options: { create?: boolean } = {}): DiskFile {
    this.doom?.check()
    const { parent, name } = this.locate(path)
    let node = parent.entries.get(name)
    if (node !== undefined && !(node instanceof Inode))
      throw new DiskError('EOTHER', path, `${path} is a directory`)
    if (node === undefined) {
      if (options.create !== true) throw new DiskError('ENOENT', path, `${path} does not exist`)
      this.doom?.beforeChange(`the making of ${path}`, true)
      node = new Inode()
      this.link(parent, name, node)
    }
    return new SimFile(this, path, node)
  }

  exists(path: string): boolean {
    return this.find(path) !== undefined
  }

  list(directory: string): string[] {
    this.doom?.check()
    const names = [...this.directory(directory).entries].map(([name, node]) =>
      node instanceof Inode ? name : `${name}/`,
    )
    return names.sort()
  }

  mkdir(path: string): void {
    let at = this.root
    for (const part of parts(path)) {
      let next = at.entries.get(part)
      if (next instanceof Inode) throw new DiskError('EOTHER', path, `${path}: ${part} is a file`)
      if (next === undefined) {
        this.doom?.beforeChange(`the making of ${path}/`, true)
        next = newDirectory()
        this.link(at, part, next)
      }
      at = next
    }
  }

  rename(from: string, to: string): void {
    this.doom?.beforeChange(`the renaming of ${from}`, true)
    const source = this.locate(from)
    const target = this.locate(to)
    const node = source.parent.entries.get(source.name)
    if (node === undefined) throw new DiskError('ENOENT', from, `${from} does not exist`)
    this.onMoved?.(from, to)
    source.parent.entries.delete(source.name)
    target.parent.entries.set(target.name, node)
    this.pending.push({
      directories: [source.parent, target.parent],
      apply: () => {
        if (source.parent.durable.get(source.name) === node) source.parent.durable.delete(source.name)
        target.parent.durable.set(target.name, node)
      },
    })
  }

  unlink(path: string): void {
    this.doom?.beforeChange(`the removal of ${path}`, true)
    this.unlinkNow(path)
  }

  private unlinkNow(path: string): void {
    const { parent, name } = this.locate(path)
    const node = parent.entries.get(name)
    if (node === undefined) throw new DiskError('ENOENT', path, `${path} does not exist`)
    if (!(node instanceof Inode)) throw new DiskError('EOTHER', path, `${path} is a directory`)
    this.usedBytes -= node.size
    this.onMoved?.(path, null)
    this.remove(parent, name, node)
  }

  removeTree(path: string): void {
    if (!this.exists(path)) return
    this.doom?.beforeChange(`the removal of ${path}/`, true, () => this.removeSome(path))
    const { parent, name } = this.locate(path)
    const node = parent.entries.get(name)!
    this.usedBytes -= totalBytes(node)
    this.onMoved?.(path, null)
    this.remove(parent, name, node)
  }

  /** A tree goes one entry after the other. */
  private removeSome(path: string): void {
    const names = this.list(path).filter((name) => !name.endsWith('/'))
    const count = this.faults.tear?.(names.length) ?? 0
    for (const name of names.slice(0, count)) this.unlinkNow(`${path}/${name}`)
  }

  sync(targets: readonly SyncTarget[], done: (error: DiskError | null) => void): void {
    this.doom?.beforeChange('a sync', false)
    const { generation, process } = this
    const paths = targets.map(targetPath)
    const { complete, fail } = this.beginSync(targets)
    this.world.schedule(null, this.faults.syncLatencyMs(), () => {
      if (generation !== this.generation) return
      // Asked now: a failure that was called off while the sync was under way does not come any more.
      const fails = this.faults.failSync?.(paths) === true
      if (fails) fail()
      else complete()
      const error = fails ? new DiskError('EIO', paths[0] ?? '', `EIO: fsync of ${paths.join(', ')}`) : null
      process?.input(() => done(error))
    })
  }

  syncNow(targets: readonly SyncTarget[]): void {
    this.doom?.beforeChange('a sync that is waited for', true)
    const paths = targets.map(targetPath)
    const { complete, fail } = this.beginSync(targets)
    if (this.faults.failSync?.(paths) === true) {
      fail()
      throw new DiskError('EIO', paths[0] ?? '', `EIO: fsync of ${paths.join(', ')}`)
    }
    complete()
  }

  freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.usedBytes)
  }

  /** Of SimFile: room for so many more bytes. */
  grow(path: string, bytes: number): void {
    const error = this.refusal(path, bytes)
    if (error !== null) throw error
    this.usedBytes += bytes
  }

  /** Of SimFile: null where there is room for so many more bytes. */
  refusal(path: string, bytes: number): DiskError | null {
    if (bytes <= 0 || this.usedBytes + bytes <= this.capacityBytes) return null
    return new DiskError('ENOSPC', path, `ENOSPC: no space for ${bytes} bytes in ${path}`)
  }

  /** `fail`: the pages of files are lost to later syncs as well; a journal still has the entries of directories. */
  private beginSync(targets: readonly SyncTarget[]): { complete(): void; fail(): void } {
    const files: (() => void)[] = []
    const lost: (() => void)[] = []
    const changes = new Set<PendingEntry>()
    for (const target of targets) {
      this.syncCount++
      if ('directory' in target) {
        const directory = this.directory(target.directory)
        for (const change of this.pending) if (change.directories.includes(directory)) changes.add(change)
        files.push(() => this.recordSync.push({ timeMs: this.world.nowMs, path: target.directory, size: -1 }))
      } else {
        const { inode } = target as SimFile
        const ticket = inode.beginSync()
        lost.push(() => inode.failSync(ticket))
        files.push(() => {
          inode.endSync(ticket)
          this.recordSync.push({ timeMs: this.world.nowMs, path: target.path, size: ticket.size })
        })
      }
    }
    const complete = (): void => {
      for (const end of files) end()
      if (changes.size === 0) return
      for (const change of this.pending) if (changes.has(change)) change.apply()
      this.pending = this.pending.filter((change) => !changes.has(change))
    }
    const fail = (): void => {
      for (const lose of lost) lose()
    }
    return { complete, fail }
  }

  private link(parent: Directory, name: string, node: Directory | Inode): void {
    parent.entries.set(name, node)
    this.pending.push({ directories: [parent], apply: () => parent.durable.set(name, node) })
  }

  private remove(parent: Directory, name: string, node: Directory | Inode): void {
    parent.entries.delete(name)
    this.pending.push({
      directories: [parent],
      apply: () => {
        if (parent.durable.get(name) === node) parent.durable.delete(name)
      },
    })
  }

  private find(path: string): Directory | Inode | undefined {
    let at: Directory | Inode | undefined = this.root
    for (const part of parts(path)) at = at instanceof Inode ? undefined : at?.entries.get(part)
    return at
  }

  private inode(path: string): Inode {
    const node = this.find(path)
    if (!(node instanceof Inode)) throw new DiskError('ENOENT', path, `${path} is no file`)
    return node
  }

  private directory(path: string): Directory {
    const node = this.find(path)
    if (node === undefined || node instanceof Inode)
      throw new DiskError('ENOENT', path, `${path} is no directory`)
    return node
  }

  private locate(path: string): { parent: Directory; name: string } {
    const all = parts(path)
    const name = all.at(-1)
    if (name === undefined) throw new DiskError('EOTHER', path, 'the root itself')
    return { parent: this.directory(all.slice(0, -1).join('/')), name }
  }
}

class SimFile implements DiskFile {
  private isOpen = true

  constructor(
    private readonly disk: SimDisk,
    readonly path: string,
    readonly inode: Inode,
  ) {
    disk.openFiles++
  }

  size(): number {
    return this.inode.size
  }

  read(position: number, length: number): Uint8Array {
    this.disk.doom?.check()
    this.check('read')
    return this.inode.read(position, length)
  }

  write(position: number, chunks: readonly Uint8Array[]): void {
    let length = 0
    for (const chunk of chunks) length += chunk.length
    if (this.disk.doom !== null)
      this.disk.doom.beforeChange(`a write of ${this.path}`, false, () => this.tear(position, chunks, length))
    const error = this.failure('write') ?? this.disk.refusal(this.path, position + length - this.inode.size)
    if (error !== null) {
      this.tear(position, chunks, length)
      throw error
    }
    this.put(position, chunks, length)
  }

  /**
   * The port allows a failed write to leave a part of itself, and death within a write does. What lies within one sector
   * is written as a whole or not at all: kernels copy by the page, and devices write by the sector.
   */
  private tear(position: number, chunks: readonly Uint8Array[], length: number): void {
    const { disk, inode } = this
    const room = Math.min(length, inode.size + disk.freeBytes() - position)
    const asked = room > 0 ? (disk.faults.tear?.(room) ?? 0) : 0
    const end = position + asked
    const left = asked === length ? length : end - (end % SECTOR_BYTES) - position
    if (left <= 0) return
    disk.tornWrites++
    const part: Uint8Array[] = []
    let missing = left
    for (const chunk of chunks) {
      if (missing > 0) part.push(chunk.subarray(0, missing))
      missing -= chunk.length
    }
    this.put(position, part, left)
  }

  private put(position: number, chunks: readonly Uint8Array[], length: number): void {
    const { disk, inode } = this
    disk.grow(this.path, Math.max(0, position + length - inode.size))
    disk.onWrite?.(this.path, position, chunks)
    disk.writeCount++
    disk.bytesWritten += length
    let at = position
    for (const chunk of chunks) {
      if (chunk.length > 0) inode.write(at, chunk)
      at += chunk.length
    }
  }

  truncate(size: number): void {
    this.disk.doom?.beforeChange(`the truncation of ${this.path}`, true)
    this.check('write')
    this.disk.grow(this.path, size - this.inode.size)
    this.disk.onTruncate?.(this.path, this.inode.size, size)
    this.inode.truncate(size)
  }

  close(): void {
    if (!this.isOpen) throw new Error(`${this.path} was closed twice`)
    this.isOpen = false
    // Those of a dying process were closed with it.
    if (this.disk.doom?.hasStruck !== true) this.disk.openFiles--
  }

  private check(operation: 'read' | 'write'): void {
    const error = this.failure(operation)
    if (error !== null) throw error
  }

  private failure(operation: 'read' | 'write'): DiskError | null {
    if (!this.isOpen) throw new Error(`${this.path} is closed`)
    if (this.disk.faults.failAccess?.(this.path, operation) !== true) return null
    return new DiskError('EIO', this.path, `EIO: ${operation} of ${this.path}`)
  }
}

function newDirectory(): Directory {
  return { entries: new Map(), durable: new Map() }
}

/** Of the paths that are asked for again and again. */
const knownParts = new Map<string, readonly string[]>()
const MAX_KNOWN_PATHS = 10_000

function parts(path: string): readonly string[] {
  let found = knownParts.get(path)
  if (found === undefined) {
    found = path.split('/').filter((part) => part !== '' && part !== '.')
    if (knownParts.size >= MAX_KNOWN_PATHS) knownParts.clear()
    knownParts.set(path, found)
  }
  return found
}

function targetPath(target: SyncTarget): string {
  return 'directory' in target ? `${target.directory}/` : target.path
}

function totalBytes(node: Directory | Inode): number {
  if (node instanceof Inode) return node.size
  let bytes = 0
  for (const child of node.entries.values()) bytes += totalBytes(child)
  return bytes
}

/** The durable entries of a tree, with the bytes that `bytesOf` says. */
function survivors(directory: Directory, bytesOf: (inode: Inode) => Uint8Array): Directory {
  const result = newDirectory()
  for (const name of [...directory.durable.keys()].sort()) {
    const node = directory.durable.get(name)!
    const copy = node instanceof Inode ? Inode.durable(bytesOf(node)) : survivors(node, bytesOf)
    result.entries.set(name, copy)
    result.durable.set(name, copy)
  }
  return result
}
