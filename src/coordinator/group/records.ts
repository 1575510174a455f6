import type { LeaderEpoch, Offset, Uuid } from '../../lib/ids.js'

/**
 * What a shard of `__consumer_offsets` holds: each record is a whole value, null a tombstone, so that the last one of
 * a key wins and compaction loses nothing. The shell turns them into Kafka's own key and value formats.
 */
export type GroupRecord =
  | { type: 'offset'; groupId: string; topic: string; partition: number; value: CommittedOffset | null }
  | { type: 'group'; groupId: string; value: GroupMetadata | null }

export interface CommittedOffset {
  readonly offset: Offset
  /** -1: unknown. */
  readonly leaderEpoch: LeaderEpoch
  readonly metadata: string
  /** Unix milliseconds. */
  readonly commitTimestampMs: number
  /** Unix milliseconds, of a commit that named its own retention (v2-4); -1: `offsets.retention.minutes` decides. */
  readonly expireTimestampMs: number
  /** ZERO_UUID: unknown. */
  readonly topicId: Uuid
}

/** A generation whose assignment is known, or an empty group. */
export interface GroupMetadata {
  readonly protocolType: string
  readonly generation: number
  readonly protocol: string | null
  readonly leader: string | null
  /** Unix milliseconds of the last change of state; -1: unknown. */
  readonly currentStateTimestampMs: number
  readonly members: readonly MemberMetadata[]
}

export interface MemberMetadata {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  readonly subscription: Uint8Array
  readonly assignment: Uint8Array
}

type OffsetsByTopic = Map<string, Map<number, CommittedOffset>>

/** The committed state: the replay of the shard's log below the high watermark, and nothing else. */
export class CommittedState {
  readonly groups = new Map<string, GroupMetadata>()
  private readonly offsetsByGroup = new Map<string, OffsetsByTopic>()

  replay(record: GroupRecord): void {
    if (record.type === 'group') {
      if (record.value === null) this.groups.delete(record.groupId)
      else this.groups.set(record.groupId, record.value)
    } else if (record.value === null) {
      this.removeOffset(record.groupId, record.topic, record.partition)
    } else {
      const topics = getOrInsert(this.offsetsByGroup, record.groupId, newTopics)
      getOrInsert(topics, record.topic, newPartitions).set(record.partition, record.value)
    }
  }

  offset(groupId: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.offsetsByGroup.get(groupId)?.get(topic)?.get(partition)
  }

  /** Undefined where the group has committed nothing. */
  offsets(groupId: string): ReadonlyMap<string, ReadonlyMap<number, CommittedOffset>> | undefined {
    return this.offsetsByGroup.get(groupId)
  }

  groupsWithOffsets(): Iterable<string> {
    return this.offsetsByGroup.keys()
  }

  private removeOffset(groupId: string, topic: string, partition: number): void {
    const topics = this.offsetsByGroup.get(groupId)
    const partitions = topics?.get(topic)
    if (topics === undefined || partitions === undefined) return
    partitions.delete(partition)
    if (partitions.size === 0) topics.delete(topic)
    if (topics.size === 0) this.offsetsByGroup.delete(groupId)
  }
}

const newTopics = (): OffsetsByTopic => new Map()
const newPartitions = (): Map<number, CommittedOffset> => new Map()

function getOrInsert<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}
