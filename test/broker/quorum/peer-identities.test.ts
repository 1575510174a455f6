import { describe, expect, it } from 'vitest'
import { PeerIdentities } from '../../../src/broker/quorum/peer-identities.js'
import type { Logger } from '../../../src/ports/logger.js'
import type { PeerIdentity } from '../../../src/ports/peers.js'
import { SimWorldClock } from '../../sim/clock.js'

const ACCEPTED = { isStanding: false, isDialled: false }
const STANDING = { isStanding: true, isDialled: false }
const DIALLED = { isStanding: false, isDialled: true }

function process(directoryId: string, n: number): PeerIdentity {
  return {
    directoryId,
    incarnationId: `${directoryId}.${n}`,
    address: { host: `host-${directoryId}-${n}`, port: 9093 },
  }
}

function setUp(voter = 'none') {
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
  })
  return { world, lines, connected, identities }
}

describe('who speaks for a node', () => {
  it('another directory is refused while a stream stands, and for an election time-out after it broke', () => {
    const { world, identities } = setUp()
    expect(identities.greet(3, process('a', 1), ACCEPTED)).toBeUndefined()
    world.runFor(60_000)
    expect(identities.greet(3, process('b', 1), STANDING)).toMatch(
      /^another process has node\.id=3: the one at host-a-1:9093, with the data directory a, is connected to node 1; give this one/,
    )
    identities.onDisconnected(3)
    world.runFor(999)
    expect(identities.greet(3, process('b', 1), ACCEPTED)).toContain('has just been connected to node 1')
    world.runFor(1)
    expect(identities.greet(3, process('b', 1), ACCEPTED)).toBeUndefined()
    expect(identities.greet(3, process('a', 1), STANDING)).toContain('the one at host-b-1:9093')
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

  it('the same directory is taken at once, whatever stands, and once only', () => {
    const { world, identities } = setUp()
    for (let n = 1; n <= 3; n++) expect(identities.greet(3, process('a', n), STANDING)).toBeUndefined()
    // It was to be dead: the directory was copied.
    expect(identities.greet(3, process('a', 2), STANDING)).toContain('was log.dirs copied?')
    expect(identities.greet(3, process('a', 3), STANDING)).toBeUndefined()
    // A late greeting of a dead one costs the living one a moment, and not its place.
    identities.onDisconnected(3)
    world.runFor(1_000)
    expect(identities.greet(3, process('a', 2), ACCEPTED)).toBeUndefined()
    expect(identities.greet(3, process('a', 3), ACCEPTED)).toBeDefined()
    world.runFor(1_000)
    expect(identities.greet(3, process('a', 3), ACCEPTED)).toBeUndefined()
  })

  it('a voter’s directory takes its place back, and gives it to no stranger', () => {
    const { identities } = setUp('a')
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
