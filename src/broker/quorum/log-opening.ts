import type { Uuid } from '../../lib/ids.js'
import { RaftLog, type RaftLogContents } from '../../log/raft-log.js'
import type { Logger } from '../../ports/logger.js'
import type { OrderedStore } from '../../ports/ordered-store.js'
import type { QuorumReactorOptions } from './options.js'

export interface LogOpening {
  readonly logger: Logger
  isClosed(): boolean
  /** The log is damaged and about to be moved aside. */
  onDamaged(reason: string): void
  /** Under its new directory id the node is a stranger that may learn. */
  onFresh(directoryId: Uuid): void
  onOpen(log: RaftLog, contents: RaftLogContents): void
  fail(error: Error): void
}

/** Opens the Raft log; one that is damaged is moved aside, never repaired, and an empty one takes its place. */
export function openRaftLog(options: QuorumReactorOptions, opening: LogOpening): void {
  const { disk, directory, clock } = options
  const open = (store: OrderedStore): void =>
    RaftLog.open({ store, disk, directory, clock, fatal: (error) => opening.fail(error) }, (result) => {
      if (opening.isClosed()) return
      switch (result.type) {
        case 'failed':
          opening.fail(result.error)
          return
        case 'quarantined':
          quarantine(result.reason)
          return
        case 'open':
          opening.onOpen(result.log, result.contents)
          return
      }
    })
  const quarantine = (reason: string): void => {
    opening.onDamaged(reason)
    opening.logger.error(
      { reason },
      'the Raft log is damaged and is moved aside; this node rejoins as a non-voter',
    )
    options.quarantine(reason, (fresh) => {
      if (opening.isClosed()) return
      opening.onFresh(fresh.directoryId)
      open(fresh.store)
    })
  }
  open(options.store)
}
