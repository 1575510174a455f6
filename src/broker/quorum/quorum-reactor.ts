import { wrongAddress } from '../../lib/address.js'
import { unreachable } from '../../lib/assert.js'
import type { LogIndex, NodeId, Term, Uuid } from '../../lib/ids.js'
import type { RaftLog, RaftLogContents } from '../../log/raft-log.js'
import type {
  CommandContext,
  ControllerCommand,
  ControllerReply,
  UpdateFeatures,
} from '../../metadata/commands.js'
import type { Logger } from '../../ports/logger.js'
import type { Address } from '../../ports/network.js'
import type { Greeting, PeerHandler, PeerIdentity, PeerRefusal } from '../../ports/peers.js'
import type { RaftNode } from '../../raft/raft.js'
import { ErrorCode } from '../../wire/errors.js'
import type { PeerMessage } from '../peer-message.js'
import { AutoJoin, type JoinSituation, NOT_AN_OBSERVER } from './auto-join.js'
import { ClusterMember } from './cluster-member.js'
import { type Abandon, CommandRouter } from './command-router.js'
import { refuseFeatures } from './controller-features.js'
import { describeQuorum } from './describe-quorum.js'
import { type Entered, Entrance } from './entrance.js'
import { EventRing } from './events.js'
import { NOT_A_MEMBER, type QuorumListener, type QuorumStatus } from './handle.js'
import { openRaftLog } from './log-opening.js'
import { isMembershipCommand, Membership, type MembershipCommand } from './membership.js'
import {
  DEFAULT_QUORUM_SETTINGS,
  type QuorumControl,
  type QuorumReactorOptions,
  type QuorumSettings,
  type ReadLogEntry,
} from './options.js'
import { PeerNetwork } from './peer-network.js'
import { StateMachine } from './state-machine.js'
import { VoterAddresses } from './voter-addresses.js'

/** What is decided is decided in the same turn. */
const nothingToCallOff = (): void => {}

function addressIn(command: MembershipCommand): Address | undefined {
  if (command.type !== 'addVoter') return undefined
  const { host, port } = command
  return host === undefined || port === undefined ? undefined : { host, port }
}

