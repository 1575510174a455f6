import { Level } from 'level'
import {
  type OrderedStore,
  type StoreEntry,
  StoreError,
  type StoreOperation,
} from '../ports/ordered-store.js'
import { findDamage } from './level-damage.js'

type Binary = Level<Uint8Array, Uint8Array>

/** LevelDB through `level`. Every batch is synced: `level` itself would not (`sync: false`). */
export class LevelStore implements OrderedStore {
  private constructor(private readonly db: Binary) {}

  /**
   * Opens the store at `path`. `createIfMissing` only at the first boot: afterwards a missing store is damage, never an
   * empty one. Every checksum is checked first (level-damage.ts).
   * `done` gets a StoreError.
   */
  static open(
    path: string,
    options: { createIfMissing: boolean },
    done: (error: Error | null, store: LevelStore | null) => void,
  ): void {
    let damage: string | null
    try {
      damage = findDamage(path)
    } catch (error) {
      return later(() => done(storeError(`the store ${path} cannot be opened`, error as Error), null))
    }
    if (damage !== null)
      return later(() => done(new StoreError(true, `the store ${path} is damaged: ${damage}`), null))
    // Not compressed: metadata is small, and its snapshots hold ids and numbers, of which little is saved.
    const db: Binary = new Level(path, { keyEncoding: 'view', valueEncoding: 'view', compression: false })
    // `errorIfExists` stays off: a first boot that was cut short goes on with what it left.
    db.open({ createIfMissing: options.createIfMissing }).then(
      () => later(() => done(null, new LevelStore(db))),
      (error: Error) => later(() => done(storeError(`the store ${path} cannot be opened`, error), null)),
    )
  }

  batch(operations: readonly StoreOperation[], done: (error: Error | null) => void): void {
    settle(this.db.batch([...operations], { sync: true }), done)
  }

  scan(
    range: { gte: Uint8Array; lt: Uint8Array },
    done: (error: Error | null, entries: readonly StoreEntry[]) => void,
  ): void {
    this.db
      .iterator({ gte: range.gte, lt: range.lt })
      .all()
      .then(
        (pairs) => {
          const entries = pairs.map(([key, value]) => ({ key, value }))
          later(() => done(null, entries))
        },
        (error: Error) => later(() => done(storeError('the store cannot be read', error), [])),
      )
  }

  close(done: (error: Error | null) => void): void {
    settle(this.db.close(), done)
  }
}

function settle(promise: Promise<void>, done: (error: Error | null) => void): void {
  promise.then(
    () => later(() => done(null)),
    (error: Error) => later(() => done(error)),
  )
}

/** Out of the promise, so that what the callback throws is an uncaught exception and no rejection. */
function later(input: () => void): void {
  process.nextTick(input)
}

function storeError(what: string, error: Error): StoreError {
  const root = error.cause instanceof Error ? error.cause : error
  const cause = root === error ? '' : `: ${root.message}`
  return new StoreError(isDamage(root), `${what}: ${error.message}${cause}`, { cause: error })
}

/** LevelDB tells its own damage from the system's errors by code; a file that is not there has none of its own. */
function isDamage(error: Error): boolean {
  if ((error as { code?: unknown }).code === 'LEVEL_CORRUPTION') return true
  return /does not exist \(create_if_missing is false\)|No such file or directory/.test(error.message)
}
