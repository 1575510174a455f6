import type { NodeId, Term, Uuid } from '../../lib/ids.js'
import type { Clock } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Greeting, PeerIdentity, PeerRefusal } from '../../ports/peers.js'

export interface PeerIdentitiesOptions {
  readonly self: NodeId
  readonly clock: Clock
  readonly logger: Logger
  /** An election time-out: a process whose connection broke less than this ago may be about to dial again. */
  readonly holdMs: number
  readonly maxPeers: number
  isConnected(peer: NodeId): boolean
  /** The committed voters name this very directory. */
  isVoter(peer: NodeId, directoryId: Uuid): boolean
  /** This node leads or hears its leader. */
  isLed(): boolean
  /** This node follows, and who hears a leader of that term hears the one that this node would follow. */
  isCurrentTerm(term: Term): boolean
}

interface Known {
  identity: PeerIdentity
  /** When it last greeted, or when its connection broke. */
  seenMs: number
  /** Its dial was refused since: nobody is to be waited for, whatever has not been noticed to be broken. */
  isDead: boolean
  /** Of the last processes before this one: no successors of anybody. Oldest first. */
  readonly past: readonly Uuid[]
  /** When one of those, or whoever came after it, was refused last: two processes share the directory. */
  contestedMs: number
  /** Of the last process that was refused, and when the log heard of it. */
  refusedIncarnationId: Uuid | undefined
  refusedMs: number
}

/** Between two lines of the log about the same two processes. */
const LOG_INTERVAL_MS = 10_000

/** Of one node, whoever they were. A supervisor that starts a refused process again needs minutes for so many. */
const MAX_PAST = 16

/** Longer than a supervisor waits before it starts a process again. */
const CONTEST_MS = 60_000

/**
 * Who speaks for each node. A second process with the node id of one that lives is refused, or it would take over its
 * place: messages to the one would reach the other, and what the one answers would count for the other's disk.
 *
 * - The same directory in a new process: its lock proves that the old one is dead, unless the directory was copied. Taken
 *   at once when no stream of the old one stands, or from the same address, which two processes cannot both listen on.
 *   Should an old one come again all the same, it is as any other directory, and so are others for a while.
 * - Any other: only when the known process is gone, by its broken connection and an election time-out, by a
 *   refused dial, or since the other one answers at its address. A connection to a host that vanished breaks by the
 *   transport's own keepalive.
 * - Whose directory is that of a voter takes its place back from one whose is not.
 * - Whom the leader serves takes its place back at the followers. The leader itself believes its own streams alone.
 */
export class PeerIdentities {
  private readonly known = new Map<NodeId, Known>()

  constructor(private readonly options: PeerIdentitiesOptions) {}

  /** A stream of this process is about to stand. */
  greet(peer: NodeId, identity: PeerIdentity, greeting: Greeting): PeerRefusal | undefined {
    const { isStanding, ledTerm } = greeting
    const known = this.known.get(peer)
    if (known === undefined) {
      this.makeRoom()
      this.note(peer, identity, [])
      return undefined
    }
    const { identity: former } = known
    if (former.incarnationId === identity.incarnationId) {
      known.identity = identity
      known.seenMs = this.nowMs
      known.isDead = false
      return undefined
    }
    const isServed = ledTerm !== undefined && this.options.isCurrentTerm(ledTerm)
    if (
      !isServed &&
      this.isPresent(known, greeting) &&
      !this.isSuccessor(known, identity, isStanding) &&
      !this.takesBack(peer, former, identity)
    ) {
      return this.refuse(peer, known, identity, isStanding)
    }
    const past = known.past.filter((id) => id !== former.incarnationId && id !== identity.incarnationId)
    this.note(peer, identity, [...past, former.incarnationId].slice(-MAX_PAST), known.contestedMs)
    return undefined
  }

