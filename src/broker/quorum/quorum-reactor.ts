import { unreachable } from '../../lib/assert.js'
import type { LogIndex, NodeId, Uuid } from '../../lib/ids.js'
import { RaftLog, type RaftLogContents } from '../../log/raft-log.js'
import type { CommandContext, ControllerCommand, ControllerReply } from '../../metadata/commands.js'
import type { Logger } from '../../ports/logger.js'
import type { OrderedStore } from '../../ports/ordered-store.js'
import type { PeerHandler } from '../../ports/peers.js'
import { DEFAULT_RAFT_LIMITS, DEFAULT_RAFT_TIMING } from '../../raft/api.js'
import type { RaftNode } from '../../raft/raft.js'
import type { PeerMessage } from '../peer-message.js'
import { AutoJoin, type JoinSituation } from './auto-join.js'
import { ClusterMember } from './cluster-member.js'
import { CommandRouter } from './command-router.js'
import { describeQuorum } from './describe-quorum.js'
import { type Entered, Entrance } from './entrance.js'
import { EventRing } from './events.js'
import type { QuorumListener, QuorumStatus } from './handle.js'
import { isMembershipCommand, Membership } from './membership.js'
import type { QuorumControl, QuorumReactorOptions, QuorumSettings, ReadLogEntry } from './options.js'
import { PeerNetwork } from './peer-network.js'
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
  maxPendingCommandBytes: 64 * 1024 * 1024,
  controllerTickMs: 100,
  transferTimeoutMs: 1000,
  eventCapacity: 1000,
  introductionIntervalMs: 500,
  forgetPeerAfterMs: 10_000,
  maxIntroducedPeers: 1000,
  joinRetryMs: 500,
  joinTimeoutMs: 30_000,
}

/** 2³² draws of so many ids lie within the safe integers. */
const MAX_REQUESTS_OF_A_PROCESS = 2 ** 20

/**
 * One node's quorum: Raft, its log, the controller while this node leads, and the way of a command to whoever leads.
 * Every callback of a port is one input, handled to completion.
 */
export class QuorumReactor implements QuorumControl, PeerHandler<PeerMessage> {
  readonly events: EventRing
  private readonly settings: QuorumSettings
  private readonly logger: Logger
  private readonly network: PeerNetwork
  private readonly router: CommandRouter
  private readonly membership: Membership
  private readonly autoJoin: AutoJoin
  private readonly state: StateMachine
  private directoryId: Uuid
  private listener: QuorumListener | undefined
  private log: RaftLog | undefined
  private entrance: Entrance | undefined
  /** From the moment on at which this node belongs to a cluster. */
  private member: ClusterMember | undefined
  private learners: readonly NodeId[] = []
  private closed = false

  constructor(private readonly options: QuorumReactorOptions) {
    this.settings = { ...DEFAULT_QUORUM_SETTINGS, ...options.settings }
    const { settings } = this
    const { clock } = options
    this.logger = options.logger.child({ component: 'quorum' })
    this.directoryId = options.directoryId
    this.events = new EventRing(clock, settings.eventCapacity)
    this.state = new StateMachine(options.codec, settings)
    this.membership = new Membership((input) => this.member!.input(input))
    this.network = this.makeNetwork()
    this.router = this.makeRouter()
    this.autoJoin = new AutoJoin(
      {
        isEnabled: options.autoJoin,
        clock,
        logger: this.logger,
        retryMs: settings.joinRetryMs,
        timeoutMs: settings.joinTimeoutMs,
        submit: (command, timeoutMs, done) => {
          const principal = `Broker:${options.nodeId}`
          this.submit(command, { principal, clientId: '', clientAddress: '', listener: '' }, timeoutMs, done)
        },
      },
      () => this.joinSituation(),
    )
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
    const { directoryId, member } = this
    const addresses = this.network.addresses()
    if (member === undefined)
      return { ...NOT_A_MEMBER, nodeId, directoryId, clusterId: this.options.clusterId, addresses }
    const {
      configuration,
      appliedIndex: _,
      durableIndex: __,
      membership: ___,
      ...status
    } = member.node.status()
    const { advice } = this.autoJoin
    return {
      ...status,
      nodeId,
      directoryId,
      clusterId: member.clusterId,
      voters: configuration.voters,
      addresses,
      ...(member.node.isLeader ? { heartbeatJitter: member.driver.heartbeatJitter.status() } : {}),
      ...(advice === undefined ? {} : { advice }),
    }
  }

