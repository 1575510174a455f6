/** What the clients of one life ask of the cluster. Times are simulated milliseconds; draws below a bound are uniform. */
export interface Load {
  /** Idempotent, acks=all. */
  readonly producers: number
  /** Mean pause before the next batch of a producer to a partition. */
  readonly produceIntervalMs: number
  /** acks=1, no retries. */
  readonly carelessProducers: number
  readonly carelessIntervalMs: number
  readonly consumers: number
  /** A consumer asks for the latest offset of each partition after less than this. */
  readonly latestWithinMs: number
  /** The next change of a topic's configuration comes after less than this. */
  readonly configureWithinMs: number
  /** The next commit or look at one comes after less than this. */
  readonly commitWithinMs: number
}

/** A kind of life. */
export interface Profile {
  readonly name: string
  readonly faults: boolean
  readonly load: Load
}

const MIXED: Load = {
  producers: 2,
  produceIntervalMs: 110,
  carelessProducers: 1,
  carelessIntervalMs: 170,
  consumers: 2,
  latestWithinMs: 800,
  configureWithinMs: 400,
  commitWithinMs: 200,
}

/** About 50 requests of clients a second, all kinds together: the setting in which the simulation's speed is measured. */
const FIFTY: Load = {
  producers: 1,
  produceIntervalMs: 250,
  carelessProducers: 1,
  carelessIntervalMs: 1_000,
  consumers: 2,
  latestWithinMs: 3_000,
  configureWithinMs: 2_000,
  commitWithinMs: 1_000,
}

export const PROFILES: readonly Profile[] = [
  { name: 'mixed', faults: true, load: MIXED },
  { name: 'calm', faults: false, load: MIXED },
  { name: 'load50', faults: false, load: FIFTY },
]

export const DEFAULT_PROFILE = PROFILES[0]!
