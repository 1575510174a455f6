import type { TopicConfig } from '../../metadata/configs.js'
import type { Compression } from '../../ports/compression.js'
import { ErrorCode } from '../../wire/errors.js'
import {
  type InvalidBatch,
  isInvalid,
  validateProduceBatches,
  validateRecords,
} from '../../wire/record-validation.js'
import { type BatchView, CompressionCodec, iterateBatches, verifyCrc } from '../../wire/records.js'
import { InflationBudget, MAX_INFLATED_BYTES } from './inflation-budget.js'
import type { AppendOptions } from './types.js'

export type AppendValidation =
  | { readonly type: 'valid'; readonly batches: readonly BatchView[] }
  | { readonly type: 'invalid'; readonly errorCode: number; readonly message: string }

/** Of a version of Produce that has everything: what a broker's own writes are. */
const NEWEST_PRODUCE = 13

/**
 * What a leader checks before it appends. The records of a client's batch are looked at only where the topic is
 * compacted, since one without a key could never be replaced.
 */
export function validateAppend(
  records: Uint8Array,
  options: Pick<AppendOptions, 'origin' | 'apiVersion' | 'inflation'>,
  config: TopicConfig,
  compression: Compression,
  nowWallMs: number,
): AppendValidation {
  if (options.origin === 'coordinator') return ownBatches(records, config)
  const batch = validateProduceBatches(records, {
    maxBatchBytes: config.maxMessageBytes,
    apiVersion: options.apiVersion ?? NEWEST_PRODUCE,
  })
  if (isInvalid(batch)) return refused(batch)
  if (batch.isTransactional) {
    return invalid(
      ErrorCode.INVALID_TXN_STATE,
      'transactions are not offered: produce without a transactional.id',
    )
  }
  const timestamps = checkTimestamps(batch, config, nowWallMs)
  if (timestamps !== null) return timestamps
  const fault = config.cleanupCompact ? checkKeys(batch, compression, options.inflation) : null
  return fault ?? { type: 'valid', batches: [batch] }
}

/**
 * A compacted topic takes no record without key. What one request's budget does not reach is refused with an error that
 * producers retry, which comes through, since the batches before it are not sent again. Holding it back would hold
 * back whatever its connection sends after it, for the order.
 */
function checkKeys(
  batch: BatchView,
  compression: Compression,
  budget = new InflationBudget(),
): AppendValidation | null {
  const { isWhole } = budget
  const isCompressed = batch.compressionCodec !== CompressionCodec.none
  if (isCompressed && budget.isSpent) return overdrawn()
  const fault = validateRecords(batch, {
    compression: budget.meter(compression),
    maxBytes: MAX_INFLATED_BYTES,
    requireKeys: true,
  })
  if (fault === null) return null
  return isCompressed && budget.isSpent && !isWhole ? overdrawn() : refused(fault)
}

/** Of the errors that say nothing was appended, the one that every producer retries. */
function overdrawn(): AppendValidation {
  return invalid(
    ErrorCode.NOT_ENOUGH_REPLICAS,
    `the batches of one request for compacted topics have more than ${MAX_INFLATED_BYTES} bytes decompressed: send fewer at a time`,
  )
}

/** The broker made these itself: several batches, perhaps, and always whole. */
function ownBatches(records: Uint8Array, config: TopicConfig): AppendValidation {
  const batches = [...iterateBatches(records)]
  const bytes = batches.reduce((sum, batch) => sum + batch.sizeInBytes, 0)
  if (batches.length === 0 || bytes !== records.length || !batches.every(verifyCrc)) {
    return invalid(ErrorCode.CORRUPT_MESSAGE, `${records.length} bytes are no whole, sound batches`)
  }
  const largest = Math.max(...batches.map((batch) => batch.sizeInBytes))
  return largest > config.maxMessageBytes
    ? invalid(
        ErrorCode.MESSAGE_TOO_LARGE,
        `a batch has ${largest} bytes, max.message.bytes allows ${config.maxMessageBytes}`,
      )
    : { type: 'valid', batches }
}

/** message.timestamp.before.max.ms and its counterpart (KIP-937). −1: the producer gave no time. */
function checkTimestamps(batch: BatchView, config: TopicConfig, nowWallMs: number): AppendValidation | null {
  const { baseTimestamp, maxTimestamp } = batch
  if (config.messageTimestampType === 'LogAppendTime' || maxTimestamp === -1) return null
  if (maxTimestamp < -1)
    return invalid(ErrorCode.INVALID_TIMESTAMP, `the timestamp ${maxTimestamp} is before 1970`)
  if (BigInt(nowWallMs) - BigInt(baseTimestamp) > config.messageTimestampBeforeMaxMs) {
    return invalid(
      ErrorCode.INVALID_TIMESTAMP,
      `the timestamp ${baseTimestamp} is older than message.timestamp.before.max.ms=${config.messageTimestampBeforeMaxMs} allows`,
    )
  }
  if (BigInt(maxTimestamp) - BigInt(nowWallMs) > config.messageTimestampAfterMaxMs) {
    return invalid(
      ErrorCode.INVALID_TIMESTAMP,
      `the timestamp ${maxTimestamp} is further ahead than message.timestamp.after.max.ms=${config.messageTimestampAfterMaxMs} allows`,
    )
  }
  return null
}

function refused(fault: InvalidBatch): AppendValidation {
  return invalid(fault.errorCode, fault.message)
}

function invalid(errorCode: number, message: string): AppendValidation {
  return { type: 'invalid', errorCode, message }
}
