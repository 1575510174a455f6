import type { LogIndex, NodeId, Uuid } from '../lib/ids.js'
import type { MetadataImage } from '../metadata/image.js'
import type { MetadataRecord } from '../metadata/records.js'
import { MutableImage } from '../metadata/replay.js'
import type { Clock, Timer } from '../ports/clock.js'
import type { MetadataCache, MetadataChange } from './services.js'

/** How long an answer may be held because it names a leader whose connection just broke. */
export const SUSPECT_HOLD_MS = 300
/**
 * How long a broker that was fenced is still named among the brokers (Kafka, with its session time-out, would name
 * one for 9 s after its death). librdkafka (2.10 on) takes leave of a broker that an answer leaves out; where the
 * same answer moves that broker's partitions, its threads race and a partition may be left alone for a second.
 */
export const LINGER_MS = 5_000

interface Suspicion {
  readonly since: number
  readonly brokerEpoch: number | undefined
  readonly timer: Timer
}

interface Waiter {
  readonly input: () => void
  readonly timer: Timer
}

/** The broker reactor's copy of the committed image; fed by the QuorumListener's calls. */
export class BrokerMetadataCache implements MetadataCache {
  private readonly mutable: { image: MutableImage; appliedIndex: LogIndex; controller: NodeId | undefined } =
    {
      image: new MutableImage(),
      appliedIndex: 0,
      controller: undefined,
    }
  private readonly listeners: ((change: MetadataChange) => void)[] = []
  private readonly suspicions = new Map<NodeId, Suspicion>()
  /** When brokers that are fenced now were, as far as this node saw it. */
  private readonly fencedAtMs = new Map<NodeId, number>()
  /** Of a snapshot that comes in parts. */
  private snapshotParts = new MutableImage()
  private waiters = new Set<Waiter>()

  /** @param beforeRecord sees each committed record before the image holds it */
  constructor(
    private readonly clock: Clock,
    private readonly beforeRecord: (record: MetadataRecord, image: MetadataImage) => void = () => {},
  ) {}

  /** The same object until a snapshot replaces it; what it holds changes with each batch. */
  get image(): MetadataImage {
    return this.mutable.image
  }

  get appliedIndex(): LogIndex {
    return this.mutable.appliedIndex
  }

  get controller(): NodeId | undefined {
    return this.mutable.controller
  }

  onChange(listener: (change: MetadataChange) => void): void {
    this.listeners.push(listener)
  }

  isSuspect(node: NodeId): boolean {
    return this.suspicions.has(node)
  }

  isLingering(node: NodeId): boolean {
    const atMs = this.fencedAtMs.get(node)
    return atMs !== undefined && this.clock.monotonicMs() - atMs < LINGER_MS
  }

  /** Runs `input` once: after the next change, when a suspicion ends, or after `timeoutMs`; whichever comes first. */
  afterChange(timeoutMs: number, input: () => void): Timer {
    const waiter: Waiter = {
      input,
      timer: this.clock.after(Math.max(0, timeoutMs), () => {
        this.waiters.delete(waiter)
        input()
      }),
    }
    this.waiters.add(waiter)
    return {
      cancel: () => {
        this.waiters.delete(waiter)
        waiter.timer.cancel()
      },
    }
  }

  /** Of one that came by half nothing stays. */
  beginSnapshot(): void {
    this.snapshotParts = new MutableImage()
  }

  /** `applySnapshot` follows with the rest. */
  applySnapshotPart(records: readonly MetadataRecord[]): void {
    for (const record of records) this.snapshotParts.apply(record)
  }

  applySnapshot(records: readonly MetadataRecord[], index: LogIndex): void {
    const former = this.mutable.image
    const image = this.snapshotParts
    this.snapshotParts = new MutableImage()
    for (const record of records) image.apply(record)
    this.mutable.image = image
    this.mutable.appliedIndex = index
    this.noteFencings(former, image)
    const topicsDeleted = new Map<Uuid, string>()
    for (const topic of former.topicsById.values()) {
      if (!image.topicsById.has(topic.id)) topicsDeleted.set(topic.id, topic.name)
    }
    this.changed({
      everything: true,
      topicsChanged: new Set(image.topicsById.keys()),
      topicsDeleted,
      brokersChanged: new Set([...former.brokers.keys(), ...image.brokers.keys()]),
      topicConfigsChanged: new Set(image.topicsByName.keys()),
      brokerConfigsChanged: true,
    })
  }

