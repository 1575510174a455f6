import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/lib/prng.js'
import type { ByteStream } from '../../src/ports/network.js'
import type { PeerIdentity } from '../../src/ports/peers.js'
import { SimWorldClock } from './clock.js'
import { SimLinks, SimNetwork } from './network.js'
import { SimPeerNetwork } from './peers.js'

function worldOf() {
  const world = new SimWorldClock()
  const links = new SimLinks(new SeededRandom(5))
  return { world, links, network: new SimNetwork(world, links) }
}

describe('byte streams', () => {
  function pair() {
    const { world, links, network } = worldOf()
    const [client, server] = [world.process('client'), world.process('server')]
    const log: string[] = []
    const streams: { client?: ByteStream; server?: ByteStream } = {}
    network.endpoint(server, 'b').listen(
      { host: 'b', port: 9092 },
      (stream) => {
        streams.server = stream
        return {
          onData: (chunk) => log.push(`got ${Buffer.from(chunk)}`),
          onClose: (error) => log.push(`server closed ${error}`),
        }
      },
      () => log.push('listening'),
      (error) => log.push(String(error)),
    )
    world.runFor(1)
    const dial = (timeoutMs = 100) =>
      network.endpoint(client, 'a').dial(
        { host: 'b', port: 9092 },
        timeoutMs,
        (stream) => {
          streams.client = stream
          return {
            onData: (chunk) => log.push(`client got ${Buffer.from(chunk)}`),
            onClose: (error) => log.push(`client closed ${error}`),
          }
        },
        (error) => log.push(error.reason),
      )
    return { world, links, client, server, log, streams, dial }
  }

  it('carries bytes in order, waits at a cut and goes on after it', () => {
    const { world, links, log, streams, dial } = pair()
    dial()
    world.runFor(10)
    streams.client!.write([Buffer.from('a'), Buffer.from('b')])
    world.runFor(10)
    links.cut('a', 'b')
    streams.client!.write([Buffer.from('c')])
    streams.client!.write([Buffer.from('d')])
    world.runFor(10_000)
    expect(log).toEqual(['listening', 'got ab'])
    links.healAll()
    streams.client!.end()
    world.runFor(10)
    expect(log.join(';')).toMatch(/^listening;got ab;got cd?;(got d;)?server closed null;client closed null$/)
  })

  it('splits segments and loses no byte of them', () => {
    const { world, links, log, streams, dial } = pair()
    links.partsOfOneIn = 1
    dial()
    world.runFor(10)
    streams.client!.write([Buffer.from('abcdef')])
    world.runFor(100)
    const got = log.filter((line) => line.startsWith('got ')).map((line) => line.slice(4))
    expect(got.length).toBeGreaterThan(1)
    expect(got.join('')).toBe('abcdef')
  })

  it('lets no cut undo another', () => {
    const { links } = pair()
    const one = links.cut('a', 'b')
    const other = links.cutBoth('a', 'b')
    one()
    one()
    expect(links.isCut('a', 'b')).toBe(true)
    other()
    expect(links.isCut('a', 'b')).toBe(false)
    expect(links.isCut('b', 'a')).toBe(false)
  })

  it('refuses where nobody listens any more, resets what was open, and is silent when paused or cut', () => {
    const { world, links, server, log, dial } = pair()
    dial()
    world.runFor(10)
    server.pause()
    world.runFor(1000)
    expect(log).toEqual(['listening'])
    server.kill()
    world.runFor(10)
    expect(log[1]).toMatch(/client closed Error: ECONNRESET/)
    dial()
    world.runFor(10)
    expect(log[2]).toBe('refused')
    links.cut('b', 'a')
    dial(50)
    world.runFor(60)
    expect(log[3]).toBe('timeout')
  })
})

/** Takes every process for whom it says that it is. */
const TRUSTING = { onGreeting: () => undefined, onDuplicate: () => undefined, ledTerm: () => undefined }

let incarnations = 0

function identityOf(host: string): PeerIdentity {
  return { directoryId: host, incarnationId: `${host}.${++incarnations}`, address: { host, port: 1 } }
}

