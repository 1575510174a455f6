import { describe, expect, it } from 'vitest'
import { DuplicateNode, DuplicateNodeError } from '../../../src/broker/quorum/duplicate-node.js'
import type { Logger } from '../../../src/ports/logger.js'
import type { PeerRefusal } from '../../../src/ports/peers.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { SimWorldClock } from '../../sim/clock.js'
import { TestCluster, type TestNode, type TestNodeOptions } from './cluster.js'

const THREE = [1, 2, 3]
const HOLD_MS = 1_000
const GRACE_MS = 10_000

/** Another machine with the id of node `id` and a disk of its own, which knows the others by bootstrap servers. */
function second(cluster: TestCluster, id: number, options: TestNodeOptions = {}): TestNode {
  const bootstrap = THREE.filter((other) => other !== id)
  const node = cluster.add(id, { bootstrap, host: `host-${id}-second`, ...options })
  node.directoryId = `dir-${id}-second`
  return node
}

function votersOf(node: TestNode): string[] {
  return node.reactor!.status().voters.map(({ directoryId }) => directoryId)
}

const saysTwo = (node: TestNode): string[] => node.logged.filter((line) => line.includes('two processes'))
const saysRefused = (node: TestNode): string[] =>
  node.logged.filter((line) => line.includes('another process has node.id'))

describe('a second process with the node id of one that lives', () => {
  it.each([
    ['joins by itself', { autoJoin: true }],
    ['follows without a vote', {}],
    ['is configured as a founder', { configured: THREE }],
    ['is a broker', { isController: false }],
  ])('is refused and ends, and nobody else notices: one that %s', (_how, options) => {
    for (let seed = 1; seed <= 6; seed++) {
      const cluster = new TestCluster(THREE, seed)
      cluster.startAll()
      const leader = cluster.untilLed()
      cluster.world.runFor(2_000)
      const { term } = leader.reactor!.status()
      const first = cluster.node(1 + (seed % 3))
      const impostor = second(cluster, first.id, options)
      impostor.start()
      cluster.until(() => impostor.fatal !== undefined, GRACE_MS + 2_000)
      expect(impostor.fatal).toBeInstanceOf(DuplicateNodeError)
      expect(impostor.fatal!.message).toContain(
        `another process has node.id=${first.id}: the one at host-${first.id}:9093, with the data directory dir-${first.id}`,
      )
      expect(impostor.appliedIndex).toBe(0)
      // One line of warning, and the end. The fatal error is an operator's second one.
      expect(saysRefused(impostor)).toHaveLength(1)
      for (const node of THREE.map((id) => cluster.node(id))) {
        expect(node.lost).toEqual([])
        expect(node.fatal).toBeUndefined()
        expect(votersOf(node)).toEqual(['dir-1', 'dir-2', 'dir-3'])
        if (node === first) expect(saysTwo(node)).toEqual([])
        else expect(saysTwo(node).length).toBeLessThanOrEqual(2)
      }
      const [line] = THREE.flatMap((id) => saysTwo(cluster.node(id)))
      expect(line).toContain(
        `the one at host-${first.id}:9093 is connected, and the one at host-${first.id}-second:9093`,
      )
      expect(leader.reactor!.status()).toMatchObject({ role: 'leader', term })
    }
  })

  it('a voter takes its place back from one that came while it was cut off', () => {
    const cluster = new TestCluster(THREE, 3)
    cluster.startAll()
    cluster.untilLed()
    const voter = cluster.node(3)
    cluster.world.runFor(1_000)
    for (const id of [1, 2]) cluster.links.cutBoth('host-3', `host-${id}`)
    cluster.peers.expire('host-3')
    cluster.world.runFor(HOLD_MS)
    const impostor = second(cluster, 3)
    impostor.start()
    cluster.until(() => impostor.leader !== undefined)
    cluster.links.healAll()
    cluster.until(() => impostor.fatal instanceof DuplicateNodeError, 20_000)
    expect(voter.fatal).toBeUndefined()
    cluster.until(() => voter.leader !== undefined && cluster.leader() !== undefined)
    expect(votersOf(voter)).toEqual(['dir-1', 'dir-2', 'dir-3'])
    const leader = cluster.leader()!
    expect(cluster.reply(leader.setConfig('log.retention.ms', '7'))).toMatchObject({ type: 'alterConfigs' })
    cluster.until(() => voter.appliedIndex >= leader.appliedIndex)
  })
})

