import * as grpc from '@grpc/grpc-js'
import type { ChangeVotersReply, InspectStatus, ListElectionsReply } from '../adapters/grpc-inspect.js'
import type { WatchEvent } from '../adapters/grpc-inspect-watch.js'
import { serviceDefinition } from '../adapters/grpc-service.js'
import { throwIfError } from '../adapters/kafka-client/index.js'
import type { PartitionStatus } from '../broker/partitions/types.js'
import type { PartitionFilter } from '../broker/post-mortems/types.js'
import type { MembershipCommand } from '../broker/quorum/membership.js'
import { DescribeQuorum } from '../wire/messages/describe-quorum.js'
import type { Invocation, OptionSpec } from './command.js'
import { parseAddresses, withClient } from './connect.js'
import { failure } from './errors.js'

export type { ChangeVotersReply, InspectStatus, ListElectionsReply, MembershipCommand, WatchEvent }

export const INSPECT_OPTION: Readonly<Record<string, OptionSpec>> = {
  inspect: {
    type: 'string',
    placeholder: 'host:port,…',
    help: 'gRPC addresses of the nodes; without it, the brokers are asked for them.',
  },
}

const CALL_TIMEOUT_MS = 2_000
/** A node tells within its own time-out what became of a change. */
const CHANGE_GRACE_MS = 2_000
const METADATA_TOPIC = '__cluster_metadata'

/** Where inspection is served, one address a node: given by --inspect, or told by DescribeQuorum (KIP-853). */
export async function inspectAddresses(invocation: Invocation): Promise<string[]> {
  const given = invocation.text('inspect')
  if (given !== undefined) return parseAddresses('inspect', given).map(({ host, port }) => joined(host, port))
  return withClient(invocation, async (client) => {
    const answer = await client.request(DescribeQuorum, {
      topics: [{ topicName: METADATA_TOPIC, partitions: [{ partitionIndex: 0 }] }],
    })
    throwIfError(answer.errorCode, answer.errorMessage)
    const addresses = answer.nodes
      .toSorted((a, b) => a.nodeId - b.nodeId)
      .flatMap(({ listeners }) => listeners.slice(0, 1).map(({ host, port }) => joined(host, port)))
    if (addresses.length === 0)
      throw failure('The brokers name no gRPC address: give them with --inspect host:port.')
    return addresses
  })
}

function joined(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** `kogge.inspect.v1` of one node. */
export class InspectClient {
  private readonly client: grpc.Client & Methods

  constructor(readonly address: string) {
    const Client = grpc.makeGenericClientConstructor(serviceDefinition('kogge.inspect.v1.Inspect'), 'Inspect')
    this.client = new Client(address, grpc.credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 500,
      // A node that is paused or cut off keeps its connections and says nothing.
      'grpc.keepalive_time_ms': 2_000,
      'grpc.keepalive_timeout_ms': 2_000,
    }) as unknown as grpc.Client & Methods
  }

  /** @throws grpc.ServiceError */
  status(): Promise<InspectStatus> {
    return new Promise((resolve, reject) => {
      this.client.getStatus({}, { deadline: Date.now() + CALL_TIMEOUT_MS }, (error, status) => {
        if (error === null) resolve(status!)
        else reject(error)
      })
    })
  }

  /** The newest `limit`; 0: all that the node keeps. @throws grpc.ServiceError */
  elections(limit: number, filter: PartitionFilter = {}): Promise<ListElectionsReply> {
    return new Promise((resolve, reject) => {
      this.client.listElections(
        { limit, ...filter },
        { deadline: Date.now() + CALL_TIMEOUT_MS },
        (error, reply) => {
          if (error === null) resolve(reply!)
          else reject(error)
        },
      )
    })
  }

  /** @throws grpc.ServiceError */
  partitions(): Promise<readonly PartitionStatus[]> {
    return new Promise((resolve, reject) => {
      this.client.listPartitions({}, { deadline: Date.now() + CALL_TIMEOUT_MS }, (error, reply) => {
        if (error === null) resolve(reply!.partitions)
        else reject(error)
      })
    })
  }

  /** One change of the voters (KIP-853), never sent twice. @throws grpc.ServiceError */
  changeVoters({ type, ...request }: MembershipCommand, timeoutMs: number): Promise<ChangeVotersReply> {
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + timeoutMs + CHANGE_GRACE_MS
      this.client[type]({ ...request, timeoutMs }, { deadline }, (error, reply) => {
        if (error === null) resolve(reply!)
        else reject(error)
      })
    })
  }

  /** The state now, then each event. The iteration ends, or throws, when the node goes. */
  watch(): grpc.ClientReadableStream<WatchEvent> {
    return this.client.watchEvents({})
  }

  close(): void {
    this.client.close()
  }
}

type ChangeVoters = (
  request: object,
  options: grpc.CallOptions,
  done: (error: grpc.ServiceError | null, reply?: ChangeVotersReply) => void,
) => void

interface Methods {
  addVoter: ChangeVoters
  removeVoter: ChangeVoters
  promoteVoter: ChangeVoters
  getStatus(
    request: object,
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, status?: InspectStatus) => void,
  ): void
  listElections(
    request: PartitionFilter & { limit: number },
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, reply?: ListElectionsReply) => void,
  ): void
  listPartitions(
    request: object,
    options: grpc.CallOptions,
    done: (error: grpc.ServiceError | null, reply?: { partitions: readonly PartitionStatus[] }) => void,
  ): void
  watchEvents(request: object): grpc.ClientReadableStream<WatchEvent>
}
