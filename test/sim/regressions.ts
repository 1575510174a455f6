/** Lives that once failed, with what was wrong. A change of the simulation makes others of them; they stay worth living. */
export interface Regression {
  readonly seed: number
  readonly nodes: number
  readonly profile: string
  readonly seconds: number
  readonly about: string
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 1_795_270_622, nodes: 3, profile: 'standard', seconds: 30, about: 'a fenced node stayed fenced' },
  { seed: 6021, nodes: 3, profile: 'crashes', seconds: 60, about: 'a pipelined retry after a clean restart' },
  { seed: 9, nodes: 3, profile: 'disks', seconds: 30, about: 'a quarantine that a power cut made forgotten' },
  { seed: 1, nodes: 3, profile: 'disks', seconds: 60, about: 'a rotten topic id made a log a stray' },
  {
    seed: 301_042,
    nodes: 3,
    profile: 'disks',
    seconds: 60,
    about: 'a rotten epoch checkpoint hid a divergence',
  },
  { seed: 5001, nodes: 3, profile: 'partitions', seconds: 30, about: 'a producer six batches behind' },
  {
    seed: 900_000_481,
    nodes: 5,
    profile: 'unflushed',
    seconds: 60,
    about: 'a death in the midst of making the vote slots left their names unsynced for good',
  },
  {
    seed: 5_110_724,
    nodes: 3,
    profile: 'standard',
    seconds: 60,
    about: 'rot in a middle segment, just below a high watermark that a follower takes over',
  },
  {
    seed: 5_130_304,
    nodes: 3,
    profile: 'standard',
    seconds: 60,
    about: 'an entry of an index that came back with a power cut and pointed into another batch',
  },
  {
    seed: 5_180_117,
    nodes: 3,
    profile: 'standard',
    seconds: 60,
    about: 'a disk that was full when the node learned of its cluster',
  },
]
