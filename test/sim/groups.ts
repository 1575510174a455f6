import type { MicroOp } from '../../src/checker/history.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { Heartbeat } from '../../src/wire/messages/heartbeat.js'
import { JoinGroup } from '../../src/wire/messages/join-group.js'
import { LeaveGroup } from '../../src/wire/messages/leave-group.js'
import { OffsetCommit } from '../../src/wire/messages/offset-commit.js'
import { OffsetFetch } from '../../src/wire/messages/offset-fetch.js'
import { SyncGroup } from '../../src/wire/messages/sync-group.js'
import { FetchingClient } from './consumers.js'
import { NOT_ANSWERED, RETRY_MS, SimClient } from './sim-client.js'

/** The one partition of the topic of commits, where the coordinator of all groups is. */
const OFFSETS_PARTITION = '__consumer_offsets-0'
const SESSION_TIMEOUT_MS = 6_000
const REBALANCE_TIMEOUT_MS = 2_500
const HEARTBEAT_INTERVAL_MS = 1_000
/** The broker waits for the others, and before the first rebalance for whoever else may come. */
const JOIN_TIMEOUT_MS = 8_000
const LIFE_MS = [4_000, 25_000] as const

/** A member of a consumer group (classic protocol, eager): joins, owns, polls, commits, and leaves or dies. */
export class SimGroupMember extends FetchingClient {
  private memberId = ''
  private generation = -1
  private coordinator = -1
  private owned: readonly number[] = []
  /** By partition, the leader epoch with which its position was committed. */
  private readonly leastEpochs = new Map<number, number>()
  /** Counts assignments: what was under way for an earlier one is stale. */
  private round = 0
  private isLeaving = false
  private readonly lastPolledMs = new Map<number, number>()

  constructor(
    world: SimClient['world'],
    name: string,
    topic: string,
    partitions: number,
    readonly group: string,
  ) {
    super(world, name, topic, partitions)
  }

  /** `ended` when it has left or died; a member that is to stay never does. */
  start(ended: (() => void) | null): void {
    this.refreshMetadata(() => this.join())
    if (ended === null) return
    this.after(LIFE_MS[0] + this.draw(LIFE_MS[1] - LIFE_MS[0]), () => {
      if (this.draw(2) === 0) {
        this.world.observer.onDone('groupDeaths')
        this.stop()
        ended()
      } else this.leave(ended)
    })
  }

  /** Simulated milliseconds of the last fetch of this partition that was answered; -1: never. */
  polledAtMs(partition: number): number {
    return this.lastPolledMs.get(partition) ?? -1
  }

  private leave(ended: () => void): void {
    this.isLeaving = true
    const members = [{ memberId: this.memberId, groupInstanceId: null, reason: null }]
    const end = (): void => {
      this.stop()
      ended()
    }
    if (this.coordinator < 0 || this.memberId === '') return end()
    this.call(this.coordinator, LeaveGroup, 4, { groupId: this.group, members }, (response) => {
      if (response?.errorCode === ErrorCode.NONE) this.world.observer.onDone('groupLeaves')
      end()
    })
  }

  /** What the coordinator said no to: with the coordinator, with the generation, or with the membership itself. */
  private rejoin(errorCode: number): void {
    if (this.isLeaving) return
    this.round++
    this.owned = []
    const isForgotten =
      errorCode === ErrorCode.UNKNOWN_MEMBER_ID || errorCode === ErrorCode.FENCED_INSTANCE_ID
    if (isForgotten) this.memberId = ''
    if (
      !isForgotten &&
      errorCode !== ErrorCode.REBALANCE_IN_PROGRESS &&
      errorCode !== ErrorCode.ILLEGAL_GENERATION
    )
      this.coordinator = -1
    this.after(RETRY_MS, () => this.join())
  }

  private join(): void {
    if (this.isLeaving) return
    if (this.coordinator < 0) {
      return this.findCoordinator(this.group, (nodeId) => {
        this.coordinator = nodeId
        this.after(nodeId < 0 ? 5 * RETRY_MS : 0, () => this.join())
      })
    }
    const body = {
      groupId: this.group,
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      memberId: this.memberId,
      protocolType: 'consumer',
      protocols: [{ name: 'in-turn', metadata: new Uint8Array(0) }],
    }
    const joined = (response: JoinAnswer | null): void => {
      const errorCode = response?.errorCode ?? NOT_ANSWERED
      if (response !== null && errorCode === ErrorCode.MEMBER_ID_REQUIRED) {
        this.memberId = response.memberId
        return this.after(0, () => this.join())
      }
      if (response === null || errorCode !== ErrorCode.NONE) return this.rejoin(errorCode)
      this.memberId = response.memberId
      this.generation = response.generationId
      this.sync(
        response.leader === response.memberId ? response.members.map((member) => member.memberId) : null,
      )
    }
    this.call(this.coordinator, JoinGroup, 6, body as never, joined as never, JOIN_TIMEOUT_MS)
  }

