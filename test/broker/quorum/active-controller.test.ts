import { expect, it } from 'vitest'
import { TestCluster, type TestNode } from './cluster.js'

/** Registered, caught up and unfenced. */
function serve(cluster: TestCluster, node: TestNode): void {
  const registered = cluster.reply(node.register())
  if (registered.type !== 'registerBroker') throw new Error(`unexpected: ${registered.type}`)
  cluster.until(() => node.image.brokers.has(node.id))
  const { appliedIndex } = node
  cluster.reply(
    node.submit({
      type: 'brokerHeartbeat',
      brokerId: node.id,
      brokerEpoch: registered.brokerEpoch,
      appliedIndex,
      wantFence: false,
      wantShutDown: false,
      quarantined: [],
    }),
  )
  cluster.until(() => node.image.brokers.get(node.id)?.fenced === false)
}

it('judges sessions also where the loop stalls so often that every tick is late', () => {
  const cluster = new TestCluster([1, 2, 3])
  cluster.startAll()
  const leader = cluster.untilLed()
  const silent = cluster.nodes.find((node) => node !== leader)!
  serve(cluster, silent)
  for (let i = 0; i < 60; i++) {
    leader.process!.pause()
    cluster.world.runFor(220)
    leader.process!.resume()
    cluster.world.runFor(40)
  }
  expect(cluster.leader()).toBe(leader)
  expect(leader.image.brokers.get(silent.id)!.fenced).toBe(true)
})
