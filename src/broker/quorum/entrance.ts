import type { NodeId, Uuid } from '../../lib/ids.js'
import type { RaftLog, RaftLogContents } from '../../log/raft-log.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import { FOUNDING_TERM, type FoundingOutcome } from '../../raft/founding.js'
import type { Configuration } from '../../raft/types.js'
import type { FoundingMessage } from '../peer-message.js'
import { FoundingDriver } from './founding-driver.js'

/** A cluster that this node learned of and whose entry 1 it may not hold yet. */
export interface KnownCluster {
  clusterId: string
  configuration: Configuration
}

export interface Entered {
  contents: RaftLogContents
  /** Where the log itself names no cluster yet. */
  adopted: KnownCluster | undefined
  /** Entry 1 has just been written: the others must hear of it. */
  isFounder: boolean
}

export interface EntranceOptions {
  readonly nodeId: NodeId
  readonly directoryId: Uuid
  /** Of the cluster that this directory belonged to. */
  readonly clusterId: string | undefined
  /** Who founds together: `controller.quorum.voters`. */
  readonly founders: readonly NodeId[]
  readonly clock: Clock
  readonly logger: Logger
  readonly announceIntervalMs: number
  /** Everyone who may know a cluster. */
  peers(): readonly NodeId[]
  send(to: NodeId, message: FoundingMessage): void
  onEntered(entered: Entered): void
  onFailed(error: Error): void
}

/**
 * Whoever is left of a cluster dials a founder that is back at least twice a second. Of several founders it need reach
 * but one in time.
 */
const ANNOUNCEMENTS_HEARD_ALONE = 5
const ANNOUNCEMENTS_HEARD = 2
/** Whoever waits in vain for a cluster that it heard of says what to do. */
const WARN_AFTER_MS = 5_000

/** From an opened Raft log to a member of a cluster: at once where the log has one, else by founding it or finding it. */
export class Entrance {
  private founding: FoundingDriver | undefined
  private knownClusterId: string | undefined
  private warning: Timer | undefined

  constructor(
    private readonly options: EntranceOptions,
    private readonly log: RaftLog,
  ) {}

  start(contents: RaftLogContents): void {
    const { options } = this
    if (contents.snapshot !== undefined || contents.entries.length > 0) {
      options.onEntered({ contents, adopted: undefined, isFounder: false })
      return
    }
    const { clusterId, directoryId } = options
    if (clusterId === undefined) {
      options.logger.info({ directoryId }, 'this directory is empty: looking for the other voters')
    } else {
      options.logger.error(
        { directoryId, clusterId },
        'this directory belongs to a cluster, but its Raft log is gone: waiting for a voter that knows the cluster',
      )
    }
    this.founding = new FoundingDriver({
      self: { nodeId: options.nodeId, directoryId },
      founders: options.founders,
      isEmpty: clusterId === undefined,
      clock: options.clock,
      intervalMs: options.announceIntervalMs,
      listenMs:
        options.announceIntervalMs *
        (options.founders.length > 1 ? ANNOUNCEMENTS_HEARD : ANNOUNCEMENTS_HEARD_ALONE),
      peers: () => options.peers(),
      send: (to, message) => options.send(to, message),
      onOutcome: (outcome) => this.onOutcome(outcome, contents),
    })
    this.founding.start()
  }

  get isWaiting(): boolean {
    return this.founding !== undefined
  }

  onMessage(message: FoundingMessage): void {
    this.founding?.onMessage(message)
  }

  /** A peer belongs to a cluster, and this node to none yet. */
  onCluster(peer: NodeId, clusterId: string): void {
    if (this.founding === undefined) return
    if (this.knownClusterId !== clusterId) {
      this.knownClusterId = clusterId
      this.options.logger.info(
        { peer, clusterId },
        `node ${peer} belongs to cluster ${clusterId}: no other one is founded with this node`,
      )
      this.warnLater(peer, clusterId)
    }
    this.founding.onCluster()
  }

  /** By then a voter of that cluster would have spoken, if any were left: nothing happens any more without an operator. */
  private warnLater(peer: NodeId, clusterId: string): void {
    const { clock, logger, founders, nodeId } = this.options
    if (!founders.includes(nodeId)) return
    this.warning?.cancel()
    this.warning = clock.after(WARN_AFTER_MS, () => {
      logger.warn(
        { peer, clusterId },
        `node ${peer} belongs to cluster ${clusterId}, so this node founds none, and no voter of that one has spoken: ` +
          `start one. If that cluster is gone, stop node ${peer} or move its log.dirs away, and start this node again`,
      )
    })
  }

  /** Somebody knows another process of this node, and may belong to a cluster. */
  onRefused(): void {
    this.founding?.onRefused()
  }

  onConnected(peer: NodeId): void {
    this.founding?.onConnected(peer)
  }

  close(): void {
    this.founding?.close()
    this.warning?.cancel()
  }

  /** The term on the disk counts all the same, and never falls behind it. */
  private onOutcome(outcome: FoundingOutcome, contents: RaftLogContents): void {
    const { clusterId } = outcome
    const { options } = this
    this.warning?.cancel()
    if (options.clusterId !== undefined && options.clusterId !== clusterId) {
      options.onFailed(
        new Error(
          `the data directory belongs to cluster ${options.clusterId}, but the other voters are cluster ${clusterId}: ` +
            `correct controller.quorum.voters or log.dirs`,
        ),
      )
      return
    }
    this.founding = undefined
    const known = contents.hardState
    if (outcome.type === 'joinAsObserver') {
      options.logger.info(
        { clusterId, directoryId: options.directoryId },
        'this directory is not a voter of the cluster: it follows without a vote',
      )
      const { configuration } = outcome
      options.onEntered({
        contents: { hardState: known, snapshot: undefined, entries: [] },
        adopted: { clusterId, configuration },
        isFounder: false,
      })
      return
    }
    const hardState = known.term > FOUNDING_TERM ? known : { term: FOUNDING_TERM }
    const entries = [outcome.entry]
    this.log.write({ hardState, entries }, () => {
      options.logger.info({ clusterId, outcome: outcome.type }, 'the cluster is founded')
      options.onEntered({
        contents: { hardState, snapshot: undefined, entries },
        adopted: undefined,
        isFounder: true,
      })
    })
  }
}
