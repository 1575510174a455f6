import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { PLANTED_BUGS, type PlantedBug, plant } from './planted-bugs.js'

/**
 * npm run sim:mutants: does the simulation find what it is there to find? Each planted bug, in a copy of the build,
 * must turn a sweep red; the unpatched control must pass the same seeds.
 */
const SEEDS = 8
const START = 1
const SECONDS = 30
const build = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
const copies = fileURLToPath(new URL('../../../sim-mutants', import.meta.url))

interface Outcome {
  readonly violation: string | null
  readonly seeds: number
}

function live(bug: PlantedBug | null): Outcome {
  const copy = `${copies}/${bug?.name ?? 'control'}`
  plant(bug, build, copy)
  for (let seeds = 1; seeds <= SEEDS; seeds++) {
    const args = ['--seed', String(START + seeds - 1), '--seconds', String(SECONDS)]
    const child = spawnSync(process.execPath, [`${copy}/test/sim/run.js`, ...args], { encoding: 'utf8' })
    if (child.status === 0) continue
    const line = /^seed \d+: (.*)$/m.exec(child.stdout)?.[1] ?? child.stderr.slice(-500)
    return { violation: line, seeds }
  }
  return { violation: null, seeds: SEEDS }
}

let failed = false
for (const bug of PLANTED_BUGS) {
  const { violation, seeds } = live(bug)
  const isCaught = violation !== null && bug.caughtBy.some((title) => violation.startsWith(title))
  failed ||= !isCaught
  const verdict = isCaught
    ? `caught after ${seeds} seeds by`
    : violation === null
      ? 'NOT CAUGHT'
      : 'ended otherwise:'
  console.log(`${bug.name}: ${verdict} ${violation ?? `in ${SEEDS} seeds`}`)
}
const control = live(null)
failed ||= control.violation !== null
console.log(`control: ${control.violation ?? `passes the same ${SEEDS} seeds`}`)
process.exit(failed ? 1 : 0)
