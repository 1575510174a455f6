import { beforeEach, describe, expect, it } from 'vitest'
import { PostMortems } from '../../../src/broker/post-mortems/post-mortems.js'
import type { RaftElection } from '../../../src/broker/post-mortems/types.js'
import { mergeElections } from '../../../src/cli/merge-elections.js'
import { TestCluster, type TestNode } from '../quorum/cluster.js'

/** Of a whole quorum: what its nodes tell together of a leader that is not dead. */
describe('a leader that stays behind alive', () => {
  let cluster: TestCluster
  let histories: { nodeId: number; history: PostMortems }[]
  let leader: TestNode
  let others: TestNode[]

  beforeEach(() => {
    cluster = new TestCluster([1, 2, 3])
    cluster.startAll()
    histories = cluster.nodes.map(({ id: nodeId, process, reactor }) => {
      const { clock } = process!
      const heardMs = (peer: number) => reactor!.lastHeardMs(peer)
      const history = new PostMortems(nodeId, clock, 100, heardMs, () => true)
      reactor!.events.subscribe((event) => history.onQuorumEvent(event))
      return { nodeId, history }
    })
    leader = cluster.untilLed()
    others = cluster.nodes.filter((node) => node !== leader)
    cluster.world.runFor(2000)
  })

  it('was paused', () => {
    leader.process!.pause()
    cluster.world.runFor(10_000)
    expect(last(others.map(({ id }) => id))).toMatchObject({ cause: 'electionTimeout' })
    leader.process!.resume()
    cluster.world.runFor(1000)
    expect(last()).toMatchObject({ formerLeader: leader.id, cause: 'stalled' })
    expectCost(1000, 3000)
  })

  it('found no quorum any more', () => {
    for (const { process } of others) process!.pause()
    cluster.world.runFor(4000)
    for (const { process } of others) process!.resume()
    cluster.world.runFor(5000)
    expect(last()).toMatchObject({ formerLeader: leader.id, cause: 'noQuorum' })
    expectCost(4000, 9000)
  })

  it('could not write any more', () => {
    leader.store.batchLatencyMs = () => 60_000
    leader.setConfig('log.retention.ms', '1')
    cluster.world.runFor(8000)
    expect(last()).toMatchObject({ formerLeader: leader.id, cause: 'diskStalled' })
    expectCost(2000, 8000)
  })

  it('handed over', () => {
    leader.reactor!.transferLeadership(others[0]!.id, () => {})
    cluster.world.runFor(1000)
    expect(last()).toMatchObject({ formerLeader: leader.id, leader: others[0]!.id, cause: 'transfer' })
    expectCost(0, 100)
  })

  function last(of: readonly number[] = cluster.ids): RaftElection {
    const replies = histories
      .filter(({ nodeId }) => of.includes(nodeId))
      .map(({ nodeId, history }) => ({ nodeId, monotonicMs: 0, elections: history.recent(100) }))
    return mergeElections(replies).at(-1)!.election as RaftElection
  }

  function expectCost(leastMs: number, mostMs: number): void {
    const { fromMs, untilMs } = last()
    expect(untilMs - fromMs!).toBeGreaterThan(leastMs)
    expect(untilMs - fromMs!).toBeLessThan(mostMs)
  }
})
