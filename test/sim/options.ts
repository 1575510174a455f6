import { PROFILES, type Profile, profileByName, profileOfSeed } from './profiles.js'
import { DEFAULT_SHAPE, type Shape, shapeOfSeed } from './shapes.js'

/** What the command line asks for. */
export interface SimOptions {
  /** One life; null: a sweep. */
  readonly seed: number | null
  readonly seeds: number
  readonly start: number
  readonly jobs: number
  /** Wall-clock minutes after which a sweep begins no further life; 0: no bound. */
  readonly budgetMinutes: number
  /** null: drawn from the seed. */
  readonly shape: Shape | null
  /** Simulated seconds under load and faults; the liveness phase comes on top. */
  readonly seconds: number
  /** null: drawn from the seed. */
  readonly profile: Profile | null
  readonly trace: boolean
  /** Of a sweep's child process: seeds come as messages. */
  readonly isWorker: boolean
}

export const DEFAULT_SECONDS = 60

export const HELP = `Lives a cluster of real brokers in a simulated world; the same seed gives the same life.

  --seed N            one life
  --seeds N           a sweep of N lives, one a seed
  --start SEED        the sweep's first seed (any whole number; default: the time of day)
  --jobs J            child processes that share a sweep (default 1)
  --budget-minutes M  wall-clock minutes after which a sweep begins no further life
  --nodes N           nodes, all of them voters and brokers unless said otherwise (default: 3 where one of the next
                      three is given, else drawn from the seed: mostly 3, also 1, 5, or 6 of which 3 are controllers)
  --voters V          the first V are voters, the others brokers that follow without a vote
  --controllers C     the first C are controllers: those that are no voters yet may be made some
  --dedicated         the controllers are no brokers
  --minutes M         simulated minutes of a life under load and faults (default 1); the liveness phase comes on top
  --seconds S         the same in seconds
  --profile NAME      what strikes and how often (default: drawn from the seed)
${PROFILES.map(({ name, about }) => `                        ${name.padEnd(12)}${about}`).join('\n')}
  --trace             the life's timeline, line by line

npm run sim -- --seed 42                                     one life
npm run sim -- --seed 42 --nodes 5 --minutes 10 --trace      a long one with its timeline
npm run sim -- --seed 42 --nodes 6 --voters 3 --dedicated    three controllers and three brokers
npm run sim -- --seed 42 --nodes 5 --controllers 5 --voters 3 --profile voters
                                                             two more that are added and removed as voters
npm run sim -- --seeds 500 --jobs 2                          a sweep
npm run sim -- --seeds 100 --start 7000 --profile disks      a sweep of chosen seeds and faults

Exits with 1 on a violation, and where a sweep of 25 lives or more never saw a kind of fault or event, or never looked
at an invariant. A failure prints the command that replays it.`

/** The command line was wrong; the message says how. */
export class UsageError extends Error {}

/**
 * @param now for the start of a sweep that names none: fresh seeds each time
 * @throws UsageError
 */
