import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isFree, kogge, spawnCluster, startCluster, type TestCluster } from '../support/cluster.js'

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20))
}

describe('the command line against three real processes', () => {
  let cluster: TestCluster
  const run = (args: string[], input?: string | Buffer) =>
    kogge([...args, '--bootstrap-server', cluster.bootstrap], input === undefined ? {} : { input })

  beforeAll(async () => {
    cluster = await startCluster({ restartAfter: '500ms' })
  })
  afterAll(() => cluster?.stop())

  it('prints the addresses, and leaves no topic behind', async () => {
    for (const node of cluster.nodes) {
      expect(cluster.output()).toMatch(
        new RegExp(
          `${node.id} +127.0.0.1:${node.kafkaPort} +127.0.0.1:${node.grpcPort} +${node.pid()} +${node.directory}`,
        ),
      )
    }
    expect((await run(['topic', 'list', '--internal', '-o', 'json'])).stdout).toBe('[]\n')
  })

  it('the pid files name the brokers themselves, whose thread pool is widened', () => {
    for (const node of cluster.nodes) {
      const pid = node.pid()!
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toContain(
        join(node.directory, 'server.properties'),
      )
      const names = readdirSync(`/proc/${pid}/task`).map((task) =>
        readFileSync(`/proc/${pid}/task/${task}/comm`, 'utf8').trim(),
      )
      // Node's own: the main thread, V8's workers and platform, the inspector's signal watcher: at most ten.
      expect(names.length).toBeGreaterThanOrEqual(16 + 5)
    }
  })

  it('creates, lists, describes, alters and deletes topics', async () => {
    expect(
      (await run(['topic', 'create', 'orders', '--partitions', '3', '--config', 'retention.ms=60000']))
        .stdout,
    ).toBe('orders: 3 partitions, 3 replicas\n')
    const again = await run(['topic', 'create', 'orders'])
    expect(again.stderr).toMatch(/^kogge: .*orders.*\(TOPIC_ALREADY_EXISTS\)\n$/)
    expect(again.code).toBe(1)
    expect((await run(['topic', 'create', 'orders', '--if-not-exists'])).code).toBe(0)
    expect((await run(['topic', 'list'])).stdout).toBe(
      'TOPIC   PARTITIONS  REPLICAS\norders           3         3\n',
    )
    const [described] = JSON.parse((await run(['topic', 'describe', 'orders', '-o', 'json'])).stdout)
    expect(described).toMatchObject({ name: 'orders', configs: { 'retention.ms': '60000' } })
    expect(
      described.partitions.map((p: { index: number; replicas: number[] }) => [
        p.index,
        [...p.replicas].sort(),
      ]),
    ).toEqual([
      [0, [1, 2, 3]],
      [1, [1, 2, 3]],
      [2, [1, 2, 3]],
    ])
    expect(
      (await run(['topic', 'alter', 'orders', '--partitions', '4', '--delete-config', 'retention.ms'])).code,
    ).toBe(0)
    const [altered] = JSON.parse((await run(['topic', 'describe', 'orders', '-o', 'json'])).stdout)
    expect(altered.partitions).toHaveLength(4)
    expect(altered.configs).toEqual({})
    expect((await run(['topic', 'delete', 'orders'])).stdout).toBe('deleted orders\n')
    expect(await run(['topic', 'delete', 'orders'])).toMatchObject({
      code: 1,
      stderr: 'kogge: There is no topic orders (UNKNOWN_TOPIC_OR_PARTITION)\n',
    })
    expect((await run(['topic', 'delete', 'orders', '--if-exists'])).stdout).toBe('nothing to delete\n')
    const gone = await run(['topic', 'describe', 'orders'])
    expect(gone).toMatchObject({
      code: 1,
      stderr: 'kogge: There is no topic orders (UNKNOWN_TOPIC_OR_PARTITION)\n',
    })
  })

  it('an unknown configuration is refused by name', async () => {
    const refused = await run(['topic', 'create', 'x', '--config', 'retention.mss=1'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/^kogge: .*retention\.mss.*\(INVALID_CONFIG\)\n$/)
  })

  it('values go through byte for byte: empty lines, no line end at last, bytes that are no text', async () => {
    await run(['topic', 'create', 'bytes', '--partitions', '1'])
    const input = Buffer.from('a\n\n\xff\xfe\r\nü\nlast', 'latin1')
    expect((await run(['produce', 'bytes'], input)).stderr).toBe('5 records acknowledged\n')
    const json = await run(['consume', 'bytes', '--from-beginning', '--exit-at-end', '-o', 'json'])
    const events = json.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events.map((event) => [event.offset, event.key])).toEqual(
      [0, 1, 2, 3, 4].map((offset) => [offset, null]),
    )
    expect((await run(['consume', 'bytes', '--from-beginning', '--max-messages', '2'])).stdout).toBe('a\n\n')
  })

  it('keys choose the partition', async () => {
    await run(['topic', 'create', 'keyed', '--partitions', '3'])
    const lines = Array.from({ length: 300 }, (_, i) => `key-${i % 10}::${i}`).join('\n')
    await run(['produce', 'keyed', '--key-separator', '::'], lines)
    const { stdout } = await run(['consume', 'keyed', '--from-beginning', '--exit-at-end', '-o', 'json'])
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(events).toHaveLength(300)
    for (let key = 0; key < 10; key++) {
      const own = events.filter((event) => event.key === `key-${key}`)
      expect(new Set(own.map((event) => event.partition)).size).toBe(1)
      expect(own.map((event) => Number(event.value))).toEqual(
        Array.from({ length: 30 }, (_, i) => i * 10 + key),
      )
    }
  })

  it('shows the cluster and the quorum', async () => {
    const status = JSON.parse((await run(['cluster', 'status', '-o', 'json'])).stdout)
    expect(status.brokers.map((b: { nodeId: number; state: string }) => [b.nodeId, b.state])).toEqual(
      [1, 2, 3].map((id) => [id, 'running']),
    )
    const raft = JSON.parse((await run(['raft', 'status', '-o', 'json'])).stdout)
    expect(raft.map((n: { reachable: boolean }) => n.reachable)).toEqual([true, true, true])
    expect(raft.filter((n: { quorum: { role: string } }) => n.quorum.role === 'leader')).toHaveLength(1)
    const given = cluster.nodes.map((node) => `127.0.0.1:${node.grpcPort}`).join(',')
    expect(
      JSON.parse((await kogge(['raft', 'status', '-o', 'json', '--inspect', given])).stdout),
    ).toHaveLength(3)
  })

  it('the elections of a topic that does not exist are a failure, and of one that had none an empty table', async () => {
    const { code, stderr, stdout } = await run(['raft', 'elections', '--topic', 'nowhere'])
    expect(stderr).toContain('kogge: There is no topic nowhere (UNKNOWN_TOPIC_OR_PARTITION)\n')
    expect(stdout).toBe('')
    expect(code).toBe(1)
    await run(['topic', 'create', 'calm', '--partitions', '1'])
    const none = await run(['raft', 'elections', '--topic', 'calm', '--partition', '7', '-o', 'json'])
    expect(none).toMatchObject({ code: 0, stdout: '[]\n' })
    await run(['topic', 'delete', 'calm'])
  })

  it('a group that does not exist is a failure, not an empty table', async () => {
    const { code, stderr } = await run(['group', 'describe', 'nobody'])
    expect(stderr).toMatch(/^kogge: .*group.*nobody/i)
    expect(code).toBe(1)
  })

  it('a killed node is started again and told of', async () => {
    const killed = cluster.kill(2)
    await cluster.waitForLine(
      new RegExp(`node 2 \\(process ${killed}\\) was killed by SIGKILL; it is started again in 0.5 s`),
    )
    await cluster.waitForLine(/node 2 is started again/)
    expect(cluster.nodes[1]!.pid()).not.toBe(killed)
  })

  it('a second dev on the same directory is refused', async () => {
    await until(() => cluster.nodes.every((node) => node.pid() !== undefined))
    const { code, stderr } = await kogge(['dev', '--data-dir', cluster.directory])
    expect(stderr).toBe(
      `kogge: ${cluster.directory} is in use: its node 1 runs as process ${cluster.nodes[0]!.pid()}. Stop that cluster, or give another directory with --data-dir.\n`,
    )
    expect(code).toBe(2)
  })
})

