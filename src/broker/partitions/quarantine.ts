import { type NodeId, type Uuid, ZERO_UUID } from '../../lib/ids.js'
import type { QuarantinedLog } from '../../log/log-manager.js'
import type { PartitionImage, TopicImage } from '../../metadata/image.js'

interface Damaged extends QuarantinedLog {
  /** Monotonic milliseconds. */
  readonly notBeforeMs: number
}

/**
 * Replicas whose log was found damaged and set aside. One may neither lead nor count as in sync, so it stays away
 * until the controller has taken it out of the ISR and the ELR, and knows that nothing is left of it (an unclean election
 * would else prefer it to a replica that holds records); then it begins anew as an empty follower.
 */
export class Quarantine {
  private readonly damaged: Damaged[] = []

  /** @param onEnded the log in this directory need not be remembered across a restart any more */
  constructor(
    private readonly nodeId: NodeId,
    private readonly onEnded: (directory: string) => void,
  ) {}

  /**
   * Until `notBeforeMs` the leader may still take the replica into the ISR on the word of its last fetches: so long it
   * stays away also where it is in no set.
   */
  add(log: QuarantinedLog, notBeforeMs: number): void {
    if (!this.damaged.some((known) => known.directory === log.directory))
      this.damaged.push({ ...log, notBeforeMs })
  }

  has(topicId: Uuid, topic: string, partitionId: number): boolean {
    return this.damaged.some((log) => matches(log, topicId, topic, partitionId))
  }

  /** A replica that is in neither set, does not lead and is known to be empty has nothing left to lose. */
  onImage(topic: TopicImage, partitionId: number, image: PartitionImage, nowMs: number): void {
    if (this.hasPlace(image)) {
      // A directory that no longer tells its topic's id: the name has to do, and the image knows the id.
      for (const log of this.damaged) {
        if (matches(log, topic.id, topic.name, partitionId)) log.topicId ??= topic.id
      }
      return
    }
    this.drop((log) => nowMs >= log.notBeforeMs && matches(log, topic.id, topic.name, partitionId))
  }

  private hasPlace({ replicas, directories, isr, elr, leader }: PartitionImage): boolean {
    const { nodeId } = this
    const isKnownEmpty = directories[replicas.indexOf(nodeId)] === ZERO_UUID
    return isr.includes(nodeId) || elr.includes(nodeId) || leader === nodeId || !isKnownEmpty
  }

  /** This broker is no replica of it any more: where it becomes one again, nothing of before counts. */
  forget(topic: TopicImage, partitionId: number): void {
    this.drop((log) => matches(log, topic.id, topic.name, partitionId))
  }

  forgetTopic(topicId: Uuid): void {
    this.drop((log) => log.topicId === topicId)
  }

  list(): { topicId: Uuid; partitionId: number }[] {
    return this.damaged.flatMap((log) =>
      log.topicId === undefined ? [] : [{ topicId: log.topicId, partitionId: log.partition }],
    )
  }

  private drop(isOver: (log: Damaged) => boolean): void {
    for (let index = this.damaged.length - 1; index >= 0; index--) {
      const log = this.damaged[index]!
      if (!isOver(log)) continue
      this.damaged.splice(index, 1)
      this.onEnded(log.directory)
    }
  }
}

function matches(log: QuarantinedLog, topicId: Uuid, topic: string, partitionId: number): boolean {
  if (log.partition !== partitionId) return false
  return log.topicId === undefined ? log.topic === topic : log.topicId === topicId
}
