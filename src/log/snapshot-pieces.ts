import type { LogIndex } from '../lib/ids.js'
import type { StoreEntry, StoreOperation } from '../ports/ordered-store.js'
import type { Snapshot } from '../raft/types.js'
import { crc32c } from '../wire/crc32c.js'
import {
  chunkKey,
  encodeSnapshotHead,
  KEY_SNAPSHOT,
  keyIndex,
  keyKind,
  type SnapshotHead,
} from './raft-log-codec.js'

/** What one batch carries of a snapshot at most: an append that comes meanwhile waits for no more than this. */
export const PIECE_BYTES = 256 * 1024

/**
 * A snapshot on its way to the store, piece by piece. The pieces count for nothing before the head is written behind
 * them, in one batch with whatever it takes the place of.
 */
export class SnapshotPieces {
  private written = 0
  private checksum: number | undefined

  constructor(readonly snapshot: Snapshot) {}

  get index(): LogIndex {
    return this.snapshot.index
  }

  get count(): number {
    return Math.ceil(this.snapshot.data.length / PIECE_BYTES)
  }

  get isWhole(): boolean {
    return this.written === this.count
  }

  /** What is left fits into one batch. */
  get isNearlyWhole(): boolean {
    return this.written >= this.count - 1
  }

  /** The next piece; none where it is whole. */
  next(): StoreOperation[] {
    if (this.isWhole) return []
    const { data } = this.snapshot
    const value = data.subarray(this.written * PIECE_BYTES, (this.written + 1) * PIECE_BYTES)
    this.checksum = crc32c(value, this.checksum)
    return [{ type: 'put', key: chunkKey(this.index, this.written++), value }]
  }

  /** `isWhole` held. */
  head(): StoreOperation {
    const { data, ...snapshot } = this.snapshot
    const checksum = this.checksum ?? crc32c(data)
    const head: SnapshotHead = { snapshot, chunks: this.count, totalBytes: data.length, checksum }
    return { type: 'put', key: KEY_SNAPSHOT, value: encodeSnapshotHead(head) }
  }

  /** Another snapshot came first: what was written of this one goes. */
  abandon(): StoreOperation[] {
    return deleteChunks(this.index, this.written)
  }
}

export function deleteChunks(index: LogIndex, count: number): StoreOperation[] {
  return Array.from({ length: count }, (_, chunk) => ({ type: 'del', key: chunkKey(index, chunk) }))
}

/** Pieces of a snapshot whose head was never written: the process died amid it. */
export function orphanedChunks(
  found: readonly StoreEntry[],
  head: SnapshotHead | undefined,
): StoreOperation[] {
  return found
    .filter(({ key }) => keyKind(key) === 'chunk' && keyIndex(key) !== head?.snapshot.index)
    .map(({ key }) => ({ type: 'del', key }))
}
