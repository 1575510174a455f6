import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createGrpcPeers, type GrpcPeers } from '../../src/adapters/grpc-peers.js'
import { createGrpcServer, type GrpcServer } from '../../src/adapters/grpc-server.js'
import type { PeerMessage } from '../../src/broker/peer-message.js'
import type { NodeId } from '../../src/lib/ids.js'
import type { Logger } from '../../src/ports/logger.js'
import type { Address } from '../../src/ports/network.js'
import type { Greeting, Lane, PeerIdentity, PeerRefusal } from '../../src/ports/peers.js'

type Event = {
  what: 'message' | 'connected' | 'disconnected' | 'duplicate' | 'log'
  peer?: NodeId
  message?: PeerMessage
  refusal?: PeerRefusal
  text?: string
}

/** A node's transport with its server, and everything that it was told, in order. */
class Node {
  readonly events: Event[] = []
  onConnected = (): void => undefined
  readonly peers: GrpcPeers
  private readonly waiters = new Set<() => void>()
  private server: GrpcServer | undefined
  address: Address = { host: '127.0.0.1', port: 0 }
  /** What it says of processes that greet it. */
  judge = (_identity: PeerIdentity, _greeting: Greeting): PeerRefusal | undefined => undefined
  ledTerm: number | undefined

  constructor(
    readonly id: NodeId,
    public clusterId?: string,
    readonly incarnationId = `${id}.${nodes.length}`,
  ) {
    const note = (event: Event) => {
      this.events.push(event)
      for (const waiter of this.waiters) waiter()
    }
    const log = (fields: object, text: string) =>
      note({ what: 'log', text: `${text} ${JSON.stringify(fields)}` })
    const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger }
    this.peers = createGrpcPeers({
      nodeId: id,
      self: { directoryId: `d${id}`, incarnationId, address: { host: `host-${id}`, port: 9093 } },
      clusterId: () => this.clusterId,
      logger,
      handler: {
        onGreeting: (_peer, identity, greeting) => this.judge(identity, greeting),
        onDuplicate: (peer, refusal) => note({ what: 'duplicate', peer, refusal }),
        ledTerm: () => this.ledTerm,
        onMessage: (peer, message) => note({ what: 'message', peer, message }),
        onConnected: (peer) => {
          note({ what: 'connected', peer })
          this.onConnected()
        },
        onDisconnected: (peer) => note({ what: 'disconnected', peer }),
      },
    })
    nodes.push(this)
  }

  async listen(): Promise<void> {
    this.server = createGrpcServer({ peers: this.peers })
    this.address = await new Promise<Address>((resolve, reject) =>
      this.server!.listen(this.address, resolve, reject),
    )
  }

  /** Resolves when `count` events fulfil the condition. */
  async until(condition: (event: Event) => boolean, count = 1): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = () => {
        if (this.events.filter(condition).length < count) return
        this.waiters.delete(look)
        resolve()
      }
      this.waiters.add(look)
      look()
    })
  }

  connected(peer: NodeId, count = 1): Promise<void> {
    return this.until((event) => event.what === 'connected' && event.peer === peer, count)
  }

  disconnected(peer: NodeId, count = 1): Promise<void> {
    return this.until((event) => event.what === 'disconnected' && event.peer === peer, count)
  }

  messages(): PeerMessage[] {
    return this.events.flatMap((event) => (event.message ? [event.message] : []))
  }

  async close(): Promise<void> {
    this.peers.close()
    const { server } = this
    if (server) await new Promise<void>((resolve) => server.close(resolve))
  }
}

const nodes: Node[] = []
const children: ChildProcess[] = []

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  await Promise.all(nodes.splice(0).map((node) => node.close()))
})

/** Nobody listens there yet. */
async function freeAddress(): Promise<Address> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return { host: '127.0.0.1', port }
}

