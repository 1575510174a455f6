import { NO_NODE, type NodeId, ZERO_UUID } from '../../lib/ids.js'
import type { MetadataImage, PartitionImage, TopicImage } from '../../metadata/image.js'
import { invalidTopicName, isInternalTopic } from '../../metadata/topic-names.js'
import { ErrorCode, errorName } from '../../wire/errors.js'
import { Metadata, type MetadataRequest, type MetadataResponse } from '../../wire/messages/metadata.js'
import type { ApiHandler, RequestContext, Responder } from '../handler.js'
import type { BrokerServices } from '../services.js'
import {
  advertisedController,
  clusterOperations,
  commandContext,
  endpointOf,
  offlineReplicas,
  topicOperations,
} from './admin.js'
import { holdWhileSuspect } from './suspect-hold.js'

/**
 * Metadata, versions 0 to 13.
 *
 * - null asks for all topics (v1+), an empty list for none; in v0 an empty list asks for all.
 * - Brokers and leaders are given with the endpoints of the listener that took the request; brokers that were fenced
 *   more than five seconds ago are not named.
 * - A topic that is created by asking is answered with LEADER_NOT_AVAILABLE at first (Kafka 4 says
 *   UNKNOWN_TOPIC_OR_PARTITION): kafkajs retries on nothing else. Internal topics are not created by asking.
 * - The controller's id names a live broker: the active controller, else the lowest id (Kafka 4: a random one).
 * - An answer that names a leader whose connection to this broker has just broken is held until the metadata moves,
 *   for at most 300 ms: a client that learns the dead leader again waits far longer in its own back-off.
 */
export function metadataHandler(services: BrokerServices): ApiHandler<MetadataRequest, MetadataResponse> {
  const creations = new AutoCreations(services)
  return {
    api: Metadata,
    handle(request, context, responder) {
      new MetadataQuery(services, creations, request, context, responder).answer()
    },
  }
}

type ResponseTopic = MetadataResponse['topics'][number]
type ResponsePartition = ResponseTopic['partitions'][number]

/** A limit on topics that are being created because somebody asked for them. */
const MAX_CREATIONS = 1_000
const CREATION_TIMEOUT_MS = 30_000

class AutoCreations {
  private readonly underWay = new Set<string>()

  constructor(private readonly services: BrokerServices) {}

  start(name: string, context: RequestContext): void {
    if (this.underWay.has(name) || this.underWay.size >= MAX_CREATIONS) return
    this.underWay.add(name)
    const topic = {
      name,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [],
      configs: [],
      internal: false,
    }
    const command = { type: 'createTopics' as const, validateOnly: false, topics: [topic] }
    this.services.quorum.submit(command, commandContext(context), CREATION_TIMEOUT_MS, (reply) => {
      this.underWay.delete(name)
      const outcome = reply.type === 'createTopics' ? reply.topics[0]! : reply
      if (!('errorCode' in outcome)) return
      if (outcome.errorCode === ErrorCode.NONE || outcome.errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) return
      const fields = { topic: name, error: errorName(outcome.errorCode) }
      this.services.logger.warn(
        fields,
        `topic was not created: ${'errorMessage' in outcome ? outcome.errorMessage : ''}`,
      )
    })
  }
}

/** What an answer of thousands of partitions asks about each of a few brokers. */
class BrokerStates {
  readonly reachable = new Set<NodeId>()
  private readonly live = new Set<NodeId>()

  constructor(
    private readonly image: MetadataImage,
    listener: string,
  ) {
    for (const broker of image.brokers.values()) {
      if (!broker.fenced) this.live.add(broker.id)
      if (endpointOf(broker, listener) !== undefined) this.reachable.add(broker.id)
    }
  }

  offlineOf(replicas: readonly NodeId[]): readonly NodeId[] {
    return replicas.every((id) => this.live.has(id)) ? NONE : offlineReplicas(this.image, replicas)
  }
}

const NONE: readonly NodeId[] = []

class MetadataQuery {
  private brokers: BrokerStates

  constructor(
    private readonly services: BrokerServices,
    private readonly creations: AutoCreations,
    private readonly request: MetadataRequest,
    private readonly context: RequestContext,
    private readonly responder: Responder<MetadataResponse>,
  ) {
    this.brokers = new BrokerStates(services.metadata.image, context.listener)
  }

  answer(): void {
    holdWhileSuspect(
      this.services,
      this.context,
      () => this.leaders(),
      () => this.responder.send(this.response()),
    )
  }

