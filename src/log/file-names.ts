import { assert } from '../lib/assert.js'
import type { Offset } from '../lib/ids.js'

/** Kafka's names of files and directories. */
export type SegmentSuffix = '.log' | '.index' | '.timeindex' | '.snapshot'

export const DELETED_SUFFIX = '.deleted'
export const EPOCH_CHECKPOINT = 'leader-epoch-checkpoint'
/** In the directory of a damaged log: its replica may still be named in the ISR. */
export const QUARANTINE_PENDING = 'quarantine-pending'
export const PARTITION_METADATA = 'partition.metadata'
/** Raft's log, wherever it lies: none of ours. */
export const METADATA_TOPIC = '__cluster_metadata'

export function segmentFile(baseOffset: Offset, suffix: SegmentSuffix): string {
  return String(baseOffset).padStart(20, '0') + suffix
}

export interface SegmentFileName {
  baseOffset: Offset
  suffix: SegmentSuffix
  isDeleted: boolean
}

/** null: no file of a segment. */
export function parseSegmentFile(name: string): SegmentFileName | null {
  const match = /^(\d{20})(\.log|\.index|\.timeindex|\.snapshot)(\.deleted)?$/.exec(name)
  if (match === null) return null
  const baseOffset = Number(match[1])
  if (!Number.isSafeInteger(baseOffset)) return null
  return { baseOffset, suffix: match[2] as SegmentSuffix, isDeleted: match[3] !== undefined }
}

export function partitionDirectory(topic: string, partition: number): string {
  assert(
    /^[a-zA-Z0-9._-]{1,249}$/.test(topic) && topic !== '.' && topic !== '..',
    `unvalidated topic name: ${topic}`,
  )
  assert(Number.isInteger(partition) && partition >= 0, `no partition number: ${partition}`)
  return `${topic}-${partition}`
}

/** null: no directory of a partition (set aside, being deleted, or something else altogether). */
export function parsePartitionDirectory(name: string): { topic: string; partition: number } | null {
  const match = /^([a-zA-Z0-9._-]{1,249})-(\d{1,10})$/.exec(name)
  if (match === null || match[1] === METADATA_TOPIC) return null
  return { topic: match[1]!, partition: Number(match[2]) }
}

/** `<topic>-<partition>.<id>-delete` and `…-quarantined`. A long topic name is cut, so that the name stays below 255. */
export function asideDirectory(directory: string, id: string, why: 'delete' | 'quarantined'): string {
  return `${directory.slice(0, 255 - id.length - why.length - 2)}.${id}-${why}`
}

/** Of a directory that was set aside: what it was, where its name was not cut. */
export function nameBeforeAside(name: string): string {
  return name.replace(/\.[0-9a-zA-Z_-]+-(delete|quarantined)$/, '')
}

export function isAside(name: string, why: 'delete' | 'quarantined'): boolean {
  return new RegExp(`\\.[0-9a-zA-Z_-]+-${why}$`).test(name)
}
