/**
 * OffsetForLeaderEpoch (key 23), versions 2-4, flexible from 4.
 * v2 the current leader epoch fences (KIP-320) · v3 replica id · v4 flexible.
 */
import { api, array, type Infer, type InferInput, int16, int32, int64, message, string } from '../schema.js'

export const OffsetForLeaderEpochRequest = message(
  { name: 'OffsetForLeaderEpochRequest', apiKey: 23, versions: '2-4', flexible: '4+' },
  {
    /** -1: a consumer. */
    replicaId: int32('3+', { default: -2 }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        /** -1: do not check. */
        currentLeaderEpoch: int32('2+', { default: -1 }),
        leaderEpoch: int32('0+'),
      }),
    }),
  },
)

export const OffsetForLeaderEpochResponse = message(
  { name: 'OffsetForLeaderEpochResponse', apiKey: 23, versions: '2-4', flexible: '4+' },
  {
    throttleTimeMs: int32('2+', { default: 0 }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partition: int32('0+'),
        leaderEpoch: int32('1+', { default: -1 }),
        endOffset: int64('0+', { default: -1 }),
      }),
    }),
  },
)

export type OffsetForLeaderEpochRequest = Infer<typeof OffsetForLeaderEpochRequest>
export type OffsetForLeaderEpochResponse = InferInput<typeof OffsetForLeaderEpochResponse>

export const OffsetForLeaderEpoch = api(
  'OffsetForLeaderEpoch',
  OffsetForLeaderEpochRequest,
  OffsetForLeaderEpochResponse,
)
