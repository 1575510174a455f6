import { describe, expect, it } from 'vitest'
import { PeerIdentities } from '../../../src/broker/quorum/peer-identities.js'
import type { Logger } from '../../../src/ports/logger.js'
import type { PeerIdentity } from '../../../src/ports/peers.js'
import { SimWorldClock } from '../../sim/clock.js'

const ACCEPTED = { isStanding: false, isDialled: false, ledTerm: undefined }
const STANDING = { ...ACCEPTED, isStanding: true }
const DIALLED = { ...ACCEPTED, isDialled: true }

function process(directoryId: string, n: number, host = `host-${directoryId}-${n}`): PeerIdentity {
  return {
    directoryId,
    incarnationId: `${directoryId}.${n}`,
    address: { host, port: 9093 },
  }
}

function setUp({ voter = 'none', isLeader = false } = {}) {
  const world = new SimWorldClock()
  const lines: string[] = []
  const logger: Logger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (_fields, text) => lines.push(text),
    child: () => logger,
  }
  const connected = new Set<number>()
  const identities = new PeerIdentities({
    self: 1,
    clock: world.process('node-1').clock,
    logger,
    holdMs: 1_000,
    maxPeers: 3,
    isConnected: (peer) => connected.has(peer),
    isVoter: (_peer, directoryId) => directoryId === voter,
    isLed: () => true,
    isCurrentTerm: (term) => !isLeader && term >= 7,
  })
  return { world, lines, connected, identities }
}

