import type { GroupShard } from '../../coordinator/group/group-shard.js'
import { isStorable } from '../../coordinator/group/storable.js'
import type {
  DeleteGroupReply,
  ErrorReply,
  GroupDescription,
  GroupListing,
  HeartbeatRequest,
  JoinReply,
  JoinRequest,
  LeaveReply,
  LeaveRequest,
  OffsetCommitReply,
  OffsetCommitRequest,
  OffsetFetchReply,
  OffsetFetchRequest,
  SyncReply,
  SyncRequest,
} from '../../coordinator/group/types.js'
import { NO_NODE, type NodeId, type Uuid, ZERO_UUID } from '../../lib/ids.js'
import type { Timer } from '../../ports/clock.js'
import { ErrorCode } from '../../wire/errors.js'
import type { LeadershipEvent } from '../partitions/types.js'
import { GroupShardDriver } from './group-shard-driver.js'
import { LoadQueue } from './load-queue.js'
import { OFFSETS_TOPIC, OffsetsTopic, partitionOf } from './offsets-topic.js'
import type { CoordinatorServices } from './services.js'

export type { CoordinatorPartitions, CoordinatorServices } from './services.js'

/** How often the runtime notes that it lives, and after what silence of its own it doubts its leaderships. */
const ALIVE_INTERVAL_MS = 250
const STALL_MS = 1_000

/** errorCode 0: where the coordinator of a group listens. Else nodeId and port are -1 and host is ''. */
export interface FoundCoordinator {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly nodeId: NodeId
  readonly host: string
  readonly port: number
}

/**
 * The group coordinator of this node: the shards of `__consumer_offsets` that it leads. Every method answers by
 * `done`, once, now or later; a group whose shard is elsewhere gets NOT_COORDINATOR, one whose shard is being read
 * COORDINATOR_LOAD_IN_PROGRESS. Writes are answered when they are committed, reads from what is committed.
 *
 * Made by `broker.ts` before any leadership is known: `new GroupCoordinatorRuntime(services)`, then `start()` once
 * `services.partitions` exists and before it takes its first leadership.
 */
export class GroupCoordinatorRuntime {
  private readonly topic: OffsetsTopic
  private readonly shards = new Map<number, GroupShardDriver>()
  private readonly loads: LoadQueue
  private expiryTimer: Timer | null = null
  private aliveTimer: Timer | null = null
  private lastAliveMs = 0
  private isStopped = false

  constructor(private readonly services: CoordinatorServices) {
    this.topic = new OffsetsTopic(services)
    this.loads = new LoadQueue(services.clock)
  }

  /** Subscribes to leaderships and metadata. */
  start(): void {
    this.services.partitions.onLeadership((event) => this.onLeadership(event))
    this.services.metadata.onChange((change) => {
      if (change.topicsDeleted.size === 0) return
      const topics = new Set(change.topicsDeleted.values())
      for (const shard of this.activeShards()) shard.step({ type: 'topicsDeleted', topics })
    })
    this.lastAliveMs = this.services.clock.monotonicMs()
    this.scheduleExpiry()
    this.scheduleAlive()
  }

  /** Answers NOT_COORDINATOR to all that wait, and stops all timers. Nothing is written. */
  stop(): void {
    this.isStopped = true
    this.expiryTimer?.cancel()
    this.aliveTimer?.cancel()
    for (const partitionId of [...this.shards.keys()]) this.unload(partitionId)
  }

  private onLeadership(event: LeadershipEvent): void {
    if (event.topic !== OFFSETS_TOPIC || this.isStopped) return
    const { topicId, partitionId, isLeader } = event
    // The end of a topic that was deleted says nothing of the one that took its name.
    if (!isLeader && this.shards.get(partitionId)?.topicId !== topicId) return
    this.unload(partitionId)
    if (isLeader) this.load(event)
  }

  private load(event: LeadershipEvent): void {
    const { topicId, partitionId, leaderEpoch, epochStartOffset } = event
    const shard: GroupShardDriver = new GroupShardDriver(
      this.services,
      this.loads,
      topicId,
      partitionId,
      leaderEpoch,
      epochStartOffset,
      (reason) => this.onBroken(shard, reason),
    )
    this.shards.set(partitionId, shard)
    shard.load()
  }

