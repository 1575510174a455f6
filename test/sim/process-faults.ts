import { randomBelow, randomBetween, type SeededRandom } from '../../src/lib/prng.js'
import type { FaultContext } from './faults.js'
import type { SimNode } from './node.js'

/** Whoever made so few changes in this time lives on. */
const DIES_WITHIN_MS = 6_000
const TEN_YEARS_MS = 10 * 365 * 86_400_000

/** What befalls processes and machines: ends, pauses, power cuts, clocks. */
export const PROCESS_FAULTS = {
  crash(context: FaultContext, node: SimNode): boolean {
    if (!context.mayEnd(node)) return false
    context.world.struck('crash', `crash of node ${node.id}`)
    node.crash()
    context.restart(node, downTimeMs(context.random))
    return true
  },

  instantRestart(context: FaultContext, node: SimNode): boolean {
    if (!context.mayEnd(node)) return false
    context.world.struck(
      'instantRestart',
      `crash of node ${node.id}, and a supervisor that waits for nothing`,
    )
    node.crash()
    context.restart(node, randomBetween(context.random, 10, 60))
    return true
  },

  cleanRestart(context: FaultContext, node: SimNode): boolean {
    // Whoever has no time left to close its logs ends like one that was killed.
    if (node.node?.state !== 'running' || !context.mayEnd(node)) return false
    const { world, random } = context
    world.struck('cleanRestart', `node ${node.id} is asked to stop`)
    node.stop(() => {
      world.note(`node ${node.id} has stopped`)
      context.restart(node, randomBetween(random, 10, 1_000))
    })
    return true
  },

  /** All processes at once; the machines, and what they hold in memory, stay. */
  crashAll(context: FaultContext): boolean {
    if (!context.mayEndAll()) return false
    context.world.struck('crashAll', 'crash of all nodes')
    for (const node of context.world.nodes) {
      node.crash()
      context.restart(node, downTimeMs(context.random))
    }
    return true
  },

  powerCut(context: FaultContext, node: SimNode): boolean {
    if (!context.mayEnd(node)) return false
    context.world.struck('powerCut', `power cut of node ${node.id}`)
    node.powerCut(context.random)
    context.restart(node, downTimeMs(context.random))
    return true
  },

  powerCutAll(context: FaultContext): boolean {
    context.world.struck('powerCutAll', 'power cut of all nodes')
    for (const node of context.world.nodes) {
      node.powerCut(context.random)
      context.restart(node, downTimeMs(context.random))
    }
    return true
  },

  /** The case that cost NATS its records: what only the one had on its disk must not count. */
  powerCutOneOthersPaused(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    if (!context.mayEnd(node)) return false
    world.struck('powerCutOneOthersPaused', `power cut of node ${node.id} while the others are paused`)
    for (const other of world.nodes) {
      if (other !== node && other.process?.state === 'running')
        pauseFor(context, other, randomBetween(random, 100, 5_000))
    }
    context.later(randomBetween(random, 0, 50), () => {
      if (!node.isUp || !context.mayEnd(node)) return
      node.powerCut(random)
      context.restart(node, downTimeMs(random))
    })
    return true
  },

  /** In the middle of what it does, also of its start, that of an empty disk included. Whoever does nothing of it lives. */
  deathInside(context: FaultContext, node: SimNode): boolean {
    const { world, random, budget } = context
    if (!context.mayEnd(node)) return false
    const losesPower = randomBelow(random, 2) === 0
    const isRare = randomBelow(random, 2) === 0
    const atStart = randomBelow(random, 2) === 0
    if (atStart) {
      const isWiped = randomBelow(random, 4) === 0 && budget.mayDamage(node)
      world.note(`node ${node.id} goes down${isWiped ? ', loses its disk,' : ''} and is to die as it starts`)
      if (isWiped) budget.strike(node, 'now')
      node.crash()
      if (isWiped) node.wipe()
      context.restart(node, downTimeMs(random))
    }
    const end = (): void => {
      // It may have promised more since it was chosen.
      context.mayEnd(node)
      if (losesPower) node.powerCut(random)
      else node.crash()
    }
    const { incarnation } = node
    node.dieInside(randomBelow(random, isRare ? 8 : 40), isRare, end, (what) => {
      const how = losesPower ? 'loses power' : 'dies'
      world.struck('deathInside', `node ${node.id} ${how} within an event, before ${what}`)
      context.restart(node, downTimeMs(random))
    })
    context.later(DIES_WITHIN_MS, () => {
      if (node.incarnation <= incarnation + 1) node.cancelDoom()
    })
    return true
  },

  pause(context: FaultContext, node: SimNode): boolean {
    context.world.struck('pause', `pause of node ${node.id}`)
    pauseFor(context, node, randomBetween(context.random, 100, 6_000))
    return true
  },

  clockJump(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    const jumpMs = randomBelow(random, 2) === 0 ? TEN_YEARS_MS : -TEN_YEARS_MS
    world.struck('clockJump', `the wall clock of node ${node.id} jumps by ${jumpMs} ms`)
    node.setWallOffset(jumpMs)
    context.later(randomBetween(random, 500, 5_000), () => node.setWallOffset(0))
    return true
  },
} as const

function pauseFor(context: FaultContext, node: SimNode, durationMs: number): void {
  const process = node.process!
  process.pause()
  context.later(durationMs, () => {
    if (process.state !== 'paused') return
    context.world.note(`node ${node.id} goes on`)
    process.resume()
  })
}

/** Of a machine before somebody starts it again: often at once. */
export function downTimeMs(random: SeededRandom): number {
  return randomBelow(random, 3) === 0 ? randomBetween(random, 10, 60) : randomBetween(random, 100, 4_000)
}
