import type { LogIndex, NodeId } from '../../../src/lib/ids.js'
import type { Entry, Voter } from '../../../src/raft/types.js'
import type { SimNode } from '../node.js'
import { Invariant, type RaftState, type Watched } from './invariant.js'
import type { LogMatching } from './raft-log.js'

/** Looks in a row, a second apart: its successor has a second to take over. */
const LOOKS_BEFORE_STEPPING_DOWN = 4

type ConfigurationEntry = Extract<Entry, { type: 'configuration' }>

/** KIP-853, Raft thesis §4.1: one voter at a time, after the change before has committed, and an entry of the leader's own term. */
export class VotersChangeOneAtATime extends Invariant {
  readonly title = 'voters change one at a time, after an entry of the term has committed'

  constructor(private readonly logs: LogMatching) {
    super()
  }

  override onRaft(world: Watched, node: SimNode, now: RaftState): void {
    for (const entry of this.logs.freshConfigurations) {
      // The first one founded the cluster; what others appended was judged there.
      if (entry.index > 1 && now.isLeader && entry.term === now.term) this.judge(world, node, now, entry)
    }
  }

  private judge(world: Watched, node: SimNode, now: RaftState, entry: ConfigurationEntry): void {
    const before = configurationBelow(world, now, entry.index)
    if (before === undefined) return
    this.checks++
    const where = `node ${node.id} appends the voters ${textOf(entry.configuration.voters)} at ${entry.index} in term ${now.term}`
    if (before.index > now.commitIndex)
      this.fail(`${where}, and the change at ${before.index} is not committed: ${now.commitIndex} is`)
    const committedTerm = now.raft.termAt(now.commitIndex)
    if (committedTerm !== undefined && committedTerm !== now.term)
      this.fail(`${where}, and has committed ${now.commitIndex} of term ${committedTerm} alone`)
    const changed = difference(before.configuration.voters, entry.configuration.voters)
    if (changed !== 1) this.fail(`${where}, where ${textOf(before.configuration.voters)} were the voters`)
  }
}

/** KIP-853, Raft §6: the newest configuration in the log counts, committed or not; the one before, where it was cut off. */
export class NewestConfigurationCounts extends Invariant {
  readonly title = 'the newest configuration in the log counts'

  constructor(private readonly logs: LogMatching) {
    super()
  }

  override onRaft(world: Watched, node: SimNode, now: RaftState, before: RaftState | null): void {
    const wasCut = before !== null && now.raft.termAt(before.lastIndex) !== before.lastTerm
    if (this.logs.freshConfigurations.length === 0 && !wasCut) return
    const newest = configurationBelow(world, now, now.lastIndex + 1)
    if (newest === undefined) return
    this.checks++
    const { voters } = now.raft.status().configuration
    if (difference(voters, newest.configuration.voters) === 0) return
    this.fail(
      `node ${node.id} goes by the voters ${textOf(voters)}, and at ${newest.index} its log names ${textOf(newest.configuration.voters)}`,
    )
  }
}

/** Raft thesis §4.2.2: who removed itself leads until that has committed, and no longer. */
export class RemovedLeadersStepDown extends Invariant {
  readonly title = 'a removed leader steps down'
  /** By node: how often in a row it was seen to lead without a vote. */
  private readonly looks = new Map<NodeId, { reign: string; count: number }>()

  override eachSecond(world: Watched): void {
    for (const node of world.nodes) {
      if (node.quorum?.raft?.isLeader === true) this.checks++
      const reign = `${node.incarnation} ${node.quorum?.raft?.term}`
      if (!leadsRemoved(world, node)) {
        this.looks.delete(node.id)
        continue
      }
      const known = this.looks.get(node.id)
      const count = known?.reign === reign ? known.count + 1 : 1
      this.looks.set(node.id, { reign, count })
      if (count >= LOOKS_BEFORE_STEPPING_DOWN)
        this.fail(`node ${node.id} leads, and was removed from the voters ${count - 1} s before`)
    }
  }
}

/** It runs and leads, and knows that an entry is committed which takes its vote. */
function leadsRemoved(world: Watched, node: SimNode): boolean {
  const raft = node.quorum?.raft
  if (raft === undefined || !raft.isLeader || node.process?.state !== 'running') return false
  const { configuration, commitIndex } = raft.status()
  const own = world.facts.directories.get(node.id)
  if (configuration.voters.some((voter) => voter.nodeId === node.id && voter.directoryId === own))
    return false
  const entries = raft.entries(raft.firstIndex, raft.lastIndex - raft.firstIndex + 1)
  const newest = entries.filter(({ type }) => type === 'configuration').at(-1)
  return newest === undefined || newest.index <= commitIndex
}

/** The last of a node's log below an index; undefined: a snapshot holds it, and nobody's log showed it. */
function configurationBelow(world: Watched, now: RaftState, below: LogIndex): ConfigurationEntry | undefined {
  const own = now.raft.entries(now.firstIndex, below - now.firstIndex)
  for (const entry of [...own].reverse()) if (entry.type === 'configuration') return entry
  const { committed } = world.facts
  for (let index = now.firstIndex - 1; index > 0; index--) {
    const known = committed[index]
    if (known === undefined) return undefined
    if (known.entry === undefined) return undefined
    if (known.entry.type === 'configuration') return known.entry
  }
  return undefined
}

/** How many voters are in one of the sets alone. */
function difference(a: readonly Voter[], b: readonly Voter[]): number {
  const onlyIn = (these: readonly Voter[], others: readonly Voter[]): number =>
    these.filter(
      (voter) =>
        !others.some((other) => other.nodeId === voter.nodeId && other.directoryId === voter.directoryId),
    ).length
  return onlyIn(a, b) + onlyIn(b, a)
}

function textOf(voters: readonly Voter[]): string {
  return voters.map(({ nodeId, directoryId }) => `${nodeId}@${directoryId.slice(0, 4)}`).join('/') || 'nobody'
}
