import { assert, unreachable } from '../lib/assert.js'
import { type BrokerEpoch, NO_NODE, type NodeId, type Uuid, ZERO_UUID } from '../lib/ids.js'
import { FLUSH_BEFORE_ACK_FEATURE } from './features.js'
import type { BrokerImage, MetadataImage, PartitionImage, TopicImage } from './image.js'
import type {
  ConfigRecord,
  ConfigResourceType,
  MetadataRecord,
  PartitionChangeRecord,
  PartitionRecord,
} from './records.js'

const NO_CONFIG: ReadonlyMap<string, string> = new Map()

/** A topic's partitions may be changed in place only by the image that made this very object. */
interface MutableTopic extends TopicImage {
  readonly partitions: PartitionImage[]
  readonly owner: object
}

/**
 * The one thing that changes metadata: `apply` replays a record. Clones share topics, partitions and configuration
 * maps and copy what they change. A PartitionImage, a BrokerImage and a configuration map never change once handed
 * out; a TopicImage does. Iteration follows the log, so it is the same on every node that replayed the same records.
 */
export class MutableImage implements MetadataImage {
  clusterId = ''
  nextBrokerEpoch: BrokerEpoch = 1
  nextProducerId = 0
  readonly features: Map<string, number>
  readonly brokers: Map<NodeId, BrokerImage>
  readonly topicsByName: Map<string, MutableTopic>
  readonly topicsById: Map<Uuid, MutableTopic>
  private readonly topicConfigs: Map<string, ReadonlyMap<string, string>>
  private readonly brokerConfigs: Map<string, ReadonlyMap<string, string>>
  readonly clientMetrics: Map<string, ReadonlyMap<string, string>>
  /** Who may change a topic object in place; a new one on both sides of a clone. */
  private owner: object = {}

  constructor(from?: MutableImage) {
    this.features = new Map(from?.features)
    this.brokers = new Map(from?.brokers)
    this.topicsByName = new Map(from?.topicsByName)
    this.topicsById = new Map(from?.topicsById)
    this.topicConfigs = new Map(from?.topicConfigs)
    this.brokerConfigs = new Map(from?.brokerConfigs)
    this.clientMetrics = new Map(from?.clientMetrics)
    if (from === undefined) return
    this.clusterId = from.clusterId
    this.nextBrokerEpoch = from.nextBrokerEpoch
    this.nextProducerId = from.nextProducerId
    from.owner = {}
  }

  static replay(records: Iterable<MetadataRecord>): MutableImage {
    const image = new MutableImage()
    for (const record of records) image.apply(record)
    return image
  }

  /** Copies the indexes (a pointer a topic) and shares everything below them. */
  clone(): MutableImage {
    return new MutableImage(this)
  }

  topicConfig(topic: string): ReadonlyMap<string, string> {
    return this.topicConfigs.get(topic) ?? NO_CONFIG
  }

  brokerConfig(id: NodeId | ''): ReadonlyMap<string, string> {
    return this.brokerConfigs.get(String(id)) ?? NO_CONFIG
  }

