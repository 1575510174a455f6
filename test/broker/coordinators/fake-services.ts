import type { CoordinatorServices } from '../../../src/broker/coordinators/group-runtime.js'
import type { LeadershipEvent } from '../../../src/broker/partitions/types.js'
import type { AppendResult, MetadataChange } from '../../../src/broker/services.js'
import { SeededRandom } from '../../../src/lib/prng.js'
import type { ControllerCommand } from '../../../src/metadata/commands.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { BatchView } from '../../../src/wire/records.js'

export const TOPIC_ID = 'offsetsTopicUuid0000AA'
const NODE = 1

/** Time that a test moves by hand; inputs run in the order of their times. */
export class ManualClock {
  nowMs = 0
  /** As a loop has them: timers that are due together run in one turn, and those that they ask for in the next. */
  turns = 0
  private nextTurnSequence = 0
  private readonly timers = new Set<{ dueMs: number; sequence: number; input: () => void }>()
  private turn: (() => void)[] = []
  private sequence = 0

  monotonicMs(): number {
    return this.nowMs
  }

  wallMs(): number {
    return 1_000_000 + this.nowMs
  }

  after(delayMs: number, input: () => void) {
    const entry = { dueMs: this.nowMs + delayMs, sequence: this.sequence++, input }
    this.timers.add(entry)
    return { cancel: () => void this.timers.delete(entry) }
  }

  endOfTurn(input: () => void): void {
    this.turn.push(input)
  }

  /** Ends the turn of the loop, then lets time pass. */
  run(ms = 0): void {
    this.endTurn()
    const until = this.nowMs + ms
    while (this.step(until)) {}
    this.nowMs = until
  }

  /** Runs the next input that is due by then, and ends its turn. False: there is none. */
  step(untilMs = this.nowMs): boolean {
    const [next] = [...this.timers].sort((a, b) => a.dueMs - b.dueMs || a.sequence - b.sequence)
    if (next === undefined || next.dueMs > untilMs) return false
    this.timers.delete(next)
    if (next.sequence >= this.nextTurnSequence || next.dueMs > this.nowMs) {
      this.turns++
      this.nextTurnSequence = this.sequence
    }
    this.nowMs = Math.max(this.nowMs, next.dueMs)
    next.input()
    this.endTurn()
    return true
  }

  private endTurn(): void {
    while (this.turn.length > 0) {
      const inputs = this.turn
      this.turn = []
      for (const input of inputs) input()
    }
  }
}

interface HeldAppend {
  readonly baseOffset: number
  readonly done: (result: AppendResult) => void
}

/** One partition's log with a high watermark that a test moves: what the coordinators see of PartitionManager. */
export class FakePartition {
  readonly batches: Uint8Array[] = []
  logEndOffset = 0
  highWatermark = 0
  leaderEpoch = 0
  isLeader = false
  maxMessageBytes = 1_048_588
  /** commit: appends commit by themselves at the end of the turn. */
  appends: 'commit' | 'hold' = 'commit'
  readonly held: HeldAppend[] = []
  private listener: (event: LeadershipEvent) => void = () => {}

  constructor(private readonly clock: ManualClock) {}

  readonly manager: CoordinatorServices['partitions'] = {
    appendAsLeader: (_topicId, _partitionId, records, options, done) => {
      if (!this.isLeader || options.expectedLeaderEpoch !== this.leaderEpoch) {
        this.clock.after(0, () => done(this.result(6, -1)))
        return
      }
      const view = new BatchView(records)
      if (view.sizeInBytes > this.maxMessageBytes) {
        this.clock.after(0, () => done(this.result(ErrorCode.MESSAGE_TOO_LARGE, -1)))
        return
      }
      const baseOffset = this.logEndOffset
      view.baseOffset = baseOffset
      this.batches.push(records)
      this.logEndOffset = view.lastOffset + 1
      this.held.push({ baseOffset, done })
      if (this.appends === 'commit') this.clock.after(0, () => this.commit())
    },
    readCommitted: (_topicId, _partitionId, offset) => {
      const chunks = this.batches.filter((bytes) => {
        const { lastOffset } = new BatchView(bytes)
        return lastOffset >= offset && lastOffset < this.highWatermark
      })
      // One batch at a time, so that a load takes several turns.
      const first = chunks.slice(0, 1)
      const nextOffset = first.length === 0 ? offset : new BatchView(first[0]!).lastOffset + 1
      const slice = { chunks: first, byteLength: first[0]?.length ?? 0, nextOffset }
      return { errorCode: 0, slice, highWatermark: this.highWatermark, logStartOffset: 0 }
    },
    leadership: () => ({ isLeader: this.isLeader, leaderEpoch: this.leaderEpoch }),
    onLeadership: (listener) => {
      this.listener = listener
    },
  }

