import type { PartitionElections, PartitionFilter, RaftElection } from '../../broker/post-mortems/types.js'
import { CLIENT_OPTIONS, type Command, type Invocation } from '../command.js'
import { failure, unreachable } from '../errors.js'
import {
  INSPECT_OPTION,
  InspectClient,
  inspectAddresses,
  type ListElectionsReply,
} from '../inspect-client.js'
import { costMs, mergeElections, type SeenElection } from '../merge-elections.js'
import { note, plural, print, printJson, table } from '../output.js'

export const command: Command = {
  name: 'raft elections',
  summary:
    'Shows the last changes of leadership, of Raft and of partitions: why each came, from when to when, what it cost.',
  synopsis: '[options]',
  positionals: [0, 0],
  options: {
    limit: { type: 'string', placeholder: 'n', help: 'So many of the newest (default 20, at most 1000).' },
    topic: { type: 'string', placeholder: 'name', help: "Only changes of this topic's partitions." },
    partition: { type: 'string', placeholder: 'n', help: 'Only changes of partitions of this number.' },
    ...INSPECT_OPTION,
    ...CLIENT_OPTIONS,
  },
  example: 'kogge raft elections --limit 50',
  run,
}

const DEFAULT_LIMIT = 20
const MAX_LIMIT = 1_000
const MAX_PARTITION = 2 ** 31 - 1
/** In a line of the table; `-o json` names what the nodes name. */
const NAMED = 3

async function run(invocation: Invocation): Promise<void> {
  const json = invocation.wantsJson()
  const limit = invocation.wholeNumber('limit', 1, MAX_LIMIT) ?? DEFAULT_LIMIT
  const addresses = await inspectAddresses(invocation)
  const filter = {
    topic: invocation.text('topic'),
    partition: invocation.wholeNumber('partition', 0, MAX_PARTITION),
  }
  const answers = await Promise.all(addresses.map((address) => ask(address, filter)))
  const replies = answers.filter((answer) => answer !== undefined)
  if (replies.length === 0) {
    throw unreachable(`No node answers over gRPC at ${addresses.join(', ')}. Is the cluster running?`)
  }
  addresses.forEach((address, i) => {
    if (answers[i] === undefined) note(`kogge: ${address} does not answer; what only it saw is missing`)
  })
  const merged = mergeElections(replies).slice(-limit)
  // One that was deleted may have had some.
  if (merged.length === 0 && replies.every(({ topicExists }) => topicExists === false))
    throw failure(`There is no topic ${filter.topic} (UNKNOWN_TOPIC_OR_PARTITION)`)
  if (json)
    printJson(
      merged.map(({ election, seenBy }) => ({ ...election, costMs: costMs(election) ?? null, seenBy })),
    )
  else print(table(['TIME', 'WHAT', 'CAUSE', 'FROM', 'TO', 'COST', 'COURSE'], merged.map(row)))
}

async function ask(address: string, filter: PartitionFilter): Promise<ListElectionsReply | undefined> {
  const client = new InspectClient(address)
  try {
    return await client.elections(0, filter)
  } catch {
    return undefined // told as a note
  } finally {
    client.close()
  }
}

/** As the table shows it. */
export function row({ election }: SeenElection): (string | number)[] {
  const isRaft = election.type === 'raft'
  return [
    new Date(election.wallMs).toISOString().slice(0, 23).replace('T', ' '),
    isRaft ? `Raft, term ${election.term}` : plural(election.count, 'partition'),
    election.cause === 'unknown' ? 'unknown: learnt from a snapshot' : election.cause,
    nodeText(isRaft ? (election.formerLeader ?? -1) : election.formerLeader),
    isRaft ? nodeText(election.leader) : leadersText(election),
    costText(election),
    isRaft ? courseText(election) : partitionsText(election),
  ]
}

/** At least so much where the outage went on. */
function costText(election: SeenElection['election']): string {
  const cost = costMs(election)
  if (cost === undefined) return '?'
  const goesOn = election.type === 'raft' ? election.noCommit : election.partitions[0]?.leader === -1
  return `${goesOn ? '> ' : ''}${cost.toFixed(0)} ms`
}

function partitionsText({ count, partitions }: PartitionElections): string {
  const named = partitions.slice(0, NAMED).map(({ topic, partition }) => `${topic}-${partition}`)
  return count > named.length ? `${named.join(', ')} and ${count - named.length} more` : named.join(', ')
}

function leadersText({ partitions }: PartitionElections): string {
  const leaders = [...new Set(partitions.map(({ leader }) => leader))].sort((a, b) => a - b)
  return leaders.map(nodeText).join(', ')
}

function courseText({ fromMs, noticedMs, electedMs, untilMs, noCommit }: RaftElection): string {
  const start = fromMs ?? noticedMs
  const after = (ms: number) => `${(ms - start).toFixed(0)}`
  const end = noCommit ? `no commit by ${after(untilMs)} ms` : `committing at ${after(untilMs)} ms`
  return `noticed at ${after(noticedMs)}, elected at ${after(electedMs)}, ${end}`
}

function nodeText(node: number): string {
  return node === -1 ? 'none' : String(node)
}
