import { DEFAULT_LOG_MANAGER_CONFIG, type LogManagerConfig } from '../log/log-manager.js'
import type { ConfigView } from '../metadata/configs.js'
import { DEFAULT_RAFT_TIMING } from '../raft/api.js'
import type { ServerLimits } from './network/kafka-server.js'
import type { QuorumSettings } from './quorum/options.js'

/** Kafka's configuration keys, as the parts of a node want them. */

export function limitsOf(configs: ConfigView): ServerLimits {
  return {
    maxFrameBytes: configs.int('socket.request.max.bytes'),
    maxInflightRequests: 64,
    maxUnsentBytes: 64 * 1024 * 1024,
    // Dynamic: looked up for each connection.
    get maxConnections() {
      return configs.int('max.connections')
    },
    get maxConnectionsPerIp() {
      return configs.int('max.connections.per.ip')
    },
    maxIdleMs: idleMs(Number(configs.bigint('connections.max.idle.ms'))),
  }
}

export function logManagerConfigOf(configs: ConfigView): LogManagerConfig {
  return {
    ...DEFAULT_LOG_MANAGER_CONFIG,
    retentionCheckIntervalMs: Number(configs.bigint('log.retention.check.interval.ms')),
    checkpointIntervalMs: Number(configs.bigint('replica.high.watermark.checkpoint.interval.ms')),
  }
}

export function quorumSettingsOf(configs: ConfigView): Partial<QuorumSettings> {
  const electionTimeoutMs = configs.int('controller.quorum.election.timeout.ms')
  return {
    raftTiming: {
      ...DEFAULT_RAFT_TIMING,
      heartbeatIntervalMs: configs.int('controller.quorum.heartbeat.interval.ms'),
      electionTimeoutMinMs: electionTimeoutMs,
      electionTimeoutMaxMs: 2 * electionTimeoutMs,
    },
    snapshotBytes: Number(configs.bigint('metadata.log.max.record.bytes.between.snapshots')),
  }
}

/** Kafka: a negative value means never. */
function idleMs(configured: number): number {
  return configured < 0 ? Number.MAX_SAFE_INTEGER : configured
}