  /** Of the leader: everybody's share. */
  private sync(members: readonly string[] | null): void {
    const all = Array.from({ length: this.partitions }, (_, partition) => partition)
    const assignments = (members ?? []).map((memberId, i) => ({
      memberId,
      assignment: Uint8Array.from(all.filter((partition) => partition % members!.length === i)),
    }))
    const body = { groupId: this.group, generationId: this.generation, memberId: this.memberId, assignments }
    const synced = (response: { errorCode: number; assignment: Uint8Array } | null): void => {
      if (response === null || response.errorCode !== ErrorCode.NONE)
        return this.rejoin(response?.errorCode ?? NOT_ANSWERED)
      this.world.observer.onDone('groupJoins')
      const round = ++this.round
      this.heartbeat(round)
      this.fetchCommitted([...response.assignment], round)
    }
    this.call(this.coordinator, SyncGroup, 4, body as never, synced as never, JOIN_TIMEOUT_MS)
  }

  private heartbeat(round: number): void {
    this.after(HEARTBEAT_INTERVAL_MS, () => {
      if (round !== this.round || this.isLeaving) return
      const body = { groupId: this.group, generationId: this.generation, memberId: this.memberId }
      this.call(this.coordinator, Heartbeat, 4, body as never, (response) => {
        if (round !== this.round || this.stopped) return
        const errorCode = response?.errorCode ?? NOT_ANSWERED
        if (errorCode === ErrorCode.NONE) this.heartbeat(round)
        else this.rejoin(errorCode)
      })
    })
  }

  private fetchCommitted(owned: readonly number[], round: number): void {
    if (owned.length === 0) return
    const { coordinator } = this
    const group = { groupId: this.group, topics: [{ name: this.topic, partitionIndexes: owned }] }
    const operation = this.world.history.begin(this.historyProcess, 'fetchCommitted')
    this.call(coordinator, OffsetFetch, 8, { groups: [group] } as never, (response) => {
      if (round !== this.round || this.stopped) return
      const found = response?.groups?.[0]
      const partitions = found?.topics[0]?.partitions ?? []
      const failed = found?.errorCode || partitions.find((partition) => partition.errorCode !== 0)?.errorCode
      if (found === undefined || failed) return this.rejoin(failed ?? NOT_ANSWERED)
      const ops = partitions.map(
        (each): MicroOp => ['committed', this.group, this.nameOf(each.partitionIndex), each.committedOffset],
      )
      // A coordinator that was deposed and does not know it yet may tell of the past.
      if (this.world.observer.isNewestLeader(OFFSETS_PARTITION, coordinator)) operation.end('ok', ops)
      this.world.history.begin(this.historyProcess, 'subscribe').end('ok')
      this.owned = owned
      for (const { partitionIndex, committedOffset, committedLeaderEpoch } of partitions) {
        this.positions.set(partitionIndex, Math.max(0, committedOffset))
        this.leastEpochs.set(partitionIndex, committedLeaderEpoch ?? -1)
      }
      this.poll(round)
    })
  }

  /** One fetch from each leader, then a commit, then a pause. */
  private poll(round: number): void {
    const isStale = (): boolean => round !== this.round || this.isLeaving || this.stopped
    if (isStale()) return
    const byLeader = new Map<number, number[]>()
    let isStaleLeader = false
    for (const partition of this.owned) {
      const { id, epoch } = this.leaderOf(partition)
      // KIP-320: a leader older than what was committed may not hold it.
      if (epoch < (this.leastEpochs.get(partition) ?? -1)) isStaleLeader = true
      else if (id >= 0) byLeader.set(id, [...(byLeader.get(id) ?? []), partition])
    }
    let waiting = byLeader.size
    let allFine = byLeader.size > 0 && !isStaleLeader
    const next = (): void => {
      if (isStale()) return
      const again = (): void => this.after(this.world.load.groupFetchIntervalMs, () => this.poll(round))
      if (allFine) this.commit(round, again)
      else this.after(RETRY_MS, () => this.refreshMetadata(again))
    }
    if (waiting === 0) return next()
    for (const [nodeId, partitions] of byLeader) {
      this.fetch(nodeId, partitions, (isFine) => {
        if (isFine)
          for (const partition of partitions) this.lastPolledMs.set(partition, this.world.process.world.nowMs)
        allFine &&= isFine
        if (--waiting === 0) next()
      })
    }
  }

