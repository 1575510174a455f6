import { NO_NODE, type NodeId } from '../../lib/ids.js'
import type { Address } from '../../ports/network.js'
import type { Partition } from './partition.js'
import { type FetcherHost, ReplicaFetcher } from './replica-fetcher.js'
import type { ThrottledSide } from './replication-throttle.js'
import type { PartitionServices } from './types.js'

/** One fetcher for each leader that this broker follows. */
export class ReplicaFetchers {
  private readonly fetchers = new Map<NodeId, ReplicaFetcher>()
  private readonly assigned = new Map<Partition, ReplicaFetcher>()
  private readonly host: FetcherHost

  constructor(
    private readonly services: PartitionServices,
    throttle: ThrottledSide,
  ) {
    const { configs, config } = services
    const maxBytes = configs.int('replica.fetch.response.max.bytes')
    this.host = {
      nodeId: config.nodeId,
      clock: services.clock,
      random: services.random,
      logger: services.logger,
      dialer: services.dialer,
      limits: {
        maxWaitMs: configs.int('replica.fetch.wait.max.ms'),
        minBytes: configs.int('replica.fetch.min.bytes'),
        maxBytes,
        partitionMaxBytes: configs.int('replica.fetch.max.bytes'),
        socketTimeoutMs: configs.int('replica.socket.timeout.ms'),
        // One oversized batch comes whole.
        maxFrameBytes: Math.max(maxBytes, configs.int('socket.request.max.bytes')) + 16 * 1024 * 1024,
      },
      throttle,
      brokerEpoch: () => services.brokerEpoch(),
      addressOf: (leader) => this.addressOf(leader),
      onLeaderLost: (leader) => services.onLeaderLost?.(leader),
    }
  }

  /** Follows under the partition's present epoch; NO_NODE: there is no leader to follow. */
  assign(partition: Partition, leader: NodeId): void {
    this.remove(partition)
    if (leader === NO_NODE) return
    let fetcher = this.fetchers.get(leader)
    if (fetcher === undefined) {
      fetcher = new ReplicaFetcher(leader, this.host)
      this.fetchers.set(leader, fetcher)
    }
    this.assigned.set(partition, fetcher)
    fetcher.add(partition)
  }

  remove(partition: Partition): void {
    const fetcher = this.assigned.get(partition)
    if (fetcher === undefined) return
    this.assigned.delete(partition)
    fetcher.remove(partition)
    if (fetcher.size > 0) return
    this.fetchers.delete(fetcher.leader)
    fetcher.close()
  }

  /** null: any. A leader that came back, or has moved, is dialled afresh. */
  onBrokersChanged(brokers: ReadonlySet<NodeId> | null): void {
    for (const [leader, fetcher] of this.fetchers) {
      if (brokers === null || brokers.has(leader)) fetcher.onAddress(this.addressOf(leader))
    }
  }

  close(): void {
    for (const fetcher of this.fetchers.values()) fetcher.close()
    this.fetchers.clear()
    this.assigned.clear()
  }

  private addressOf(leader: NodeId): Address | undefined {
    const { metadata, config } = this.services
    const endpoints = metadata.image.brokers.get(leader)?.endpoints
    const endpoint = endpoints?.find((one) => one.name === config.interBrokerListenerName)
    return endpoint === undefined ? undefined : { host: endpoint.host, port: endpoint.port }
  }
}
