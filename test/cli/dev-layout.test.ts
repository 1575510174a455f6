import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DevOptions, prepareNodes } from '../../src/cli/dev/layout.js'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kogge-layout-'))
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

function prepare(options: Partial<DevOptions> = {}) {
  return prepareNodes({
    dataDirectory: directory,
    nodes: undefined,
    controllers: undefined,
    brokers: undefined,
    port: undefined,
    overrides: [],
    environment: {},
    ...options,
  })
}

describe('the nodes of kogge dev', () => {
  it('are three that do both, unless told otherwise', () => {
    const nodes = prepare()
    expect(nodes.map(({ config }) => [config.nodeId, config.listeners[0]!.port])).toEqual([
      [1, 9092],
      [2, 9192],
      [3, 9292],
    ])
    expect(nodes.every(({ config }) => config.roles!.broker && config.roles!.controller)).toBe(true)
    expect(nodes[0]!.config.voters).toHaveLength(3)
  })

  it('may be dedicated: controllers have the first ids, brokers the first ports', () => {
    const nodes = prepare({ controllers: 3, brokers: 2, port: 20_000 })
    const roles = nodes.map(({ config }) => (config.roles!.broker ? 'broker' : 'controller'))
    expect(roles).toEqual(['controller', 'controller', 'controller', 'broker', 'broker'])
    expect(nodes.map(({ config }) => config.listeners[0]?.port)).toEqual([
      undefined,
      undefined,
      undefined,
      20_000,
      20_100,
    ])
    const { voters } = nodes[0]!.config
    expect(voters.map(({ port }) => port)).toEqual([20_201, 20_301, 20_401])
    expect(nodes[4]!.config.bootstrapServers).toEqual(voters.map(({ host, port }) => ({ host, port })))
    expect(nodes[0]!.config.properties.get('default.replication.factor')).toBe('2')
    // What is there stays as it is.
    expect(prepare().map(({ config }) => config)).toEqual(nodes.map(({ config }) => config))
    expect(prepare({ controllers: 3, brokers: 2, port: 20_000 })).toHaveLength(5)
  })

  it('of one kind alone has the other one’s default', () => {
    expect(prepare({ brokers: 1 })).toHaveLength(4)
  })

  it.each<[string, Partial<DevOptions>, string]>([
    [
      'both kinds of flags',
      { nodes: 3, brokers: 2 },
      '--nodes is for nodes that are broker and controller at once: leave it out, or leave out --controllers and --brokers.',
    ],
    [
      'another shape',
      { nodes: 3 },
      'holds a cluster of 1 controllers and 1 brokers, which --nodes 3 contradicts: leave the flag out, or give another directory with --data-dir.',
    ],
    [
      'another number',
      { controllers: 3, brokers: 1 },
      'holds a cluster of 1 controllers and 1 brokers, which --controllers 3 --brokers 1 contradict: leave the flags out, or give another directory with --data-dir.',
    ],
    ['another port', { port: 9999 }, 'has port 9092, which --port 9999 contradicts'],
    [
      'roles by override',
      { overrides: ['process.roles=broker'] },
      '--override process.roles cannot be used with kogge dev, which gives each node its own: edit its server.properties.',
    ],
  ])('refuses %s', (_what, options, message) => {
    prepare({ controllers: 1, brokers: 1 })
    expect(() => prepare(options)).toThrow(message)
  })
})
