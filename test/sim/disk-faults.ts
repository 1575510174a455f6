import { randomBelow, randomBetween } from '../../src/lib/prng.js'
import type { FaultContext } from './faults.js'
import type { SimNode } from './node.js'
import { downTimeMs } from './process-faults.js'

/** What the partition logs leave free for the Raft log. */
const RESERVED_BYTES = 64 * 1024 * 1024

/** A failure of a read that nobody asked for in this time does not come. */
const READ_WITHIN_MS = 2_000

/** What befalls disks. */
export const DISK_FAULTS = {
  slowDisk(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    const extraMs = randomBetween(random, 20, 600)
    world.struck('slowDisk', `the disk of node ${node.id} takes ${extraMs} ms more`)
    node.slowDisk(extraMs)
    context.later(randomBetween(random, 500, 5_000), () => node.healDisk())
    return true
  },

  /** EIO: the process must end. Whether the machine loses what it held in its page cache is left to chance. */
  failedSync(context: FaultContext, node: SimNode): boolean {
    context.world.struck('failedSync', `the next sync of node ${node.id} fails`)
    node.failNextSync(gaveUp(context, node))
    return true
  },

  failedStoreSync(context: FaultContext, node: SimNode): boolean {
    context.world.struck('failedStoreSync', `the next sync of node ${node.id} where its Raft log lies fails`)
    node.failNextStoreSync(gaveUp(context, node))
    return true
  },

  failedWrite(context: FaultContext, node: SimNode): boolean {
    context.world.struck('failedWrite', `the next write of node ${node.id} fails`)
    node.failNextAccess('write', gaveUp(context, node))
    return true
  },

  /** EIO of a read: the log is quarantined, or the node gives up. */
  failedRead(context: FaultContext, node: SimNode): boolean {
    const { world, budget } = context
    if (!budget.mayDamage(node)) return false
    budget.strike(node, 'later')
    world.struck('failedRead', `the next read of node ${node.id} fails`)
    node.failNextAccess('read', gaveUp(context, node))
    const { incarnation } = node
    context.later(READ_WITHIN_MS, () => {
      if (node.incarnation === incarnation) node.cancelFailure()
    })
    return true
  },

  /** Somebody else fills it: below the reserve, or all but a few bytes. It heals by itself. */
  fullDisk(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    const freeBytes = randomBelow(random, 2) === 0 ? RESERVED_BYTES - 1 : randomBelow(random, 4_096)
    world.struck('fullDisk', `the disk of node ${node.id} has ${freeBytes} bytes left`)
    node.disk.leaveFree(freeBytes)
    // Where not even the reserve is left, a node may end; whoever starts it again has made room.
    if (freeBytes < RESERVED_BYTES / 2) {
      const restart = gaveUp(context, node)
      node.onFullDisk = () => {
        node.makeRoom()
        restart()
      }
    }
    context.later(randomBetween(random, 500, 6_000), () => node.makeRoom())
    return true
  },

  /** The node comes back under a new identity: no ISR and no vote until it has caught up. */
  wipe(context: FaultContext, node: SimNode): boolean {
    const { world, random, budget } = context
    if (!budget.mayDamage(node)) return false
    world.struck('wipe', `node ${node.id} goes down, and comes back with an empty disk`)
    budget.strike(node, 'now')
    node.crash()
    node.wipe()
    context.restart(node, downTimeMs(random))
    return true
  },

  /** What Raft stored is damaged: it is set aside, never repaired, and the node comes back without a vote. */
  raftRot(context: FaultContext, node: SimNode): boolean {
    const { world, random, budget } = context
    if (!budget.mayDamage(node)) return false
    node.crash()
    world.struck('raftRot', `node ${node.id} goes down, and ${node.rotRaft(random)}`)
    budget.strike(node, 'raft')
    context.restart(node, downTimeMs(random))
    return true
  },

  /** Rot, found at the next start or by whoever reads. One node at a time may hold it: two copies are all that is promised. */
  bitFlip(context: FaultContext, node: SimNode): boolean {
    const { world, random, budget } = context
    if (!budget.mayDamage(node)) return false
    node.crash()
    const flipped = budget.flip(node, random, randomBetween(random, 1, 3))
    world.struck('bitFlip', `node ${node.id} goes down, and bits flip in ${flipped.join(', ') || 'nothing'}`)
    context.restart(node, downTimeMs(random))
    return true
  },
} as const

function gaveUp(context: FaultContext, node: SimNode): () => void {
  const { world, random } = context
  const losesPower = randomBelow(random, 2) === 0
  return () => {
    world.note(`node ${node.id} gives up`)
    if (losesPower) node.powerCut(random)
    else node.crash()
    context.restart(node, downTimeMs(random))
  }
}
