import { Kafka, logLevel } from 'kafkajs'
import { afterEach, describe, expect, it } from 'vitest'
import { Producer } from '../../src/adapters/kafka-client/index.js'
import { ProcessCluster, until } from '../chaos/nodes.js'

let cluster: ProcessCluster | undefined

afterEach(async () => {
  await cluster?.close()
  cluster = undefined
})

async function produceOne(on: ProcessCluster, topic: string): Promise<void> {
  const producer = await Producer.open(on.client, topic)
  await producer.send(null, Buffer.from('x'), Date.now())
  await producer.flush()
}

describe('clusters of other shapes', () => {
  it('five voters outlive two deaths, the leader’s among them', { timeout: 120_000 }, async () => {
    cluster = await ProcessCluster.start({ nodes: 5 })
    const { quorum } = await cluster.node(1).status()
    expect(quorum.voters.map((voter) => voter.nodeId)).toEqual([1, 2, 3, 4, 5])
    const leader = await cluster.raftLeader()
    const other = leader === 1 ? 2 : 1
    await Promise.all([cluster.node(leader).kill(), cluster.node(other).kill()])
    await until('one of the others leads', async () => ![leader, other].includes(await cluster!.raftLeader()))
    await cluster.waitForBrokers(3)
    // Takes a decision of the controller, and the three that are left as its replicas.
    await cluster.createTopic('t')
    await produceOne(cluster, 't')
  })

  it('three controllers and two brokers serve a stock client, also when the leader dies', {
    timeout: 120_000,
  }, async () => {
    cluster = await ProcessCluster.start({ controllers: 3, brokers: 2 })
    const kafka = new Kafka({ brokers: cluster.bootstrap.split(','), logLevel: logLevel.NOTHING })
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic: 't', numPartitions: 3 }] })
    const described = await admin.describeCluster()
    expect(described.brokers.map(({ nodeId }) => nodeId).sort()).toEqual([4, 5])
    await cluster.waitForFullIsr('t')

    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    const send = (value: string) => producer.send({ topic: 't', acks: -1, messages: [{ value }] })
    await send('before')
    const leader = await cluster.raftLeader()
    expect(leader).toBeLessThanOrEqual(3)
    await cluster.node(leader).kill()
    await send('without the leader')
    await until('another controller leads', async () => (await cluster!.raftLeader()) !== leader)
    // What only a controller can do.
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic: 'later', numPartitions: 1 }] })
    cluster.node(leader).start()

    const values: string[] = []
    const consumer = kafka.consumer({ groupId: 'g' })
    await consumer.connect()
    await consumer.subscribe({ topic: 't', fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ message }) => {
        values.push(message.value!.toString())
      },
    })
    await until('both records are read', () => values.length === 2)
    expect(values.sort()).toEqual(['before', 'without the leader'])
    await Promise.all([consumer.disconnect(), producer.disconnect(), admin.disconnect()])

    // Brokers follow without a vote; who is told of them is the leader.
    const statuses = await Promise.all(cluster.brokers.map((node) => node.status()))
    expect(statuses.map(({ quorum }) => quorum.role)).toEqual(['observer', 'observer'])
    const status = await cluster.node(await cluster.raftLeader()).status()
    expect(status.broker.state).toBe('none')
    await until('the leader replicates to everybody', async () => {
      const { quorum } = await cluster!.node(await cluster!.raftLeader()).status()
      const observers = quorum.progress.filter(({ isVoter }) => !isVoter).map(({ voter }) => voter.nodeId)
      return observers.sort().join() === '4,5' && quorum.heartbeatJitter!.count > 0
    })
  })

  it('a wiped voter gets its vote back by itself where that is configured', {
    timeout: 120_000,
  }, async () => {
    cluster = await ProcessCluster.start({ overrides: ['controller.quorum.auto.join.enable=true'] })
    await cluster.createTopic('t')
    const wiped = cluster.node((await cluster.raftLeader()) === 3 ? 2 : 3)
    const { directoryId } = (await wiped.status()).quorum
    await wiped.kill()
    wiped.wipe()
    wiped.start()
    await until('it votes under its new directory', async () => {
      const { quorum } = await wiped.status()
      const own = quorum.voters.find((voter) => voter.nodeId === wiped.id)
      return quorum.role !== 'observer' && own?.directoryId === quorum.directoryId
    })
    await cluster.waitForVoters([1, 2, 3])
    const { quorum } = await wiped.status()
    expect(quorum.directoryId).not.toBe(directoryId)
    expect(quorum.advice).toBeUndefined()
    // Its vote counts: with it alone the third one is outvoted.
    const third = cluster.nodes.find((node) => node.id !== wiped.id && node.id !== quorum.leader)!
    await cluster.waitForFullIsr('t')
    await third.kill()
    await produceOne(cluster, 't')
  })
})
