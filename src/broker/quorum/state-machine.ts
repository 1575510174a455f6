import type { LogIndex } from '../../lib/ids.js'
import type { MetadataRecord } from '../../metadata/records.js'
import { MutableImage } from '../../metadata/replay.js'
import type { BatchCodec } from '../../ports/record-codec.js'
import type { Entry, Snapshot } from '../../raft/types.js'
import type { QuorumSettings } from './options.js'

/** About a thousand records: read within a few milliseconds. */
const SNAPSHOT_PART_BYTES = 64 * 1024

/** What the committed log amounts to on this node, and when it is worth a snapshot. */
export class StateMachine {
  image = new MutableImage()
  appliedIndex: LogIndex = 0
  /** Of a snapshot that is being read. */
  private restored = new MutableImage()
  private entriesSinceSnapshot = 0
  private bytesSinceSnapshot = 0

  constructor(
    private readonly codec: BatchCodec<MetadataRecord>,
    private readonly settings: Pick<QuorumSettings, 'snapshotEntries' | 'snapshotBytes'>,
  ) {}

  /** Returns the records in order. */
  apply(entries: readonly Entry[]): MetadataRecord[] {
    const all: MetadataRecord[] = []
    for (const entry of entries) {
      this.appliedIndex = entry.index
      this.entriesSinceSnapshot++
      if (entry.type !== 'data') continue
      this.bytesSinceSnapshot += entry.payload.length
      for (const record of this.codec.decode(entry.payload)) {
        this.image.apply(record)
        all.push(record)
      }
    }
    return all
  }

  /** At once: only where nothing else waits for the loop. */
  restore(snapshot: Snapshot): readonly MetadataRecord[] {
    const records: MetadataRecord[] = []
    for (const part of this.beginRestore(snapshot))
      for (const record of this.restorePart(part)) records.push(record)
    this.endRestore(snapshot)
    return records
  }

  /** The parts that `restorePart` wants, in their order; until `endRestore` the state is what it was. */
  beginRestore(snapshot: Snapshot): Uint8Array[] {
    this.restored = new MutableImage()
    return this.codec.split(snapshot.data, SNAPSHOT_PART_BYTES)
  }

  restorePart(part: Uint8Array): readonly MetadataRecord[] {
    const records = this.codec.decode(part)
    for (const record of records) this.restored.apply(record)
    return records
  }

  endRestore(snapshot: Snapshot): void {
    this.image = this.restored
    this.restored = new MutableImage()
    this.appliedIndex = snapshot.index
    this.snapshotBegun()
  }

  get isSnapshotDue(): boolean {
    const { snapshotEntries, snapshotBytes } = this.settings
    return this.entriesSinceSnapshot >= snapshotEntries || this.bytesSinceSnapshot >= snapshotBytes
  }

  /** One is taken of what has been applied now. */
  snapshotBegun(): void {
    this.entriesSinceSnapshot = 0
    this.bytesSinceSnapshot = 0
  }
}
