import { DEFAULT_RAFT_LIMITS } from '../../src/raft/api.js'
import { Founding, type FoundingOutcome } from '../../src/raft/founding.js'
import type { MembershipChange } from '../../src/raft/membership.js'
import type { Entry, RaftMessage, Voter } from '../../src/raft/types.js'
import { entryText, Harness, type HarnessNode, type InFlight } from './harness.js'

/**
 * A story: a head of '#' lines, then blocks of command lines, '----', and what they bring about, up to an empty line.
 * Commands: see `COMMANDS`. The node's number comes first.
 */
export function tell(text: string): string {
  const story = new Story()
  const out: string[] = []
  let commands: string[] = []
  let skipping = false
  for (const line of text.split('\n')) {
    if (skipping) {
      if (line === '') skipping = false
      continue
    }
    if (line !== '----') {
      out.push(line)
      if (line !== '' && !line.startsWith('#')) commands.push(line)
      continue
    }
    out.push('----', ...story.tell(commands))
    commands = []
    skipping = true
    out.push('')
  }
  return `${out.join('\n').trimEnd()}\n`
}

const COMMANDS: Record<string, (story: Story, args: string[]) => void> = {
  /** nodes <voters> [<observers>] [<limit>=<number>…] */
  nodes: (story, args) => story.open(args),
  /** campaign <node>: its election deadline passes. */
  campaign: (story, [id]) => {
    const node = story.node(id)
    story.world.nowMs = Math.max(story.world.nowMs, node.node.nextDeadlineMs)
    node.input({ type: 'tick' })
  },
  /** tick <node> <ms>: time passes, and this node alone looks at the clock. */
  tick: (story, [id, ms]) => {
    story.world.nowMs += Number(ms)
    story.node(id).input({ type: 'tick' })
  },
  /** advance <ms>: time passes for all, messages flow. */
  advance: (story, [ms]) => story.world.advance(Number(ms)),
  /** deliver [<from> <to>]: messages, and what they cause, until none is left. */
  deliver: (story, [from, to]) =>
    story.deliver((m) => from === undefined || (m.from === Number(from) && m.to === Number(to))),
  /** beat <node> <rounds>: it ticks each 100 ms; heartbeats and their answers flow, the rest stays under way. */
  beat: (story, [id, rounds]) => {
    for (let round = 0; round < Number(rounds); round++) {
      story.world.nowMs += 100
      story.node(id).input({ type: 'tick' })
      story.deliver(({ message }) => message.type === 'heartbeat' || message.type === 'heartbeatReply')
    }
  },
  /** elect <node>: campaign and deliver without a word. */
  elect: (story, [id]) => {
    story.quietly(() => {
      const node = story.node(id)
      story.world.nowMs = Math.max(story.world.nowMs, node.node.nextDeadlineMs) + 2000
      node.input({ type: 'tick' })
      story.world.deliverAll()
    })
    story.say(story.status(story.node(id)))
  },
  /** quiet <command…> */
  quiet: (story, args) => story.quietly(() => story.command(args.join(' '))),
  /** lose: whatever is under way. */
  lose: (story) => {
    story.world.inFlight = []
  },
  drop: (story, [from, to]) => story.world.cuts.add(`${from}>${to}`),
  heal: (story) => story.world.cuts.clear(),
  /** isolate <node>: both directions, to all. */
  isolate: (story, [id]) => {
    for (const other of story.world.ids) {
      if (other === Number(id)) continue
      story.world.cuts.add(`${id}>${other}`)
      story.world.cuts.add(`${other}>${id}`)
    }
  },
  propose: (story, [id, ...values]) =>
    story.node(id).input({
      type: 'propose',
      payloads: values.map((value) => Buffer.from(value)),
      proposalId: story.nextId++,
    }),
  disk: (story, [id, what]) => {
    const node = story.node(id)
    node.holdsDisk = what === 'hold'
    if (!node.holdsDisk) node.flushAll()
  },
  stop: (story, [id]) => {
    story.node(id).isDown = true
  },
  /** restart <node>: what was not on its disk is lost. */
  restart: (story, [id]) => story.node(id).start(),
  /** wipe <node> <directory>: an empty disk with another directory id. */
  wipe: (story, [id, directory]) => story.node(id).wipe(directory!),
  /** dead <node> <peer>: its dial of the peer was refused. */
  dead: (story, [id, peer]) => {
    const node = story.node(id)
    node.input({ type: 'peerDead', peer: Number(peer) })
    story.say(`${id} will look again in ${node.node.nextDeadlineMs - story.world.nowMs} ms`)
  },
  /** addvoter <leader> <node> [<directory>] [<time-out in ms>] */
  addvoter: (story, [id, node, directory, ms]) =>
    story.change(id, { type: 'addVoter', voter: story.voter(node, directory) }, ms),
  removevoter: (story, [id, node, directory]) =>
    story.change(id, { type: 'removeVoter', voter: story.voter(node, directory) }),
  promote: (story, [id, node, ms]) => story.change(id, { type: 'promote', nodeId: Number(node) }, ms),
  /** cancel <leader> <request>: of a change of membership. */
  cancel: (story, [id, request]) =>
    story.node(id).input({ type: 'cancelMembership', requestId: Number(request) }),
  /** learners <node> [<node>…]: whom it replicates to beside the voters. */
  learners: (story, [id, ...ids]) => story.node(id).input({ type: 'learners', nodeIds: ids.map(Number) }),
  /** voters [<node>…]: those that count for each. */
  voters: (story, ids) => {
    const wanted = ids.length === 0 ? story.world.ids : ids.map(Number)
    for (const id of wanted) story.say(story.votersOf(story.node(String(id))))
  },
  transfer: (story, [id, to]) =>
    story.node(id).input({ type: 'transferLeadership', to: to === undefined ? undefined : Number(to) }),
  leave: (story, [id]) => story.node(id).input({ type: 'leave' }),
  read: (story, [id]) => story.node(id).input({ type: 'readIndex', requestId: story.nextId++ }),
  /** snapshot <node> [<entries to keep>] [<bytes of them>] */
  snapshot: (story, [id, keep, bytes]) =>
    story.node(id).takeSnapshot(Number(keep ?? 0), bytes === undefined ? undefined : Number(bytes)),
  /** damage <from> <to>: one bit of each chunk that is under way. */
  damage: (story, [from, to]) => {
    for (const { from: sender, to: receiver, message } of story.world.inFlight) {
      if (sender !== Number(from) || receiver !== Number(to)) continue
      if (message.type === 'installSnapshot') message.chunk[0]! ^= 1
    }
  },
  /** memory <node>: of a snapshot on its way in. */
  memory: (story, [id]) =>
    story.say(`${id} holds ${story.node(id).node.status().assemblyBytes} bytes of a snapshot on its way`),
  status: (story, ids) => {
    const wanted = ids.length === 0 ? story.world.ids : ids.map(Number)
    for (const id of wanted) story.say(story.status(story.node(String(id))))
  },
  log: (story, [id]) => story.say(story.log(story.node(id))),
  /** founding <voters>: nodes with empty directories d1, d2 … that have not met. */
  founding: (story, [voters]) => story.openFounding(Number(voters)),
  /** founder <node> <directory> [damaged]: it starts with an empty directory, or has lost its Raft log alone. */
  founder: (story, [id, directory, damaged]) =>
    story.startFounder(Number(id), directory!, damaged === undefined),
  /** told <node>: somebody who belongs to a cluster has reached it. */
  told: (story, [id]) => story.tellOfCluster(Number(id)),
  /** grown <node> <directory>…: the cluster that it knows has other voters by now. */
  grown: (story, [id, ...directories]) => story.grow(Number(id), directories),
  /** meetall: each tells each other one, in order. */
  meetall: (story) => story.meetAll(),
  /** meet <from> <to>: `from` tells `to` what it knows. */
  meet: (story, [from, to]) => story.meet(Number(from), Number(to)),
}

