/**
 * Fetch (key 1), versions 4-18, flexible from 12.
 * v4 isolation level · v5 log start offset · v7 fetch sessions (KIP-227) · v9 leader epoch (KIP-320) ·
 * v10 zstd (KIP-110) · v11 rack and preferred replica (KIP-392) · v12 flexible, divergence found by the last
 * fetched epoch (KIP-595) · v13 topic ids instead of names (KIP-516) · v15 the follower's state replaces the
 * replica id (KIP-903) · v16 endpoints of new leaders (KIP-951) · v17 directory id (KIP-853) ·
 * v18 the follower's high watermark (KIP-1166), a bigint here since its default is 2⁶³−1.
 */
import { ZERO_UUID } from '../../lib/ids.js'
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
  records,
  string,
  struct,
  uuid,
} from '../schema.js'

export const FetchRequest = message(
  { name: 'FetchRequest', apiKey: 1, versions: '4-18', flexible: '12+' },
  {
    clusterId: string('12+', { default: null, nullable: '12+', tag: 0 }),
    /** -1: a consumer. */
    replicaId: int32('0-14', { default: -1 }),
    replicaState: struct(
      '15+',
      {
        /** -1: a consumer. */
        replicaId: int32('15+', { default: -1 }),
        replicaEpoch: int64('15+', { default: -1 }),
      },
      { tag: 1 },
    ),
    maxWaitMs: int32('0+'),
    minBytes: int32('0+'),
    maxBytes: int32('3+', { default: 0x7fffffff }),
    /** 0 read uncommitted, 1 read committed. */
    isolationLevel: int8('4+', { default: 0 }),
    /** 0: no session. */
    sessionId: int32('7+', { default: 0 }),
    /** 0 opens a session, -1 is without one or closes it (KIP-227). */
    sessionEpoch: int32('7+', { default: -1 }),
    topics: array('0+', {
      topic: string('0-12', { default: '' }),
      topicId: uuid('13+', { default: ZERO_UUID }),
      partitions: array('0+', {
        partition: int32('0+'),
        /** -1: do not check. */
        currentLeaderEpoch: int32('9+', { default: -1 }),
        fetchOffset: int64('0+'),
        /** -1: unknown; the leader then does not look for a divergence. */
        lastFetchedEpoch: int32('12+', { default: -1 }),
        logStartOffset: int64('5+', { default: -1 }),
        partitionMaxBytes: int32('0+'),
        replicaDirectoryId: uuid('17+', { tag: 0 }),
        /** 2⁶³−1: the follower does not report one. */
        highWatermark: bigint64('18+', { default: 2n ** 63n - 1n, tag: 1 }),
      }),
    }),
    forgottenTopicsData: array(
      '7+',
      {
        topic: string('7-12', { default: '' }),
        topicId: uuid('13+', { default: ZERO_UUID }),
        partitions: array('7+', int32),
      },
      { default: [] },
    ),
    rackId: string('11+', { default: '' }),
  },
)

export const FetchResponse = message(
  { name: 'FetchResponse', apiKey: 1, versions: '4-18', flexible: '12+' },
  {
    throttleTimeMs: int32('1+', { default: 0 }),
    errorCode: int16('7+', { default: 0 }),
    /** 0: no session. */
    sessionId: int32('7+', { default: 0 }),
    responses: array('0+', {
      topic: string('0-12', { default: '' }),
      topicId: uuid('13+', { default: ZERO_UUID }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        highWatermark: int64('0+'),
        lastStableOffset: int64('4+', { default: -1 }),
        logStartOffset: int64('5+', { default: -1 }),
        divergingEpoch: struct(
          '12+',
          {
            epoch: int32('12+', { default: -1 }),
            endOffset: int64('12+', { default: -1 }),
          },
          { tag: 0 },
        ),
        currentLeader: struct(
          '12+',
          {
            leaderId: int32('12+', { default: -1 }),
            leaderEpoch: int32('12+', { default: -1 }),
          },
          { tag: 1 },
        ),
        snapshotId: struct(
          '12+',
          {
            endOffset: int64('0+', { default: -1 }),
            epoch: int32('0+', { default: -1 }),
          },
          { tag: 2 },
        ),
        abortedTransactions: array(
          '4+',
          {
            producerId: int64('4+'),
            firstOffset: int64('4+'),
          },
          { nullable: '4+' },
        ),
        /** -1: none (KIP-392). */
        preferredReadReplica: int32('11+', { default: -1 }),
        records: records('0+', { nullable: '0+' }),
      }),
    }),
    nodeEndpoints: array(
      '16+',
      {
        nodeId: int32('16+'),
        host: string('16+'),
        port: int32('16+'),
        rack: string('16+', { default: null, nullable: '16+' }),
      },
      { tag: 0 },
    ),
  },
)

export type FetchRequest = Infer<typeof FetchRequest>
export type FetchResponse = InferInput<typeof FetchResponse>

export const Fetch = api('Fetch', FetchRequest, FetchResponse)
