import { wrongAddress } from '../../lib/address.js'
import type { NodeId, Term, Uuid } from '../../lib/ids.js'
import type { SupportedFeature } from '../../metadata/records.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Address } from '../../ports/network.js'
import type { Greeting, Lane, PeerIdentity, PeerRefusal, PeerTransport } from '../../ports/peers.js'
import type { Voter } from '../../raft/types.js'
import type { Introduction, PeerAddress, PeerMessage } from '../peer-message.js'
import { Bootstrap } from './bootstrap.js'
import { DuplicateNode, type DuplicateNodeError } from './duplicate-node.js'
import { PeerDirectory } from './peer-directory.js'
import { PeerIdentities } from './peer-identities.js'
import { PeerWatch } from './peer-watch.js'
import type { VoterAddresses } from './voter-addresses.js'

export interface PeerNetworkOptions {
  readonly self: PeerAddress
  readonly configured: readonly PeerAddress[]
  readonly bootstrapServers: readonly Address[]
  readonly isController: boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly settings: {
    readonly disconnectGraceMs: number
    readonly probeTimeoutMs: number
    readonly introductionIntervalMs: number
    readonly forgetPeerAfterMs: number
    readonly maxIntroducedPeers: number
    readonly duplicateGraceMs: number
    readonly raftTiming: { readonly electionTimeoutMinMs: number }
  }
  readonly addresses: VoterAddresses
  readonly supportedFeatures: readonly SupportedFeature[]
  directoryId(): Uuid
  /** undefined: this node belongs to none yet. */
  clusterId(): string | undefined
  /** undefined: no leader replicates to this node, so perhaps none knows it. */
  leader(): NodeId | undefined
  term(): Term
  onLost(peer: NodeId, dead: boolean): void
  onLearners(nodeIds: readonly NodeId[]): void
  /** Another process has this node's id; called once and more. */
  onDuplicate(error: DuplicateNodeError): void
}

const REPEATS = 3

/** Whom this node connects to, who is connected, and how those hear of it whose configuration does not name it. */
export class PeerNetwork {
  private readonly directory: PeerDirectory
  private readonly watch: PeerWatch
  private readonly bootstrap: Bootstrap
  private readonly identities: PeerIdentities
  private readonly duplicate: DuplicateNode
  private voters: readonly Voter[] = []
  private readonly connected = new Set<NodeId>()
  /** How many introductions are still to be repeated: one way of a connection may stand before the other. */
  private readonly repeats = new Map<NodeId, number>()
  /** Answered with an introduction of this node, once a connection. */
  private readonly answered = new Set<NodeId>()
  /** There was no room for them, or their addresses are none; connected all the same. */
  private readonly turnedAway = new Set<NodeId>()
  /** Of the controllers that introduced themselves: of those that are connected, and of voters that were. */
  private readonly features = new Map<NodeId, readonly SupportedFeature[]>()
  /** Of another cluster, as was logged once a connection. */
  private readonly foreign = new Set<NodeId>()
  private transport: PeerTransport<PeerMessage> | undefined
  private timer: Timer | undefined
  private shared = ''
  private closed = false

  constructor(private readonly options: PeerNetworkOptions) {
    const { clock, logger, settings } = options
    this.directory = new PeerDirectory({
      self: options.self,
      configured: options.configured,
      isController: options.isController,
      clock,
      forgetAfterMs: settings.forgetPeerAfterMs,
      maxIntroduced: settings.maxIntroducedPeers,
      remembered: options.addresses.read(),
      onPeers: (peers) => this.transport?.setPeers(peers),
      onLearners: (nodeIds) => options.onLearners(nodeIds),
    })
    this.watch = new PeerWatch(clock, settings.disconnectGraceMs, {
      probe: (peer, done) => {
        this.transport?.probe(peer, settings.probeTimeoutMs, (result) => {
          if (!this.closed) done(result)
        })
      },
      onLost: (peer, dead) => {
        if (dead) this.identities.onDead(peer)
        options.onLost(peer, dead)
      },
    })
    this.identities = new PeerIdentities({
      self: options.self.nodeId,
      clock,
      logger,
      holdMs: settings.raftTiming.electionTimeoutMinMs,
      maxPeers: settings.maxIntroducedPeers,
      isConnected: (peer) => this.connected.has(peer),
      isVoter: (peer, directoryId) =>
        this.voters.some((voter) => voter.nodeId === peer && voter.directoryId === directoryId),
      isLed: () => options.leader() !== undefined,
      isCurrentTerm: (term) => options.leader() !== options.self.nodeId && term >= options.term(),
    })
    this.duplicate = new DuplicateNode({
      clock,
      logger,
      graceMs: settings.duplicateGraceMs,
      isServed: () => options.leader() !== undefined || this.isTakenByMajority(),
      fail: (error) => options.onDuplicate(error),
    })
    this.bootstrap = new Bootstrap({
      servers: options.bootstrapServers,
      clock,
      logger,
      intervalMs: settings.introductionIntervalMs,
      timeoutMs: settings.probeTimeoutMs,
      identify: (address, timeoutMs, done) => this.transport?.identify(address, timeoutMs, done),
      isConnected: (peer) => this.connected.has(peer),
      onFound: (peer, address) => this.directory.find(peer, address),
    })
  }

