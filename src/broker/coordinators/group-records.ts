import type { CommittedOffset, GroupMetadata, GroupRecord } from '../../coordinator/group/records.js'
import { type Uuid, ZERO_UUID } from '../../lib/ids.js'
import {
  COORDINATOR_VALUE_VERSION,
  decodeCoordinatorKey,
  decodeGroupMetadataValue,
  decodeOffsetCommitValue,
  encodeGroupMetadataKey,
  encodeGroupMetadataValue,
  encodeOffsetCommitKey,
  encodeOffsetCommitValue,
} from '../../wire/coordinator-records.js'
import type { KeyValue } from './shard-log.js'

/** The version that has a retention of the commit's own, and the one that has a topic id. */
const WITH_EXPIRY = 1
const WITH_TOPIC_ID = 4

export function encodeGroupRecord(record: GroupRecord): KeyValue {
  if (record.type === 'offset') {
    const key = { group: record.groupId, topic: record.topic, partition: record.partition }
    const value = record.value === null ? null : encodeOffset(record.value)
    return { key: encodeOffsetCommitKey(key), value }
  }
  const value = record.value === null ? null : encodeGroup(record.value)
  return { key: encodeGroupMetadataKey({ group: record.groupId }), value }
}

function encodeOffset(value: CommittedOffset): Uint8Array {
  const version = offsetVersion(value.expireTimestampMs, value.topicId)
  const encoded = {
    offset: value.offset,
    leaderEpoch: version === WITH_EXPIRY ? -1 : value.leaderEpoch,
    metadata: value.metadata,
    commitTimestamp: value.commitTimestampMs,
    expireTimestamp: value.expireTimestampMs,
    topicId: value.topicId,
  }
  return encodeOffsetCommitValue(encoded, version)
}

function offsetVersion(expireTimestampMs: number, topicId: Uuid): number {
  if (expireTimestampMs >= 0) return WITH_EXPIRY
  return topicId === ZERO_UUID ? COORDINATOR_VALUE_VERSION : WITH_TOPIC_ID
}

function encodeGroup(value: GroupMetadata): Uint8Array {
  return encodeGroupMetadataValue({
    protocolType: value.protocolType,
    generation: value.generation,
    protocol: value.protocol,
    leader: value.leader,
    currentStateTimestamp: value.currentStateTimestampMs,
    members: value.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeoutMs,
      sessionTimeout: member.sessionTimeoutMs,
      subscription: member.subscription,
      assignment: member.assignment,
    })),
  })
}

/**
 * null: a record of another group protocol, which this coordinator passes over.
 * @throws WireError where a record of a known kind cannot be read
 */
export function decodeGroupRecord(key: Uint8Array, value: Uint8Array | null): GroupRecord | null {
  const decoded = decodeCoordinatorKey(key)
  switch (decoded.kind) {
    case 'offset-commit': {
      const { group, topic, partition } = decoded
      const offset = value === null ? null : decodeOffset(value)
      return { type: 'offset', groupId: group, topic, partition, value: offset }
    }
    case 'group-metadata': {
      const metadata = value === null ? null : decodeGroup(value)
      return { type: 'group', groupId: decoded.group, value: metadata }
    }
    case 'unknown':
      return null
  }
}

function decodeOffset(bytes: Uint8Array): CommittedOffset {
  const value = decodeOffsetCommitValue(bytes)
  return {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestampMs: value.commitTimestamp,
    expireTimestampMs: value.expireTimestamp,
    topicId: value.topicId,
  }
}

function decodeGroup(bytes: Uint8Array): GroupMetadata {
  const value = decodeGroupMetadataValue(bytes)
  return {
    protocolType: value.protocolType,
    generation: value.generation,
    protocol: value.protocol,
    leader: value.leader,
    currentStateTimestampMs: value.currentStateTimestamp,
    members: value.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeoutMs: member.rebalanceTimeout,
      sessionTimeoutMs: member.sessionTimeout,
      // Copied: else each would keep a whole slice of the log in memory.
      subscription: new Uint8Array(member.subscription),
      assignment: new Uint8Array(member.assignment),
    })),
  }
}
