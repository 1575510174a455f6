/**
 * DescribeQuorum (key 55), versions 0-2, all flexible.
 * v1 fetch and caught-up timestamps (KIP-836) · v2 error messages, directory ids and the voters' endpoints (KIP-853).
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
  uint16,
  uuid,
} from '../schema.js'

export const DescribeQuorumRequest = message(
  { name: 'DescribeQuorumRequest', apiKey: 55, versions: '0-2', flexible: '0+' },
  {
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
      }),
    }),
  },
)

const replicaStateFields = {
  replicaId: int32('0+'),
  replicaDirectoryId: uuid('2+', { default: ZERO_UUID }),
  logEndOffset: int64('0+'),
  lastFetchTimestamp: int64('1+', { default: -1 }),
  lastCaughtUpTimestamp: int64('1+', { default: -1 }),
}

export const DescribeQuorumResponse = message(
  { name: 'DescribeQuorumResponse', apiKey: 55, versions: '0-2', flexible: '0+' },
  {
    errorCode: int16('0+'),
    errorMessage: string('2+', { default: '', nullable: '2+' }),
    topics: array('0+', {
      topicName: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('2+', { default: '', nullable: '2+' }),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+'),
        highWatermark: int64('0+'),
        currentVoters: array('0+', replicaStateFields),
        observers: array('0+', replicaStateFields),
      }),
    }),
    nodes: array(
      '2+',
      {
        nodeId: int32('2+'),
        listeners: array('2+', {
          name: string('2+'),
          host: string('2+'),
          port: uint16('2+'),
        }),
      },
      { default: [] },
    ),
  },
)

export type DescribeQuorumRequest = Infer<typeof DescribeQuorumRequest>
export type DescribeQuorumResponse = InferInput<typeof DescribeQuorumResponse>

export const DescribeQuorum = api('DescribeQuorum', DescribeQuorumRequest, DescribeQuorumResponse)
