import type { LeaderEpoch, Offset } from '../lib/ids.js'
import type { Disk, DiskFile } from '../ports/disk.js'
import { crc32c } from '../wire/crc32c.js'
import { type BatchHeader, CRC_FROM, HEADER_BYTES, parseHeader } from './batch-header.js'
import { type EpochEntry, readEpochCheckpoint } from './checkpoint-files.js'
import { EpochCache } from './epoch-cache.js'
import { DELETED_SUFFIX, EPOCH_CHECKPOINT, parseSegmentFile, segmentFile } from './file-names.js'
import type { HandleCache } from './handle-cache.js'
import { Rewrite } from './rewrite.js'
import { HeaderReader, LogDamage, Segment } from './segment.js'

/**
 * So many bytes before the log's end are verified at each start, below the recovery point too. Thousands of logs must
 * not hold up the start: the rest is read through in the background.
 */
const VERIFIED_TAIL_BYTES = 1024 * 1024
/** Headers alone are read to see where a segment ends; without an index, it would be read from its beginning. */
const MAX_WALK_BYTES = 16 * 1024 * 1024
const SECTOR_BYTES = 512
const MAGIC_AT = 16
const SEARCH_CHUNK_BYTES = 1024 * 1024

export interface RecoveryInput {
  disk: Disk
  handles: HandleCache
  directory: string
  /** Everything below was durable. */
  recoveryPoint: Offset
  logStartOffset: Offset
  indexIntervalBytes: number
  /**
   * The log begins further on, as segments that were being deleted show: told, and to be made durable, before what is left
   * of them goes.
   */
  onStartMoved(logStartOffset: Offset): void
  /** The process stopped in order: nothing is torn, and what rotted since is found by reads and in the background. */
  isCleanStart: boolean
}

export interface RecoveredLog {
  /** Ascending, at least one. */
  segments: Segment[]
  epochs: EpochCache
  logStartOffset: Offset
  logEndOffset: Offset
  /** What lies beyond was perhaps never synced. */
  durableEndOffset: Offset
  /** The epoch checkpoint on disk says the same as `epochs`. */
  epochsAreStored: boolean
  /** Cut off at the end: never synced. */
  truncatedBytes: number
}

/**
 * Opens a log as it was left: checks all from the recovery point on (and some before it) by CRC, cuts a torn end and
 * makes the indexes anew there.
 * @throws LogDamage where something that was durable is missing or damaged; DiskError
 */
export function recoverLog(input: RecoveryInput): RecoveredLog {
  const { handles, directory, recoveryPoint } = input
  const { segments, snapshots } = openSegments(input)
  if (segments.length === 0) {
    if (recoveryPoint > input.logStartOffset) throw new LogDamage(`${directory} holds no segment`)
    const first = new Segment(handles, directory, input.logStartOffset)
    handles.get(first.path('.log'), true)
    segments.push(first)
  }
  const logStartOffset = Math.max(input.logStartOffset, segments[0]!.baseOffset)
  let at = segments.length - 1
  while (at > 0 && segments[at]!.baseOffset > recoveryPoint) at--
  if (!input.isCleanStart) checkEnds(segments.slice(0, at + 1))
  const stored = readEpochCheckpoint(input.disk, `${directory}/${EPOCH_CHECKPOINT}`)
  const epochs = new EpochCache()
  if (stored === null) rebuildEpochs(segments.slice(0, at), epochs)
  else epochs.load(stored)
  // Above the recovery point the batches themselves tell the epochs.
  epochs.truncateFromEnd(recoveryPoint + 1)
  const epochsFromStart = stored === null

  const scan = new Scan(input, segments, epochs, stored !== null)
  let end: Offset
  try {
    end = scan.run(at, epochsFromStart)
  } catch (error) {
    if (!(error instanceof LogDamage) || !isBelowStart(input, scan.reached)) throw error
    end = scan.reached
  }
  if (end < recoveryPoint) {
    if (isBelowStart(input, end)) return beginAnew(input, segments, snapshots)
    throw new LogDamage(
      `${directory} ends at offset ${end}, but everything below ${recoveryPoint} was durable`,
    )
  }
  const logEndOffset = Math.max(end, logStartOffset)
  epochs.truncateFromEnd(logEndOffset)
  epochs.truncateFromStart(logStartOffset)
  dropSnapshots(input, snapshots, logEndOffset)
  return {
    segments,
    epochs,
    logStartOffset,
    logEndOffset,
    durableEndOffset: Math.max(logStartOffset, recoveryPoint),
    epochsAreStored: stored !== null && isSame(stored, epochs.all),
    truncatedBytes: scan.truncatedBytes,
  }
}