const heartbeat = (readContext: number): PeerMessage => ({
  type: 'raft',
  clusterId: 'c',
  message: { type: 'heartbeat', term: 1, commitIndex: 0, commitTerm: 0, readContext, sentMs: 0 },
})

const snapshotChunk = (offset: number, length: number): PeerMessage => ({
  type: 'raft',
  clusterId: 'c',
  message: {
    type: 'installSnapshot',
    term: 1,
    index: 1,
    snapshotTerm: 1,
    configuration: { voters: [] },
    clusterId: 'c',
    offset,
    totalBytes: 2 ** 40,
    checksum: 0,
    chunk: new Uint8Array(length),
  },
})

/** Sends until the other one has it, perhaps more than once: a lane that is not being opened yet drops, as it says. */
async function sendUntilReceived(from: Node, to: Node, lane: Lane, message: PeerMessage): Promise<void> {
  let received = false
  const arrival = to.until((event) => event.what === 'message').then(() => (received = true))
  while (!received) {
    from.peers.send(to.id, lane, message)
    await Promise.race([arrival, new Promise((resolve) => setTimeout(resolve, 5))])
  }
}

async function pair(): Promise<[Node, Node]> {
  const a = new Node(1)
  const b = new Node(2)
  await Promise.all([a.listen(), b.listen()])
  a.peers.setPeers(new Map([[2, b.address]]))
  b.peers.setPeers(new Map([[1, a.address]]))
  await Promise.all([a.connected(2), b.connected(1)])
  return [a, b]
}

async function child(dial: string, port: number): Promise<{ process: ChildProcess; address: Address }> {
  const process = fork(new URL('./peer-child.mjs', import.meta.url), [dial, String(port)])
  children.push(process)
  const [message] = (await once(process, 'message')) as [{ port: number }]
  return { process, address: { host: '127.0.0.1', port: message.port } }
}

