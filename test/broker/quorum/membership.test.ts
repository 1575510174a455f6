import { describe, expect, it } from 'vitest'
import { DEFAULT_RAFT_TIMING } from '../../../src/raft/api.js'
import type { RaftMessage } from '../../../src/raft/types.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { TestCluster, type TestNode } from './cluster.js'

const THREE = [1, 2, 3]

function voterIds(node: TestNode): number[] {
  return node.reactor!.status().voters.map((voter) => voter.nodeId)
}

function hasVoters(cluster: TestCluster, ids: readonly number[]): () => boolean {
  return () => cluster.nodes.every((node) => !node.isRunning || voterIds(node).join() === ids.join())
}

describe('nodes outside the configured voters', () => {
  it('a controller that its own configuration alone names as a voter follows', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const fourth = cluster.add(4, { configured: [1, 2, 3, 4] })
    fourth.start()
    cluster.until(() => fourth.leader === leader.id)
    expect(fourth.reactor!.status()).toMatchObject({ role: 'observer', hasQuorum: true })
  })

  it('a broker follows, knows the leader and has its commands forwarded', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const broker = cluster.add(11, { isController: false })
    broker.start()
    cluster.until(() => broker.leader === leader.id)
    expect(broker.reactor!.status()).toMatchObject({ role: 'observer', hasQuorum: true })
    cluster.until(hasVoters(cluster, THREE))
    expect(cluster.reply(broker.register())).toMatchObject({ errorCode: 0 })
    cluster.until(() => broker.image.brokers.has(11))
    const { progress } = leader.reactor!.status()
    expect(progress.filter(({ isVoter }) => !isVoter).map(({ voter }) => voter)).toEqual([
      { nodeId: 11, directoryId: 'dir-11' },
    ])
    expect(broker.reactor!.status().advice).toBeUndefined()
  })

  it('finds the cluster by bootstrap servers alone, through a node that is no leader', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const known = cluster.nodes.find((node) => node !== leader)!
    const broker = cluster.add(11, { isController: false, bootstrap: [known.id] })
    broker.start()
    cluster.until(() => broker.leader === leader.id)
    expect(cluster.reply(broker.register())).toMatchObject({ errorCode: 0 })
    // Also the others are known by now: the one that it began with may go.
    known.kill()
    const next = cluster.untilLed()
    expect(cluster.reply(broker.setConfig('log.retention.ms', '1'))).toMatchObject({ type: 'alterConfigs' })
    expect(broker.leader).toBe(next.id)
  })

  it('is forgotten when it was away for long, and found again', () => {
    const cluster = new TestCluster(THREE, 1, { forgetPeerAfterMs: 1000 })
    cluster.startAll()
    const leader = cluster.untilLed()
    const broker = cluster.add(11, { isController: false })
    broker.start()
    cluster.until(() => broker.leader === leader.id)
    const observers = () => leader.reactor!.status().progress.filter(({ isVoter }) => !isVoter).length
    expect(observers()).toBe(1)
    broker.kill()
    cluster.world.runFor(500)
    expect(observers()).toBe(1)
    cluster.until(() => observers() === 0, 2000)
    broker.start()
    cluster.until(() => broker.leader === leader.id && observers() === 1)
  })

  it('a leader takes no more of them than it may, and takes the next one when there is room', () => {
    const cluster = new TestCluster(THREE, 1, { maxIntroducedPeers: 1, forgetPeerAfterMs: 1000 })
    cluster.startAll()
    cluster.untilLed()
    const first = cluster.add(11, { isController: false })
    first.start()
    cluster.until(() => first.leader !== undefined)
    const second = cluster.add(12, { isController: false })
    second.start()
    cluster.world.runFor(2000)
    expect(second.leader).toBeUndefined()
    first.kill()
    cluster.until(() => second.leader !== undefined)
  })

  it('a voter that is removed while it is away leaves its place to the next one', () => {
    const cluster = new TestCluster(THREE, 1, { maxIntroducedPeers: 1, forgetPeerAfterMs: 1000 })
    cluster.startAll()
    const leader = cluster.untilLed()
    const fourth = cluster.add(4)
    fourth.start()
    cluster.until(() => fourth.leader !== undefined)
    expect(cluster.reply(leader.submit({ type: 'promoteVoter', nodeId: 4 }))).toMatchObject({ errorCode: 0 })
    fourth.kill()
    cluster.world.runFor(2000)
    const removal = { type: 'removeVoter' as const, nodeId: 4, directoryId: 'dir-4' }
    expect(cluster.reply(leader.submit(removal))).toMatchObject({ errorCode: 0 })
    cluster.world.runFor(2000)
    expect(leader.reactor!.status().addresses.map(({ nodeId }) => nodeId)).toEqual(THREE)
    const fifth = cluster.add(5)
    fifth.start()
    cluster.until(() => fifth.leader !== undefined)
  })

  it('catches up by a snapshot', () => {
    const cluster = new TestCluster(THREE, 1, { snapshotEntries: 10, snapshotTailEntries: 2 })
    cluster.startAll()
    const leader = cluster.untilLed()
    for (let i = 0; i < 30; i++) cluster.reply(leader.setConfig('log.retention.ms', String(1000 + i)))
    cluster.until(() => leader.reactor!.status().firstIndex > 10)
    const broker = cluster.add(11, { isController: false })
    broker.start()
    cluster.until(() => broker.appliedIndex >= leader.appliedIndex)
    expect(broker.snapshots).toBe(2)
    expect(broker.reactor!.status().firstIndex).toBeGreaterThan(2)
  })

  it('its death is proved by a refused dial, as a voter’s is', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const broker = cluster.add(11, { isController: false })
    broker.start()
    cluster.until(() => broker.leader === leader.id)
    broker.kill()
    cluster.until(() => leader.lost.includes('11 dead'), 500)
  })
})

