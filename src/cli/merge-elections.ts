import type { PartitionElections, PostMortem, RaftElection } from '../broker/post-mortems/types.js'
import type { ListElectionsReply } from './inspect-client.js'

/** One change, from all who saw it. */
export interface SeenElection {
  readonly election: PostMortem
  readonly seenBy: readonly number[]
}

interface View<E extends PostMortem = PostMortem> {
  readonly nodeId: number
  readonly election: E
}

interface Change {
  readonly views: View[]
  election: PostMortem
}

/** Who tells of a change later than this after the first was away meanwhile: its times are those of its return. */
const LATE_MS = 1_000

/** The nodes tell of the same changes, each by its own clock; in the order in which they came. */
export function mergeElections(replies: readonly ListElectionsReply[]): SeenElection[] {
  const byKey = new Map<string, Change>()
  const orders = replies.map(({ nodeId, elections }) => {
    const order: Change[] = []
    // Newest first: a topic that was deleted and created again has the same epochs again.
    const timesSeen = new Map<string, number>()
    for (const election of elections.toSorted((a, b) => b.sequence - a.sequence)) {
      const name = keyOf(election)
      const nth = timesSeen.get(name) ?? 0
      timesSeen.set(name, nth + 1)
      const key = `${name}/${nth}`
      let change = byKey.get(key)
      if (change === undefined) byKey.set(key, (change = { views: [], election }))
      change.views.push({ nodeId, election })
      order.push(change)
    }
    return order.reverse()
  })
  for (const change of byKey.values()) change.election = combine(change.views)
  nameFormerLeaders([...byKey.values()])
  const told = toldOtherwise(byKey.values())
  return inOrder(orders)
    .filter(({ election }) => !told(election))
    .map(({ election, views }) => ({ election, seenBy: views.map(({ nodeId }) => nodeId) }))
}

export function costMs({ fromMs, untilMs }: PostMortem): number | undefined {
  return fromMs === undefined ? undefined : untilMs - fromMs
}

/** The nodes apply the same records in batches of their own: a partition and its epoch tell the change, not the index. */
function keyOf(election: PostMortem): string {
  if (election.type === 'raft') return `raft/${election.term}/${election.leader}`
  const { formerLeader, cause, partitions } = election
  const first = partitions[0]
  return `partitions/${first?.topic}/${first?.partition}/${first?.leaderEpoch}/${formerLeader}/${cause}`
}

function combine(views: readonly View[]): PostMortem {
  const wallMs = Math.min(...views.map(({ election }) => election.wallMs))
  const raft = views.filter((view): view is View<RaftElection & PostMortem> => view.election.type === 'raft')
  if (raft.length > 0) return { ...ofRaft(raft), wallMs }
  const moves = views as readonly View<PartitionElections & PostMortem>[]
  const elections = moves.map(({ election }) => election)
  // Who applied less at a time has the rest as changes of their own.
  const least = elections.reduce((a, b) => (b.count < a.count ? b : a))
  const { count, partitions } = least
  const index = Math.min(...elections.map((election) => election.index))
  return { ...bestTimed(moves).election, count, partitions, index, wallMs }
}

/** The longest of those that saw it in time; where nobody knows how long it took, whoever learned of it first. */
function bestTimed<E extends PostMortem>(views: readonly View<E>[]): View<E> {
  const first = views.reduce((a, b) => (b.election.wallMs < a.election.wallMs ? b : a))
  const timed = views.filter(({ election }) => costMs(election) !== undefined)
  const inTime = timed.filter(({ election }) => election.wallMs <= first.election.wallMs + LATE_MS)
  if (inTime.length > 0) return inTime.reduce((a, b) => (costMs(b.election)! > costMs(a.election)! ? b : a))
  return timed.length > 0 ? timed.reduce((a, b) => (b.election.wallMs < a.election.wallMs ? b : a)) : first
}

