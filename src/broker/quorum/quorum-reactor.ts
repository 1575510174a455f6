import type { LogIndex, NodeId, Term, Uuid } from '../../lib/ids.js'
import { RaftLog, type RaftLogContents } from '../../log/raft-log.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../../metadata/commands.js'
import { Controller } from '../../metadata/controller.js'
import type { Logger } from '../../ports/logger.js'
import type { OrderedStore } from '../../ports/ordered-store.js'
import type { PeerHandler, PeerTransport } from '../../ports/peers.js'
import { DEFAULT_RAFT_LIMITS, DEFAULT_RAFT_TIMING, type RoleChangedEffect } from '../../raft/api.js'
import { FOUNDING_TERM, type FoundingOutcome } from '../../raft/founding.js'
import { RaftNode } from '../../raft/raft.js'
import type { Configuration, Entry, HardState, Snapshot } from '../../raft/types.js'
import { crc32c } from '../../wire/crc32c.js'
import type { PeerMessage } from '../peer-message.js'
import { ActiveController } from './active-controller.js'
import { CommandRouter } from './command-router.js'
import { describeQuorum } from './describe-quorum.js'
import { EventRing } from './events.js'
import { FoundingDriver } from './founding-driver.js'
import type { QuorumListener, QuorumStatus } from './handle.js'
import type { QuorumControl, QuorumReactorOptions, QuorumSettings, ReadLogEntry } from './options.js'
import { PeerWatch } from './peer-watch.js'
import { RaftDriver } from './raft-driver.js'
import { StateMachine } from './state-machine.js'

export const DEFAULT_QUORUM_SETTINGS: QuorumSettings = {
  raftTiming: DEFAULT_RAFT_TIMING,
  raftLimits: DEFAULT_RAFT_LIMITS,
  snapshotEntries: 10_000,
  snapshotBytes: 20 * 1024 * 1024,
  snapshotTailEntries: 1000,
  disconnectGraceMs: 50,
  probeTimeoutMs: 500,
  foundingIntervalMs: 200,
  maxPendingCommands: 4096,
  controllerTickMs: 100,
  transferTimeoutMs: 1000,
  eventCapacity: 1000,
}

/** 2³² draws of so many ids lie within the safe integers. */
const MAX_REQUESTS_OF_A_PROCESS = 2 ** 20

/** What exists from the moment on at which this node belongs to a cluster. */
interface Running {
  driver: RaftDriver
  controller: ActiveController
  clusterId: string
}

/**
 * One node's quorum: Raft, its log, the controller while this node leads, and the way of a command to whoever leads.
 * Every callback of a port is one input, handled to completion.
 */
export class QuorumReactor implements QuorumControl, PeerHandler<PeerMessage> {
  readonly events: EventRing
  private readonly settings: QuorumSettings
  private readonly logger: Logger
  private readonly watch: PeerWatch
  private readonly router: CommandRouter
  private readonly state: StateMachine
  private directoryId: Uuid
  private peers: PeerTransport<PeerMessage> | undefined
  private listener: QuorumListener | undefined
  private log: RaftLog | undefined
  private founding: FoundingDriver | undefined
  private running: Running | undefined
  /** A cluster that this node learned of and whose entry 1 it does not hold yet. */
  private adopted: { clusterId: string; configuration: Configuration } | undefined
  private announcedLeader: { leader: NodeId | undefined; term: Term } | undefined
  private transferDone: ((moved: boolean) => void) | undefined
  private closed = false

  constructor(private readonly options: QuorumReactorOptions) {
    this.settings = { ...DEFAULT_QUORUM_SETTINGS, ...options.settings }
    this.logger = options.logger.child({ component: 'quorum' })
    this.directoryId = options.directoryId
    this.events = new EventRing(options.clock, this.settings.eventCapacity)
    this.state = new StateMachine(options.codec, this.settings)
    this.watch = new PeerWatch(options.clock, this.settings.disconnectGraceMs, {
      probe: (peer, done) => {
        this.peers?.probe(peer, this.settings.probeTimeoutMs, (result) => {
          if (!this.closed) done(result)
        })
      },
      onLost: (peer, dead) => this.onPeerLost(peer, dead),
    })
    this.router = new CommandRouter({
      clock: options.clock,
      nodeId: options.nodeId,
      firstRequestId: options.random.uint32() * MAX_REQUESTS_OF_A_PROCESS,
      maxPending: this.settings.maxPendingCommands,
      leader: () => this.running?.driver.node.leader,
      isConnected: (peer) => this.watch.isConnected(peer),
      canDecide: () => this.running?.controller.canPropose ?? false,
      decide: (command, context, done) => {
        if (command.type === 'describeQuorum') done(describeQuorum(this.status(), options.clock))
        else this.running!.controller.decide(command, context, done)
      },
      send: (to, message) => this.peers?.send(to, 'controller', message),
    })
  }

