import { randomBelow } from '../../src/lib/prng.js'
import type { OrderedStore, StoreEntry, StoreOperation } from '../../src/ports/ordered-store.js'
import type { Random } from '../../src/ports/random.js'
import type { SimProcess, SimWorldClock } from './clock.js'
import type { Doom } from './doom.js'

interface Batch {
  readonly operations: readonly StoreOperation[]
  synced: boolean
}

/**
 * An ordered store of the simulated world: atomic batches, durable after a latency. It outlives its process. Keys are
 * compared bytewise, held as 'latin1' strings.
 */
export class SimStore implements OrderedStore {
  batchLatencyMs: () => number = () => 1
  scanLatencyMs: () => number = () => 0
  /** The error that a batch is to meet. Nothing of it is applied durably; what was asked later fails as well. */
  failBatch: ((operations: readonly StoreOperation[]) => Error | null) | null = null
  /** The same of a sync: the batch stays in the page cache, where the next process finds it. */
  failSync: (() => Error | null) | null = null
  batchCount = 0
  /** The process is to die within an event. */
  doom: Doom | null = null
  private batches: Batch[] = []
  private base = new Map<string, Uint8Array>()
  private view = new Map<string, Uint8Array>()
  private process: SimProcess | null = null
  private generation = 0
  private lastDoneMs = 0
  private failure: Error | null = null

  constructor(private readonly world: SimWorldClock) {}

  /**
   * Completions go to this process from now on. Whoever opens a LevelDB finds what its journal holds written to a table
   * and synced: nothing that a process reads of an earlier one can be lost any more.
   */
  attach(process: SimProcess): void {
    this.process = process
    this.failure = null
    for (const batch of this.batches) batch.synced = true
    this.fold()
  }

  batch(operations: readonly StoreOperation[], done: (error: Error | null) => void): void {
    this.doom?.beforeChange('a batch of the store', false)
    const { generation, process } = this
    this.batchCount++
    this.failure ??= this.failBatch?.(operations) ?? null
    const refused = this.failure
    const copy = operations.map(copyOperation)
    const batch: Batch = { operations: copy, synced: false }
    if (refused === null) {
      this.batches.push(batch)
      apply(this.view, copy)
    }
    const doneMs = Math.max(this.lastDoneMs, this.world.nowMs + this.batchLatencyMs())
    this.lastDoneMs = doneMs
    this.world.schedule(null, doneMs - this.world.nowMs, () => {
      if (generation !== this.generation) return
      // Asked now: a failure that was called off meanwhile does not come any more.
      this.failure ??= this.failSync?.() ?? null
      const error = refused ?? this.failure
      if (error === null) batch.synced = true
      this.fold()
      process?.input(() => done(error))
    })
  }

  scan(
    range: { gte: Uint8Array; lt: Uint8Array },
    done: (error: Error | null, entries: readonly StoreEntry[]) => void,
  ): void {
    this.doom?.check()
    const from = toText(range.gte)
    const below = toText(range.lt)
    const keys = [...this.view.keys()].filter((key) => key >= from && key < below).sort()
    const entries = keys.map((key) => ({ key: fromText(key), value: copyBytes(this.view.get(key)!) }))
    this.process?.schedule(this.scanLatencyMs(), () => done(null, entries))
  }

  close(done: (error: Error | null) => void): void {
    this.process?.schedule(0, () => done(null))
  }

  /** The process was killed: what it had asked for stays in the page cache. */
  crash(): void {}

  /**
   * The machine lost power: synced batches stay, chance decides how many of the others do, in order. With
   * `loseSynced`, up to so many synced batches are lost in silence as well, as a damaged LevelDB does.
   */
  powerCut(random: Random, loseSynced = 0): void {
    this.generation++
    this.lastDoneMs = 0
    const unsynced = this.batches.length
    this.batches = this.batches.slice(0, randomBelow(random, unsynced + 1))
    if (loseSynced > 0) this.loseSuffix(loseSynced)
    for (const batch of this.batches) batch.synced = true
    this.fold()
    this.view = new Map(this.base)
  }

  /** The last `count` batches are gone, synced or not: what LevelDB does in silence with a damaged journal. */
  loseSuffix(count: number): void {
    const all = [...this.history, ...this.batches]
    const kept = all.slice(0, Math.max(0, all.length - count))
    this.base = new Map()
    for (const batch of kept) apply(this.base, batch.operations)
    this.view = new Map(this.base)
    this.history.length = 0
    this.history.push(...kept)
    this.batches = []
  }

  /** Flips one bit of a stored value. */
  flipBit(key: Uint8Array, position: number, bit = 0): void {
    for (const map of [this.base, this.view]) {
      const value = map.get(toText(key))
      if (value === undefined) continue
      const copy = copyBytes(value)
      copy[position]! ^= 1 << bit
      map.set(toText(key), copy)
    }
  }

  /** Of a value chosen by chance; its key as text, or null where nothing is stored. */
  rot(random: Random): string | null {
    const keys = [...this.base.keys()].sort()
    const key = keys[randomBelow(random, keys.length)]
    const size = key === undefined ? 0 : this.base.get(key)!.length
    if (key === undefined || size === 0) return null
    this.flipBit(fromText(key), randomBelow(random, size), randomBelow(random, 8))
    return Buffer.from(key, 'latin1').toString('hex')
  }

  wipe(): void {
    this.generation++
    this.lastDoneMs = 0
    this.base = new Map()
    this.view = new Map()
    this.batches = []
    this.history.length = 0
  }

  /** What is durable now and nothing else. */
  durableEntries(): ReadonlyMap<string, Uint8Array> {
    return this.base
  }

  /** All synced batches, for `loseSuffix`. */
  private readonly history: Batch[] = []

  private fold(): void {
    while (this.batches[0]?.synced === true) {
      const batch = this.batches.shift()!
      apply(this.base, batch.operations)
      this.history.push(batch)
    }
  }
}

function apply(map: Map<string, Uint8Array>, operations: readonly StoreOperation[]): void {
  for (const operation of operations) {
    if (operation.type === 'put') map.set(toText(operation.key), operation.value)
    else map.delete(toText(operation.key))
  }
}

function copyOperation(operation: StoreOperation): StoreOperation {
  if (operation.type === 'del') return { type: 'del', key: copyBytes(operation.key) }
  return { type: 'put', key: copyBytes(operation.key), value: copyBytes(operation.value) }
}

/** Of a Node buffer, `slice` would share the memory. */
function copyBytes(bytes: Uint8Array): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes)
}

function toText(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1')
}

function fromText(key: string): Uint8Array {
  return new Uint8Array(Buffer.from(key, 'latin1'))
}
