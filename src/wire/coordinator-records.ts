/**
 * Keys and values of `__consumer_offsets`, in Kafka's own format. Each begins with an int16. In front of a key it
 * names the kind of record (0 and 1 an offset, 2 a group; further kinds belong to newer group protocols), in front
 * of a value the version of its layout. A null value is a tombstone.
 */
import { ZERO_UUID } from '../lib/ids.js'
import { joinChunks, Reader, WireError, Writer } from './primitives.js'
import {
  array,
  bytes,
  type Infer,
  type InferInput,
  int32,
  int64,
  type Message,
  message,
  string,
  uuid,
} from './schema.js'

export const OffsetCommitKey = message(
  { name: 'OffsetCommitKey', apiKey: -1, versions: '0-1', flexible: 'none' },
  { group: string('0+'), topic: string('0+'), partition: int32('0+') },
)
export type OffsetCommitKey = Infer<typeof OffsetCommitKey>

export const OffsetCommitValue = message(
  { name: 'OffsetCommitValue', apiKey: -1, versions: '0-4', flexible: '4+' },
  {
    offset: int64('0+'),
    /** -1: unknown. */
    leaderEpoch: int32('3+', { default: -1 }),
    metadata: string('0+'),
    /** Milliseconds. */
    commitTimestamp: int64('0+'),
    /** Milliseconds; -1: by offsets.retention.minutes. */
    expireTimestamp: int64('1', { default: -1 }),
    topicId: uuid('4+', { default: ZERO_UUID, tag: 0 }),
  },
)
export type OffsetCommitValue = Infer<typeof OffsetCommitValue>

export const GroupMetadataKey = message(
  { name: 'GroupMetadataKey', apiKey: -1, versions: '2', flexible: 'none' },
  { group: string('0+') },
)
export type GroupMetadataKey = Infer<typeof GroupMetadataKey>

export const GroupMetadataValue = message(
  { name: 'GroupMetadataValue', apiKey: -1, versions: '0-4', flexible: '4+' },
  {
    protocolType: string('0+'),
    generation: int32('0+'),
    protocol: string('0+', { nullable: '0+' }),
    leader: string('0+', { nullable: '0+' }),
    /** Milliseconds; -1: unknown. */
    currentStateTimestamp: int64('2+', { default: -1 }),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('3+', { nullable: '3+', default: null }),
      clientId: string('0+'),
      clientHost: string('0+'),
      /** Milliseconds; -1: the session time-out counts. */
      rebalanceTimeout: int32('1+', { default: -1 }),
      /** Milliseconds. */
      sessionTimeout: int32('0+'),
      subscription: bytes('0+'),
      assignment: bytes('0+'),
    }),
  },
)
export type GroupMetadataValue = Infer<typeof GroupMetadataValue>

const OFFSET_COMMIT_KEY = 1
const GROUP_METADATA_KEY = 2
/** The newest layout that is not flexible: every Kafka from 2.1 on reads it. */
export const COORDINATOR_VALUE_VERSION = 3

export type CoordinatorKey =
  | ({ readonly kind: 'offset-commit' } & OffsetCommitKey)
  | ({ readonly kind: 'group-metadata' } & GroupMetadataKey)
  /** A kind that another group protocol writes; whoever loads the partition passes over it. */
  | { readonly kind: 'unknown'; readonly type: number }

/** @throws WireError where the key is damaged */
export function decodeCoordinatorKey(key: Uint8Array): CoordinatorKey {
  const type = new Reader(key).int16()
  if (type >= 0 && type <= OFFSET_COMMIT_KEY) {
    return { kind: 'offset-commit', ...readPrefixed(OffsetCommitKey, key) }
  }
  if (type === GROUP_METADATA_KEY) return { kind: 'group-metadata', ...readPrefixed(GroupMetadataKey, key) }
  return { kind: 'unknown', type }
}

export function encodeOffsetCommitKey(key: InferInput<typeof OffsetCommitKey>): Uint8Array {
  return writePrefixed(OffsetCommitKey, OFFSET_COMMIT_KEY, key)
}

export function encodeGroupMetadataKey(key: InferInput<typeof GroupMetadataKey>): Uint8Array {
  return writePrefixed(GroupMetadataKey, GROUP_METADATA_KEY, key)
}

/** @throws WireError where the value is damaged or newer than this code */
export function decodeOffsetCommitValue(value: Uint8Array): OffsetCommitValue {
  return readPrefixed(OffsetCommitValue, value)
}

/** `version` 4 keeps the topic id as well. */
export function encodeOffsetCommitValue(
  value: InferInput<typeof OffsetCommitValue>,
  version = COORDINATOR_VALUE_VERSION,
): Uint8Array {
  return writePrefixed(OffsetCommitValue, version, value)
}

/** @throws WireError where the value is damaged or newer than this code */
export function decodeGroupMetadataValue(value: Uint8Array): GroupMetadataValue {
  return readPrefixed(GroupMetadataValue, value)
}

export function encodeGroupMetadataValue(
  value: InferInput<typeof GroupMetadataValue>,
  version = COORDINATOR_VALUE_VERSION,
): Uint8Array {
  return writePrefixed(GroupMetadataValue, version, value)
}

function readPrefixed<Out>(layout: Message<Out, never>, prefixed: Uint8Array): Out {
  const reader = new Reader(prefixed)
  const version = reader.int16()
  if (!layout.supports(version)) throw new WireError(`version ${version} is not known`, layout.name)
  return layout.read(reader, version)
}

function writePrefixed<In>(layout: Message<unknown, In>, version: number, value: In): Uint8Array {
  const writer = new Writer()
  writer.int16(version)
  layout.write(writer, version, value)
  return joinChunks(writer.finish())
}
