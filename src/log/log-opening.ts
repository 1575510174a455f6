import type { Offset, Uuid } from '../lib/ids.js'
import { DiskError } from '../ports/disk.js'
import { crc32c } from '../wire/crc32c.js'
import { readWhole, writeWhole } from './checkpoint-files.js'
import type { CleanLog } from './clean-shutdown.js'
import { EpochCache } from './epoch-cache.js'
import { PARTITION_METADATA } from './file-names.js'
import type { LogContext } from './log-context.js'
import { type RecoveredLog, recoverLog } from './recovery.js'
import { LogDamage, Segment } from './segment.js'

/**
 * How a log's files come to be used: at the first use. A log that never held a record has none; those of one that was
 * closed by a clean stop are checked first, as at any start.
 */
export type LogOpening =
  | { readonly type: 'new'; readonly sizeBytes: 0 }
  | {
      readonly type: 'closed'
      readonly sizeBytes: number
      /** Everything that belongs to the log is known to be on the disk. */
      readonly isTrusted: boolean
      /** @throws LogDamage, DiskError */
      load(): Segment[]
    }

/** A log as it is at the beginning of its use. */
export interface FoundLog {
  readonly epochs: EpochCache
  readonly logStartOffset: Offset
  readonly logEndOffset: Offset
  readonly durableEndOffset: Offset
  /** The epoch checkpoint on disk says the same as `epochs`. */
  readonly epochsAreStored: boolean
  /** See `RecoveryPoint.isSettled`. */
  readonly isSettled: boolean
  readonly opening: LogOpening
}

/** A log that nothing was written to. */
export function newLog(): FoundLog {
  return {
    epochs: new EpochCache(),
    logStartOffset: 0,
    logEndOffset: 0,
    durableEndOffset: 0,
    epochsAreStored: true,
    isSettled: false,
    opening: { type: 'new', sizeBytes: 0 },
  }
}

/** A log that was recovered just now. `wasSettled`: so its recovery point said. */
export function recoveredLog(recovered: RecoveredLog, wasSettled: boolean): FoundLog {
  const { segments, logEndOffset, durableEndOffset, epochsAreStored, truncatedBytes } = recovered
  const isTrusted = wasSettled && durableEndOffset === logEndOffset && epochsAreStored && truncatedBytes === 0
  const sizeBytes = segments.reduce((bytes, segment) => bytes + segment.sizeInBytes, 0)
  return {
    ...recovered,
    isSettled: isTrusted,
    opening: { type: 'closed', sizeBytes, isTrusted, load: () => segments },
  }
}

/** A log that was closed by a clean stop, everything synced; its files are checked at the first use. */
export function cleanLog(context: LogContext, clean: CleanLog, indexIntervalBytes: number): FoundLog {
  const { logStartOffset, logEndOffset, sizeBytes, directory } = clean
  const epochs = new EpochCache()
  epochs.load(clean.epochs)
  const load = (): Segment[] => {
    if (readTopicId(context, directory) !== clean.topicId) {
      throw new LogDamage(`${directory}/${PARTITION_METADATA} is missing or damaged`)
    }
    const { disk, handles } = context
    const recovered = recoverLog({
      disk,
      handles,
      directory,
      recoveryPoint: logEndOffset,
      logStartOffset,
      indexIntervalBytes,
      onStartMoved: () => {},
      isCleanStart: true,
    })
    if (recovered.logEndOffset !== logEndOffset) {
      throw new LogDamage(`${directory} ends at ${recovered.logEndOffset} instead of ${logEndOffset}`)
    }
    return recovered.segments
  }
  return {
    epochs,
    logStartOffset,
    logEndOffset,
    durableEndOffset: logEndOffset,
    epochsAreStored: clean.epochsAreStored,
    isSettled: true,
    opening: { type: 'closed', sizeBytes, isTrusted: true, load },
  }
}

/** The same with its files at hand. @throws LogDamage, DiskError */
export function opened(found: FoundLog): FoundLog {
  const { opening } = found
  if (opening.type === 'new') return found
  const segments = opening.load()
  return { ...found, opening: { ...opening, load: () => segments } }
}

/** The first files of a log, unsynced. @throws DiskError */
export function createFiles(
  { disk, handles }: LogContext,
  directory: string,
  topicId: Uuid,
  baseOffset: Offset,
): void {
  disk.mkdir(directory)
  const text = partitionMetadata(topicId)
  writeWhole(disk, `${directory}/${PARTITION_METADATA}`, Buffer.from(text)).close()
  handles.get(new Segment(handles, directory, baseOffset).path('.log'), true)
}

/** What `createFiles` may have left behind. @throws DiskError */
export function removeFiles({ disk, handles }: LogContext, directory: string): void {
  handles.closeUnder(directory)
  disk.removeTree(directory)
}

/** Puts the file that tells the topic id on the disk again: its own sync may have failed (`rewrite.ts`). @throws DiskError */
export function rewriteTopicId({ disk }: Pick<LogContext, 'disk'>, directory: string): void {
  const path = `${directory}/${PARTITION_METADATA}`
  const bytes = readWhole(disk, path)
  const file = disk.open(path)
  try {
    file.write(0, [bytes])
  } finally {
    file.close()
  }
}

/** null: the file is missing, damaged or unreadable. */
export function readTopicId({ disk }: Pick<LogContext, 'disk'>, directory: string): Uuid | null {
  const path = `${directory}/${PARTITION_METADATA}`
  if (!disk.exists(path)) return null
  let text: string
  try {
    text = Buffer.from(readWhole(disk, path)).toString('latin1')
  } catch (error) {
    if (error instanceof DiskError && error.code === 'EIO') return null
    throw error
  }
  const topicId = /^version: 0\ntopic_id: ([A-Za-z0-9_-]{22})\n/.exec(text)?.[1]
  // A file of Kafka's own ends here.
  if (topicId === undefined || text === kafkasMetadata(topicId)) return topicId ?? null
  return text === partitionMetadata(topicId) ? topicId : null
}

/**
 * Kafka's file, and a line that Kafka does not read: without a checksum a flipped bit of the topic id would make the log
 * a stray of an unknown topic, which is deleted, and the replica an empty one with its old place in the ISR.
 */
function partitionMetadata(topicId: Uuid): string {
  const text = kafkasMetadata(topicId)
  return `${text}crc32c: ${crc32c(Buffer.from(text)).toString(16).padStart(8, '0')}\n`
}

function kafkasMetadata(topicId: Uuid): string {
  return `version: 0\ntopic_id: ${topicId}\n`
}