  start(listener: QuorumListener, started: () => void): void {
    this.listener = listener
    this.openLog(this.options.store, started)
  }

  submit(
    command: ControllerCommand,
    context: CommandContext,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): void {
    this.router.submit(command, context, timeoutMs, done)
  }

  status(): QuorumStatus {
    const { nodeId } = this.options
    const { directoryId } = this
    if (this.running === undefined) {
      return {
        nodeId,
        directoryId,
        clusterId: this.options.clusterId,
        role: 'founding',
        term: 0,
        leader: undefined,
        commitIndex: 0,
        lastIndex: 0,
        firstIndex: 0,
        snapshotIndex: 0,
        voters: [],
        progress: [],
        hasQuorum: false,
      }
    }
    const { configuration, appliedIndex: _, durableIndex: __, ...status } = this.running.driver.node.status()
    return {
      ...status,
      nodeId,
      directoryId,
      clusterId: this.running.clusterId,
      voters: configuration.voters,
    }
  }

  get raft(): RaftNode | undefined {
    return this.running?.driver.node
  }

  readLog(from: LogIndex, limit: number): ReadLogEntry[] {
    const entries = this.running?.driver.node.entries(from, limit) ?? []
    return entries.map((entry) => ({
      index: entry.index,
      term: entry.term,
      type: entry.type,
      records: entry.type === 'data' ? this.options.codec.decode(entry.payload) : [],
      ...(entry.type === 'configuration' ? { configuration: entry.configuration } : {}),
    }))
  }

  transferLeadership(to: NodeId | undefined, done: (moved: boolean) => void): void {
    const { clock } = this.options
    if (this.running?.driver.node.isLeader !== true || this.transferDone !== undefined) {
      clock.endOfTurn(() => done(false))
      return
    }
    this.transferDone = (moved) => clock.endOfTurn(() => done(moved))
    this.running.driver.input({ type: 'transferLeadership', to })
  }

  lastHeardMs(peer: NodeId): number | undefined {
    return this.watch.lastHeardMs(peer)
  }

  prepareStop(done: () => void): void {
    const { clock } = this.options
    this.running?.driver.input({ type: 'leave' })
    let isDone = false
    const finish = (): void => {
      if (isDone) return
      isDone = true
      timer.cancel()
      done()
    }
    const timer = clock.after(this.settings.transferTimeoutMs, finish)
    this.transferLeadership(undefined, finish)
  }

  close(): void {
    if (this.closed) return
    this.router.close()
    this.closed = true
    this.running?.controller.deactivate()
    this.running?.driver.close()
    this.founding?.close()
    this.watch.close()
    this.log?.close()
    this.peers?.close()
  }

  onMessage(from: NodeId, message: PeerMessage): void {
    if (this.closed) return
    this.watch.onHeard(from)
    switch (message.type) {
      case 'raft':
        this.running?.driver.input({ type: 'message', from, message: message.message })
        return
      case 'foundingEmpty':
        if (this.founding !== undefined) this.founding.onMessage(message)
        else this.tellFounded(from)
        return
      case 'foundingFounded':
        this.founding?.onMessage(message)
        return
      case 'command':
        this.router.onCommand(from, message)
        return
      case 'commandReply':
        this.router.onCommandReply(from, message)
        return
    }
  }

  onConnected(peer: NodeId): void {
    if (this.closed) return
    this.watch.onConnected(peer)
    this.founding?.onConnected(peer)
    this.running?.controller.brokerConnected(peer)
    this.router.onChange()
  }

  onDisconnected(peer: NodeId): void {
    if (!this.closed) this.watch.onDisconnected(peer)
  }

  private openLog(store: OrderedStore, started: () => void): void {
    const { disk, directory, clock } = this.options
    const fatal = (error: Error): void => this.fail(error)
    RaftLog.open({ store, disk, directory, clock, fatal }, (opening) => {
      if (this.closed) return
      switch (opening.type) {
        case 'failed':
          this.fail(opening.error)
          return
        case 'quarantined':
          this.quarantine(opening.reason, started)
          return
        case 'open':
          this.log = opening.log
          this.onLogOpen(opening.contents)
          started()
          return
      }
    })
  }

