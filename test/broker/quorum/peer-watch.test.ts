import { describe, expect, it } from 'vitest'
import { PeerWatch } from '../../../src/broker/quorum/peer-watch.js'
import { SimWorldClock } from '../../sim/clock.js'

type ProbeResult = 'open' | 'refused' | 'timeout'

function watched() {
  const world = new SimWorldClock()
  const process = world.process('node-1')
  const lost: boolean[] = []
  const probes: ((result: ProbeResult) => void)[] = []
  const watch = new PeerWatch(process.clock, 50, {
    probe: (_peer, done) => probes.push(done),
    onLost: (_peer, dead) => lost.push(dead),
  })
  return { world, watch, lost, probes }
}

describe('a watched peer', () => {
  it('is dead when its dial is refused after the grace', () => {
    const { world, watch, lost, probes } = watched()
    watch.onConnected(2)
    watch.onDisconnected(2)
    world.runFor(49)
    expect(probes).toHaveLength(0)
    world.runFor(2)
    probes[0]!('refused')
    expect(lost).toEqual([false, true])
  })

  it('that breaks again during its probe is probed again, whatever that one tells', () => {
    const { world, watch, lost, probes } = watched()
    watch.onConnected(2)
    watch.onDisconnected(2)
    world.runFor(60)
    expect(probes).toHaveLength(1)
    // A new process came and died while the dial of the old one was under way.
    watch.onConnected(2)
    watch.onDisconnected(2)
    world.runFor(60)
    expect(probes).toHaveLength(1)
    probes[0]!('timeout')
    expect(probes).toHaveLength(2)
    probes[1]!('refused')
    expect(lost).toEqual([false, false, true])
  })

  it('that came back during its probe is left alone', () => {
    const { world, watch, lost, probes } = watched()
    watch.onConnected(2)
    watch.onDisconnected(2)
    world.runFor(60)
    watch.onConnected(2)
    probes[0]!('refused')
    expect(probes).toHaveLength(1)
    expect(lost).toEqual([false])
  })
})

describe('when peers were heard', () => {
  it('is remembered of those that are connected, and of few others', () => {
    const { watch } = watched()
    watch.onConnected(0)
    for (let peer = 0; peer < 1_000; peer++) watch.onHeard(peer)
    expect(watch.lastHeardMs(1)).toBeDefined()
    watch.onHeard(999)
    expect(watch.lastHeardMs(1)).toBeDefined()
    watch.onHeard(1_000)
    expect([0, 1, 999, 1_000].map((peer) => watch.lastHeardMs(peer) !== undefined)).toEqual([
      true,
      false,
      false,
      true,
    ])
  })
})
