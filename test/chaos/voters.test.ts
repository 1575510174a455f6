import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { kogge } from '../support/cluster.js'
import { monotonicNowMs } from '../support/load-client.js'
import { hasTool, runJava } from '../support/toolchain.js'
import { Figures, Load } from './harness.js'
import { ProcessCluster, type ProcessNode, until } from './nodes.js'

/** A noisy machine may be slow; what a change really costs is in the table. */
const GENEROUS_MS = 6_000
/** Of one change: a learner catches up, a new configuration is committed. */
const CHANGE_TIMEOUT_S = 60
const QUORUM = 'org.apache.kafka.tools.MetadataQuorumCommand'
const figures = new Figures('voters')

describe('three voters, five, and three others', () => {
  let cluster: ProcessCluster
  const loads: Load[] = []

  afterEach(async () => {
    for (const load of loads.splice(0)) load.kill()
    await cluster?.close()
  })
  afterAll(() => figures.print())

  async function members(...args: string[]): Promise<void> {
    const { code, stdout, stderr } = await kogge([
      ...['raft', 'members', ...args, '--timeout', String(CHANGE_TIMEOUT_S)],
      ...['--bootstrap-server', cluster.bootstrap],
    ])
    expect(code, stdout + stderr).toBe(0)
  }

  /** Kafka's own tool: kafka-metadata-quorum. */
  async function metadataQuorum(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runJava(QUORUM, ['--bootstrap-server', cluster.bootstrap, ...args])
    expect(code, stdout + stderr).toBe(0)
    return stdout
  }

  /** The tool adds the node whose configuration it is given; it finds the directory's id in meta.properties. */
  async function addByKafkasTool(node: ProcessNode): Promise<void> {
    const file = join(node.directory, 'add-controller.properties')
    const lines = [
      `node.id=${node.id}`,
      'process.roles=controller',
      `listeners=CONTROLLER://127.0.0.1:${node.grpcPort}`,
      'controller.listener.names=CONTROLLER',
      `log.dirs=${node.dataDirectory}`,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    const said = await metadataQuorum('--command-config', file, 'add-controller')
    expect(said).toContain(`Added controller ${node.id}`)
  }

  async function removeByKafkasTool(node: ProcessNode): Promise<void> {
    const { directoryId } = (await node.status()).quorum
    const id = String(node.id)
    const which = ['--controller-id', id, '--controller-directory-id', directoryId]
    expect(await metadataQuorum('remove-controller', ...which)).toMatch(
      new RegExp(`^Removed +KRaft controller ${id} with directory id ${directoryId}$`, 'm'),
    )
  }

  /** One step of it, and what clients saw of it meanwhile. */
  async function step(what: string, action: () => Promise<void>): Promise<void> {
    const fromMs = monotonicNowMs()
    await action()
    const untilMs = monotonicNowMs()
    for (const [i, load] of loads.entries()) {
      await load.waitForProgress(untilMs)
      const { writeMs, readMs } = load.gaps(fromMs, 0)
      const client = i === 0 ? 'librdkafka' : 'kafkajs'
      figures.add(what, client, { write: writeMs, read: readMs })
      figures.say(what, client, fromMs, { writeMs, readMs, took: untilMs - fromMs })
      expect(writeMs, `${client} writes: ${what}`).toBeLessThan(GENEROUS_MS)
      expect(readMs, `reads of what ${client} wrote: ${what}`).toBeLessThan(GENEROUS_MS)
    }
  }

  it('under load, and the Raft leader is among those that go', { timeout: 240_000 }, async () => {
    const withKafkasTool = hasTool("Kafka's own tools")
    cluster = await ProcessCluster.start()
    loads.push(await Load.start(cluster, 'librdkafka', 'steady'))
    loads.push(await Load.start(cluster, 'kafkajs', 'slow', { rate: 50 }))

    const added = [cluster.addNode('controller'), cluster.addNode('controller')]
    const fifth = added[1]!
    for (const node of added) node.start()
    await until('they follow without a vote', async () => {
      const statuses = await Promise.all(added.map((node) => node.status()))
      return statuses.every(({ quorum }) => quorum.role === 'observer' && quorum.leader !== undefined)
    })
    await cluster.waitForVoters([1, 2, 3])

    await step('a fourth voter', () => members('add', '4'))
    await step('a fifth voter', () => (withKafkasTool ? addByKafkasTool(fifth) : members('add', '5')))
    await cluster.waitForVoters([1, 2, 3, 4, 5])

    // The Raft leader loses its vote, and serves on as a broker.
    const removed = cluster.node(2)
    await cluster.moveRaftLeaderTo(removed.id)
    await step('the Raft leader is removed', () =>
      withKafkasTool ? removeByKafkasTool(removed) : members('remove', '2'),
    )
    await cluster.waitForVoters([1, 3, 4, 5])
    expect(await cluster.raftLeader()).not.toBe(removed.id)
    const { quorum, broker } = await removed.status()
    expect([quorum.role, broker.state]).toEqual(['observer', 'running'])

    await step('a follower is removed', () => members('remove', '5'))
    await cluster.waitForVoters([1, 3, 4])
    // Nobody needs it any more.
    expect(await fifth.stop()).toBe(0)

    const leader = cluster.node(await cluster.raftLeader())
    expect([1, 3, 4]).toContain(leader.id)
    await cluster.waitForFullIsr('steady')
    await cluster.waitForFullIsr('slow')
    await step('the new Raft leader is killed', async () => {
      await leader.kill()
      await until('another voter leads', async () => {
        const next = await cluster.raftLeader()
        return next !== leader.id && [1, 3, 4].includes(next)
      })
    })
    for (const load of loads) expect(await load.finish()).toEqual([])

    // Two voters of three are left, and a quorum: of the five that there were they would be none.
    await removed.kill()
    await until('the quorum says that its broker is gone', async () => {
      const { brokers } = await cluster.client.metadata([])
      return brokers.every(({ nodeId }) => nodeId !== removed.id)
    })
    await cluster.createTopic('after', 1, {}, 1)
  })
})
