import type { LogIndex } from '../lib/ids.js'
import type { RaftMessage, Snapshot } from './types.js'

type InstallSnapshot = Extract<RaftMessage, { type: 'installSnapshot' }>

/** A leader's snapshot, chunk by chunk (Raft §7). It resumes where it stopped, and counts only when it is whole. */
export class SnapshotAssembly {
  private readonly chunks: Uint8Array[] = []
  receivedBytes = 0

  constructor(
    private readonly head: InstallSnapshot,
    /** When the last chunk came, one that was here already included: its sender is alive. */
    public lastChunkMs: number,
  ) {}

  get index(): LogIndex {
    return this.head.index
  }

  /** Is this chunk of the same snapshot? Another leader may send the same index with other bytes. */
  belongs(message: InstallSnapshot): boolean {
    const { head } = this
    return (
      message.index === head.index &&
      message.snapshotTerm === head.snapshotTerm &&
      message.totalBytes === head.totalBytes &&
      message.checksum === head.checksum
    )
  }

  /** Takes the chunk where it continues what is here. */
  add(message: InstallSnapshot, nowMs: number): void {
    this.lastChunkMs = nowMs
    if (message.offset !== this.receivedBytes) return
    if (this.receivedBytes + message.chunk.length > this.head.totalBytes) return
    this.chunks.push(message.chunk)
    this.receivedBytes += message.chunk.length
  }

  get isWhole(): boolean {
    return this.receivedBytes === this.head.totalBytes
  }

  /** undefined where the bytes are not those that the leader has. */
  finish(checksum: (bytes: Uint8Array) => number): Snapshot | undefined {
    const data = Buffer.concat(this.chunks)
    if (checksum(data) !== this.head.checksum) return undefined
    const { index, snapshotTerm, configuration, clusterId } = this.head
    return { index, term: snapshotTerm, configuration, clusterId, data }
  }
}
