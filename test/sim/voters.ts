import type { ControllerCommand } from '../../src/metadata/commands.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { AddRaftVoter } from '../../src/wire/messages/add-raft-voter.js'
import { DescribeQuorum } from '../../src/wire/messages/describe-quorum.js'
import { RemoveRaftVoter } from '../../src/wire/messages/remove-raft-voter.js'
import { hostOf, KAFKA_PORT } from './node.js'
import { NOT_ANSWERED, SimClient, type WorkloadEvent } from './sim-client.js'

const METADATA_TOPIC = '__cluster_metadata'
/** A removal that nobody answers for may come about for so long: a node that stands still hands it on later. */
const REMOVAL_MS = 10_000
/** A voter that does not catch up meanwhile is not added. */
const CATCH_UP_MS = 2_500

interface Replica {
  readonly id: number
  readonly directoryId: string
}

interface Quorum {
  readonly leader: number
  readonly voters: readonly Replica[]
  /** Controllers that follow without a vote. */
  readonly learners: readonly Replica[]
}

/**
 * Changes the voters as an operator does: looks at the quorum, takes one vote or gives one, through Kafka's admin API or
 * the inspection service of a node, and at times asks for a second change before the first is done.
 */
export class SimQuorumAdmin extends SimClient {
  private isSettling = false
  /** When the removals that were asked for, and not answered, are over. */
  private readonly removalEndsMs = new Set<{ readonly timeMs: number }>()

  start(): void {
    this.after(1 + this.draw(this.world.load.changeVotersWithinMs), () =>
      this.describe((quorum) => {
        if (quorum !== null) this.act(quorum)
        this.start()
      }),
    )
  }

  /** From now on only votes are taken from directories that nobody can have any more. */
  settle(): void {
    this.isSettling = true
  }

  isRemoving(): boolean {
    const { nowMs } = this.world.process.world
    for (const end of this.removalEndsMs) if (end.timeMs <= nowMs) this.removalEndsMs.delete(end)
    return this.removalEndsMs.size > 0
  }

  private act({ leader, voters, learners }: Quorum): void {
    const stale = voters.find(({ id }) => learners.some((learner) => learner.id === id))
    if (stale !== undefined) return this.remove(stale, leader)
    if (this.isSettling) return
    const joining = learners[this.draw(Math.max(1, learners.length))]
    if (joining !== undefined && this.draw(4) > 0) this.add(joining)
    else if (voters.length > this.fewest && this.world.maySpareVote()) {
      const isLeader = this.draw(3) === 0
      const leaving = isLeader ? voters.find(({ id }) => id === leader) : voters[this.draw(voters.length)]
      if (leaving !== undefined) this.remove(leaving, leader)
      if (this.draw(3) > 0) return
      const another = voters[this.draw(voters.length)]!
      if (another !== leaving) this.remove(another, leader)
    }
  }

  /** One may always be lost, where there are enough nodes for that. */
  private get fewest(): number {
    return Math.min(3, this.world.controllers.length - 1)
  }

  private add({ id, directoryId }: Replica): void {
    if (this.draw(3) === 0) return this.promote(id)
    const listeners = [{ name: 'CONTROLLER', host: hostOf(id), port: KAFKA_PORT + 1 }]
    const body = {
      clusterId: null,
      timeoutMs: CATCH_UP_MS,
      voterId: id,
      voterDirectoryId: directoryId,
      listeners,
      ackWhenCommitted: true,
    }
    this.call(this.anyNode(), AddRaftVoter, 1, body, (response) =>
      this.report(response?.errorCode ?? NOT_ANSWERED, ['votersAdded']),
    )
  }

  private promote(id: number): void {
    const { controllers } = this.world
    const asked = controllers[this.draw(controllers.length)]!
    const command: ControllerCommand = { type: 'promoteVoter', nodeId: id }
    this.world.command(asked, command, CATCH_UP_MS, (reply) => {
      if (reply.type === 'promoteVoter') this.report(reply.errorCode, ['votersPromoted'])
    })
  }

  private remove({ id, directoryId }: Replica, leader: number): void {
    const body = { clusterId: null, voterId: id, voterDirectoryId: directoryId }
    const end = { timeMs: this.world.process.world.nowMs + REMOVAL_MS }
    this.removalEndsMs.add(end)
    this.call(this.anyNode(), RemoveRaftVoter, 0, body, (response) => {
      const errorCode = response?.errorCode ?? NOT_ANSWERED
      // Any other error may be that of a removal whose outcome was not heard of.
      if (errorCode === ErrorCode.NONE) this.removalEndsMs.delete(end)
      this.report(errorCode, id === leader ? ['votersRemoved', 'leadersRemoved'] : ['votersRemoved'])
    })
  }

  private report(errorCode: number, what: readonly WorkloadEvent[]): void {
    if (errorCode === ErrorCode.NONE) for (const event of what) this.world.observer.onDone(event)
  }

  private describe(done: (quorum: Quorum | null) => void): void {
    const body = { topics: [{ topicName: METADATA_TOPIC, partitions: [{ partitionIndex: 0 }] }] }
    this.call(this.anyNode(), DescribeQuorum, 2, body, (response) => {
      const found = response?.topics[0]?.partitions[0]
      if (found === undefined || found.errorCode !== ErrorCode.NONE) return done(null)
      const replica = (state: { replicaId: number; replicaDirectoryId?: string }): Replica => ({
        id: state.replicaId,
        directoryId: state.replicaDirectoryId ?? '',
      })
      const { controllers } = this.world
      const learners = found.observers.map(replica).filter(({ id }) => controllers.includes(id))
      done({ leader: found.leaderId, voters: found.currentVoters.map(replica), learners })
    })
  }
}
