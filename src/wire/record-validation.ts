/**
 * What a leader checks of a client's batch before it writes it (as Kafka's LogValidator and UnifiedLog do): one
 * damaged byte that gets into the log would be served to every consumer and copied to every replica.
 */
import type { Compression } from '../ports/compression.js'
import { ErrorCode } from './errors.js'
import { Reader, WireError } from './primitives.js'
import {
  BATCH_HEADER_BYTES,
  BatchView,
  CompressionCodec,
  NO_PRODUCER_ID,
  verifyCrc,
  walkRecords,
} from './records.js'

export interface InvalidBatch {
  readonly errorCode: number
  /** Names the cause; goes out to the client from Produce v8 on. */
  readonly message: string
  /** Which record is at fault, where one is. */
  readonly batchIndex?: number
}

export interface ProduceValidation {
  /** max.message.bytes of the topic. */
  readonly maxBatchBytes: number
  /** Of the Produce request: zstd came with version 7 (KIP-110). */
  readonly apiVersion: number
}

/**
 * The one batch of a partition's Produce data, or why it is refused. Reads its header and its CRC; of records that
 * are not compressed the lengths and offsets too. What is compressed stays so: see `validateRecords`.
 */
export function validateProduceBatches(
  bytes: Uint8Array | null,
  limits: ProduceValidation,
): BatchView | InvalidBatch {
  if (bytes === null || bytes.length === 0) return invalidRecord('the partition came without a record batch')
  if (bytes.length < BATCH_HEADER_BYTES) return corrupt(`${bytes.length} bytes are less than a batch header`)
  const batch = new BatchView(bytes)
  // Magic 0 and 1 share nothing with magic 2 but these first 17 bytes: nothing else may be looked at before.
  if (batch.magic !== 2) {
    return invalidRecord(`record batches must have magic 2, this one has ${batch.magic}`)
  }
  const size = batch.sizeInBytes
  if (size < BATCH_HEADER_BYTES || size > bytes.length) {
    return corrupt(`the batch declares ${size} bytes, there are ${bytes.length}`)
  }
  if (size < bytes.length) return invalidRecord('a partition takes exactly one record batch per request')
  if (size > limits.maxBatchBytes) {
    return {
      errorCode: ErrorCode.MESSAGE_TOO_LARGE,
      message: `the batch has ${size} bytes, max.message.bytes allows ${limits.maxBatchBytes}`,
    }
  }
  if (!verifyCrc(batch)) return corrupt(`the CRC is ${batch.computeCrc()}, the batch says ${batch.crc}`)
  return validateHeader(batch, limits.apiVersion) ?? validateOffsets(batch) ?? batch
}

export function isInvalid(result: BatchView | InvalidBatch): result is InvalidBatch {
  return !(result instanceof BatchView)
}

function validateHeader(batch: BatchView, apiVersion: number): InvalidBatch | null {
  const { recordCount, lastOffsetDelta } = batch
  if (batch.baseOffset !== 0) return invalidRecord(`the base offset must be 0, it is ${batch.baseOffset}`)
  if (recordCount <= 0) return invalidRecord(`the batch declares ${recordCount} records`)
  if (lastOffsetDelta !== recordCount - 1) {
    return invalidRecord(
      `the batch declares ${recordCount} records and a last offset delta of ${lastOffsetDelta}`,
    )
  }
  if (batch.isControl) return invalidRecord('clients must not write control batches')
  return validateCodec(batch, apiVersion) ?? validateTimestamps(batch) ?? validateProducer(batch)
}

function validateCodec(batch: BatchView, apiVersion: number): InvalidBatch | null {
  const codec = batch.compressionCodec
  if (codec > CompressionCodec.zstd) return invalidRecord(`compression codec ${codec} is not known`)
  if (codec === CompressionCodec.zstd && apiVersion < 7) {
    return {
      errorCode: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
      message: `zstd needs Produce version 7, the request has ${apiVersion}`,
    }
  }
  return null
}

