import { describe, expect, it } from 'vitest'
import { PeerDirectory } from '../../../src/broker/quorum/peer-directory.js'
import { SimWorldClock } from '../../sim/clock.js'

describe('the directory of peers', () => {
  it('keeps the voters that it remembers where another newcomer knows none', () => {
    let dialled: number[] = []
    const directory = new PeerDirectory({
      self: { nodeId: 4, host: 'host-4', port: 9093 },
      configured: [],
      isController: true,
      clock: new SimWorldClock().process('node-4').clock,
      forgetAfterMs: 1000,
      maxIntroduced: 10,
      remembered: [{ nodeId: 1, host: 'host-1', port: 9093 }],
      onPeers: (peers) => {
        dialled = [...peers.keys()]
      },
      onLearners: () => {},
    })
    directory.start()
    directory.find(5, { host: 'host-5', port: 9093 })
    directory.report([])
    expect(dialled.sort()).toEqual([1, 5])
    directory.report([{ nodeId: 2, host: 'host-2', port: 9093 }])
    expect(dialled.sort()).toEqual([2, 5])
  })
})
