/**
 * An ordered map of bytes with atomic, synced batches: `level` for real. It is not trusted: what stands above it
 * carries its own checksums, since a LevelDB may open in silence with a suffix of its batches lost.
 */
export interface OrderedStore {
  /** Applies all operations at once and calls `done` when they are durable. Batches are applied in the order of the calls. */
  batch(operations: readonly StoreOperation[], done: (error: Error | null) => void): void
  /** All entries with gte <= key < lt, in the bytewise order of the keys. */
  scan(
    range: { gte: Uint8Array; lt: Uint8Array },
    done: (error: Error | null, entries: readonly StoreEntry[]) => void,
  ): void
  close(done: (error: Error | null) => void): void
}

/**
 * A store that cannot be opened or read. `isDamaged`: its own files are missing or fail their checks. Else nothing is
 * known of them (no space, no file handles, no permission, another process), and they must stay where they are.
 */
export class StoreError extends Error {
  override name = 'StoreError'
  constructor(
    readonly isDamaged: boolean,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

export interface StoreEntry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export type StoreOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }
