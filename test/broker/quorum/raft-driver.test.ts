import { expect, it } from 'vitest'
import { RaftDriver } from '../../../src/broker/quorum/raft-driver.js'
import type { RaftLog } from '../../../src/log/raft-log.js'
import type { RaftInput } from '../../../src/raft/api.js'
import type { RaftNode } from '../../../src/raft/raft.js'
import { SimWorldClock } from '../../sim/clock.js'

it('ticks after a stall, however busy the sockets are', () => {
  const world = new SimWorldClock()
  const process = world.process('node')
  const ticksMs: number[] = []
  const node = {
    nextDeadlineMs: 100,
    step(input: RaftInput, nowMs: number) {
      if (input.type === 'tick') {
        ticksMs.push(nowMs)
        this.nextDeadlineMs = nowMs + 100
      }
      return []
    },
  }
  const nobody = () => {}
  const events = {
    onApply: nobody,
    onRestore: nobody,
    onRole: nobody,
    onTransferEnded: nobody,
    onConfiguration: nobody,
    onMembership: nobody,
  }
  const driver = new RaftDriver(node as unknown as RaftNode, {} as RaftLog, process.clock, nobody, events)
  process.pause()
  world.runFor(300)
  process.resume()
  const busy = (): void => {
    driver.input({ type: 'peerDead', peer: 2 })
    process.schedule(1, busy)
  }
  busy()
  world.runFor(200)
  // The first waits for the sockets to be drained; heartbeats and the check of the quorum hang on each.
  expect(ticksMs).toHaveLength(2)
  expect(ticksMs[0]).toBeGreaterThanOrEqual(310)
  expect(ticksMs[0]).toBeLessThan(312)
  driver.close()
})
