import type { Configuration, Entry, Voter } from '../../src/raft/types.js'
import type { Harness, HarnessNode } from './harness.js'

/** Watches every effect and message; a violation names the seed, which replays the run. */
export class Invariants {
  private readonly leaders = new Map<number, number>()
  private readonly votes = new Map<string, string>()
  private readonly committed = new Map<number, string>()
  private readonly commits = new Map<number, number>()
  private readonly terms = new Map<number, number>()
  private readonly configurations = new Map<number, Configuration>()
  /** What had committed somewhere when the read was asked for. */
  private readonly reads = new Map<number, number>()
  private newest = 0
  readsDone = 0
  /** Directories that are gone: what they held counts no more. */
  readonly wiped = new Set<string>()

  constructor(
    private readonly world: Harness,
    private readonly seed: number,
  ) {
    world.onEffect = (node, effect) => {
      if (effect.type === 'roleChanged' && effect.role === 'leader') this.onLeader(node, effect.term)
      if (effect.type === 'apply') {
        for (const entry of effect.entries) {
          const text = `${entry.term} ${entry.type} ${entry.type === 'data' ? Buffer.from(entry.payload) : ''}`
          const known = this.committed.get(entry.index)
          this.check(known === undefined || known === text, `index ${entry.index} holds ${known} and ${text}`)
          this.committed.set(entry.index, text)
          this.newest = Math.max(this.newest, entry.index)
          if (entry.type === 'configuration') this.onConfiguration(entry.index, entry.configuration)
        }
        if (node.node.isLeader) this.checkCommit(node, effect.entries)
      }
      if (effect.type === 'readReady') {
        const least = this.reads.get(effect.requestId) ?? 0
        this.check(effect.index >= least, `node ${node.id} reads at ${effect.index}, ${least} had committed`)
        this.readsDone++
      }
    }
    world.onSend = ({ from, to, message }) => {
      const durable = world.node(from).disk.hardState
      if (message.type === 'preVote') {
        this.check(message.term <= durable.term + 1, 'a pre-vote asks under the next term')
        return
      }
      // 2: what a message tells of is durable.
      this.check(
        message.term <= durable.term,
        `node ${from} tells of term ${message.term} before it is durable`,
      )
      if (message.type === 'voteReply' && message.granted) {
        const key = `${message.term} ${message.voter.nodeId}@${message.voter.directoryId}`
        const known = this.votes.get(key)
        this.check(known === undefined || known === String(to), `${key} voted for ${known} and ${to}`)
        this.votes.set(key, String(to))
      }
      if (message.type === 'appendReply' && message.success) {
        const { entries, snapshot } = world.node(from).disk
        const last = entries.at(-1)?.index ?? snapshot?.index ?? 0
        this.check(
          message.matchIndex <= last,
          `node ${from} acknowledges ${message.matchIndex} and holds ${last}`,
        )
      }
    }
  }

  restarted(node: HarnessNode): void {
    this.commits.delete(node.id)
  }

  /** Another directory is another voter: nothing of the old one is held against it. */
  wipe(node: HarnessNode): void {
    this.wiped.add(node.directoryId)
    this.commits.delete(node.id)
    this.terms.delete(node.id)
  }

  read(requestId: number): void {
    this.reads.set(requestId, this.newest)
  }

  get changes(): number {
    return this.configurations.size
  }

  /** After each step. */
  checkAll(): void {
    for (const node of this.world.nodes.values()) {
      if (node.isDown) continue
      const { commitIndex, term } = node.node.status()
      this.check(commitIndex >= (this.commits.get(node.id) ?? 0), `node ${node.id}'s commit index went back`)
      this.commits.set(node.id, commitIndex)
      const { term: durableTerm } = node.disk.hardState
      this.check(durableTerm >= (this.terms.get(node.id) ?? 0), `node ${node.id}'s term went back on disk`)
      this.check(term >= durableTerm, 'the term in memory is behind the disk')
      this.terms.set(node.id, durableTerm)
    }
    this.checkLogMatching()
  }

