import { errorName } from '../wire/errors.js'
import type { Invocation } from './command.js'
import { failure, unreachable } from './errors.js'
import {
  InspectClient,
  type InspectStatus,
  inspectAddresses,
  type MembershipCommand,
} from './inspect-client.js'
import { print, printJson } from './output.js'

/** What `kogge raft members …` share: asking every node, and one change through one of them. */

export interface Reached {
  readonly address: string
  readonly status: InspectStatus
}

export interface Member {
  nodeId: number
  directoryId: string
  role: 'leader' | 'voter' | 'observer'
  /** Known to be durable there; null: nobody knows it. */
  matchIndex: number | null
  lag: number | null
  /** Milliseconds since it was last heard by the leader; null: never. */
  lastHeardMs: number | null
  address: string | null
}

const MAX_TIMEOUT_MS = 120_000

/** Every node that answers; the leader first. */
export async function reachedNodes(invocation: Invocation): Promise<Reached[]> {
  const addresses = await inspectAddresses(invocation)
  const answers = await Promise.all(addresses.map(ask))
  const reached = answers.filter((answer) => answer !== undefined)
  if (reached.length === 0) {
    throw unreachable(`No node answers over gRPC at ${addresses.join(', ')}. Is the cluster running?`)
  }
  // Of several that think they lead the newest does.
  return reached.sort((a, b) => rank(b) - rank(a))
}

function rank({ status: { quorum } }: Reached): number {
  return (quorum.role === 'leader' ? 0.5 : 0) + quorum.term
}

async function ask(address: string): Promise<Reached | undefined> {
  const client = new InspectClient(address)
  try {
    return { address, status: await client.status() }
  } catch {
    return undefined // told as unreachable where nobody answers
  } finally {
    client.close()
  }
}

/** As the best informed node sees them, by node id. */
export function membersOf(reached: readonly Reached[]): Member[] {
  const { quorum, monotonicMs } = reached[0]!.status
  const addressOf = (nodeId: number): string | null => {
    const known = quorum.addresses.find((address) => address.nodeId === nodeId)
    return known === undefined ? null : `${known.host}:${known.port}`
  }
  const isLeader = quorum.role === 'leader'
  const seen = isLeader
    ? [
        {
          voter: { nodeId: quorum.nodeId, directoryId: quorum.directoryId },
          matchIndex: quorum.lastIndex,
          lastContactMs: monotonicMs,
        },
        ...quorum.progress,
      ]
    : []
  const memberOf = (nodeId: number, directoryId: string): Member => {
    const known = seen.find(({ voter }) => voter.nodeId === nodeId && voter.directoryId === directoryId)
    const isVoter = quorum.voters.some(
      (voter) => voter.nodeId === nodeId && voter.directoryId === directoryId,
    )
    const isHeard = known !== undefined && known.lastContactMs >= 0
    return {
      nodeId,
      directoryId,
      role: quorum.leader === nodeId ? 'leader' : isVoter ? 'voter' : 'observer',
      matchIndex: known?.matchIndex ?? null,
      lag: known === undefined ? null : quorum.lastIndex - known.matchIndex,
      lastHeardMs: isHeard ? Math.max(0, Math.round(monotonicMs - known.lastContactMs)) : null,
      address: addressOf(nodeId),
    }
  }
  const members = quorum.voters.map(({ nodeId, directoryId }) => memberOf(nodeId, directoryId))
  for (const { voter } of seen) {
    const isKnown = members.some((m) => m.nodeId === voter.nodeId && m.directoryId === voter.directoryId)
    if (!isKnown && voter.directoryId !== '') members.push(memberOf(voter.nodeId, voter.directoryId))
  }
  return members.sort((a, b) => a.nodeId - b.nodeId)
}

/** Node ids as people type them. */
export function nodeIdOf(invocation: Invocation): number {
  const text = invocation.positionals[0]!
  const nodeId = /^\d{1,10}$/.test(text) ? Number(text) : -1
  if (nodeId >= 0 && nodeId <= 0x7fffffff) return nodeId
  throw invocation.usage(`'${text}' is no node id.`)
}

export function directoryOf(invocation: Invocation): string | undefined {
  const directory = invocation.text('directory')
  if (directory === undefined || /^[A-Za-z0-9_-]{22}$/.test(directory)) return directory
  throw invocation.usage(`--directory ${directory} is no directory id of 22 characters.`)
}

/** Sends the change once, through the leader where it answers, and prints what became of it. */
export async function changeMembers(
  invocation: Invocation,
  reached: readonly Reached[],
  command: MembershipCommand,
  done: string,
): Promise<void> {
  const json = invocation.wantsJson()
  const timeoutMs = Math.min(invocation.timeoutMs(), MAX_TIMEOUT_MS)
  const { address } = reached[0]!
  const client = new InspectClient(address)
  try {
    const { errorCode, errorMessage } = await client.changeVoters(command, timeoutMs)
    if (errorCode !== 0) throw failure(`${errorName(errorCode)}: ${errorMessage}`)
  } catch (error) {
    const { code, details } = error as { code?: number; details?: string }
    if (code === undefined) throw error
    throw unreachable(
      `The node at ${address} did not tell what became of the change (${details}). See 'kogge raft members'.`,
    )
  } finally {
    client.close()
  }
  const { type, ...change } = command
  if (json) printJson({ done: type, ...change })
  else print(done)
}
