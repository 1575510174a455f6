import { randomBelow, randomBetween, randomFloat } from '../../src/lib/prng.js'
import type { FaultContext } from './faults.js'
import { linkKey } from './network.js'
import { hostOf, type SimNode } from './node.js'

/** What befalls links. TCP keeps the order within a connection: loss is delay, and only connections end. */
export const NETWORK_FAULTS = {
  /** From the other nodes, not from clients: a leader goes on taking what it cannot replicate. Of many nodes, several. */
  isolate(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    const near = [node]
    const most = Math.floor(world.nodes.length / 2)
    const count = randomBetween(random, 1, Math.max(1, most))
    while (near.length < count) {
      const other = context.otherThan(node)
      if (!near.includes(other)) near.push(other)
    }
    const far = world.nodes.filter((other) => !near.includes(other))
    if (far.length === 0) return true
    world.struck('isolate', `nodes ${idsOf(near)} are isolated from ${idsOf(far)}`)
    healLater(context, cutBetween(context, near, far))
    return true
  },

  oneWayCut(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    if (world.nodes.length < 2) return true
    const other = context.otherThan(node)
    const [from, to] = randomBelow(random, 2) === 0 ? [node, other] : [other, node]
    world.struck('oneWayCut', `nothing passes from node ${from.id} to node ${to.id}`)
    healLater(context, [world.links.cut(hostOf(from.id), hostOf(to.id))])
    return true
  },

  /** Both sides see the node in the middle, and not each other. */
  bridge(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    const others = world.nodes.filter((other) => other !== node)
    if (others.length < 2) return true
    const left = others.splice(0, randomBetween(random, 1, others.length - 1))
    world.struck(
      'bridge',
      `nodes ${idsOf(left)} and ${idsOf(others)} see node ${node.id}, and not each other`,
    )
    healLater(context, cutBetween(context, left, others))
    return true
  },

  flappingCut(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    if (world.nodes.length < 2) return true
    const [a, b] = [hostOf(node.id), hostOf(context.otherThan(node).id)]
    world.struck('flappingCut', `the link of ${a} and ${b} comes and goes`)
    const flap = (left: number): void => {
      const undo = world.links.cutBoth(a, b)
      context.later(randomBetween(random, 50, 700), () => {
        undo()
        if (left > 0) context.later(randomBetween(random, 50, 700), () => flap(left - 1))
      })
    }
    flap(randomBetween(random, 2, 6))
    return true
  },

  /** Requests that do not arrive, or answers: the client cannot tell which. */
  clientCut(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    const way = randomBelow(random, 3)
    const what = way === 0 ? 'requests' : way === 1 ? 'answers' : 'requests and answers'
    world.struck('clientCut', `${what} of clients do not pass to or from node ${node.id}`)
    const cuts: (() => void)[] = []
    for (const client of world.clientHosts) {
      if (randomBelow(random, 2) === 0) continue
      if (way !== 1) cuts.push(world.links.cut(client, hostOf(node.id)))
      if (way !== 0) cuts.push(world.links.cut(hostOf(node.id), client))
    }
    healLater(context, cuts)
    return true
  },

  slowLink(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    if (world.nodes.length < 2) return true
    const link = linkKey(hostOf(node.id), hostOf(context.otherThan(node).id))
    const extraMs = randomBetween(random, 20, 400)
    world.struck('slowLink', `${link} takes ${extraMs} ms more`)
    world.links.extraLatencyMs.set(link, extraMs)
    context.later(randomBetween(random, 500, 6_000), () =>
      takeBack(world.links.extraLatencyMs, link, extraMs),
    )
    return true
  },

  /** Segments of all links of the node are lost and sent again. */
  lossyLink(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    const share = 0.02 + randomFloat(random) * 0.2
    const links = [
      ...world.nodes.filter((other) => other !== node).map(({ id }) => hostOf(id)),
      ...world.clientHosts,
    ]
      .filter(() => randomBelow(random, 2) === 0)
      .flatMap((host) => [linkKey(host, hostOf(node.id)), linkKey(hostOf(node.id), host)])
    world.struck(
      'lossyLink',
      `${(share * 100).toFixed(0)} % is lost on ${links.length} links of node ${node.id}`,
    )
    for (const link of links) world.links.loss.set(link, share)
    context.later(randomBetween(random, 500, 5_000), () => {
      for (const link of links) takeBack(world.links.loss, link, share)
    })
    return true
  },

  /** Something between the hosts resets every connection; both ends hear of it and dial again. */
  connectionReset(context: FaultContext, node: SimNode): boolean {
    const { world, random } = context
    const hosts = [
      ...world.clientHosts,
      ...world.nodes.filter((other) => other !== node).map(({ id }) => hostOf(id)),
    ]
    const struck = hosts.filter(() => randomBelow(random, 2) === 0)
    world.struck('connectionReset', `connections of node ${node.id} with ${struck.join(', ')} are reset`)
    for (const host of struck) world.network.reset(host, hostOf(node.id))
    for (const other of world.nodes)
      if (struck.includes(hostOf(other.id))) world.peers.reset(other.id, node.id)
    return true
  },
} as const

function cutBetween(
  { world }: FaultContext,
  near: readonly SimNode[],
  far: readonly SimNode[],
): (() => void)[] {
  return near.flatMap((a) => far.map((b) => world.links.cutBoth(hostOf(a.id), hostOf(b.id))))
}

/** Others that cut the same links go on. */
function healLater(context: FaultContext, cuts: readonly (() => void)[]): void {
  const { world, random } = context
  context.later(randomBetween(random, 200, 8_000), () => {
    world.note('links are healed')
    for (const undo of cuts) undo()
  })
}

/** What a later fault has set stays. */
function takeBack(values: Map<string, number>, link: string, value: number): void {
  if (values.get(link) === value) values.delete(link)
}

function idsOf(nodes: readonly SimNode[]): string {
  return nodes.map(({ id }) => id).join('/')
}