  /** What is damaged is moved aside, never repaired; under its new directory id the node is a stranger that may learn. */
  private quarantine(reason: string, started: () => void): void {
    this.events.emit({ type: 'quarantined', reason })
    this.logger.error(
      { reason },
      'the Raft log is damaged and is moved aside; this node rejoins as a non-voter',
    )
    this.options.quarantine(reason, (fresh) => {
      if (this.closed) return
      this.directoryId = fresh.directoryId
      this.openLog(fresh.store, started)
    })
  }

  private fail(error: Error): void {
    if (this.closed) return
    this.logger.error({ error: error.message }, 'the quorum cannot go on; this process must stop')
    this.close()
    this.options.fatal(error)
  }

  private onLogOpen(contents: RaftLogContents): void {
    const { snapshot } = contents
    this.listener!.onSnapshot(
      snapshot === undefined ? [] : this.state.restore(snapshot),
      this.state.appliedIndex,
    )
    this.peers = this.options.openPeers(this)
    const { nodeId, voters } = this.options
    this.peers.setPeers(
      new Map(
        voters
          .filter((voter) => voter.nodeId !== nodeId)
          .map(({ nodeId, host, port }) => [nodeId, { host, port }]),
      ),
    )
    if (snapshot !== undefined || contents.entries.length > 0) {
      this.run(contents)
      return
    }
    const { clusterId } = this.options
    const { directoryId } = this
    if (clusterId === undefined) {
      this.logger.info({ directoryId }, 'this directory is empty: looking for the other voters')
    } else {
      this.logger.error(
        { directoryId, clusterId },
        'this directory belongs to a cluster, but its Raft log is gone: waiting for a voter that knows the cluster',
      )
    }
    this.founding = new FoundingDriver(
      { nodeId, directoryId: this.directoryId },
      voters.map((voter) => voter.nodeId),
      clusterId === undefined,
      this.options.clock,
      this.settings.foundingIntervalMs,
      (to, message) => this.peers!.send(to, 'controller', message),
      (outcome) => this.onFoundingOutcome(outcome, contents.hardState),
    )
    this.founding.start()
  }

  /** `known`: an observer that holds no entry yet may have met a term all the same, and never falls behind it. */
  private onFoundingOutcome(outcome: FoundingOutcome, known: HardState): void {
    const { clusterId } = outcome
    const own = this.options.clusterId
    if (own !== undefined && own !== clusterId) {
      this.fail(
        new Error(
          `the data directory belongs to cluster ${own}, but the other voters are cluster ${clusterId}: ` +
            `correct controller.quorum.voters or log.dirs`,
        ),
      )
      return
    }
    if (outcome.type === 'joinAsObserver') {
      this.logger.warn(
        { clusterId, directoryId: this.directoryId },
        'the cluster does not know this directory: this node follows without a vote',
      )
      this.founding = undefined
      this.adopted = { clusterId, configuration: outcome.configuration }
      this.run({ hardState: known, snapshot: undefined, entries: [] })
      return
    }
    const hardState = known.term > FOUNDING_TERM ? known : { term: FOUNDING_TERM }
    const entries = [outcome.entry]
    this.log!.write({ hardState, entries }, () => {
      this.founding = undefined
      this.run({ hardState, snapshot: undefined, entries })
      const { voters } = this.running!.driver.node.status().configuration
      this.events.emit({ type: 'founded', clusterId, voters })
      this.logger.info({ clusterId, outcome: outcome.type }, 'the cluster is founded')
      for (const { nodeId } of this.options.voters)
        if (nodeId !== this.options.nodeId) this.tellFounded(nodeId)
    })
  }

  private tellFounded(to: NodeId): void {
    if (this.running === undefined) return
    const { clusterId, configuration } = this.running.driver.node.status()
    const known = clusterId === undefined ? this.adopted : { clusterId, configuration }
    if (known === undefined) return
    const self = { nodeId: this.options.nodeId, directoryId: this.directoryId }
    this.peers?.send(to, 'controller', { type: 'foundingFounded', self, ...known })
  }

