/**
 * OffsetCommit (key 8), versions 2-10, flexible from 8.
 * v2 to v4 carry a retention time, ignored since it became the broker's configuration · v3 throttle time ·
 * v6 leader epoch (KIP-320) · v7 static members (KIP-345) · v8 flexible · v9 member epochs (KIP-848) ·
 * v10 topic ids instead of names.
 */
import { ZERO_UUID } from '../../lib/ids.js'
import {
  api,
  array,
  type Infer,
  type InferInput,
  int16,
  int32,
  int64,
  message,
  string,
  uuid,
} from '../schema.js'

export const OffsetCommitRequest = message(
  { name: 'OffsetCommitRequest', apiKey: 8, versions: '2-10', flexible: '8+' },
  {
    groupId: string('0+'),
    generationIdOrMemberEpoch: int32('1+', { default: -1 }),
    memberId: string('1+'),
    groupInstanceId: string('7+', { default: null, nullable: '7+' }),
    retentionTimeMs: int64('2-4', { default: -1 }),
    topics: array('0+', {
      name: string('0-9', { default: '' }),
      topicId: uuid('10+', { default: ZERO_UUID }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        committedOffset: int64('0+'),
        /** -1: unknown. */
        committedLeaderEpoch: int32('6+', { default: -1 }),
        committedMetadata: string('0+', { nullable: '0+' }),
      }),
    }),
  },
)

export const OffsetCommitResponse = message(
  { name: 'OffsetCommitResponse', apiKey: 8, versions: '2-10', flexible: '8+' },
  {
    throttleTimeMs: int32('3+', { default: 0 }),
    topics: array('0+', {
      name: string('0-9', { default: '' }),
      topicId: uuid('10+', { default: ZERO_UUID }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
)

export type OffsetCommitRequest = Infer<typeof OffsetCommitRequest>
export type OffsetCommitResponse = InferInput<typeof OffsetCommitResponse>

export const OffsetCommit = api('OffsetCommit', OffsetCommitRequest, OffsetCommitResponse)
