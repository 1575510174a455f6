import type { LeaderEpoch, Offset } from '../lib/ids.js'

/**
 * The head of a record batch v2, as far as a log must know it (Kafka protocol guide, "Record Batch"):
 *
 *   0  baseOffset int64            21 attributes int16        43 producerId int64
 *   8  batchLength int32           23 lastOffsetDelta int32   51 producerEpoch int16
 *   12 partitionLeaderEpoch int32  27 baseTimestamp int64     53 baseSequence int32
 *   16 magic int8                  35 maxTimestamp int64      57 recordCount int32
 *   17 crc uint32, of all from 21 on                          61 records
 */
export interface BatchHeader {
  readonly baseOffset: Offset
  readonly lastOffset: Offset
  readonly leaderEpoch: LeaderEpoch
  readonly maxTimestampMs: number
  /** The whole batch, prefix included. */
  readonly sizeInBytes: number
  readonly crc: number
}

export const HEADER_BYTES = 61
export const CRC_FROM = 21
/** Far above any `max.message.bytes`; a length beyond it is damage. */
export const MAX_BATCH_BYTES = 0x7fff_ffff - 12

/** The header at `at`; null where what stands there can be no batch of version 2. Checks no CRC. */
export function parseHeader(bytes: Uint8Array, at = 0): BatchHeader | null {
  if (bytes.length - at < HEADER_BYTES) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES)
  const sizeInBytes = view.getInt32(8) + 12
  const lastOffsetDelta = view.getInt32(23)
  const baseOffset = int64(view, 0)
  if (view.getInt8(16) !== 2 || sizeInBytes < HEADER_BYTES || sizeInBytes > MAX_BATCH_BYTES) return null
  if (lastOffsetDelta < 0 || !Number.isSafeInteger(baseOffset) || baseOffset < 0) return null
  return {
    baseOffset,
    lastOffset: baseOffset + lastOffsetDelta,
    leaderEpoch: view.getInt32(12),
    maxTimestampMs: int64(view, 35),
    sizeInBytes,
    crc: view.getUint32(17),
  }
}

function int64(view: DataView, at: number): number {
  return view.getInt32(at) * 0x1_0000_0000 + view.getUint32(at + 4)
}
