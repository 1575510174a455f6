/**
 * What members of a classic consumer group put into JoinGroup and SyncGroup: subscriptions and assignments. The
 * coordinator passes them through; it reads subscriptions only to know which topics a group consumes.
 *
 * Each begins with an int16 version. Newer versions only ever add fields at the end, so one that is newer than this
 * code is read as the newest known, and what follows is ignored.
 */
import { joinChunks, Reader, WireError, Writer } from './primitives.js'
import { array, bytes, type Infer, type InferInput, int32, type Message, message, string } from './schema.js'

export const ConsumerProtocolSubscription = message(
  { name: 'ConsumerProtocolSubscription', apiKey: -1, versions: '0-3', flexible: 'none' },
  {
    topics: array('0+', string),
    userData: bytes('0+', { nullable: '0+', default: null }),
    /** For the cooperative assignors (KIP-429). */
    ownedPartitions: array('1+', { topic: string('1+'), partitions: array('1+', int32) }, { default: [] }),
    /** -1: unknown (KIP-792). */
    generationId: int32('2+', { default: -1 }),
    /** KIP-881. */
    rackId: string('3+', { nullable: '3+', default: null }),
  },
)
export type ConsumerProtocolSubscription = Infer<typeof ConsumerProtocolSubscription>

export const ConsumerProtocolAssignment = message(
  { name: 'ConsumerProtocolAssignment', apiKey: -1, versions: '0-3', flexible: 'none' },
  {
    assignedPartitions: array('0+', { topic: string('0+'), partitions: array('0+', int32) }),
    userData: bytes('0+', { nullable: '0+', default: null }),
  },
)
export type ConsumerProtocolAssignment = Infer<typeof ConsumerProtocolAssignment>

/** @throws WireError where it is no subscription: other protocols put what they like there */
export function decodeSubscription(prefixed: Uint8Array): ConsumerProtocolSubscription {
  return readPrefixed(ConsumerProtocolSubscription, prefixed)
}

/** @throws WireError where it is no assignment */
export function decodeAssignment(prefixed: Uint8Array): ConsumerProtocolAssignment {
  return readPrefixed(ConsumerProtocolAssignment, prefixed)
}

export function encodeSubscription(
  subscription: InferInput<typeof ConsumerProtocolSubscription>,
  version = 3,
): Uint8Array {
  return writePrefixed(ConsumerProtocolSubscription, version, subscription)
}

export function encodeAssignment(
  assignment: InferInput<typeof ConsumerProtocolAssignment>,
  version = 3,
): Uint8Array {
  return writePrefixed(ConsumerProtocolAssignment, version, assignment)
}

function readPrefixed<Out>(layout: Message<Out, never>, prefixed: Uint8Array): Out {
  const reader = new Reader(prefixed)
  const version = reader.int16()
  if (version < 0) throw new WireError(`version ${version} is not known`, layout.name)
  return layout.read(reader, Math.min(version, layout.versions.to))
}

function writePrefixed<In>(layout: Message<unknown, In>, version: number, value: In): Uint8Array {
  const writer = new Writer()
  writer.int16(version)
  layout.write(writer, version, value)
  return joinChunks(writer.finish())
}
