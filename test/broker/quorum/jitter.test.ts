import { describe, expect, it } from 'vitest'
import { JitterHistogram } from '../../../src/broker/quorum/jitter.js'
import { TestCluster } from './cluster.js'

describe('a histogram of delays', () => {
  it('is empty at first', () => {
    expect(new JitterHistogram().status()).toEqual({ count: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 })
  })

  it('gives percentiles at most a fifth too high, and the maximum exactly', () => {
    const histogram = new JitterHistogram()
    for (let ms = 1; ms <= 1000; ms++) histogram.record(ms)
    const { count, p50Ms, p99Ms, maxMs } = histogram.status()
    expect([count, maxMs]).toEqual([1000, 1000])
    expect(p50Ms).toBeGreaterThanOrEqual(500)
    expect(p50Ms).toBeLessThanOrEqual(600)
    expect(p99Ms).toBeGreaterThanOrEqual(990)
    expect(p99Ms).toBeLessThanOrEqual(1000)
  })

  it('holds what is beyond its buckets', () => {
    const histogram = new JitterHistogram()
    histogram.record(60_000)
    expect(histogram.status().maxMs).toBe(60_000)
    expect(histogram.status().p50Ms).toBeLessThanOrEqual(60_000)
  })
})

describe('the heartbeats of a leader', () => {
  it('leave on time where nothing holds the loop up, and a stall shows', () => {
    const cluster = new TestCluster([1, 2, 3])
    cluster.startAll()
    const leader = cluster.untilLed()
    cluster.world.runFor(2000)
    const calm = leader.reactor!.status().heartbeatJitter!
    expect(calm.count).toBeGreaterThan(10)
    expect(calm.maxMs).toBeLessThan(1)
    leader.process!.pause()
    cluster.world.runFor(300)
    leader.process!.resume()
    cluster.world.runFor(500)
    const stalled = leader.reactor!.status().heartbeatJitter!
    expect(stalled.maxMs).toBeGreaterThan(150)
    expect(stalled.p50Ms).toBeLessThan(1)
    const follower = cluster.nodes.find((node) => node !== leader)!
    expect(follower.reactor!.status().heartbeatJitter).toBeUndefined()
  })
  it('tell of the stall that cost the office, also when it is won back', () => {
    const cluster = new TestCluster([1, 2, 3])
    cluster.startAll()
    const leader = cluster.untilLed()
    cluster.world.runFor(1000)
    expect(leader.reactor!.status().formerHeartbeatJitter).toBeUndefined()
    leader.process!.pause()
    cluster.world.runFor(5000)
    leader.process!.resume()
    cluster.world.runFor(1000)
    expect(leader.reactor!.status()).toMatchObject({ role: 'follower' })
    const lost = leader.reactor!.status().formerHeartbeatJitter!
    expect(lost.maxMs).toBeGreaterThan(4800)
    const successor = cluster.nodes.find((node) => node.reactor!.status().role === 'leader')!
    successor.reactor!.transferLeadership(leader.reactor!.status().nodeId, () => {})
    cluster.world.runFor(1000)
    const again = leader.reactor!.status()
    expect(again).toMatchObject({ role: 'leader', formerHeartbeatJitter: lost })
    expect(again.heartbeatJitter!.maxMs).toBeLessThan(1)
  })
})
