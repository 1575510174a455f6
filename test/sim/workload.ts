import { SimAdmin, SimAdministrator } from './admins.js'
import { SimConsumer } from './consumers.js'
import { SimCommitter, SimGroupMember } from './groups.js'
import { SimCarelessProducer, SimPlainProducer, SimProducer } from './producers.js'
import type { Load } from './profiles.js'
import { RETAINED_TOPIC, SimRetentionProducer } from './retention.js'
import type { ClientWorld, SimClient } from './sim-client.js'
import { SimQuorumAdmin } from './voters.js'

export const TOPIC = 'sim'
export const PARTITIONS = 3
export const GROUP = 'readers'

/** Before a member takes the place of one that left or died. */
const NEXT_MEMBER_MS = 3_000
/** A consumer that is only to catch up asks again at once. */
const FINAL_FETCH_INTERVAL_MS = 5

type ClientClass<C> = new (world: ClientWorld, name: string, topic: string, partitions: number) => C

/** All clients of a life. */
export class Workload {
  private readonly producers: SimProducer[] = []
  private readonly consumers: SimConsumer[] = []
  private readonly senders: SimClient[] = []
  private readonly members = new Map<number, SimGroupMember>()
  private administrator: SimAdministrator | null = null
  private quorumAdmin: SimQuorumAdmin | null = null
  private memberCount = 0
  private membersStay = false

  constructor(
    private readonly load: Load,
    private readonly worldOf: (name: string) => ClientWorld,
  ) {}

  createTopic(done: () => void): void {
    this.make('admin', SimAdmin).createTopic(done)
  }

  start(): void {
    const { load } = this
    for (let i = 0; i < load.producers; i++) {
      const producer = this.make(`p${i}`, SimProducer)
      producer.start(load.produceIntervalMs)
      this.producers.push(producer)
      this.senders.push(producer)
    }
    for (let i = 0; i < load.plainProducers; i++) {
      const producer = this.make(`q${i}`, SimPlainProducer)
      producer.start(load.plainIntervalMs)
      this.senders.push(producer)
    }
    for (let i = 0; i < load.carelessProducers; i++) {
      const producer = this.make(`u${i}`, SimCarelessProducer)
      producer.start(load.carelessIntervalMs)
      this.senders.push(producer)
    }
    if (load.retainedIntervalMs > 0) {
      const producer = new SimRetentionProducer(this.worldOf('r0'), 'r0', RETAINED_TOPIC, 1)
      producer.start(load.retainedIntervalMs)
      this.senders.push(producer)
    }
    for (let i = 0; i < load.consumers; i++) this.addConsumer(`c${i}`, load.fetchIntervalMs)
    for (let i = 0; i < load.groupMembers; i++) this.addMember(i)
    this.make('o0', SimCommitter).start()
    if (load.administerWithinMs > 0) {
      this.administrator = this.make('a0', SimAdministrator)
      this.administrator.start()
    }
    if (load.changeVotersWithinMs > 0) {
      this.quorumAdmin = this.make('v0', SimQuorumAdmin)
      this.quorumAdmin.start()
    }
  }

  /** Members and voters that are there stay, and the topic needs no more replicas than a majority has: all must come to rest. */
  settle(): void {
    this.membersStay = true
    this.administrator?.settle()
    this.quorumAdmin?.settle()
  }

  /** A voter may lose its vote at any moment, as was asked for. */
  isRemovingVoter(): boolean {
    return this.quorumAdmin?.isRemoving() ?? false
  }

  stopSending(): void {
    for (const sender of this.senders) sender.stop()
    this.administrator?.stop()
    this.quorumAdmin?.stop()
  }

  /** The endgame: a new client that reads everything from the beginning. */
  addFinalConsumer(): void {
    this.addConsumer('final', FINAL_FETCH_INTERVAL_MS)
  }

  /** Every partition took a record of every idempotent producer since then. */
  hasServedSince(timeMs: number): boolean {
    return everyPartition((partition) => this.producers.every((p) => p.acknowledgedAtMs(partition) > timeMs))
  }

  /** Every partition was fetched by a member of the group since then. */
  hasGroupPolledSince(timeMs: number): boolean {
    if (this.load.groupMembers === 0) return true
    return everyPartition((partition) =>
      [...this.members.values()].some((member) => member.polledAtMs(partition) > timeMs),
    )
  }

  /** Every consumer has read past this offset. */
  hasConsumed(partition: number, offset: number): boolean {
    return this.consumers.every((consumer) => consumer.position(partition) > offset)
  }

  /** What the node says otherwise than it was confirmed. */
  verifyCommands(nodeId: number, done: (wrong: readonly string[]) => void): void {
    if (this.administrator === null) done([])
    else this.administrator.verify(nodeId, done)
  }

  describe(): string[] {
    const across = (of: (partition: number) => number): string =>
      Array.from({ length: PARTITIONS }, (_, partition) => of(partition)).join(' / ')
    return [
      ...this.consumers.map((c) => `${c.name} at ${across((i) => c.position(i))}`),
      ...this.producers.map((p) => `${p.name} acknowledged at ${across((i) => p.acknowledgedAtMs(i))} ms`),
      ...[...this.members.values()].map((m) => `${m.name} polled at ${across((i) => m.polledAtMs(i))} ms`),
    ]
  }

  private addConsumer(name: string, fetchIntervalMs: number): void {
    const consumer = this.make(name, SimConsumer)
    consumer.start(fetchIntervalMs)
    this.consumers.push(consumer)
  }

  /** Whoever leaves or dies has a successor a little later. */
  private addMember(place: number): void {
    const name = `m${this.memberCount++}`
    const world = this.worldOf(name)
    const member = new SimGroupMember(world, name, TOPIC, PARTITIONS, GROUP)
    this.members.set(place, member)
    member.start(() => {
      world.process.clock.after(this.membersStay ? 0 : NEXT_MEMBER_MS, () => this.addMember(place))
    })
  }

  private make<C>(name: string, Client: ClientClass<C>): C {
    return new Client(this.worldOf(name), name, TOPIC, PARTITIONS)
  }
}

function everyPartition(holds: (partition: number) => boolean): boolean {
  for (let partition = 0; partition < PARTITIONS; partition++) if (!holds(partition)) return false
  return true
}
