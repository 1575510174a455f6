import type { Uuid } from '../../lib/ids.js'
import { ErrorCode } from '../../wire/errors.js'
import type { ClassicGroup } from './classic-group.js'
import type { GroupContext } from './context.js'
import type { Ticket } from './effects.js'
import { checkGeneration } from './membership.js'
import type { CommittedOffset, GroupRecord } from './records.js'
import { MAX_STORED_STRING_BYTES } from './storable.js'
import type {
  DeleteGroupReply,
  OffsetCommitReply,
  OffsetCommitRequest,
  OffsetFetchReply,
  OffsetFetchRequest,
} from './types.js'

/** Commits, reads, expiry and deletion of what a group has stored. */

/** OffsetCommit: answered once the offsets are committed in the log. */
export function commitOffsets(
  ctx: GroupContext,
  ticket: Ticket<OffsetCommitReply>,
  request: OffsetCommitRequest,
): void {
  const refusal = checkCommit(ctx, request)
  if (refusal !== ErrorCode.NONE) {
    const reply = commitReply(request, () => refusal)
    ctx.reply(ticket, reply)
    return
  }
  const maxBytes = Math.min(ctx.settings().offsetMetadataMaxBytes, MAX_STORED_STRING_BYTES)
  const errorOf = (metadata: string): number =>
    Buffer.byteLength(metadata) > maxBytes ? ErrorCode.OFFSET_METADATA_TOO_LARGE : ErrorCode.NONE

  const records: GroupRecord[] = []
  for (const topic of request.topics) {
    for (const partition of topic.partitions) {
      if (errorOf(partition.metadata) !== ErrorCode.NONE) continue
      const value: CommittedOffset = {
        offset: partition.offset,
        leaderEpoch: partition.leaderEpoch,
        metadata: partition.metadata,
        commitTimestampMs: ctx.wallMs,
        expireTimestampMs: expiryOf(request.retentionTimeMs, ctx.wallMs),
        topicId: topic.topicId,
      }
      records.push({
        type: 'offset',
        groupId: request.groupId,
        topic: topic.name,
        partition: partition.partitionIndex,
        value,
      })
    }
  }
  if (records.length === 0) {
    ctx.reply(ticket, commitReply(request, errorOf))
    return
  }
  ctx.append(records, (errorCode) => {
    ctx.reply(
      ticket,
      commitReply(request, (metadata) => errorOf(metadata) || errorCode),
    )
  })
}

/** A client may name a retention that no timestamp reaches: it then never ends. */
function expiryOf(retentionTimeMs: number | null, nowMs: number): number {
  return retentionTimeMs === null ? -1 : Math.min(nowMs + retentionTimeMs, Number.MAX_SAFE_INTEGER)
}

function commitReply(request: OffsetCommitRequest, errorOf: (metadata: string) => number): OffsetCommitReply {
  return {
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, metadata }) => ({
        partitionIndex,
        errorCode: errorOf(metadata),
      })),
    })),
  }
}

/** A zombie's commit must not pass: only the present generation's members commit, or anybody to an empty group. */
function checkCommit(ctx: GroupContext, request: OffsetCommitRequest): number {
  const { groupId, memberId, groupInstanceId, generationId } = request
  const group = ctx.groups.get(groupId)
  const fromOutside = generationId < 0 && memberId === '' && groupInstanceId === null
  if (group === undefined || group.state === 'Empty') {
    if (generationId < 0) return ErrorCode.NONE
    if (group === undefined && !ctx.exists(groupId)) {
      return request.groupIdNotFoundSupported ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.ILLEGAL_GENERATION
    }
  }
  if (group?.state === 'Dead') return ErrorCode.COORDINATOR_NOT_AVAILABLE
  if (fromOutside) return ErrorCode.UNKNOWN_MEMBER_ID
  const errorCode = checkGeneration(group, request)
  if (group === undefined || errorCode !== ErrorCode.NONE) return errorCode
  if (group.state === 'CompletingRebalance') return ErrorCode.REBALANCE_IN_PROGRESS
  ctx.touchSession(group.members.get(memberId)!)
  return ErrorCode.NONE
}

/** Is this id still the topic's? False: the topic was made anew under the old name. */
export type IsCurrentTopic = (topic: string, topicId: Uuid) => boolean

/**
 * OffsetFetch, of what is committed and nothing else. What was committed for another topic of that name counts as
 * missing: its tombstone may be on its way, or was never written, where nobody led the shard when the topic went.
 */
export function fetchOffsets(
  ctx: GroupContext,
  request: OffsetFetchRequest,
  isCurrent: IsCurrentTopic,
): OffsetFetchReply {
  const { groupId } = request
  const stored = ctx.committed.offsets(groupId)
  const wanted = request.topics ?? storedTopics(stored, isCurrent)
  return {
    errorCode: ErrorCode.NONE,
    topics: wanted.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => {
        const committed = stored?.get(name)?.get(partitionIndex)
        const found = committed !== undefined && isCurrent(name, committed.topicId) ? committed : undefined
        return {
          partitionIndex,
          offset: found?.offset ?? -1,
          leaderEpoch: found?.leaderEpoch ?? -1,
          metadata: found?.metadata ?? '',
        }
      }),
    })),
  }
}

