/**
 * ListOffsets (key 2), versions 1-11, flexible from 6.
 * Timestamps are bigints, for any int64 may be asked for; negative ones name places in the log: -1 latest,
 * -2 earliest, -3 largest timestamp (v7, KIP-734), -4 earliest local (v8, KIP-405), -5 latest tiered (v9, KIP-1005),
 * -6 earliest not yet tiered (v11, KIP-1023).
 * v2 isolation level · v4 leader epochs (KIP-320) · v6 flexible · v10 a time-out for remote storage (KIP-1075).
 */
import {
  api,
  array,
  bigint64,
  type Infer,
  type InferInput,
  int8,
  int16,
  int32,
  int64,
  message,
  string,
} from '../schema.js'

export const ListOffsetsRequest = message(
  { name: 'ListOffsetsRequest', apiKey: 2, versions: '1-11', flexible: '6+' },
  {
    /** -1: a consumer. */
    replicaId: int32('0+'),
    /** 0 read uncommitted, 1 read committed. */
    isolationLevel: int8('2+', { default: 0 }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        /** -1: do not check. */
        currentLeaderEpoch: int32('4+', { default: -1 }),
        timestamp: bigint64('0+'),
      }),
    }),
    timeoutMs: int32('10+', { default: 0 }),
  },
)

export const ListOffsetsResponse = message(
  { name: 'ListOffsetsResponse', apiKey: 2, versions: '1-11', flexible: '6+' },
  {
    throttleTimeMs: int32('2+', { default: 0 }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        timestamp: bigint64('1+', { default: -1n }),
        offset: int64('1+', { default: -1 }),
        leaderEpoch: int32('4+', { default: -1 }),
      }),
    }),
  },
)

export type ListOffsetsRequest = Infer<typeof ListOffsetsRequest>
export type ListOffsetsResponse = InferInput<typeof ListOffsetsResponse>

export const ListOffsets = api('ListOffsets', ListOffsetsRequest, ListOffsetsResponse)