  private run(contents: RaftLogContents): void {
    const { nodeId, random, clock, codec, voters, properties, logger } = this.options
    const node = new RaftNode({
      self: { nodeId, directoryId: this.directoryId },
      random,
      restored: contents,
      learners: voters.map((voter) => voter.nodeId),
      timing: this.settings.raftTiming,
      limits: this.settings.raftLimits,
      checksum: crc32c,
      nowMs: clock.monotonicMs(),
    })
    const driver = new RaftDriver(
      node,
      this.log!,
      clock,
      (to, lane, message) => this.peers?.send(to, lane, { type: 'raft', message }),
      {
        onApply: (entries) => this.onApply(entries),
        onRestore: (snapshot) => this.onRestore(snapshot),
        onRole: (change) => this.onRole(change),
        onTransferEnded: (to, done) => this.onTransferEnded(to, done),
        onConfiguration: (configuration, index) =>
          this.events.emit({ type: 'configuration', index, voters: configuration.voters }),
      },
    )
    const clusterId = node.status().clusterId ?? this.adopted!.clusterId
    const controller = new Controller({
      nodeId,
      clusterId,
      voters: voters.map((voter) => voter.nodeId),
      properties,
      random,
      logger,
    })
    const active = new ActiveController(
      controller,
      driver,
      this.state,
      codec,
      clock,
      this.settings.controllerTickMs,
    )
    this.running = { driver, controller: active, clusterId }
  }

  private onApply(entries: readonly Entry[]): void {
    const { driver, controller } = this.running!
    const records = this.state.apply(entries)
    const { appliedIndex } = this.state
    this.listener!.onCommitted(records, appliedIndex)
    const last = entries[entries.length - 1]!
    this.events.emit({ type: 'commit', index: last.index, term: last.term })
    this.activateWhereDue()
    controller.onApplied(appliedIndex)
    this.router.retryHeld()
    if (!this.state.isSnapshotDue) return
    const data = this.state.takeSnapshot()
    this.events.emit({ type: 'snapshotTaken', index: appliedIndex, bytes: data.length })
    driver.input({
      type: 'snapshotTaken',
      index: appliedIndex,
      data,
      keepEntries: this.settings.snapshotTailEntries,
    })
  }

  private onRestore(snapshot: Snapshot): void {
    const records = this.state.restore(snapshot)
    this.events.emit({ type: 'snapshotInstalled', index: snapshot.index, bytes: snapshot.data.length })
    this.listener!.onSnapshot(records, snapshot.index)
  }

  private onRole(change: RoleChangedEffect): void {
    const { role, term, leader, cause, electionMs } = change
    this.logger.info({ role, term, leader, cause, electionMs }, 'Raft role')
    this.events.emit({ type: 'role', role, term, leader, cause })
    if (electionMs !== undefined) this.events.emit({ type: 'election', term, cause, durationMs: electionMs })
    // Effects are carried out in order: this may tell of a leadership that is over already.
    if (!this.running!.controller.isActive) this.running!.controller.deactivate()
    this.announceLeader()
    this.router.onChange()
  }

  /** This node leads, and its no-op is applied: only now does it know the end of the log (KAFKA-17333). */
  private activateWhereDue(): void {
    const { driver, controller } = this.running!
    const { node } = driver
    if (controller.isActive || !node.canPropose) return
    if (this.state.appliedIndex < node.firstIndexOfTerm) return
    controller.activate(node.term)
    this.events.emit({ type: 'controllerActive', term: node.term, index: this.state.appliedIndex })
    this.announceLeader()
    // It never saw the stream of a broker that died with its predecessor.
    for (const brokerId of controller.unfencedBrokers()) {
      if (brokerId !== this.options.nodeId) this.watch.probe(brokerId)
    }
  }

  /** A leader that does not act yet is no controller. */
  private announceLeader(): void {
    const { node } = this.running!.driver
    const leader = node.isLeader && !this.running!.controller.isActive ? undefined : node.leader
    const { term } = node
    if (this.announcedLeader?.leader === leader && this.announcedLeader?.term === term) return
    this.announcedLeader = { leader, term }
    this.listener!.onLeader(leader, term)
  }

  private onTransferEnded(to: NodeId | undefined, done: boolean): void {
    this.events.emit({ type: 'transfer', to, done })
    const ended = this.transferDone
    this.transferDone = undefined
    ended?.(done)
    this.activateWhereDue()
    this.router.onChange()
  }

  private onPeerLost(peer: NodeId, dead: boolean): void {
    this.events.emit({ type: 'peerLost', peer, dead })
    this.logger.info(
      { peer, dead },
      dead ? 'a peer is dead: its dial was refused' : 'a connection to a peer broke',
    )
    this.listener?.onPeerLost(peer, dead)
    if (dead) {
      this.running?.controller.brokerDead(peer)
      this.running?.driver.input({ type: 'peerDead', peer })
    }
    this.router.onChange()
  }
}