describe('messages', () => {
  it('arrive in the order of their lane, and never inside send', async () => {
    const [a, b] = await pair()
    await sendUntilReceived(a, b, 'raft', heartbeat(0))
    const before = b.messages().length
    for (let i = 1; i <= 500; i++) a.peers.send(2, 'raft', heartbeat(i))
    expect(b.messages()).toHaveLength(before)
    const contextOf = (m: PeerMessage | undefined): number =>
      m?.type === 'raft' && m.message.type === 'heartbeat' ? m.message.readContext : 0
    await b.until((event) => contextOf(event.message) === 500)
    const contexts = b.messages().map(contextOf)
    // 0: what was sent before, until the lane was up.
    expect(contexts.filter((context) => context > 0)).toEqual(Array.from({ length: 500 }, (_, i) => i + 1))
  })

  it('travel on every lane', async () => {
    for (const lane of ['heartbeat', 'raft', 'controller'] as const) {
      const [a, b] = await pair()
      await sendUntilReceived(a, b, lane, heartbeat(1))
      expect(b.messages()[0]).toEqual(heartbeat(1))
    }
  })

  it('that are sent as soon as the peer is connected arrive, though their lane is still being opened', async () => {
    const a = new Node(1)
    const b = new Node(2)
    await Promise.all([a.listen(), b.listen()])
    // The first thing that a node does on a connection: a command must not be lost, and wait for its time-out.
    a.onConnected = () => {
      for (let i = 1; i <= 3; i++) a.peers.send(2, 'controller', heartbeat(i))
    }
    a.peers.setPeers(new Map([[2, b.address]]))
    await b.until((event) => event.what === 'message', 3)
    expect(b.messages()).toEqual([heartbeat(1), heartbeat(2), heartbeat(3)])
    expect(a.peers.droppedMessages()).toBe(0)
  })

  it('that answer a peer which has just come arrive, though our own lanes were waiting to dial it again', async () => {
    const a = new Node(1)
    const b = new Node(2)
    await a.listen()
    b.address = await freeAddress()
    a.onConnected = () => {
      for (let i = 1; i <= 3; i++) a.peers.send(2, 'controller', heartbeat(i))
    }
    a.peers.setPeers(new Map([[2, b.address]]))
    // b's own dial comes first: it dials before it listens.
    b.peers.setPeers(new Map([[1, a.address]]))
    await a.connected(2)
    await b.listen()
    await b.until((event) => event.what === 'message', 3)
    expect(b.messages()).toEqual([heartbeat(1), heartbeat(2), heartbeat(3)])
  })

  it('are dropped and counted where the peer is away or unknown', () => {
    const a = new Node(1)
    a.peers.setPeers(new Map([[2, { host: '127.0.0.1', port: 1 }]]))
    a.peers.send(2, 'raft', heartbeat(1))
    a.peers.send(7, 'raft', heartbeat(1))
    expect(a.peers.droppedMessages()).toBe(2)
  })

  it('that pile up are bounded, and heartbeats pass them by', async () => {
    const [a, b] = await pair()
    await sendUntilReceived(a, b, 'raft', heartbeat(0))
    await sendUntilReceived(a, b, 'heartbeat', heartbeat(0))
    const before = b.messages().length
    // Without a turn of the loop nothing can leave: all but the bound is dropped.
    for (let i = 0; i < 200; i++) a.peers.send(2, 'raft', snapshotChunk(i, 1024 * 1024))
    expect(a.peers.droppedMessages()).toBeGreaterThan(100)
    a.peers.send(2, 'heartbeat', heartbeat(99))
    await b.until(
      (event) =>
        event.what === 'message' &&
        event.message!.type === 'raft' &&
        event.message!.message.type === 'heartbeat' &&
        event.message!.message.readContext === 99,
    )
    const chunksBefore = b.messages().slice(before).length - 1
    expect(chunksBefore).toBeLessThan(32)
  })

  it('that are too large or malformed are dropped, and the stream stands', async () => {
    const [a, b] = await pair()
    await sendUntilReceived(a, b, 'raft', heartbeat(0))
    a.peers.send(2, 'raft', snapshotChunk(0, 17 * 1024 * 1024))
    a.peers.send(2, 'raft', { type: 'nonsense' } as unknown as PeerMessage)
    a.peers.send(2, 'raft', heartbeat(5))
    await b.until(
      (event) =>
        event.message?.type === 'raft' &&
        event.message.message.type === 'heartbeat' &&
        event.message.message.readContext === 5,
    )
    expect(a.peers.droppedMessages()).toBeGreaterThanOrEqual(2)
    expect(b.events.filter((event) => event.what === 'disconnected')).toEqual([])
  })
})

describe('connections', () => {
  it('are told once for each transition', async () => {
    const [a, b] = await pair()
    await sendUntilReceived(a, b, 'raft', heartbeat(0))
    await sendUntilReceived(a, b, 'heartbeat', heartbeat(0))
    await b.close()
    await a.disconnected(2)
    const told = a.events.filter((event) => event.what === 'connected' || event.what === 'disconnected')
    expect(told.map((event) => event.what)).toEqual(['connected', 'disconnected'])
  })

  it('break at once when the process is killed, and are back soon after it listens again', async () => {
    const a = new Node(1)
    await a.listen()
    const first = await child(`127.0.0.1:${a.address.port}`, 0)
    a.peers.setPeers(new Map([[2, first.address]]))
    await a.connected(2)
    const exited = once(first.process, 'exit')
    const killedAt = performance.now()
    first.process.kill('SIGKILL')
    await a.disconnected(2)
    const noticedMs = performance.now() - killedAt
    await exited

    const second = await child('', first.address.port)
    const listeningAt = performance.now()
    await a.connected(2, 2)
    const backMs = performance.now() - listeningAt
    console.info(`noticed after ${noticedMs.toFixed(1)} ms, back after ${backMs.toFixed(1)} ms`)
    expect(second.address.port).toBe(first.address.port)
    // Not by a keepalive (seconds), and not by gRPC's own back-off (a second).
    expect(noticedMs).toBeLessThan(500)
    expect(backMs).toBeLessThan(500)
  })

  it('break when only the incoming side stood', async () => {
    const a = new Node(1)
    await a.listen()
    const other = await child(`127.0.0.1:${a.address.port}`, 0)
    await a.connected(2)
    other.process.kill('SIGKILL')
    await a.disconnected(2)
  })

  it('to a host that accepts and says nothing are tried again', async () => {
    const a = new Node(1)
    const sockets = new Set<Socket>()
    const mute = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      if (sockets.size > 3) again()
    })
    let again = (): void => undefined
    const dialledAgain = new Promise<void>((resolve) => (again = resolve))
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    a.peers.setPeers(new Map([[2, { host: '127.0.0.1', port: (mute.address() as { port: number }).port }]]))
    await dialledAgain
    expect(a.events.filter((event) => event.what === 'connected')).toEqual([])
    for (const socket of sockets) socket.destroy()
    mute.close()
  })
})

