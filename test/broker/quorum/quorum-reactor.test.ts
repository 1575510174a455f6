import { describe, expect, it } from 'vitest'
import { DEFAULT_RAFT_LIMITS } from '../../../src/raft/api.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { TestCluster } from './cluster.js'

const THREE = [1, 2, 3]

function led(seed = 1, settings = {}): TestCluster {
  const cluster = new TestCluster(THREE, seed, settings)
  cluster.startAll()
  cluster.untilLed()
  return cluster
}

describe('a quorum of three', () => {
  it('founds as soon as its nodes, which start together, have listened: nobody waits for a next announcement', () => {
    const cluster = new TestCluster([1, 2, 3])
    cluster.startAll()
    const hasFounded = () => cluster.nodes.every((node) => node.reactor!.status().clusterId !== undefined)
    const foundingMs = cluster.until(hasFounded)
    expect(foundingMs).toBeGreaterThanOrEqual(400)
    expect(foundingMs).toBeLessThan(430)
  })

  it('founds one cluster, elects, and agrees on its id', () => {
    const cluster = led()
    const ids = cluster.nodes.map((node) => node.reactor!.status().clusterId)
    expect(new Set(ids).size).toBe(1)
    expect(cluster.nodes.filter((node) => node.reactor!.status().role === 'leader')).toHaveLength(1)
    expect(
      cluster
        .node(1)
        .reactor!.status()
        .voters.map((voter) => voter.directoryId),
    ).toEqual(['dir-1', 'dir-2', 'dir-3'])
    const entry = cluster.node(1).reactor!.readLog(1, 1)[0]!
    expect(entry).toMatchObject({ index: 1, term: 1, type: 'configuration' })
  })

  it('shows its log in pages that one turn can decode', () => {
    const cluster = led()
    const leader = cluster.leader()!
    for (let i = 0; i < 10; i++) cluster.reply(leader.register(`${i}${'x'.repeat(20_000)}`))
    cluster.reply(leader.register('x'.repeat(200_000)))
    const sizes: number[] = []
    const seen: number[] = []
    for (let from = 1; ; from = seen.at(-1)! + 1) {
      const page = leader.reactor!.readLog(from, 100)
      if (page.length === 0) break
      sizes.push(JSON.stringify(page).length)
      seen.push(...page.map(({ index }) => index))
    }
    const { lastIndex } = leader.reactor!.status()
    expect(seen).toEqual(Array.from({ length: lastIndex }, (_, i) => i + 1))
    expect(sizes.length).toBeGreaterThan(4)
    expect(sizes.filter((bytes) => bytes > 70_000)).toHaveLength(1)
  })

  it('carries a command of any node to the controller and replies after its commit', () => {
    const cluster = led()
    for (const node of cluster.nodes) {
      const reply = cluster.reply(node.register())
      expect(reply).toMatchObject({ type: 'registerBroker', errorCode: 0 })
      // The reply left after the commit on the leader.
      expect(cluster.leader()!.image.brokers.has(node.id)).toBe(true)
    }
    cluster.until(() => cluster.nodes.every((node) => node.image.brokers.size === 3))
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('fails over within 500 ms after a kill, seed %i', (seed) => {
    const cluster = led(seed)
    const old = cluster.leader()!
    cluster.reply(old.register())
    old.kill()
    const ms = cluster.until(() => cluster.leader() !== undefined, 3000)
    expect(ms).toBeLessThan(500)
    const leader = cluster.untilLed()
    expect(leader.id).not.toBe(old.id)
    expect(leader.image.brokers.has(old.id)).toBe(true)
    expect(cluster.reply(leader.register())).toMatchObject({ errorCode: 0 })
    expect(leader.lost).toContain(`${old.id} dead`)
    old.start()
    cluster.until(() => old.appliedIndex === leader.appliedIndex && old.leader === leader.id)
    expect(old.image.toRecords()).toEqual(leader.image.toRecords())
  })

  it.each([1, 2, 3, 4])('fails over when the leader is restarted at once, seed %i', (seed) => {
    const cluster = led(seed)
    const old = cluster.leader()!
    const { term } = old.reactor!.status()
    old.kill()
    cluster.world.runFor(20)
    old.start()
    expect(cluster.until(() => cluster.leader() !== undefined, 3000)).toBeLessThan(1000)
    expect(cluster.untilLed().reactor!.status().term).toBeGreaterThan(term)
  })

  it('lets a paused leader acknowledge nothing when it wakes', () => {
    const cluster = led(2)
    const old = cluster.leader()!
    const { term } = old.reactor!.status()
    old.process!.pause()
    cluster.until(() => cluster.nodes.some((node) => node !== old && node.leader === node.id), 6000)
    const result = old.register()
    old.process!.resume()
    expect(cluster.reply(result)).not.toMatchObject({ errorCode: 0, type: 'brokerHeartbeat' })
    const leader = cluster.untilLed()
    expect(leader).not.toBe(old)
    expect(leader.reactor!.status().term).toBe(term + 1)
    // Whatever it answered, the cluster agrees on what happened.
    expect(leader.image.brokers.has(old.id)).toBe(result.reply?.type === 'registerBroker')
  })

  it('takes no more commands than it may hold, and keeps room for the brokers’ own', () => {
    const cluster = new TestCluster(THREE, 1, { maxPendingCommands: 4 })
    cluster.node(1).start()
    cluster.world.runFor(100)
    const fromClients = [1, 2, 3, 4].map(() =>
      cluster.node(1).submit({ type: 'unregisterBroker', brokerId: 9 }),
    )
    const fromBrokers = [1, 2].map(() => cluster.node(1).beat())
    cluster.world.runFor(10)
    const types = [...fromClients, ...fromBrokers].map((result) => result.reply?.type)
    expect(types).toEqual([undefined, undefined, undefined, 'failed', undefined, 'failed'])
    expect(fromClients[3]!.reply).toMatchObject({
      errorCode: ErrorCode.REQUEST_TIMED_OUT,
      errorMessage: expect.stringMatching(
        /^3 commands of \d+ bytes wait for the controller at node 1 already$/,
      ),
    })
  })

  it('takes no more bytes of commands than it may hold', () => {
    const cluster = new TestCluster(THREE, 1, { maxPendingCommandBytes: 4000 })
    cluster.node(1).start()
    cluster.world.runFor(100)
    const results = ['x'.repeat(10_000), 'x'.repeat(1000), 'x'].map((value) =>
      cluster.node(1).setConfig('some.key', value),
    )
    cluster.world.runFor(10)
    expect(results.map((result) => result.reply?.type)).toEqual([undefined, 'failed', 'failed'])
    // What had its answer makes room.
    cluster.world.runFor(5000)
    expect(results[0]!.reply).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT })
    const later = cluster.node(1).setConfig('some.key', 'x'.repeat(1000))
    cluster.world.runFor(10)
    expect(later.reply).toBeUndefined()
  })

  it('gives up a forwarded command when its sender does', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const follower = cluster.nodes.find((node) => node !== leader)!
    // The leader decides and cannot commit; its sender waits 300 ms.
    const isolated = cluster.nodes.filter((node) => node !== leader && node !== follower)
    for (const node of isolated) node.kill()
    cluster.peers.drop = (_from, _to, message) =>
      message.type === 'raft' && (message.message.type === 'append' || message.message.type === 'appendReply')
    const result = follower.submit({ type: 'unregisterBroker', brokerId: 9 }, 300)
    cluster.reply(result)
    expect(result.reply).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT })
  })

  it('lets any node describe the quorum as its leader sees it', () => {
    const cluster = led()
    const leader = cluster.leader()!
    const follower = cluster.nodes.find((node) => node !== leader)!
    cluster.world.runFor(500)
    const reply = cluster.reply(follower.submit({ type: 'describeQuorum' }))
    if (reply.type !== 'describeQuorum') throw new Error(`unexpected: ${reply.type}`)
    const { term, commitIndex, lastIndex } = leader.reactor!.status()
    expect(reply).toMatchObject({ leaderId: leader.id, leaderEpoch: term, highWatermark: commitIndex + 1 })
    expect(
      reply.voters.map(({ replicaId, directoryId, logEndOffset }) => [replicaId, directoryId, logEndOffset]),
    ).toEqual(THREE.map((id) => [id, `dir-${id}`, lastIndex + 1]))
  })

  it('describes the quorum also while its log takes nothing more: then it is asked for most', () => {
    const cluster = led(5, { raftLimits: { ...DEFAULT_RAFT_LIMITS, maxUncommittedEntries: 1 } })
    const leader = cluster.leader()!
    cluster.peers.drop = (_from, _to, message) =>
      message.type === 'raft' && message.message.type === 'appendReply'
    const held = leader.setConfig('log.retention.ms', '1000')
    cluster.world.runFor(50)
    const reply = cluster.reply(leader.submit({ type: 'describeQuorum' }), 50)
    expect(reply).toMatchObject({ type: 'describeQuorum', leaderId: leader.id })
    expect(held.reply).toBeUndefined()
  })

  it('takes no reply to the process before it for its own', () => {
    const cluster = led(5)
    const leader = cluster.leader()!
    const [victim] = cluster.nodes.filter((node) => node !== leader)
    // Nothing commits for a while: what the old process asks for is answered when the new one is there.
    cluster.peers.drop = (_from, to, message) =>
      to === leader.id && message.type === 'raft' && message.message.type === 'appendReply'
    victim!.setConfig('log.retention.ms', '1000')
    cluster.world.runFor(50)
    victim!.kill()
    victim!.start()
    cluster.until(() => victim!.leader === leader.id)
    const own = victim!.submit({ type: 'unregisterBroker', brokerId: 9 })
    cluster.world.runFor(50)
    cluster.peers.drop = null
    expect(cluster.reply(own)).toMatchObject({ type: 'unregisterBroker' })
  })

  it('fails what is pending with NOT_CONTROLLER when the controller dies', () => {
    const cluster = led()
    const leader = cluster.leader()!
    const follower = cluster.nodes.find((node) => node !== leader)!
    const result = follower.register()
    leader.kill()
    expect(cluster.reply(result)).toMatchObject({ type: 'failed', errorCode: 41 })
  })

  it('holds a command while nobody leads, and times out', () => {
    const cluster = led()
    const [a, b, c] = cluster.nodes as [
      (typeof cluster.nodes)[0],
      (typeof cluster.nodes)[0],
      (typeof cluster.nodes)[0],
    ]
    b.kill()
    c.kill()
    cluster.world.runFor(5000)
    expect(a.reactor!.status()).toMatchObject({ role: 'preCandidate', leader: undefined, hasQuorum: false })
    const result = a.register()
    cluster.world.runFor(4000)
    expect(result.reply).toBeUndefined()
    expect(cluster.reply(result)).toMatchObject({ type: 'failed', errorCode: 7 })
    const held = a.register()
    b.start()
    expect(cluster.reply(held)).toMatchObject({ type: 'registerBroker', errorCode: 0 })
  })

  it('isolated, a leader resigns and acknowledges nothing', () => {
    const cluster = led()
    const old = cluster.leader()!
    for (const node of cluster.nodes) {
      if (node !== old) cluster.links.cutBoth(`host-${old.id}`, `host-${node.id}`)
    }
    const result = old.register()
    cluster.world.runFor(2000)
    expect(old.reactor!.status().role).not.toBe('leader')
    expect(result.reply).toMatchObject({ errorCode: 41 })
    cluster.until(() => cluster.leader() !== undefined, 3000)
    const term = cluster.leader()!.reactor!.status().term
    cluster.world.runFor(10_000)
    // Pre-vote: the isolated node's term does not grow.
    expect(old.reactor!.status().term).toBeLessThan(term)
    cluster.links.healAll()
    cluster.untilLed()
    expect(cluster.leader()!.reactor!.status().term).toBe(term)
  })

  it('brings a follower back by a snapshot, and restores from its own', () => {
    const cluster = led(3, { snapshotEntries: 20, snapshotTailEntries: 5 })
    const leader = cluster.leader()!
    const away = cluster.nodes.find((node) => node !== leader)!
    away.kill()
    cluster.world.runFor(500)
    for (let i = 0; i < 60; i++) cluster.reply(leader.register(`incarnation-${i}`))
    expect(leader.reactor!.status().snapshotIndex).toBeGreaterThan(20)
    expect(leader.reactor!.status().firstIndex).toBeGreaterThan(20)
    away.start()
    cluster.until(() => away.appliedIndex === leader.appliedIndex)
    expect(away.image.toRecords()).toEqual(leader.image.toRecords())
    expect(away.snapshots).toBeGreaterThanOrEqual(2)
    expect(away.reactor!.events.recent().map((event) => event.type)).toContain('snapshotInstalled')
    for (const node of cluster.nodes) node.kill()
    for (const node of cluster.nodes) node.start()
    const next = cluster.untilLed()
    expect(next.image.brokers.get(leader.id)?.incarnationId).toBe('incarnation-59')
    cluster.until(() => cluster.nodes.every((node) => node.appliedIndex === next.appliedIndex))
    expect(cluster.node(2).image.toRecords()).toEqual(cluster.node(1).image.toRecords())
  })

  it('reads a large snapshot in parts, and then what came after it', () => {
    const cluster = led(3, { snapshotEntries: 20, snapshotTailEntries: 5 })
    const leader = cluster.leader()!
    const away = cluster.nodes.find((node) => node !== leader)!
    for (const node of cluster.nodes) cluster.reply(node.register('x'.repeat(50_000)))
    away.kill()
    cluster.world.runFor(500)
    for (let i = 0; i < 40; i++) cluster.reply(leader.register(`${'y'.repeat(50_000)}${i}`))
    expect(leader.reactor!.status().firstIndex).toBeGreaterThan(20)
    away.start()
    cluster.until(() => away.appliedIndex === leader.appliedIndex)
    const installed = away.reactor!.events.recent().find((event) => event.type === 'snapshotInstalled')
    expect(installed).toMatchObject({ bytes: expect.any(Number) })
    expect(away.snapshotParts).toBeGreaterThan(0)
    expect(away.image.toRecords()).toEqual(leader.image.toRecords())
  })

  it('goes on with a log that is kept whole where a snapshot would be larger than a follower takes', () => {
    const raftLimits = { ...DEFAULT_RAFT_LIMITS, maxSnapshotBytes: 500 }
    const cluster = led(3, { snapshotEntries: 20, snapshotTailEntries: 5, raftLimits })
    const leader = cluster.leader()!
    const away = cluster.nodes.find((node) => node !== leader)!
    cluster.reply(away.register())
    away.kill()
    cluster.world.runFor(500)
    for (let i = 0; i < 60; i++) cluster.reply(leader.register(`incarnation-${i}`))
    expect(leader.reactor!.status()).toMatchObject({ snapshotIndex: 0, firstIndex: 1 })
    expect(leader.errors.filter((message) => message.includes('too large for a snapshot'))).toHaveLength(3)
    away.start()
    cluster.until(() => away.appliedIndex === leader.appliedIndex)
    expect(away.image.toRecords()).toEqual(leader.image.toRecords())
  })

  it('hands leadership over before a stop, without a gap', () => {
    const cluster = led()
    const old = cluster.leader()!
    let done = false
    old.reactor!.prepareStop(() => {
      done = true
    })
    expect(cluster.until(() => done)).toBeLessThan(250)
    expect(cluster.until(() => cluster.leader() !== undefined)).toBeLessThan(100)
    expect(cluster.leader()!.id).not.toBe(old.id)
    old.reactor!.close()
    cluster.world.runFor(3000)
    expect(cluster.leader()).toBeDefined()
  })

  it('survives a power cut on every node', () => {
    const cluster = led(5)
    for (const node of cluster.nodes) cluster.reply(node.register())
    for (const node of cluster.nodes) {
      node.process!.kill()
      node.disk.powerCut(cluster.random)
      node.store.powerCut(cluster.random)
    }
    for (const node of cluster.nodes) node.start()
    const leader = cluster.untilLed()
    expect([...leader.image.brokers.keys()].sort()).toEqual(THREE)
    expect(cluster.nodes.flatMap((node) => node.quarantined)).toEqual([])
  })

  it('quarantines a log that lost its last batch in silence, and follows without a vote', () => {
    const cluster = led(6)
    for (const node of cluster.nodes) cluster.reply(node.register())
    const victim = cluster.nodes.find((node) => node !== cluster.leader())!
    cluster.world.runFor(1000)
    victim.kill()
    victim.store.powerCut(cluster.random, 1)
    victim.start()
    const leader = cluster.untilLed()
    expect(victim.quarantined).toHaveLength(1)
    expect(victim.reactor!.status().role).toBe('observer')
    cluster.until(() => victim.appliedIndex === leader.appliedIndex)
    expect(victim.image.toRecords()).toEqual(leader.image.toRecords())
    const progress = leader.reactor!.status().progress.find((each) => each.voter.nodeId === victim.id)!
    expect(progress).toMatchObject({ isVoter: false, voter: { directoryId: victim.directoryId } })
  })

  it('never founds with two wiped directories of three', () => {
    const cluster = led(7)
    const clusterId = cluster.node(1).reactor!.status().clusterId
    cluster.reply(cluster.node(1).register())
    for (const node of cluster.nodes) node.kill()
    cluster.node(2).wipe('dir-2b')
    cluster.node(3).wipe('dir-3b')
    cluster.node(2).start()
    cluster.node(3).start()
    cluster.world.runFor(20_000)
    expect(cluster.node(2).reactor!.status().role).toBe('founding')
    cluster.node(1).start()
    cluster.world.runFor(20_000)
    expect(cluster.node(2).reactor!.status()).toMatchObject({ role: 'observer', clusterId })
    expect(cluster.leader()).toBeUndefined()
  })

  it.each([
    ['two are wiped', 'wiped'],
    ['all are damaged alike', 'damaged'],
  ])('never founds anew with a directory that belongs to a cluster: its Raft log is damaged, and %s', (_, others) => {
    const cluster = led(7)
    for (const node of cluster.nodes) cluster.reply(node.register())
    cluster.world.runFor(1000)
    for (const node of cluster.nodes) {
      node.kill()
      if (node.id > 1 && others === 'wiped') node.wipe(`dir-${node.id}b`)
      else node.store.powerCut(cluster.random, 1)
    }
    cluster.startAll()
    cluster.world.runFor(20_000)
    expect(cluster.node(1).quarantined).toHaveLength(1)
    // An empty cluster would make strays of the records that node 1 still holds.
    expect(cluster.nodes.map((node) => node.reactor!.status().role)).toEqual(Array(3).fill('founding'))
  })

  it('an observer never falls behind a term that it has met, though it holds no entry yet', () => {
    const cluster = led(11)
    const leader = cluster.leader()!
    const victim = cluster.nodes.find((node) => node !== leader)!
    victim.kill()
    victim.wipe('dir-new')
    cluster.peers.drop = (_from, to, message) =>
      to === victim.id &&
      message.type === 'raft' &&
      (message.message.type === 'append' || message.message.type === 'installSnapshot')
    victim.start()
    const { term } = leader.reactor!.status()
    cluster.until(() => victim.reactor!.status().term === term)
    cluster.world.runFor(100)
    victim.kill()
    cluster.peers.drop = (_from, to, message) => to === victim.id && message.type === 'raft'
    victim.start()
    cluster.until(() => victim.reactor!.status().role === 'observer')
    expect(victim.reactor!.status()).toMatchObject({ term, lastIndex: 0 })
  })

  it('joins no other cluster than the one that its directory belongs to', () => {
    const cluster = led(9)
    const victim = cluster.nodes.find((node) => node !== cluster.leader())!
    victim.kill()
    victim.store.wipe()
    victim.clusterId = 'another-cluster-id-000'
    victim.start()
    cluster.until(() => victim.fatal !== undefined)
    expect(victim.fatal!.message).toMatch(
      /belongs to cluster another-cluster-id-000, but the other voters are cluster .*: correct controller.quorum.voters or log.dirs/,
    )
  })

  it('stops where the store fails', () => {
    const cluster = led(8)
    const leader = cluster.leader()!
    leader.store.failBatch = () => new Error('EIO')
    leader.register()
    cluster.until(() => leader.fatal !== undefined)
    expect(leader.fatal!.message).toBe('EIO')
  })
})

describe('a quorum of one', () => {
  it('founds when nobody spoke for a second, and leads at once, then and after a restart', () => {
    const cluster = new TestCluster([1])
    cluster.startAll()
    const foundingMs = cluster.until(() => cluster.leader() !== undefined)
    expect(foundingMs).toBeGreaterThanOrEqual(1000)
    expect(foundingMs).toBeLessThan(1050)
    expect(cluster.reply(cluster.node(1).register())).toMatchObject({ errorCode: 0 })
    cluster.node(1).kill()
    cluster.node(1).start()
    expect(cluster.until(() => cluster.leader() !== undefined)).toBeLessThan(50)
    expect(cluster.node(1).image.brokers.size).toBe(1)
  })
})
