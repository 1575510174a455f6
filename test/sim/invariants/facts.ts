import type { LogIndex, NodeId, Term, Uuid } from '../../../src/lib/ids.js'
import type { MetadataImage, PartitionImage } from '../../../src/metadata/image.js'
import type { Configuration, Entry } from '../../../src/raft/types.js'
import type { StoredBatch } from '../log-index.js'
import type { SimNode } from '../node.js'
import type { ReplicaState, Watched } from './invariant.js'

/** One state of a partition in the metadata, by its partition epoch, with the image in which it was seen first. */
export interface PartitionFact {
  readonly name: string
  readonly partition: PartitionImage
  readonly previous: PartitionImage | undefined
}

type ConfigurationEntry = Extract<Entry, { type: 'configuration' }>

export interface CommittedEntry {
  readonly term: Term
  /** Of whoever first knew: the leader that committed it, or a later one. */
  readonly knownInTerm: Term
  /** undefined: it came with a snapshot, and nobody's log showed it. */
  readonly entry: Entry | undefined
  readonly by: number
}

/** What is established of the one true history of the cluster: shared by the invariants, which judge nodes by it. */
export class Facts {
  /** Raft's committed entries by index. */
  readonly committed: (CommittedEntry | undefined)[] = []
  /** The directory that each node's consensus was last seen with. */
  readonly directories = new Map<NodeId, Uuid>()
  /** The newest committed state of each partition, by key. */
  readonly newest = new Map<string, PartitionImage>()
  newestImageIndex: LogIndex = 0
  private newestImage: MetadataImage | null = null
  private readonly minimums = new Map<Uuid, number | undefined>()
  /** Topics that keep their newest bytes alone. */
  private readonly retained = new Set<Uuid>()
  /** Topics of which one replica was enough at some time. */
  private readonly singles = new Set<Uuid>()
  /** Every state of a partition by its partition epoch. */
  private readonly states = new Map<string, (PartitionImage | undefined)[]>()
  private readonly seen = new WeakSet<PartitionImage>()
  /** The incarnation of a topic that a partition's name means now. */
  private readonly keys = new Map<string, string>()
  /** The largest high watermark that any leader ever had, by key. */
  private readonly highWatermarks = new Map<string, number>()
  /** What lay below it, batch by batch, in the order of offsets. */
  private readonly batches = new Map<string, StoredBatch[]>()

  /**
   * @param appliedIndex up to where the image shows the log
   * @returns states of partitions that nobody had shown before, oldest first within a partition
   */
  noteImage(image: MetadataImage, appliedIndex: LogIndex): PartitionFact[] {
    const found: PartitionFact[] = []
    const isNewest = appliedIndex >= this.newestImageIndex
    if (isNewest) {
      this.newestImageIndex = appliedIndex
      this.newestImage = image
    }
    for (const topic of image.topicsById.values()) {
      if (isNewest) {
        const minimum = configuredMinimum(image, topic.name)
        this.minimums.set(topic.id, minimum)
        if (minimum === 1) this.singles.add(topic.id)
      }
      if (image.topicConfig(topic.name).has('retention.bytes')) this.retained.add(topic.id)
      for (let id = 0; id < topic.partitions.length; id++) {
        const partition = topic.partitions[id]!
        if (this.seen.has(partition)) continue
        this.seen.add(partition)
        const name = `${topic.name}-${id}`
        const key = keyOf(topic.id, id)
        this.keys.set(name, key)
        let states = this.states.get(key)
        if (states === undefined) this.states.set(key, (states = []))
        const previous = states[partition.partitionEpoch - 1]
        states[partition.partitionEpoch] ??= partition
        const newest = this.newest.get(key)
        if (newest === undefined || partition.partitionEpoch > newest.partitionEpoch)
          this.newest.set(key, partition)
        found.push({ name, partition, previous })
      }
    }
    return found
  }

  /**
   * Of every partition in the newest image that any node showed, but for those that are lost for good: where one replica
   * is enough, it may have been the one whose disk was wiped.
   */
  isEveryIsrFull(): boolean {
    for (const { id, partitions } of this.newestImage?.topicsById.values() ?? [])
      for (const { isr, elr, replicas } of partitions) {
        const isLost = isr.length + elr.length === 0 && this.singles.has(id)
        if (isr.length !== replicas.length && !isLost) return false
      }
    return true
  }

  /** `min.insync.replicas` of the topic, by the key of one of its partitions; undefined: the default. */
  minimumOf(key: string): number | undefined {
    return this.minimums.get(key.slice(0, key.lastIndexOf(':')))
  }

  /** Records of this partition are deleted when newer ones came. */
  isRetained(key: string): boolean {
    return this.retained.has(key.slice(0, key.lastIndexOf(':')))
  }

  /** The state that was seen first under this partition epoch. */
  stateAt(key: string, partitionEpoch: number): PartitionImage | undefined {
    return this.states.get(key)?.[partitionEpoch]
  }

  keyOfName(name: string): string | undefined {
    return this.keys.get(name)
  }

  highWatermark(key: string): number {
    return this.highWatermarks.get(key) ?? 0
  }

  /** A leader's high watermark passed all earlier ones. Returns the batches that became committed by it. */
  noteHighWatermark(world: Watched, node: SimNode, replica: ReplicaState): readonly StoredBatch[] {
    const { key, name, highWatermark } = replica
    const before = this.highWatermark(key)
    if (highWatermark <= before) return []
    this.highWatermarks.set(key, highWatermark)
    const passed = world.diskOf(node.id).between(name, before, highWatermark)
    const known = this.batches.get(key)
    if (known === undefined) this.batches.set(key, [...passed])
    else
      for (const batch of passed) if (batch.baseOffset > (known.at(-1)?.lastOffset ?? -1)) known.push(batch)
    return passed
  }

  /** The batch that was committed at this offset; undefined: none was, or retention took it first. */
  committedAt(key: string, offset: number): StoredBatch | undefined {
    const batches = this.batches.get(key) ?? []
    let low = 0
    let high = batches.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const batch = batches[middle]!
      if (offset < batch.baseOffset) high = middle - 1
      else if (offset > batch.lastOffset) low = middle + 1
      else return batch
    }
    return undefined
  }

  committedBatches(key: string): readonly StoredBatch[] {
    return this.batches.get(key) ?? []
  }

  /** Of Raft, by 'index@term': an entry that lay in some log. */
  readonly entries = new Map<string, Entry>()

  /** The newest committed set of voters, and those that some log may hold behind it. */
  possibleConfigurations(): readonly Configuration[] {
    const found: ConfigurationEntry[] = []
    for (const entry of this.entries.values()) if (entry.type === 'configuration') found.push(entry)
    const isCommitted = ({ index, term }: ConfigurationEntry): boolean => this.committed[index]?.term === term
    const newest = Math.max(0, ...found.filter(isCommitted).map(({ index }) => index))
    return found
      .filter((entry) => entry.index > newest || (entry.index === newest && isCommitted(entry)))
      .map(({ configuration }) => configuration)
  }
}

/** `min.insync.replicas` as the topic overrides it; undefined: the default. */
export function configuredMinimum(image: MetadataImage, topic: string): number | undefined {
  const value = image.topicConfig(topic).get('min.insync.replicas')
  return value === undefined ? undefined : Number(value)
}

export function keyOf(topicId: string, partitionId: number): string {
  return `${topicId}:${partitionId}`
}
