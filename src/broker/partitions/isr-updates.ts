import type { Uuid } from '../../lib/ids.js'
import type { AlterPartition, AlterPartitionResult, ControllerReply } from '../../metadata/commands.js'
import type { IsrProposal } from '../../partition/isr.js'
import type { ProposalResult } from '../../partition/leader-state.js'
import type { Timer } from '../../ports/clock.js'
import { ErrorCode } from '../../wire/errors.js'
import type { Partition } from './partition.js'
import type { PartitionServices } from './types.js'

/** No proposal is on its way for longer. */
export const ISR_REQUEST_TIMEOUT_MS = 5_000

/** Partitions in one command: a broker that comes back rejoins thousands at once. */
const MAX_IN_COMMAND = 500

interface Queued {
  readonly partition: Partition
  readonly proposal: IsrProposal
}

/** What has to wait for its turn is decided when that comes: by then all that joins an ISR joins it in one change. */
const MAX_IN_FLIGHT = 2

/**
 * A command counts as in flight for no longer. Its answer may be lost while the streams stand, and the others, which
 * take a dead follower from an ISR, must not wait for its time-out: of such commands there are ten for each place.
 */
const IN_FLIGHT_MS = 500

/**
 * Carries the leaders' ISR proposals to the controller (KIP-497): those of one turn in one command, many in several. A
 * flood of them, where a broker comes back, leaves the controller time for everybody's heartbeats.
 */
export class IsrUpdates {
  private readonly waiting = new Set<Partition>()
  /** One timer for each command that counts. */
  private readonly inFlight = new Set<Timer>()
  private isSendQueued = false
  private isClosed = false

  constructor(private readonly services: PartitionServices) {}

  /** Its ISR should change. */
  add(partition: Partition): void {
    this.waiting.add(partition)
    this.queueSend()
  }

  close(): void {
    this.isClosed = true
    this.waiting.clear()
    for (const timer of this.inFlight) timer.cancel()
    this.inFlight.clear()
  }

  private queueSend(): void {
    if (this.isSendQueued || this.inFlight.size === MAX_IN_FLIGHT || this.waiting.size === 0) return
    this.isSendQueued = true
    this.services.clock.endOfTurn(() => {
      this.isSendQueued = false
      if (!this.isClosed) this.send()
    })
  }

  private send(): void {
    const batch: Queued[] = []
    for (const partition of this.waiting) {
      if (batch.length === MAX_IN_COMMAND) break
      this.waiting.delete(partition)
      const proposal = partition.proposeIsr()
      if (proposal !== null) batch.push({ partition, proposal })
    }
    if (batch.length > 0) this.submit(batch)
    this.queueSend()
  }

  private submit(batch: readonly Queued[]): void {
    const { quorum, config, clock } = this.services
    const timer = clock.after(IN_FLIGHT_MS, () => this.makeRoom(timer))
    this.inFlight.add(timer)
    quorum.submit(
      {
        type: 'alterPartitions',
        brokerId: config.nodeId,
        brokerEpoch: this.services.brokerEpoch(),
        appliedIndex: this.services.metadata.appliedIndex,
        partitions: batch.map((queued) => this.describe(queued)),
      },
      { principal: `Broker:${config.nodeId}`, clientId: '', clientAddress: '', listener: '' },
      ISR_REQUEST_TIMEOUT_MS,
      (reply) => {
        if (this.isClosed) return
        settle(batch, reply)
        this.makeRoom(timer)
      },
    )
  }

  private makeRoom(timer: Timer): void {
    timer.cancel()
    this.inFlight.delete(timer)
    this.queueSend()
  }

  private describe({ partition, proposal }: Queued): AlterPartition {
    return {
      topicId: partition.topicId,
      partitionId: partition.partitionId,
      leaderEpoch: proposal.leaderEpoch,
      partitionEpoch: proposal.partitionEpoch,
      newIsr: proposal.newIsr.map((id) => ({ brokerId: id, brokerEpoch: this.brokerEpochOf(partition, id) })),
      leaderRecovering: false,
    }
  }

  /** The registration that fetched; of one that has not fetched yet, the one that the image knows (KIP-903). */
  private brokerEpochOf(partition: Partition, id: number): number {
    if (id === this.services.config.nodeId) return this.services.brokerEpoch()
    const fetched = partition.leading?.replica(id)?.brokerEpoch ?? -1
    return fetched >= 0 ? fetched : (this.services.metadata.image.brokers.get(id)?.epoch ?? -1)
  }
}

function settle(batch: readonly Queued[], reply: ControllerReply): void {
  const results = new Map<string, AlterPartitionResult>()
  if (reply.type === 'alterPartitions' && reply.errorCode === ErrorCode.NONE) {
    for (const result of reply.partitions) results.set(keyOf(result.topicId, result.partitionId), result)
  }
  for (const { partition, proposal } of batch) {
    const result = results.get(keyOf(partition.topicId, partition.partitionId))
    partition.onProposalResult(proposal, result === undefined ? { type: 'retry' } : outcomeOf(result))
  }
}

function outcomeOf(result: AlterPartitionResult): ProposalResult {
  switch (result.errorCode) {
    case ErrorCode.NONE:
      return {
        type: 'accepted',
        isr: result.isr,
        leaderEpoch: result.leaderEpoch,
        partitionEpoch: result.partitionEpoch,
      }
    case ErrorCode.INELIGIBLE_REPLICA:
    case ErrorCode.OPERATION_NOT_ATTEMPTED:
      return { type: 'rejected' }
    case ErrorCode.FENCED_LEADER_EPOCH:
    case ErrorCode.NEW_LEADER_ELECTED:
    case ErrorCode.INVALID_UPDATE_VERSION:
    case ErrorCode.INVALID_REQUEST:
    case ErrorCode.UNKNOWN_TOPIC_ID:
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
      return { type: 'superseded' }
    default:
      return { type: 'retry' }
  }
}

function keyOf(topicId: Uuid, partitionId: number): string {
  return `${topicId}:${partitionId}`
}