  private commit(round: number, done: () => void): void {
    const ops = this.owned.map(
      (partition): MicroOp => ['commit', this.group, this.nameOf(partition), this.position(partition)],
    )
    const partitions = this.owned.map((partitionIndex) => ({
      partitionIndex,
      committedOffset: this.position(partitionIndex),
      committedLeaderEpoch: this.leaderOf(partitionIndex).epoch,
      committedMetadata: '',
    }))
    const body = {
      groupId: this.group,
      generationIdOrMemberEpoch: this.generation,
      memberId: this.memberId,
      topics: [{ name: this.topic, partitions }],
    }
    const operation = this.world.history.begin(this.historyProcess, 'commit', ops)
    this.call(this.coordinator, OffsetCommit, 8, body as never, (response) => {
      const answers = response?.topics[0]?.partitions ?? []
      const failed = answers.find((answer) => answer.errorCode !== ErrorCode.NONE)?.errorCode
      const isFine = answers.length > 0 && failed === undefined
      if (isFine) {
        operation.end('ok', ops)
        this.world.observer.onDone('groupCommits')
      }
      if (round !== this.round || this.stopped) return
      if (isFine) done()
      else this.rejoin(failed ?? NOT_ANSWERED)
    })
  }

  /** Where a member stands depends on the others. */
  protected onRecord(partition: number, offset: number, value: string): void {
    this.world.observer.onSeen(this.name, this.nameOf(partition), offset, value)
  }
}

interface JoinAnswer {
  readonly errorCode: number
  readonly generationId: number
  readonly leader: string
  readonly memberId: string
  readonly members: readonly { readonly memberId: string }[]
}

/** Commits ever larger offsets for a group without members, and asks for what is committed. */
export class SimCommitter extends SimClient {
  private coordinator = -1
  private next = 1
  private incarnation = 0

  start(): void {
    this.pause(() => this.step())
  }

  /** A commit whose outcome is not known may take effect at any time, also after the next one: so that one is another group's. */
  private get group(): string {
    return `${this.name}.${this.incarnation}`
  }

  private pause(run: () => void): void {
    this.after(this.draw(this.world.load.commitWithinMs), run)
  }

  private step(): void {
    if (this.coordinator < 0) {
      return this.findCoordinator(this.group, (nodeId) => {
        this.coordinator = nodeId
        this.after(RETRY_MS, () => this.step())
      })
    }
    const again = (errorCode: number): void => {
      if (errorCode === ErrorCode.NONE) return this.pause(() => this.step())
      this.coordinator = -1
      this.after(RETRY_MS, () => this.step())
    }
    if (this.draw(3) === 0) this.fetch(again)
    else this.commit(again)
  }

  private commit(done: (errorCode: number) => void): void {
    const { group } = this
    const committedOffset = this.next++
    const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata: '' }]
    const body = { groupId: group, memberId: '', topics: [{ name: this.topic, partitions }] }
    this.call(this.coordinator, OffsetCommit, 8, body as never, (response) => {
      const errorCode = response?.topics[0]?.partitions[0]?.errorCode ?? NOT_ANSWERED
      if (errorCode === ErrorCode.NONE) this.world.observer.onCommitAcknowledged(group, committedOffset)
      else this.incarnation++
      done(errorCode)
    })
  }

  private fetch(done: (errorCode: number) => void): void {
    const { coordinator } = this
    // What became of the last one whose outcome is not known may show late, and then it stays.
    const group =
      this.incarnation > 0 && this.draw(2) === 0 ? `${this.name}.${this.incarnation - 1}` : this.group
    const asked = { groupId: group, topics: [{ name: this.topic, partitionIndexes: [0] }] }
    this.call(coordinator, OffsetFetch, 8, { groups: [asked] } as never, (response) => {
      const found = response?.groups?.[0]
      const partition = found?.topics[0]?.partitions[0]
      const errorCode = found?.errorCode || (partition?.errorCode ?? NOT_ANSWERED)
      if (errorCode === ErrorCode.NONE && partition !== undefined)
        this.world.observer.onCommitFetched(group, partition.committedOffset, coordinator)
      done(errorCode)
    })
  }
}