describe('changes of the voters', () => {
  it('a controller that follows is added, and removed again', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const fourth = cluster.add(4)
    fourth.start()
    cluster.until(() => fourth.leader === leader.id && fourth.reactor!.status().advice !== undefined)
    expect(fourth.reactor!.status().advice).toContain(
      'kogge raft members add 4 --directory dir-4 makes it a voter',
    )
    const follower = cluster.nodes.find((node) => node !== leader && node !== fourth)!
    const added = follower.submit({ type: 'addVoter', nodeId: 4, directoryId: 'dir-4' })
    expect(cluster.reply(added)).toEqual({ type: 'addVoter', errorCode: 0, errorMessage: '' })
    cluster.until(hasVoters(cluster, [1, 2, 3, 4]))
    expect(fourth.reactor!.status()).toMatchObject({ role: 'follower' })
    expect(fourth.reactor!.status().advice).toBeUndefined()

    const again = fourth.submit({ type: 'addVoter', nodeId: 4, directoryId: 'dir-4' })
    expect(cluster.reply(again)).toMatchObject({ errorCode: ErrorCode.DUPLICATE_VOTER })
    const removed = fourth.submit({ type: 'removeVoter', nodeId: 4, directoryId: 'dir-4' })
    expect(cluster.reply(removed)).toMatchObject({ type: 'removeVoter', errorCode: 0 })
    cluster.until(hasVoters(cluster, THREE))
    cluster.until(() => fourth.reactor!.status().role === 'observer')
  })

  it('whoever wants it hears of a new voter when it is appended, committed or not (KIP-1186)', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const fourth = cluster.add(4)
    fourth.start()
    cluster.until(() => fourth.leader === leader.id)
    cluster.world.runFor(1000)
    cluster.peers.drop = (_from, _to, message) =>
      message.type === 'raft' && message.message.type === 'appendReply'
    const voter = { type: 'addVoter' as const, nodeId: 4, directoryId: 'dir-4' }
    const asked = leader.submit({ ...voter, ackWhenCommitted: false })
    expect(cluster.reply(asked, 200)).toMatchObject({ type: 'addVoter', errorCode: 0 })
    expect(leader.reactor!.raft!.status().membership).toMatchObject({ stage: 'committing' })
    cluster.peers.drop = null
    cluster.until(hasVoters(cluster, [1, 2, 3, 4]))
  })

  it('a follower is promoted under the directory that it answers from', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const fourth = cluster.add(4)
    fourth.start()
    cluster.until(() => fourth.leader === leader.id)
    expect(cluster.reply(leader.submit({ type: 'promoteVoter', nodeId: 4 }))).toMatchObject({ errorCode: 0 })
    cluster.until(hasVoters(cluster, [1, 2, 3, 4]))
    const unknown = leader.submit({ type: 'promoteVoter', nodeId: 9 })
    expect(cluster.reply(unknown)).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
  })

  it('what cannot be done says why in Kafka’s codes', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const answer = (command: Parameters<TestNode['submit']>[0]) => cluster.reply(leader.submit(command, 1000))
    expect(answer({ type: 'removeVoter', nodeId: 3, directoryId: 'dir-9' })).toMatchObject({
      errorCode: ErrorCode.VOTER_NOT_FOUND,
    })
    expect(answer({ type: 'addVoter', nodeId: 3, directoryId: 'dir-9' })).toMatchObject({
      errorCode: ErrorCode.DUPLICATE_VOTER,
    })
    for (const node of cluster.nodes) {
      const waiting = node.submit({ type: 'addVoter', nodeId: 9, directoryId: 'dir-9' }, 1000)
      expect(cluster.reply(waiting)).toMatchObject({
        type: 'addVoter',
        errorCode: ErrorCode.REQUEST_TIMED_OUT,
        errorMessage: expect.stringContaining('node 9 did not answer: is it running'),
      })
    }
  })

  it('gives a voter up that does not answer, however long the caller would wait: the next change is taken', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const follower = cluster.nodes.find((node) => node !== leader)!
    const absent = follower.submit({ type: 'addVoter', nodeId: 9, directoryId: 'dir-9' }, 120_000)
    const fourth = cluster.add(4)
    fourth.start()
    cluster.until(() => fourth.leader === leader.id)
    expect(cluster.reply(absent)).toMatchObject({
      errorCode: ErrorCode.REQUEST_TIMED_OUT,
      errorMessage: "node 9 did not answer: is it running, with this quorum's addresses?",
    })
    expect(cluster.world.nowMs).toBeLessThan(10_000)
    const added = follower.submit({ type: 'addVoter', nodeId: 4, directoryId: 'dir-4' })
    expect(cluster.reply(added)).toMatchObject({ errorCode: 0 })
  })

  it.each(['the leader', 'a follower'])('a change ends with whoever asked %s for it and hung up', (whom) => {
    const raftTiming = { ...DEFAULT_RAFT_TIMING, catchUpStallMs: 60_000 }
    const cluster = new TestCluster(THREE, 1, { raftTiming })
    cluster.startAll()
    const leader = cluster.untilLed()
    const asked = whom === 'the leader' ? leader : cluster.nodes.find((node) => node !== leader)!
    const fourth = cluster.add(4)
    fourth.start()
    cluster.until(() => fourth.leader === leader.id)
    const absent = asked.submit({ type: 'addVoter', nodeId: 9, directoryId: 'dir-9' }, 120_000)
    cluster.world.runFor(1000)
    const busy = cluster.reply(leader.submit({ type: 'promoteVoter', nodeId: 4 }))
    expect(busy).toMatchObject({ errorMessage: expect.stringContaining('another change') })
    absent.callOff!()
    cluster.world.runFor(100)
    expect(absent.reply).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT })
    expect(cluster.reply(leader.submit({ type: 'promoteVoter', nodeId: 4 }))).toMatchObject({ errorCode: 0 })
    // Too late: what is appended stays.
    absent.callOff!()
    cluster.until(hasVoters(cluster, [1, 2, 3, 4]))
  })

  it('waits for a new voter as long as the caller does, wherever it asks', () => {
    const raftTiming = { ...DEFAULT_RAFT_TIMING, catchUpStallMs: 60_000 }
    const cluster = new TestCluster(THREE, 1, { raftTiming })
    cluster.startAll()
    const leader = cluster.untilLed()
    const follower = cluster.nodes.find((node) => node !== leader)!
    const added = follower.submit({ type: 'addVoter', nodeId: 4, directoryId: 'dir-4' }, 60_000)
    cluster.world.runFor(40_000)
    expect(added.reply).toBeUndefined()
    cluster.add(4).start()
    expect(cluster.reply(added)).toMatchObject({ errorCode: 0 })
  })

  it.each([
    [{ host: 'a\nb', port: 9093 }, '"a\\nb" is no host name or address'],
    [{ host: '', port: 9093 }, '"" is no host name or address'],
    [{ host: `${'x'.repeat(250)}.local`, port: 9093 }, `"${'x'.repeat(80)}" is no host name or address`],
    [{ host: 'host-9', port: 0 }, '0 is no port: 1 to 65535 are'],
    [{ host: 'host-9', port: 70_000 }, '70000 is no port: 1 to 65535 are'],
  ])('a voter at an address that nobody can dial is refused: %#', (address, errorMessage) => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const voter = { type: 'addVoter' as const, nodeId: 9, directoryId: 'dir-9', ...address }
    for (const node of cluster.nodes) {
      expect(cluster.reply(node.submit(voter))).toEqual({
        type: 'addVoter',
        errorCode: ErrorCode.INVALID_REQUEST,
        errorMessage,
      })
    }
    expect(leader.reactor!.status().addresses.map(({ nodeId }) => nodeId)).toEqual(THREE)
  })

  it('voters that are made up take nobody’s place, and nobody is dialled for a change that is refused', () => {
    const cluster = new TestCluster(THREE, 1, { maxIntroducedPeers: 2 })
    cluster.startAll()
    const leader = cluster.untilLed()
    const known = () => leader.reactor!.status().addresses.map(({ nodeId }) => nodeId)
    const madeUp = (nodeId: number) =>
      leader.submit({ type: 'addVoter', nodeId, directoryId: 'dir', host: `host-${nodeId}`, port: 9093 })
    const first = madeUp(100)
    const second = madeUp(101)
    expect(cluster.reply(second)).toMatchObject({ errorMessage: expect.stringContaining('another change') })
    expect(known()).toEqual([...THREE, 100])
    first.callOff!()
    cluster.reply(first)
    for (let nodeId = 102; nodeId < 130; nodeId++) {
      const made = madeUp(nodeId)
      made.callOff!()
      cluster.reply(made)
    }
    expect(known().length).toBeLessThan(12)
    const broker = cluster.add(11, { isController: false })
    broker.start()
    cluster.until(() => broker.leader === leader.id)
    cluster.world.runFor(15_000)
    expect(known()).toEqual([...THREE, 11])
  })

  it('a voter that nobody knows is dialled where an operator says it is', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const fourth = cluster.add(4, { configured: [4] })
    fourth.start()
    cluster.world.runFor(100)
    const added = leader.submit({
      type: 'addVoter',
      nodeId: 4,
      directoryId: 'dir-4',
      host: fourth.host,
      port: 9093,
    })
    expect(cluster.reply(added)).toMatchObject({ errorCode: 0 })
    cluster.until(hasVoters(cluster, [1, 2, 3, 4]))
  })

  it('a peer whose own address is none is not dialled back', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const broker = cluster.add(11, { isController: false, host: 'a b' })
    broker.start()
    cluster.world.runFor(2000)
    expect(leader.reactor!.status().addresses.map(({ nodeId }) => nodeId)).toEqual(THREE)
    expect(leader.logged.filter((line) => line.includes('cannot be dialled back'))).toHaveLength(1)
  })

  it('a node without the role of a controller is refused', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const broker = cluster.add(11, { isController: false })
    broker.start()
    cluster.until(() => broker.leader === leader.id)
    for (const command of [
      { type: 'addVoter', nodeId: 11, directoryId: 'dir-11' } as const,
      { type: 'promoteVoter', nodeId: 11 } as const,
    ]) {
      expect(cluster.reply(broker.submit(command))).toEqual({
        type: command.type,
        errorCode: ErrorCode.INVALID_REQUEST,
        errorMessage: 'node 11 is no controller: only a node with that role can vote',
      })
    }
  })

  // The seed decides who dials whom first.
  it.each([
    1, 2, 13, 14, 22,
  ])('a leader that some voters know from the log alone is removed: it hears them to the end, and follows them then (%i)', (seed) => {
    const cluster = new TestCluster(THREE, seed, { forgetPeerAfterMs: 1000 })
    cluster.startAll()
    for (const id of [4, 5]) {
      const node = cluster.add(id, { bootstrap: [1, 2] })
      node.start()
      cluster.until(() => node.leader !== undefined)
      expect(cluster.reply(node.submit({ type: 'promoteVoter', nodeId: id }))).toMatchObject({ errorCode: 0 })
    }
    cluster.until(hasVoters(cluster, [1, 2, 3, 4, 5]))
    const third = cluster.node(3)
    for (let tries = 0; tries < 10 && cluster.untilLed() !== third; tries++) {
      let isDone = false
      cluster.untilLed().reactor!.transferLeadership(3, () => {
        isDone = true
      })
      cluster.until(() => isDone)
    }
    expect(cluster.untilLed()).toBe(third)
    const { term } = third.reactor!.status()
    const removed = cluster.node(5).submit({ type: 'removeVoter', nodeId: 3, directoryId: 'dir-3' })
    expect(cluster.reply(removed)).toEqual({ type: 'removeVoter', errorCode: 0, errorMessage: '' })
    cluster.until(() => cluster.untilLed().reactor!.status().term === term + 1, 500)
    // It goes on as an observer of whoever leads, the newcomers among them.
    for (const id of [4, 5]) {
      let isDone = cluster.untilLed().id === id
      if (!isDone)
        cluster.untilLed().reactor!.transferLeadership(id, () => {
          isDone = true
        })
      cluster.until(() => isDone)
      cluster.until(() => cluster.untilLed().id === id && third.leader === id)
    }
    expect(third.reactor!.status().role).toBe('observer')
    expect(cluster.reply(third.submit({ type: 'promoteVoter', nodeId: 3 }))).toMatchObject({ errorCode: 0 })
  })

  it('three become five and three others, the leader’s own removal among them', () => {
    const cluster = new TestCluster(THREE, 1, { forgetPeerAfterMs: 1000 })
    cluster.startAll()
    cluster.untilLed()
    for (const id of [4, 5]) {
      // Each knows one node alone, and not the other newcomer.
      const node = cluster.add(id, { bootstrap: [id - 3] })
      node.start()
      cluster.until(() => node.leader !== undefined)
      expect(cluster.reply(node.submit({ type: 'promoteVoter', nodeId: id }))).toMatchObject({ errorCode: 0 })
    }
    cluster.until(hasVoters(cluster, [1, 2, 3, 4, 5]))
    for (const id of [1, 2]) {
      const leader = cluster.untilLed()
      // Of the two the one that leads, where one does.
      const left = [1, 2].filter((voter) => voterIds(leader).includes(voter))
      const target = left.includes(leader.id) ? leader.id : left[0]!
      const asked = cluster
        .node(5)
        .submit({ type: 'removeVoter', nodeId: target, directoryId: `dir-${target}` })
      cluster.reply(asked)
      cluster.until(() => !voterIds(cluster.node(5)).includes(target))
      cluster.node(target).kill()
      expect(id).toBeGreaterThan(0)
    }
    const leader = cluster.untilLed()
    expect(voterIds(leader)).toEqual([3, 4, 5])
    // One more may die: the two that are left have found each other.
    cluster.node(3).kill()
    cluster.until(() => [4, 5].includes(cluster.leader()?.id ?? 0))
    expect(cluster.reply(cluster.untilLed().setConfig('log.retention.ms', '1'))).toMatchObject({
      type: 'alterConfigs',
    })
  })
  it('a controller has configurations of its own without a registration, voting or not; other nodes need one', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const learner = cluster.add(4, { bootstrap: THREE })
    const broker = cluster.add(5, { isController: false, bootstrap: THREE })
    for (const node of [learner, broker]) {
      node.start()
      cluster.until(() => node.leader !== undefined)
    }
    const codeOf = (id: number): number | undefined => {
      const reply = cluster.reply(leader.setConfig('log.retention.ms', '1', String(id)))
      return reply.type === 'alterConfigs' ? reply.resources[0]!.errorCode : undefined
    }
    expect([1, 2, 3, 4, 5, 6].map(codeOf)).toEqual([
      ...[ErrorCode.NONE, ErrorCode.NONE, ErrorCode.NONE, ErrorCode.NONE],
      ...[ErrorCode.BROKER_ID_NOT_REGISTERED, ErrorCode.BROKER_ID_NOT_REGISTERED],
    ])
    cluster.reply(broker.register())
    expect(codeOf(5)).toBe(ErrorCode.NONE)
  })
  it('a node that catches up hangs up on no voter that its log does not name yet', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    cluster.untilLed()
    const fourth = cluster.add(4)
    fourth.start()
    cluster.until(() => fourth.leader !== undefined)
    cluster.reply(fourth.submit({ type: 'promoteVoter', nodeId: 4 }))
    const broker = cluster.add(11, { isController: false, bootstrap: [1] })
    // It hears of the voters, and connects to them, before it gets the log, which begins with three.
    const isLog = ({ type }: RaftMessage) => type === 'append' || type === 'installSnapshot'
    cluster.peers.drop = (_from, to, message) =>
      to === 11 && message.type === 'raft' && isLog(message.message)
    broker.start()
    cluster.world.runFor(1000)
    cluster.peers.drop = null
    cluster.until(hasVoters(cluster, [1, 2, 3, 4]))
    cluster.world.runFor(1000)
    expect(cluster.nodes.flatMap((node) => node.lost)).toEqual([])
    // And lets go of one that is no voter any more.
    cluster.reply(broker.submit({ type: 'removeVoter', nodeId: 4, directoryId: 'dir-4' }))
    cluster.until(() => !broker.reactor!.status().addresses.some(({ nodeId }) => nodeId === 4))
  })

  it('the only founder of a cluster that has grown founds no second one when its disk is wiped', () => {
    const cluster = new TestCluster([1])
    cluster.startAll()
    const founder = cluster.untilLed()
    for (const id of [2, 3]) {
      const node = cluster.add(id, { bootstrap: [1] })
      node.start()
      cluster.until(() => node.leader !== undefined)
      expect(cluster.reply(founder.submit({ type: 'promoteVoter', nodeId: id }))).toMatchObject({
        errorCode: 0,
      })
    }
    const { clusterId } = founder.reactor!.status()
    founder.kill()
    const others = cluster.nodes.filter((node) => node !== founder)
    cluster.until(() => others.some((node) => node.reactor!.status().role === 'leader'))
    founder.wipe('dir-new')
    founder.start()
    cluster.until(() => founder.leader !== undefined)
    expect(founder.reactor!.status()).toMatchObject({ clusterId, role: 'observer' })
    cluster.until(hasVoters(cluster, THREE))
  })

  it.each([
    ['a voter that was added', {}],
    ['a voter that was added and names itself', { configured: [1, 2, 3, 4] }],
    ['a controller without a vote', {}],
    ['a broker', { isController: false }],
  ])('all founders of a cluster are wiped, and found no second one: %s is left of it', (who, options) => {
    for (let seed = 1; seed <= 10; seed++) {
      const cluster = new TestCluster(THREE, seed)
      cluster.startAll()
      const leader = cluster.untilLed()
      const left = cluster.add(4, options)
      left.start()
      cluster.until(() => left.leader === leader.id)
      if (who.startsWith('a voter')) {
        const promotion = leader.submit({ type: 'promoteVoter', nodeId: 4 })
        expect(cluster.reply(promotion)).toMatchObject({ errorCode: 0 })
      }
      const { clusterId } = left.reactor!.status()
      for (const id of THREE) {
        cluster.node(id).kill()
        cluster.node(id).wipe(`dir-${id}-new`)
      }
      for (const id of THREE) {
        if (seed % 2 === 0) cluster.world.runFor(cluster.random.uint32() % 400)
        cluster.node(id).start()
      }
      cluster.world.runFor(10_000)
      for (const id of THREE) {
        expect(cluster.node(id).reactor!.status()).toMatchObject({ clusterId, role: 'observer' })
      }
      expect(cluster.leader()).toBeUndefined()
    }
  })

  it.each([
    0, 5000,
  ])('no second one is found with a founder that still listens and alone reaches who is left: %i ms after the others', (laterMs) => {
    for (let seed = 1; seed <= 5; seed++) {
      const cluster = new TestCluster(THREE, seed)
      cluster.startAll()
      const leader = cluster.untilLed()
      const left = cluster.add(4)
      left.start()
      cluster.until(() => left.leader === leader.id)
      expect(cluster.reply(leader.submit({ type: 'promoteVoter', nodeId: 4 }))).toMatchObject({
        errorCode: 0,
      })
      const { clusterId } = left.reactor!.status()
      for (const id of THREE) {
        cluster.node(id).kill()
        cluster.node(id).wipe(`dir-${id}-new`)
      }
      for (const id of [1, 2]) cluster.links.cutBoth('host-4', `host-${id}`)
      cluster.world.runFor(1000)
      for (const id of [1, 2]) cluster.node(id).start()
      cluster.world.runFor(laterMs)
      cluster.node(3).start()
      cluster.world.runFor(10_000)
      expect(cluster.node(3).reactor!.status()).toMatchObject({ clusterId, role: 'observer' })
      for (const id of [1, 2])
        expect([clusterId, undefined]).toContain(cluster.node(id).reactor!.status().clusterId)
    }
  })

  it('a broker of a former cluster keeps founders from founding, and they warn what to do; without it they found', () => {
    const cluster = new TestCluster(THREE)
    const stale = cluster.add(11, { isController: false })
    stale.clusterId = 'former'
    cluster.startAll()
    cluster.world.runFor(20_000)
    for (const id of THREE) {
      const node = cluster.node(id)
      expect(node.reactor!.status().clusterId).toBeUndefined()
      expect(node.logged.filter((line) => line.includes('node 11'))).toEqual([
        'node 11 belongs to cluster former, so this node founds none, and no voter of that one has spoken: start one. ' +
          'If that cluster is gone, stop node 11 or move its log.dirs away, and start this node again',
      ])
    }
    stale.kill()
    for (const id of THREE) cluster.node(id).kill()
    for (const id of THREE) cluster.node(id).start()
    cluster.untilLed()
    cluster.world.runFor(20_000)
    expect(
      cluster.nodes.flatMap((node) => node.logged.filter((line) => line.includes('founds none'))),
    ).toHaveLength(3)
  })

  it('members of two clusters that meet over streams of before leave each other’s logs alone', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const fourth = cluster.add(4)
    fourth.start()
    cluster.until(() => fourth.leader === leader.id)
    expect(cluster.reply(leader.submit({ type: 'promoteVoter', nodeId: 4 }))).toMatchObject({ errorCode: 0 })
    const { clusterId } = fourth.reactor!.status()
    // The founders lose their disks, and found anew where nobody can tell them.
    for (const id of THREE) {
      cluster.links.cutBoth(`host-${id}`, 'host-4')
      cluster.node(id).kill()
      cluster.node(id).wipe(`dir-${id}-new`)
    }
    for (const id of THREE) cluster.node(id).start()
    const founders = THREE.map((id) => cluster.node(id))
    cluster.until(() => founders.some((node) => node.reactor!.status().role === 'leader'))
    cluster.world.runFor(5000)
    const { term, lastIndex } = fourth.reactor!.raft!
    cluster.links.healAll()
    cluster.world.runFor(20_000)
    expect(fourth.reactor!.status()).toMatchObject({ clusterId, leader: undefined, term })
    expect(fourth.reactor!.raft!.lastIndex).toBe(lastIndex)
    const second = cluster.nodes.find((node) => node.reactor!.status().role === 'leader')!.reactor!.status()
    expect(second.clusterId).not.toBe(clusterId)
    expect(second.progress.map(({ voter }) => voter.nodeId)).not.toContain(4)
  })

  it('voters whose bootstrap servers have all gone find each other after a stop of all', () => {
    const cluster = new TestCluster(THREE, 1, { forgetPeerAfterMs: 1000 })
    cluster.startAll()
    cluster.untilLed()
    for (const id of [4, 5, 6]) {
      const node = cluster.add(id, { bootstrap: [id - 3] })
      node.start()
      cluster.until(() => node.leader !== undefined)
      expect(cluster.reply(node.submit({ type: 'promoteVoter', nodeId: id }))).toMatchObject({ errorCode: 0 })
    }
    for (const id of THREE) {
      cluster.untilLed()
      const removal = { type: 'removeVoter', nodeId: id, directoryId: `dir-${id}` } as const
      cluster.reply(cluster.node(6).submit(removal))
      cluster.until(() => !voterIds(cluster.node(6)).includes(id))
      cluster.node(id).kill()
    }
    cluster.untilLed()
    cluster.until(hasVoters(cluster, [4, 5, 6]))
    for (const id of [4, 5, 6]) cluster.node(id).kill()
    for (const id of [4, 5, 6]) cluster.node(id).start()
    cluster.untilLed()
    expect(voterIds(cluster.node(4))).toEqual([4, 5, 6])
  })
})

