import type { BrokerEpoch, Offset, Uuid } from '../lib/ids.js'
import type { Disk } from '../ports/disk.js'
import { crc32c } from '../wire/crc32c.js'
import { type EpochEntry, readWhole, writeWhole } from './checkpoint-files.js'
import type { PartitionLog } from './partition-log.js'

/**
 * Written at the very end of a clean stop, removed at the start (Kafka's name; KAFKA-15375). It says what each log was,
 * so that a start need not look at thousands of directories: a line of JSON a log between a first line
 * with the version and the broker epoch (KIP-966), and a last one with the CRC-32C of all before it.
 */
const CLEAN_SHUTDOWN = '.kafka_cleanshutdown'
const VERSION = 1

/** One log as it was closed, everything synced. */
export interface CleanLog {
  readonly directory: string
  readonly topicId: Uuid
  readonly logStartOffset: Offset
  readonly logEndOffset: Offset
  readonly sizeBytes: number
  readonly epochs: readonly EpochEntry[]
  /** The log's own checkpoint says the same as `epochs`. */
  readonly epochsAreStored: boolean
}

type Row = [string, Uuid, Offset, Offset, number, [number, Offset][], boolean]

export interface CleanShutdown {
  /** Of the process that stopped; undefined: it never registered, or the mark is damaged. */
  readonly brokerEpoch: BrokerEpoch | undefined
  /** Empty where the mark is damaged: then each log is looked at. */
  readonly logs: readonly CleanLog[]
}

/** @param brokerEpoch 0: never registered. @throws DiskError */
export function writeCleanShutdown(disk: Disk, brokerEpoch: BrokerEpoch, logs: Iterable<PartitionLog>): void {
  const lines = [JSON.stringify({ version: VERSION, brokerEpoch })]
  for (const log of logs) {
    if (!log.isStored) continue
    const row: Row = [
      log.directory,
      log.topicId,
      log.logStartOffset,
      log.logEndOffset,
      log.sizeBytes,
      log.epochs.all.map(({ epoch, startOffset }) => [epoch, startOffset]),
      log.hasStoredEpochs,
    ]
    lines.push(JSON.stringify(row))
  }
  const body = Buffer.from(`${lines.join('\n')}\n`)
  const mark = writeWhole(disk, CLEAN_SHUTDOWN, Buffer.concat([body, Buffer.from(`${crc32c(body)}\n`)]))
  try {
    disk.syncNow([mark, { directory: '' }])
  } finally {
    mark.close()
  }
}

/** Reads the mark and removes it, durably. null: the stop was not clean. @throws DiskError */
export function takeCleanShutdown(disk: Disk): CleanShutdown | null {
  if (!disk.exists(CLEAN_SHUTDOWN)) return null
  const bytes = readWhole(disk, CLEAN_SHUTDOWN)
  disk.unlink(CLEAN_SHUTDOWN)
  disk.syncNow([{ directory: '' }])
  return parse(bytes) ?? { brokerEpoch: undefined, logs: [] }
}

/** null: damaged, or of another version. */
function parse(bytes: Uint8Array): CleanShutdown | null {
  const lastLine = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1
  const body = bytes.subarray(0, lastLine)
  const crc = Buffer.from(bytes.subarray(lastLine)).toString('latin1')
  if (lastLine === 0 || crc !== `${crc32c(body)}\n`) return null
  const lines = Buffer.from(body).toString('utf8').split('\n')
  const first = JSON.parse(lines[0]!) as { version: number; brokerEpoch: BrokerEpoch }
  if (first.version !== VERSION) return null
  return {
    brokerEpoch: first.brokerEpoch > 0 ? first.brokerEpoch : undefined,
    logs: logsOf(lines),
  }
}

function logsOf(lines: readonly string[]): CleanLog[] {
  return lines.slice(1, -1).map((line) => {
    const [directory, topicId, logStartOffset, logEndOffset, sizeBytes, epochs, epochsAreStored] = JSON.parse(
      line,
    ) as Row
    return {
      directory,
      topicId,
      logStartOffset,
      logEndOffset,
      sizeBytes,
      epochs: epochs.map(([epoch, startOffset]) => ({ epoch, startOffset })),
      epochsAreStored,
    }
  })
}
