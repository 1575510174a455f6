import { utf8Length } from '../../wire/primitives.js'
import type { JoinRequest } from './types.js'

/**
 * What the records of `__consumer_offsets` can keep. A request's own strings may be longer: bytes that are not UTF-8
 * are decoded to U+FFFD, which takes three bytes each when it is written.
 */

/** Kafka's layouts count the bytes of a string in an int16. */
export const MAX_STORED_STRING_BYTES = 0x7fff

/** A member id is the instance id or the client id, a dash, and a part of the coordinator's own. */
const MEMBER_ID_ROOM_BYTES = 64

export function isStorable(text: string, roomBytes = 0): boolean {
  return utf8Length(text) + roomBytes <= MAX_STORED_STRING_BYTES
}

/** All that a member brings and the record of its generation must keep, apart from the group's id. */
export function isStorableMember(request: JoinRequest): boolean {
  return (
    isStorable(request.memberId) &&
    isStorable(request.groupInstanceId ?? '', MEMBER_ID_ROOM_BYTES) &&
    isStorable(request.clientId, MEMBER_ID_ROOM_BYTES) &&
    isStorable(request.clientHost) &&
    isStorable(request.protocolType) &&
    request.protocols.every(({ name }) => isStorable(name))
  )
}