/**
 * The log's start was moved beyond what is left of it, and nothing at or above the start was durable yet: the log was begun
 * anew there, or its leader's start passed what a power cut took.
 */
function isBelowStart({ recoveryPoint, logStartOffset }: RecoveryInput, end: Offset): boolean {
  return logStartOffset > 0 && recoveryPoint <= logStartOffset && end < logStartOffset
}

function beginAnew(
  input: RecoveryInput,
  segments: readonly Segment[],
  snapshots: readonly Offset[],
): RecoveredLog {
  const { disk, handles, directory, logStartOffset } = input
  let truncatedBytes = 0
  for (const segment of segments) {
    truncatedBytes += segment.sizeInBytes
    removeSegment(disk, handles, segment)
  }
  dropSnapshots(input, snapshots, -1)
  const first = new Segment(handles, directory, logStartOffset)
  handles.get(first.path('.log'), true)
  disk.syncNow([first.file, { directory }])
  return {
    segments: [first],
    epochs: new EpochCache(),
    logStartOffset,
    logEndOffset: logStartOffset,
    durableEndOffset: logStartOffset,
    epochsAreStored: false,
    truncatedBytes,
  }
}

/**
 * Snapshots of producers are never synced, and one may outlive the batches that it tells of. Those above the log's end go
 * at once and for good: the log will pass their offsets with other batches.
 */
function dropSnapshots(
  { disk, directory }: RecoveryInput,
  snapshots: readonly Offset[],
  above: Offset,
): void {
  const stale = snapshots.filter((offset) => offset > above)
  for (const offset of stale) disk.unlink(`${directory}/${segmentFile(offset, '.snapshot')}`)
  if (stale.length > 0) disk.syncNow([{ directory }])
}

function isSame(a: readonly EpochEntry[], b: readonly EpochEntry[]): boolean {
  return (
    a.length === b.length && a.every((x, i) => x.epoch === b[i]!.epoch && x.startOffset === b[i]!.startOffset)
  )
}