describe('joining by itself', () => {
  it('a controller that is no voter becomes one when it has caught up', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    cluster.untilLed()
    const fourth = cluster.add(4, { autoJoin: true })
    fourth.start()
    cluster.until(hasVoters(cluster, [1, 2, 3, 4]), 5000)
  })

  it('a wiped voter removes who it was, and is added as who it is', () => {
    const cluster = new TestCluster(THREE)
    for (const node of cluster.nodes) node.options.autoJoin = true
    cluster.startAll()
    const leader = cluster.untilLed()
    const wiped = cluster.nodes.find((node) => node !== leader)!
    wiped.kill()
    wiped.wipe('dir-new')
    wiped.start()
    const named = () => leader.reactor!.status().voters.find((voter) => voter.nodeId === wiped.id)
    cluster.until(() => named()?.directoryId === 'dir-new')
    cluster.until(() => wiped.reactor!.status().role === 'follower')
    expect(voterIds(leader).sort()).toEqual(THREE)
  })

  it('asks no more once it is closed', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    cluster.untilLed()
    const fourth = cluster.add(4, { autoJoin: true })
    fourth.start()
    cluster.until(() => fourth.reactor!.status().role === 'observer')
    let asked = 0
    const { reactor } = fourth
    const submit = reactor!.submit.bind(reactor)
    reactor!.submit = (...command) => {
      asked++
      return submit(...command)
    }
    cluster.until(() => asked > 0)
    reactor!.close()
    asked = 0
    cluster.world.runFor(5000)
    expect(asked).toBe(0)
  })

  it('without it a wiped voter follows, and says what to do', () => {
    const cluster = new TestCluster(THREE)
    cluster.startAll()
    const leader = cluster.untilLed()
    const wiped = cluster.nodes.find((node) => node !== leader)!
    const { id } = wiped
    wiped.kill()
    wiped.wipe('dir-new')
    wiped.start()
    cluster.until(() => wiped.reactor!.status().advice !== undefined)
    expect(wiped.reactor!.status().advice).toBe(
      `node ${id} follows without a vote (directory dir-new): kogge raft members remove ${id} --directory dir-${id}, ` +
        `then kogge raft members add ${id} --directory dir-new makes it a voter, ` +
        'controller.quorum.auto.join.enable=true does so by itself',
    )
    cluster.world.runFor(5000)
    expect(wiped.reactor!.status().role).toBe('observer')
  })
})
