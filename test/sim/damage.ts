import { randomBelow, type SeededRandom } from '../../src/lib/prng.js'
import { hasSpareVoter, isQuorumWhole } from './health.js'
import type { SimNode } from './node.js'
import type { SimRun } from './world.js'

interface Flip {
  readonly path: string
  readonly position: number
  /** The byte as it became. */
  readonly value: number
}

/**
 * Acknowledged records lie on two disks at least, so no more than one node may hold rotten bytes at a time: before
 * another is struck, all replicas must be in sync and every flip of the one before repaired.
 */
export class DamageBudget {
  private damaged: SimNode | null = null
  private flips: Flip[] = []

  constructor(private readonly world: SimRun) {}

  mayDamage(node: SimNode): boolean {
    const { nodes } = this.world
    if (nodes.length < 2 || !this.world.isWhole() || !isQuorumWhole(nodes) || !hasSpareVoter(nodes))
      return false
    this.forgetRepaired()
    return this.damaged === null || this.damaged === node
  }

  /** The node may have damaged logs. */
  isDamaged(node: SimNode): boolean {
    return this.damaged === node
  }

  /** A read of this node fails: the log that it hits is taken for damaged. */
  strike(node: SimNode): void {
    this.damaged = node
    this.world.damagedNodes.add(node.id)
  }

  /** Flips one bit in each of so many files of a node that is down; what they are called. */
  flip(node: SimNode, random: SeededRandom, count: number): string[] {
    const files = filesOf(node)
    const struck: string[] = []
    for (let i = 0; i < count && files.length > 0; i++) {
      const { path, size } = files[randomBelow(random, files.length)]!
      const position = randomBelow(random, size)
      node.disk.flipBit(path, position, randomBelow(random, 8))
      this.flips.push({ path, position, value: byteAt(node, path, position)! })
      this.strike(node)
      struck.push(`${path}@${position}`)
    }
    return struck
  }

  private forgetRepaired(): void {
    const node = this.damaged
    if (node === null) return
    this.flips = this.flips.filter(({ path, position, value }) => byteAt(node, path, position) === value)
    if (this.flips.length > 0 || node.hasPendingFailure) return
    this.damaged = null
    this.world.damagedNodes.delete(node.id)
  }
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
