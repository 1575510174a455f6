import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type RunningNode, startNode } from '../../src/adapters/node.js'
import type { ListenerConfig, NodeConfig } from '../../src/broker/node-config.js'

let directory: string
let running: RunningNode | undefined
let ports: [number, number]

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'kogge-node-'))
  ports = [await freePort(), await freePort()]
})
afterEach(async () => {
  await running?.stop({ timeoutMs: 1000 })
  running = undefined
  rmSync(directory, { recursive: true, force: true })
})

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

function config(): NodeConfig {
  const listener = (name: string, port: number): ListenerConfig => ({
    name,
    host: '127.0.0.1',
    port,
    advertisedHost: '127.0.0.1',
    advertisedPort: port,
    securityProtocol: 'PLAINTEXT',
  })
  const control = listener('CONTROLLER', ports[1])
  return {
    nodeId: 1,
    rack: null,
    logDir: directory,
    listeners: [listener('PLAINTEXT', ports[0])],
    interBrokerListenerName: 'PLAINTEXT',
    controlListener: control,
    inspectListener: control,
    voters: [{ nodeId: 1, host: '127.0.0.1', port: ports[1] }],
    properties: new Map(),
  }
}

async function start(): Promise<RunningNode> {
  running = await startNode(config(), { logLevel: 'silent' })
  return running
}

/** A node that has founded a cluster, has it on record, and was stopped. */
async function founded(): Promise<void> {
  const { node, stop } = await start()
  await new Promise<void>((resolve) => {
    if (node.state === 'running') resolve()
    else node.services.metadata.onChange(() => node.state === 'running' && resolve())
  })
  await stop({ timeoutMs: 1000 })
  running = undefined
}

const identity = (key: string): string | undefined =>
  new RegExp(`^${key}=(.*)`, 'm').exec(readFileSync(join(directory, 'meta.properties'), 'utf8'))?.[1]
const directoryId = (): string => identity('directory.id')!
const raftDirectoryId = (): string => identity('raft.directory.id') ?? directoryId()
const aside = (): string[] => readdirSync(directory).filter((name) => name.startsWith('raft-quarantined-'))

it.each([
  [
    'the vote slots are gone',
    () => {
      for (const slot of ['vote-0', 'vote-1']) rmSync(join(directory, 'raft', slot))
    },
    ['store/'],
  ],
  [
    'the store is gone',
    () => rmSync(join(directory, 'raft', 'store'), { recursive: true }),
    ['vote-0', 'vote-1'],
  ],
  ['the store has lost its manifest', () => removeManifest(), ['store/', 'vote-0', 'vote-1']],
])('%s: what is left of the Raft log is moved aside whole, and the node votes as a stranger', async (_, damage, kept) => {
  await founded()
  const before = directoryId()
  damage()
  const { node } = await start()
  expect(raftDirectoryId()).not.toBe(before)
  // Its replicas are another matter.
  expect(directoryId()).toBe(before)
  expect(aside()).toHaveLength(1)
  const names = readdirSync(join(directory, aside()[0]!), { withFileTypes: true })
  expect(names.map((entry) => entry.name + (entry.isDirectory() ? '/' : ''))).toEqual(
    expect.arrayContaining(kept),
  )
  // Nobody else knows the cluster: it waits, and never founds an empty one.
  expect(node.quorum.status()).toMatchObject({ role: 'founding', directoryId: raftDirectoryId() })
})

it('a flipped bit in a table of the store is damage too, not a crash at each start', async () => {
  await founded()
  // The second opening turns the journal of the first into a table.
  await founded()
  const store = join(directory, 'raft', 'store')
  const table = readdirSync(store).find((name) => name.endsWith('.ldb'))!
  const file = await open(join(store, table), 'r+')
  await file.write(
    Buffer.from([0xff, 0x00, 0xff, 0x00]),
    0,
    4,
    Math.floor(statSync(join(store, table)).size / 3),
  )
  await file.close()
  const { node } = await start()
  expect(aside()).toHaveLength(1)
  expect(node.quorum.status().role).toBe('founding')
})

it('a store that cannot be opened for another reason stays where it is, with its vote', async () => {
  await founded()
  const before = directoryId()
  const manifest = readdirSync(join(directory, 'raft', 'store')).find((name) => name.startsWith('MANIFEST'))!
  rmSync(join(directory, 'raft', 'store', 'LOCK'))
  // Where the lock belongs lies a directory: as with a full disk or too few file handles, LevelDB says "IO error".
  const lock = join(directory, 'raft', 'store', 'LOCK')
  mkdirSync(lock)
  await expect(start()).rejects.toThrow(/The Raft log cannot be used: .*cannot be opened/)
  expect(raftDirectoryId()).toBe(before)
  expect(aside()).toEqual([])
  expect(existsSync(join(directory, 'raft', 'store', manifest))).toBe(true)
  rmSync(lock, { recursive: true })
  await founded()
  expect(raftDirectoryId()).toBe(before)
})

function removeManifest(): void {
  const store = join(directory, 'raft', 'store')
  for (const name of readdirSync(store)) if (name.startsWith('MANIFEST')) rmSync(join(store, name))
}
