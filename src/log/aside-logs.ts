import type { Uuid } from '../lib/ids.js'
import { type Disk, DiskError } from '../ports/disk.js'
import type { Logger } from '../ports/logger.js'
import { crc32c } from '../wire/crc32c.js'
import { readWhole, writeWhole } from './checkpoint-files.js'
import {
  asideDirectory,
  nameBeforeAside,
  PARTITION_METADATA,
  parsePartitionDirectory,
  QUARANTINE_PENDING,
} from './file-names.js'
import type { QuarantinedLog } from './log-manager-options.js'
import { readTopicId } from './log-opening.js'

/** Directories of logs that were moved aside: damaged ones, to be kept, and deleted ones, to go soon. */
export class AsideLogs {
  readonly quarantined: QuarantinedLog[] = []
  private count = 0

  constructor(
    private readonly disk: Disk,
    private readonly logger: Logger,
  ) {}

  isQuarantined(topicId: Uuid, partition: number): boolean {
    return this.quarantined.some((one) => one.topicId === topicId && one.partition === partition)
  }

  /**
   * Marks the log's directory and renames it, durably. The mark lasts until the replica has left the ISR and the ELR:
   * a node that restarts before that must not come back with an empty log and its old place. @throws DiskError
   */
  quarantine(
    directory: string,
    topic: string,
    topicId: Uuid | undefined,
    partition: number,
    reason: string,
  ): QuarantinedLog {
    const aside = this.freeName(directory, 'quarantined')
    // Somebody removed it under a running node. The mark alone is what the next start needs.
    if (!this.disk.exists(directory)) this.disk.mkdir(directory)
    this.mark(directory, { topic, topicId, partition, reason })
    this.disk.rename(directory, aside)
    this.disk.syncNow([{ directory: '' }])
    const quarantined = { topic, topicId, partition, reason, directory: aside }
    this.quarantined.push(quarantined)
    this.logger.error(
      { log: directory, reason, movedTo: aside },
      'the log is damaged: quarantined, to be fetched anew',
    )
    return quarantined
  }

  /** A log that held records is not there at all: as if it had been damaged, in a directory that holds the mark alone. @throws DiskError */
  quarantineMissing(topicId: Uuid, partition: number): void {
    const directory = this.freeName(`${topicId}-${partition}`, 'quarantined')
    // Its name is not known any more; the id is what counts.
    const mark = { topic: topicId, topicId, partition, reason: 'the directory of the log is gone' }
    this.disk.mkdir(directory)
    this.mark(directory, mark)
    this.disk.syncNow([{ directory: '' }])
    this.quarantined.push({ ...mark, directory })
    this.logger.error({ topicId, partition }, 'a log that held records is gone: it is to be fetched anew')
  }

  /**
   * The mark of a directory; null: it has none. One that rotted, or that a power cut broke off, still tells of damage:
   * whose, the directory says. @throws DiskError
   */
  markOf(directory: string): Mark | null {
    const path = `${directory}/${QUARANTINE_PENDING}`
    if (!this.disk.exists(path)) return null
    return decodeMark(this.readMark(path)) ?? this.markWithout(directory)
  }

  private readMark(path: string): Uint8Array {
    try {
      return readWhole(this.disk, path)
    } catch (error) {
      if (error instanceof DiskError && error.code === 'EIO') return new Uint8Array()
      throw error
    }
  }

  /** null: the name was too long to be kept whole. */
  private markWithout(directory: string): Mark | null {
    const named = parsePartitionDirectory(nameBeforeAside(directory))
    if (named === null) {
      this.logger.error(
        { log: directory },
        'a quarantined log cannot be told whose it is: its mark is damaged',
      )
      return null
    }
    const { topic, partition } = named
    // One that was missing is named by its topic's id, and holds nothing but the mark.
    const isMissing = UUID.test(topic) && !this.disk.exists(`${directory}/${PARTITION_METADATA}`)
    const topicId = isMissing ? topic : (readTopicId({ disk: this.disk }, directory) ?? undefined)
    return { topic, topicId, partition, reason: 'it was set aside, and its mark is damaged' }
  }

  /** An earlier run set this log aside, and nobody may have heard of it. @throws DiskError */
  restore(directory: string): void {
    const mark = this.markOf(directory)
    if (mark !== null) this.quarantined.push({ ...mark, directory })
  }

  /** The replica is in no set any more: it may begin anew, also after the next start. @throws DiskError */
  settle(directory: string): void {
    const path = `${directory}/${QUARANTINE_PENDING}`
    if (!this.disk.exists(path)) return
    this.disk.unlink(path)
    this.disk.syncNow([{ directory }])
  }

  private mark(directory: string, mark: Mark): void {
    const file = writeWhole(this.disk, `${directory}/${QUARANTINE_PENDING}`, encodeMark(mark))
    try {
      this.disk.syncNow([file, { directory }])
    } finally {
      file.close()
    }
  }

  /** A name that nothing has yet. */
  freeName(directory: string, why: 'delete' | 'quarantined'): string {
    for (;;) {
      const name = asideDirectory(directory, String(this.count++), why)
      if (!this.disk.exists(name)) return name
    }
  }
}

type Mark = Omit<QuarantinedLog, 'directory'>

const UUID = /^[A-Za-z0-9_-]{22}$/
const MARK_VERSION = '1'

function encodeMark({ topic, topicId, partition, reason }: Mark): Uint8Array {
  const lines = [MARK_VERSION, topic, String(partition), topicId ?? '', reason.replaceAll('\n', ' '), '']
  const body = Buffer.from(lines.join('\n'))
  return Buffer.concat([body, Buffer.from(`${crc32c(body)}\n`)])
}

/** null: it was cut short, or it rotted. */
function decodeMark(bytes: Uint8Array): Mark | null {
  const lastLine = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1
  const body = bytes.subarray(0, lastLine)
  if (lastLine === 0 || Buffer.from(bytes.subarray(lastLine)).toString('latin1') !== `${crc32c(body)}\n`)
    return null
  const [version, topic, partition, topicId, reason] = Buffer.from(body).toString('utf8').split('\n')
  if (version !== MARK_VERSION || topic === undefined || reason === undefined) return null
  return { topic, topicId: topicId || undefined, partition: Number(partition), reason }
}
