/**
 * DescribeCluster (key 60), versions 0-2, all flexible.
 * v1 endpoint type (KIP-919) · v2 fenced brokers (KIP-1073).
 */
import {
  api,
  array,
  bool,
  type Infer,
  type InferInput,
  int8,
  int16,
  int32,
  message,
  string,
} from '../schema.js'

export const DescribeClusterRequest = message(
  { name: 'DescribeClusterRequest', apiKey: 60, versions: '0-2', flexible: '0+' },
  {
    includeClusterAuthorizedOperations: bool('0+'),
    /** 1 brokers, 2 controllers. */
    endpointType: int8('1+', { default: 1 }),
    includeFencedBrokers: bool('2+', { default: false }),
  },
)

export const DescribeClusterResponse = message(
  { name: 'DescribeClusterResponse', apiKey: 60, versions: '0-2', flexible: '0+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { default: null, nullable: '0+' }),
    /** 1 brokers, 2 controllers. */
    endpointType: int8('1+', { default: 1 }),
    clusterId: string('0+'),
    controllerId: int32('0+', { default: -1 }),
    brokers: array('0+', {
      brokerId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('0+', { default: null, nullable: '0+' }),
      isFenced: bool('2+', { default: false }),
    }),
    /** One bit for each operation; -2³¹: not asked for (KIP-430). */
    clusterAuthorizedOperations: int32('0+', { default: -0x80000000 }),
  },
)

export type DescribeClusterRequest = Infer<typeof DescribeClusterRequest>
export type DescribeClusterResponse = InferInput<typeof DescribeClusterResponse>

export const DescribeCluster = api('DescribeCluster', DescribeClusterRequest, DescribeClusterResponse)