/** Decoded in one turn: about a thousand records. */
const READ_LOG_BYTES = 64 * 1024

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
    openRaftLog(this.options, {
      logger: this.logger,
      isClosed: () => this.closed,
      onDamaged: (reason) => this.events.emit({ type: 'quarantined', reason }),
      onFresh: (directoryId) => {
        this.directoryId = directoryId
      },
      onOpen: (log, contents) => {
        this.log = log
        this.enter(log, contents)
        started()
      },
      fail: (error) => this.fail(error),
    })
  }

  submit(
    command: ControllerCommand,
    context: CommandContext,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): () => void {
    return this.router.submit(command, context, timeoutMs, done)
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
    const { heartbeatJitter, formerHeartbeatJitter: former } = member.driver
    return {
      ...status,
      nodeId,
      directoryId,
      clusterId: member.clusterId,
      voters: configuration.voters,
      addresses,
      ...(member.node.isLeader ? { heartbeatJitter: heartbeatJitter.status() } : {}),
      ...(former === undefined ? {} : { formerHeartbeatJitter: former.status() }),
      ...(advice === undefined ? {} : { advice }),
    }
  }

  get raft(): RaftNode | undefined {
    return this.member?.node
  }

  readLog(from: LogIndex, limit: number): ReadLogEntry[] {
    const entries = this.member?.node.entries(from, limit, READ_LOG_BYTES) ?? []
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
    if (this.member !== undefined) this.member.prepareStop(this.settings.transferTimeoutMs, done)
    else this.options.clock.endOfTurn(done)
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
        this.onRaft(from, message)
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
      case 'commandAbandoned':
        this.router.onCommandAbandoned(from, message.requestId)
        return
      case 'commandReply':
        this.router.onCommandReply(from, message)
        return
      case 'introduction':
        this.network.onIntroduction(from, message)
        if (this.member === undefined && message.clusterId !== '')
          this.entrance?.onCluster(from, message.clusterId)
        return
      case 'voterAddresses':
        this.network.onVoterAddresses(message.voters)
        return
      default:
        unreachable(message)
    }
  }

  onGreeting(peer: NodeId, identity: PeerIdentity, greeting: Greeting): PeerRefusal | undefined {
    return this.network.onGreeting(peer, identity, greeting)
  }

  onDuplicate(peer: NodeId, refusal: PeerRefusal): void {
    if (this.closed) return
    this.entrance?.onRefused()
    this.network.onDuplicate(peer, refusal)
  }

  ledTerm(): Term | undefined {
    return this.raft?.leader === undefined ? undefined : this.raft.term
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
      addresses: new VoterAddresses(options.disk, this.logger),
      supportedFeatures: options.supportedFeatures,
      directoryId: () => this.directoryId,
      clusterId: () => this.member?.clusterId ?? options.clusterId,
      leader: () => this.member?.node.leader,
      term: () => this.member?.node.term ?? 0,
      onLost: (peer, dead) => this.onPeerLost(peer, dead),
      onDuplicate: (error) => this.fail(error),
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
      term: () => this.member?.node.term ?? 0,
      isConnected: (peer) => this.network.isConnected(peer),
      canDecide: (command) => this.member?.controller.canAnswer(command) ?? false,
      onHeld: (command) => this.member?.controller.onHeld(command),
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
  ): Abandon {
    if (isMembershipCommand(command)) return this.changeVoters(command, timeoutMs, done)
    const refusal = command.type === 'updateFeatures' ? this.refuseFeatures(command) : undefined
    if (refusal !== undefined) done(refusal)
    else if (command.type === 'describeQuorum') done(describeQuorum(this.status(), this.options.clock))
    else this.member!.controller.decide(command, context, done)
    return nothingToCallOff
  }

  private refuseFeatures(command: UpdateFeatures): ControllerReply | undefined {
    const { network, state } = this
    const controllers = this.controllers()
    controllers.delete(this.options.nodeId)
    const nodeIds = [...controllers].filter((nodeId) => !state.image.brokers.has(nodeId))
    return refuseFeatures(command, { nodeIds, supportedBy: (nodeId) => network.supportedBy(nodeId) })
  }

  /** The voters, and the controllers that follow. */
  private controllers(): Set<NodeId> {
    const voterIds = this.member!.configuration.voters.map((voter) => voter.nodeId)
    return new Set([...voterIds, ...this.network.knownControllers()])
  }

  private changeVoters(
    command: MembershipCommand,
    timeoutMs: number,
    done: (reply: ControllerReply) => void,
  ): Abandon {
    const { nodeId } = command
    const errorMessage = this.wrongVoter(command)
    if (errorMessage !== undefined) {
      done({ type: command.type, errorCode: ErrorCode.INVALID_REQUEST, errorMessage })
      return nothingToCallOff
    }
    const { node } = this.member!
    const isBusy = node.catchingUp !== undefined
    const callOff = this.membership.change(command, timeoutMs, done)
    const address = addressIn(command)
    // Nobody is dialled for a change that Raft refused.
    if (address !== undefined && !isBusy && node.catchingUp === nodeId) this.network.suggest(nodeId, address)
    return callOff
  }

  private wrongVoter(command: MembershipCommand): string | undefined {
    const { nodeId } = command
    if (command.type !== 'removeVoter' && this.network.isBrokerOnly(nodeId))
      return `node ${nodeId} is no controller: only a node with that role can vote`
    const address = addressIn(command)
    return address === undefined ? undefined : wrongAddress(address)
  }

  private onRaft(from: NodeId, { clusterId, message }: Extract<PeerMessage, { type: 'raft' }>): void {
    if (this.member === undefined) this.entrance?.onCluster(from, clusterId)
    else if (clusterId === this.member.clusterId) {
      this.member.input({ type: 'message', from, message })
      // Heartbeats of brokers may wait for it.
      if (message.type === 'heartbeatReply') this.router.retryHeld()
    } else this.network.onForeign(from, clusterId, this.member.clusterId)
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
    const records = snapshot === undefined ? [] : this.state.restore(snapshot)
    this.listener!.onSnapshotBegun()
    this.listener!.onSnapshot(records, this.state.appliedIndex)
    const { incarnationId, address } = options
    this.network.open(options.openPeers(this, { directoryId: this.directoryId, incarnationId, address }))
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
        send: (to, lane, message) => this.network.send(to, lane, message),
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
        isController: (nodeId) => this.controllers().has(nodeId),
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
    if (member === undefined || !member.isObserver) return { ...NOT_AN_OBSERVER, self }
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
    const what = dead ? 'a peer is dead: its dial was refused' : 'a connection to a peer broke'
    this.logger.info({ peer, dead }, what)
    this.listener?.onPeerLost(peer, dead)
    if (dead) {
      this.member?.controller.brokerDead(peer)
      this.member?.input({ type: 'peerDead', peer })
    }
    this.router.onChange()
  }
}
