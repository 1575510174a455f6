/**
 * DescribeLogDirs (key 35), versions 1-5, flexible from 2.
 * v2 flexible · v3 an error of the whole request · v4 total and usable bytes (KIP-827) · v5 cordoned directories
 * (KIP-1066).
 */
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
} from '../schema.js'

export const DescribeLogDirsRequest = message(
  { name: 'DescribeLogDirsRequest', apiKey: 35, versions: '1-5', flexible: '2+' },
  {
    topics: array(
      '0+',
      {
        topic: string('0+'),
        partitions: array('0+', int32),
      },
      { nullable: '0+' },
    ),
  },
)

export const DescribeLogDirsResponse = message(
  { name: 'DescribeLogDirsResponse', apiKey: 35, versions: '1-5', flexible: '2+' },
  {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('3+', { default: 0 }),
    results: array('0+', {
      errorCode: int16('0+'),
      logDir: string('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          partitionSize: int64('0+'),
          /** How far the future or lagging replica is behind the high watermark. */
          offsetLag: int64('0+'),
          /** True: the replica is being moved to this directory. */
          isFutureKey: bool('0+'),
        }),
      }),
      /** -1: unknown. */
      totalBytes: int64('4+', { default: -1 }),
      /** -1: unknown. */
      usableBytes: int64('4+', { default: -1 }),
      isCordoned: bool('5+', { default: false }),
    }),
  },
)

export type DescribeLogDirsRequest = Infer<typeof DescribeLogDirsRequest>
export type DescribeLogDirsResponse = InferInput<typeof DescribeLogDirsResponse>

export const DescribeLogDirs = api('DescribeLogDirs', DescribeLogDirsRequest, DescribeLogDirsResponse)
