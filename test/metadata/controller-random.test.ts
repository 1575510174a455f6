import { describe, expect, it } from 'vitest'
import { NO_NODE, ZERO_UUID } from '../../src/lib/ids.js'
import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import { ConfigView, countedReplicas, effectiveMinIsr } from '../../src/metadata/configs.js'
import type { PartitionImage } from '../../src/metadata/image.js'
import { MutableImage } from '../../src/metadata/replay.js'
import { Cluster } from './cluster.js'

const BROKERS = [1, 2, 3, 4]
const TOPICS = ['a', 'b', 'c']
const STEPS = 400

/** Random commands from random brokers; after each one the invariants 17, 18 and 19 hold, and replay gives the same image. */
class RandomRun {
  readonly cluster: Cluster
  private readonly random: SeededRandom
  private readonly configs: ConfigView
  private incarnation = 0
  private readonly directories = new Map(BROKERS.map((id) => [id, 0]))
  private before = new Map<string, PartitionImage>()

  constructor(
    seed: number,
    readonly flushBeforeAck: boolean,
    /** Small batches, and other commands between them. */
    private readonly isLazy = false,
  ) {
    this.random = new SeededRandom(seed)
    this.cluster = new Cluster({
      voters: [1, 2, 3],
      random: this.random.fork(),
      properties: new Map([['flush.before.ack', String(flushBeforeAck)]]),
      ...(isLazy ? { maxBatchRecords: 2 } : {}),
    })
    this.cluster.isLazy = isLazy
    const { nodeId, properties, voters } = this.cluster.options
    const image = () => this.cluster.committed
    this.configs = new ConfigView({ nodeId, properties, configuredBrokers: voters.length, image })
  }

  private pick<T>(choices: readonly T[]): T {
    return choices[randomBelow(this.random, choices.length)]!
  }

  private chance(percent: number): boolean {
    return randomBelow(this.random, 100) < percent
  }

  step(): void {
    const { cluster } = this
    if (this.isLazy && this.chance(50)) cluster.work()
    const id = this.pick(BROKERS)
    const topic = this.pick(TOPICS)
    const actions: [weight: number, action: () => void][] = [
      [4, () => this.register(id)],
      [10, () => this.heartbeat(id)],
      [3, () => cluster.kill(id)],
      [
        3,
        () =>
          cluster.pass(
            this.pick([100, 500, 4_000]),
            BROKERS.filter(() => this.chance(70)),
          ),
      ],
      [10, () => this.alter(topic)],
      [
        4,
        () =>
          cluster.create(topic, {
            numPartitions: this.pick([-1, 1, 3]),
            replicationFactor: this.pick([-1, 1, 2, 3]),
          }),
      ],
      [1, () => cluster.decide({ type: 'deleteTopics', topics: [{ name: topic, topicId: ZERO_UUID }] })],
      [1, () => this.addPartitions(topic)],
      [4, () => this.reassign(topic)],
      [
        2,
        () => cluster.setConfig('topic', topic, 'min.insync.replicas', this.pick(['1', '2', '3', undefined])),
      ],
      [
        1,
        () => cluster.setConfig('broker', '', 'min.insync.replicas', this.pick(['1', '2', '3', undefined])),
      ],
      [
        1,
        () =>
          cluster.setConfig('topic', topic, 'unclean.leader.election.enable', this.pick(['true', 'false'])),
      ],
      [
        2,
        () => cluster.decide({ type: 'electLeaders', unclean: this.chance(20), all: true, partitions: [] }),
      ],
      [1, () => cluster.decide({ type: 'unregisterBroker', brokerId: id })],
      [1, () => cluster.failOver()],
    ]
    let draw = randomBelow(
      this.random,
      actions.reduce((sum, [weight]) => sum + weight, 0),
    )
    for (const [weight, action] of actions) {
      draw -= weight
      if (draw < 0) return action()
    }
  }

  private register(id: number): void {
    if (this.chance(10)) this.directories.set(id, this.directories.get(id)! + 1)
    const directoryIds = [`directory-${id}-${this.directories.get(id)}`]
    this.cluster.register(id, { incarnationId: `incarnation-${this.incarnation++}`, directoryIds })
  }

  private heartbeat(id: number): void {
    const topic = this.cluster.committed.topicsByName.get(this.pick(TOPICS))
    this.cluster.heartbeat(id, {
      wantFence: this.chance(5),
      wantShutDown: this.chance(10),
      appliedIndex: this.cluster.index - (this.chance(20) ? 3 : 0),
      brokerEpoch: this.cluster.epoch(id) - (this.chance(5) ? 1 : 0),
      quarantined: topic !== undefined && this.chance(5) ? [{ topicId: topic.id, partitionId: 0 }] : [],
    })
  }

  private alter(topic: string): void {
    const partition = this.cluster.committed.topicsByName.get(topic)?.partitions[0]
    if (partition === undefined) return
    const leader = this.chance(90) ? partition.leader : this.pick(BROKERS)
    if (!this.cluster.committed.brokers.has(leader)) return
    const newIsr = [...BROKERS].filter(
      (id) => id === leader || (partition.replicas.includes(id) && this.chance(60)),
    )
    const stale = this.chance(10) ? 1 : 0
    this.cluster.alter(leader, topic, newIsr, {
      partitionEpoch: partition.partitionEpoch - stale,
      leaderRecovering: this.chance(10),
      brokerEpochs: Object.fromEntries(
        newIsr.map((id) => [id, this.cluster.epoch(id) - (this.chance(5) ? 1 : 0)]),
      ),
    })
  }