  open(transport: PeerTransport<PeerMessage>): void {
    this.transport = transport
    this.directory.start()
    this.bootstrap.start()
    this.repeatIntroductions()
  }

  close(): void {
    this.closed = true
    this.timer?.cancel()
    this.watch.close()
    this.directory.close()
    this.bootstrap.close()
    this.transport?.close()
  }

  send(to: NodeId, lane: Lane, message: PeerMessage): void {
    this.transport?.send(to, lane, message)
  }

  isConnected(peer: NodeId): boolean {
    return this.watch.isConnected(peer)
  }

  /** A message of this peer came. */
  onHeard(peer: NodeId): void {
    this.watch.onHeard(peer)
  }

  /** When its last message came, in monotonic milliseconds. */
  lastHeardMs(peer: NodeId): number | undefined {
    return this.watch.lastHeardMs(peer)
  }

  /** Everyone that this node connects to. */
  peers(): NodeId[] {
    return this.addresses().flatMap(({ nodeId }) => (nodeId === this.options.self.nodeId ? [] : [nodeId]))
  }

  addresses(): PeerAddress[] {
    return this.directory.addresses()
  }

  onGreeting(peer: NodeId, identity: PeerIdentity, greeting: Greeting): PeerRefusal | undefined {
    return this.identities.greet(peer, identity, greeting)
  }

  onDuplicate(peer: NodeId, refusal: PeerRefusal): void {
    this.duplicate.onRefused(peer, refusal)
  }

  private isTakenByMajority(): boolean {
    const taking = this.voters.filter(
      ({ nodeId }) => this.connected.has(nodeId) && !this.duplicate.isRefusedBy(nodeId),
    )
    return taking.length > this.voters.length / 2
  }

  onConnected(peer: NodeId): void {
    this.connected.add(peer)
    this.directory.onConnected(peer)
    this.watch.onConnected(peer)
    this.repeats.set(peer, REPEATS)
    this.introduceTo(peer)
  }

  onDisconnected(peer: NodeId): void {
    this.identities.onDisconnected(peer)
    this.connected.delete(peer)
    this.repeats.delete(peer)
    this.answered.delete(peer)
    this.turnedAway.delete(peer)
    this.foreign.delete(peer)
    if (!this.directory.isVoter(peer)) this.features.delete(peer)
    this.directory.onDisconnected(peer)
    this.watch.onDisconnected(peer)
  }

  /** What a member of another cluster says of terms, votes and logs is nothing to this one. */
  onForeign(peer: NodeId, clusterId: string, ownClusterId: string): void {
    if (this.foreign.has(peer)) return
    this.foreign.add(peer)
    this.options.logger.error(
      { peer, clusterId, ownClusterId },
      `node ${peer} belongs to cluster ${clusterId}, and this node to ${ownClusterId}: its messages are ignored; ` +
        'correct the addresses that its configuration or this one names',
    )
  }

  /** The feature levels that another controller can read; undefined: it has not introduced itself. */
  supportedBy(peer: NodeId): readonly SupportedFeature[] | undefined {
    return this.features.get(peer)
  }

  /** The controllers that are connected, and voters that were. */
  knownControllers(): NodeId[] {
    return [...this.features.keys()]
  }

  isBrokerOnly(peer: NodeId): boolean {
    return this.directory.isBrokerOnly(peer)
  }