describe('who speaks for a node', () => {
  it('another directory is refused while a stream stands, and for an election time-out after it broke', () => {
    const { world, identities } = setUp()
    expect(identities.greet(3, process('a', 1), ACCEPTED)).toBeUndefined()
    world.runFor(60_000)
    expect(identities.greet(3, process('b', 1), STANDING)?.reason).toMatch(
      /^another process has node\.id=3: the one at host-a-1:9093, with the data directory a, is connected to node 1; give this one/,
    )
    identities.onDisconnected(3)
    world.runFor(999)
    expect(identities.greet(3, process('b', 1), ACCEPTED)?.reason).toContain(
      'has just been connected to node 1',
    )
    world.runFor(1)
    expect(identities.greet(3, process('b', 1), ACCEPTED)).toBeUndefined()
    expect(identities.greet(3, process('a', 1), STANDING)?.reason).toContain('the one at host-b-1:9093')
  })

  it('nobody waits for one whose dial was refused, or in whose place another one answers', () => {
    for (const isDead of [true, false]) {
      const { identities } = setUp()
      identities.greet(3, process('a', 1), ACCEPTED)
      identities.onDisconnected(3)
      expect(identities.greet(3, process('b', 1), ACCEPTED)).toBeDefined()
      if (isDead) identities.onDead(3)
      expect(identities.greet(3, process('b', 1), isDead ? STANDING : DIALLED)).toBeUndefined()
    }
  })

  it('one that was taken for dead and greets again is held to be alive', () => {
    const { identities } = setUp()
    identities.greet(3, process('a', 1), ACCEPTED)
    identities.onDead(3)
    expect(identities.greet(3, process('a', 1), ACCEPTED)).toBeUndefined()
    expect(identities.greet(3, process('b', 1), STANDING)).toBeDefined()
  })

  it('the same directory is taken at once, whatever stands, from the same address', () => {
    const { identities } = setUp()
    for (let n = 1; n <= 3; n++)
      expect(identities.greet(3, process('a', n, 'host-a'), STANDING)).toBeUndefined()
  })

  it('the same directory is taken at once from anywhere when the former does not stand or is dead', () => {
    for (const isDead of [false, true]) {
      const { identities } = setUp()
      identities.greet(3, process('a', 1), ACCEPTED)
      if (isDead) identities.onDead(3)
      else identities.onDisconnected(3)
      expect(identities.greet(3, process('a', 2), isDead ? STANDING : ACCEPTED)).toBeUndefined()
    }
  })

  it('the same directory elsewhere is as any other while the former stands: it may have been copied', () => {
    const { identities } = setUp()
    identities.greet(3, process('a', 1), ACCEPTED)
    expect(identities.greet(3, process('a', 2), STANDING)?.reason).toMatch(
      /^another process of the same data directory \(a\) has node\.id=3, at host-a-1:9093, as node 1 sees it: was log\.dirs copied\?/,
    )
    expect(identities.greet(3, process('a', 1), STANDING)).toBeUndefined()
    identities.onDisconnected(3)
    expect(identities.greet(3, process('a', 2), ACCEPTED)).toBeUndefined()
  })

  it('no process that was there before is a successor, however long ago', () => {
    const { world, identities } = setUp()
    const greet = (n: number, greeting = STANDING) => identities.greet(3, process('a', n, 'host-a'), greeting)
    for (let n = 1; n <= 17; n++) greet(n)
    for (let n = 1; n <= 16; n++)
      expect(greet(n)?.reason).toContain('a newer process of the same data directory')
    expect(greet(17)).toBeUndefined()
    // A late greeting of a dead one costs the living one a moment, and not its place.
    identities.onDisconnected(3)
    expect(greet(2, ACCEPTED)).toBeDefined()
    world.runFor(1_000)
    expect(greet(2, ACCEPTED)).toBeUndefined()
    expect(greet(17, ACCEPTED)).toBeDefined()
    world.runFor(1_000)
    expect(greet(17, ACCEPTED)).toBeUndefined()
  })

  it('two that share a directory and an address do not take turns', () => {
    const { world, identities } = setUp()
    const greet = (n: number, greeting = STANDING) => identities.greet(3, process('a', n, 'host-a'), greeting)
    greet(1)
    expect(greet(2)).toBeUndefined()
    // The first one lives after all, and its supervisor starts it again whenever it has ended.
    expect(greet(1)).toBeDefined()
    for (let n = 3; n < 30; n++) {
      world.runFor(15_000)
      expect(greet(n)).toBeDefined()
      expect(greet(2)).toBeUndefined()
    }
    identities.onDisconnected(3)
    expect(greet(30, ACCEPTED)).toBeUndefined()
  })

  it('whom the leader serves takes its place back at a follower', () => {
    const served = { ...STANDING, ledTerm: 7 }
    for (const directory of ['a', 'b']) {
      const { identities } = setUp()
      identities.greet(3, process(directory, 1), ACCEPTED)
      expect(identities.greet(3, process('a', 2), { ...served, ledTerm: 6 })).toBeDefined()
      expect(identities.greet(3, process('a', 2), served)).toBeUndefined()
      expect(identities.greet(3, process(directory, 1), STANDING)).toBeDefined()
    }
    const { identities } = setUp({ isLeader: true })
    identities.greet(3, process('a', 1), ACCEPTED)
    expect(identities.greet(3, process('b', 1), served)).toMatchObject({ isLed: true, holdMs: 1_000 })
  })

  it('a voter’s directory takes its place back, and gives it to no stranger', () => {
    const { identities } = setUp({ voter: 'a' })
    expect(identities.greet(3, process('b', 1), ACCEPTED)).toBeUndefined()
    expect(identities.greet(3, process('a', 1), STANDING)).toBeUndefined()
    expect(identities.greet(3, process('b', 1), STANDING)).toBeDefined()
  })

  it('the log has one line for two processes in ten seconds', () => {
    const { world, lines, identities } = setUp()
    identities.greet(3, process('a', 1), ACCEPTED)
    for (let i = 0; i < 40; i++) {
      identities.greet(3, process('b', 1), STANDING)
      world.runFor(500)
    }
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatch(
      /^two processes have node\.id=3: the one at host-a-1:9093 is connected, and the one at host-b-1:9093 is refused/,
    )
    identities.greet(3, process('c', 1), STANDING)
    expect(lines).toHaveLength(3)
  })

  it('remembers those who are connected, and few others', () => {
    const { connected, identities } = setUp()
    connected.add(2)
    for (const peer of [2, 3, 4, 5]) identities.greet(peer, process('a', 1), ACCEPTED)
    expect(identities.greet(2, process('b', 1), STANDING)).toBeDefined()
    expect(identities.greet(3, process('b', 1), ACCEPTED)).toBeUndefined()
  })
})