  get raft(): RaftNode | undefined {
    return this.member?.node
  }

  readLog(from: LogIndex, limit: number): ReadLogEntry[] {
    const entries = this.member?.node.entries(from, limit) ?? []
    return entries.map((entry) => ({
      index: entry.index,
      term: entry.term,
      type: entry.type,
      records: entry.type === 'data' ? this.options.codec.decode(entry.payload) : [],
      ...(entry.type === 'configuration' ? { configuration: entry.configuration } : {}),
    }))
  }

  transferLeadership(to: NodeId | undefined, done: (moved: boolean) => void): void {
    if (this.member !== undefined) this.member.transferLeadership(to, done)
    else this.options.clock.endOfTurn(() => done(false))
  }

  lastHeardMs(peer: NodeId): number | undefined {
    return this.network.lastHeardMs(peer)
  }

  prepareStop(done: () => void): void {
    const { clock } = this.options
    this.member?.input({ type: 'leave' })
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
    this.autoJoin.close()
    this.member?.close()
    this.entrance?.close()
    this.log?.close()
    this.network.close()
  }

  onMessage(from: NodeId, message: PeerMessage): void {
    if (this.closed) return
    this.network.onHeard(from)
    switch (message.type) {
      case 'raft':
        this.member?.input({ type: 'message', from, message: message.message })
        return
      case 'foundingEmpty':
        if (this.member === undefined) this.entrance?.onMessage(message)
        else this.tellFounded(from)
        return
      case 'foundingFounded':
        this.entrance?.onMessage(message)
        return
      case 'command':
        this.router.onCommand(from, message)
        return
      case 'commandReply':
        this.router.onCommandReply(from, message)
        return
      case 'introduction':
        this.network.onIntroduction(from, message)
        return
      case 'voterAddresses':
        this.network.onVoterAddresses(message.voters)
        return
      default:
        unreachable(message)
    }
  }

  onConnected(peer: NodeId): void {
    if (this.closed) return
    this.network.onConnected(peer)
    this.entrance?.onConnected(peer)
    this.member?.controller.brokerConnected(peer)
    this.router.onChange()
  }

  onDisconnected(peer: NodeId): void {
    if (!this.closed) this.network.onDisconnected(peer)
  }

  private makeNetwork(): PeerNetwork {
    const { options, settings } = this
    return new PeerNetwork({
      self: { nodeId: options.nodeId, ...options.address },
      configured: options.voters,
      bootstrapServers: options.bootstrapServers,
      isController: options.isController,
      clock: options.clock,
      logger: this.logger,
      settings,
      directoryId: () => this.directoryId,
      isLost: () => this.member?.node.leader === undefined,
      onLost: (peer, dead) => this.onPeerLost(peer, dead),
      onLearners: (nodeIds) => {
        this.learners = nodeIds
        this.member?.input({ type: 'learners', nodeIds })
      },
    })
  }

  private makeRouter(): CommandRouter {
    const { options, settings } = this
    return new CommandRouter({
      clock: options.clock,
      nodeId: options.nodeId,
      firstRequestId: options.random.uint32() * MAX_REQUESTS_OF_A_PROCESS,
      limits: { commands: settings.maxPendingCommands, bytes: settings.maxPendingCommandBytes },
      leader: () => this.member?.node.leader,
      isConnected: (peer) => this.network.isConnected(peer),
      canDecide: () => this.member?.controller.canPropose ?? false,
      decide: (command, context, timeoutMs, done) => this.decide(command, context, timeoutMs, done),
      send: (to, message) => this.network.send(to, 'controller', message),
    })
  }