export function parseOptions(args: readonly string[], now: number): SimOptions | 'help' {
  const numbers = new Map<string, number>()
  let profile: Profile | null = null
  let trace = false
  let isDedicated = false
  let isWorker = false
  for (let i = 0; i < args.length; i++) {
    const name = args[i]!
    if (name === '--help') return 'help'
    if (name === '--trace') trace = true
    else if (name === '--dedicated') isDedicated = true
    else if (name === '--worker') isWorker = true
    else if (name === '--profile') profile = profileNamed(args[++i])
    else if (NUMBERS.has(name)) numbers.set(name, numberOf(name, args[++i]))
    else throw new UsageError(`unknown argument ${name}`)
  }
  const seed = numbers.get('--seed') ?? null
  if (seed !== null && numbers.has('--seeds'))
    throw new UsageError('--seed is one life, --seeds a sweep: not both')
  if (numbers.has('--minutes') && numbers.has('--seconds'))
    throw new UsageError('--minutes and --seconds say the same: not both')
  const minutes = numbers.get('--minutes')
  const nodes = atLeastOne('--nodes', numbers.get('--nodes') ?? DEFAULT_SHAPE.nodes)
  const voters = numbers.has('--voters') ? atLeastOne('--voters', numbers.get('--voters')!) : null
  if (voters !== null && voters > nodes)
    throw new UsageError('--voters are some of --nodes: no more than those')
  const controllers = numbers.has('--controllers')
    ? atLeastOne('--controllers', numbers.get('--controllers')!)
    : null
  if (controllers !== null && (controllers > nodes || controllers < (voters ?? nodes)))
    throw new UsageError('--controllers are --voters and more, and no more than --nodes')
  if (isDedicated && (controllers ?? voters ?? nodes) >= nodes)
    throw new UsageError('--dedicated needs brokers as well: fewer --voters than --nodes')
  const isDrawn = !isDedicated && !['--nodes', '--voters', '--controllers'].some((name) => numbers.has(name))
  return {
    seed,
    seeds: numbers.get('--seeds') ?? 20,
    start: numbers.get('--start') ?? Math.floor(now / 1000),
    jobs: Math.max(1, numbers.get('--jobs') ?? 1),
    budgetMinutes: numbers.get('--budget-minutes') ?? 0,
    shape: isDrawn ? null : { nodes, voters, controllers, isDedicated },
    seconds: minutes === undefined ? (numbers.get('--seconds') ?? DEFAULT_SECONDS) : minutes * 60,
    profile,
    trace,
    isWorker,
  }
}

/** Name to whether its value may be a fraction. */
const NUMBERS: ReadonlyMap<string, boolean> = new Map([
  ['--seed', false],
  ['--seeds', false],
  ['--start', false],
  ['--jobs', false],
  ['--nodes', false],
  ['--voters', false],
  ['--controllers', false],
  ['--seconds', false],
  ['--minutes', true],
  ['--budget-minutes', true],
])

function numberOf(name: string, text: string | undefined): number {
  const value = text === undefined || text === '' ? Number.NaN : Number(text)
  const isFine = NUMBERS.get(name) ? Number.isFinite(value) : Number.isSafeInteger(value)
  if (!isFine || value < 0)
    throw new UsageError(`${name} takes ${NUMBERS.get(name) ? 'a number' : 'a whole number'} from 0`)
  return value
}

function atLeastOne(name: string, value: number): number {
  if (value < 1) throw new UsageError(`${name} takes a whole number from 1`)
  return value
}

function profileNamed(name: string | undefined): Profile {
  const found = name === undefined ? undefined : profileByName(name)
  if (found === undefined)
    throw new UsageError(`--profile takes one of ${PROFILES.map((profile) => profile.name).join(', ')}`)
  return found
}

/** What a life depends on. */
export interface Life extends Shape {
  readonly seed: number
  readonly seconds: number
  readonly profile: Profile
}

/** With whatever the command line leaves to the seed. */
export function lifeOf(options: Pick<SimOptions, 'shape' | 'seconds' | 'profile'>, seed: number): Life {
  const { seconds } = options
  const profile = options.profile ?? profileOfSeed(seed)
  return { seed, seconds, profile, ...(options.shape ?? shapeOfSeed(seed)) }
}

/** The command that lives this life again, with every option on which it depends. */
export function replayCommand(life: Life): string {
  const words = ['npm run sim --', `--seed ${life.seed}`, `--nodes ${life.nodes}`]
  if (life.voters !== null) words.push(`--voters ${life.voters}`)
  if (life.controllers !== null) words.push(`--controllers ${life.controllers}`)
  if (life.isDedicated) words.push('--dedicated')
  words.push(`--profile ${life.profile.name}`)
  if (life.seconds !== DEFAULT_SECONDS) words.push(`--seconds ${life.seconds}`)
  return [...words, '--trace'].join(' ')
}