interface Founder {
  self: Voter
  founding: Founding
  outcome: FoundingOutcome | undefined
  /** The voters that it counts, where they are no longer the first ones. */
  voters?: Voter[]
}

class Story {
  world!: Harness
  nextId = 1
  private lines: string[] = []
  private isQuiet = false
  private founders = new Map<number, Founder>()
  private founderIds: number[] = []

  tell(commands: readonly string[]): string[] {
    this.lines = []
    for (const command of commands) this.command(command)
    return this.lines.length === 0 ? ['(nothing)'] : this.lines
  }

  command(line: string): void {
    const [name, ...args] = line.trim().split(/\s+/)
    const run = COMMANDS[name!]
    if (run === undefined) throw new Error(`no such command: ${line}`)
    run(this, args)
  }

  say(line: string): void {
    if (!this.isQuiet) this.lines.push(line)
  }

  quietly(run: () => void): void {
    const was = this.isQuiet
    this.isQuiet = true
    run()
    this.isQuiet = was
  }

  node(id: string | undefined): HarnessNode {
    return this.world.node(Number(id))
  }

  deliver(filter: (message: InFlight) => boolean): void {
    this.world.deliverAll(filter)
  }

  open(args: string[]): void {
    const numbers = args.filter((arg) => !arg.includes('=')).map(Number)
    const limits = Object.fromEntries(
      args.filter((arg) => arg.includes('=')).map((arg) => [arg.split('=')[0]!, Number(arg.split('=')[1])]),
    )
    this.world = new Harness(numbers[0]!, numbers[1] ?? 0, 1, { ...DEFAULT_RAFT_LIMITS, ...limits })
    this.world.startAll()
    this.world.onSend = ({ from, to, message }) => this.say(`${from} -> ${to} ${messageText(message)}`)
    this.world.onEffect = (node, effect) => {
      switch (effect.type) {
        case 'roleChanged': {
          const leader = effect.leader === undefined ? 'nobody' : `node ${effect.leader}`
          this.say(`${node.id} is ${effect.role} in term ${effect.term}, led by ${leader} (${effect.cause})`)
          return
        }
        case 'persist': {
          const parts = [
            ...(effect.hardState === undefined
              ? []
              : [`term ${effect.hardState.term} vote ${effect.hardState.vote?.nodeId ?? '-'}`]),
            ...(effect.snapshot === undefined ? [] : [`snapshot ${effect.snapshot.index}`]),
            ...(effect.truncateFrom === undefined ? [] : [`truncate from ${effect.truncateFrom}`]),
            ...(effect.entries.length === 0 ? [] : [`append ${entriesText(effect.entries)}`]),
          ]
          if (parts.length > 0) this.say(`${node.id} writes ${parts.join(', ')}`)
          return
        }
        case 'apply':
          this.say(`${node.id} applies ${entriesText(effect.entries)}`)
          return
        case 'restoreSnapshot':
          this.say(`${node.id} restores the snapshot at ${effect.snapshot.index}`)
          return
        case 'saveSnapshot':
          this.say(`${node.id} saves a snapshot at ${effect.snapshot.index}, cuts up to ${effect.compactTo}`)
          return
        case 'proposalDropped':
          this.say(`${node.id} drops the proposal: ${effect.reason}`)
          return
        case 'readReady':
          this.say(`${node.id} may read at ${effect.index}`)
          return
        case 'readFailed':
          this.say(`${node.id} cannot read: ${effect.reason}`)
          return
        case 'configurationChanged':
          this.say(`${node.id} counts ${votersText(effect.configuration.voters)} since ${effect.index}`)
          return
        case 'membershipAppended':
          this.say(`${node.id} change ${effect.requestId} is appended at ${effect.index}`)
          return
        case 'membershipChanged':
          this.say(`${node.id} change ${effect.requestId} is committed at ${effect.index}`)
          return
        case 'membershipFailed':
          this.say(`${node.id} change ${effect.requestId} failed, ${effect.reason}: ${effect.message}`)
          return
        case 'transferEnded':
          this.say(`${node.id} transfer to ${effect.to ?? 'anyone'} ${effect.done ? 'done' : 'failed'}`)
          return
        default:
          return
      }
    }
  }

