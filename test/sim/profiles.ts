import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import type { DrawnFault } from './faults.js'

/** What the clients of one life ask of the cluster. Times are simulated milliseconds; draws below a bound are uniform. */
export interface Load {
  /** Idempotent, acks=all, several batches in flight. */
  readonly producers: number
  /** Mean pause before a producer's next batch. */
  readonly produceIntervalMs: number
  /** Of so many acknowledgements one is lost on its way to an idempotent producer, which asks again; 0: none. */
  readonly answersForALostOne: number
  /** acks=all without sequences, and no retries. */
  readonly plainProducers: number
  readonly plainIntervalMs: number
  /** acks=1, no retries. */
  readonly carelessProducers: number
  readonly carelessIntervalMs: number
  /** Mean pause of the producer of a topic that keeps its newest bytes alone; 0: there is none. */
  readonly retainedIntervalMs: number
  /** Assigned to all partitions. */
  readonly consumers: number
  /** A consumer's pause after a fetch. */
  readonly fetchIntervalMs: number
  /** Members of a consumer group, who come and go. */
  readonly groupMembers: number
  /** A member's pause after its poll of all that it owns. */
  readonly groupFetchIntervalMs: number
  /** A consumer asks for the latest offset of a partition after less than this; 0: never. */
  readonly latestWithinMs: number
  /** The next administrative command comes after less than this; 0: none ever. */
  readonly administerWithinMs: number
  /** The next change of the voters comes after less than this; 0: none ever. */
  readonly changeVotersWithinMs: number
  /** The next commit or look at one, of a group without members, comes after less than this. */
  readonly commitWithinMs: number
}

/** A kind of life. */
export interface Profile {
  readonly name: string
  readonly about: string
  /** How often a fault is drawn before another; one that is not named never strikes. */
  readonly faults: Readonly<Partial<Record<DrawnFault, number>>>
  /** From one fault to the next. */
  readonly faultIntervalMs: readonly [number, number]
  /** Of granted votes, how many cost their voter the power in the same moment. */
  readonly powerCutAfterVote: number
  /** Clocks of nodes run fast or slow by up to so many parts in a million. */
  readonly driftPpm: number
  /** `flush.before.ack` of the cluster. Without it an acknowledged record may be in nothing but the memory of two nodes. */
  readonly flushBeforeAck: boolean
  /** What each event costs a node of its one thread; its disk takes so much longer for a sync than usual. */
  readonly eventCostMs: number
  readonly extraSyncMs: number
  readonly load: Load
  /** How many of a hundred seeds live so. */
  readonly percent: number
}

/** About 50 requests of clients a second, all kinds together. */
const FIFTY: Load = {
  producers: 2,
  produceIntervalMs: 120,
  answersForALostOne: 200,
  plainProducers: 1,
  plainIntervalMs: 300,
  carelessProducers: 1,
  carelessIntervalMs: 400,
  retainedIntervalMs: 250,
  consumers: 1,
  fetchIntervalMs: 200,
  groupMembers: 2,
  groupFetchIntervalMs: 500,
  latestWithinMs: 3_000,
  administerWithinMs: 1_000,
  changeVotersWithinMs: 0,
  commitWithinMs: 1_000,
}

const USUAL = {
  faultIntervalMs: [300, 4_000],
  powerCutAfterVote: 0.1,
  driftPpm: 200,
  flushBeforeAck: true,
  eventCostMs: 0,
  extraSyncMs: 0,
  load: FIFTY,
} as const

const PARTITIONS = {
  isolate: 5,
  oneWayCut: 4,
  bridge: 3,
  flappingCut: 3,
  clientCut: 2,
  slowLink: 3,
  lossyLink: 3,
  connectionReset: 3,
} as const

const CRASHES = {
  crash: 4,
  instantRestart: 3,
  powerCut: 4,
  crashAll: 1,
  powerCutAll: 2,
  powerCutOneOthersPaused: 2,
  pause: 3,
  cleanRestart: 2,
  deathInside: 4,
} as const

