/**
 * DescribeTopicPartitions (key 75), version 0, all flexible.
 * Pages through topics and partitions with a cursor, eligible leader replicas included (KIP-966).
 */
import {
  api,
  array,
  bool,
  type Infer,
  type InferInput,
  int16,
  int32,
  message,
  string,
  struct,
  uuid,
} from '../schema.js'

export const DescribeTopicPartitionsRequest = message(
  { name: 'DescribeTopicPartitionsRequest', apiKey: 75, versions: '0', flexible: '0+' },
  {
    topics: array('0+', {
      name: string('0+'),
    }),
    responsePartitionLimit: int32('0+', { default: 2000 }),
    cursor: struct(
      '0+',
      {
        topicName: string('0+'),
        partitionIndex: int32('0+'),
      },
      { default: null, nullable: '0+' },
    ),
  },
)

export const DescribeTopicPartitionsResponse = message(
  { name: 'DescribeTopicPartitionsResponse', apiKey: 75, versions: '0', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    topics: array('0+', {
      errorCode: int16('0+'),
      name: string('0+', { nullable: '0+' }),
      topicId: uuid('0+'),
      isInternal: bool('0+', { default: false }),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+', { default: -1 }),
        replicaNodes: array('0+', int32),
        isrNodes: array('0+', int32),
        eligibleLeaderReplicas: array('0+', int32, { default: null, nullable: '0+' }),
        lastKnownElr: array('0+', int32, { default: null, nullable: '0+' }),
        offlineReplicas: array('0+', int32),
      }),
      /** One bit for each operation; -2³¹: not asked for (KIP-430). */
      topicAuthorizedOperations: int32('0+', { default: -0x80000000 }),
    }),
    nextCursor: struct(
      '0+',
      {
        topicName: string('0+'),
        partitionIndex: int32('0+'),
      },
      { default: null, nullable: '0+' },
    ),
  },
)

export type DescribeTopicPartitionsRequest = Infer<typeof DescribeTopicPartitionsRequest>
export type DescribeTopicPartitionsResponse = InferInput<typeof DescribeTopicPartitionsResponse>

export const DescribeTopicPartitions = api(
  'DescribeTopicPartitions',
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponse,
)
