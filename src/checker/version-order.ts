import { type History, pollsOf, type Send, sendsOf, type Value } from './history.js'

/** What the history proves of one partition: offset -> values, ranked densely, since gaps between offsets are legal. */
export class VersionOrder {
  private readonly valuesAt = new Map<number, Set<Value>>()
  private readonly offsetsOf = new Map<Value, Set<number>>()
  private ranks: Map<number, number> | null = null
  private sorted: number[] = []

  add(offset: number, value: Value): void {
    setOf(this.valuesAt, offset).add(value)
    setOf(this.offsetsOf, value).add(offset)
    this.ranks = null
  }

  /** Ascending. */
  offsets(): readonly number[] {
    this.rank()
    return this.sorted
  }

  values(offset: number): ReadonlySet<Value> {
    return this.valuesAt.get(offset) ?? new Set()
  }

  allValues(): Iterable<[Value, ReadonlySet<number>]> {
    return this.offsetsOf
  }

  indexOf(offset: number): number | undefined {
    return this.rank().get(offset)
  }

  firstIndex(value: Value): number | undefined {
    return this.indexes(value)?.[0]
  }

  lastIndex(value: Value): number | undefined {
    return this.indexes(value)?.at(-1)
  }

  private indexes(value: Value): number[] | undefined {
    const offsets = this.offsetsOf.get(value)
    if (offsets === undefined) return undefined
    const ranks = this.rank()
    return [...offsets].map((offset) => ranks.get(offset)!).sort((a, b) => a - b)
  }

  private rank(): Map<number, number> {
    if (this.ranks !== null) return this.ranks
    this.sorted = [...this.valuesAt.keys()].sort((a, b) => a - b)
    this.ranks = new Map(this.sorted.map((offset, index) => [offset, index]))
    return this.ranks
  }
}

function setOf<K, V>(map: Map<K, Set<V>>, key: K): Set<V> {
  let set = map.get(key)
  if (set === undefined) map.set(key, (set = new Set()))
  return set
}

/** The history, read once: who wrote what, what was seen, which operations have committed. */
export class Evidence {
  readonly orders = new Map<string, VersionOrder>()
  /** The sends of each value, by partition: one, as values are unique, unless the test itself is wrong. */
  readonly writers = new Map<string, Map<Value, Send>>()
  /** Values that ok operations polled, by partition. */
  readonly readOk = new Map<string, Set<Value>>()
  /** By place in the history: ok, or unknown with any of its writes seen. */
  readonly committed: readonly boolean[]

  constructor(readonly history: History) {
    history.forEach((operation, op) => {
      for (const send of sendsOf(operation, op)) {
        const writers = this.writers.get(send.partition) ?? new Map<Value, Send>()
        this.writers.set(send.partition, writers.set(send.value, send))
      }
      if (operation.type !== 'ok') return
      for (const [partition, records] of pollsOf(operation)) {
        const seen = setOf(this.readOk, partition)
        for (const [, value] of records) seen.add(value)
      }
    })
    this.committed = history.map((operation, op) => {
      if (operation.type === 'ok') return true
      if (operation.type === 'fail') return false
      for (const send of sendsOf(operation, op)) if (this.wasRead(send.partition, send.value)) return true
      return false
    })
    history.forEach((operation, op) => {
      for (const [partition, records] of pollsOf(operation)) {
        for (const [offset, value] of records) this.order(partition).add(offset, value)
      }
      if (!this.committed[op]) return
      for (const { partition, offset, value } of sendsOf(operation, op)) {
        if (offset !== null) this.order(partition).add(offset, value)
      }
    })
  }

  order(partition: string): VersionOrder {
    let order = this.orders.get(partition)
    if (order === undefined) this.orders.set(partition, (order = new VersionOrder()))
    return order
  }

  wasRead(partition: string, value: Value): boolean {
    return this.readOk.get(partition)?.has(value) === true
  }

  /** The sends of committed operations. */
  *committedSends(): Generator<Send> {
    for (let op = 0; op < this.history.length; op++) {
      if (this.committed[op]) yield* sendsOf(this.history[op]!, op)
    }
  }
}