describe('peers', () => {
  it('delivers a lane in order, tells of a death, and connects again', () => {
    const { world, network } = worldOf()
    const hub = new SimPeerNetwork<{ n: number }>(network)
    const log: string[] = []
    const peers = new Map([1, 2].map((id) => [id, { host: `h${id}`, port: 1 }]))
    const start = (id: number) => {
      const process = world.process(`n${id}`)
      const transport = hub.transport(
        id,
        `h${id}`,
        process,
        {
          ...TRUSTING,
          onMessage: (from, message) => log.push(`${id}<${from} ${message.n}`),
          onConnected: (peer) => log.push(`${id}+${peer}`),
          onDisconnected: (peer) => log.push(`${id}-${peer}`),
        },
        identityOf(`h${id}`),
      )
      transport.setPeers(peers)
      return { process, transport }
    }
    const one = start(1)
    const two = start(2)
    world.runFor(100)
    expect(log.sort()).toEqual(['1+2', '2+1'])
    log.length = 0
    for (let n = 0; n < 5; n++) one.transport.send(2, 'raft', { n })
    world.runFor(10)
    expect(log).toEqual([0, 1, 2, 3, 4].map((n) => `2<1 ${n}`))
    log.length = 0
    two.process.kill()
    world.runFor(10)
    expect(log).toContain('1-2')
    const probes: string[] = []
    one.transport.probe(2, 100, (result) => probes.push(result))
    world.runFor(10)
    start(2)
    one.transport.probe(2, 100, (result) => probes.push(result))
    world.runFor(200)
    expect(probes).toEqual(['refused', 'open'])
    expect(log).toContain('1+2')
    log.length = 0
    one.transport.send(2, 'heartbeat', { n: 9 })
    world.runFor(10)
    expect(log).toEqual(['2<1 9'])
  })

  it('counts a peer as connected again when its dial is accepted, though our own connection never broke', () => {
    const { world, network } = worldOf()
    const hub = new SimPeerNetwork<{ n: number }>(network)
    const connected = new Map<number, boolean>()
    const peers = new Map([1, 2].map((id) => [id, { host: `h${id}`, port: 1 }]))
    const start = (id: number, peer: number) => {
      const process = world.process(`n${id}`)
      const transport = hub.transport(
        id,
        `h${id}`,
        process,
        {
          ...TRUSTING,
          onMessage: () => undefined,
          onConnected: () => connected.set(peer, true),
          onDisconnected: () => connected.set(peer, false),
        },
        identityOf(`h${id}`),
      )
      transport.setPeers(new Map([...peers].filter(([other]) => other !== id)))
      return transport
    }
    start(1, 2)
    const two = start(2, 1)
    world.runFor(100)
    // Only what 2 dialled is closed: 1 hears of that end, keeps what it dialled itself, and is dialled anew.
    two.setPeers(new Map())
    world.runFor(1)
    expect(connected.get(2)).toBe(false)
    two.setPeers(new Map([[1, peers.get(1)!]]))
    world.runFor(1000)
    expect(connected.get(2)).toBe(true)
  })

  it('counts a peer as connected that is back, though the end of its former connection comes later', () => {
    const { world, links, network } = worldOf()
    const hub = new SimPeerNetwork<{ n: number }>(network)
    const peers = new Map([1, 2].map((id) => [id, { host: `h${id}`, port: 1 }]))
    const isConnected = new Map<string, boolean>()
    let disconnections = 0
    const start = (id: number) => {
      const process = world.process(`n${id}`)
      const transport = hub.transport(
        id,
        `h${id}`,
        process,
        {
          ...TRUSTING,
          onMessage: () => undefined,
          onConnected: (peer) => isConnected.set(`${id}-${peer}`, true),
          onDisconnected: (peer) => {
            isConnected.set(`${id}-${peer}`, false)
            if (id === 1) disconnections++
          },
        },
        identityOf(`h${id}`),
      )
      transport.setPeers(peers)
      return process
    }
    start(1)
    let two = start(2)
    for (let i = 0; i < 50; i++) {
      world.runFor(3_000)
      expect(isConnected.get('1-2')).toBe(true)
      // Segments are lost: one of the two ends takes long.
      links.loss.set('h2>h1', 0.4)
      two.kill()
      two = start(2)
      world.runFor(2_000)
      links.loss.clear()
      world.runFor(10_000)
      expect(isConnected.get('1-2')).toBe(true)
      expect(disconnections).toBeGreaterThan(i)
      hub.reset(1, 2)
      world.runFor(3_000)
      expect(isConnected.get('1-2')).toBe(true)
    }
  })

  it('keeps for a connected peer what is sent while it is being dialled', () => {
    const { world, network } = worldOf()
    const hub = new SimPeerNetwork<{ n: number }>(network)
    const peers = new Map([1, 2].map((id) => [id, { host: `h${id}`, port: 1 }]))
    const log: number[] = []
    const one = hub.transport(
      1,
      'h1',
      world.process('n1'),
      {
        ...TRUSTING,
        onMessage: () => undefined,
        // 2 has dialled, and is being dialled.
        onConnected: (peer) => {
          for (let n = 1; n <= 3; n++) one.send(peer, 'controller', { n })
        },
        onDisconnected: () => undefined,
      },
      identityOf('h1'),
    )
    const two = hub.transport(
      2,
      'h2',
      world.process('n2'),
      {
        ...TRUSTING,
        onMessage: (_from, message) => log.push(message.n),
        onConnected: () => undefined,
        onDisconnected: () => undefined,
      },
      identityOf('h2'),
    )
    two.setPeers(peers)
    world.schedule(null, 1, () => one.setPeers(peers))
    world.runFor(100)
    expect(log).toEqual([1, 2, 3])
  })
})
