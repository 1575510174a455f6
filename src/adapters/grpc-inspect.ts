import * as grpc from '@grpc/grpc-js'
import type { PartitionStatus } from '../broker/partitions/types.js'
import type { PartitionFilter, PostMortem } from '../broker/post-mortems/types.js'
import type { QuorumEvent } from '../broker/quorum/events.js'
import type { QuorumStatus } from '../broker/quorum/handle.js'
import type { MembershipCommand } from '../broker/quorum/membership.js'
import type { BrokerEpoch, LogIndex, NodeId, Term } from '../lib/ids.js'
import type { AddVoter, PromoteVoter, RemoveVoter } from '../metadata/commands.js'
import type { MetadataRecord } from '../metadata/records.js'
import type { Voter } from '../raft/types.js'
import { EventWatch, type WatchEvent } from './grpc-inspect-watch.js'
import { serviceDefinition } from './grpc-service.js'

/** What the inspection service shows: the node's shell implements it. Answers at once, with plain data. */
export interface InspectSource {
  status(): InspectStatus
  /** Calls `watcher` at each event, from now on, until it is cancelled. As `EventRing.subscribe`. */
  subscribe(watcher: (event: QuorumEvent) => void): { cancel(): void }
  /**
   * Committed entries of the metadata log from `from` (or the first one that is held) on: at most `limit`, and no more
   * than may be decoded in one turn. Empty: there is no more.
   */
  readLog(from: LogIndex, limit: number): readonly InspectLogEntry[]
  /** In the metadata that this node has applied. */
  hasTopic(name: string): boolean
  /** As `PartitionManager.list`. */
  listPartitions(): readonly PartitionStatus[]
  /** The last changes of leadership, at most `limit`, oldest first. As `PostMortems.recent`. */
  postMortems(limit: number, filter: PartitionFilter): readonly PostMortem[]
  /** Asks Raft to hand leadership over; undefined: to whom it likes. Returns a sentence where it can't, else undefined. */
  transferLeadership(to: NodeId | undefined): string | undefined
  /** Takes a change of the voters to the leader. `done` is called once, within `timeoutMs`. Returns what calls it off. */
  changeVoters(
    command: MembershipCommand,
    timeoutMs: number,
    done: (reply: ChangeVotersReply) => void,
  ): () => void
}

export interface InspectStatus {
  /** The release. */
  version: string
  /** The clock of the progress's times. */
  monotonicMs: number
  quorum: QuorumStatus
  broker: InspectBrokerStatus
}

export interface InspectBrokerStatus {
  /** none: a dedicated controller. */
  state: 'none' | 'starting' | 'recovering' | 'fenced' | 'running' | 'controlledShutdown' | 'stopped'
  /** 0 before the first registration. */
  brokerEpoch: BrokerEpoch
  /** The metadata that the broker has applied. */
  appliedIndex: LogIndex
}

export type InspectLogEntry =
  | { type: 'data'; index: LogIndex; term: Term; records: readonly MetadataRecord[] }
  | { type: 'noOp'; index: LogIndex; term: Term }
  | { type: 'configuration'; index: LogIndex; term: Term; voters: readonly Voter[] }

export interface InspectService {
  addTo(server: grpc.Server): void
  /** Ends all watches. */
  close(): void
}

const DEFAULT_LOG_LIMIT = 100
const MAX_LOG_LIMIT = 10_000
/** Entries read at a time, where they are small: a long read neither fills memory nor holds the loop up. */
const LOG_PAGE = 100
const MAX_WATCHES = 100
const DEFAULT_ELECTIONS = 1_000
const DEFAULT_CHANGE_MS = 30_000
const MAX_CHANGE_MS = 120_000

export function createInspectService(source: InspectSource): InspectService {
  return new Inspect(source)
}

type Unary<Request, Response> = (
  call: grpc.ServerUnaryCall<Request, Response>,
  done: grpc.sendUnaryData<Response>,
) => void
interface ListElectionsRequest extends PartitionFilter {
  limit: number
}
/** Of inspect.proto. */
export interface ListElectionsReply {
  nodeId: NodeId
  /** The clock of the times. */
  monotonicMs: number
  elections: readonly PostMortem[]
  /** Of the topic that was named; undefined: none was, or the node is older than the question. */
  topicExists?: boolean
}
export interface ChangeVotersReply {
  /** Of Kafka's table; 0: done. */
  errorCode: number
  errorMessage: string
}
type ChangeVotersRequest<C> = Omit<C, 'type'> & { timeoutMs: number }
interface ReadLogRequest {
  fromIndex: LogIndex
  limit: number
}