describe('the end of kogge dev', () => {
  it('repeated signals are harmless, all nodes end, and a second start finds the data', async () => {
    const cluster = await startCluster()
    const bootstrap = ['--bootstrap-server', cluster.bootstrap]
    await kogge(['topic', 'create', 'kept', '--partitions', '1', ...bootstrap])
    await kogge(['produce', 'kept', ...bootstrap], { input: 'one\ntwo\n' })
    const pids = cluster.nodes.map((node) => node.pid()!)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGINT'] as const) cluster.signal(signal)
    for (const pid of pids) process.kill(pid, 'SIGINT')
    expect(await cluster.exited).toBe(0)
    expect(pids.filter(alive)).toEqual([])
    expect(cluster.nodes.map((node) => node.pid())).toEqual([undefined, undefined, undefined])

    const second = await spawnCluster({ directory: cluster.directory, port: cluster.nodes[0]!.kafkaPort })
    await second.waitReady()
    expect((await kogge(['consume', 'kept', '--from-beginning', '--exit-at-end', ...bootstrap])).stdout).toBe(
      'one\ntwo\n',
    )
    expect(await second.stop()).toBe(0)
  })

  it('its nodes end with it when it is killed', async () => {
    const cluster = await startCluster({ nodes: 1 })
    const pid = cluster.nodes[0]!.pid()!
    cluster.signal('SIGKILL')
    await cluster.exited
    await until(() => !alive(pid))
    expect(await isFree(cluster.nodes[0]!.kafkaPort)).toBe(true)
    await cluster.stop()
  })

  it('a node that cannot start ends the start with its sentence and exit code 2', async () => {
    const first = await startCluster({ nodes: 1 })
    await first.stop({ keep: true })
    const data = join(first.nodes[0]!.directory, 'data')
    rmSync(data, { recursive: true })
    writeFileSync(data, 'a file in the place of the directory')
    const second = await spawnCluster({
      nodes: 1,
      directory: first.directory,
      port: first.nodes[0]!.kafkaPort,
    })
    expect(await second.exited).toBe(2)
    expect(second.output()).toMatch(/^kogge: node 1 cannot start: .*data.*$/m)
    expect(second.output()).not.toContain('started again')
    await second.stop()
  })
})
