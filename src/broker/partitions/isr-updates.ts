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

/** Carries the leaders' ISR proposals to the controller (KIP-497): those of one turn in one command, many in one a turn. */
export class IsrUpdates {
  private queued: Queued[] = []
  private timer: Timer | null = null
  private isClosed = false

  constructor(private readonly services: PartitionServices) {}

  propose(partition: Partition, proposal: IsrProposal): void {
    this.queued.push({ partition, proposal })
    if (this.queued.length === 1 && this.timer === null) this.services.clock.endOfTurn(() => this.send())
  }

  close(): void {
    this.isClosed = true
    this.timer?.cancel()
    this.queued = []
  }

  private send(): void {
    const batch = this.queued.slice(0, MAX_IN_COMMAND)
    this.queued = this.queued.slice(MAX_IN_COMMAND)
    if (this.queued.length > 0) {
      this.timer = this.services.clock.after(0, () => {
        this.timer = null
        this.send()
      })
    }
    if (batch.length > 0) this.submit(batch)
  }

  private submit(batch: readonly Queued[]): void {
    const { quorum, config } = this.services
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
        if (!this.isClosed) settle(batch, reply)
      },
    )
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
