import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { KafkaClient, Producer } from '../../src/adapters/kafka-client/index.js'
import { IncrementalAlterConfigs } from '../../src/wire/messages/incremental-alter-configs.js'
import { ROUNDS } from './harness.js'
import { ProcessCluster, type ProcessNode, until } from './nodes.js'

const TOPIC_RESOURCE = 2
const SET = 0
/** More than what the log keeps behind a snapshot (1,000 entries). */
const CHANGES = 1_300
const IN_FLIGHT = 50
/** Longer than two election time-outs: a vote that was going to be given would have been. */
const LONG_ENOUGH_MS = 4_500

describe('the metadata quorum', () => {
  let cluster: ProcessCluster

  afterEach(() => cluster?.close())

  /** As many entries in the metadata log as `count`. */
  async function fillMetadataLog(topic: string, count: number): Promise<void> {
    let next = 0
    const one = async () => {
      while (next < count) {
        const value = String(1_000_000 + next++)
        await cluster.client.request(IncrementalAlterConfigs, {
          resources: [
            {
              resourceType: TOPIC_RESOURCE,
              resourceName: topic,
              configs: [{ name: 'retention.ms', configOperation: SET, value }],
            },
          ],
          validateOnly: false,
        })
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, one))
  }

  async function produceOne(topic: string): Promise<void> {
    const producer = await Producer.open(cluster.client, topic)
    await producer.send(null, Buffer.from('x'), 1)
    await producer.flush()
  }

  /** A cluster that does not take writes gives no answer but a refusal. */
  async function expectNoWrites(topic: string): Promise<void> {
    const client = new KafkaClient({
      bootstrap: cluster.nodes.map((node) => ({ host: '127.0.0.1', port: node.kafkaPort })),
      timeoutMs: 2_000,
      requestTimeoutMs: 1_000,
    })
    const attempt = async () => {
      const producer = await Producer.open(client, topic)
      await producer.send(null, Buffer.from('x'), 1)
      await producer.flush()
    }
    await expect(attempt()).rejects.toThrow()
    client.close()
  }

  const directoryOf = async (node: ProcessNode) => (await node.status()).quorum.directoryId

  it('a node that slept past the log’s truncation catches up by snapshot, also when its sender dies', {
    timeout: 150_000,
  }, async () => {
    cluster = await ProcessCluster.start({
      overrides: ['metadata.log.max.record.bytes.between.snapshots=20000'],
    })
    await cluster.createTopic('t')
    for (const senderDies of ROUNDS > 1 ? [false, true] : [true]) {
      const sleeper = cluster.node(3)
      if ((await cluster.raftLeader()) === 3) await cluster.moveRaftLeaderTo(1)
      const { lastIndex } = (await sleeper.status()).quorum
      await sleeper.kill()
      await fillMetadataLog('t', CHANGES)
      const leader = cluster.node(await cluster.raftLeader())
      await until('the log was cut', async () => (await leader.status()).quorum.firstIndex > lastIndex + 1)
      sleeper.start()
      if (senderDies) {
        await until(
          'a snapshot is due',
          async () => {
            const { progress } = (await leader.status()).quorum
            return progress.some((peer) => peer.voter.nodeId === 3 && peer.state === 'snapshot')
          },
          10_000,
        ).catch(() => undefined) // a small snapshot may be over between two looks
        await leader.kill()
        const others = cluster.nodes.filter((node) => node !== leader)
        // Either of them: by now the sleeper may have all of the log.
        await until('one of the other two leads, with the other', async () => {
          const states = await Promise.all(others.map((node) => node.status()))
          return states.some(({ quorum: { role, hasQuorum } }) => role === 'leader' && hasQuorum)
        })
        leader.start()
      }
      await cluster.waitForBrokers(3)
      const { quorum } = await sleeper.status()
      expect(quorum.snapshotIndex).toBeGreaterThan(lastIndex)
      expect(['follower', 'leader']).toContain(quorum.role)
      const current = (await cluster.node(await cluster.raftLeader()).status()).quorum
      await until(
        'it has all',
        async () => (await sleeper.status()).broker.appliedIndex >= current.commitIndex,
      )
      await cluster.waitForFullIsr('t')
    }
    await produceOne('t')
  })

  it('a wiped node has no vote, whoever else is missing', { timeout: 120_000 }, async () => {
    cluster = await ProcessCluster.start()
    await cluster.createTopic('t')
    await produceOne('t')
    const [first, second, wiped] = cluster.nodes as [ProcessNode, ProcessNode, ProcessNode]
    const { clusterId } = (await first.status()).quorum
    const oldDirectory = await directoryOf(wiped)
    await wiped.kill()
    wiped.wipe()
    wiped.start()
    await until('it follows as an observer', async () => {
      const { quorum } = await wiped.status()
      return quorum.role === 'observer' && quorum.leader !== undefined && quorum.clusterId === clusterId
    })
    expect(await directoryOf(wiped)).not.toBe(oldDirectory)
    const { voters } = (await first.status()).quorum
    expect(voters.find((voter) => voter.nodeId === 3)?.directoryId).toBe(oldDirectory)
    await cluster.waitForFullIsr('t')

    // One voter of three is left: with the wiped node's old vote it would be two.
    await cluster.moveRaftLeaderTo(2).catch(() => undefined)
    const { term } = (await first.status()).quorum
    await second.kill()
    await sleep(LONG_ENOUGH_MS)
    const alone = (await first.status()).quorum
    expect([alone.role === 'leader', alone.hasQuorum]).toEqual([false, false])
    // Pre-votes that nobody grants leave the term where it was.
    expect(alone.term).toBe(term)
    second.start()
    await cluster.waitForBrokers(3)
    await cluster.waitForFullIsr('t')
    await produceOne('t')
  })

  it('two wiped nodes of three found no new cluster', { timeout: 120_000 }, async () => {
    cluster = await ProcessCluster.start()
    await cluster.createTopic('t')
    await produceOne('t')
    const [kept, ...wiped] = cluster.nodes as [ProcessNode, ProcessNode, ProcessNode]
    const { clusterId } = (await kept.status()).quorum
    // First the two alone, then with the one that knows better.
    await Promise.all(cluster.nodes.map((node) => node.kill()))
    for (const node of wiped) node.wipe()
    for (const node of wiped) node.start()
    await until(
      'they answer',
      async () => (await Promise.all(wiped.map((node) => node.status()))).length === 2,
    )
    await sleep(LONG_ENOUGH_MS)
    for (const node of wiped) {
      const { quorum } = await node.status()
      expect([quorum.role, quorum.clusterId]).toEqual(['founding', undefined])
    }
    kept.start()
    await until('they learn of the cluster', async () => {
      const statuses = await Promise.all(wiped.map((node) => node.status()))
      return statuses.every(({ quorum }) => quorum.clusterId === clusterId)
    })
    await sleep(LONG_ENOUGH_MS)
    for (const node of cluster.nodes) {
      const { quorum } = await node.status()
      expect(quorum.clusterId).toBe(clusterId)
      expect([quorum.role === 'leader', quorum.hasQuorum]).toEqual([false, false])
    }
    await expectNoWrites('t')
  })

  it('a second process of a live node is refused and ends; it takes the place of a dead one', {
    timeout: 120_000,
  }, async () => {
    cluster = await ProcessCluster.start({ overrides: ['controller.quorum.auto.join.enable=true'] })
    await cluster.createTopic('t')
    await produceOne('t')
    const first = cluster.node(3)
    const others = [cluster.node(1), cluster.node(2)]
    const votersOf = async (node: ProcessNode) => (await node.status()).quorum.voters
    const before = await Promise.all(cluster.nodes.map((node) => node.status()))
    const broken = () => cluster.nodes.map((node) => node.log().split('a connection to a peer broke').length)
    const brokenBefore = broken()

    const twin = cluster.addTwin(3)
    twin.start()
    // As other errors of a start that an operator can mend.
    expect(await twin.waitForExit()).toBe(2)
    expect(twin.log()).toContain(
      `kogge: another process has node.id=3: the one at 127.0.0.1:${first.grpcPort}, with the data directory ` +
        `${await directoryOf(first)}, is connected to node`,
    )
    for (const node of others) {
      const lines = node.log().split('two processes have node.id=3').length - 1
      expect([1, 2]).toContain(lines)
    }
    const after = await Promise.all(cluster.nodes.map((node) => node.status()))
    for (const [i, { quorum, broker }] of after.entries()) {
      expect(quorum.voters).toEqual(before[i]!.quorum.voters)
      expect(quorum.term).toBe(before[i]!.quorum.term)
      expect([broker.state, broker.brokerEpoch]).toEqual(['running', before[i]!.broker.brokerEpoch])
    }
    expect(broken()).toEqual(brokenBefore)

    await first.kill()
    twin.start()
    await until('the other machine votes', async () => {
      const directoryId = await directoryOf(twin)
      return (await votersOf(others[0]!)).some((voter) => voter.directoryId === directoryId)
    })
    expect(await votersOf(others[0]!)).toHaveLength(3)
    await until('it serves', async () => (await twin.status()).broker.state === 'running')
    await cluster.waitForFullIsr('t')
    await produceOne('t')
  })
})