describe('a connection is refused with the reason', () => {
  it('where another node listens there', async () => {
    const a = new Node(1)
    const b = new Node(2)
    await b.listen()
    a.peers.setPeers(new Map([[3, b.address]]))
    await a.until((event) => event.text?.includes('this is node 2, not node 3') === true)
    expect(a.events.filter((event) => event.what === 'connected')).toEqual([])
    expect(b.events.filter((event) => event.what === 'connected')).toEqual([])
  })

  it('where the other belongs to another cluster', async () => {
    const a = new Node(1, 'one')
    const b = new Node(2, 'two')
    await b.listen()
    a.peers.setPeers(new Map([[2, b.address]]))
    await a.until(
      (event) => event.text?.includes('node 2 belongs to cluster two, node 1 to cluster one') === true,
    )
    // The reason is told once, not at each try; and once the fault is gone the peer is taken.
    b.clusterId = 'one'
    await a.connected(2)
    expect(a.events.filter((event) => event.what === 'log')).toHaveLength(1)
  })

  it('where the other has the same node id', async () => {
    const a = new Node(1)
    const b = new Node(1)
    await b.listen()
    a.peers.setPeers(new Map([[1, b.address]]))
    expect(a.peers.droppedMessages()).toBe(0)
    expect(a.events).toEqual([])
  })
})

