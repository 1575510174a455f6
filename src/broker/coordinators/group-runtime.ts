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
import type { NodeId } from '../../lib/ids.js'
import type { PartitionManager } from '../partitions/partition-manager.js'
import type { BrokerServices } from '../services.js'

/** What the coordinators need of the node. `broker.ts` hands in its BrokerServices as they are. */
export type CoordinatorServices = Pick<
  BrokerServices,
  'config' | 'clock' | 'random' | 'logger' | 'compression' | 'quorum' | 'metadata' | 'configs'
> & {
  readonly partitions: CoordinatorPartitions
}

export type CoordinatorPartitions = Pick<
  PartitionManager,
  'appendAsLeader' | 'readCommitted' | 'leadership' | 'onLeadership'
>

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
 * COORDINATOR_LOAD_IN_PROGRESS.
 *
 * Made by `broker.ts` before any leadership is known: `new GroupCoordinatorRuntime(services)`, then `start()` once
 * `services.partitions` exists and before it takes its first leadership.
 */
export class GroupCoordinatorRuntime {
  private readonly services: CoordinatorServices

  constructor(services: CoordinatorServices) {
    this.services = services
  }

  /** Subscribes to leaderships and metadata. */
  start(): void {
    throw new Error('not built yet')
  }
  /** Answers NOT_COORDINATOR to all that wait, and stops all timers. Nothing is written. */
  stop(): void {
    throw new Error('not built yet')
  }
  /** FindCoordinator; makes `__consumer_offsets` where it is missing and answers COORDINATOR_NOT_AVAILABLE meanwhile. */
  findCoordinator(groupId: string, listenerName: string): FoundCoordinator {
    throw new Error('not built yet')
  }
  join(request: JoinRequest, done: (reply: JoinReply) => void): void {
    throw new Error('not built yet')
  }
  sync(request: SyncRequest, done: (reply: SyncReply) => void): void {
    throw new Error('not built yet')
  }
  heartbeat(request: HeartbeatRequest, done: (reply: ErrorReply) => void): void {
    throw new Error('not built yet')
  }
  leave(request: LeaveRequest, done: (reply: LeaveReply) => void): void {
    throw new Error('not built yet')
  }
  commitOffsets(request: OffsetCommitRequest, done: (reply: OffsetCommitReply) => void): void {
    throw new Error('not built yet')
  }
  fetchOffsets(request: OffsetFetchRequest, done: (reply: OffsetFetchReply) => void): void {
    throw new Error('not built yet')
  }
  describeGroup(groupId: string, done: (reply: GroupDescription) => void): void {
    throw new Error('not built yet')
  }
  /** All groups of the shards that are loaded here; COORDINATOR_LOAD_IN_PROGRESS while one is being read. */
  listGroups(): { readonly errorCode: number; readonly groups: readonly GroupListing[] } {
    throw new Error('not built yet')
  }
  deleteGroup(groupId: string, done: (reply: DeleteGroupReply) => void): void {
    throw new Error('not built yet')
  }
}
