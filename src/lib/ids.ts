/**
 * Flavoured numbers and strings: a plain literal is accepted where one is wanted, one flavour never where
 * another is. So Raft's commit index (LogIndex) cannot be mixed up with a partition's high watermark (Offset).
 */
type Flavor<T, Name extends string> = T & { readonly __flavor?: Name }

/** A Raft term (Raft §5.1), a positive integer once an election was held; 0 before. */
export type Term = Flavor<number, 'Term'>
/** An index into the Raft log, from 1 on (Raft §5.3). */
export type LogIndex = Flavor<number, 'LogIndex'>
/** A record's offset in a partition's log, from 0 on. A checked safe integer. */
export type Offset = Flavor<number, 'Offset'>
/** `node.id`: of a broker, and of a voter. 0 to 2³¹−1. */
export type NodeId = Flavor<number, 'NodeId'>
/** Bumped by the controller at each change of a partition's leader (KIP-101, KIP-320). */
export type LeaderEpoch = Flavor<number, 'LeaderEpoch'>
/** Bumped by the controller at each change of a partition (KIP-497). */
export type PartitionEpoch = Flavor<number, 'PartitionEpoch'>
/** Given by the controller at each registration of a broker (KIP-903). */
export type BrokerEpoch = Flavor<number, 'BrokerEpoch'>
/** 128 bits in Kafka's textual form: 22 characters of base64url. */
export type Uuid = Flavor<string, 'Uuid'>

/** No leader, no node. */
export const NO_NODE: NodeId = -1
export const ZERO_UUID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA'

/** 16 bytes to Kafka's textual form. */
export function uuidFromBytes(bytes: Uint8Array): Uuid {
  return Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('base64url')
}

/** Kafka's textual form to 16 bytes. Throws a RangeError where it is not one. */
export function uuidToBytes(uuid: Uuid): Uint8Array {
  const bytes = Buffer.from(uuid, 'base64url')
  if (bytes.length !== 16) throw new RangeError(`not a UUID: ${JSON.stringify(uuid)}`)
  return bytes
}