class Inspect implements InspectService {
  private readonly watches = new Set<EventWatch>()

  constructor(private readonly source: InspectSource) {}

  addTo(server: grpc.Server): void {
    const getStatus: Unary<object, InspectStatus> = (_call, done) => done(null, this.source.status())
    const listPartitions: Unary<object, { partitions: readonly PartitionStatus[] }> = (_call, done) =>
      done(null, { partitions: this.source.listPartitions() })
    const listElections: Unary<ListElectionsRequest, ListElectionsReply> = (call, done) => {
      const { quorum, monotonicMs } = this.source.status()
      const { limit, topic, partition } = call.request
      const elections = this.source.postMortems(limit || DEFAULT_ELECTIONS, { topic, partition })
      const existence = topic === undefined ? {} : { topicExists: this.source.hasTopic(topic) }
      done(null, { nodeId: quorum.nodeId, monotonicMs, elections, ...existence })
    }
    const transferLeadership: Unary<{ to?: NodeId }, object> = (call, done) => {
      const refusal = this.source.transferLeadership(call.request.to)
      if (refusal === undefined) done(null, {})
      else done({ code: grpc.status.FAILED_PRECONDITION, details: refusal })
    }
    const changeVoters =
      <C extends MembershipCommand>(type: C['type']): Unary<ChangeVotersRequest<C>, ChangeVotersReply> =>
      (call, done) => {
        const { timeoutMs, ...rest } = call.request
        const withinMs = Math.min(timeoutMs || DEFAULT_CHANGE_MS, MAX_CHANGE_MS)
        const command = { ...rest, type } as unknown as C
        const callOff = this.source.changeVoters(command, withinMs, (reply) => done(null, reply))
        // Whoever asked hung up: nobody else's change waits for this one any longer.
        call.on('cancelled', callOff)
      }
    server.addService(serviceDefinition('kogge.inspect.v1.Inspect'), {
      addVoter: changeVoters<AddVoter>('addVoter'),
      removeVoter: changeVoters<RemoveVoter>('removeVoter'),
      promoteVoter: changeVoters<PromoteVoter>('promoteVoter'),
      getStatus,
      listPartitions,
      listElections,
      transferLeadership,
      watchEvents: (call: grpc.ServerWritableStream<object, WatchEvent>) => this.watch(call),
      readLog: (call: grpc.ServerWritableStream<ReadLogRequest, InspectLogEntry>) => this.readLog(call),
    })
  }

  close(): void {
    for (const watch of [...this.watches]) watch.end()
  }

  private watch(call: grpc.ServerWritableStream<object, WatchEvent>): void {
    if (this.watches.size >= MAX_WATCHES) {
      call.emit('error', { code: grpc.status.RESOURCE_EXHAUSTED, details: `${MAX_WATCHES} watch already` })
      return
    }
    const watch = new EventWatch(call, () => {
      subscription.cancel()
      this.watches.delete(watch)
    })
    const subscription = this.source.subscribe((event) => watch.push(event))
    this.watches.add(watch)
    watch.begin(this.source.status())
  }

  private readLog(call: grpc.ServerWritableStream<ReadLogRequest, InspectLogEntry>): void {
    let from = Math.max(call.request.fromIndex, 1)
    let left = Math.min(call.request.limit || DEFAULT_LOG_LIMIT, MAX_LOG_LIMIT)
    let page: readonly InspectLogEntry[] = []
    let sent = 0
    const next = () => {
      if (call.cancelled || call.destroyed) return
      if (sent === page.length) {
        page = left > 0 ? this.source.readLog(from, Math.min(left, LOG_PAGE)) : []
        sent = 0
        left -= page.length
      }
      if (page.length === 0) {
        call.end()
        return
      }
      let isTaken = true
      while (isTaken && sent < page.length) {
        const entry = page[sent++]!
        isTaken = call.write(entry)
        from = entry.index + 1
      }
      if (isTaken) setImmediate(next)
      else call.once('drain', next)
    }
    call.on('error', () => undefined)
    next()
  }
}