describe('a new process of a node whose former one is dead', () => {
  it('is taken at once from the same directory', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const cluster = new TestCluster(THREE, seed)
      cluster.startAll()
      const leader = cluster.untilLed()
      const node = cluster.nodes.find((other) => other !== leader)!
      cluster.world.runFor(1_000)
      node.kill()
      node.start()
      // As before there were identities: a dial, and its heartbeat.
      cluster.until(() => node.leader === leader.id, 400)
      for (const { logged } of cluster.nodes)
        expect(logged.filter((line) => line.includes('process'))).toEqual([])
    }
  })

  it('is taken from the same directory though the end of the former one was not noticed', () => {
    const cluster = new TestCluster(THREE, 1)
    cluster.startAll()
    const leader = cluster.untilLed()
    const node = cluster.nodes.find((other) => other !== leader)!
    cluster.world.runFor(1_000)
    // The power fails: nothing leaves the host any more, and it is back before anybody missed it.
    for (const id of THREE) if (id !== node.id) cluster.links.cut(node.host, `host-${id}`)
    node.kill()
    cluster.world.runFor(100)
    const old = cluster.peers.nodes.get(node.id)!
    expect(old.isListening).toBe(false)
    cluster.links.healAll()
    node.start()
    cluster.until(() => node.leader === leader.id, 400)
  })

  it('is taken with a wiped disk, and joins', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const cluster = new TestCluster(THREE, seed)
      for (const node of cluster.nodes) node.options.autoJoin = true
      cluster.startAll()
      cluster.untilLed()
      const node = cluster.node(1 + (seed % 3))
      cluster.world.runFor(1_000)
      node.kill()
      node.wipe('dir-new')
      node.start()
      cluster.until(() => node.isRunning && votersOf(node).includes('dir-new'), 10_000)
      expect(node.fatal).toBeUndefined()
    }
  })

  it('is taken on another machine: when the dial of the former one is refused, or its silence was noticed', () => {
    for (const isPowerLoss of [false, true]) {
      const cluster = new TestCluster(THREE, 1)
      cluster.startAll()
      const leader = cluster.untilLed()
      const dead = cluster.nodes.find((other) => other !== leader)!
      cluster.world.runFor(1_000)
      if (isPowerLoss)
        for (const id of THREE) if (id !== dead.id) cluster.links.cutBoth(dead.host, `host-${id}`)
      dead.kill()
      const replacement = second(cluster, dead.id, { autoJoin: true })
      replacement.start()
      if (isPowerLoss) {
        // It waits, and says so: for all that the others know, the former one lives.
        cluster.world.runFor(3_000)
        expect(replacement.leader).toBeUndefined()
        expect(saysRefused(replacement)).toHaveLength(1)
        cluster.peers.expire(dead.host)
      }
      cluster.until(() => replacement.leader !== undefined, HOLD_MS + 2_000)
      cluster.until(() => votersOf(replacement).includes(replacement.directoryId), 10_000)
      expect(votersOf(replacement)).not.toContain(dead.directoryId)
      cluster.world.runFor(GRACE_MS + 2_000)
      expect(replacement.fatal).toBeUndefined()
    }
  })
})

