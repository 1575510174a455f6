import { loadCompression } from '../../../src/adapters/compression.js'
import type { Compression } from '../../../src/ports/compression.js'
import { Violation } from '../invariants/invariant.js'
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
  /** Played before any seed is lived. */
  readonly schedules: readonly string[]
}

export interface Catch {
  /** Where already a life without faults failed those who only look at what clients see. */
  readonly broken: string | null
  /** Lived, the one that failed included; 0: a schedule showed it. */
  readonly seeds: number
  readonly violation: string | null
  /** The invariant that spoke first, and those that spoke up within the next seconds. */
  readonly by: readonly string[]
  readonly checks: Readonly<Record<string, number>>
  /** CPU milliseconds of this process. */
  readonly cpuMs: number
}

const CALM_SECONDS = 60
const SECONDS_AFTER_VIOLATION = 5

// Also imported for its types.
if (process.argv[1]?.endsWith('hunt.js')) {
  const hunt = JSON.parse(process.argv[2]!) as Hunt
  const found = run(hunt, await loadCompression())
  const { user, system } = process.cpuUsage()
  console.log(JSON.stringify({ ...found, cpuMs: Math.round((user + system) / 1000) }))
}

function run(hunt: Hunt, compression: Compression): Omit<Catch, 'cpuMs'> {
  const checks: Record<string, number> = {}
  const none = { broken: null, seeds: 0, violation: null, by: [], checks }
  if (hunt.isBug) {
    const broken = calmMinute(hunt.seeds[0] ?? 1, compression)
    if (broken !== null) return { ...none, broken }
  }
  for (const name of hunt.schedules) {
    const failure = play(name, compression)
    if (failure !== null) return { ...none, ...failure }
  }
  let lived = 0
  for (const seed of hunt.seeds) {
    lived++
    const result = live(hunt, seed, compression)
    for (const [title, count] of Object.entries(result.checks)) checks[title] = (checks[title] ?? 0) + count
    if (result.violation === null) continue
    const by = [...new Set(result.violated)]
    return { ...none, seeds: lived, violation: `seed ${seed}: ${result.violation}`, by }
  }
  return { ...none, seeds: lived }
}

/**
 * What is wrong with it where nothing goes wrong; null: nothing. No answer is lost, and nobody moves leaderships or asks
 * for ends that are committed a moment later: that alone brings some bugs to light, and here it is only asked whether the
 * broker works.
 */
function calmMinute(seed: number, compression: Compression): string | null {
  const calm = profileByName('calm')!
  const profile = {
    ...calm,
    load: { ...calm.load, answersForALostOne: 0, administerWithinMs: 0, latestWithinMs: 0 },
  }
  return new SimRun({
    nodes: 3,
    compression,
    seed,
    seconds: CALM_SECONDS,
    profile,
    judgedBy: 'clients',
  }).run().violation
}

function live({ profile: named, seconds }: Hunt, seed: number, compression: Compression): RunResult {
  const profile = named === null ? profileOfSeed(seed) : profileByName(named)
  if (profile === undefined) throw new Error(`no profile is called ${named}`)
  const secondsAfterViolation = SECONDS_AFTER_VIOLATION
  return new SimRun({ nodes: 3, compression, seed, seconds, profile, secondsAfterViolation }).run()
}

/** Null: the schedule passes. Invariants may speak up one after the other, as in a life. */
function play(name: string, compression: Compression): Pick<Catch, 'violation' | 'by'> | null {
  const schedule = SCHEDULES.find((each) => each.name === name)
  if (schedule === undefined) throw new Error(`no schedule is called ${name}`)
  const violations: Violation[] = []
  const stage: Stage = new Stage(compression, schedule, (violation) => {
    if (violations.length === 0)
      stage.clock.schedule(null, SECONDS_AFTER_VIOLATION * 1_000, () => {
        throw violation
      })
    violations.push(violation)
  })
  let failure: Error | undefined
  try {
    schedule.play(stage)
  } catch (error) {
    failure = error as Error
  }
  const errors = failure === undefined ? violations : [...violations, failure]
  const [first] = errors
  if (first === undefined) return null
  const by = new Set(errors.map((error) => (error instanceof Violation ? error.invariant : 'crash')))
  return { violation: `schedule ${name}: ${first.message}`, by: [...by] }
}