  applyCommitted(records: readonly MetadataRecord[], index: LogIndex): void {
    this.mutable.appliedIndex = index
    if (records.length === 0) return
    const change = new ChangeBuilder()
    for (const record of records) {
      change.before(record, this.mutable.image)
      this.noteFencing(record)
      this.beforeRecord(record, this.mutable.image)
      this.mutable.image.apply(record)
    }
    this.changed(change.build())
  }

  setController(controller: NodeId | undefined): void {
    this.mutable.controller = controller
  }

  /**
   * A connection to this peer broke. It is suspect until the image moves on from it (it is fenced, it registers anew)
   * or the hold ends, whichever comes first.
   */
  suspect(node: NodeId): void {
    const broker = this.mutable.image.brokers.get(node)
    if (broker === undefined || broker.fenced) return
    this.suspicions.get(node)?.timer.cancel()
    const timer = this.clock.after(SUSPECT_HOLD_MS, () => {
      this.suspicions.delete(node)
      this.wake()
    })
    this.suspicions.set(node, { since: this.clock.monotonicMs(), brokerEpoch: broker.epoch, timer })
  }

  /** A snapshot tells of no moment: what it shows fenced was, as far as this node saw it, just now. */
  private noteFencings(former: MetadataImage, image: MetadataImage): void {
    for (const node of [...this.fencedAtMs.keys()]) {
      if (image.brokers.get(node)?.fenced !== true) this.fencedAtMs.delete(node)
    }
    for (const broker of image.brokers.values()) {
      if (broker.fenced && former.brokers.get(broker.id)?.fenced === false)
        this.fencedAtMs.set(broker.id, this.clock.monotonicMs())
    }
  }

  /** Before `record` is applied. A registration begins fenced, also that of a broker which served until then. */
  private noteFencing(record: MetadataRecord): void {
    if (record.type === 'unregisterBrokerRecord') this.fencedAtMs.delete(record.brokerId)
    if (record.type !== 'brokerRegistrationChangeRecord' && record.type !== 'registerBrokerRecord') return
    const { brokerId, fenced } = record
    const wasServing = this.mutable.image.brokers.get(brokerId)?.fenced === false
    if (fenced === false) this.fencedAtMs.delete(brokerId)
    else if (fenced === true && wasServing) this.fencedAtMs.set(brokerId, this.clock.monotonicMs())
  }

  private changed(change: MetadataChange): void {
    for (const [node, suspicion] of this.suspicions) {
      const broker = this.mutable.image.brokers.get(node)
      if (broker !== undefined && !broker.fenced && broker.epoch === suspicion.brokerEpoch) continue
      suspicion.timer.cancel()
      this.suspicions.delete(node)
    }
    for (const listener of this.listeners) listener(change)
    this.wake()
  }

  private wake(): void {
    const waiters = this.waiters
    this.waiters = new Set()
    for (const waiter of waiters) {
      waiter.timer.cancel()
      waiter.input()
    }
  }
}

/** Gathers what a batch touches. */
class ChangeBuilder {
  private readonly topicsChanged = new Set<Uuid>()
  private readonly topicsDeleted = new Map<Uuid, string>()
  private readonly brokersChanged = new Set<NodeId>()
  private readonly topicConfigsChanged = new Set<string>()
  private brokerConfigsChanged = false

  /** Before `record` is applied: a topic that it removes still has its name. */
  before(record: MetadataRecord, image: MetadataImage): void {
    switch (record.type) {
      case 'topicRecord':
      case 'partitionRecord':
      case 'partitionChangeRecord':
        this.topicsChanged.add(record.topicId)
        return
      case 'removeTopicRecord': {
        const name = image.topicsById.get(record.topicId)?.name
        if (name !== undefined) this.topicsDeleted.set(record.topicId, name)
        this.topicsChanged.delete(record.topicId)
        return
      }
      case 'registerBrokerRecord':
      case 'unregisterBrokerRecord':
      case 'brokerRegistrationChangeRecord':
        this.brokersChanged.add(record.brokerId)
        return
      case 'configRecord':
        if (record.resourceType === 'topic') this.topicConfigsChanged.add(record.resourceName)
        else if (record.resourceType === 'broker') this.brokerConfigsChanged = true
        return
      case 'clusterRecord':
      case 'featureLevelRecord':
      case 'producerIdsRecord':
      case 'noOpRecord':
        return
    }
  }

  build(): MetadataChange {
    const { topicsChanged, topicsDeleted, brokersChanged, topicConfigsChanged, brokerConfigsChanged } = this
    return {
      everything: false,
      topicsChanged,
      topicsDeleted,
      brokersChanged,
      topicConfigsChanged,
      brokerConfigsChanged,
    }
  }
}
