import type { Uuid } from '../lib/ids.js'
import type { Disk } from '../ports/disk.js'
import type { Logger } from '../ports/logger.js'
import { asideDirectory } from './file-names.js'
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

  /** Renames the log's directory, durably. @throws DiskError */
  quarantine(
    directory: string,
    topic: string,
    topicId: Uuid | undefined,
    partition: number,
    reason: string,
  ): QuarantinedLog {
    const aside = this.freeName(directory, 'quarantined')
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

  /** A name that nothing has yet. */
  freeName(directory: string, why: 'delete' | 'quarantined'): string {
    for (;;) {
      const name = asideDirectory(directory, String(this.count++), why)
      if (!this.disk.exists(name)) return name
    }
  }
}
