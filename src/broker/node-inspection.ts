import type { LogIndex, NodeId, Term } from '../lib/ids.js'
import type { CommandContext } from '../metadata/commands.js'
import type { MetadataRecord } from '../metadata/records.js'
import type { Voter } from '../raft/types.js'
import { ErrorCode } from '../wire/errors.js'
import type { MembershipCommand } from './quorum/membership.js'
import type { QuorumControl } from './quorum/options.js'

/** What whoever may inspect a node sees of its quorum, and may ask of it. */

export type CommittedEntry =
  | { type: 'data'; index: LogIndex; term: Term; records: readonly MetadataRecord[] }
  | { type: 'noOp'; index: LogIndex; term: Term }
  | { type: 'configuration'; index: LogIndex; term: Term; voters: readonly Voter[] }

const INSPECTION: CommandContext = {
  principal: 'User:ANONYMOUS',
  clientId: 'inspect',
  clientAddress: '',
  listener: 'INSPECT',
}

/** Committed entries of the metadata log, decoded. */
export function committedLog(quorum: QuorumControl, from: LogIndex, limit: number): CommittedEntry[] {
  const { commitIndex } = quorum.status()
  return quorum
    .readLog(from, limit)
    .filter((entry) => entry.index <= commitIndex)
    .map(({ type, index, term, records, configuration }) => {
      if (type === 'noOp') return { type, index, term }
      if (type === 'data') return { type, index, term, records }
      return { type, index, term, voters: configuration?.voters ?? [] }
    })
}

/** A change of the voters, wherever the leader is (KIP-853). Returns what calls it off. */
export function changeVoters(
  quorum: QuorumControl,
  command: MembershipCommand,
  timeoutMs: number,
  done: (reply: { errorCode: number; errorMessage: string }) => void,
): () => void {
  return quorum.submit(command, INSPECTION, timeoutMs, (reply) => {
    if (reply.type === command.type || reply.type === 'failed') {
      const { errorCode, errorMessage } = reply as { errorCode: number; errorMessage: string }
      return done({ errorCode, errorMessage })
    }
    const errorMessage = `the controller answered ${reply.type} to ${command.type}`
    done({ errorCode: ErrorCode.UNKNOWN_SERVER_ERROR, errorMessage })
  })
}

/** Begins to hand Raft's leadership over; a sentence where it cannot be. */
export function requestTransfer(quorum: QuorumControl, to: NodeId | undefined): string | undefined {
  const { role, voters, nodeId } = quorum.status()
  if (role !== 'leader') return `node ${nodeId} does not lead: ask the leader`
  if (to !== undefined && !voters.some((voter) => voter.nodeId === to)) return `node ${to} is no voter`
  quorum.transferLeadership(to, () => {})
  return undefined
}
