import type { LogIndex, NodeId, Uuid } from '../../lib/ids.js'
import type { RaftLog } from '../../log/raft-log.js'
import { Controller } from '../../metadata/controller.js'
import type { Logger } from '../../ports/logger.js'
import type { Lane } from '../../ports/peers.js'
import type { RaftInput, RaftRole, RoleChangedEffect } from '../../raft/api.js'
import { RaftNode } from '../../raft/raft.js'
import type { Configuration, Entry, Snapshot } from '../../raft/types.js'
import { crc32c } from '../../wire/crc32c.js'
import type { PeerMessage } from '../peer-message.js'
import { ActiveController } from './active-controller.js'
import type { Entered, KnownCluster } from './entrance.js'
import type { EventRing } from './events.js'
import type { QuorumListener } from './handle.js'
import type { QuorumReactorOptions, QuorumSettings } from './options.js'
import { type MembershipResult, RaftDriver } from './raft-driver.js'
import { SlicedApply } from './sliced-apply.js'
import { SnapshotWriter } from './snapshot-writer.js'
import type { StateMachine } from './state-machine.js'

export interface MemberEnvironment {
  readonly options: QuorumReactorOptions
  readonly settings: QuorumSettings
  readonly directoryId: Uuid
  readonly log: RaftLog
  readonly learners: readonly NodeId[]
  readonly state: StateMachine
  readonly events: EventRing
  readonly logger: Logger
  readonly listener: QuorumListener
  send(to: NodeId, lane: Lane, message: PeerMessage): void
  /** Role, term, leader or a transfer: commands may find their way now, or not any more. */
  onLeadership(): void
  onApplied(): void
  onVoters(configuration: Configuration): void
  /** A voter, or a controller that follows. */
  isController(nodeId: NodeId): boolean
  onMembership(result: MembershipResult): void
  /** The controller acts: whoever of these brokers is gone must be found out. */
  onActive(unfencedBrokers: readonly NodeId[]): void
}

/** This node in its cluster: Raft with its driver, the applied state, and the controller while this node leads. */
export class ClusterMember {
  readonly driver: RaftDriver
  readonly controller: ActiveController
  readonly clusterId: string
  private announcedLeader: { leader: NodeId | undefined; term: number } | undefined
  /** Of a cluster whose log has not reached this node yet. */
  private readonly adopted: KnownCluster | undefined
  private role: RaftRole
  private transferDone: ((moved: boolean) => void) | undefined
  private readonly snapshots: SnapshotWriter
  private readonly committed: SlicedApply

  constructor(
    private readonly environment: MemberEnvironment,
    entered: Entered,
  ) {
    const { options, settings, directoryId } = environment
    const { contents, adopted } = entered
    const { nodeId, random, clock } = options
    this.snapshots = new SnapshotWriter(clock, options.codec)
    this.committed = new SlicedApply(clock, (entries) => this.apply(entries))
    const node = new RaftNode({
      self: { nodeId, directoryId },
      random,
      restored: contents,
      learners: environment.learners,
      timing: settings.raftTiming,
      limits: settings.raftLimits,
      checksum: crc32c,
      nowMs: clock.monotonicMs(),
    })
    const { clusterId, role } = node.status()
    this.clusterId = clusterId ?? adopted!.clusterId
    this.role = role
    this.adopted = adopted
    this.driver = new RaftDriver(
      node,
      environment.log,
      clock,
      (to, lane, message) => environment.send(to, lane, { type: 'raft', clusterId: this.clusterId, message }),
      {
        onApply: (entries) => this.committed.add(entries),
        onRestore: (snapshot) => this.onRestore(snapshot),
        onRole: (change) => this.onRole(change),
        onTransferEnded: (to, done) => this.onTransferEnded(to, done),
        onConfiguration: (configuration, index) => this.onConfiguration(configuration, index),
        onMembership: (result) => environment.onMembership(result),
      },
    )
    const controller = new Controller({
      nodeId,
      clusterId: this.clusterId,
      voters: options.configuredBrokers,
      isController: (node) => environment.isController(node),
      properties: options.properties,
      random,
      logger: options.logger,
    })
    this.controller = new ActiveController(
      controller,
      this.driver,
      environment.state,
      options.codec,
      clock,
      settings.controllerTickMs,
      environment.logger,
      () => {
        this.activateWhereDue()
        environment.onApplied()
      },
    )
  }

  /** The newest; of a cluster whose log has not reached this node yet, what it was told. */
  get configuration(): Configuration {
    const { configuration, clusterId } = this.node.status()
    return clusterId === undefined ? this.adopted!.configuration : configuration
  }

  get node(): RaftNode {
    return this.driver.node
  }

  /** It follows, or would follow, without a vote. */
  get isObserver(): boolean {
    return this.role === 'observer'
  }

  input(input: RaftInput): void {
    this.driver.input(input)
  }

  transferLeadership(to: NodeId | undefined, done: (moved: boolean) => void): void {
    const { clock } = this.environment.options
    if (!this.node.isLeader || this.transferDone !== undefined) {
      clock.endOfTurn(() => done(false))
      return
    }
    this.transferDone = (moved) => clock.endOfTurn(() => done(moved))
    this.input({ type: 'transferLeadership', to })
  }

