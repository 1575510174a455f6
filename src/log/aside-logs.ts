import type { Uuid } from '../lib/ids.js'
import type { Disk } from '../ports/disk.js'
import type { Logger } from '../ports/logger.js'
import { readWhole, writeWhole } from './checkpoint-files.js'
import { asideDirectory, QUARANTINE_PENDING } from './file-names.js'
import type { QuarantinedLog } from './log-manager-options.js'

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

  /** The mark of a directory; null: it has none. */
  markOf(directory: string): Mark | null {
    const path = `${directory}/${QUARANTINE_PENDING}`
    return this.disk.exists(path) ? decodeMark(readWhole(this.disk, path)) : null
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

function encodeMark({ topic, topicId, partition, reason }: Mark): Uint8Array {
  return Buffer.from(
    ['0', topic, String(partition), topicId ?? '', reason.replaceAll('\n', ' '), ''].join('\n'),
  )
}

/** A mark that cannot be read is none: it was cut short before the log had been renamed, or it rotted. */
function decodeMark(bytes: Uint8Array): Mark | null {
  const [version, topic, partition, topicId, reason, end] = Buffer.from(bytes).toString('utf8').split('\n')
  if (version !== '0' || !topic || !/^\d+$/.test(partition ?? '') || reason === undefined || end !== '')
    return null
  return { topic, topicId: topicId || undefined, partition: Number(partition), reason }
}
