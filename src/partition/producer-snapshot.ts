import type { Offset } from '../lib/ids.js'
import { crc32c } from '../wire/crc32c.js'
import { lastSequenceOf, type ProducerState, sequenceDelta } from './producer-state.js'

/**
 * Kafka's `.snapshot` file, version 1 (ProducerSnapshot.json): int16 version, uint32 crc-32c of all that follows,
 * int32 count, then for each producer: id int64, epoch int16, last sequence int32, last offset int64, offset delta
 * int32, timestamp int64, coordinator epoch int32, first offset of the open transaction int64. It holds the last
 * batch of each producer alone.
 */
const VERSION = 1
const HEADER_BYTES = 2 + 4
const ENTRY_BYTES = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
const NO_SEQUENCE = -1

/** Only what lies below `upTo`: the state may be ahead of the snapshot's offset. */
export function encodeProducerSnapshot(state: ProducerState, upTo: Offset): Uint8Array {
  const entries = [...state.all()]
    .map(([producerId, entry]) => ({
      producerId,
      entry,
      last: entry.batches.findLast((batch) => batch.lastOffset < upTo),
    }))
    // Whoever has batches, but none below, is known from the log that follows alone.
    .filter(({ entry, last }) => last !== undefined || entry.batches.length === 0)
  const bytes = Buffer.alloc(HEADER_BYTES + 4 + entries.length * ENTRY_BYTES)
  bytes.writeInt16BE(VERSION, 0)
  bytes.writeInt32BE(entries.length, HEADER_BYTES)
  let at = HEADER_BYTES + 4
  for (const { producerId, entry, last } of entries) {
    bytes.writeBigInt64BE(BigInt(producerId), at)
    bytes.writeInt16BE(entry.producerEpoch, at + 8)
    bytes.writeInt32BE(last?.lastSequence ?? NO_SEQUENCE, at + 10)
    bytes.writeBigInt64BE(BigInt(last?.lastOffset ?? -1), at + 14)
    bytes.writeInt32BE(last === undefined ? 0 : sequenceDelta(last.baseSequence, last.lastSequence), at + 22)
    bytes.writeBigInt64BE(BigInt(last?.timestampMs ?? -1), at + 26)
    bytes.writeInt32BE(entry.coordinatorEpoch, at + 34)
    bytes.writeBigInt64BE(BigInt(entry.currentTxnFirstOffset), at + 38)
    at += ENTRY_BYTES
  }
  bytes.writeUInt32BE(crc32c(bytes.subarray(HEADER_BYTES)), 2)
  return bytes
}

/** Adds what the snapshot holds to `state`. False where it is damaged: then nothing was added, rebuild from the log. */
export function decodeProducerSnapshot(bytes: Uint8Array, state: ProducerState, nowMs: number): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length < HEADER_BYTES + 4 || buffer.readInt16BE(0) !== VERSION) return false
  if (buffer.readUInt32BE(2) !== crc32c(buffer.subarray(HEADER_BYTES))) return false
  const count = buffer.readInt32BE(HEADER_BYTES)
  if (count < 0 || buffer.length !== HEADER_BYTES + 4 + count * ENTRY_BYTES) return false
  for (let index = 0; index < count; index++) {
    restoreEntry(buffer, HEADER_BYTES + 4 + index * ENTRY_BYTES, state, nowMs)
  }
  return true
}

function restoreEntry(buffer: Buffer, at: number, state: ProducerState, nowMs: number): void {
  const lastSequence = buffer.readInt32BE(at + 10)
  const lastOffset = Number(buffer.readBigInt64BE(at + 14))
  const delta = buffer.readInt32BE(at + 22)
  const last = {
    baseSequence: lastSequence === NO_SEQUENCE ? NO_SEQUENCE : firstSequence(lastSequence, delta),
    lastSequence,
    baseOffset: lastOffset - delta,
    lastOffset,
    timestampMs: Number(buffer.readBigInt64BE(at + 26)),
  }
  state.restore(Number(buffer.readBigInt64BE(at)), {
    producerEpoch: buffer.readInt16BE(at + 8),
    batches: lastSequence === NO_SEQUENCE ? [] : [last],
    lastUsedMs: nowMs,
    coordinatorEpoch: buffer.readInt32BE(at + 34),
    currentTxnFirstOffset: Number(buffer.readBigInt64BE(at + 38)),
  })
}

/** The inverse of lastSequenceOf, across the wrap at 2³¹. */
function firstSequence(lastSequence: number, delta: number): number {
  return lastSequenceOf(lastSequence, 0x8000_0000 - delta)
}
