import { expect, it } from 'vitest'
import { loadCompression } from '../../src/adapters/compression.js'
import { SeededRandom } from '../../src/lib/prng.js'
import { Stage } from '../sim/schedules/stage.js'

/** A seed with which the store loses its last three batches: the vote slots know better. */
const LOSES_A_SUFFIX = 23

it('a Raft log that is set aside costs the node its vote, and its replicas nothing (KIP-853, KIP-966)', async () => {
  const stage = new Stage(await loadCompression())
  stage.begin([1, 2], 3)
  for (const value of ['a', 'b']) expect(stage.produce(1, value, -1)?.errorCode).toBe(0)
  const before = stage.node(2).quorum!.status().directoryId
  stage.node(2).crash()
  stage.wait('ISR of one', () => stage.image(3)!.elr.join() === '2')
  expect(stage.node(2).rotRaft(new SeededRandom(LOSES_A_SUFFIX))).toMatch(/last 3 batches/)
  // The leader does not hear of it: what the controller takes the replica for is what its registration said.
  stage.cut(1, 2)
  stage.node(2).start(0)
  stage.wait('registration', () => stage.isFenced(2, 3) === false)

  const { directoryId, voters } = stage.node(2).quorum!.status()
  expect(directoryId).not.toBe(before)
  expect(voters).toContainEqual({ nodeId: 2, directoryId: before })
  expect(stage.image(3)!.elr).toEqual([2])

  stage.heal()
  stage.wait('ISR of two', () => stage.image(3)!.isr.length === 2)
  stage.finish()
})
