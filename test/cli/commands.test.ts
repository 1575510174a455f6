import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { COMMANDS } from '../../src/cli/registry.js'
import { freeBasePort, isFree, kogge } from '../support/cluster.js'

let directory: string
let server: Server | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kogge-cli-'))
})

afterEach(() => {
  server?.close()
  server = undefined
  rmSync(directory, { recursive: true, force: true })
})

function occupy(port: number): Promise<void> {
  server = createServer()
  return new Promise((resolve) => server!.listen({ host: '127.0.0.1', port }, resolve))
}

describe('help', () => {
  it('lists every command', async () => {
    const { code, stdout } = await kogge(['--help'])
    expect(code).toBe(0)
    for (const name of Object.keys(COMMANDS)) expect(stdout).toContain(`\n  ${name} `)
  })

  it.each(Object.keys(COMMANDS))('of %s has a usage line and an example', async (name) => {
    const { code, stdout, stderr } = await kogge([...name.split(' '), '--help'])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout).toContain(`Usage: kogge ${name}`)
    expect(stdout).toMatch(new RegExp(`Example:\\n  kogge ${name}`))
  })

  it('prints the version', async () => {
    expect((await kogge(['--version'])).stdout).toMatch(/^kogge \d+\.\d+\.\d+\n$/)
  })
})

describe('usage errors: exit code 2 and one sentence', () => {
  it.each<[string[], string]>([
    [['topik'], "There is no command 'topik'. Did you mean 'kogge topic'? See 'kogge --help'."],
    [['topic'], "kogge topic needs one of: create, list, describe, alter, delete. See 'kogge --help'."],
    [
      ['topic', 'creat', 'x'],
      "There is no command 'topic creat'. Did you mean 'kogge topic create'? See 'kogge --help'.",
    ],
    [
      ['topic', 'create'],
      'kogge topic create is missing an argument. Usage: kogge topic create <topic> [options]',
    ],
    [
      ['topic', 'create', 'a', 'b'],
      "kogge topic create does not know what to do with 'b'. Usage: kogge topic create <topic> [options]",
    ],
    [
      ['topic', 'create', 'a', '--partition', '3'],
      "kogge topic create has no option --partition. Did you mean --partitions? See 'kogge topic create --help'.",
    ],
    [
      ['topic', 'create', 'a', '--partitions'],
      "--partitions needs a value. See 'kogge topic create --help'.",
    ],
    [['topic', 'create', 'a', '--partitions', 'x'], '--partitions x: give a whole number from 1 to 100000.'],
    [['topic', 'create', 'a', '--config', 'x'], '--config x: write it as --config key=value.'],
    [
      ['raft', 'members', 'ad'],
      "kogge raft members does not know 'ad': list, add, remove or promote. See 'kogge raft members --help'.",
    ],
    [['raft', 'members', 'add', 'x'], "'x' is no node id. See 'kogge raft members add --help'."],
    [
      ['raft', 'members', 'remove', '1', '--directory', 'd'],
      "--directory d is no directory id of 22 characters. See 'kogge raft members remove --help'.",
    ],
    [
      ['raft', 'members', 'promote'],
      'kogge raft members promote is missing an argument. Usage: kogge raft members promote <node id> [options]',
    ],
    [
      ['topic', 'create', 'a', '--if-not-exists=1'],
      "--if-not-exists takes no value. See 'kogge topic create --help'.",
    ],
    [
      ['topic', 'alter', 'a'],
      "Nothing to alter: give --partitions, --config or --delete-config. See 'kogge topic alter --help'.",
    ],
    [['topic', 'list', '-o', 'xml'], '--output xml: write text or json.'],
    [['topic', 'list', '--timeout', 'x'], '--timeout x: give a number of seconds above 0.'],
    [
      ['topic', 'list', '--bootstrap-server', 'x'],
      "--bootstrap-server x: 'x' is not host:port, as in 127.0.0.1:9092.",
    ],
    [['raft', 'status', '--inspect', 'h:0'], "--inspect h:0: 'h:0' is not host:port, as in 127.0.0.1:9092."],
    [['start'], "kogge start needs --config with a server.properties. See 'kogge start --help'."],
    [
      ['start', '--config', '/nowhere/x'],
      'The configuration file /nowhere/x does not exist: name a readable server.properties with --config.',
    ],
    [
      ['start', '--config', 'x', '--log-level', 'loud'],
      '--log-level loud: write one of debug, info, warn, error, silent.',
    ],
    [['dev', '--nodes', '0'], '--nodes 0: give a whole number from 1 to 9.'],
    [['dev', '--restart-after', 'soon'], '--restart-after soon: write a time like 5s or 500ms, or off.'],
    [
      ['dev', '--override', 'node.id=1'],
      '--override node.id cannot be used with kogge dev, which gives each node its own: edit its server.properties.',
    ],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await kogge(args)
    expect(stderr).toBe(`kogge: ${message}\n`)
    expect(stdout).toBe('')
    expect(code).toBe(2)
  })
})

describe('nobody there: exit code 3', () => {
  it('over Kafka', async () => {
    const port = await freeBasePort(1)
    const { code, stderr } = await kogge(['topic', 'list', '--bootstrap-server', `127.0.0.1:${port}`])
    expect(stderr).toBe(
      `kogge: No broker could be reached (127.0.0.1:${port}: connection refused). Is the cluster running? Name one of its brokers with --bootstrap-server.\n`,
    )
    expect(code).toBe(3)
  })

  it('over gRPC', async () => {
    const port = await freeBasePort(1)
    const { code, stderr } = await kogge(['raft', 'status', '--inspect', `127.0.0.1:${port}`])
    expect(stderr).toBe(`kogge: No node answers over gRPC at 127.0.0.1:${port}. Is the cluster running?\n`)
    expect(code).toBe(3)
  })
})

