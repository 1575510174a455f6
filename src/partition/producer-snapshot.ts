import type { Offset } from '../lib/ids.js'
import { crc32c } from '../wire/crc32c.js'
import {
  lastSequenceOf,
  type ProducerEntry,
  type ProducerState,
  type RememberedBatch,
  sequenceDelta,
} from './producer-state.js'

/**
 * Kafka's `.snapshot` file, version 1 (ProducerSnapshot.json): int16 version, uint32 crc-32c of all that follows,
 * int32 count, then for each producer: id int64, epoch int16, last sequence int32, last offset int64, offset delta
 * int32, timestamp int64, coordinator epoch int32, first offset of the open transaction int64.
 *
 * That names the last batch of each producer alone: after a clean restart a retry of an earlier one in flight would be
 * out of order. So ours goes on, where Kafka's ends: for each producer, in the same order, int8 count of the batches
 * before the last, oldest first, each as last sequence int32, last offset int64, offset delta int32, timestamp int64.
 * A file without them is read as well.
 */
const VERSION = 1
const HEADER_BYTES = 2 + 4
const ENTRY_BYTES = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8
const EARLIER_BYTES = 4 + 8 + 4 + 8
const NO_SEQUENCE = -1

/** A producer, and its batches below the snapshot's offset, oldest first. */
interface Row {
  readonly producerId: number
  readonly entry: Readonly<ProducerEntry>
  readonly batches: readonly RememberedBatch[]
}

/** Only what lies below `upTo`: the state may be ahead of the snapshot's offset. */
export function encodeProducerSnapshot(state: ProducerState, upTo: Offset): Uint8Array {
  const rows = [...state.all()]
    .map(
      ([producerId, entry]): Row => ({
        producerId,
        entry,
        batches: entry.batches.filter((batch) => batch.lastOffset < upTo),
      }),
    )
    // Whoever has batches, but none below, is known from the log that follows alone.
    .filter(({ entry, batches }) => batches.length > 0 || entry.batches.length === 0)
  const earlier = rows.reduce((sum, { batches }) => sum + Math.max(0, batches.length - 1), 0)
  const earlierBytes = earlier === 0 ? 0 : rows.length + earlier * EARLIER_BYTES
  const bytes = Buffer.alloc(HEADER_BYTES + 4 + rows.length * ENTRY_BYTES + earlierBytes)
  bytes.writeInt16BE(VERSION, 0)
  bytes.writeInt32BE(rows.length, HEADER_BYTES)
  let at = HEADER_BYTES + 4
  for (const row of rows) at = writeEntry(bytes, at, row)
  if (earlier > 0) for (const { batches } of rows) at = writeEarlier(bytes, at, batches.slice(0, -1))
  bytes.writeUInt32BE(crc32c(bytes.subarray(HEADER_BYTES)), 2)
  return bytes
}

function writeEntry(bytes: Buffer, at: number, { producerId, entry, batches }: Row): number {
  const last = batches.at(-1)
  bytes.writeBigInt64BE(BigInt(producerId), at)
  bytes.writeInt16BE(entry.producerEpoch, at + 8)
  bytes.writeInt32BE(last?.lastSequence ?? NO_SEQUENCE, at + 10)
  bytes.writeBigInt64BE(BigInt(last?.lastOffset ?? -1), at + 14)
  bytes.writeInt32BE(last === undefined ? 0 : sequenceDelta(last.baseSequence, last.lastSequence), at + 22)
  bytes.writeBigInt64BE(BigInt(last?.timestampMs ?? -1), at + 26)
  bytes.writeInt32BE(entry.coordinatorEpoch, at + 34)
  bytes.writeBigInt64BE(BigInt(entry.currentTxnFirstOffset), at + 38)
  return at + ENTRY_BYTES
}

function writeEarlier(bytes: Buffer, at: number, batches: readonly RememberedBatch[]): number {
  bytes.writeInt8(batches.length, at)
  at += 1
  for (const batch of batches) {
    bytes.writeInt32BE(batch.lastSequence, at)
    bytes.writeBigInt64BE(BigInt(batch.lastOffset), at + 4)
    bytes.writeInt32BE(sequenceDelta(batch.baseSequence, batch.lastSequence), at + 12)
    bytes.writeBigInt64BE(BigInt(batch.timestampMs), at + 16)
    at += EARLIER_BYTES
  }
  return at
}

/** Adds what the snapshot holds to `state`. False where it is damaged: then nothing was added, rebuild from the log. */
export function decodeProducerSnapshot(bytes: Uint8Array, state: ProducerState, nowMs: number): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length < HEADER_BYTES + 4 || buffer.readInt16BE(0) !== VERSION) return false
  if (buffer.readUInt32BE(2) !== crc32c(buffer.subarray(HEADER_BYTES))) return false
  const count = buffer.readInt32BE(HEADER_BYTES)
  const entriesEnd = HEADER_BYTES + 4 + count * ENTRY_BYTES
  if (count < 0 || buffer.length < entriesEnd) return false
  const earlier = readAllEarlier(buffer, entriesEnd, count)
  if (earlier === null) return false
  for (let index = 0; index < count; index++) {
    restoreEntry(buffer, HEADER_BYTES + 4 + index * ENTRY_BYTES, earlier[index]!, state, nowMs)
  }
  return true
}

/** By entry; null where the bytes do not add up. */
function readAllEarlier(buffer: Buffer, start: number, count: number): RememberedBatch[][] | null {
  const all: RememberedBatch[][] = []
  let at = start
  const isKafkas = buffer.length === start
  for (let index = 0; index < count; index++) {
    const batches: RememberedBatch[] = []
    all.push(batches)
    if (isKafkas) continue
    if (at >= buffer.length) return null
    const end = at + 1 + buffer.readInt8(at) * EARLIER_BYTES
    if (end <= at || end > buffer.length) return null
    for (at += 1; at < end; at += EARLIER_BYTES) batches.push(readBatch(buffer, at, at + 4, at + 12, at + 16))
  }
  return at === buffer.length ? all : null
}

function readBatch(
  buffer: Buffer,
  sequenceAt: number,
  offsetAt: number,
  deltaAt: number,
  timestampAt: number,
): RememberedBatch {
  const lastSequence = buffer.readInt32BE(sequenceAt)
  const lastOffset = Number(buffer.readBigInt64BE(offsetAt))
  const delta = buffer.readInt32BE(deltaAt)
  return {
    baseSequence: lastSequence === NO_SEQUENCE ? NO_SEQUENCE : firstSequence(lastSequence, delta),
    lastSequence,
    baseOffset: lastOffset - delta,
    lastOffset,
    timestampMs: Number(buffer.readBigInt64BE(timestampAt)),
  }
}

function restoreEntry(
  buffer: Buffer,
  at: number,
  earlier: readonly RememberedBatch[],
  state: ProducerState,
  nowMs: number,
): void {
  const last = readBatch(buffer, at + 10, at + 14, at + 22, at + 26)
  state.restore(Number(buffer.readBigInt64BE(at)), {
    producerEpoch: buffer.readInt16BE(at + 8),
    batches: last.lastSequence === NO_SEQUENCE ? [] : [...earlier, last],
    lastUsedMs: nowMs,
    coordinatorEpoch: buffer.readInt32BE(at + 34),
    currentTxnFirstOffset: Number(buffer.readBigInt64BE(at + 38)),
  })
}

/** The inverse of lastSequenceOf, across the wrap at 2³¹. */
function firstSequence(lastSequence: number, delta: number): number {
  return lastSequenceOf(lastSequence, 0x8000_0000 - delta)
}