describe('the removal of a voter whose place another process takes', () => {
  it('waits until it is silent', () => {
    const cluster = new TestCluster(THREE, 1)
    cluster.startAll()
    const leader = cluster.untilLed()
    const follower = cluster.nodes.find((other) => other !== leader)!
    const removal = (id: number) =>
      cluster.reply(
        leader.submit({ type: 'removeVoter', nodeId: id, directoryId: `dir-${id}`, onlyIfSilent: true }),
      )
    for (const { id } of [leader, follower]) {
      expect(removal(id)).toMatchObject({
        errorCode: ErrorCode.REQUEST_TIMED_OUT,
        errorMessage: expect.stringContaining(`node ${id} with directory dir-${id} answers`),
      })
    }
    follower.kill()
    expect(removal(follower.id)).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT })
    // An answer of its last moment may have been on its way.
    cluster.world.runFor(HOLD_MS + 10)
    expect(removal(follower.id)).toMatchObject({ errorCode: 0 })
  })

  it('waits also where another directory has answered in its name since', () => {
    const cluster = new TestCluster(THREE, 1)
    cluster.startAll()
    const leader = cluster.untilLed()
    const follower = cluster.nodes.find((other) => other !== leader)!
    cluster.world.runFor(1_000)
    follower.kill()
    follower.wipe('dir-new')
    follower.start()
    const answers = () =>
      leader.reactor!.status().progress.some(({ voter }) => voter.directoryId === 'dir-new')
    const tookMs = cluster.until(answers, 900)
    const { id } = follower
    const command = { type: 'removeVoter', nodeId: id, directoryId: `dir-${id}`, onlyIfSilent: true } as const
    expect(cluster.reply(leader.submit(command))).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT })
    cluster.world.runFor(HOLD_MS - tookMs)
    expect(cluster.reply(leader.submit(command))).toMatchObject({ errorCode: 0 })
  })
})

/** As a supervisor does: whatever ended is started again at once. */
function supervise(cluster: TestCluster, nodes: readonly TestNode[], forMs: number): TestNode[] {
  const ended: TestNode[] = []
  for (let ms = 0; ms < forMs; ms += 100) {
    cluster.world.runFor(100)
    for (const node of nodes) {
      if (node.fatal === undefined) continue
      ended.push(node)
      node.fatal = undefined
      node.kill()
      node.start()
    }
  }
  return ended
}

describe('a copied data directory', () => {
  it('takes no turns with the one that it was copied from, though both are started again and again', () => {
    for (let seed = 1; seed <= 6; seed++) {
      const cluster = new TestCluster(THREE, seed)
      cluster.startAll()
      const leader = cluster.untilLed()
      cluster.world.runFor(2_000)
      const original = cluster.node(1 + (seed % 3))
      const copy = second(cluster, original.id)
      copy.directoryId = original.directoryId
      copy.clusterId = leader.reactor!.status().clusterId
      copy.incarnationPrefix = 'copy'
      copy.start()
      const ended = supervise(cluster, [original, copy], 60_000)
      expect(ended.length).toBeGreaterThanOrEqual(4)
      expect(ended).not.toContain(original)
      expect(original.leader).toBe(leader.id)
      expect(copy.appliedIndex).toBe(0)
      expect(copy.logged.join()).toContain('was log.dirs copied?')
    }
  })

  it('that came while the original was cut off from a follower goes, and that one takes the original back', () => {
    const cluster = new TestCluster(THREE, 2)
    cluster.startAll()
    const leader = cluster.untilLed()
    cluster.world.runFor(2_000)
    const [original, third] = cluster.nodes.filter((node) => node !== leader) as [TestNode, TestNode]
    cluster.links.cutBoth(original.host, third.host)
    cluster.peers.expire(original.host)
    cluster.world.runFor(HOLD_MS)
    const copy = second(cluster, original.id, { bootstrap: [third.id] })
    copy.directoryId = original.directoryId
    copy.incarnationPrefix = 'copy'
    cluster.links.cutBoth(copy.host, leader.host)
    copy.start()
    cluster.world.runFor(500)
    cluster.links.healAll()
    const ended = supervise(cluster, [original, copy], 30_000)
    expect(ended).toContain(copy)
    expect(ended).not.toContain(original)
    expect(original.leader).toBe(leader.id)
    expect(third.connectedIncarnation(original.id)).toBe(`${original.directoryId}.1`)
  })
})