  onDisconnected(peer: NodeId): void {
    const known = this.known.get(peer)
    if (known !== undefined) known.seenMs = this.nowMs
  }

  onDead(peer: NodeId): void {
    const known = this.known.get(peer)
    if (known !== undefined) known.isDead = true
  }

  private get nowMs(): number {
    return this.options.clock.monotonicMs()
  }

  private isPresent(known: Known, { isStanding, isDialled }: Greeting): boolean {
    if (known.isDead) return false
    return isStanding || (!isDialled && this.nowMs - known.seenMs < this.options.holdMs)
  }

  /** The process before it in the same directory must be dead. */
  private isSuccessor(known: Known, identity: PeerIdentity, isStanding: boolean): boolean {
    const { identity: former } = known
    if (former.directoryId !== identity.directoryId || known.past.includes(identity.incarnationId))
      return false
    return !isStanding || (at(former) === at(identity) && !this.isContested(known))
  }

  private isContested(known: Known): boolean {
    return this.nowMs - known.contestedMs < CONTEST_MS
  }

  private takesBack(peer: NodeId, former: PeerIdentity, identity: PeerIdentity): boolean {
    const { isVoter } = this.options
    return isVoter(peer, identity.directoryId) && !isVoter(peer, former.directoryId)
  }

  private note(
    peer: NodeId,
    identity: PeerIdentity,
    past: readonly Uuid[],
    contestedMs = Number.NEGATIVE_INFINITY,
  ): void {
    this.known.set(peer, {
      identity,
      seenMs: this.nowMs,
      isDead: false,
      past,
      contestedMs,
      refusedIncarnationId: undefined,
      refusedMs: 0,
    })
  }

  private refuse(peer: NodeId, known: Known, identity: PeerIdentity, isStanding: boolean): PeerRefusal {
    const { logger, holdMs } = this.options
    const { identity: other } = known
    if (other.directoryId === identity.directoryId) {
      const isPast = known.past.includes(identity.incarnationId)
      if (isPast || this.isContested(known)) known.contestedMs = this.nowMs
    }
    if (
      known.refusedIncarnationId !== identity.incarnationId ||
      this.nowMs - known.refusedMs >= LOG_INTERVAL_MS
    ) {
      known.refusedIncarnationId = identity.incarnationId
      known.refusedMs = this.nowMs
      logger.error(
        { peer, refused: identity, known: other },
        `two processes have node.id=${peer}: the one at ${at(other)} ${isStanding ? 'is' : 'was just'} connected, and the one at ${at(identity)} is ` +
          'refused; stop it, or give it a node.id of its own',
      )
    }
    const reason = this.reason(peer, known, identity, isStanding)
    return { reason, isLed: this.options.isLed(), holdMs }
  }

  private reason(peer: NodeId, known: Known, identity: PeerIdentity, isStanding: boolean): string {
    const { self } = this.options
    const { identity: other } = known
    if (other.directoryId === identity.directoryId) {
      const which = known.past.includes(identity.incarnationId) ? 'a newer' : 'another'
      return (
        `${which} process of the same data directory (${other.directoryId}) has node.id=${peer}, at ${at(other)}, as ` +
        `node ${self} sees it: was log.dirs copied? Stop one of the two for good`
      )
    }
    const isThere = isStanding ? 'is connected to' : 'has just been connected to'
    return (
      `another process has node.id=${peer}: the one at ${at(other)}, with the data directory ${other.directoryId}, ` +
      `${isThere} node ${self}; give this one a node.id of its own, or stop the other one first`
    )
  }

  /** Whoever is gone is as unknown as somebody who never came. */
  private makeRoom(): void {
    const { maxPeers, isConnected } = this.options
    if (this.known.size < maxPeers) return
    for (const peer of this.known.keys()) if (!isConnected(peer)) this.known.delete(peer)
  }
}

function at({ address: { host, port } }: PeerIdentity): string {
  return `${host}:${port}`
}
