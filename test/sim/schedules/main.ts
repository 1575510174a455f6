import { loadCompression } from '../../../src/adapters/compression.js'
import { SCHEDULES } from './index.js'
import { Stage } from './stage.js'

/** node main.js NAME: plays one schedule. Exits with 1, and says why, where it fails. */
const schedule = SCHEDULES.find(({ name }) => name === process.argv[2])
if (schedule === undefined) throw new Error(`schedules: ${SCHEDULES.map(({ name }) => name).join(', ')}`)
const stage = new Stage(await loadCompression(), schedule)
try {
  schedule.play(stage)
  console.log(`${schedule.name}: passes`)
} catch (error) {
  if (process.argv[3] === '--trace') for (const line of stage.lines) console.log(line)
  console.log(`${schedule.name}: ${(error as Error).message}`)
  process.exitCode = 1
}