  apply(record: MetadataRecord): void {
    switch (record.type) {
      case 'clusterRecord':
        assert(this.clusterId === '' || this.clusterId === record.clusterId, 'a cluster keeps its id')
        this.clusterId = record.clusterId
        return
      case 'featureLevelRecord':
        if (record.level === 0 && record.name !== FLUSH_BEFORE_ACK_FEATURE) this.features.delete(record.name)
        else this.features.set(record.name, record.level)
        return
      case 'registerBrokerRecord': {
        const { type: _, brokerId, brokerEpoch, ...rest } = record
        assert(brokerEpoch >= this.nextBrokerEpoch, `broker epoch ${brokerEpoch} was given before`)
        this.nextBrokerEpoch = brokerEpoch + 1
        // Registered anew, it moves to the end: brokers are always in the order of their epochs, as in a snapshot.
        this.brokers.delete(brokerId)
        this.brokers.set(brokerId, { id: brokerId, epoch: brokerEpoch, ...rest })
        return
      }
      case 'unregisterBrokerRecord':
        this.broker(record.brokerId, record.brokerEpoch)
        this.brokers.delete(record.brokerId)
        return
      case 'brokerRegistrationChangeRecord': {
        const broker = this.broker(record.brokerId, record.brokerEpoch)
        this.brokers.set(record.brokerId, {
          ...broker,
          fenced: record.fenced ?? broker.fenced,
          inControlledShutdown: record.inControlledShutdown ?? broker.inControlledShutdown,
        })
        return
      }
      case 'topicRecord': {
        assert(!this.topicsByName.has(record.name), `topic ${record.name} exists`)
        assert(!this.topicsById.has(record.topicId), `topic id ${record.topicId} exists`)
        this.setTopic({ name: record.name, id: record.topicId, partitions: [], owner: this.owner })
        return
      }
      case 'removeTopicRecord': {
        const topic = this.topicsById.get(record.topicId)
        assert(topic !== undefined, `topic ${record.topicId} is removed twice`)
        this.topicsById.delete(topic.id)
        this.topicsByName.delete(topic.name)
        this.topicConfigs.delete(topic.name)
        return
      }
      case 'partitionRecord':
        this.applyPartition(record)
        return
      case 'partitionChangeRecord':
        this.applyPartitionChange(record)
        return
      case 'configRecord':
        this.applyConfig(record)
        return
      case 'producerIdsRecord':
        assert(record.nextProducerId >= this.nextProducerId, 'producer ids are never given twice')
        this.nextProducerId = record.nextProducerId
        return
      case 'noOpRecord':
        return
      default:
        unreachable(record)
    }
  }

  private applyPartition(record: PartitionRecord): void {
    const { type: _, topicId, partitionId, ...partition } = record
    const topic = this.writableTopic(topicId)
    assert(partitionId <= topic.partitions.length, `partition ids of ${topic.name} have a gap`)
    const former = topic.partitions[partitionId]
    if (former !== undefined) assertEpochs(topic.name, partitionId, former, partition)
    topic.partitions[partitionId] = partition
  }

  private applyPartitionChange(record: PartitionChangeRecord): void {
    const topic = this.writableTopic(record.topicId)
    const former = topic.partitions[record.partitionId]
    assert(former !== undefined, `partition ${topic.name}-${record.partitionId} does not exist`)
    topic.partitions[record.partitionId] = changedPartition(former, record)
  }

  private applyConfig(record: ConfigRecord): void {
    const configs = this.configsOf(record.resourceType)
    const changed = new Map(configs.get(record.resourceName))
    if (record.value === undefined) changed.delete(record.name)
    else changed.set(record.name, record.value)
    if (changed.size === 0) configs.delete(record.resourceName)
    else configs.set(record.resourceName, changed)
  }

  private configsOf(resourceType: ConfigResourceType): Map<string, ReadonlyMap<string, string>> {
    switch (resourceType) {
      case 'topic':
        return this.topicConfigs
      case 'broker':
        return this.brokerConfigs
      case 'clientMetrics':
        return this.clientMetrics
    }
  }

  private broker(id: NodeId, epoch: BrokerEpoch): BrokerImage {
    const broker = this.brokers.get(id)
    assert(broker !== undefined, `broker ${id} is not registered`)
    assert(broker.epoch === epoch, `broker ${id} has epoch ${broker.epoch}, not ${epoch}`)
    return broker
  }

  private writableTopic(id: Uuid): MutableTopic {
    const topic = this.topicsById.get(id)
    assert(topic !== undefined, `topic ${id} does not exist`)
    if (topic.owner === this.owner) return topic
    const copy = { ...topic, partitions: topic.partitions.slice(), owner: this.owner }
    this.setTopic(copy)
    return copy
  }

  private setTopic(topic: MutableTopic): void {
    this.topicsByName.set(topic.name, topic)
    this.topicsById.set(topic.id, topic)
  }

  /** A snapshot: replaying it gives an equal image, and equal images give equal snapshots. */
  toRecords(): MetadataRecord[] {
    return [...this.records()]
  }