  /** Hands leadership over and takes none again; `done` comes once, within `timeoutMs`. */
  prepareStop(timeoutMs: number, done: () => void): void {
    this.input({ type: 'leave' })
    let isDone = false
    const finish = (): void => {
      if (isDone) return
      isDone = true
      timer.cancel()
      done()
    }
    const timer = this.environment.options.clock.after(timeoutMs, finish)
    this.transferLeadership(undefined, finish)
  }

  close(): void {
    this.snapshots.cancel()
    this.committed.clear()
    this.controller.deactivate()
    this.driver.close()
  }

  private apply(entries: readonly Entry[]): void {
    const { state, events, listener, settings } = this.environment
    const records = state.apply(entries)
    const { appliedIndex } = state
    listener.onCommitted(records, appliedIndex)
    const last = entries[entries.length - 1]!
    events.emit({ type: 'commit', index: last.index, term: last.term })
    this.activateWhereDue()
    this.controller.onApplied(appliedIndex)
    this.environment.onApplied()
    if (!state.isSnapshotDue || this.snapshots.isWriting) return
    state.snapshotBegun()
    this.snapshots.write(state.image, (data) => {
      if (data.length > settings.raftLimits.maxSnapshotBytes) {
        // No follower would take it. The next attempt comes with the next snapshot that is due.
        this.environment.logger.error(
          { index: appliedIndex, bytes: data.length, limit: settings.raftLimits.maxSnapshotBytes },
          'the metadata has grown too large for a snapshot: the log is kept whole. Delete topics that are not needed',
        )
        return
      }
      events.emit({ type: 'snapshotTaken', index: appliedIndex, bytes: data.length })
      const keepEntries = settings.snapshotTailEntries
      this.input({ type: 'snapshotTaken', index: appliedIndex, data, keepEntries })
    })
  }

  private onRestore(snapshot: Snapshot): void {
    const { state, events, listener, logger } = this.environment
    const { index, data } = snapshot
    this.snapshots.cancel()
    // What still waits lies below the snapshot.
    this.committed.restore({
      parts: state.beginRestore(snapshot),
      onBegin: () => listener.onSnapshotBegun(),
      onPart: (part) => listener.onSnapshotPart(state.restorePart(part)),
      onDone: (last) => {
        const records = last === undefined ? [] : state.restorePart(last)
        state.endRestore(snapshot)
        events.emit({ type: 'snapshotInstalled', index, bytes: data.length })
        logger.info({ index, bytes: data.length }, 'snapshot installed')
        listener.onSnapshot(records, index)
        this.environment.onApplied()
      },
    })
  }

  private onConfiguration(configuration: Configuration, index: LogIndex): void {
    const { events, logger } = this.environment
    const { voters } = configuration
    events.emit({ type: 'configuration', index, voters })
    logger.info({ index, voters: voters.map((voter) => voter.nodeId) }, 'voters')
    this.environment.onVoters(configuration)
  }

  private onRole(change: RoleChangedEffect): void {
    const { events, logger } = this.environment
    const { role, term, leader, cause, electionMs, sinceMs } = change
    this.role = role
    logger.info({ role, term, leader, cause, electionMs }, 'Raft role')
    events.emit({ type: 'role', role, term, leader, cause, ...(sinceMs === undefined ? {} : { sinceMs }) })
    if (electionMs !== undefined) events.emit({ type: 'election', term, cause, durationMs: electionMs })
    // Effects are carried out in order: this may tell of a leadership that is over already.
    if (!this.controller.isActive) this.controller.deactivate()
    this.announceLeader()
    this.environment.onLeadership()
  }

  /** This node leads, and its no-op is applied: only now does it know the end of the log (KAFKA-17333). */
  private activateWhereDue(): void {
    const { controller, node } = this
    const { state, events } = this.environment
    if (controller.isActive || !controller.mayActivate || !node.canPropose) return
    if (state.appliedIndex < node.firstIndexOfTerm) return
    controller.activate(node.term)
    events.emit({ type: 'controllerActive', term: node.term, index: state.appliedIndex })
    this.announceLeader()
    // It never saw the stream of a broker that died with its predecessor.
    this.environment.onActive(controller.unfencedBrokers())
  }

  /** A leader that does not act yet is no controller. */
  private announceLeader(): void {
    const { node } = this
    const leader = node.isLeader && !this.controller.isActive ? undefined : node.leader
    const { term } = node
    if (this.announcedLeader?.leader === leader && this.announcedLeader?.term === term) return
    this.announcedLeader = { leader, term }
    this.environment.listener.onLeader(leader, term)
  }

  private onTransferEnded(to: NodeId | undefined, done: boolean): void {
    this.environment.events.emit({ type: 'transfer', to, done })
    const ended = this.transferDone
    this.transferDone = undefined
    ended?.(done)
    this.activateWhereDue()
    this.environment.onLeadership()
  }
}