/** The segments on disk, less those that were being deleted and those below the log's start; and the snapshots. */
function openSegments(input: RecoveryInput): { segments: Segment[]; snapshots: Offset[] } {
  const { disk, handles, directory } = input
  let deletedUpTo = -1
  const leftOver: string[] = []
  const bases: Offset[] = []
  const indexes: { name: string; baseOffset: Offset }[] = []
  const snapshots: Offset[] = []
  for (const name of disk.list(directory)) {
    const parsed = parseSegmentFile(name)
    if (name.endsWith('.tmp') || parsed?.isDeleted === true) leftOver.push(`${directory}/${name}`)
    if (parsed?.isDeleted === true && parsed.suffix === '.log')
      deletedUpTo = Math.max(deletedUpTo, parsed.baseOffset)
    else if (parsed?.suffix === '.log' && !name.endsWith(DELETED_SUFFIX)) bases.push(parsed.baseOffset)
    else if (parsed?.suffix === '.snapshot' && !parsed.isDeleted) snapshots.push(parsed.baseOffset)
    else if (parsed !== null && !parsed.isDeleted) indexes.push({ name, baseOffset: parsed.baseOffset })
  }
  // What a crash or a power cut left of a segment that was removed: a new one may begin at the same offset.
  const known = new Set(bases)
  for (const { name, baseOffset } of indexes)
    if (!known.has(baseOffset)) leftOver.push(`${directory}/${name}`)
  bases.sort((a, b) => a - b)
  const first = bases.find((base) => base > deletedUpTo)
  const isMissingItsStart = first !== undefined && first > input.logStartOffset
  if (isMissingItsStart && deletedUpTo >= 0) input.onStartMoved(first)
  for (const path of leftOver) disk.unlink(path)
  if (isMissingItsStart && deletedUpTo < 0) {
    if (input.recoveryPoint > input.logStartOffset)
      throw new LogDamage(`${directory} begins at ${first} instead of ${input.logStartOffset}`)
    // Nothing of the log was durable, and its first segment is lost: what follows on it is worth nothing.
    for (const base of bases.splice(0)) removeSegment(disk, handles, new Segment(handles, directory, base))
  }
  const segments: Segment[] = []
  bases.forEach((base, i) => {
    const next = bases[i + 1]
    const segment = new Segment(handles, directory, base)
    // Segments are deleted from the oldest on, so whatever is older than a deleted one was to go as well.
    if (base <= deletedUpTo || (next !== undefined && next <= input.logStartOffset)) {
      removeSegment(disk, handles, segment)
      return
    }
    segment.sizeInBytes = segment.file.size()
    segments.push(segment)
  })
  return { segments, snapshots }
}

export function removeSegment(disk: Disk, handles: HandleCache, segment: Segment): void {
  for (const suffix of ['.log', '.index', '.timeindex'] as const) {
    handles.close(segment.path(suffix))
    if (disk.exists(segment.path(suffix))) disk.unlink(segment.path(suffix))
  }
}

/**
 * Whether each segment reaches up to the next one. After a power cut one may not, though a later one is whole: a
 * truncation and what was written after it became durable only in part.
 */
function checkEnds(segments: readonly Segment[]): void {
  for (let at = 0; at + 1 < segments.length; at++) {
    const segment = segments[at]!
    const expected = segments[at + 1]!.baseOffset
    const end = segment.endOffset(MAX_WALK_BYTES)
    if (end === null || end === expected) continue
    throw new LogDamage(`${segment.path('.log')} ends at ${end} instead of ${expected}`)
  }
}

function rebuildEpochs(segments: readonly Segment[], epochs: EpochCache): void {
  for (const segment of segments) {
    segment.walk(0, (header) => {
      if (header.leaderEpoch < epochs.latest) {
        throw new LogDamage(`${segment.path('.log')}: epoch ${header.leaderEpoch} after ${epochs.latest}`)
      }
      epochs.noteBatch(header.leaderEpoch, header.baseOffset)
      return true
    })
  }
}

/** One pass over the end of a log. */
class Scan {
  truncatedBytes = 0
  private expected: Offset = 0
  private lastEpoch: LeaderEpoch = -1
  /** A batch of an older epoch follows a newer one: it was truncated, and the truncation was not synced. */
  private isStale = false

  constructor(
    private readonly input: RecoveryInput,
    private readonly segments: Segment[],
    private readonly epochs: EpochCache,
    /** The epochs come from their checkpoint, which was synced with all that lies below the recovery point. */
    private readonly hasEpochs: boolean,
  ) {
    if (!hasEpochs) this.lastEpoch = epochs.latest
  }

  /** Everything below is whole, as far as it was looked at. */
  get reached(): Offset {
    return this.expected
  }