  voter(node: string | undefined, directoryId = `d${node}`): Voter {
    return { nodeId: Number(node), directoryId }
  }

  change(leader: string | undefined, change: MembershipChange, ms = '1000'): void {
    const requestId = this.nextId++
    this.node(leader).input({ type: 'changeMembership', requestId, change, catchUpTimeoutMs: Number(ms) })
  }

  votersOf(node: HarnessNode): string {
    if (node.isDown) return `${node.id} is down`
    const { role, configuration, membership } = node.node.status()
    const change = membership === undefined ? '' : `, ${membership.change.type} ${membership.stage}`
    return `${node.id} ${role} counts ${votersText(configuration.voters)}${change}`
  }

  status(node: HarnessNode): string {
    if (node.isDown) return `${node.id} is down`
    const status = node.node.status()
    const { role, term, leader, commitIndex, lastIndex, durableIndex, firstIndex } = status
    return `${node.id} ${role} term ${term} leader ${leader ?? '-'} commit ${commitIndex} log [${firstIndex}, ${lastIndex}] durable ${durableIndex}`
  }

  log(node: HarnessNode): string {
    return `${node.id} ${entriesText(node.node.entries(1, 1000))}`
  }

  openFounding(voters: number): void {
    this.founderIds = Array.from({ length: voters }, (_, i) => i + 1)
    this.founders = new Map()
  }

