import type { GroupRecord } from '../../coordinator/group/records.js'
import { type Uuid, ZERO_UUID } from '../../lib/ids.js'
import { joinChunks, Reader, WireError, Writer } from '../../wire/primitives.js'
import { array, bytes, int32, int64, type Message, message, string, uuid } from '../../wire/schema.js'
import type { KeyValue } from './shard-log.js'

/**
 * The records of `__consumer_offsets` in Kafka's own formats: int16 record type + key; int16 version + value.
 * Written: offsets as v1 (with a retention of their own), v3, or v4 (with a topic id); groups as v3. Read: all.
 */
const OFFSET_COMMIT = 1
const GROUP_METADATA = 2
/** Of the key's type 0, which Kafka before 0.9 wrote: the same key, and values as they are here. */
const LEGACY_OFFSET_COMMIT = 0

const OffsetCommitKey = message(
  { name: 'OffsetCommitKey', apiKey: -1, versions: '0', flexible: 'none' },
  { group: string('0+'), topic: string('0+'), partition: int32('0+') },
)

const OffsetCommitValue = message(
  { name: 'OffsetCommitValue', apiKey: -1, versions: '0-4', flexible: '4+' },
  {
    offset: int64('0+'),
    leaderEpoch: int32('3+', { default: -1 }),
    metadata: string('0+'),
    commitTimestamp: int64('0+'),
    expireTimestamp: int64('1', { default: -1 }),
    topicId: uuid('4+', { tag: 0 }),
  },
)

const GroupMetadataKey = message(
  { name: 'GroupMetadataKey', apiKey: -1, versions: '0', flexible: 'none' },
  { group: string('0+') },
)

const GroupMetadataValue = message(
  { name: 'GroupMetadataValue', apiKey: -1, versions: '0-4', flexible: '4+' },
  {
    protocolType: string('0+'),
    generation: int32('0+'),
    protocol: string('0+', { nullable: '0+' }),
    leader: string('0+', { nullable: '0+' }),
    currentStateTimestamp: int64('2+', { default: -1 }),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('3+', { nullable: '3+', default: null }),
      clientId: string('0+'),
      clientHost: string('0+'),
      rebalanceTimeout: int32('1+', { default: -1 }),
      sessionTimeout: int32('0+'),
      subscription: bytes('0+'),
      assignment: bytes('0+'),
    }),
  },
)

const GROUP_VERSION = 3

export function encodeGroupRecord(record: GroupRecord): KeyValue {
  if (record.type === 'offset') {
    const key = { group: record.groupId, topic: record.topic, partition: record.partition }
    return {
      key: encode(OFFSET_COMMIT, OffsetCommitKey, 0, key),
      value: record.value === null ? null : encodeOffset(record.value),
    }
  }
  return {
    key: encode(GROUP_METADATA, GroupMetadataKey, 0, { group: record.groupId }),
    value: record.value === null ? null : encodeGroup(record.value),
  }
}

type OffsetRecord = Extract<GroupRecord, { type: 'offset' }>
type MetadataRecord = Extract<GroupRecord, { type: 'group' }>

function encodeOffset(value: NonNullable<OffsetRecord['value']>): Uint8Array {
  const version = offsetVersion(value.expireTimestampMs, value.topicId)
  return encode(version, OffsetCommitValue, version, {
    offset: value.offset,
    leaderEpoch: version >= 3 ? value.leaderEpoch : -1,
    metadata: value.metadata,
    commitTimestamp: value.commitTimestampMs,
    expireTimestamp: value.expireTimestampMs,
    topicId: value.topicId,
  })
}

function offsetVersion(expireTimestampMs: number, topicId: Uuid): number {
  if (expireTimestampMs >= 0) return 1
  return topicId === ZERO_UUID ? 3 : 4
}

function encodeGroup(value: NonNullable<MetadataRecord['value']>): Uint8Array {
  return encode(GROUP_VERSION, GroupMetadataValue, GROUP_VERSION, {
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

function encode<In>(prefix: number, schema: Message<unknown, In>, version: number, value: In): Uint8Array {
  const writer = new Writer(256)
  writer.int16(prefix)
  schema.write(writer, version, value)
  return joinChunks(writer.finish())
}

/**
 * null: a record of another kind, which a newer broker may have left.
 * @throws WireError where a record of a known kind cannot be read
 */
export function decodeGroupRecord(key: Uint8Array, value: Uint8Array | null): GroupRecord | null {
  const keyReader = new Reader(key)
  const kind = keyReader.int16()
  if (kind === OFFSET_COMMIT || kind === LEGACY_OFFSET_COMMIT) {
    const { group, topic, partition } = OffsetCommitKey.read(keyReader, 0)
    const decoded = value === null ? null : decodeOffset(value)
    return { type: 'offset', groupId: group, topic, partition, value: decoded }
  }
  if (kind === GROUP_METADATA) {
    const { group } = GroupMetadataKey.read(keyReader, 0)
    return { type: 'group', groupId: group, value: value === null ? null : decodeGroup(value) }
  }
  return null
}

function decodeOffset(bytes: Uint8Array): OffsetRecord['value'] {
  const value = decodeVersioned(OffsetCommitValue, bytes)
  return {
    offset: value.offset,
    leaderEpoch: value.leaderEpoch,
    metadata: value.metadata,
    commitTimestampMs: value.commitTimestamp,
    expireTimestampMs: value.expireTimestamp,
    topicId: value.topicId,
  }
}

function decodeGroup(bytes: Uint8Array): MetadataRecord['value'] {
  const value = decodeVersioned(GroupMetadataValue, bytes)
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

function decodeVersioned<Out>(schema: Message<Out, never>, bytes: Uint8Array): Out {
  const reader = new Reader(bytes)
  const version = reader.int16()
  if (!schema.supports(version)) throw new WireError(`${schema.name} has no version ${version}`)
  return schema.read(reader, version)
}