describe('which process a peer is', () => {
  const isDuplicate = (event: Event) => event.what === 'duplicate'
  const refused = { reason: 'another process has node.id=2', isLed: true, holdMs: 1_000 }

  it('is said by who dials, and the refused one hears why', async () => {
    const a = new Node(1)
    const b = new Node(2)
    await Promise.all([a.listen(), b.listen()])
    const greetings: [PeerIdentity, Greeting][] = []
    let refusal = { reason: 'another process has node.id=1', isLed: true, holdMs: 1_500 }
    b.judge = (...greeting) => {
      greetings.push(greeting)
      return refusal
    }
    a.peers.setPeers(new Map([[2, b.address]]))
    await a.until(isDuplicate, 2)
    expect(a.events.filter(isDuplicate)[0]).toEqual({
      what: 'duplicate',
      peer: 2,
      refusal,
    })
    a.ledTerm = 7
    refusal = { reason: 'another process', isLed: false, holdMs: 0 }
    await a.until((event) => event.refusal?.isLed === false)
    expect(a.events.at(-1)?.refusal).toEqual(refusal)
    for (const node of [a, b]) expect(node.events.filter((event) => !isDuplicate(event))).toEqual([])
    const [identity, greeting] = greetings[0]!
    expect(identity).toEqual({
      directoryId: 'd1',
      incarnationId: a.incarnationId,
      address: { host: 'host-1', port: 9093 },
    })
    expect(greeting).toEqual({ isStanding: false, isDialled: false, ledTerm: undefined })
    expect(greetings.at(-1)![1].ledTerm).toBe(7)
    // The other one went, say.
    b.judge = () => undefined
    await Promise.all([a.connected(2), b.connected(1)])
  })

  it('is said by who is dialled, and whom the caller does not take for the peer gets no message', async () => {
    const a = new Node(1)
    const b = new Node(2)
    await b.listen()
    const greetings: Greeting[] = []
    let isTaken = false
    a.judge = (_identity, greeting) => {
      greetings.push(greeting)
      return isTaken ? undefined : refused
    }
    a.peers.setPeers(new Map([[2, b.address]]))
    await b.disconnected(1)
    a.peers.send(2, 'heartbeat', heartbeat(1))
    expect(a.peers.droppedMessages()).toBe(1)
    expect(a.events).toEqual([])
    expect(greetings[0]).toEqual({ isStanding: false, isDialled: true, ledTerm: undefined })
    isTaken = true
    await a.connected(2)
    expect(b.messages()).toEqual([])
  })

  it('changes with a new process, which ends what stood to and from the one before', async () => {
    const a = new Node(1)
    const former = new Node(2)
    await Promise.all([a.listen(), former.listen()])
    const greetings: [string, boolean][] = []
    let newest = former.incarnationId
    a.judge = ({ incarnationId }, { isStanding }) => {
      greetings.push([incarnationId, isStanding])
      return incarnationId === newest ? undefined : refused
    }
    a.peers.setPeers(new Map([[2, former.address]]))
    former.peers.setPeers(new Map([[1, a.address]]))
    await Promise.all([a.connected(2), former.connected(1)])
    await sendUntilReceived(former, a, 'raft', heartbeat(1))
    // Its end was not noticed, say: it goes on, and its streams stand.
    const next = new Node(2)
    newest = next.incarnationId
    next.peers.setPeers(new Map([[1, a.address]]))
    await Promise.all([a.disconnected(2), a.connected(2, 2), next.connected(1), former.disconnected(1)])
    expect(greetings).toContainEqual([next.incarnationId, true])
    await former.until(isDuplicate)
    next.peers.send(1, 'raft', heartbeat(2))
    await a.until((event) => event.what === 'message', a.messages().length + 1)
    expect(a.messages().at(-1)).toEqual(heartbeat(2))
    expect(a.events.filter((event) => event.what === 'disconnected')).toHaveLength(1)
  })
})

describe('probe', () => {
  const probe = (node: Node, peer: NodeId, timeoutMs = 5000) =>
    new Promise((resolve) => node.peers.probe(peer, timeoutMs, resolve))

  it('tells a listening port from a closed one', async () => {
    const [a, b] = await pair()
    expect(await probe(a, 2)).toBe('open')
    await b.close()
    expect(await probe(a, 2)).toBe('refused')
  })

  it('proves nothing of a peer that it does not know', async () => {
    expect(await probe(new Node(1), 9)).toBe('timeout')
  })
})

describe('the server', () => {
  it('says that the port is in use', async () => {
    const a = new Node(1)
    await a.listen()
    const b = new Node(2)
    b.address = a.address
    await expect(b.listen()).rejects.toThrow(`127.0.0.1:${a.address.port} for gRPC: the port is in use`)
  })
})

describe('who is at an address', () => {
  const identify = (from: Node, address: Address) =>
    new Promise<NodeId | undefined>((resolve) => from.peers.identify(address, 2_000, resolve))

  it('says its node id', async () => {
    const a = new Node(1)
    const b = new Node(7)
    await b.listen()
    expect(await identify(a, b.address)).toBe(7)
  })

  it('is nobody where nobody listens, or where it is no peer', async () => {
    const a = new Node(1)
    const mute = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const { port } = mute.address() as { port: number }
    expect(await identify(a, { host: '127.0.0.1', port })).toBeUndefined()
    await new Promise((resolve) => mute.close(resolve))
    expect(await identify(a, { host: '127.0.0.1', port })).toBeUndefined()
  })
})
