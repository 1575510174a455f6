import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { monotonicNowMs } from '../support/load-client.js'
import { Figures, Load, ROUNDS } from './harness.js'
import { ProcessCluster, type ProcessNode } from './nodes.js'

/** A noisy machine may be slow; the outages are in the table. */
const GENEROUS_MS = 6_000
/** How long the load runs on before what died comes back. */
const AFTER_KILL_MS = 1_200
const figures = new Figures('dedicated')

describe('three controllers and three brokers', () => {
  let cluster: ProcessCluster
  let load: Load | undefined

  afterEach(async () => {
    load?.kill()
    await cluster?.close()
  })
  afterAll(() => figures.print())

  /** Waits until all is well, takes the node down, and brings it back. */
  async function without(
    what: string,
    topic: string,
    node: ProcessNode,
    down: () => Promise<unknown>,
  ): Promise<void> {
    await cluster.waitForFullIsr(topic)
    await sleep(1_100)
    const atMs = monotonicNowMs()
    await down()
    await load!.waitForProgress(atMs + AFTER_KILL_MS)
    const leader = await cluster.raftLeader()
    expect(leader).not.toBe(node.id)
    expect(leader, 'brokers have no vote').toBeLessThanOrEqual(3)
    node.start()
    await cluster.waitForBrokers(3)
    await cluster.waitForFullIsr(topic)
    expect(await cluster.raftLeader(), 'it follows again').toBeGreaterThan(0)
    const { writeMs, readMs } = load!.gaps(atMs)
    figures.add(what, 'librdkafka', { write: writeMs, read: readMs })
    figures.say(`${what} (node ${node.id})`, 'librdkafka', atMs, { writeMs, readMs })
    expect(writeMs, `writes: ${what}`).toBeLessThan(GENEROUS_MS)
    expect(readMs, `reads: ${what}`).toBeLessThan(GENEROUS_MS)
  }

  it('lose nothing, whoever dies, and all at once', { timeout: 60_000 + ROUNDS * 120_000 }, async () => {
    cluster = await ProcessCluster.start({ controllers: 3, brokers: 3 })
    for (let round = 1; round <= ROUNDS; round++) {
      const topic = `load-${round}`
      load = await Load.start(cluster, 'librdkafka', topic)

      const active = cluster.node(await cluster.raftLeader())
      await without('SIGKILL, active controller', topic, active, () => active.kill())

      const successor = await cluster.raftLeader()
      const follower = cluster.controllers.find((node) => node.id !== successor)!
      await without('SIGTERM, another controller', topic, follower, async () =>
        expect(await follower.stop()).toBe(0),
      )

      const leader = cluster.node(await cluster.leaderOf(topic))
      expect(leader.roles).toBe('broker')
      await without('SIGKILL, partition leader', topic, leader, () => leader.kill())

      const atMs = monotonicNowMs()
      for (const node of cluster.nodes) node.signal('SIGKILL')
      await Promise.all(cluster.nodes.map((node) => node.waitForExit()))
      for (const node of cluster.nodes) node.start()
      await cluster.waitForBrokers(3)
      const upMs = monotonicNowMs()
      await load.waitForProgress(upMs, 60_000)
      await cluster.waitForFullIsr(topic)
      figures.add('SIGKILL, all six', 'librdkafka', { write: load.gaps(atMs).writeMs, unfenced: upMs - atMs })
      expect(await load.finish()).toEqual([])
    }
  })
})
