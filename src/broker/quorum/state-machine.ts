import type { LogIndex } from '../../lib/ids.js'
import type { MetadataRecord } from '../../metadata/records.js'
import { MutableImage } from '../../metadata/replay.js'
import type { RecordCodec } from '../../ports/record-codec.js'
import type { Entry, Snapshot } from '../../raft/types.js'
import type { QuorumSettings } from './options.js'

/** What the committed log amounts to on this node, and when it is worth a snapshot. */
export class StateMachine {
  image = new MutableImage()
  appliedIndex: LogIndex = 0
  private entriesSinceSnapshot = 0
  private bytesSinceSnapshot = 0

  constructor(
    private readonly codec: RecordCodec<readonly MetadataRecord[]>,
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

  restore(snapshot: Snapshot): readonly MetadataRecord[] {
    const records = this.codec.decode(snapshot.data)
    this.image = MutableImage.replay(records)
    this.appliedIndex = snapshot.index
    this.entriesSinceSnapshot = 0
    this.bytesSinceSnapshot = 0
    return records
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