  private unload(partitionId: number): void {
    const shard = this.shards.get(partitionId)
    if (shard === undefined) return
    this.shards.delete(partitionId)
    shard.close(ErrorCode.NOT_COORDINATOR)
  }

  /** What is acknowledged is in the log; a shard that cannot follow it must not go on. It stays, and refuses all. */
  private onBroken(shard: GroupShardDriver, reason: string): void {
    const { partitionId, leaderEpoch } = shard
    this.services.logger.error(
      { partition: partitionId, leaderEpoch, reason },
      'a shard of the groups is lost',
    )
    shard.close(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  }

  private scheduleExpiry(): void {
    const { clock, configs } = this.services
    const intervalMs = configs.int('offsets.retention.check.interval.ms')
    this.expiryTimer = clock.after(intervalMs, () => {
      for (const shard of this.activeShards()) shard.step({ type: 'expireOffsets' })
      this.scheduleExpiry()
    })
  }

  private scheduleAlive(): void {
    this.aliveTimer = this.services.clock.after(ALIVE_INTERVAL_MS, () => {
      this.noticeStall()
      this.scheduleAlive()
    })
  }

  /** Paused for longer than a dead leader is waited for? Then no read may be served before the leadership is proved. */
  private noticeStall(): void {
    const nowMs = this.services.clock.monotonicMs()
    if (nowMs - this.lastAliveMs > STALL_MS)
      for (const shard of this.shards.values()) shard.confirmLeadership()
    this.lastAliveMs = nowMs
  }

  private activeShards(): GroupShardDriver[] {
    return [...this.shards.values()].filter((shard) => shard.isActive)
  }

  /** FindCoordinator; makes `__consumer_offsets` where it is missing and answers COORDINATOR_NOT_AVAILABLE meanwhile. */
  findCoordinator(groupId: string, listenerName: string): FoundCoordinator {
    const topic = this.topic.image()
    if (topic === undefined) {
      this.topic.create()
      return notFound(`${OFFSETS_TOPIC} is being made; ask again`)
    }
    const { image } = this.services.metadata
    const leader = topic.partitions[partitionOf(groupId, topic.partitions.length)]?.leader ?? NO_NODE
    const broker = image.brokers.get(leader)
    if (broker === undefined || broker.fenced) {
      return notFound('the partition of the group has no leader at the moment; ask again')
    }
    const endpoint = broker.endpoints.find((each) => each.name === listenerName)
    if (endpoint === undefined) return notFound(`broker ${leader} has no listener ${listenerName}`)
    const { host, port } = endpoint
    return { errorCode: ErrorCode.NONE, errorMessage: null, nodeId: leader, host, port }
  }

  join(request: JoinRequest, done: (reply: JoinReply) => void): void {
    const refuse = (errorCode: number): void =>
      done({
        errorCode,
        memberId: request.memberId,
        generationId: -1,
        protocolType: null,
        protocolName: null,
        leader: '',
        skipAssignment: false,
        members: [],
      })
    this.withShard(request.groupId, refuse, (shard) =>
      shard.ask((ticket) => ({ type: 'join', ticket, request }), done, refuse),
    )
  }

  sync(request: SyncRequest, done: (reply: SyncReply) => void): void {
    const refuse = (errorCode: number): void =>
      done({ errorCode, protocolType: null, protocolName: null, assignment: new Uint8Array(0) })
    this.withShard(request.groupId, refuse, (shard) =>
      shard.ask((ticket) => ({ type: 'sync', ticket, request }), done, refuse),
    )
  }

  heartbeat(request: HeartbeatRequest, done: (reply: ErrorReply) => void): void {
    const refuse = (errorCode: number): void => done({ errorCode })
    this.withShard(request.groupId, refuse, (shard) =>
      shard.ask((ticket) => ({ type: 'heartbeat', ticket, request }), done, refuse),
    )
  }

  leave(request: LeaveRequest, done: (reply: LeaveReply) => void): void {
    const refuse = (errorCode: number): void => done({ errorCode, members: [] })
    this.withShard(request.groupId, refuse, (shard) =>
      shard.ask((ticket) => ({ type: 'leave', ticket, request }), done, refuse),
    )
  }

  commitOffsets(request: OffsetCommitRequest, done: (reply: OffsetCommitReply) => void): void {
    const refuse = (errorCode: number): void =>
      done({
        topics: request.topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
        })),
      })
    this.withShard(request.groupId, refuse, (shard) =>
      shard.ask((ticket) => ({ type: 'commitOffsets', ticket, request }), done, refuse),
    )
  }

  fetchOffsets(request: OffsetFetchRequest, done: (reply: OffsetFetchReply) => void): void {
    const refuse = (errorCode: number): void => done({ errorCode, topics: [] })
    const { topicsByName } = this.services.metadata.image
    const isCurrent = (topic: string, topicId: Uuid): boolean =>
      topicId === ZERO_UUID || (topicsByName.get(topic)?.id ?? topicId) === topicId
    this.withReadableShard(request.groupId, refuse, (shard) =>
      done(shard.groups.fetchOffsets(request, isCurrent)),
    )
  }

  describeGroup(groupId: string, done: (reply: GroupDescription) => void): void {
    const refuse = (errorCode: number): void =>
      done({
        errorCode,
        errorMessage: null,
        groupId,
        groupState: '',
        protocolType: '',
        protocolData: '',
        members: [],
      })
    this.withReadableShard(groupId, refuse, (shard) => done(shard.groups.describe(groupId)))
  }

  /** All groups of the shards that serve here; COORDINATOR_LOAD_IN_PROGRESS while one is being read. */
  listGroups(): { readonly errorCode: number; readonly groups: readonly GroupListing[] } {
    this.noticeStall()
    const shards = [...this.shards.values()].filter((shard) => !shard.isLost)
    if (shards.some((shard) => !shard.isActive || !shard.isConfirmed)) {
      return { errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, groups: [] }
    }
    const reading: GroupShard[] = shards
      .filter((shard) => this.stillLeads(shard))
      .map((shard) => shard.groups)
    return { errorCode: ErrorCode.NONE, groups: reading.flatMap((groups) => groups.list()) }
  }

  deleteGroup(groupId: string, done: (reply: DeleteGroupReply) => void): void {
    const refuse = (errorCode: number): void => done({ groupId, errorCode, errorMessage: null })
    this.withShard(groupId, refuse, (shard) =>
      shard.ask((ticket) => ({ type: 'deleteGroup', ticket, groupId }), done, refuse),
    )
  }

  private withShard(
    groupId: string,
    refuse: (errorCode: number) => void,
    use: (shard: GroupShardDriver) => void,
  ): void {
    if (!isStorable(groupId)) {
      refuse(ErrorCode.INVALID_GROUP_ID)
      return
    }
    const topic = this.topic.image()
    const shard =
      topic === undefined ? undefined : this.shards.get(partitionOf(groupId, topic.partitions.length))
    if (shard === undefined || !this.stillLeads(shard)) refuse(ErrorCode.NOT_COORDINATOR)
    else if (shard.isLost) refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    else if (!shard.isActive) refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    else use(shard)
  }

  /**
   * A read needs no append, so nothing else would stop one from a leader that has been deposed and does not know it:
   * no commit that another node acknowledged may be missing in it. An isolated node loses its quorum before its
   * session ends, and so before it is deposed; one whose heartbeats alone do not arrive counts its session by itself;
   * one that stood still must first prove its leadership.
   */
  private withReadableShard(
    groupId: string,
    refuse: (errorCode: number) => void,
    read: (shard: GroupShardDriver) => void,
  ): void {
    this.noticeStall()
    this.withShard(groupId, refuse, (shard) => {
      const { quorum } = this.services
      if (!quorum.status().hasQuorum || this.services.isCutOff()) refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)
      else if (!shard.isConfirmed) refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
      else read(shard)
    })
  }

  /** Also a read must not come from a shard whose leadership has passed on and whose end is yet to be told. */
  private stillLeads(shard: GroupShardDriver): boolean {
    const leadership = this.services.partitions.leadership(shard.topicId, shard.partitionId)
    return leadership?.isLeader === true && leadership.leaderEpoch === shard.leaderEpoch
  }
}

function notFound(errorMessage: string): FoundCoordinator {
  return {
    errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    errorMessage,
    nodeId: NO_NODE,
    host: '',
    port: -1,
  }
}