function storedTopics(
  stored: ReadonlyMap<string, ReadonlyMap<number, CommittedOffset>> | undefined,
  isCurrent: IsCurrentTopic,
): { name: string; partitionIndexes: number[] }[] {
  const topics = []
  for (const [name, partitions] of stored ?? []) {
    const partitionIndexes = []
    for (const [index, { topicId }] of partitions) if (isCurrent(name, topicId)) partitionIndexes.push(index)
    if (partitionIndexes.length > 0) topics.push({ name, partitionIndexes })
  }
  return topics
}

/** DeleteGroups: of an empty group, with all of its offsets. */
export function deleteGroup(ctx: GroupContext, ticket: Ticket<DeleteGroupReply>, groupId: string): void {
  const refuse = (errorCode: number, errorMessage: string | null): void =>
    ctx.reply(ticket, { groupId, errorCode, errorMessage })
  // A commit on its way would come out of the log before the tombstones that leave it out: let it land first.
  if (ctx.hasPendingWrites(groupId)) {
    const waits = ctx.afterWrites(groupId, () => deleteGroup(ctx, ticket, groupId))
    if (!waits)
      refuse(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, `group ${groupId} is being written to; ask again`)
    return
  }
  const live = ctx.groups.get(groupId)
  if (!ctx.exists(groupId)) {
    refuse(ErrorCode.GROUP_ID_NOT_FOUND, `Group ${groupId} not found.`)
    return
  }
  if (live !== undefined && (live.state !== 'Empty' || live.pendingMembers.size > 0)) {
    refuse(ErrorCode.NON_EMPTY_GROUP, `group ${groupId} has members: stop them first`)
    return
  }
  removeGroup(ctx, ctx.liveGroup(groupId), (errorCode) =>
    refuse(errorCode, errorCode === ErrorCode.NONE ? null : 'the deletion could not be written; ask again'),
  )
}

/** Dead while the tombstones are on their way, so that nothing is built on it; Empty again where they fail. */
function removeGroup(ctx: GroupContext, group: ClassicGroup, done: (errorCode: number) => void): void {
  const { groupId } = group
  const records = tombstones(ctx, groupId, () => true)
  if (ctx.committed.groups.has(groupId)) records.push({ type: 'group', groupId, value: null })
  if (records.length === 0) {
    ctx.groups.delete(groupId)
    done(ErrorCode.NONE)
    return
  }
  const { stateSinceMs } = group
  group.transition('Dead', ctx.wallMs)
  ctx.append(records, (errorCode) => {
    if (errorCode === ErrorCode.NONE) {
      ctx.groups.delete(groupId)
    } else {
      group.transition('Empty', stateSinceMs)
      ctx.forgetIfUnused(group)
    }
    done(errorCode)
  })
}

function tombstones(
  ctx: GroupContext,
  groupId: string,
  isOver: (topic: string, offset: CommittedOffset) => boolean,
): GroupRecord[] {
  const records: GroupRecord[] = []
  for (const [topic, partitions] of ctx.committed.offsets(groupId) ?? []) {
    for (const [partition, offset] of partitions) {
      if (isOver(topic, offset)) records.push({ type: 'offset', groupId, topic, partition, value: null })
    }
  }
  return records
}

/**
 * KIP-211: the offsets of a group without members expire `offsets.retention.minutes` after it became empty, or after
 * the commit where nobody ever joined; a group with members keeps all of its own. Then the empty group itself goes.
 */
export function expireOffsets(ctx: GroupContext): void {
  const groupIds = new Set([...ctx.groups.keys(), ...ctx.committed.groupsWithOffsets()])
  const retentionMs = ctx.settings().offsetsRetentionMs
  for (const groupId of groupIds) {
    const group = ctx.groups.get(groupId)
    // Written to at this moment: next time.
    if (ctx.hasPendingWrites(groupId)) continue
    if (group !== undefined && (group.state !== 'Empty' || group.pendingMembers.size > 0)) continue
    const emptySinceMs = group?.protocolType == null ? -1 : group.stateSinceMs
    const isOver = (_topic: string, offset: CommittedOffset): boolean =>
      offset.expireTimestampMs >= 0
        ? ctx.wallMs >= offset.expireTimestampMs
        : ctx.wallMs - Math.max(emptySinceMs, offset.commitTimestampMs) >= retentionMs
    const records = tombstones(ctx, groupId, isOver)
    if (records.length === countOffsets(ctx, groupId)) removeGroup(ctx, ctx.liveGroup(groupId), () => {})
    else if (records.length > 0) ctx.append(records, () => {})
  }
}

function countOffsets(ctx: GroupContext, groupId: string): number {
  let count = 0
  for (const partitions of ctx.committed.offsets(groupId)?.values() ?? []) count += partitions.size
  return count
}

/** What groups committed for topics that are no more: another topic of that name must not inherit it. */
export function forgetTopics(ctx: GroupContext, topics: ReadonlySet<string>): void {
  for (const groupId of ctx.committed.groupsWithOffsets()) {
    const records = tombstones(ctx, groupId, (topic) => topics.has(topic))
    if (records.length > 0) ctx.append(records, () => {})
  }
}
