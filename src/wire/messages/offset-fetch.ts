/**
 * OffsetFetch (key 9), versions 1-10, flexible from 6.
 * v1 to v7 ask for one group, v8 on for several (KIP-709). Null topics ask for all (v2+).
 * v2 an error of the whole group · v3 throttle time · v5 leader epoch (KIP-320) · v6 flexible ·
 * v7 stable offsets only (KIP-447) · v9 member epochs (KIP-848) · v10 topic ids instead of names.
 */
import { ZERO_UUID } from '../../lib/ids.js'
import {
  api,
  array,
  bool,
  type Infer,
  type InferInput,
  int16,
  int32,
  int64,
  message,
  string,
  uuid,
} from '../schema.js'

export const OffsetFetchRequest = message(
  { name: 'OffsetFetchRequest', apiKey: 9, versions: '1-10', flexible: '6+' },
  {
    groupId: string('0-7', { default: '' }),
    topics: array(
      '0-7',
      {
        name: string('0-7'),
        partitionIndexes: array('0-7', int32),
      },
      { default: [], nullable: '2-7' },
    ),
    groups: array(
      '8+',
      {
        groupId: string('8+'),
        memberId: string('9+', { default: null, nullable: '9+' }),
        memberEpoch: int32('9+', { default: -1 }),
        topics: array(
          '8+',
          {
            name: string('8-9', { default: '' }),
            topicId: uuid('10+', { default: ZERO_UUID }),
            partitionIndexes: array('8+', int32),
          },
          { nullable: '8+' },
        ),
      },
      { default: [] },
    ),
    requireStable: bool('7+', { default: false }),
  },
)

export const OffsetFetchResponse = message(
  { name: 'OffsetFetchResponse', apiKey: 9, versions: '1-10', flexible: '6+' },
  {
    throttleTimeMs: int32('3+', { default: 0 }),
    topics: array(
      '0-7',
      {
        name: string('0-7'),
        partitions: array('0-7', {
          partitionIndex: int32('0-7'),
          committedOffset: int64('0-7'),
          /** -1: unknown. */
          committedLeaderEpoch: int32('5-7', { default: -1 }),
          metadata: string('0-7', { nullable: '0-7' }),
          errorCode: int16('0-7'),
        }),
      },
      { default: [] },
    ),
    errorCode: int16('2-7', { default: 0 }),
    groups: array(
      '8+',
      {
        groupId: string('8+'),
        topics: array('8+', {
          name: string('8-9', { default: '' }),
          topicId: uuid('10+', { default: ZERO_UUID }),
          partitions: array('8+', {
            partitionIndex: int32('8+'),
            committedOffset: int64('8+'),
            /** -1: unknown. */
            committedLeaderEpoch: int32('8+', { default: -1 }),
            metadata: string('8+', { nullable: '8+' }),
            errorCode: int16('8+'),
          }),
        }),
        errorCode: int16('8+', { default: 0 }),
      },
      { default: [] },
    ),
  },
)

export type OffsetFetchRequest = Infer<typeof OffsetFetchRequest>
export type OffsetFetchResponse = InferInput<typeof OffsetFetchResponse>

export const OffsetFetch = api('OffsetFetch', OffsetFetchRequest, OffsetFetchResponse)
