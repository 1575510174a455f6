import type { Offset } from '../../lib/ids.js'
import type { PartitionLog } from '../../log/partition-log.js'
import { decodeProducerSnapshot, encodeProducerSnapshot } from '../../partition/producer-snapshot.js'
import { ProducerState, type SequenceCheck } from '../../partition/producer-state.js'
import { BatchView } from '../../wire/records.js'
import type { PartitionContext } from './partition-context.js'

/** Of one partition. What is beyond is forgotten, the least recently used producer first. */
const MAX_PRODUCERS = 20_000
/** The headers of a log that is no longer than this are read faster than thousands of snapshots are written. */
const QUICKLY_READ_BYTES = 64 * 1024

/**
 * The producers of one log, kept in step with it: from its snapshots and headers at the first use and after a cut. So a
 * start reads nothing of the logs that nobody uses.
 */
export class ProducerTable {
  private readonly state: ProducerState
  private isLoaded = false

  constructor(
    private readonly log: PartitionLog,
    private readonly context: Pick<PartitionContext, 'clock' | 'logger' | 'producerExpirationMs'>,
  ) {
    this.state = new ProducerState({
      maxProducers: MAX_PRODUCERS,
      expirationMs: context.producerExpirationMs,
    })
  }

  /** Forgets all, and reads the newest sound snapshot and the headers that follow it. */
  load(): void {
    this.isLoaded = false
    this.state.clear()
    let from = this.log.logStartOffset
    let atMost = this.log.logEndOffset
    for (;;) {
      const snapshot = this.log.readProducerSnapshot(atMost)
      if (snapshot === null) break
      if (decodeProducerSnapshot(snapshot.bytes, this.state, this.context.clock.monotonicMs())) {
        from = Math.max(from, snapshot.offset)
        break
      }
      this.context.logger.warn({ offset: snapshot.offset }, 'a damaged producer snapshot is passed over')
      atMost = snapshot.offset - 1
    }
    if (from < this.log.logEndOffset) {
      this.log.scanHeaders(from, (header) => this.record(new BatchView(header)))
    }
    this.isLoaded = true
  }

  /** @throws DiskError where the log turns out to be damaged */
  ensureLoaded(): void {
    if (!this.isLoaded) this.load()
  }

  /** After `ensureLoaded`. */
  check(batch: BatchView): SequenceCheck {
    this.state.expire(this.context.clock.monotonicMs())
    return this.state.check(batch)
  }

  /** Offsets are in place. @throws DiskError where the log turns out to be damaged */
  recordHeader(batch: BatchView): void {
    this.ensureLoaded()
    this.record(batch)
  }

  private record(batch: BatchView): void {
    if (batch.producerId < 0 || batch.isControl) return
    this.state.record(
      {
        producerId: batch.producerId,
        producerEpoch: batch.producerEpoch,
        baseSequence: batch.baseSequence,
        lastSequence: batch.lastSequence,
        baseOffset: batch.baseOffset,
        lastOffset: batch.lastOffset,
        timestampMs: batch.maxTimestamp,
      },
      this.context.clock.monotonicMs(),
    )
  }

  /** Before a clean stop: where the next load would have to read much, or could not find all in the log. */
  writeFinalSnapshot(): void {
    const { logStartOffset, logEndOffset, sizeBytes } = this.log
    if (logStartOffset > 0 || sizeBytes > QUICKLY_READ_BYTES) this.writeSnapshot(logEndOffset)
  }

  /** What lies at or past `offset` is left out: it may be cut off again, and a snapshot must not outlive that. */
  writeSnapshot(offset: Offset): void {
    if (!this.isLoaded) return
    this.log.writeProducerSnapshot(offset, encodeProducerSnapshot(this.state, offset))
  }
}
