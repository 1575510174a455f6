import { randomBelow, randomBetween } from '../../src/lib/prng.js'
import type { Random } from '../../src/ports/random.js'

const PAGE_BYTES = 4096

/**
 * The bytes of a file as the process sees them, and what a power cut may leave of them. A layer begins at each
 * truncation that was not synced yet: a journaling file system orders truncations, so either this one and perhaps
 * what followed survives, or nothing of it does.
 */
interface Layer {
  /** What is durable as long as this layer is the one that survives: the first `baseSize` bytes; zeros behind. */
  base: Uint8Array
  baseSize: number
  content: Uint8Array
  size: number
  /** Page number to the number of the write that dirtied it last. */
  dirty: Map<number, number>
  /** Page number to the number of the write that its durable bytes come from: syncs may end in another order. */
  synced: Map<number, number>
  /** Where the truncation that began it cut. */
  cut: number
}

export interface SyncTicket {
  readonly layer: Layer
  readonly size: number
  readonly pages: readonly { page: number; version: number; bytes: Uint8Array }[]
}

/** A file's bytes: page cache and synced image. */
export class Inode {
  private layers: Layer[] = [firstLayer(new Uint8Array(0))]
  private version = 0

  static durable(bytes: Uint8Array): Inode {
    const inode = new Inode()
    inode.layers = [firstLayer(bytes)]
    return inode
  }

  private get top(): Layer {
    return this.layers[this.layers.length - 1]!
  }

  get size(): number {
    return this.top.size
  }

  get isDirty(): boolean {
    return this.layers.length > 1 || this.top.dirty.size > 0 || this.top.baseSize !== this.top.size
  }

  get durableLength(): number {
    return this.layers[0]!.baseSize
  }

  durableRead(position: number, length: number): Uint8Array {
    const first = this.layers[0]!
    return first.base.subarray(position, Math.min(first.baseSize, position + length))
  }

  read(position: number, length: number): Uint8Array {
    const top = this.top
    return top.content.slice(position, Math.max(position, Math.min(top.size, position + length)))
  }

  write(position: number, bytes: Uint8Array): void {
    const top = this.top
    const end = position + bytes.length
    if (end > top.content.length) {
      const grown = new Uint8Array(Math.max(end, top.content.length * 2, 256))
      grown.set(top.content.subarray(0, top.size))
      top.content = grown
    }
    top.content.set(bytes, position)
    this.touch(Math.min(position, top.size), end)
    top.size = Math.max(top.size, end)
  }

  truncate(size: number): void {
    const top = this.top
    if (size >= top.size) {
      if (size > top.size) this.write(top.size, new Uint8Array(size - top.size))
      return
    }
    const dirty = new Map<number, number>()
    for (const [page, version] of top.dirty) if (page * PAGE_BYTES < size) dirty.set(page, version)
    const content = top.content.slice(0, size)
    const base = top.base.slice(0, Math.min(size, top.baseSize))
    const synced = new Map(top.synced)
    this.layers.push({ base, baseSize: base.length, content, size, dirty, synced, cut: size })
  }

  beginSync(): SyncTicket {
    const layer = this.top
    const pages = [...layer.dirty].map(([page, version]) => ({
      page,
      version,
      bytes: layer.content.slice(page * PAGE_BYTES, Math.min(layer.size, (page + 1) * PAGE_BYTES)),
    }))
    return { layer, size: layer.size, pages }
  }

  endSync(ticket: SyncTicket): void {
    const from = this.layers.indexOf(ticket.layer)
    if (from < 0) return // a later sync, which covered this one, ended first
    this.layers.splice(0, from)
    let limit = Number.POSITIVE_INFINITY
    for (const layer of this.layers) {
      if (layer !== ticket.layer) limit = Math.min(limit, layer.cut)
      growBase(layer, Math.min(limit, Math.max(layer.baseSize, ticket.size)))
      for (const { page, version, bytes } of ticket.pages) {
        const room = layer.baseSize - page * PAGE_BYTES
        if (room > 0 && version >= (layer.synced.get(page) ?? 0)) {
          layer.base.set(bytes.subarray(0, room), page * PAGE_BYTES)
          layer.synced.set(page, version)
        }
        if (layer.dirty.get(page) === version) layer.dirty.delete(page)
      }
    }
  }

  /**
   * As Linux does with EIO: the pages are clean from now on and readable, and not on the device. A later sync, of this
   * process or the next, succeeds without writing them.
   */
  failSync(ticket: SyncTicket): void {
    const from = this.layers.indexOf(ticket.layer)
    for (const layer of from < 0 ? [] : this.layers.slice(from)) {
      for (const { page, version } of ticket.pages)
        if (layer.dirty.get(page) === version) layer.dirty.delete(page)
    }
  }

  /** What was synced, and nothing else. */
  durableBytes(): Uint8Array {
    const { base, baseSize } = this.layers[0]!
    return base.slice(0, baseSize)
  }

  /** What a power cut leaves: any of the truncations in order, any of the dirty pages, a torn end. */
  afterPowerCut(random: Random): Uint8Array {
    const layer = this.layers[randomBelow(random, this.layers.length)]!
    const { content, dirty } = layer
    const base = layer.base.subarray(0, layer.baseSize)
    if (dirty.size === 0 && base.length === layer.size) return base.slice()
    // Three ways: pages reached the device in order up to somewhere, in any order, or not at all.
    const way = randomBelow(random, 4)
    let size = base.length
    if (way > 0 && layer.size > base.length) {
      size = randomBelow(random, 2) === 0 ? layer.size : randomBetween(random, base.length, layer.size)
    }
    const result = new Uint8Array(size)
    result.set(base.subarray(0, size))
    for (const page of [...dirty.keys()].sort((a, b) => a - b)) {
      const keep = way === 1 || way === 2 ? true : way === 3 ? randomBelow(random, 2) === 0 : false
      const start = page * PAGE_BYTES
      if (keep && start < size)
        result.set(content.subarray(start, Math.min(size, layer.size, start + PAGE_BYTES)), start)
    }
    return result
  }

  flipBit(position: number, bit: number): void {
    for (const layer of this.layers) {
      if (position < layer.baseSize) layer.base[position]! ^= 1 << bit
      if (position < layer.size) layer.content[position]! ^= 1 << bit
    }
  }

  private touch(from: number, end: number): void {
    this.version++
    for (let page = Math.floor(from / PAGE_BYTES); page * PAGE_BYTES < end; page++) {
      this.top.dirty.set(page, this.version)
    }
  }
}

function firstLayer(bytes: Uint8Array): Layer {
  return {
    base: bytes.slice(),
    baseSize: bytes.length,
    content: bytes.slice(),
    size: bytes.length,
    dirty: new Map(),
    synced: new Map(),
    cut: Number.POSITIVE_INFINITY,
  }
}

function growBase(layer: Layer, size: number): void {
  if (size > layer.base.length) {
    const grown = new Uint8Array(Math.max(size, layer.base.length * 2, 256))
    grown.set(layer.base)
    layer.base = grown
  }
  layer.baseSize = Math.max(layer.baseSize, size)
}