function validateTimestamps(batch: BatchView): InvalidBatch | null {
  if (batch.timestampType === 'LogAppendTime') return invalidTimestamp('clients must not set LogAppendTime')
  if (!Number.isSafeInteger(batch.baseTimestamp) || !Number.isSafeInteger(batch.maxTimestamp)) {
    return invalidTimestamp('a timestamp lies outside ±2⁵³')
  }
  return null
}

function validateProducer(batch: BatchView): InvalidBatch | null {
  if (batch.producerId === NO_PRODUCER_ID) {
    return batch.isTransactional ? invalidRecord('a transactional batch needs a producer id') : null
  }
  if (!Number.isSafeInteger(batch.producerId) || batch.producerId < 0) {
    return invalidRecord(`the producer id ${batch.producerId} was not handed out by a broker`)
  }
  if (batch.producerEpoch < 0) return invalidRecord(`the producer epoch is ${batch.producerEpoch}`)
  if (batch.baseSequence < 0) return invalidRecord(`the base sequence is ${batch.baseSequence}`)
  return null
}

/** The header's count and offsets must be those of the records; a few bytes of each are looked at. */
function validateOffsets(batch: BatchView): InvalidBatch | null {
  if (batch.compressionCodec !== CompressionCodec.none) return null
  const reader = new Reader(batch.recordBytes)
  const { recordCount } = batch
  let place = 0
  try {
    for (; place < recordCount; place++) {
      const length = reader.varint()
      const end = reader.offset + length
      // Attributes, one byte, then the timestamp's delta.
      reader.skip(1)
      reader.varlong()
      const offsetDelta = reader.varint()
      if (offsetDelta !== place) {
        return { ...invalidRecord(`its offset delta is ${offsetDelta}, not ${place}`), batchIndex: place }
      }
      if (end < reader.offset) throw new WireError(`a record of ${length} bytes`)
      reader.skip(end - reader.offset)
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return { ...invalidRecord(error.message), batchIndex: place }
  }
  return reader.remaining === 0 ? null : invalidRecord(`${reader.remaining} bytes follow the last record`)
}

export interface RecordValidation {
  readonly compression: Compression
  /** Caps what decompression may yield. */
  readonly maxBytes: number
  /** cleanup.policy=compact: a record without a key could never be replaced. */
  readonly requireKeys: boolean
}

/** Walks the records: layout, ascending offsets without gaps, timestamps, keys. Null: all is well. */
export function validateRecords(batch: BatchView, options: RecordValidation): InvalidBatch | null {
  let place = 0
  let fault: InvalidBatch | null = null
  try {
    walkRecords(batch, options.compression, options.maxBytes, (offset, timestamp, hasKey) => {
      fault = validateRecord(offset, timestamp, hasKey, batch.baseOffset + place, options)
      if (fault === null) place++
      return fault === null
    })
    return fault === null ? null : { ...(fault as InvalidBatch), batchIndex: place }
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return { ...invalidRecord(error.message), batchIndex: place }
  }
}

function validateRecord(
  offset: number,
  timestamp: number,
  hasKey: boolean,
  expectedOffset: number,
  options: RecordValidation,
): InvalidBatch | null {
  if (offset !== expectedOffset) {
    return invalidRecord(
      `its offset delta does not follow the record before: ${offset}, not ${expectedOffset}`,
    )
  }
  if (!Number.isSafeInteger(timestamp)) return invalidTimestamp('a timestamp lies outside ±2⁵³')
  if (options.requireKeys && !hasKey) return invalidRecord('a compacted topic takes no record without key')
  return null
}

function corrupt(message: string): InvalidBatch {
  return { errorCode: ErrorCode.CORRUPT_MESSAGE, message }
}

function invalidRecord(message: string): InvalidBatch {
  return { errorCode: ErrorCode.INVALID_RECORD, message }
}

function invalidTimestamp(message: string): InvalidBatch {
  return { errorCode: ErrorCode.INVALID_TIMESTAMP, message }
}