  startFounder(id: number, directoryId: string, isEmpty: boolean): void {
    const self = { nodeId: id, directoryId }
    const founding = new Founding(self, this.founderIds, isEmpty)
    const founder: Founder = { self, founding, outcome: undefined }
    this.founders.set(id, founder)
    this.settle(founder, founder.founding.tryToFound())
  }

  meet(from: number, to: number): void {
    const teller = this.founders.get(from)!
    const hearer = this.founders.get(to)!
    const { outcome } = teller
    if (outcome === undefined) {
      const view = teller.founding.view()
      this.say(
        `${from} -> ${to} ${view.length === 0 ? 'agrees to nothing' : `empty, sees ${votersText(view)}`}`,
      )
      if (hearer.outcome !== undefined) {
        this.meet(to, from)
        return
      }
      this.settle(hearer, hearer.founding.step({ type: 'empty', self: teller.self, view }))
      return
    }
    const configuration =
      teller.voters !== undefined
        ? { voters: teller.voters }
        : outcome.type === 'joinAsObserver'
          ? outcome.configuration
          : (outcome.entry as Extract<Entry, { type: 'configuration' }>).configuration
    const { clusterId } = outcome
    this.say(`${from} -> ${to} founded ${clusterId}, voters ${votersText(configuration.voters)}`)
    if (hearer.outcome !== undefined) return
    this.settle(
      hearer,
      hearer.founding.step({ type: 'founded', self: teller.self, clusterId, configuration }),
    )
  }

  tellOfCluster(id: number): void {
    const founder = this.founders.get(id)!
    this.settle(founder, founder.founding.step({ type: 'clusterExists' }))
  }

  grow(id: number, directories: readonly string[]): void {
    const founder = this.founders.get(id)!
    founder.voters = directories.map((directoryId) => ({
      nodeId: Number(/\d+/.exec(directoryId)![0]),
      directoryId,
    }))
  }

  meetAll(): void {
    for (const from of this.founders.keys()) {
      for (const to of this.founders.keys()) if (from !== to) this.meet(from, to)
    }
  }

  private settle(founder: Founder, outcome: FoundingOutcome | undefined): void {
    if (outcome === undefined) return
    founder.outcome = outcome
    this.say(`${founder.self.nodeId} ${outcome.type} ${outcome.clusterId}`)
  }
}

function votersText(voters: readonly Voter[]): string {
  return voters.length === 0 ? 'nobody' : voters.map((voter) => voter.directoryId).join(' ')
}

function entriesText(entries: readonly Entry[]): string {
  return `[${entries.map((entry) => `${entry.index}/${entry.term}:${entryText(entry)}`).join(' ')}]`
}

function messageText(message: RaftMessage): string {
  const head = `${message.type} t${message.term}`
  switch (message.type) {
    case 'preVote':
    case 'vote': {
      const resigned = message.type === 'preVote' && message.resigned !== undefined
      const why = resigned ? `, resigned (${message.resigned})` : message.transfer ? ', transfer' : ''
      return `${head} of ${message.voterDirectoryId}, log ${message.lastIndex}/${message.lastTerm}${why}`
    }
    case 'preVoteReply':
    case 'voteReply':
      return `${head} ${message.granted ? 'yes' : 'no'} from ${message.voter.directoryId}`
    case 'append':
      return `${head} after ${message.previousIndex}/${message.previousTerm} ${entriesText(message.entries)} commit ${message.commitIndex}`
    case 'appendReply':
      return message.success
        ? `${head} match ${message.matchIndex}`
        : `${head} conflict, try ${message.conflictIndex}/${message.conflictTerm}`
    case 'heartbeat':
      return `${head} commit ${message.commitIndex} read ${message.readContext}`
    case 'heartbeatReply':
      return `${head} last ${message.lastIndex} read ${message.readContext}`
    case 'installSnapshot':
      return `${head} ${message.index}/${message.snapshotTerm} bytes ${message.offset}+${message.chunk.length} of ${message.totalBytes}`
    case 'installSnapshotReply':
      return `${head} ${message.index} next ${message.nextOffset}${message.done ? ' done' : ''}`
    case 'timeoutNow':
      return head
  }
}