  private onLeader(node: HarnessNode, term: number): void {
    const known = this.leaders.get(term)
    this.check(known === undefined, `term ${term} is led by ${known} and ${node.id}, or again by it`)
    this.leaders.set(term, node.id)
    // 12: who is no voter never leads, nor who knows that its removal has committed.
    this.check(this.mayLead(node), `node ${node.id} leads and is no voter`)
    // 5: whatever has committed is in its log.
    const { firstIndex, lastIndex } = node.node
    for (const [index, text] of this.committed) {
      this.check(index <= lastIndex, `leader ${node.id} lacks the committed entry ${index}`)
      if (index < firstIndex) continue
      const entry = node.node.entries(index, 1)[0]!
      this.check(String(entry.term) === text.split(' ')[0], `leader ${node.id} has another entry ${index}`)
    }
  }

  /** 4: two logs with the same term at an index are the same up to it. */
  private checkLogMatching(): void {
    const running = [...this.world.nodes.values()].filter((node) => !node.isDown)
    for (const a of running) {
      for (const b of running) {
        if (a.id >= b.id) continue
        const first = Math.max(a.node.firstIndex, b.node.firstIndex)
        let index = Math.min(a.node.lastIndex, b.node.lastIndex)
        while (index >= first && a.node.termAt(index) !== b.node.termAt(index)) index--
        for (; index >= first; index--) {
          const same = a.node.termAt(index) === b.node.termAt(index)
          this.check(same, `the logs of ${a.id} and ${b.id} part before ${index}`)
        }
      }
    }
  }

  /** Raft thesis §4.2.2: the removal may be what it has to commit. */
  private mayLead(node: HarnessNode): boolean {
    const { configuration, firstIndex, commitIndex } = node.node.status()
    const counts = ({ voters }: Configuration): boolean =>
      voters.some((voter) => voter.directoryId === node.directoryId)
    if (counts(configuration)) return true
    const uncommitted = node.node
      .entries(Math.max(firstIndex, commitIndex + 1), Number.MAX_SAFE_INTEGER)
      .filter((entry) => entry.type === 'configuration')
    const newest = uncommitted.at(-1)
    if (newest === undefined) return false
    const before = uncommitted.at(-2)?.configuration ?? this.configurationBefore(newest.index)
    return before !== undefined && counts(before)
  }

  /** The committed one. */
  private configurationBefore(index: number): Configuration | undefined {
    const earlier = [...this.configurations.keys()].filter((other) => other < index)
    return this.configurations.get(Math.max(0, ...earlier))
  }

  /** KIP-853: one voter at a time. */
  private onConfiguration(index: number, configuration: Configuration): void {
    const before = this.configurationBefore(index)
    this.configurations.set(index, configuration)
    if (before === undefined) return
    const ids = (voters: readonly Voter[]): string[] => voters.map((voter) => voter.directoryId)
    const [was, is] = [ids(before.voters), ids(configuration.voters)]
    const changed = was.filter((id) => !is.includes(id)).length + is.filter((id) => !was.includes(id)).length
    this.check(changed === 1, `the configuration at ${index} changes ${changed} voters`)
  }

  /** 8, 12: what a leader commits is durable on a majority of the voters that count, and on no learners instead. */
  private checkCommit(leader: HarnessNode, entries: readonly Entry[]): void {
    const last = entries.at(-1)
    if (last === undefined) return
    const { voters } = leader.node.status().configuration
    let holders = 0
    for (const { nodeId, directoryId } of voters) {
      const { disk, directoryId: now } = this.world.node(nodeId)
      if (this.wiped.has(directoryId)) holders++
      else if (now === directoryId && disk.holds(last.index, last.term)) holders++
    }
    const needed = Math.floor(voters.length / 2) + 1
    this.check(
      holders >= needed,
      `leader ${leader.id} commits ${last.index}, durable on ${holders} of ${voters.length}`,
    )
  }

  /** 8: the newest committed entry is durable on a majority of the three voters that never change. */
  checkDurableMajority(): void {
    const newest = Math.max(0, ...this.committed.keys())
    if (newest === 0) return
    const term = Number(this.committed.get(newest)!.split(' ')[0])
    let holders = 0
    for (const node of this.world.nodes.values()) {
      if (node.id <= 3 && node.disk.holds(newest, term)) holders++
    }
    this.check(holders >= 2, `the committed entry ${newest} is durable on ${holders} of three`)
  }

  private check(condition: boolean, what: string): void {
    if (!condition) throw new Error(`seed ${this.seed}: ${what}`)
  }
}
