import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadNodeConfig } from '../../src/cli/config/load.js'

const DEPLOY = join(import.meta.dirname, '../../deploy')
const read = (path: string) => readFileSync(join(DEPLOY, path), 'utf8')

describe('deploy/local', () => {
  const nodes = [1, 2, 3].map((id) => {
    const path = join(DEPLOY, `local/server-${id}.properties`)
    return loadNodeConfig({
      file: { path, text: readFileSync(path, 'utf8') },
      environment: {},
      overrides: [],
      workingDirectory: '/',
    })
  })

  it('is three nodes of one cluster, each with its own ports and directory', () => {
    expect(nodes.flatMap(({ warnings }) => warnings)).toEqual([])
    expect(nodes.map(({ config }) => config.nodeId)).toEqual([1, 2, 3])
    expect(new Set(nodes.map(({ config }) => JSON.stringify(config.voters))).size).toBe(1)
    expect(nodes.map(({ config }) => config.listeners[0]!.port)).toEqual([9092, 9192, 9292])
    expect(new Set(nodes.map(({ config }) => config.logDir)).size).toBe(3)
  })
})

describe('deploy/dedicated', () => {
  const load = (name: string) => {
    const path = join(DEPLOY, `dedicated/${name}.properties`)
    const file = { path, text: readFileSync(path, 'utf8') }
    return loadNodeConfig({ file, environment: {}, overrides: [], workingDirectory: '/' })
  }

  it('is three controllers and three brokers that find them', () => {
    const controllers = [1, 2, 3].map((id) => load(`controller-${id}`))
    const brokers = [4, 5, 6].map((id) => load(`broker-${id}`))
    const all = [...controllers, ...brokers]
    expect(all.flatMap(({ warnings }) => warnings)).toEqual([])
    expect(all.map(({ config }) => config.nodeId)).toEqual([1, 2, 3, 4, 5, 6])
    expect(new Set(all.map(({ config }) => config.logDir)).size).toBe(6)
    expect(new Set(all.map(({ config }) => config.controlListener.port)).size).toBe(6)
    const { voters } = controllers[0]!.config
    expect(controllers.map(({ config }) => config.listeners)).toEqual([[], [], []])
    for (const { config } of controllers) {
      expect(config.voters).toEqual(voters)
      expect(voters).toContainEqual({
        nodeId: config.nodeId,
        host: '127.0.0.1',
        port: config.controlListener.port,
      })
    }
    for (const { config } of brokers) {
      expect(config.roles).toEqual({ broker: true, controller: false })
      expect(config.bootstrapServers).toEqual(voters.map(({ host, port }) => ({ host, port })))
    }
  })
})

describe('deploy/docker/compose.yaml', () => {
  /** The few forms that the file uses: an anchored map of variables, and one a service that is merged with it. */
  function environments(): Record<string, string>[] {
    const block = (text: string) =>
      Object.fromEntries(
        [...text.matchAll(/^ +(KOGGE_\w+): "?([^"\n]+)"?$/gm)].map((match) => [match[1]!, match[2]!]),
      )
    const [head, services] = read('docker/compose.yaml').split('\nservices:\n')
    return services!
      .split(/\n\n/)
      .slice(0, 3)
      .map((service) => ({ ...block(head!), ...block(service), KOGGE_LOG_DIRS: '/data' }))
  }

  it('gives three nodes a configuration that stands', () => {
    const nodes = environments().map((environment) =>
      loadNodeConfig({ environment, overrides: [], workingDirectory: '/' }),
    )
    expect(nodes.map(({ config }) => config.nodeId)).toEqual([1, 2, 3])
    expect(
      nodes.map(({ config }) => config.listeners.map((l) => `${l.advertisedHost}:${l.advertisedPort}`)),
    ).toEqual([
      ['localhost:9092', 'node-1:19092'],
      ['localhost:9192', 'node-2:19092'],
      ['localhost:9292', 'node-3:19092'],
    ])
    expect(nodes.map(({ config }) => config.interBrokerListenerName)).toEqual([
      'INTERNAL',
      'INTERNAL',
      'INTERNAL',
    ])
  })
})

describe('deploy/systemd', () => {
  const installed = spawnSync('systemd-analyze', ['--version']).status === 0

  it.skipIf(!installed)('systemd-analyze verify has nothing to say', () => {
    const result = spawnSync('systemd-analyze', ['verify', join(DEPLOY, 'systemd/kogge.service')], {
      encoding: 'utf8',
    })
    expect(result.stderr).toBe('')
    expect(result.status).toBe(0)
  })
})

describe('the README', () => {
  it('every bash block is a script that bash can read', () => {
    const readme = readFileSync(join(DEPLOY, '../README.md'), 'utf8')
    const blocks = [...readme.matchAll(/```bash\n(.*?)```/gs)].map((match) => match[1]!)
    expect(blocks.length).toBeGreaterThan(4)
    for (const block of blocks) execFileSync('bash', ['-n'], { input: block })
  })

  it('names every command', async () => {
    const readme = readFileSync(join(DEPLOY, '../README.md'), 'utf8').replaceAll('\\|', '|')
    const { COMMANDS } = await import('../../src/cli/registry.js')
    for (const name of Object.keys(COMMANDS)) {
      const [group, verb] = name.split(' ')
      expect(readme).toMatch(
        verb === undefined ? new RegExp(`kogge ${group}`) : new RegExp(`kogge ${group} [a-z|]*\\b${verb}\\b`),
      )
    }
  })
})