  /** This node's controller is active. */
  private decide(
    command: ControllerCommand,
    context: CommandContext,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): void {
    if (command.type === 'describeQuorum') {
      done(describeQuorum(this.status(), this.options.clock))
    } else if (isMembershipCommand(command)) {
      if (command.type === 'addVoter' && command.host !== undefined && command.port !== undefined)
        this.network.suggest(command.nodeId, { host: command.host, port: command.port })
      this.membership.change(command, timeoutMs, done)
    } else this.member!.controller.decide(command, context, done)
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
          this.enter(opening.log, opening.contents)
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

  private enter(log: RaftLog, contents: RaftLogContents): void {
    const { options } = this
    const { snapshot } = contents
    this.listener!.onSnapshot(
      snapshot === undefined ? [] : this.state.restore(snapshot),
      this.state.appliedIndex,
    )
    this.network.open(options.openPeers(this))
    this.entrance = new Entrance(
      {
        nodeId: options.nodeId,
        directoryId: this.directoryId,
        clusterId: options.clusterId,
        founders: options.voters.map((voter) => voter.nodeId),
        clock: options.clock,
        logger: this.logger,
        announceIntervalMs: this.settings.foundingIntervalMs,
        peers: () => this.network.peers(),
        send: (to, message) => this.network.send(to, 'controller', message),
        onEntered: (entered) => this.onEntered(log, entered),
        onFailed: (error) => this.fail(error),
      },
      log,
    )
    this.entrance.start(contents)
  }

  private onEntered(log: RaftLog, entered: Entered): void {
    if (this.closed) return
    const member = this.makeMember(log, entered)
    this.member = member
    const { voters } = member.node.status().configuration
    this.network.setVoters(voters)
    if (!entered.isFounder) return
    this.events.emit({ type: 'founded', clusterId: member.clusterId, voters })
    for (const { nodeId } of voters) if (nodeId !== this.options.nodeId) this.tellFounded(nodeId)
  }

  private makeMember(log: RaftLog, entered: Entered): ClusterMember {
    const { options, settings } = this
    return new ClusterMember(
      {
        options,
        settings,
        directoryId: this.directoryId,
        log,
        learners: this.learners,
        state: this.state,
        events: this.events,
        logger: this.logger,
        listener: this.listener!,
        send: (to, lane, message) => this.network.send(to, lane, { type: 'raft', message }),
        onLeadership: () => {
          this.router.onChange()
          this.checkMembership()
        },
        onApplied: () => {
          this.router.retryHeld()
          this.checkMembership()
        },
        onVoters: (configuration) => {
          this.network.setVoters(configuration.voters)
          this.checkMembership()
        },
        onMembership: (result) => this.membership.onResult(result),
        onActive: (brokers) => this.probeBrokers(brokers),
      },
      entered,
    )
  }

  /** Cheap where this node votes, as it does nearly always. */
  private checkMembership(): void {
    if (this.options.isController) this.autoJoin.check()
  }

  private joinSituation(): JoinSituation {
    const { options, directoryId, member } = this
    const self = { nodeId: options.nodeId, directoryId }
    if (member === undefined || !member.isObserver)
      return { self, isObserver: false, leader: undefined, voters: [], isCaughtUp: false }
    const { leader, configuration, hasQuorum, appliedIndex, commitIndex } = member.node.status()
    const isCaughtUp = hasQuorum && appliedIndex >= commitIndex
    return { self, isObserver: true, leader, voters: configuration.voters, isCaughtUp }
  }

  private tellFounded(to: NodeId): void {
    if (this.member === undefined) return
    const { clusterId, configuration } = this.member
    const self = { nodeId: this.options.nodeId, directoryId: this.directoryId }
    this.network.send(to, 'controller', { type: 'foundingFounded', self, clusterId, configuration })
  }

  private probeBrokers(brokers: readonly NodeId[]): void {
    for (const brokerId of brokers) {
      if (brokerId === this.options.nodeId) continue
      this.network.probe(brokerId, this.state.image.brokers.get(brokerId)?.controlEndpoint)
    }
  }

  private onPeerLost(peer: NodeId, dead: boolean): void {
    this.events.emit({ type: 'peerLost', peer, dead })
    this.logger.info(
      { peer, dead },
      dead ? 'a peer is dead: its dial was refused' : 'a connection to a peer broke',
    )
    this.listener?.onPeerLost(peer, dead)
    if (dead) {
      this.member?.controller.brokerDead(peer)
      this.member?.input({ type: 'peerDead', peer })
    }
    this.router.onChange()
  }
}

/** Before this node belongs to a cluster. */
const NOT_A_MEMBER = {
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
} satisfies Partial<QuorumStatus>
