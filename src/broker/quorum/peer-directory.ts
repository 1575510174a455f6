import type { NodeId } from '../../lib/ids.js'
import type { Clock, Timer } from '../../ports/clock.js'
import type { Address } from '../../ports/network.js'
import type { Voter } from '../../raft/types.js'
import type { PeerAddress } from '../peer-message.js'

export interface PeerDirectoryOptions {
  readonly self: PeerAddress
  /** `controller.quorum.voters`: the same on every node, so these need no introduction among themselves. */
  readonly configured: readonly PeerAddress[]
  /** A controller dials back whoever introduced itself; a broker dials the controllers alone. */
  readonly isController: boolean
  readonly clock: Clock
  /** A node that introduced itself is forgotten when it was away for so long. */
  readonly forgetAfterMs: number
  readonly maxIntroduced: number
  /** Where the voters were reached before this process started. */
  readonly remembered: readonly PeerAddress[]
  /** Whom to connect to. */
  onPeers(peers: ReadonlyMap<NodeId, Address>): void
  /** Everybody that a leader replicates to beside the voters. */
  onLearners(nodeIds: readonly NodeId[]): void
}

/** Of new voters that an operator named, and that have not introduced themselves yet: Raft takes one at a time. */
const MAX_SUGGESTED = 8

/**
 * Who is where. Addresses come from the configuration, from the node's own introduction, from the bootstrap servers
 * and, for voters, from what other controllers say; in doubt a node's own word counts.
 *
 * Observers are dialled back: replication, answers and the proof of a death travel over connections that the
 * receiving side's peers opened, as between voters, so that there is one way of sending for all.
 */
export class PeerDirectory {
  private readonly configured: ReadonlyMap<NodeId, Address>
  private readonly introduced = new Map<NodeId, Address>()
  /** Of those who introduced themselves, who can never vote. */
  private readonly brokersOnly = new Set<NodeId>()
  private readonly found = new Map<NodeId, Address>()
  /** By an operator. Oldest first. */
  private readonly suggested = new Map<NodeId, Address>()
  private readonly reported = new Map<NodeId, Address>()
  private readonly connected = new Set<NodeId>()
  private readonly farewells = new Map<NodeId, Timer>()
  private lastReport: readonly NodeId[]
  private voters: readonly Voter[] = []
  private dialled = ''
  private learners = ''

  constructor(private readonly options: PeerDirectoryOptions) {
    this.configured = new Map(options.configured.map(({ nodeId, host, port }) => [nodeId, { host, port }]))
    this.lastReport = options.remembered.map((voter) => voter.nodeId)
    for (const { nodeId, host, port } of options.remembered) this.reported.set(nodeId, { host, port })
  }

  /** Its address is on every node; it needs no introduction. */
  get isConfigured(): boolean {
    return this.configured.has(this.options.self.nodeId)
  }

  /** As this node's own configuration has it. */
  isConfiguredPeer(nodeId: NodeId): boolean {
    return this.configured.has(nodeId)
  }

  addressOf(nodeId: NodeId): Address | undefined {
    const { self } = this.options
    if (nodeId === self.nodeId) return self
    return (
      this.introduced.get(nodeId) ??
      this.configured.get(nodeId) ??
      this.found.get(nodeId) ??
      this.reported.get(nodeId) ??
      this.suggested.get(nodeId)
    )
  }

  /** The voters whose addresses this node knows from themselves or from its configuration. */
  firstHandVoters(): PeerAddress[] {
    const { self } = this.options
    const ids =
      this.voters.length > 0 ? this.voters.map((voter) => voter.nodeId) : [...this.configured.keys()]
    return ids.flatMap((nodeId) => {
      const address =
        nodeId === self.nodeId
          ? self
          : (this.introduced.get(nodeId) ?? this.configured.get(nodeId) ?? this.found.get(nodeId))
      return withId(nodeId, address)
    })
  }

  /** Of the voters that the log names, from whomever this node knows them. */
  voterAddresses(): PeerAddress[] {
    return this.voters.flatMap(({ nodeId }) => withId(nodeId, this.addressOf(nodeId)))
  }

  /** Nothing that the others do not know already. */
  allConfigured(addresses: readonly PeerAddress[]): boolean {
    return addresses.every(({ nodeId, host, port }) => {
      const configured = this.configured.get(nodeId)
      return configured?.host === host && configured.port === port
    })
  }

  /** Everyone that this node connects to, and itself, by id. */
  addresses(): PeerAddress[] {
    const ids = [...this.wanted().keys(), this.options.self.nodeId]
    return ids.sort((a, b) => a - b).flatMap((nodeId) => withId(nodeId, this.addressOf(nodeId)))
  }

  /** It said so itself; of a node that nobody heard of it is not known. */
  isBrokerOnly(nodeId: NodeId): boolean {
    return this.brokersOnly.has(nodeId)
  }

  isVoter(nodeId: NodeId): boolean {
    return this.voters.some((voter) => voter.nodeId === nodeId)
  }

