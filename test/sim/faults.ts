import { randomBelow, randomBetween, type SeededRandom } from '../../src/lib/prng.js'
import { hostOf, type SimNode } from './node.js'
import type { SimRun } from './world.js'

/** Draws faults from the seed, one every few seconds, and undoes each of them in time. */
export class FaultSchedule {
  private stopped = false

  constructor(
    private readonly world: SimRun,
    private readonly random: SeededRandom,
  ) {}

  start(): void {
    this.later(randomBetween(this.random, 500, 3_000), () => this.strike())
  }

  /** No further fault; everything that is down comes back, every link is healed. */
  stop(): void {
    this.stopped = true
    this.world.links.healAll()
    for (const node of this.world.nodes) {
      if (!node.isUp) node.start(this.world.drift())
      else node.process?.resume()
    }
  }

  private later(delayMs: number, run: () => void): void {
    this.world.clock.schedule(null, delayMs, () => {
      if (!this.stopped) run()
    })
  }

  private strike(): void {
    const kinds = [
      this.crash,
      this.crash,
      this.powerCut,
      this.powerCut,
      this.powerCutAll,
      this.pause,
      this.isolate,
      this.oneWayCut,
    ]
    kinds[randomBelow(this.random, kinds.length)]!.call(this)
    this.later(randomBetween(this.random, 500, 5_000), () => this.strike())
  }

  /** A node that runs; none where fewer than two others would be left, so that most of the time the cluster can serve. */
  private victim(): SimNode | null {
    const running = this.world.nodes.filter((n) => n.isUp && n.process?.state === 'running')
    if (running.length < this.world.nodes.length) return null
    return running[randomBelow(this.random, running.length)]!
  }

  private crash(): void {
    const node = this.victim()
    if (node === null) return
    this.world.note(`crash of node ${node.id}`)
    this.world.count('crash')
    node.crash()
    this.restartLater(node)
  }

  private powerCut(): void {
    const node = this.victim()
    if (node === null) return
    this.world.note(`power cut of node ${node.id}`)
    this.world.count('powerCut')
    node.powerCut(this.random)
    this.restartLater(node)
  }

  private powerCutAll(): void {
    if (this.victim() === null) return
    this.world.note('power cut of all nodes')
    this.world.count('powerCutAll')
    for (const node of this.world.nodes) {
      node.powerCut(this.random)
      this.restartLater(node)
    }
  }

  private pause(): void {
    const node = this.victim()
    if (node === null) return
    const process = node.process!
    this.world.note(`pause of node ${node.id}`)
    this.world.count('pause')
    process.pause()
    this.later(randomBetween(this.random, 100, 6_000), () => {
      this.world.note(`node ${node.id} goes on`)
      process.resume()
    })
  }

  private isolate(): void {
    const node = this.victim()
    if (node === null) return
    this.world.note(`node ${node.id} is isolated`)
    this.world.count('isolate')
    for (const other of this.world.nodes)
      if (other !== node) this.world.links.cutBoth(hostOf(node.id), hostOf(other.id))
    this.later(randomBetween(this.random, 200, 8_000), () => {
      this.world.note('links are healed')
      this.world.links.healAll()
    })
  }

  private oneWayCut(): void {
    const node = this.victim()
    if (node === null) return
    const others = this.world.nodes.filter((n) => n !== node)
    const other = others[randomBelow(this.random, others.length)]!
    const [from, to] = randomBelow(this.random, 2) === 0 ? [node, other] : [other, node]
    this.world.note(`nothing passes from node ${from.id} to node ${to.id}`)
    this.world.count('oneWayCut')
    this.world.links.cut(hostOf(from.id), hostOf(to.id))
    this.later(randomBetween(this.random, 200, 8_000), () => {
      this.world.note('links are healed')
      this.world.links.healAll()
    })
  }

  private restartLater(node: SimNode): void {
    const incarnation = node.incarnation
    this.later(this.world.restartDelayMs(this.random), () => {
      if (node.isUp || node.incarnation !== incarnation) return
      this.world.note(`node ${node.id} starts`)
      node.start(this.world.drift())
    })
  }
}
