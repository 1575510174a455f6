import type { TopicConfig } from '../../metadata/configs.js'
import { ErrorCode } from '../../wire/errors.js'
import { BATCH_HEADER_BYTES, type BatchView, iterateBatches, verifyCrc } from '../../wire/records.js'

export type AppendValidation =
  | { readonly type: 'valid'; readonly batches: readonly BatchView[] }
  | { readonly type: 'invalid'; readonly errorCode: number; readonly message: string }

const MAGIC = 2
const HIGHEST_CODEC = 4

/**
 * What a leader checks before it appends: whole batches of magic 2, their CRC, counts that fit each other, size and
 * timestamps within the topic's limits. The records inside are not decoded. A client sends exactly one batch.
 */
export function validateAppend(
  records: Uint8Array,
  origin: 'client' | 'coordinator',
  config: TopicConfig,
  nowWallMs: number,
): AppendValidation {
  const batches: BatchView[] = []
  let bytes = 0
  for (const batch of iterateBatches(records)) {
    batches.push(batch)
    bytes += batch.sizeInBytes
  }
  if (batches.length === 0 || bytes !== records.length) {
    if (records.length > 16 && records[16] !== MAGIC) return wrongMagic(records[16]!)
    return corrupt(`the records are no whole batches: ${bytes} of ${records.length} bytes could be read`)
  }
  if (origin === 'client' && batches.length !== 1) {
    return invalid(
      ErrorCode.INVALID_RECORD,
      `a produce carries one batch for a partition, not ${batches.length}`,
    )
  }
  for (const batch of batches) {
    const fault = checkBatch(batch, origin, config, nowWallMs)
    if (fault !== null) return fault
  }
  return { type: 'valid', batches }
}

function checkBatch(
  batch: BatchView,
  origin: 'client' | 'coordinator',
  config: TopicConfig,
  nowWallMs: number,
): AppendValidation | null {
  if (batch.magic !== MAGIC) return wrongMagic(batch.magic)
  const size = batch.sizeInBytes
  if (size > config.maxMessageBytes) {
    return invalid(
      ErrorCode.MESSAGE_TOO_LARGE,
      `a batch of ${size} bytes is over max.message.bytes=${config.maxMessageBytes}`,
    )
  }
  if (!verifyCrc(batch)) return corrupt('the CRC-32C of the batch does not match its bytes')
  const count = batch.recordCount
  if (count <= 0 || count !== batch.lastOffsetDelta + 1 || (count > size && batch.compressionCodec === 0)) {
    return invalid(
      ErrorCode.INVALID_RECORD,
      `${count} records do not fit a last offset delta of ${batch.lastOffsetDelta}`,
    )
  }
  if (batch.compressionCodec === 0 && size - BATCH_HEADER_BYTES < count * 7) {
    return invalid(
      ErrorCode.INVALID_RECORD,
      `${count} records do not fit in ${size - BATCH_HEADER_BYTES} bytes`,
    )
  }
  if (batch.compressionCodec > HIGHEST_CODEC) {
    return invalid(
      ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
      `compression ${batch.compressionCodec} is not known`,
    )
  }
  if (origin === 'client' && batch.isControl) {
    return invalid(ErrorCode.INVALID_RECORD, 'clients may not write control batches')
  }
  if (origin === 'client' && batch.isTransactional) {
    return invalid(
      ErrorCode.INVALID_TXN_STATE,
      'transactions are not offered: produce without a transactional.id',
    )
  }
  return checkProducer(batch) ?? checkTimestamps(batch, config, nowWallMs)
}

function checkProducer(batch: BatchView): AppendValidation | null {
  const { producerId, producerEpoch, baseSequence } = batch
  if (producerId === -1) return null
  if (
    !Number.isSafeInteger(producerId) ||
    producerId < 0 ||
    producerEpoch < 0 ||
    (baseSequence < 0 && !batch.isControl)
  ) {
    return invalid(
      ErrorCode.INVALID_RECORD,
      `producer ${producerId} with epoch ${producerEpoch} and sequence ${baseSequence} is none`,
    )
  }
  return null
}

function checkTimestamps(batch: BatchView, config: TopicConfig, nowWallMs: number): AppendValidation | null {
  if (config.messageTimestampType === 'LogAppendTime') return null
  const { baseTimestamp, maxTimestamp } = batch
  if (!Number.isSafeInteger(baseTimestamp) || !Number.isSafeInteger(maxTimestamp) || maxTimestamp < -1) {
    return invalid(ErrorCode.INVALID_TIMESTAMP, `timestamp ${maxTimestamp} cannot be stored`)
  }
  // -1: the producer gave none.
  if (maxTimestamp === -1) return null
  if (BigInt(nowWallMs - baseTimestamp) > config.messageTimestampBeforeMaxMs) {
    return invalid(
      ErrorCode.INVALID_TIMESTAMP,
      `timestamp ${baseTimestamp} is older than message.timestamp.before.max.ms=${config.messageTimestampBeforeMaxMs} allows`,
    )
  }
  if (BigInt(maxTimestamp - nowWallMs) > config.messageTimestampAfterMaxMs) {
    return invalid(
      ErrorCode.INVALID_TIMESTAMP,
      `timestamp ${maxTimestamp} is further ahead than message.timestamp.after.max.ms=${config.messageTimestampAfterMaxMs} allows`,
    )
  }
  return null
}

function wrongMagic(magic: number): AppendValidation {
  return invalid(
    ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    `record batches of magic ${magic} are not accepted: use a client that writes magic 2`,
  )
}

function corrupt(message: string): AppendValidation {
  return invalid(ErrorCode.CORRUPT_MESSAGE, message)
}

function invalid(errorCode: number, message: string): AppendValidation {
  return { type: 'invalid', errorCode, message }
}
