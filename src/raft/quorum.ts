import type { LogIndex, NodeId } from '../lib/ids.js'
import type { Configuration, Voter } from './types.js'

/** KIP-853: the same node with another directory is another voter. */
export function sameVoter(a: Voter, b: Voter): boolean {
  return a.nodeId === b.nodeId && a.directoryId === b.directoryId
}

export function isVoter(configuration: Configuration, voter: Voter): boolean {
  return configuration.voters.some((other) => sameVoter(other, voter))
}

export function majoritySize(voters: number): number {
  return Math.floor(voters / 2) + 1
}

/**
 * The largest value that a majority reaches: of match indexes the index that may commit (Raft §5.3), of contact
 * times the moment at which a majority was last heard. `values` holds one for each voter.
 */
export function majorityValue(values: readonly number[]): LogIndex {
  if (values.length === 0) return 0
  const descending = [...values].sort((a, b) => b - a)
  return descending[majoritySize(values.length) - 1]!
}

/** `dead`: a voter from whom no vote is expected. One that comes all the same counts. */
export function tally(
  configuration: Configuration,
  votes: ReadonlyMap<NodeId, boolean>,
  dead: NodeId | undefined,
): 'won' | 'lost' | 'open' {
  const needed = majoritySize(configuration.voters.length)
  let granted = 0
  let rejected = 0
  for (const { nodeId } of configuration.voters) {
    const vote = votes.get(nodeId)
    if (vote === true) granted++
    else if (vote === false || nodeId === dead) rejected++
  }
  if (granted >= needed) return 'won'
  return rejected > configuration.voters.length - needed ? 'lost' : 'open'
}
