import type { LeaderEpoch, Offset, Uuid } from '../lib/ids.js'
import type { Disk, DiskFile } from '../ports/disk.js'
import { crc32c } from '../wire/crc32c.js'

/**
 * Kafka's text checkpoints: a version line "0", a line with the count, then that many lines; and, unlike Kafka's, a last
 * line with the CRC-32C of all before it. A flipped bit makes other numbers of these, and a log that goes by the wrong
 * leader epochs finds no divergence where there is one. What has no such line counts as damaged. A row of a high watermark
 * ends with the topic's id, which Kafka's has not.
 */
export const RECOVERY_POINT_CHECKPOINT = 'recovery-point-offset-checkpoint'
export const HIGH_WATERMARK_CHECKPOINT = 'replication-offset-checkpoint'
export const LOG_START_CHECKPOINT = 'log-start-offset-checkpoint'

export interface EpochEntry {
  readonly epoch: LeaderEpoch
  readonly startOffset: Offset
}

/** By directory name, `<topic>-<partition>`. Empty where the file is missing or damaged: checkpoints only save work. */
export function readOffsetCheckpoint(disk: Disk, path: string): Map<string, OffsetRow> {
  const rows = new Map<string, OffsetRow>()
  for (const [topic, partition, offset, topicId] of readRows(disk, path, [3, 4]) ?? []) {
    const row = { topic: topic!, partition: Number(partition), offset: Number(offset), topicId }
    if (Number.isSafeInteger(row.offset) && row.offset >= 0) rows.set(`${topic}-${partition}`, row)
  }
  return rows
}

export interface OffsetRow {
  topic: string
  partition: number
  offset: Offset
  topicId?: Uuid | undefined
}

/** Replaces the file, synced. @throws DiskError */
export function writeOffsetCheckpoint(disk: Disk, path: string, rows: readonly OffsetRow[]): void {
  const file = writeWhole(disk, `${path}.tmp`, encodeOffsetCheckpoint(rows))
  try {
    disk.syncNow([file])
  } finally {
    file.close()
  }
  disk.rename(`${path}.tmp`, path)
}

export function encodeOffsetCheckpoint(rows: readonly OffsetRow[]): Uint8Array {
  return encodeRows(
    rows.map(({ topic, partition, offset, topicId }) => {
      const row = `${topic} ${partition} ${offset}`
      return topicId === undefined ? row : `${row} ${topicId}`
    }),
  )
}

/** null: missing or damaged. */
export function readEpochCheckpoint(disk: Disk, path: string): EpochEntry[] | null {
  const rows = readRows(disk, path, [2])
  if (rows === null) return null
  const entries = rows.map(([epoch, startOffset]) => ({
    epoch: Number(epoch),
    startOffset: Number(startOffset),
  }))
  for (let i = 0; i < entries.length; i++) {
    const { epoch, startOffset } = entries[i]!
    const before = entries[i - 1]
    if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(startOffset) || startOffset < 0) return null
    if (before !== undefined && (before.epoch >= epoch || before.startOffset > startOffset)) return null
  }
  return entries
}

export function encodeEpochCheckpoint(entries: readonly EpochEntry[]): Uint8Array {
  return encodeRows(entries.map((entry) => `${entry.epoch} ${entry.startOffset}`))
}

/** The whole of a small file. @throws DiskError */
export function readWhole(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path)
  try {
    return file.read(0, file.size())
  } finally {
    file.close()
  }
}

/** Writes a small file anew, unsynced; the caller syncs and closes it. @throws DiskError */
export function writeWhole(disk: Disk, path: string, bytes: Uint8Array): DiskFile {
  const file = disk.open(path, { create: true })
  try {
    file.truncate(0)
    file.write(0, [bytes])
  } catch (error) {
    file.close()
    throw error
  }
  return file
}

function encodeRows(lines: readonly string[]): Uint8Array {
  const text = ['0', String(lines.length), ...lines, ''].join('\n')
  return Buffer.from(`${text}${checksumLine(text)}\n`)
}

const checksumLine = (text: string): string => `crc32c ${crc32c(Buffer.from(text)).toString(16)}`

function readRows(disk: Disk, path: string, columns: readonly number[]): string[][] | null {
  if (!disk.exists(path)) return null
  const lines = Buffer.from(readWhole(disk, path)).toString('utf8').split('\n')
  const end = lines.length - 2
  if (lines[0] !== '0' || lines[1] !== String(end - 2) || lines[end + 1] !== '') return null
  if (lines[end] !== checksumLine(`${lines.slice(0, end).join('\n')}\n`)) return null
  const rows = lines.slice(2, end).map((line) => line.split(' '))
  return rows.every((row) => columns.includes(row.length)) ? rows : null
}
