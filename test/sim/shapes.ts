import { randomBelow, SeededRandom } from '../../src/lib/prng.js'

/** Who lives in a cluster: so many nodes; the first of them are voters, the first of them controllers. */
export interface Shape {
  readonly nodes: number
  /** null: all nodes. */
  readonly voters: number | null
  /** null: the voters. */
  readonly controllers: number | null
  /** The controllers are no brokers. */
  readonly isDedicated: boolean
}

export const DEFAULT_SHAPE: Shape = { nodes: 3, voters: null, controllers: null, isDedicated: false }

/** Of a hundred seeds. With more than three brokers the replicas of partitions move under load. */
const SHAPES: readonly { readonly percent: number; readonly shape: Shape }[] = [
  { percent: 72, shape: DEFAULT_SHAPE },
  { percent: 8, shape: { ...DEFAULT_SHAPE, nodes: 5 } },
  { percent: 7, shape: { ...DEFAULT_SHAPE, nodes: 5, voters: 3 } },
  { percent: 7, shape: { nodes: 6, voters: 3, controllers: null, isDedicated: true } },
  { percent: 4, shape: { nodes: 5, voters: 3, controllers: 5, isDedicated: false } },
  { percent: 2, shape: { ...DEFAULT_SHAPE, nodes: 1 } },
]

/** How this seed's cluster is made unless told otherwise. */
export function shapeOfSeed(seed: number): Shape {
  // Not the draw of the profile: each of them meets each shape.
  const random = new SeededRandom(seed).fork()
  randomBelow(random, 100)
  let draw = randomBelow(random, 100)
  for (const { percent, shape } of SHAPES) {
    draw -= percent
    if (draw < 0) return shape
  }
  return DEFAULT_SHAPE
}
