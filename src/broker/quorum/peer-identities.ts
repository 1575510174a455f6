import type { NodeId, Uuid } from '../../lib/ids.js'
import type { Clock } from '../../ports/clock.js'
import type { Logger } from '../../ports/logger.js'
import type { Greeting, PeerIdentity } from '../../ports/peers.js'

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
}

interface Known {
  identity: PeerIdentity
  /** When it last greeted, or when its connection broke. */
  seenMs: number
  /** Its dial was refused since: nobody is to be waited for, whatever has not been noticed to be broken. */
  isDead: boolean
  /** Of the process of the same directory before this one, which must be dead. */
  formerIncarnationId: Uuid | undefined
  /** Of the last process that was refused, and when the log heard of it. */
  refusedIncarnationId: Uuid | undefined
  refusedMs: number
}

/** Between two lines of the log about the same two processes. */
const LOG_INTERVAL_MS = 10_000

/**
 * Who speaks for each node. A second process with the node id of one that lives is refused, or it would take over its
 * place: messages to the one would reach the other, and what the one answers would count for the other's disk.
 *
 * - The same directory in a new process: its lock proves that the old one is dead. Taken at once. Should that one come
 *   again all the same, the directory was copied, and it is as any other directory.
 * - Another directory: only when the known process is gone, by its broken connection and an election time-out, by a
 *   refused dial, or since the other one answers at its address. A connection to a host that vanished breaks by the
 *   transport's own keepalive.
 * - Whose directory is that of a voter takes its place back from one whose is not.
 */
export class PeerIdentities {
  private readonly known = new Map<NodeId, Known>()

  constructor(private readonly options: PeerIdentitiesOptions) {}

  /** A stream of this process is about to stand; a sentence refuses it. */
  greet(peer: NodeId, identity: PeerIdentity, { isStanding, isDialled }: Greeting): string | undefined {
    const known = this.known.get(peer)
    if (known === undefined) {
      this.makeRoom()
      this.note(peer, identity, undefined)
      return undefined
    }
    const { identity: former } = known
    if (former.incarnationId === identity.incarnationId) {
      known.identity = identity
      known.seenMs = this.nowMs
      known.isDead = false
      return undefined
    }
    const isSameDirectory = former.directoryId === identity.directoryId
    const isSuccessor = isSameDirectory && known.formerIncarnationId !== identity.incarnationId
    const isHeld = !isDialled && !known.isDead && this.nowMs - known.seenMs < this.options.holdMs
    const isPresent = isStanding ? !known.isDead : isHeld
    if (isPresent && !isSuccessor && !this.takesBack(peer, former, identity)) {
      return this.refuse(peer, known, identity, isStanding)
    }
    this.note(peer, identity, isSameDirectory ? former.incarnationId : undefined)
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

  private takesBack(peer: NodeId, former: PeerIdentity, identity: PeerIdentity): boolean {
    const { isVoter } = this.options
    return isVoter(peer, identity.directoryId) && !isVoter(peer, former.directoryId)
  }

  private note(peer: NodeId, identity: PeerIdentity, formerIncarnationId: Uuid | undefined): void {
    this.known.set(peer, {
      identity,
      seenMs: this.nowMs,
      isDead: false,
      formerIncarnationId,
      refusedIncarnationId: undefined,
      refusedMs: 0,
    })
  }

  private refuse(peer: NodeId, known: Known, identity: PeerIdentity, isStanding: boolean): string {
    const { self, logger } = this.options
    const { identity: other } = known
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
    if (other.directoryId === identity.directoryId) {
      return (
        `a newer process of the same data directory (${other.directoryId}) has node.id=${peer}, at ${at(other)}, as ` +
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