const DISKS = {
  slowDisk: 3,
  failedSync: 3,
  failedStoreSync: 1,
  failedWrite: 2,
  failedRead: 1,
  fullDisk: 3,
  bitFlip: 4,
  raftRot: 2,
  wipe: 2,
} as const

const STANDARD: Profile = {
  ...USUAL,
  name: 'standard',
  about: 'some of everything',
  faults: { ...PARTITIONS, ...CRASHES, ...DISKS, clockJump: 2 },
  percent: 32,
}

export const PROFILES: readonly Profile[] = [
  STANDARD,
  {
    ...USUAL,
    name: 'partitions',
    about: 'the network: cuts of every kind, delay, loss, resets; the odd crash',
    faults: { ...PARTITIONS, crash: 2, pause: 3 },
    percent: 14,
  },
  {
    ...USUAL,
    name: 'crashes',
    about: 'processes that die and machines that lose power, often',
    faults: { ...CRASHES, slowDisk: 1, isolate: 1 },
    faultIntervalMs: [100, 2_500],
    powerCutAfterVote: 0.25,
    percent: 14,
  },
  {
    ...USUAL,
    name: 'disks',
    about: 'slow, full, failing and rotting disks, with power cuts',
    faults: { ...DISKS, powerCut: 2, powerCutAll: 1, crash: 2, deathInside: 2 },
    percent: 14,
  },
  {
    ...USUAL,
    name: 'clocks',
    about: 'clocks that jump by years and run 5 % fast or slow, with pauses',
    faults: { clockJump: 4, pause: 4, crash: 2, isolate: 2, slowLink: 1 },
    driftPpm: 50_000,
    percent: 10,
  },
  {
    ...USUAL,
    load: { ...FIFTY, changeVotersWithinMs: 2_500 },
    // No disk is lost here: that of another voter may be, just as one is removed, and the two were the majority.
    name: 'voters',
    about: 'voters that are added, promoted and removed, the leader too, with crashes and cuts',
    faults: {
      isolate: 3,
      oneWayCut: 2,
      clientCut: 1,
      connectionReset: 2,
      ...CRASHES,
      slowDisk: 2,
    },
    percent: 8,
  },
  {
    ...USUAL,
    name: 'unflushed',
    about:
      'flush.before.ack=false: one node at a time forgets what it never wrote, or all processes end at once',
    flushBeforeAck: false,
    // What a failing or a full disk ends, it ends whenever it likes: two nodes could forget the same record.
    faults: {
      isolate: 4,
      oneWayCut: 2,
      slowLink: 2,
      crash: 3,
      instantRestart: 3,
      powerCut: 6,
      powerCutOneOthersPaused: 3,
      deathInside: 3,
      crashAll: 2,
      pause: 4,
      cleanRestart: 3,
      slowDisk: 2,
    },
    faultIntervalMs: [100, 2_500],
    percent: 6,
  },
  { ...USUAL, name: 'calm', about: 'no faults', faults: {}, powerCutAfterVote: 0, percent: 2 },
  {
    ...USUAL,
    name: 'saturation',
    about: 'no faults, and more requests than slow nodes with busy disks can answer at once; never drawn',
    faults: {},
    powerCutAfterVote: 0,
    eventCostMs: 4,
    extraSyncMs: 25,
    load: { ...FIFTY, producers: 2, produceIntervalMs: 2, consumers: 2, fetchIntervalMs: 1 },
    percent: 0,
  },
]

export const DEFAULT_PROFILE = STANDARD

export function profileByName(name: string): Profile | undefined {
  return PROFILES.find((profile) => profile.name === name)
}

/** How this seed lives unless told otherwise. */
export function profileOfSeed(seed: number): Profile {
  let draw = randomBelow(new SeededRandom(seed).fork(), 100)
  for (const profile of PROFILES) {
    draw -= profile.percent
    if (draw < 0) return profile
  }
  return DEFAULT_PROFILE
}
