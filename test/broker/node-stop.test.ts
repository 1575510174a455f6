import { expect, it } from 'vitest'
import { KoggeNode } from '../../src/broker/broker.js'
import { SeededRandom } from '../../src/lib/prng.js'
import type { Logger } from '../../src/ports/logger.js'
import { SimWorldClock } from '../sim/clock.js'
import { SimDisk } from '../sim/disk.js'
import { SimLinks, SimNetwork } from '../sim/network.js'

const silent: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silent,
}

/** A node whose Raft store is never opened: its disk hangs. */
function hangingNode() {
  const world = new SimWorldClock()
  const random = new SeededRandom(1)
  const process = world.process('node-1')
  const disk = new SimDisk(world)
  disk.attach(process)
  const network = new SimNetwork(world, new SimLinks(random.fork()))
  const endpoint = network.endpoint(process, 'node-1')
  const listener = (name: string, port: number) => ({
    name,
    host: 'node-1',
    port,
    advertisedHost: 'node-1',
    advertisedPort: port,
    securityProtocol: 'PLAINTEXT' as const,
  })
  const control = listener('CONTROLLER', 9093)
  const unused = (): never => {
    throw new Error('not before the quorum')
  }
  const node = new KoggeNode(
    {
      nodeId: 1,
      rack: null,
      logDir: '/',
      listeners: [listener('PLAINTEXT', 9092)],
      interBrokerListenerName: 'PLAINTEXT',
      controlListener: control,
      inspectListener: control,
      voters: [{ nodeId: 1, host: 'node-1', port: 9093 }],
      properties: new Map(),
    },
    {
      clock: process.clock,
      random,
      logger: silent,
      disk,
      dialer: endpoint,
      listener: endpoint,
      compression: { compress: unused, decompress: unused } as never,
      recordCodec: { encode: unused, decode: unused, split: unused },
      openStore: () => {},
      openPeers: unused,
    },
    unused,
  )
  return { world, node }
}

it('a node that is stopped before its quorum exists does not wait for one', () => {
  const { world, node } = hangingNode()
  let started = false
  node.start(() => {
    started = true
  })
  world.runFor(100)
  expect(started).toBe(false)
  let stoppedAtMs = -1
  node.stop(5_000, () => {
    stoppedAtMs = world.nowMs
  })
  world.runFor(6_000)
  expect(stoppedAtMs).toBeGreaterThanOrEqual(100)
  expect(stoppedAtMs).toBeLessThan(1_000)
})