  /** A new epoch under this node; the high watermark may lag, as after a real election. */
  elect(highWatermark = this.logEndOffset): void {
    this.leaderEpoch++
    this.isLeader = true
    this.highWatermark = highWatermark
    this.held.length = 0
    this.announce(this.logEndOffset)
  }

  resign(): void {
    this.isLeader = false
    this.announce(-1)
  }

  /** Everything in the log is committed; appends that wait hear of it. */
  commit(): void {
    this.highWatermark = this.logEndOffset
    for (const { baseOffset, done } of this.held.splice(0)) done(this.result(0, baseOffset))
  }

  /** The oldest append that waits is given up; what it wrote stays in the log unless `removes`. */
  fail(errorCode: number, removes = false): void {
    const { done } = this.held.shift()!
    if (removes) this.logEndOffset = new BatchView(this.batches.pop()!).baseOffset
    done(this.result(errorCode, -1))
  }

  private announce(epochStartOffset: number): void {
    this.listener({
      topicId: TOPIC_ID,
      topic: '__consumer_offsets',
      partitionId: 0,
      isLeader: this.isLeader,
      leaderEpoch: this.leaderEpoch,
      epochStartOffset,
    })
  }

  private result(errorCode: number, baseOffset: number): AppendResult {
    return {
      errorCode,
      errorMessage: null,
      baseOffset,
      logAppendTimeMs: -1,
      logStartOffset: 0,
      leaderId: NODE,
      leaderEpoch: this.leaderEpoch,
    }
  }
}

const CONFIGS: Readonly<Record<string, number>> = {
  'group.min.session.timeout.ms': 6_000,
  'group.max.session.timeout.ms': 300_000,
  'group.initial.rebalance.delay.ms': 0,
  'group.max.size': 100,
  'offset.metadata.max.bytes': 4_096,
  'offsets.retention.minutes': 10_080,
  'offsets.retention.check.interval.ms': 600_000,
  'offsets.commit.timeout.ms': 5_000,
  'offsets.topic.num.partitions': 1,
  'offsets.topic.replication.factor': 3,
  'offsets.topic.segment.bytes': 104_857_600,
}

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }

/** A node around one partition of `__consumer_offsets`: no more of it than the coordinators touch. */
export class FakeNode {
  readonly clock = new ManualClock()
  readonly partition = new FakePartition(this.clock)
  readonly commands: ControllerCommand[] = []
  hasTopic = true
  hasQuorum = true
  isCutOff = false
  readonly configs: Record<string, number> = { ...CONFIGS }
  /** Other topics: name -> id. */
  readonly topics = new Map<string, string>()
  private onChange: (change: MetadataChange) => void = () => {}

  readonly services: CoordinatorServices = {
    config: { nodeId: NODE, voters: [{}, {}, {}], interBrokerListenerName: 'INTERNAL' },
    clock: this.clock,
    random: new SeededRandom(7),
    logger: silent,
    compression: {},
    quorum: {
      submit: (command: ControllerCommand) => void this.commands.push(command),
      status: () => ({ hasQuorum: this.hasQuorum }),
    },
    isCutOff: () => this.isCutOff,
    metadata: {
      image: this.image(),
      onChange: (listener: (change: MetadataChange) => void) => {
        this.onChange = listener
      },
    },
    configs: {
      int: (name: string) => this.configs[name]!,
      topic: () => ({ maxMessageBytes: this.partition.maxMessageBytes }),
    },
    partitions: this.partition.manager,
  } as unknown as CoordinatorServices

  deleteTopic(name: string): void {
    this.onChange({ topicsDeleted: new Map([['id', name]]) } as unknown as MetadataChange)
  }

  private image() {
    const topic = { name: '__consumer_offsets', id: TOPIC_ID, partitions: [{ leader: NODE }] }
    const endpoints = [{ name: 'CLIENT', host: 'kogge', port: 9092, securityProtocol: 'PLAINTEXT' }]
    return {
      brokers: new Map([[NODE, { id: NODE, fenced: false, endpoints }]]),
      topicsByName: {
        get: (name: string) => {
          const id = this.topics.get(name)
          if (id !== undefined) return { name, id, partitions: [] }
          return this.hasTopic && name === topic.name ? topic : undefined
        },
      },
    }
  }
}
