import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeId } from '../../lib/ids.js'
import type { Address } from '../../ports/network.js'
import { ErrorCode } from '../../wire/errors.js'
import { FindCoordinator } from '../../wire/messages/find-coordinator.js'
import { Metadata } from '../../wire/messages/metadata.js'
import type { Api } from '../../wire/schema.js'
import { KafkaConnection } from './connection.js'
import {
  isWorthRetrying,
  KafkaConnectionError,
  KafkaError,
  KafkaUnreachableError,
  throwIfError,
} from './errors.js'

export interface KafkaClientOptions {
  readonly bootstrap: readonly Address[]
  readonly clientId?: string
  /** For connecting to one broker. */
  readonly connectTimeoutMs?: number
  /** For one answer; a broker that is silent for longer is left alone for another. */
  readonly requestTimeoutMs?: number
  /** How long anything is tried again. */
  readonly timeoutMs?: number
}

export interface ClusterTopic {
  readonly name: string
  readonly topicId: string
  readonly isInternal: boolean
  readonly partitions: readonly ClusterPartition[]
}

export interface ClusterPartition {
  readonly index: number
  /** -1: none. */
  readonly leader: NodeId
  readonly leaderEpoch: number
  readonly replicas: readonly NodeId[]
  readonly isr: readonly NodeId[]
  readonly offline: readonly NodeId[]
}

export interface ClusterMetadata {
  readonly clusterId: string | null
  readonly controllerId: NodeId
  readonly brokers: readonly {
    readonly nodeId: NodeId
    readonly host: string
    readonly port: number
    readonly rack: string | null
  }[]
  readonly topics: readonly ClusterTopic[]
}

const FIRST_BACKOFF_MS = 20
const MAX_BACKOFF_MS = 250

/** A small client for the command line and tests: connections by broker, versions agreed, retries with a deadline. */
export class KafkaClient {
  readonly requestTimeoutMs: number
  readonly timeoutMs: number
  private readonly clientId: string
  private readonly connectTimeoutMs: number
  private readonly bootstrap: readonly Address[]
  private readonly brokers = new Map<NodeId, Address>()
  private readonly connections = new Map<string, Promise<KafkaConnection>>()
  private closed = false
  private hadContact = false

  constructor(options: KafkaClientOptions) {
    this.bootstrap = options.bootstrap
    this.clientId = options.clientId ?? 'kogge'
    this.connectTimeoutMs = options.connectTimeoutMs ?? 3_000
    this.requestTimeoutMs = options.requestTimeoutMs ?? 5_000
    this.timeoutMs = options.timeoutMs ?? 30_000
  }

  close(): void {
    this.closed = true
    for (const opening of this.connections.values()) {
      opening.then(
        (connection) => connection.close(),
        () => {}, // never came to be: nothing to close
      )
    }
    this.connections.clear()
  }

  /** To any broker that answers, tried again on another one. For requests that any broker can serve or forward. */
  async request<Req, Res, ReqIn, ResOut>(
    api: Api<Req, Res, ReqIn, ResOut>,
    body: ReqIn,
    options: { maxVersion?: number; requestTimeoutMs?: number } = {},
  ): Promise<ResOut> {
    await this.firstContact()
    return this.retrying(async () => {
      const connection = await this.anyConnection()
      return connection.send(api, body, options.requestTimeoutMs ?? this.requestTimeoutMs, options.maxVersion)
    })
  }

  /** To this broker alone, once. @throws KafkaConnectionError, KafkaError */
  async requestFrom<Req, Res, ReqIn, ResOut>(
    node: NodeId,
    api: Api<Req, Res, ReqIn, ResOut>,
    body: ReqIn,
    options: { maxVersion?: number; requestTimeoutMs?: number; lane?: string } = {},
  ): Promise<ResOut> {
    const address = this.brokers.get(node)
    if (address === undefined) throw new KafkaConnectionError(`node ${node} is not known to be alive`)
    const connection = await this.connectionTo(address, options.lane)
    return connection.send(api, body, options.requestTimeoutMs ?? this.requestTimeoutMs, options.maxVersion)
  }

