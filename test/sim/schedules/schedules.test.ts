import { describe, expect, it } from 'vitest'
import { loadCompression } from '../../../src/adapters/compression.js'
import { SCHEDULES } from './index.js'
import { Stage } from './stage.js'

/** That each of them fails where its bug is planted is shown by mutants.test.ts. */
describe('the classic bugs, step by step', () => {
  it.each(SCHEDULES)('$name does not happen: $about', async (schedule) => {
    const stage = new Stage(await loadCompression(), schedule)
    expect(() => schedule.play(stage)).not.toThrow()
  })
})
