import type { MetadataRecord } from '../../metadata/records.js'
import type { MutableImage } from '../../metadata/replay.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { RecordCodec } from '../../ports/record-codec.js'

/** Encoded within a few milliseconds. */
const TURN_RECORDS = 500
const PAUSE_MS = 1

/**
 * Encodes snapshots without holding the loop up: a large one over many turns, from a clone, which shares all but its
 * indexes with the image that moves on. The batches are joined as they are, since batches of records that follow each
 * other in protobuf are one batch.
 */
export class SnapshotWriter {
  private timer: Timer | undefined

  constructor(
    private readonly clock: Clock,
    private readonly codec: RecordCodec<readonly MetadataRecord[]>,
  ) {}

  get isWriting(): boolean {
    return this.timer !== undefined
  }

  /** `done` comes at once where the image is small. One at a time. */
  write(image: MutableImage, done: (data: Uint8Array) => void): void {
    if (sizeOf(image) <= TURN_RECORDS) done(this.codec.encode(image.toRecords()))
    else this.continue(image.clone().records(), [], done)
  }

  /** Another snapshot has come, or nobody wants one any more. */
  cancel(): void {
    this.timer?.cancel()
    this.timer = undefined
  }

  private continue(
    records: Iterator<MetadataRecord>,
    chunks: Uint8Array[],
    done: (data: Uint8Array) => void,
  ): void {
    const turn: MetadataRecord[] = []
    let isLast = false
    while (turn.length < TURN_RECORDS && !isLast) {
      const next = records.next()
      if (next.done === true) isLast = true
      else turn.push(next.value)
    }
    chunks.push(this.codec.encode(turn))
    this.timer = undefined
    if (isLast) done(Buffer.concat(chunks))
    else this.timer = this.clock.after(PAUSE_MS, () => this.continue(records, chunks, done))
  }
}

function sizeOf(image: MutableImage): number {
  let records = 0
  for (const topic of image.topicsById.values()) {
    records += 1 + topic.partitions.length
    if (records > TURN_RECORDS) break
  }
  return records
}