  /** null: all topics. Topics that do not exist are left out; none is created. */
  async metadata(topics: readonly string[] | null): Promise<ClusterMetadata> {
    const answer = await this.request(Metadata, {
      topics: topics === null ? null : topics.map((name) => ({ name })),
      allowAutoTopicCreation: false,
    })
    for (const { nodeId, host, port } of answer.brokers) this.brokers.set(nodeId, { host, port })
    const usable = answer.topics.filter((topic) => {
      if (topic.errorCode === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return false
      if (topic.errorCode !== ErrorCode.LEADER_NOT_AVAILABLE)
        throwIfError(topic.errorCode, `Topic ${topic.name}: error`)
      return true
    })
    return {
      clusterId: answer.clusterId,
      controllerId: answer.controllerId,
      brokers: answer.brokers,
      topics: usable.map(({ name, topicId, isInternal, partitions }) => ({
        name: name ?? '',
        topicId,
        isInternal,
        partitions: partitions
          .map((p) => ({
            index: p.partitionIndex,
            leader: p.leaderId,
            leaderEpoch: p.leaderEpoch,
            replicas: p.replicaNodes,
            isr: p.isrNodes,
            offline: p.offlineReplicas,
          }))
          .sort((a, b) => a.index - b.index),
      })),
    }
  }

  /** @throws KafkaError UNKNOWN_TOPIC_OR_PARTITION */
  async topic(name: string): Promise<ClusterTopic> {
    const { topics } = await this.metadata([name])
    const found = topics.find((topic) => topic.name === name)
    if (found !== undefined) return found
    throw new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `There is no topic ${name}`)
  }

  /** To the coordinator of a group, found anew at each try. `accept` throws the error that the answer holds. */
  async requestCoordinator<Req, Res, ReqIn, ResOut>(
    group: string,
    api: Api<Req, Res, ReqIn, ResOut>,
    body: ReqIn,
    accept: (answer: ResOut) => void,
    maxVersion?: number,
  ): Promise<ResOut> {
    await this.firstContact()
    return this.retrying(async () => {
      const found = await this.request(FindCoordinator, { key: group, keyType: 0, coordinatorKeys: [group] })
      const coordinator = found.coordinators[0] ?? found
      throwIfError(coordinator.errorCode, coordinator.errorMessage)
      this.brokers.set(coordinator.nodeId, { host: coordinator.host, port: coordinator.port })
      const answer = await this.requestFrom(
        coordinator.nodeId,
        api,
        body,
        maxVersion === undefined ? {} : { maxVersion },
      )
      accept(answer)
      return answer
    })
  }

  /** Repeats what failed for a passing reason until `timeoutMs` is over; then throws the last failure. */
  async retrying<T>(attempt: () => Promise<T>, timeoutMs = this.timeoutMs): Promise<T> {
    const deadline = performance.now() + timeoutMs
    for (let backoffMs = FIRST_BACKOFF_MS; ; backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
      try {
        return await attempt()
      } catch (error) {
        if (this.closed || !isWorthRetrying(error) || performance.now() + backoffMs > deadline)
          throw asFinal(error)
        await sleep(backoffMs)
      }
    }
  }

  /** Where nobody ever answered, waiting would only hide a wrong address: fails at once. */
  private async firstContact(): Promise<void> {
    if (this.hadContact) return
    await this.anyConnection()
    this.hadContact = true
  }

  private async anyConnection(): Promise<KafkaConnection> {
    for (const opening of this.connections.values()) {
      const connection = await opening.catch(() => undefined)
      if (connection?.isOpen) return connection
    }
    const addresses = new Map(
      [...this.brokers.values(), ...this.bootstrap].map((a) => [`${a.host}:${a.port}`, a]),
    )
    const opening = [...addresses.values()].map((address) => this.connectionTo(address))
    try {
      return await Promise.any(opening)
    } catch (error) {
      const reasons = (error as AggregateError).errors.map((e: Error) => e.message)
      throw new KafkaUnreachableError(
        `No broker could be reached (${reasons.join('; ')}). Is the cluster running? Name one of its brokers with --bootstrap-server.`,
      )
    }
  }

  /** A `lane` is a connection of its own, for requests that would hold up others. */
  private connectionTo(address: Address, lane = ''): Promise<KafkaConnection> {
    const key = `${address.host}:${address.port}${lane}`
    const existing = this.connections.get(key)
    if (existing !== undefined) {
      return existing.then((connection) => {
        if (connection.isOpen) return connection
        if (this.connections.get(key) === existing) this.connections.delete(key)
        return this.connectionTo(address, lane)
      })
    }
    if (this.closed) return Promise.reject(new KafkaConnectionError('the client is closed'))
    const opening = KafkaConnection.open(address, {
      clientId: this.clientId,
      connectTimeoutMs: this.connectTimeoutMs,
    })
    this.connections.set(key, opening)
    opening.catch(() => {
      if (this.connections.get(key) === opening) this.connections.delete(key)
    })
    return opening
  }
}

/** A connection that kept failing until the end means that nobody could be reached. */
function asFinal(error: unknown): unknown {
  return error instanceof KafkaConnectionError
    ? new KafkaUnreachableError(`No answer in time: ${error.message}.`)
    : error
}