  noteRole(nodeId: NodeId, isController: boolean): void {
    if (isController) this.brokersOnly.delete(nodeId)
    else this.brokersOnly.add(nodeId)
  }

  /** False: there are too many. */
  introduce(nodeId: NodeId, address: Address): boolean {
    const { isController, maxIntroduced, self } = this.options
    if (!isController || nodeId === self.nodeId) return false
    if (!this.introduced.has(nodeId) && this.introduced.size >= maxIntroduced) return false
    this.introduced.set(nodeId, address)
    this.suggested.delete(nodeId)
    if (!this.connected.has(nodeId)) this.startFarewell(nodeId)
    this.update()
    return true
  }

  /** Whoever is not known yet is dialled there, and forgotten like one that introduced itself. */
  suggest(nodeId: NodeId, address: Address): void {
    const known = this.addressOf(nodeId)
    if (known !== undefined && !this.suggested.has(nodeId)) return
    this.suggested.delete(nodeId)
    this.suggested.set(nodeId, address)
    for (const oldest of this.suggested.keys()) {
      if (this.suggested.size <= MAX_SUGGESTED) break
      this.suggested.delete(oldest)
      this.farewells.get(oldest)?.cancel()
      this.farewells.delete(oldest)
    }
    if (!this.connected.has(nodeId)) this.startFarewell(nodeId)
    this.update()
  }

  /** It is where the configuration has it, and no more where a process before it introduced itself from. */
  trustConfiguration(nodeId: NodeId): void {
    if (this.introduced.delete(nodeId)) this.update()
  }

  /** A bootstrap server said who it is. */
  find(nodeId: NodeId, address: Address): void {
    for (const [other, { host, port }] of this.found) {
      if (other !== nodeId && host === address.host && port === address.port) this.found.delete(other)
    }
    this.found.set(nodeId, address)
    this.update()
  }

  /** What another controller says of the voters. While this node catches up, that is newer than what its log says. */
  report(voters: readonly PeerAddress[]): void {
    // A newcomer, which knows no more than this node.
    if (voters.length === 0) return
    this.lastReport = voters.map((voter) => voter.nodeId)
    for (const { nodeId, host, port } of voters) this.reported.set(nodeId, { host, port })
    this.update()
  }

  onVoters(voters: readonly Voter[]): void {
    this.voters = voters
    // Away for long already, and kept for its vote alone.
    for (const nodeId of this.introduced.keys()) {
      if (!this.connected.has(nodeId) && !this.farewells.has(nodeId)) this.startFarewell(nodeId)
    }
    this.update()
  }

  onConnected(nodeId: NodeId): void {
    this.connected.add(nodeId)
    this.farewells.get(nodeId)?.cancel()
    this.farewells.delete(nodeId)
    this.update()
  }

  onDisconnected(nodeId: NodeId): void {
    this.connected.delete(nodeId)
    this.startFarewell(nodeId)
  }

  start(): void {
    this.update()
  }

  close(): void {
    for (const timer of this.farewells.values()) timer.cancel()
    this.farewells.clear()
  }

  /** What it holds of the log and of a snapshot under way is worth keeping for a moment. */
  private startFarewell(nodeId: NodeId): void {
    this.farewells.get(nodeId)?.cancel()
    const timer = this.options.clock.after(this.options.forgetAfterMs, () => {
      this.farewells.delete(nodeId)
      if (!this.isVoter(nodeId)) this.introduced.delete(nodeId)
      if (!this.isVoter(nodeId)) this.suggested.delete(nodeId)
      this.brokersOnly.delete(nodeId)
      this.update()
    })
    this.farewells.set(nodeId, timer)
  }

  private wanted(): Map<NodeId, Address> {
    const { self, isController } = this.options
    const ids = new Set([...this.configured.keys(), ...this.found.keys()])
    for (const { nodeId } of this.voters) ids.add(nodeId)
    if (isController) for (const nodeId of this.introduced.keys()) ids.add(nodeId)
    for (const nodeId of this.suggested.keys()) ids.add(nodeId)
    if (!this.isVoter(self.nodeId)) for (const nodeId of this.lastReport) ids.add(nodeId)
    ids.delete(self.nodeId)
    const wanted = new Map<NodeId, Address>()
    for (const nodeId of ids) {
      const address = this.addressOf(nodeId)
      if (address !== undefined) wanted.set(nodeId, address)
    }
    return wanted
  }

  private update(): void {
    const wanted = this.wanted()
    const dialled = JSON.stringify([...wanted])
    if (dialled !== this.dialled) {
      this.dialled = dialled
      this.options.onPeers(wanted)
    }
    if (!this.options.isController) return
    const present = [...wanted.keys()].filter((id) => this.connected.has(id) || this.farewells.has(id))
    const learners = present.sort((a, b) => a - b)
    if (learners.join() === this.learners) return
    this.learners = learners.join()
    this.options.onLearners(learners)
  }
}

function withId(nodeId: NodeId, address: Address | undefined): PeerAddress[] {
  return address === undefined ? [] : [{ nodeId, host: address.host, port: address.port }]
}
