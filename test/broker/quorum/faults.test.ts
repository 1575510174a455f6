import { expect, it } from 'vitest'
import { randomBelow } from '../../../src/lib/prng.js'
import { TestCluster, type TestNode, type TestReply } from './cluster.js'

const NAME = 'log.retention.ms'
const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1)

/**
 * Kills, power cuts, pauses and cuts at random moments, under commands. No acknowledged registration is lost, no log
 * is quarantined without damage, and the healed cluster agrees.
 */
it.each(SEEDS)('no acknowledged command is lost under faults, seed %i', (seed) => {
  const cluster = new TestCluster([1, 2, 3], seed, { snapshotEntries: 30, snapshotTailEntries: 5 })
  const { random, world, links } = cluster
  cluster.startAll()
  cluster.untilLed()
  const acknowledged: number[] = []
  const pending: { value: number; result: TestReply }[] = []
  let value = 0
  const pick = (): TestNode => cluster.nodes[randomBelow(random, 3)]!
  const stop = (node: TestNode, isPowerCut: boolean): void => {
    node.process!.kill()
    if (!isPowerCut) return
    node.disk.powerCut(random)
    node.store.powerCut(random)
  }
  for (let step = 0; step < 150; step++) {
    world.runFor(randomBelow(random, 80))
    const node = pick()
    const dice = randomBelow(random, 20)
    if (node.process!.state === 'dead') {
      if (dice < 10) node.start()
      continue
    }
    if (dice < 13) {
      value++
      if (node.process!.state === 'running') pending.push({ value, result: node.setConfig(NAME, `${value}`) })
    } else if (dice < 15) stop(node, dice === 13)
    else if (dice === 15) node.process!.pause()
    else if (dice < 18) node.process!.resume()
    else if (dice === 18) links.cut(`host-${node.id}`, `host-${1 + (node.id % 3)}`)
    else links.healAll()
    for (const { value, result } of pending.splice(0)) {
      if (result.reply === undefined) pending.push({ value, result })
      else if (result.reply.type === 'alterConfigs') {
        expect(result.reply.resources[0]!.errorCode, result.reply.resources[0]!.errorMessage).toBe(0)
        acknowledged.push(value)
      }
    }
  }
  links.healAll()
  for (const node of cluster.nodes) {
    if (node.process!.state === 'dead') node.start()
    else node.process!.resume()
  }
  const leader = cluster.untilLed(30_000)
  cluster.until(
    () => cluster.nodes.every((node) => node.appliedIndex === leader.reactor!.status().commitIndex),
    20_000,
  )
  expect(cluster.nodes.flatMap((node) => node.quarantined)).toEqual([])
  expect(cluster.nodes.map((node) => node.fatal)).toEqual([undefined, undefined, undefined])
  for (const node of cluster.nodes) expect(node.image.toRecords()).toEqual(leader.image.toRecords())
  expect(acknowledged.length).toBeGreaterThan(5)
  // Every acknowledged value was committed, and the end of the history is what everybody has.
  for (const value of acknowledged) expect(cluster.committedValues.has(`${value}`), `${value}`).toBe(true)
  expect(leader.image.brokerConfig('').get(NAME)).toBe(cluster.newest.value)
})