/** When it was over the new leader knows best, why it came about, and since when, the former one. */
function ofRaft(views: readonly View<RaftElection & PostMortem>[]): RaftElection & PostMortem {
  const served = views.filter(({ election }) => !election.noCommit)
  const pool = served.length > 0 ? served : views
  const others = pool.filter(({ nodeId, election }) => nodeId !== election.formerLeader)
  const successor = pool.find(
    ({ nodeId, election }) => nodeId === election.leader && election.fromMs !== undefined,
  )
  const { election } = successor ?? bestTimed(others.length > 0 ? others : pool)
  const { cause } = views.reduce((a, b) => (rank(b) < rank(a) ? b : a)).election
  const merged = { ...election, cause }
  const former = views.find((view) => view.nodeId === view.election.formerLeader)?.election
  if (former === undefined || former === election || former.fromMs === undefined) return merged
  if (former.cause !== cause || rankOfCause(cause) > KNOWN_BY_FORMER) return merged
  // Two clocks: what each of both measured by one bounds their difference.
  const ownMs = costMs(election) ?? 0
  const apartMs = election.wallMs - (former.wallMs - costMs(former)!)
  const outageMs = Math.max(ownMs, Math.min(apartMs, costMs(former)!))
  return { ...merged, fromMs: election.untilMs - outageMs }
}

const CAUSES: readonly (readonly RaftElection['cause'][])[] = [
  ['noQuorum', 'diskStalled', 'stalled'],
  ['transfer', 'configuration'],
  ['leaderDead'],
  ['electionTimeout'],
]
const KNOWN_BY_FORMER = 1
const HEARSAY: readonly RaftElection['cause'][] = ['higherTerm', 'leaderFound', 'started']

/** The less, the better it is known: by whoever resigned, who heard it from there, who campaigned; the others saw a higher term. */
function rank({ nodeId, election }: View<RaftElection & PostMortem>): number {
  return rankOfCause(election.cause) - (nodeId === election.formerLeader ? 0.5 : 0)
}

function rankOfCause(cause: RaftElection['cause']): number {
  if (HEARSAY.includes(cause)) return CAUSES.length + 1
  const found = CAUSES.findIndex((causes) => causes.includes(cause))
  return found === -1 ? CAUSES.length : found
}

/** Not everybody hears of each leader, and who starts knows of none before. */
function nameFormerLeaders(changes: readonly Change[]): void {
  const raft = changes.filter(({ election }) => election.type === 'raft')
  const elections = raft
    .map((change) => ({ change, election: change.election as RaftElection & PostMortem }))
    .sort((a, b) => a.election.term - b.election.term)
  for (let i = 1; i < elections.length; i++) {
    const { change, election } = elections[i]!
    change.election = { ...election, formerLeader: elections[i - 1]!.election.leader }
  }
}

/** What one node knows from a snapshot alone others saw happen. */
function toldOtherwise(changes: Iterable<Change>): (election: PostMortem) => boolean {
  const seen = new Set<string>()
  for (const { election } of changes) {
    if (election.type === 'raft' || election.cause === 'unknown') continue
    for (const moved of election.partitions) seen.add(nameOf(moved))
  }
  return (election) =>
    election.type === 'partitions' &&
    election.cause === 'unknown' &&
    election.partitions.every((moved) => seen.has(nameOf(moved)))
}

function nameOf({ topic, partition, leaderEpoch }: PartitionElections['partitions'][number]): string {
  return `${topic}/${partition}/${leaderEpoch}`
}

/** Each node's own order holds; between what no node saw both of, the log's, and the clocks'. */
function inOrder(orders: readonly Change[][]): Change[] {
  const done = new Set<Change>()
  const next = orders.map(() => 0)
  const sorted: Change[] = []
  for (;;) {
    const heads = new Set<Change>()
    orders.forEach((order, i) => {
      while (next[i]! < order.length && done.has(order[next[i]!]!)) next[i]!++
      if (next[i]! < order.length) heads.add(order[next[i]!]!)
    })
    if (heads.size === 0) return sorted
    const free = [...heads].filter((head) =>
      orders.every((order, i) => {
        const at = order.indexOf(head, next[i]!)
        return at === -1 || at === next[i]
      }),
    )
    // Elections of Raft and of partitions may have reached two nodes in different order.
    const first = (free.length > 0 ? free : [...heads]).reduce((a, b) => (isBefore(b, a) ? b : a))
    done.add(first)
    sorted.push(first)
  }
}

function isBefore({ election: a }: Change, { election: b }: Change): boolean {
  if (a.type === 'partitions' && b.type === 'partitions') {
    for (const moved of a.partitions) {
      const same = b.partitions.find(
        (other) => other.topic === moved.topic && other.partition === moved.partition,
      )
      if (same !== undefined) return moved.leaderEpoch < same.leaderEpoch
    }
    if (a.index !== b.index) return a.index < b.index
  }
  if (a.type === 'raft' && b.type === 'raft') return a.term < b.term
  return a.wallMs < b.wallMs
}
