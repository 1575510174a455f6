import type { LeaderEpoch, NodeId, PartitionEpoch } from '../lib/ids.js'

/**
 * The in-sync replicas as their leader sees them (KIP-497). While a change is on its way to the controller, it may
 * or may not have happened already, so whatever must hold for "the ISR" is asked of the *maximal* ISR: the union of
 * what is committed and what was proposed.
 */
export type IsrState =
  | { readonly type: 'committed'; readonly isr: readonly NodeId[] }
  | { readonly type: 'pendingExpand'; readonly isr: readonly NodeId[]; readonly added: readonly NodeId[] }
  | { readonly type: 'pendingShrink'; readonly isr: readonly NodeId[]; readonly removed: readonly NodeId[] }

/** What is asked of the controller, compare-and-set on both epochs. */
export interface IsrProposal {
  readonly leaderEpoch: LeaderEpoch
  readonly partitionEpoch: PartitionEpoch
  readonly newIsr: readonly NodeId[]
}

/** Every replica that may be in the ISR of the controller's mind: an acknowledged record is on all of them. */
export function maximalIsr(state: IsrState): readonly NodeId[] {
  return state.type === 'pendingExpand' ? [...state.isr, ...state.added] : state.isr
}

/** What the ISR becomes when the pending change succeeds. */
export function proposedIsr(state: IsrState): readonly NodeId[] {
  switch (state.type) {
    case 'committed':
      return state.isr
    case 'pendingExpand':
      return maximalIsr(state)
    case 'pendingShrink':
      return state.isr.filter((id) => !state.removed.includes(id))
  }
}

export function sameMembers(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id))
}
