import { expect, it } from 'vitest'
import { PeerSigns } from '../../../src/broker/post-mortems/peer-signs.js'
import { SimWorldClock } from '../../sim/clock.js'

it('of those whose connections broke, the last thousand are remembered', () => {
  const world = new SimWorldClock()
  const { clock } = world.process('node-1')
  const signs = new PeerSigns(clock, () => undefined)
  const lose = (peer: number) => {
    world.runFor(1)
    const atMs = clock.monotonicMs()
    signs.onEvent({ type: 'peerLost', peer, dead: false, sequence: atMs, atMs, wallMs: atMs })
  }
  for (let peer = 0; peer < 1_000; peer++) lose(peer)
  expect(signs.lastMs(0)).toBeDefined()
  // It came back and broke again: the newest.
  lose(0)
  lose(1_000)
  expect(signs.lastMs(0)).toBeDefined()
  expect(signs.lastMs(1)).toBeUndefined()
  expect(signs.lastMs(2)).toBeDefined()
})
