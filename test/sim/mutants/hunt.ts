import { loadCompression } from '../../../src/adapters/compression.js'
import { profileByName, profileOfSeed } from '../profiles.js'
import { SCHEDULES } from '../schedules/index.js'
import { Stage } from '../schedules/stage.js'
import { type RunResult, SimRun } from '../world.js'

/** What a copy of the build is asked to do, as the one argument of its process. */
export interface Hunt {
  readonly seeds: readonly number[]
  readonly seconds: number
  /** Of every seed; null: the one that the seed draws. */
  readonly profile: string | null
  /** A minute without faults first. */
  readonly isBug: boolean
  /** Played where no seed showed the bug. */
  readonly schedule: string | null
}

export interface Catch {
  /** Where already a life without faults failed those who only look at what clients see. */
  readonly broken: string | null
  /** Lived, the one that failed included. */
  readonly seeds: number
  readonly violation: string | null
  /** The invariant that spoke first, and those that spoke up within the next seconds. */
  readonly by: readonly string[]
  readonly checks: Readonly<Record<string, number>>
}

const CALM_SECONDS = 60
const SECONDS_AFTER_VIOLATION = 5

// Also imported for its types.
if (process.argv[1]?.endsWith('hunt.js')) {
  const hunt = JSON.parse(process.argv[2]!) as Hunt
  console.log(JSON.stringify(await run(hunt)))
}

async function run(hunt: Hunt): Promise<Catch> {
  const compression = await loadCompression()
  const common = { nodes: 3, compression }
  const checks: Record<string, number> = {}
  const none = { seeds: 0, violation: null, by: [], checks }
  if (hunt.isBug) {
    const calm = profileByName('calm')!
    const seed = hunt.seeds[0]!
    const result = new SimRun({
      ...common,
      seed,
      seconds: CALM_SECONDS,
      profile: calm,
      judgedBy: 'clients',
    }).run()
    if (result.violation !== null) return { ...none, broken: result.violation }
  }
  let lived = 0
  for (const seed of hunt.seeds) {
    lived++
    const profile = hunt.profile === null ? profileOfSeed(seed) : profileByName(hunt.profile)
    if (profile === undefined) throw new Error(`no profile is called ${hunt.profile}`)
    const { seconds } = hunt
    const options = { ...common, seed, seconds, profile, secondsAfterViolation: SECONDS_AFTER_VIOLATION }
    const result: RunResult = new SimRun(options).run()
    for (const [title, count] of Object.entries(result.checks)) checks[title] = (checks[title] ?? 0) + count
    if (result.violation === null) continue
    return { broken: null, seeds: lived, violation: result.violation, by: result.violated, checks }
  }
  const missed = { ...none, broken: null, seeds: lived }
  const schedule = SCHEDULES.find(({ name }) => name === hunt.schedule)
  if (schedule === undefined) return missed
  try {
    schedule.play(new Stage(compression))
    return missed
  } catch (error) {
    return { ...missed, violation: (error as Error).message, by: [`schedule ${schedule.name}`] }
  }
}
