import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { FileDisk } from '../../src/adapters/file-disk.js'
import { checkReplicas, type ReplicaState } from '../../src/checker/checker.js'
import { readOffsetCheckpoint } from '../../src/log/checkpoint-files.js'
import { errorName } from '../../src/wire/errors.js'
import { Produce } from '../../src/wire/messages/produce.js'
import { buildBatch } from '../../src/wire/records.js'
import { Figures, Load } from './harness.js'
import { ProcessCluster, type ProcessNode } from './nodes.js'

const TOPIC = 'load'
/** Kafka names a topic by its id from 13 on. */
const LAST_VERSION_BY_NAME = 12
const SESSION_TIMEOUT_MS = 3_000
/** On top of the session's second of grace, for a noisy machine. */
const GENEROUS_MS = 4_000
const figures = new Figures('pause')

/** Every byte of the partition's log, in the order of its segments, and how far it is committed. */
function replicaOf(node: ProcessNode, topic: string): ReplicaState {
  const name = `${topic}-0`
  const disk = FileDisk.open(node.dataDirectory)
  const highWatermark = readOffsetCheckpoint(disk, 'replication-offset-checkpoint').get(name)?.offset ?? -1
  disk.close()
  const directory = join(node.dataDirectory, name)
  const digest = createHash('sha256')
  for (const file of readdirSync(directory).sort())
    if (file.endsWith('.log')) digest.update(readFileSync(join(directory, file)))
  return { partition: name, nodeId: node.id, highWatermark, digest: digest.digest('hex') }
}

describe('SIGSTOP of the leader', () => {
  let cluster: ProcessCluster
  let load: Load | undefined

  afterEach(async () => {
    load?.kill()
    for (const node of cluster?.nodes ?? []) if (node.isRunning) node.signal('SIGCONT')
    await cluster?.close()
  })
  afterAll(() => figures.print())

  it('costs the session, and the zombie acknowledges nothing', { timeout: 120_000 }, async () => {
    cluster = await ProcessCluster.start()
    // By default its requests wait for up to a minute on a connection that stands and says nothing.
    load = await Load.start(cluster, 'librdkafka', TOPIC, { clientConfig: ['socket.timeout.ms=1000'] })
    const leader = await cluster.leaderOf(TOPIC)
    const zombie = cluster.node(leader)
    const others = cluster.nodes.filter((node) => node !== zombie)
    if ((await cluster.raftLeader()) === leader) await cluster.moveRaftLeaderTo(others[0]!.id)
    await sleep(1_100)

    const pausedMs = zombie.signal('SIGSTOP')
    // These lie in its sockets until it wakes up, and believes that it still leads.
    const produce = (n: number) => {
      const records = buildBatch([{ key: null, value: Buffer.from(`${1_000_000 + n}`), timestamp: 1 }], {})
      return cluster.client.requestFrom(
        leader,
        Produce,
        { acks: -1, timeoutMs: 1_000, topicData: [{ name: TOPIC, partitionData: [{ index: 0, records }] }] },
        { maxVersion: LAST_VERSION_BY_NAME, requestTimeoutMs: 60_000, lane: `zombie-${n}` },
      )
    }
    await load.waitForProgress(pausedMs + SESSION_TIMEOUT_MS + GENEROUS_MS / 2)
    const { writeMs, readMs } = load.gaps(pausedMs)
    figures.add('SIGSTOP, leader', 'librdkafka', { write: writeMs, read: readMs })
    expect(writeMs).toBeLessThan(SESSION_TIMEOUT_MS + GENEROUS_MS)
    expect(writeMs).toBeGreaterThan(SESSION_TIMEOUT_MS / 2)

    const answers = [1, 2, 3, 4, 5].map(produce)
    await sleep(300)
    zombie.signal('SIGCONT')
    for (const answer of await Promise.all(answers)) {
      const { errorCode } = answer.responses[0]!.partitionResponses[0]!
      expect([
        'NOT_LEADER_OR_FOLLOWER',
        'FENCED_LEADER_EPOCH',
        'NOT_ENOUGH_REPLICAS',
        'REQUEST_TIMED_OUT',
      ]).toContain(errorName(errorCode))
    }
    await cluster.waitForBrokers(3)
    await cluster.waitForFullIsr(TOPIC)
    expect(await load.finish()).toEqual([])
    await cluster.waitForFullIsr(TOPIC)
    for (const node of cluster.nodes) expect(await node.stop()).toBe(0)
    expect(checkReplicas(cluster.nodes.map((node) => replicaOf(node, TOPIC)))).toEqual([])
  })
})
