import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ClientKind } from '../support/load-client.js'
import { Figures, Load, ROUNDS } from './harness.js'
import { ProcessCluster } from './nodes.js'

/** A noisy machine may be slow; the aims (0.5 s, 1.5 s) are judged by the table. */
const GENEROUS_MS = 6_000
/** How long the load runs on with two nodes before the dead one comes back. */
const AFTER_KILL_MS = 1_200
const THROUGHOUT = 'throughout'

type Victim =
  | 'partition leader'
  | 'Raft leader'
  | 'partition and Raft leader'
  | 'follower'
  | 'leader, restarted at once'

const VICTIMS: readonly Victim[] = [
  'partition leader',
  'Raft leader',
  'partition and Raft leader',
  'follower',
  'leader, restarted at once',
]
/** With one round the second client is spared where the dead node led no partition of its own. */
const VICTIMS_OF: Readonly<Record<ClientKind, readonly Victim[]>> = {
  librdkafka: VICTIMS,
  kafkajs:
    ROUNDS > 1 ? VICTIMS : VICTIMS.filter((victim) => victim !== 'Raft leader' && victim !== 'follower'),
}
const CLIENTS = (process.env.KOGGE_CHAOS_CLIENTS ?? 'librdkafka,kafkajs').split(',') as ClientKind[]
const figures = new Figures('kills')

/** Puts the roles where the kind of kill wants them, and says whom to kill. */
async function choose(cluster: ProcessCluster, topic: string, victim: Victim): Promise<number> {
  const leader = await cluster.leaderOf(topic)
  const others = cluster.nodes.map((node) => node.id).filter((id) => id !== leader)
  switch (victim) {
    case 'partition leader':
    case 'leader, restarted at once':
      if ((await cluster.raftLeader()) === leader) await cluster.moveRaftLeaderTo(others[0]!)
      return leader
    case 'partition and Raft leader':
      await cluster.moveRaftLeaderTo(leader)
      return leader
    case 'Raft leader':
      if ((await cluster.raftLeader()) === leader) await cluster.moveRaftLeaderTo(others[0]!)
      return cluster.raftLeader()
    case 'follower': {
      const raftLeader = await cluster.raftLeader()
      return others.find((id) => id !== raftLeader)!
    }
  }
}

/**
 * The clients that are measured live through one kill each: librdkafka doubles its back-off for a broker at every
 * dial, also at those that succeed, and forgets it after ten quiet seconds only. Others run through all the kills.
 */
describe.each(CLIENTS)('SIGKILL under %s', (kind) => {
  let cluster: ProcessCluster
  const loads: Load[] = []

  beforeEach(async () => {
    cluster = await ProcessCluster.start()
  })
  afterEach(async () => {
    for (const load of loads.splice(0)) load.kill()
    await cluster?.close()
  })
  afterAll(() => figures.print('any of these deaths'))

  async function start(topic: string, rate?: number): Promise<Load> {
    const load = await Load.start(cluster, kind, topic, rate === undefined ? {} : { rate })
    loads.push(load)
    return load
  }

  async function kill(victim: Victim, topic: string): Promise<void> {
    const load = await start(topic)
    const id = await choose(cluster, topic, victim)
    const node = cluster.node(id)
    await sleep(1_100)
    await cluster.waitForFullIsr(topic)
    await cluster.waitForFullIsr(THROUGHOUT)
    const killedMs = node.signal('SIGKILL')
    await node.waitForExit()
    if (victim === 'leader, restarted at once') node.start()
    await load.waitForProgress(killedMs + AFTER_KILL_MS)
    const dead = load.gaps(killedMs)
    if (!node.isRunning) node.start()
    await cluster.waitForBrokers(3)
    await cluster.waitForFullIsr(topic)
    const { writeMs, readMs } = load.gaps(killedMs)
    figures.add(victim, kind, { write: writeMs, read: readMs, 'write till restart': dead.writeMs })
    figures.say(`${victim} (node ${id})`, kind, killedMs, { writeMs, readMs, tillRestart: dead.writeMs })
    expect(writeMs, `writes after the death of the ${victim}`).toBeLessThan(GENEROUS_MS)
    expect(readMs, `reads after the death of the ${victim}`).toBeLessThan(GENEROUS_MS)
    expect(await load.finish()).toEqual([])
  }

  it('loses, doubles and reorders nothing, whoever dies', { timeout: 60_000 + ROUNDS * 90_000 }, async () => {
    const throughout = await start(THROUGHOUT, 50)
    for (let round = 1; round <= ROUNDS; round++) {
      for (const victim of VICTIMS_OF[kind]) await kill(victim, `${victim.replaceAll(/\W+/g, '-')}-${round}`)
    }
    expect(await throughout.finish()).toEqual([])
  })
})
