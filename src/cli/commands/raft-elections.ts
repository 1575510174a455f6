import type { PartitionElections, PostMortem, RaftElection } from '../../broker/post-mortems/types.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { unreachable } from '../errors.js'
import {
  INSPECT_OPTION,
  InspectClient,
  inspectAddresses,
  type ListElectionsReply,
} from '../inspect-client.js'
import { note, plural, print, printJson, table } from '../output.js'

export const command: Command = {
  name: 'raft elections',
  summary:
    'Shows the last changes of leadership, of Raft and of partitions: why each came, from when to when, what it cost.',
  synopsis: '[options]',
  positionals: [0, 0],
  options: {
    limit: { type: 'string', placeholder: 'n', help: 'So many of the newest (default 20, at most 1000).' },
    ...INSPECT_OPTION,
    ...CLIENT_OPTIONS,
  },
  example: 'kogge raft elections --limit 50',
  run,
}

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 1_000

/** One change as the node saw it that measured the longest outage. */
export interface SeenElection {
  readonly election: PostMortem
  readonly seenBy: readonly number[]
}

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const limit = invocation.wholeNumber('limit', 1, MAX_LIMIT) ?? DEFAULT_LIMIT
  const addresses = await inspectAddresses(invocation)
  const answers = await Promise.all(addresses.map(ask))
  const replies = answers.filter((answer) => answer !== undefined)
  if (replies.length === 0) {
    throw unreachable(`No node answers over gRPC at ${addresses.join(', ')}. Is the cluster running?`)
  }
  addresses.forEach((address, i) => {
    if (answers[i] === undefined) note(`kogge: ${address} does not answer; what only it saw is missing`)
  })
  const merged = merge(replies).slice(-limit)
  if (json)
    printJson(
      merged.map(({ election, seenBy }) => ({ ...election, costMs: costMs(election) ?? null, seenBy })),
    )
  else print(table(['TIME', 'WHAT', 'CAUSE', 'FROM', 'TO', 'COST', 'COURSE'], merged.map(row)))
}

async function ask(address: string): Promise<ListElectionsReply | undefined> {
  const client = new InspectClient(address)
  try {
    return await client.elections(0)
  } catch {
    return undefined // told as a note
  } finally {
    client.close()
  }
}

/** The nodes tell of the same changes, each by its own clock; oldest first. */
export function merge(replies: readonly ListElectionsReply[]): SeenElection[] {
  const byChange = new Map<string, { election: PostMortem; seenBy: number[] }>()
  for (const { nodeId, elections } of replies) {
    // Newest first: a topic that was deleted and created again has the same epochs again.
    const timesSeen = new Map<string, number>()
    for (const election of elections.toReversed()) {
      const change = keyOf(election)
      const nth = timesSeen.get(change) ?? 0
      timesSeen.set(change, nth + 1)
      const key = `${change}/${nth}`
      const known = byChange.get(key)
      if (known === undefined) {
        byChange.set(key, { election, seenBy: [nodeId] })
        continue
      }
      known.seenBy.push(nodeId)
      known.election = ofBoth(known.election, election)
    }
  }
  return [...byChange.values()].sort((a, b) => a.election.wallMs - b.election.wallMs)
}

/** The longer outage, or where nobody knows it who learned of it first; and the cause by whoever campaigned: the others only saw a higher term, or the new leader. */
function ofBoth(one: PostMortem, other: PostMortem): PostMortem {
  const [costOfOne, costOfOther] = [costMs(one) ?? -1, costMs(other) ?? -1]
  const isOther = costOfOther === costOfOne ? other.wallMs < one.wallMs : costOfOther > costOfOne
  const longer = isOther ? other : one
  if (longer.type !== 'raft' || !HEARSAY.has(longer.cause)) return longer
  const { cause } = longer === one ? other : one
  return { ...longer, cause: cause as RaftElection['cause'] }
}

const HEARSAY: ReadonlySet<string> = new Set<RaftElection['cause']>(['higherTerm', 'leaderFound', 'started'])

/** The nodes apply the same records in batches of their own: a partition and its epoch tell the change, not the index. */
function keyOf(election: PostMortem): string {
  if (election.type === 'raft') return `raft/${election.term}/${election.leader}`
  const { formerLeader, cause, partitions } = election
  const first = partitions[0]
  return `partitions/${first?.topic}/${first?.partition}/${first?.leaderEpoch}/${formerLeader}/${cause}`
}

function costMs({ fromMs, untilMs }: PostMortem): number | undefined {
  return fromMs === undefined ? undefined : untilMs - fromMs
}

function row({ election }: SeenElection): (string | number)[] {
  const cost = costMs(election)
  const isRaft = election.type === 'raft'
  return [
    new Date(election.wallMs).toISOString().slice(0, 23).replace('T', ' '),
    isRaft ? `Raft, term ${election.term}` : partitionsText(election),
    election.cause,
    nodeText(isRaft ? (election.formerLeader ?? -1) : election.formerLeader),
    isRaft ? nodeText(election.leader) : leadersText(election),
    cost === undefined ? '?' : `${cost.toFixed(0)} ms`,
    isRaft ? courseText(election) : '',
  ]
}

function partitionsText({ count, partitions }: PartitionElections): string {
  const [first] = partitions
  return count === 1 && first !== undefined ? `${first.topic}-${first.partition}` : plural(count, 'partition')
}

function leadersText({ partitions }: PartitionElections): string {
  const leaders = [...new Set(partitions.map(({ leader }) => leader))].sort((a, b) => a - b)
  return leaders.map(nodeText).join(', ')
}

function courseText({ fromMs, noticedMs, electedMs, untilMs }: RaftElection): string {
  const start = fromMs ?? noticedMs
  const after = (ms: number) => `${(ms - start).toFixed(0)}`
  return `noticed at ${after(noticedMs)}, elected at ${after(electedMs)}, committing at ${after(untilMs)} ms`
}

function nodeText(node: number): string {
  return node === -1 ? 'none' : String(node)
}
