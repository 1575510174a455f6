import { expect, it } from 'vitest'
import { VoteSlots } from '../../src/log/vote-slots.js'
import { SimWorldClock } from '../sim/clock.js'
import { SimDisk } from '../sim/disk.js'

/** Of what chance decides at a power cut, nothing survives. */
const NOTHING_SURVIVES = { uint32: () => 0 }

it('are there after a power cut, although the process that made them died before its sync', () => {
  const disk = new SimDisk(new SimWorldClock())
  const { syncNow } = disk
  disk.syncNow = () => {
    throw new Error('killed')
  }
  expect(() => VoteSlots.open(disk, 'raft')).toThrow('killed')
  disk.crash()
  disk.syncNow = syncNow
  const again = VoteSlots.open(disk, 'raft')
  expect(again).toMatchObject({ type: 'open', newest: { hardState: { term: 0 } } })
  disk.powerCut(NOTHING_SURVIVES)
  expect(VoteSlots.exist(disk, 'raft')).toBe(true)
  expect(VoteSlots.open(disk, 'raft')).toMatchObject({ type: 'open', newest: { hardState: { term: 0 } } })
})