  /** The same, one by one; the image must not change meanwhile (a clone does not). */
  *records(): Generator<MetadataRecord, void, void> {
    if (this.clusterId !== '') yield { type: 'clusterRecord', clusterId: this.clusterId }
    for (const [name, level] of this.features) yield { type: 'featureLevelRecord', name, level }
    yield* this.brokerRecords()
    for (const topic of this.topicsById.values()) {
      yield { type: 'topicRecord', name: topic.name, topicId: topic.id }
      for (let id = 0; id < topic.partitions.length; id++) {
        yield partitionRecord(topic.id, id, topic.partitions[id]!)
      }
    }
    yield* configRecords('topic', this.topicConfigs)
    yield* configRecords('broker', this.brokerConfigs)
    yield* configRecords('clientMetrics', this.clientMetrics)
    if (this.nextProducerId > 0) {
      const { nextProducerId } = this
      yield { type: 'producerIdsRecord', brokerId: NO_NODE, brokerEpoch: 0, nextProducerId }
    }
  }

  private *brokerRecords(): Generator<MetadataRecord, void, void> {
    let lastEpoch = 0
    for (const { id, epoch, ...rest } of this.brokers.values()) {
      const { directoryIds, endpoints, features } = rest
      const lists = { directoryIds: [...directoryIds], endpoints: [...endpoints], features: [...features] }
      yield { type: 'registerBrokerRecord', brokerId: id, brokerEpoch: epoch, ...rest, ...lists }
      lastEpoch = epoch
    }
    if (lastEpoch + 1 < this.nextBrokerEpoch) yield* spentEpoch(this.nextBrokerEpoch - 1)
  }
}

/** Broker epochs are never given twice: a snapshot repeats the registration of the last one, though it is gone. */
function spentEpoch(brokerEpoch: BrokerEpoch): MetadataRecord[] {
  return [
    {
      type: 'registerBrokerRecord',
      brokerId: NO_NODE,
      brokerEpoch,
      incarnationId: ZERO_UUID,
      directoryIds: [],
      endpoints: [],
      features: [],
      fenced: true,
      inControlledShutdown: false,
    },
    { type: 'unregisterBrokerRecord', brokerId: NO_NODE, brokerEpoch },
  ]
}

/** A partition's whole state as a record. */
export function partitionRecord(
  topicId: Uuid,
  partitionId: number,
  partition: PartitionImage,
): PartitionRecord {
  return {
    type: 'partitionRecord',
    topicId,
    partitionId,
    replicas: [...partition.replicas],
    directories: [...partition.directories],
    isr: [...partition.isr],
    elr: [...partition.elr],
    lastKnownElr: [...partition.lastKnownElr],
    addingReplicas: [...partition.addingReplicas],
    removingReplicas: [...partition.removingReplicas],
    leader: partition.leader,
    leaderRecovering: partition.leaderRecovering,
    leaderEpoch: partition.leaderEpoch,
    partitionEpoch: partition.partitionEpoch,
  }
}

function configRecords(
  resourceType: ConfigResourceType,
  configs: ReadonlyMap<string, ReadonlyMap<string, string>>,
): ConfigRecord[] {
  return [...configs].flatMap(([resourceName, values]) =>
    [...values].map(
      ([name, value]): ConfigRecord => ({
        type: 'configRecord',
        resourceType,
        resourceName,
        name,
        value,
      }),
    ),
  )
}

/** The partition after a change: `partitionChangeRecord` says which epochs it adds to. */
export function changedPartition(former: PartitionImage, record: PartitionChangeRecord): PartitionImage {
  const replicas = record.replicas?.nodes ?? former.replicas
  return {
    replicas,
    directories: former.directories,
    isr: record.isr?.nodes ?? former.isr,
    elr: record.elr?.nodes ?? former.elr,
    lastKnownElr: record.lastKnownElr?.nodes ?? former.lastKnownElr,
    addingReplicas: record.addingReplicas?.nodes ?? former.addingReplicas,
    removingReplicas: record.removingReplicas?.nodes ?? former.removingReplicas,
    leader: record.leader ?? former.leader,
    leaderRecovering: record.leaderRecovering ?? former.leaderRecovering,
    leaderEpoch: former.leaderEpoch + (record.leader === undefined ? 0 : 1),
    partitionEpoch: former.partitionEpoch + 1,
  }
}

function assertEpochs(
  topic: string,
  partitionId: number,
  former: PartitionImage,
  next: PartitionImage,
): void {
  assert(
    next.partitionEpoch > former.partitionEpoch && next.leaderEpoch >= former.leaderEpoch,
    `epochs of ${topic}-${partitionId} go back`,
  )
}