  onIntroduction(peer: NodeId, introduction: Introduction): void {
    const { host, port, isController, isConfigured, clusterId, features } = introduction
    const ownClusterId = this.options.clusterId()
    if (clusterId !== '' && ownClusterId !== undefined && clusterId !== ownClusterId) {
      this.onForeign(peer, clusterId, ownClusterId)
      return
    }
    if (isController) this.features.set(peer, features)
    // Both configurations name an address, and perhaps another one than the peer advertises.
    if (isConfigured && this.directory.isConfiguredPeer(peer)) {
      this.directory.trustConfiguration(peer)
      return
    }
    // A broker dials the controllers that it knows of, and nobody back.
    if (!this.options.isController) return
    const wrong = wrongAddress({ host, port })
    if (wrong !== undefined) {
      this.turnAway(peer, `a peer cannot be dialled back: ${wrong}`)
      return
    }
    if (!this.directory.introduce(peer, { host, port })) {
      const { maxIntroducedPeers } = this.options.settings
      this.turnAway(peer, `no room for another peer: ${maxIntroducedPeers} have introduced themselves`)
      return
    }
    this.turnedAway.delete(peer)
    this.directory.noteRole(peer, isController)
    this.answer(peer)
    this.send(peer, 'controller', { type: 'voterAddresses', voters: this.directory.firstHandVoters() })
    this.shareAddresses()
  }

  /**
   * Where the peer dialled first, there was no way to it when it connected, and now there is. It must know this node from
   * itself: as a voter alone, it would be hung up on by the change that removes it, before that has committed.
   */
  private answer(peer: NodeId): void {
    if (this.answered.has(peer)) return
    this.answered.add(peer)
    this.introduceTo(peer)
  }

  /** It introduces itself again and again; the log hears of it once. */
  private turnAway(peer: NodeId, message: string): void {
    if (this.turnedAway.has(peer)) return
    this.turnedAway.add(peer)
    this.options.logger.warn({ peer }, message)
  }

  /** Named by an operator; the node's own word beats it. */
  suggest(peer: NodeId, address: Address): void {
    if (wrongAddress(address) === undefined) this.directory.suggest(peer, address)
  }

  onVoterAddresses(voters: readonly PeerAddress[]): void {
    this.directory.report(voters.filter((voter) => wrongAddress(voter) === undefined))
    this.rememberAddresses()
  }

  setVoters(voters: readonly Voter[]): void {
    this.voters = voters
    this.directory.onVoters(voters)
    // Nobody else would say of one that was removed while it was away that it has gone.
    for (const peer of this.features.keys()) {
      if (!this.connected.has(peer) && !this.directory.isVoter(peer)) this.features.delete(peer)
    }
    this.shareAddresses()
  }

  /** Dials it afresh, unless it is connected; a refusal is its death. */
  probe(peer: NodeId, address: Address | undefined): void {
    const isNew = address !== undefined && this.directory.addressOf(peer) === undefined
    if (isNew && wrongAddress(address) === undefined) this.directory.introduce(peer, address)
    this.watch.probe(peer)
  }

  /** Only what this node knows at first hand goes out, so that no old address travels in circles. */
  private shareAddresses(): void {
    this.rememberAddresses()
    const voters = this.directory.firstHandVoters()
    const shared = JSON.stringify(voters)
    if (shared === this.shared) return
    const isFirst = this.shared === ''
    this.shared = shared
    // Whoever connects later is told on its introduction.
    if (isFirst) return
    for (const peer of this.connected) this.send(peer, 'controller', { type: 'voterAddresses', voters })
  }

  /** What the configuration says needs no remembering. */
  private rememberAddresses(): void {
    const voters = this.directory.voterAddresses()
    if (!this.directory.allConfigured(voters)) this.options.addresses.write(voters)
  }

  /** A voter may know this one by the log alone, and would hang up as soon as its vote is taken. */
  private introduceTo(peer: NodeId): void {
    if (this.directory.isBrokerOnly(peer)) return
    const { nodeId, host, port } = this.options.self
    const self = { nodeId, directoryId: this.options.directoryId() }
    const { isController } = this.options
    const isConfigured = this.directory.isConfigured && this.directory.isConfiguredPeer(peer)
    const clusterId = this.options.clusterId() ?? ''
    this.send(peer, 'controller', {
      type: 'introduction',
      self,
      host,
      port,
      isController,
      isConfigured,
      clusterId,
      features: isController ? [...this.options.supportedFeatures] : [],
    })
  }

  /** Messages get lost, and a controller that had no room may have some now. */
  private repeatIntroductions(): void {
    const isLost = this.options.leader() === undefined
    for (const peer of this.connected) {
      const left = this.repeats.get(peer) ?? 0
      if (left === 0 && !isLost) continue
      this.repeats.set(peer, Math.max(0, left - 1))
      this.introduceTo(peer)
    }
    this.timer = this.options.clock.after(this.options.settings.introductionIntervalMs, () =>
      this.repeatIntroductions(),
    )
  }
}