  private leaders(): Set<NodeId> {
    const leaders = new Set<NodeId>()
    const most = this.services.metadata.image.brokers.size
    for (const topic of this.known()) {
      for (const { leader } of topic.partitions) if (leader !== NO_NODE) leaders.add(leader)
      // Among thousands of topics the first ones name every broker.
      if (leaders.size >= most) break
    }
    return leaders
  }

  private *known(): Generator<TopicImage> {
    const { image } = this.services.metadata
    if (this.asksForAll) yield* image.topicsByName.values()
    else
      for (const { name, topicId } of this.request.topics ?? []) {
        const topic =
          topicId !== ZERO_UUID ? image.topicsById.get(topicId) : image.topicsByName.get(name ?? '')
        if (topic !== undefined) yield topic
      }
  }

  private get asksForAll(): boolean {
    const { topics } = this.request
    return topics === null || (this.context.apiVersion === 0 && topics.length === 0)
  }

  private response(): MetadataResponse {
    const { image } = this.services.metadata
    this.brokers = new BrokerStates(image, this.context.listener)
    const brokers = []
    for (const broker of image.brokers.values()) {
      const endpoint = endpointOf(broker, this.context.listener)
      if (endpoint === undefined) continue
      if (broker.fenced && !this.services.metadata.isLingering(broker.id)) continue
      brokers.push({ nodeId: broker.id, host: endpoint.host, port: endpoint.port, rack: broker.rack ?? null })
    }
    return {
      brokers: brokers.sort((a, b) => a.nodeId - b.nodeId),
      clusterId: image.clusterId,
      controllerId: advertisedController(this.services, this.context.listener),
      topics: this.topics(),
      clusterAuthorizedOperations: clusterOperations(this.request.includeClusterAuthorizedOperations),
    }
  }

  private topics(): ResponseTopic[] {
    const { image } = this.services.metadata
    if (this.asksForAll) return [...image.topicsByName.values()].map((topic) => this.describe(topic))
    return (this.request.topics ?? []).map(({ name, topicId }) => {
      if (topicId !== ZERO_UUID) {
        const topic = image.topicsById.get(topicId)
        return topic === undefined ? unknown(name, topicId, ErrorCode.UNKNOWN_TOPIC_ID) : this.describe(topic)
      }
      const topic = name === null ? undefined : image.topicsByName.get(name)
      return topic === undefined ? this.missing(name ?? '') : this.describe(topic)
    })
  }

  private missing(name: string): ResponseTopic {
    if (invalidTopicName(name) !== undefined)
      return unknown(name, ZERO_UUID, ErrorCode.INVALID_TOPIC_EXCEPTION)
    const wanted =
      this.request.allowAutoTopicCreation && this.services.configs.bool('auto.create.topics.enable')
    if (!wanted || isInternalTopic(name))
      return unknown(name, ZERO_UUID, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    this.creations.start(name, this.context)
    return unknown(name, ZERO_UUID, ErrorCode.LEADER_NOT_AVAILABLE)
  }

  private describe(topic: TopicImage): ResponseTopic {
    return {
      errorCode: ErrorCode.NONE,
      name: topic.name,
      topicId: topic.id,
      isInternal: isInternalTopic(topic.name),
      partitions: topic.partitions.map((partition, index) => this.partition(partition, index)),
      topicAuthorizedOperations: topicOperations(this.request.includeTopicAuthorizedOperations),
    }
  }

  private partition(partition: PartitionImage, partitionIndex: number): ResponsePartition {
    const isReachable = this.brokers.reachable.has(partition.leader)
    return {
      errorCode: isReachable
        ? ErrorCode.NONE
        : this.unreachable(this.services.metadata.image.brokers.has(partition.leader)),
      partitionIndex,
      leaderId: isReachable ? partition.leader : NO_NODE,
      leaderEpoch: partition.leaderEpoch,
      replicaNodes: partition.replicas,
      isrNodes: partition.isr,
      offlineReplicas: this.brokers.offlineOf(partition.replicas),
    }
  }

  /** v6 introduced an error of its own for a leader without an endpoint on this listener. */
  private unreachable(hasLeader: boolean): number {
    return hasLeader && this.context.apiVersion >= 6
      ? ErrorCode.LISTENER_NOT_FOUND
      : ErrorCode.LEADER_NOT_AVAILABLE
  }
}

function unknown(name: string | null, topicId: string, errorCode: number): ResponseTopic {
  return { errorCode, name, topicId, isInternal: false, partitions: [] }
}