  /** From segment `first` on. Returns the log's end. */
  run(first: number, fromStart: boolean): Offset {
    this.expected = this.segments[first]!.baseOffset
    for (let at = first; at < this.segments.length; at++) {
      const segment = this.segments[at]!
      if (segment.baseOffset > this.expected) {
        // A segment begins where the one before it ended: that one lost its end.
        this.cut(at - 1, this.segments[at - 1]!.sizeInBytes, true)
        break
      }
      const start = at === first && !fromStart ? this.startPosition(segment) : 0
      const rewrite = new Rewrite(segment.file)
      const damagedAt = this.scanSegment(segment, start, this.segments[at + 1]?.baseOffset, rewrite)
      rewrite.finish()
      if (damagedAt < 0) continue
      this.cut(at, damagedAt, this.isStale)
      break
    }
    return this.expected
  }

  /** An indexed position at or below the recovery point, far enough before the end; its index entries are checked. */
  private startPosition(segment: Segment): number {
    const entries = segment.offsetIndex.all()
    const isSound = entries.every((entry, i) => {
      const before = entries[i - 1]
      if (before === undefined) return entry.getInt32(0) >= 0 && entry.getInt32(4) > 0
      return entry.getInt32(0) > before.getInt32(0) && entry.getInt32(4) > before.getInt32(4)
    })
    if (!isSound) return 0
    const relative = this.input.recoveryPoint - segment.baseOffset
    const before = segment.sizeInBytes - VERIFIED_TAIL_BYTES
    for (let i = entries.length - 1; i >= 0; i--) {
      const offset = entries[i]!.getInt32(0)
      const position = entries[i]!.getInt32(4)
      if (offset > relative || position > before) continue
      const header = position < segment.sizeInBytes ? new HeaderReader(segment.file).header(position) : null
      return header !== null && header.lastOffset === segment.baseOffset + offset ? position : 0
    }
    return 0
  }

  /** The position of the first damage; -1: none. Index entries from `start` on are made anew. */
  private scanSegment(
    segment: Segment,
    start: number,
    nextBase: Offset | undefined,
    rewrite: Rewrite,
  ): number {
    const { file, sizeInBytes } = segment
    const reader = new HeaderReader(file)
    const first = start === 0 ? null : reader.header(start)
    segment.truncateIndexes(start, first?.baseOffset ?? segment.baseOffset)
    if (first !== null) this.expected = first.baseOffset
    const head = sizeInBytes > 0 ? reader.header(0) : null
    let position = start
    // noteBatch moves the size along, so that timestamps below `start` are looked up in what is known to be whole.
    segment.sizeInBytes = start
    while (position < sizeInBytes) {
      const header = reader.header(position)
      if (header === null || position + header.sizeInBytes > sizeInBytes) return position
      const batch = reader.bytes(position, header.sizeInBytes)
      if (crc32c(batch.subarray(CRC_FROM)) !== header.crc) return position
      if (header.leaderEpoch < this.lastEpoch) {
        this.isStale = true
        return position
      }
      if (!this.fits(header, nextBase)) return position
      this.lastEpoch = header.leaderEpoch
      if (!this.isKnown(header)) this.epochs.noteBatch(header.leaderEpoch, header.baseOffset)
      if (header.lastOffset >= this.input.recoveryPoint) rewrite.add(position, batch)
      segment.noteBatch(header, position, header.sizeInBytes, this.input.indexIntervalBytes)
      position += header.sizeInBytes
      this.expected = header.lastOffset + 1
    }
    if (head !== null) segment.firstTimestampMs = head.maxTimestampMs
    return -1
  }

  /**
   * What the CRC does not cover must agree with what else is known: base offsets follow on each other from the
   * segment's name to that of the next one (nothing compacts yet), epochs are those of the checkpoint.
   */
  private fits(header: BatchHeader, nextBase: Offset | undefined): boolean {
    if (header.baseOffset !== this.expected) return false
    if (nextBase !== undefined && header.lastOffset >= nextBase) return false
    return !this.isKnown(header) || this.epochs.agreesWith(header)
  }

  /** Above the recovery point the checkpoint may speak of what a truncation removed since. */
  private isKnown(header: BatchHeader): boolean {
    return this.hasEpochs && header.lastOffset < this.input.recoveryPoint
  }

