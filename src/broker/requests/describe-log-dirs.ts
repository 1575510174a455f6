import { ErrorCode } from '../../wire/errors.js'
import {
  DescribeLogDirs,
  type DescribeLogDirsRequest,
  type DescribeLogDirsResponse,
} from '../../wire/messages/describe-log-dirs.js'
import type { ApiHandler } from '../handler.js'
import type { PartitionStatus } from '../partitions/types.js'
import type { BrokerServices } from '../services.js'

type TopicResult = DescribeLogDirsResponse['results'][number]['topics'][number]

/**
 * DescribeLogDirs v1-5: the one log directory with its replicas. Deviations: the size of the volume is not known
 * here (−1, as Kafka says where it cannot tell); there are no future replicas.
 */
export function describeLogDirsHandler(
  services: BrokerServices,
): ApiHandler<DescribeLogDirsRequest, DescribeLogDirsResponse> {
  return {
    api: DescribeLogDirs,
    handle(request, _context, responder) {
      const wanted = filterOf(request)
      const statuses = services.partitions.list().filter(wanted)
      const isOffline = services.partitions.isOffline
      responder.send({
        throttleTimeMs: 0,
        errorCode: ErrorCode.NONE,
        results: [
          {
            errorCode: isOffline ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.NONE,
            logDir: services.config.logDir,
            topics: isOffline ? [] : byTopic(statuses),
            totalBytes: -1,
            usableBytes: -1,
            isCordoned: false,
          },
        ],
      })
    },
  }
}

/** No topics named (null): all. */
function filterOf(request: DescribeLogDirsRequest): (status: PartitionStatus) => boolean {
  if (request.topics === null) return () => true
  const wanted = new Map(request.topics.map(({ topic, partitions }) => [topic, new Set(partitions)]))
  return (status) => wanted.get(status.topic)?.has(status.partitionId) === true
}

function byTopic(statuses: readonly PartitionStatus[]): TopicResult[] {
  const topics = new Map<string, TopicResult['partitions'][number][]>()
  for (const status of statuses) {
    const partition = {
      partitionIndex: status.partitionId,
      partitionSize: status.sizeBytes,
      offsetLag: Math.max(0, status.highWatermark - status.logEndOffset),
      isFutureKey: false,
    }
    const known = topics.get(status.topic)
    if (known === undefined) topics.set(status.topic, [partition])
    else known.push(partition)
  }
  return [...topics].map(([name, partitions]) => ({ name, partitions }))
}
