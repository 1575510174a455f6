import type { NodeId } from '../lib/ids.js'
import { uuidFromBytes } from '../lib/ids.js'
import { isVoter, sameVoter } from './quorum.js'
import type { Configuration, Entry, Voter } from './types.js'

/**
 * First boot without a format step. A node with an empty directory founds the cluster only when **every** configured
 * voter said that its directory is empty too, and named the very same directories of all of them. So two wiped nodes
 * of three never found: the third knows a cluster and says so. Neither does a node whose Raft log was damaged: its
 * directory belongs to a cluster and may hold the last copy of records that a new, empty cluster would make strays.
 * And where all founders of a grown cluster are wiped, whoever is left of it and reaches one of them keeps all from
 * founding a second one; the driver gives them time to. Pure, like the rest.
 */
export type FoundingInput =
  | { type: 'empty'; self: Voter; view: readonly Voter[] }
  | { type: 'founded'; self: Voter; clusterId: string; configuration: Configuration }
  /** Somebody belongs to a cluster: a voter that was added later, or whoever follows. It will say `founded` when asked. */
  | { type: 'clusterExists' }

type ConfigurationEntry = Extract<Entry, { type: 'configuration' }>

export type FoundingOutcome =
  /** Entry 1, identical on every founder; the node is a voter from now on. */
  | { type: 'found'; entry: Entry; clusterId: string }
  /** A cluster exists that this very directory founded with the others: the same entry 1. */
  | { type: 'joinAsVoter'; entry: Entry; clusterId: string }
  /** Any other cluster: the log starts empty. The node is what the log that it gets says, at first a non-voter. */
  | { type: 'joinAsObserver'; clusterId: string; configuration: Configuration }

/** The term of entry 1; the first election is held in the next one. */
export const FOUNDING_TERM = 1

export class Founding {
  /** The newest directory of each configured voter, this node's own included. */
  private readonly directories = new Map<NodeId, Voter>()
  /** What each voter last said that it sees. */
  private readonly views = new Map<NodeId, readonly Voter[]>()
  private readonly voterIds: readonly NodeId[]
  private clusterExists = false

  constructor(
    private readonly self: Voter,
    voterIds: readonly NodeId[],
    /** False where the directory has belonged to a cluster: it looks for that one, and nobody founds with its help. */
    private readonly isEmpty = true,
  ) {
    this.voterIds = [...voterIds].sort((a, b) => a - b)
    this.directories.set(self.nodeId, self)
  }

  /** To be told to every other configured voter, again and again until somebody founds. No voter agrees with an empty one. */
  view(): Voter[] {
    if (!this.isEmpty || this.clusterExists) return []
    return this.voterIds.flatMap((nodeId) => this.directories.get(nodeId) ?? [])
  }

  step(input: FoundingInput): FoundingOutcome | undefined {
    if (input.type === 'founded') return this.join(input.clusterId, input.configuration)
    if (input.type === 'clusterExists') {
      this.clusterExists = true
      return undefined
    }
    const { self: peer, view } = input
    if (!this.voterIds.includes(peer.nodeId) || peer.nodeId === this.self.nodeId) return undefined
    this.directories.set(peer.nodeId, peer)
    this.views.set(peer.nodeId, view)
    return this.tryToFound()
  }

  /** As things stand: all agree. A single voter agrees with itself. */
  tryToFound(): FoundingOutcome | undefined {
    if (!this.isEmpty || this.clusterExists || !this.voterIds.includes(this.self.nodeId)) return undefined
    const view = this.view()
    if (view.length !== this.voterIds.length) return undefined
    const agree = this.voterIds.every(
      (nodeId) => nodeId === this.self.nodeId || isSameView(this.views.get(nodeId) ?? [], view),
    )
    if (!agree) return undefined
    const clusterId = clusterIdOf(view)
    return { type: 'found', entry: foundingEntry(clusterId, { voters: view }), clusterId }
  }

  /**
   * Who tells names its newest configuration, and entry 1 holds the first one: the cluster's id tells them apart. A
   * later voter starts with an empty log, and gets the entry, or a snapshot, from the leader.
   */
  private join(clusterId: string, configuration: Configuration): FoundingOutcome {
    const entry = foundingEntry(clusterId, configuration)
    const isFounding = clusterIdOf(entry.configuration.voters) === clusterId
    if (!this.isEmpty || !isFounding || !isVoter(configuration, this.self)) {
      return { type: 'joinAsObserver', clusterId, configuration }
    }
    return { type: 'joinAsVoter', entry, clusterId }
  }
}

export function foundingEntry(clusterId: string, configuration: Configuration): ConfigurationEntry {
  const voters = [...configuration.voters].sort((a, b) => a.nodeId - b.nodeId)
  return { type: 'configuration', term: FOUNDING_TERM, index: 1, configuration: { voters }, clusterId }
}

/** The same view gives the same id on every founder, and other directories give another one. */
export function clusterIdOf(view: readonly Voter[]): string {
  const text = view.map((voter) => `${voter.nodeId}@${voter.directoryId}`).join(',')
  const bytes = new Uint8Array(16)
  const words = new DataView(bytes.buffer)
  for (let i = 0; i < 4; i++) words.setUint32(i * 4, fnv1a(`${i}:${text}`))
  // Kafka's tools cannot parse an id that begins with '-': the first six bits never spell it.
  bytes[0] = bytes[0]! & 0x7f
  return uuidFromBytes(bytes)
}

/** FNV-1a, 32 bits, finished by murmur3's mixer. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function isSameView(a: readonly Voter[], b: readonly Voter[]): boolean {
  return a.length === b.length && a.every((voter, i) => sameVoter(voter, b[i]!))
}