describe('kogge start refuses, with exit code 2', () => {
  const properties = (port: number, data: string) =>
    `node.id=1\nlisteners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 1}\ncontroller.quorum.voters=1@127.0.0.1:${port + 1}\nlog.dirs=${data}\n`

  it('an occupied port', async () => {
    const port = await freeBasePort(1)
    await occupy(port)
    const file = join(directory, 'server.properties')
    writeFileSync(file, properties(port, 'data'))
    const { code, stderr } = await kogge(['start', '--config', file])
    expect(stderr).toBe(
      `kogge: Port ${port} on 127.0.0.1 (listener PLAINTEXT) is in use: stop what listens there, or change listeners.\n`,
    )
    expect(code).toBe(2)
  })

  it('a data directory that is a file', async () => {
    const port = await freeBasePort(1)
    const file = join(directory, 'server.properties')
    writeFileSync(join(directory, 'data'), '')
    writeFileSync(file, properties(port, 'data'))
    const { code, stderr } = await kogge(['start', '--config', file])
    expect(stderr).toMatch(/^kogge: [^\n]*data[^\n]*\n$/)
    expect(code).toBe(2)
  })

  it('a data directory whose lock names a live process: it is used, or was copied with its lock', async () => {
    const port = await freeBasePort(1)
    const file = join(directory, 'server.properties')
    const data = join(directory, 'data')
    mkdirSync(data)
    const stat = readFileSync(`/proc/${process.pid}/stat`, 'latin1')
    const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    writeFileSync(join(data, '.lock'), `${process.pid} ${startTime}\n`)
    writeFileSync(file, properties(port, 'data'))
    const { code, stderr } = await kogge(['start', '--config', file])
    expect(stderr).toBe(
      `kogge: log.dirs: ${data} is locked: its .lock names process ${process.pid}, which runs on this host (${hostname()}). ` +
        'Where that process uses this directory, stop it, or give each node a log.dirs of its own. ' +
        `Where the directory was copied together with its .lock, remove ${join(data, '.lock')}; ` +
        'of the original and its copy only one may run.\n',
    )
    expect(code).toBe(2)
  })

  it('what the environment makes contradictory', async () => {
    const file = join(directory, 'server.properties')
    writeFileSync(file, properties(await freeBasePort(1), 'data'))
    const { code, stderr } = await kogge(['start', '--config', file], { environment: { KOGGE_NODE_ID: '7' } })
    expect(stderr).toMatch(/^kogge: node\.id=7 is not among controller\.quorum\.voters \(1\)/)
    expect(code).toBe(2)
  })
})

describe('kogge dev refuses before it starts anything, with exit code 2', () => {
  it('an occupied port, naming it and the flag', async () => {
    const port = await freeBasePort(3)
    await occupy(port + 101)
    const { code, stdout, stderr } = await kogge(['dev', '--port', String(port), '--data-dir', directory])
    expect(stderr).toBe(
      `kogge: Port ${port + 101} on 127.0.0.1 (listener CONTROLLER of node 2) is in use: stop what listens there, or choose other ports with --port and another directory with --data-dir.\n`,
    )
    expect(stdout).toBe('')
    expect(code).toBe(2)
    expect(await isFree(port)).toBe(true)
  })

  it('ports that do not exist', async () => {
    const { code, stderr } = await kogge(['dev', '--port', '65500', '--data-dir', directory])
    expect(stderr).toBe('kogge: --port 65500 is too high for 3 nodes: the last one would need port 65701.\n')
    expect(code).toBe(2)
  })

  it('flags that contradict the directory', async () => {
    const port = await freeBasePort(3)
    await occupy(port)
    const data = join(directory, 'data')
    await kogge(['dev', '--port', String(port), '--data-dir', data])
    const nodes = await kogge(['dev', '--nodes', '5', '--data-dir', data])
    expect(nodes.stderr).toBe(
      `kogge: ${data} holds a cluster of 3 nodes, which --nodes 5 contradicts: leave the flag out, or give another directory with --data-dir.\n`,
    )
    expect(nodes.code).toBe(2)
    const other = await kogge(['dev', '--port', String(port + 5), '--data-dir', data])
    expect(other.stderr).toBe(
      `kogge: ${data}/node-1/server.properties has port ${port}, which --port ${port + 5} contradicts (node 1 would be at ${port + 5}): leave the flag out, edit the file, or give another directory with --data-dir.\n`,
    )
    expect(other.code).toBe(2)
  })

  it('a directory that cannot be written', async () => {
    const file = join(directory, 'file')
    writeFileSync(file, '')
    const { code, stderr } = await kogge(['dev', '--data-dir', file])
    expect(stderr).toMatch(
      /^kogge: .*\/file cannot be used \(ENOTDIR\): give a directory that can be read and written with --data-dir\.\n$/,
    )
    expect(code).toBe(2)
  })

  it('an environment that would make all nodes the same', async () => {
    const { code, stderr } = await kogge(['dev', '--data-dir', directory], {
      environment: { KOGGE_NODE_ID: '1' },
    })
    expect(stderr).toBe(
      'kogge: KOGGE_NODE_ID is set, but kogge dev gives each node its own node.id: unset it.\n',
    )
    expect(code).toBe(2)
  })

  it('a node directory that is missing', async () => {
    mkdirSync(join(directory, 'node-2'))
    writeFileSync(join(directory, 'node-2/server.properties'), '')
    const { code, stderr } = await kogge(['dev', '--data-dir', directory])
    expect(stderr).toBe(
      `kogge: ${directory} holds node-2 but no node-1/server.properties: put it back, or give another directory with --data-dir.\n`,
    )
    expect(code).toBe(2)
  })
})