  private addPartitions(topic: string): void {
    const count = (this.cluster.committed.topicsByName.get(topic)?.partitions.length ?? 0) + 1
    if (count > 6) return
    this.cluster.decide({
      type: 'createPartitions',
      validateOnly: false,
      topics: [{ name: topic, count, assignments: [] }],
    })
  }

  private reassign(topic: string): void {
    const target = BROKERS.filter(() => this.chance(50))
    if (this.chance(50)) target.reverse()
    const replicas = this.chance(20) ? {} : { replicas: { nodes: target } }
    const before = this.cluster.committed.topicsByName.get(topic)?.partitions[0]
    this.cluster.decide({
      type: 'alterPartitionReassignments',
      allowReplicationFactorChange: this.chance(90),
      partitions: [{ topic, partitionId: 0, ...replicas }],
    })
    if (before === undefined) return
    // No command takes the last copies of what was acknowledged, nor the leader where nobody can follow.
    const now = this.cluster.partition(topic)
    const holders = [...before.isr, ...before.elr]
    const kept = holders.filter((id) => now.isr.includes(id) || now.elr.includes(id))
    const minIsr = effectiveMinIsr(this.configs.topic(topic).minInsyncReplicas, countedReplicas(now))
    expect(kept.length).toBeGreaterThanOrEqual(Math.min(holders.length, minIsr, countedReplicas(before)))
    // A leader that is fenced, and whose turn has not come yet, is none.
    const isFenced = this.cluster.committed.brokers.get(before.leader)?.fenced ?? true
    if (!isFenced) expect(now.leader).not.toBe(NO_NODE)
  }

  check(): void {
    const image = this.cluster.committed
    expect(MutableImage.replay(image.toRecords()).toRecords()).toEqual(image.toRecords())
    const now = new Map<string, PartitionImage>()
    for (const topic of image.topicsById.values()) {
      topic.partitions.forEach((partition, id) => {
        const key = `${topic.id}-${id}`
        if (!this.cluster.controller.hasWork) this.checkPartition(topic.name, partition)
        const former = this.before.get(key)
        if (former !== undefined) this.checkEpochs(former, partition)
        now.set(key, partition)
      })
    }
    this.before = now
  }

  private checkPartition(topic: string, partition: PartitionImage): void {
    const { replicas, isr, elr, leader, leaderRecovering } = partition
    const { committed } = this.cluster
    const configured = this.configs.topic(topic).minInsyncReplicas
    const minIsr = effectiveMinIsr(configured, countedReplicas(partition))
    this.checkMove(partition, minIsr)
    // 17
    for (const id of isr) expect(committed.brokers.get(id)?.fenced).toBe(false)
    // 18
    expect(isr.filter((id) => elr.includes(id))).toEqual([])
    if (isr.length >= minIsr) expect(elr).toEqual([])
    expect([...isr, ...elr].every((id) => replicas.includes(id))).toBe(true)
    // A leader is in sync; without one nobody who could lead is eligible.
    if (leader !== NO_NODE) expect(isr).toContain(leader)
    else expect([...isr, ...elr].filter((id) => this.isUp(id))).toEqual([])
    if (leaderRecovering) expect(isr.length).toBeLessThanOrEqual(1)
  }

  private checkMove(partition: PartitionImage, minIsr: number): void {
    const { replicas, directories, isr, addingReplicas, removingReplicas } = partition
    expect(directories.length).toBe(replicas.length)
    expect(new Set(replicas).size).toBe(replicas.length)
    expect([...addingReplicas, ...removingReplicas].every((id) => replicas.includes(id))).toBe(true)
    expect(addingReplicas.filter((id) => removingReplicas.includes(id))).toEqual([])
    if (addingReplicas.length === 0 && removingReplicas.length === 0) return
    // It goes on only while something is missing.
    const inSync = isr.filter((id) => !removingReplicas.includes(id))
    const target = replicas.length - removingReplicas.length
    const isReady =
      addingReplicas.every((id) => inSync.includes(id)) && inSync.length >= Math.max(minIsr, target)
    if (isReady) expect(inSync.some((id) => this.isUp(id))).toBe(false)
  }

  private isUp(id: number): boolean {
    const broker = this.cluster.committed.brokers.get(id)
    return broker !== undefined && !broker.fenced && !broker.inControlledShutdown
  }

  /** 19 */
  private checkEpochs(former: PartitionImage, now: PartitionImage): void {
    expect(now.leaderEpoch).toBeGreaterThanOrEqual(former.leaderEpoch)
    expect(now.partitionEpoch).toBeGreaterThanOrEqual(former.partitionEpoch)
    if (now.leader !== former.leader) expect(now.leaderEpoch).toBeGreaterThan(former.leaderEpoch)
    if (now.partitionEpoch === former.partitionEpoch) expect(now).toEqual(former)
  }
}

describe('random commands', () => {
  const seeds = Array.from({ length: 20 }, (_, i) => i + 1)

  it.each(seeds)('seed %i keeps the invariants', (seed) => {
    const run = new RandomRun(seed, seed % 4 !== 0, seed % 2 === 0)
    for (let step = 0; step < STEPS; step++) {
      run.step()
      run.check()
    }
    expect(MutableImage.replay(run.cluster.log).toRecords()).toEqual(run.cluster.committed.toRecords())
  })

  it('the same seed gives the same records', () => {
    const [one, two] = [new RandomRun(7, true), new RandomRun(7, true)]
    for (let step = 0; step < STEPS; step++) {
      one.step()
      two.step()
    }
    expect(one.cluster.log).toEqual(two.cluster.log)
    expect(one.cluster.log.length).toBeGreaterThan(STEPS / 2)
  })
})