describe('a process that the leader serves', () => {
  /** A follower takes another process for the broker while the two cannot reach each other. */
  function usurped(seed: number, doesSay = true) {
    const cluster = new TestCluster(THREE, seed)
    cluster.startAll()
    const leader = cluster.untilLed()
    const [usurper, third] = cluster.nodes.filter((node) => node !== leader) as [TestNode, TestNode]
    const broker = cluster.add(11, { isController: false })
    broker.start()
    cluster.until(() => broker.leader !== undefined)
    cluster.world.runFor(2_000)
    if (!doesSay) broker.reactor!.ledTerm = () => undefined
    cluster.links.cutBoth(broker.host, usurper.host)
    cluster.peers.expire(broker.host)
    cluster.world.runFor(HOLD_MS)
    const impostor = second(cluster, 11, { isController: false, bootstrap: [usurper.id] })
    const isolate = () => {
      for (const node of [leader, third]) cluster.links.cutBoth(impostor.host, node.host)
    }
    isolate()
    impostor.start()
    cluster.world.runFor(500)
    expect(usurper.connectedIncarnation(11)).toBe('dir-11-second.1')
    cluster.links.healAll()
    return { cluster, leader, usurper, broker, impostor, isolate }
  }

  it('is ended by no follower that took another one, and is taken back', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const { cluster, leader, usurper, broker, impostor, isolate } = usurped(seed)
      isolate()
      cluster.world.runFor(15_000)
      expect(broker.fatal).toBeUndefined()
      expect(broker.leader).toBe(leader.id)
      expect(usurper.connectedIncarnation(11)).toBe('dir-11.1')
      expect(impostor.fatal).toBeInstanceOf(DuplicateNodeError)
    }
  })

  it('goes on where a follower does not hear that, and says so', () => {
    const { cluster, leader, usurper, broker, isolate } = usurped(1, false)
    isolate()
    cluster.world.runFor(30_000)
    expect(usurper.connectedIncarnation(11)).toBe('dir-11-second.1')
    expect(broker.fatal).toBeUndefined()
    expect(broker.leader).toBe(leader.id)
    expect(saysRefused(broker)).toEqual([expect.stringContaining('This one goes on')])
  })
})

describe('the refusals of a process', () => {
  const REASON = 'another process has node.id=3'

  function setUp() {
    const world = new SimWorldClock()
    const lines: string[] = []
    const warn = (_fields: object, text: string) => lines.push(text)
    const logger: Logger = { debug: warn, info: warn, warn, error: warn, child: () => logger }
    const state = { isServed: false, ended: 0 }
    const duplicate = new DuplicateNode({
      clock: world.process('node-3').clock,
      logger,
      graceMs: 9_000,
      isServed: () => state.isServed,
      fail: () => state.ended++,
    })
    /** As a peer that dials again every half second. */
    const refuse = (forMs: number, refusal: Partial<PeerRefusal> = {}) => {
      for (let ms = 0; ms < forMs; ms += 500) {
        duplicate.onRefused(1, { reason: REASON, isLed: true, holdMs: 1_000, ...refusal })
        world.runFor(500)
      }
    }
    return { world, lines, state, duplicate, refuse }
  }

  it('end it after the grace, and the hold of the peer that refuses', () => {
    const { state, lines, refuse } = setUp()
    refuse(16_000, { holdMs: 7_000 })
    expect(state.ended).toBe(0)
    refuse(500, { holdMs: 7_000 })
    expect(state.ended).toBe(1)
    expect(lines).toEqual([`${REASON}. This process ends unless that changes within 16000 ms`])
  })

  it('end none that is served, and count anew when it is not any more', () => {
    const { state, lines, refuse } = setUp()
    refuse(9_500)
    state.isServed = true
    refuse(90_000)
    state.isServed = false
    refuse(10_000)
    expect(state.ended).toBe(0)
    expect(lines.filter((line) => line.includes('This one goes on'))).toHaveLength(2)
    refuse(500)
    expect(state.ended).toBe(1)
  })

  it('end none while the peer has no leader either', () => {
    const { state, lines, refuse } = setUp()
    refuse(90_000, { isLed: false })
    refuse(10_000)
    expect(state.ended).toBe(0)
    expect(lines.filter((line) => line.includes('This one waits'))).toHaveLength(2)
  })

  it('count anew when they come apart', () => {
    const { world, state, duplicate, refuse } = setUp()
    refuse(9_500)
    expect(duplicate.isRefusedBy(1)).toBe(true)
    expect(duplicate.isRefusedBy(2)).toBe(false)
    world.runFor(2_500)
    expect(duplicate.isRefusedBy(1)).toBe(false)
    refuse(10_000)
    expect(state.ended).toBe(0)
  })
})