  /**
   * Cuts the log at the damage, if it may be cut there at all. `isUnsynced`: what stands there is surely no rot, but what a power cut left of
   * writes and truncations that were not synced.
   */
  private cut(at: number, position: number, isUnsynced: boolean): void {
    const { disk, handles, directory, recoveryPoint } = this.input
    const segment = this.segments[at]!
    const { file } = segment
    const where = `${segment.path('.log')} at ${position}, offset ${this.expected}`
    if (this.expected < recoveryPoint) {
      throw new LogDamage(`damaged below the recovery point ${recoveryPoint}: ${where}`)
    }
    const fileSize = file.size()
    if (!isUnsynced && !isHole(file, position, fileSize)) {
      // A file that ends within a batch was cut short by the power, and then later segments may well be whole.
      const isTorn = isTornAt(file, position, fileSize)
      const valid = this.findValidBatch(at, position, isTorn ? at : this.segments.length - 1)
      if (valid !== null)
        throw new LogDamage(`damaged with valid batches after it (offset ${valid}): ${where}`)
    }
    this.truncatedBytes = fileSize - position
    segment.truncate(position, this.expected)
    for (const later of this.segments.splice(at + 1)) {
      this.truncatedBytes += later.sizeInBytes
      removeSegment(disk, handles, later)
    }
    disk.syncNow([segment.file, { directory }])
  }

  /** The base offset of a whole batch somewhere after the damage. */
  private findValidBatch(at: number, position: number, last: number): Offset | null {
    for (let i = at; i <= last; i++) {
      const found = findBatch(this.segments[i]!.file, i === at ? position + 1 : 0, this.expected)
      if (found !== null) return found
    }
    return null
  }
}

/**
 * True where the damage begins with sectors that never reached the device: zeros up to a sector's end, as unsynced
 * pages leave behind when later ones were written before them. Rot looks different, and would lie below the recovery
 * point, since that is exact unless the power failed.
 */
function isHole(file: DiskFile, position: number, fileSize: number): boolean {
  const header = parseHeader(file.read(position, HEADER_BYTES))
  const end = Math.min(fileSize, position + (header?.sizeInBytes ?? SECTOR_BYTES))
  const bytes = file.read(position, Math.min(end - position + SECTOR_BYTES, SEARCH_CHUNK_BYTES))
  let from = 0
  while (from < bytes.length && position + from < end) {
    const sectorEnd = Math.floor((position + from) / SECTOR_BYTES + 1) * SECTOR_BYTES - position
    const sector = bytes.subarray(from, sectorEnd)
    // Fewer bytes of a header may well be zeros.
    const isTelling = from > 0 || sector.length > MAGIC_AT
    if (isTelling && sector.length > 0 && sector.every((byte) => byte === 0)) return true
    from = sectorEnd
  }
  return false
}

function isTornAt(file: DiskFile, position: number, fileSize: number): boolean {
  if (fileSize - position < HEADER_BYTES) return true
  const header = parseHeader(file.read(position, HEADER_BYTES))
  return header !== null && position + header.sizeInBytes > fileSize
}

/** Looks at every byte from `from` on for a batch with a right CRC. */
function findBatch(file: DiskFile, from: number, atLeast: Offset): Offset | null {
  const size = file.size()
  for (let start = from; start < size; start += SEARCH_CHUNK_BYTES) {
    const bytes = file.read(start, SEARCH_CHUNK_BYTES + HEADER_BYTES)
    const last = Math.min(SEARCH_CHUNK_BYTES, bytes.length - HEADER_BYTES + 1)
    for (let at = 0; at < last; at++) {
      if (bytes[at + 16] !== 2) continue
      const header = parseHeader(bytes, at)
      if (header === null || header.baseOffset < atLeast || start + at + header.sizeInBytes > size) continue
      const batch = file.read(start + at, header.sizeInBytes)
      if (crc32c(batch.subarray(CRC_FROM)) === header.crc) return header.baseOffset
    }
  }
  return null
}
