import { expect, it } from 'vitest'
import { DEFAULT_RAFT_LIMITS } from '../../../src/raft/api.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { TestCluster, type TestNode } from './cluster.js'

function beat(node: TestNode, brokerEpoch: number, appliedIndex: number, timeoutMs = 5000) {
  const ofBroker = { brokerId: node.id, brokerEpoch, appliedIndex }
  const wants = { wantFence: false, wantShutDown: false, quarantined: [] }
  return node.submit({ type: 'brokerHeartbeat', ...ofBroker, ...wants }, timeoutMs)
}

/** Registered, caught up and unfenced. Returns the broker epoch. */
function serve(cluster: TestCluster, node: TestNode): number {
  const registered = cluster.reply(node.register())
  if (registered.type !== 'registerBroker') throw new Error(`unexpected: ${registered.type}`)
  cluster.until(() => node.image.brokers.has(node.id))
  const { appliedIndex } = node
  cluster.reply(beat(node, registered.brokerEpoch, appliedIndex))
  cluster.until(() => node.image.brokers.get(node.id)?.fenced === false)
  return registered.brokerEpoch
}

function create(node: TestNode, name: string, numPartitions: number) {
  return node.submit({
    type: 'createTopics',
    topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [], internal: false }],
    validateOnly: false,
  })
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

it('refuses a change that no entry of the log can hold, and decides everything else as before', () => {
  const raftLimits = { ...DEFAULT_RAFT_LIMITS, maxEntryBytes: 20_000 }
  const cluster = new TestCluster([1, 2, 3], 1, { raftLimits })
  cluster.startAll()
  const leader = cluster.untilLed()
  serve(cluster, leader)
  const term = leader.reactor!.status().term
  // All in one turn: what was proposed before stays as it is, what comes after waits.
  const before = create(leader, 'before', 2)
  const large = create(leader, 'large', 1_000)
  const after = create(leader, 'after', 2)
  expect(cluster.reply(large)).toMatchObject({
    type: 'failed',
    errorCode: ErrorCode.INVALID_REQUEST,
    errorMessage: expect.stringContaining('ask for less'),
  })
  for (const result of [before, after]) {
    expect(cluster.reply(result)).toMatchObject({ topics: [{ errorCode: ErrorCode.NONE, numPartitions: 2 }] })
  }
  cluster.until(() => cluster.nodes.every((node) => node.image.topicsByName.has('after')))
  for (const node of cluster.nodes) {
    expect([...node.image.topicsByName.keys()]).toEqual(['before', 'after'])
    expect(node.fatal).toBeUndefined()
  }
  expect(cluster.leader()).toBe(leader)
  expect(leader.reactor!.status().term).toBe(term)
})

it.each([
  1_000, 30,
])('fences a silent broker also where a change that is too large comes every %i ms', (everyMs) => {
  const raftLimits = { ...DEFAULT_RAFT_LIMITS, maxEntryBytes: 20_000 }
  const cluster = new TestCluster([1, 2, 3], 1, { raftLimits })
  cluster.startAll()
  const leader = cluster.untilLed()
  const silent = cluster.nodes.find((node) => node !== leader)!
  serve(cluster, silent)
  for (let ms = 0; ms < 15_000; ms += everyMs) {
    create(leader, 'large', 1_000)
    cluster.world.runFor(everyMs)
  }
  expect(cluster.leader()).toBe(leader)
  expect(leader.image.brokers.get(silent.id)!.fenced).toBe(true)
})

it('gives every broker its time where the controller sleeps between two beginnings', () => {
  const raftLimits = { ...DEFAULT_RAFT_LIMITS, maxEntryBytes: 20_000 }
  const cluster = new TestCluster([1], 1, { raftLimits })
  cluster.startAll()
  const leader = cluster.untilLed()
  serve(cluster, leader)
  const large = create(leader, 'large', 1_000)
  cluster.until(() => large.reply !== undefined)
  leader.process!.pause()
  cluster.world.runFor(20_000)
  leader.process!.resume()
  cluster.world.runFor(2_000)
  expect(leader.image.brokers.get(leader.id)!.fenced).toBe(false)
  cluster.world.runFor(15_000)
  expect(leader.image.brokers.get(leader.id)!.fenced).toBe(true)
})

it('answers no heartbeat of its own broker when others may lead: from then on that one counts as cut off', () => {
  const cluster = new TestCluster([1, 2, 3])
  cluster.startAll()
  const leader = cluster.untilLed()
  const epoch = serve(cluster, leader)
  cluster.world.runFor(333)
  const cutMs = cluster.world.nowMs
  for (const { id, host } of cluster.nodes) if (id !== leader.id) cluster.links.cutBoth(leader.host, host)
  let lastSentMs = 0
  while (cluster.world.nowMs < cutMs + 3000) {
    const sentMs = cluster.world.nowMs
    const sent = beat(leader, epoch, leader.appliedIndex, 20)
    cluster.world.runFor(10)
    if (sent.reply?.type === 'brokerHeartbeat') lastSentMs = sentMs
  }
  expect(lastSentMs).toBeGreaterThan(cutMs + 800)
  // The followers had heard it before, and elect no sooner than a second after that.
  expect(lastSentMs).toBeLessThanOrEqual(cutMs + 1000)
})

it('answers heartbeats also where the followers are of a build that does not echo when the leader asked', () => {
  const cluster = new TestCluster([1, 2, 3])
  cluster.startAll()
  const leader = cluster.untilLed()
  const epoch = serve(cluster, leader)
  cluster.peers.drop = (_from, _to, message) => {
    if (message.type === 'raft' && message.message.type === 'heartbeatReply') delete message.message.sentMs
    return false
  }
  cluster.world.runFor(5_000)
  const sent = beat(leader, epoch, leader.appliedIndex)
  cluster.world.runFor(100)
  expect(sent.reply).toMatchObject({ type: 'brokerHeartbeat', errorCode: 0 })
})

it('answers a heartbeat that waited when the voters answer again', () => {
  const cluster = new TestCluster([1, 2, 3])
  cluster.startAll()
  const leader = cluster.untilLed()
  const epoch = serve(cluster, leader)
  const { term } = leader.reactor!.status()
  cluster.peers.drop = (_from, to, message) =>
    to === leader.id && message.type === 'raft' && message.message.type === 'heartbeatReply'
  cluster.world.runFor(1150)
  const sent = beat(leader, epoch, leader.appliedIndex)
  cluster.world.runFor(100)
  expect(sent.reply).toBeUndefined()
  cluster.peers.drop = null
  expect(cluster.reply(sent, 200)).toMatchObject({ type: 'brokerHeartbeat', errorCode: 0 })
  expect(leader.reactor!.status()).toMatchObject({ role: 'leader', term })
})

it('answers a heartbeat at once where it is the only voter', () => {
  const cluster = new TestCluster([1])
  cluster.startAll()
  const leader = cluster.untilLed()
  const epoch = serve(cluster, leader)
  cluster.world.runFor(5000)
  expect(cluster.reply(beat(leader, epoch, leader.appliedIndex), 10)).toMatchObject({ errorCode: 0 })
})
