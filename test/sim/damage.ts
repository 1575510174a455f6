import { randomBelow, type SeededRandom } from '../../src/lib/prng.js'
import { hasSpareVoter, isQuorumWhole } from './health.js'
import type { LostEnds } from './invariants/invariant.js'
import type { SimNode } from './node.js'
import type { SimRun } from './world.js'

interface Flip {
  readonly node: SimNode
  readonly path: string
  readonly position: number
  /** The byte as it became. */
  readonly value: number
}

/**
 * Acknowledged records lie on two disks at least, or without `flush.before.ack` in the memory of two nodes, so no more
 * than one node at a time may hold rotten bytes or have forgotten what it did not write: before another is struck, all
 * replicas must be in sync and every flip of the one before repaired.
 */
export class DamageBudget {
  private damaged: readonly SimNode[] = []
  private flips: Flip[] = []

  constructor(private readonly world: SimRun) {}

  mayDamage(node: SimNode): boolean {
    const { nodes } = this.world
    if (nodes.length < 2 || !this.isWhole() || !hasSpareVoter(nodes)) return false
    // With the vote that is being taken from another it would be the second of three.
    if (this.world.workload.isRemovingVoter()) return false
    this.review()
    return this.damaged.every((each) => each === node)
  }

  /**
   * The node may end without having written what it acknowledged. The others need not be in sync: who is has all of it,
   * and is not struck until everybody has. True: it counts as damaged from now on.
   */
  mayForget(node: SimNode): boolean {
    this.review()
    if (this.world.nodes.length < 2 || this.damaged.some((each) => each !== node)) return false
    this.strike(node, 'now')
    return true
  }

  /** The same of all processes at once, whose machines forget nothing. */
  mayAllForget(): boolean {
    this.review()
    if (this.damaged.length > 0) return false
    for (const node of this.world.nodes) this.strike(node, 'now')
    return true
  }

  isNobodyDamaged(): boolean {
    this.review()
    return this.damaged.length === 0
  }

  /** The node may have damaged logs, or may not have all that it acknowledged. */
  isDamaged(node: SimNode): boolean {
    return this.damaged.includes(node)
  }

  /**
   * Before it happens. What the node acknowledged is lost at once, or a log of it when the damage is found, or nothing
   * but what its consensus stored.
   */
  strike(node: SimNode, loses: 'now' | 'later' | 'raft'): void {
    if (!this.damaged.includes(node)) this.damaged = [...this.damaged, node]
    if (loses === 'raft') return
    const { damagedNodes } = this.world
    const before = damagedNodes.get(node.id)
    if (loses === 'later' || before === null) damagedNodes.set(node.id, null)
    else damagedNodes.set(node.id, latest(before, this.world.logEndsOf(node)))
  }

  /** Whoever is repaired counts as sound again. */
  review(): void {
    if (this.damaged.length === 0 || !this.isWhole()) return
    this.flips = this.flips.filter(
      ({ node, path, position, value }) => byteAt(node, path, position) === value,
    )
    if (this.flips.length > 0 || this.damaged.some((node) => node.hasPendingFailure)) return
    for (const node of this.damaged) node.isRaftDamaged = false
    this.damaged = []
    this.world.damagedNodes.clear()
  }

  /** Flips one bit in each of so many files of a node that is down; what they are called. */
  flip(node: SimNode, random: SeededRandom, count: number): string[] {
    const files = filesOf(node)
    const struck: string[] = []
    this.strike(node, 'later')
    for (let i = 0; i < count && files.length > 0; i++) {
      const { path, size } = files[randomBelow(random, files.length)]!
      const position = randomBelow(random, size)
      node.disk.flipBit(path, position, randomBelow(random, 8))
      this.flips.push({ node, path, position, value: byteAt(node, path, position)! })
      struck.push(`${path}@${position}`)
    }
    return struck
  }

  private isWhole(): boolean {
    return this.world.isWhole() && isQuorumWhole(this.world.nodes)
  }
}

function latest(before: LostEnds | undefined, now: LostEnds): LostEnds {
  const ends = new Map(before)
  for (const [partition, end] of now) ends.set(partition, Math.max(end, ends.get(partition) ?? 0))
  return ends
}

/** Of partitions: what Raft holds is another matter, and meta.properties the operator's. */
function filesOf(node: SimNode): { path: string; size: number }[] {
  const files: { path: string; size: number }[] = []
  for (const name of node.disk.list('')) {
    if (!name.endsWith('/') || name === 'raft/') continue
    for (const file of node.disk.list(name)) {
      const path = `${name}${file}`
      const size = file.endsWith('/') ? 0 : sizeOf(node, path)
      if (size > 0) files.push({ path, size })
    }
  }
  return files
}

function sizeOf(node: SimNode, path: string): number {
  return Math.max(0, node.disk.durableSize(path))
}

function byteAt(node: SimNode, path: string, position: number): number | undefined {
  return node.disk.durableRead(path, position, 1)?.[0]
}
