import type { NodeId } from '../lib/ids.js'
import type { Voter } from './types.js'

/**
 * Changes of the voter set, one voter at a time (KIP-853, Raft thesis §4.1 to §4.3). A voter is a node together with
 * its directory: a node whose disk was wiped is removed under its old directory first and added under the new one.
 */
export type MembershipChange =
  /** The node must run and answer from that very directory; it is replicated to from now on and added once it has caught up. */
  | { type: 'addVoter'; voter: Voter }
  /** `addVoter` for a node that is replicated to already, with the directory that it last answered from. */
  | { type: 'promote'; nodeId: NodeId }
  /** The leader itself may be removed: it leads until that commits, hands over and steps down. */
  | {
      type: 'removeVoter'
      voter: Voter
      /** Not while it answers: for who takes a voter's place on the grounds that it is gone. */
      onlyIfSilent?: boolean | undefined
    }

export type MembershipStage =
  /** The new voter catches up; nothing is appended yet. */
  | 'catchingUp'
  /** The configuration entry is appended, and counts. */
  | 'committing'

/**
 * Why a change failed. Nothing was appended, except where it says so.
 *
 * May be tried again:
 * - notLeader: this node does not lead (any more): ask the leader.
 * - transferring: leadership is being handed over.
 * - notReady: no entry of the leader's own term has committed yet (the single-server change bug of 2015).
 * - changeInProgress: another change has not committed yet.
 * - notCaughtUp: the new voter answers, and lags too far behind or too slowly.
 * - unreachable: the new voter did not answer in time.
 * - noQuorum: too few of the voters that would remain answer at present: the change would stop the cluster.
 * - voterAlive: it was to be removed only if it is silent, and has answered within an election time-out.
 * - outcomeUnknown: it **was appended**, and the leadership was lost before its commit: look at the voters.
 *
 * Will fail again as it stands:
 * - duplicateVoter: the node is a voter, under this directory or another one (DUPLICATE_VOTER).
 * - voterNotFound: no voter has this node id and directory id (VOTER_NOT_FOUND).
 * - wrongDirectory: the node answers from another directory than the one that was named.
 * - unknownLearner: to be promoted, but it is a node that is not replicated to.
 * - lastVoter: the only voter cannot be removed.
 * - cancelled: by `cancelMembership`.
 */
export type MembershipFailure =
  | 'notLeader'
  | 'transferring'
  | 'notReady'
  | 'changeInProgress'
  | 'notCaughtUp'
  | 'unreachable'
  | 'noQuorum'
  | 'voterAlive'
  | 'outcomeUnknown'
  | 'duplicateVoter'
  | 'voterNotFound'
  | 'wrongDirectory'
  | 'unknownLearner'
  | 'lastVoter'
  | 'cancelled'
