import { ErrorCode, isRetriable } from '../../src/wire/errors.js'
import { AlterPartitionReassignments } from '../../src/wire/messages/alter-partition-reassignments.js'
import { CreatePartitions } from '../../src/wire/messages/create-partitions.js'
import { CreateTopics } from '../../src/wire/messages/create-topics.js'
import { DeleteTopics } from '../../src/wire/messages/delete-topics.js'
import { DescribeConfigs } from '../../src/wire/messages/describe-configs.js'
import { ElectLeaders } from '../../src/wire/messages/elect-leaders.js'
import { IncrementalAlterConfigs } from '../../src/wire/messages/incremental-alter-configs.js'
import { Metadata } from '../../src/wire/messages/metadata.js'
import { NOT_ANSWERED, RETRY_MS, SimClient, type WorkloadEvent } from './sim-client.js'

const RESOURCE_TOPIC = 2
const RESOURCE_BROKER = 4
const OPERATION_SET = 0
const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'
/** The key that is altered: what it says changes nothing in a life. */
const ALTERED_KEY = 'delete.retention.ms'
/** Every acknowledged record of the workload's topic lies on so many disks, whatever its minimum ISR is: no invariant counts on more. */
const LEAST_MINIMUM = 2
/** Topics of the administrator that exist at a time. */
const MOST_TOPICS = 3
/** Errors that prove that nothing was changed. NOT_CONTROLLER does not: the broker's own connection may have broken. */
const REFUSED: ReadonlySet<number> = new Set([ErrorCode.INVALID_REPLICATION_FACTOR])

/** Makes the workload's topic and waits until it is there. */
export class SimAdmin extends SimClient {
  createTopic(done: () => void): void {
    this.call(this.anyNode(), CreateTopics, 7, creation(this.topic, this.partitions), (response) => {
      const code = response?.topics[0]?.errorCode ?? NOT_ANSWERED
      if (code === ErrorCode.NONE || code === ErrorCode.TOPIC_ALREADY_EXISTS)
        return this.refreshMetadata(done)
      this.after(RETRY_MS, () => this.createTopic(done))
    })
  }
}

/** What is known for certain of a topic that the administrator made. Null: its partitions are not known. */
interface KnownTopic {
  exists: boolean | null
  partitions: number | null
}

/**
 * Gives one administrative command after the other: the metadata log moves on, snapshots are due, and who was away needs
 * one. It remembers what was confirmed; at the end all of it must hold.
 */
export class SimAdministrator extends SimClient {
  private readonly topics = new Map<string, KnownTopic>()
  private made = 0
  /** null: not known. */
  private configured: string | null = null
  /** Values whose command was not answered: a node that stood still may hand it on at any time, after newer ones too. */
  private readonly unsettled = new Set<string>()
  /** The workload's topic is to be given back the least minimum; it was, once. */
  private isSettling = false
  private isSettled = false

  start(): void {
    this.after(this.draw(this.world.load.administerWithinMs), () => this.act(() => this.start()))
  }

  /** From now on the workload's topic takes records without one of its replicas, but for moments. */
  settle(): void {
    this.isSettling = true
  }

  private act(done: () => void): void {
    const present = [...this.topics].filter(([, { exists }]) => exists === true).map(([name]) => name)
    const one = present[this.draw(Math.max(1, present.length))]
    const kind = this.draw(14)
    // Once would not do: a node that stood still may hand on an older command at any time.
    if (this.isSettling && (!this.isSettled || this.draw(2) === 0))
      this.configureMinimum(this.topic, LEAST_MINIMUM, done)
    else if (kind === 13)
      this.configureMinimum(this.topic, LEAST_MINIMUM + Math.floor(this.draw(3) / 2), done)
    else if ((kind === 2 || kind === 3) && one !== undefined)
      this.configureMinimum(one, 1 + this.draw(3), done)
    else if (kind < 4) this.configure(done)
    else if (kind < 6) this.elect(done)
    else if (kind === 12) this.throttle(done)
    else if (kind < 8 && present.length < MOST_TOPICS) this.create(done)
    else if (kind >= 10) this.reassign(this.draw(2) === 0 ? one : undefined, done)
    else if (one !== undefined && kind === 8) this.grow(one, done)
    else if (one !== undefined) this.remove(one, done)
    else this.create(done)
  }

  private create(done: () => void): void {
    // A name is never used again: what happened to it stays unambiguous.
    const name = `${this.name}-${this.made++}`
    const partitions = 1 + this.draw(2)
    this.call(this.anyNode(), CreateTopics, 7, creation(name, partitions), (response) => {
      const errorCode = response?.topics[0]?.errorCode ?? NOT_ANSWERED
      const exists = errorCode === ErrorCode.NONE ? true : REFUSED.has(errorCode) ? false : null
      this.topics.set(name, { exists, partitions })
      this.report(errorCode, 'topicsCreated', done)
    })
  }

  private remove(name: string, done: () => void): void {
    const known = this.topics.get(name)!
    const body = { topics: [{ name, topicId: ZERO_UUID }], timeoutMs: 2_000 }
    this.call(this.anyNode(), DeleteTopics, 6, body as never, (response) => {
      const errorCode = response?.responses[0]?.errorCode ?? NOT_ANSWERED
      known.exists = errorCode === ErrorCode.NONE ? false : REFUSED.has(errorCode) ? known.exists : null
      this.report(errorCode, 'topicsDeleted', done)
    })
  }

  private grow(name: string, done: () => void): void {
    const known = this.topics.get(name)!
    if (known.partitions === null) return done()
    const count = known.partitions + 1
    const body = { topics: [{ name, count, assignments: null }], timeoutMs: 2_000, validateOnly: false }
    this.call(this.anyNode(), CreatePartitions, 3, body, (response) => {
      const errorCode = response?.results[0]?.errorCode ?? NOT_ANSWERED
      if (errorCode === ErrorCode.NONE) known.partitions = count
      else if (!REFUSED.has(errorCode)) known.partitions = null
      this.report(errorCode, 'partitionsCreated', done)
    })
  }

  private configure(done: () => void): void {
    const value = String(86_400_000 + this.draw(1_000_000))
    const configs = [{ name: ALTERED_KEY, configOperation: OPERATION_SET, value }]
    const resource = { resourceType: RESOURCE_TOPIC, resourceName: this.topic, configs }
    const body = { resources: [resource], validateOnly: false }
    this.call(this.anyNode(), IncrementalAlterConfigs, 1, body, (response) => {
      const errorCode = response?.responses[0]?.errorCode ?? NOT_ANSWERED
      if (errorCode === ErrorCode.NONE) this.configured = value
      else if (!REFUSED.has(errorCode)) {
        this.configured = null
        this.unsettled.add(value)
      }
      this.report(errorCode, 'configChanges', done)
    })
  }

  private configureMinimum(resourceName: string, minimum: number, done: () => void): void {
    const configs = [{ name: 'min.insync.replicas', configOperation: OPERATION_SET, value: String(minimum) }]
    const body = {
      resources: [{ resourceType: RESOURCE_TOPIC, resourceName, configs }],
      validateOnly: false,
    }
    this.call(this.anyNode(), IncrementalAlterConfigs, 1, body, (response) => {
      const errorCode = response?.responses[0]?.errorCode ?? NOT_ANSWERED
      if (this.isSettling && resourceName === this.topic && errorCode === ErrorCode.NONE)
        this.isSettled = true
      this.report(errorCode, 'minimumChanges', done)
    })
  }

  /** As Kafka's tool does before it moves replicas: whoever is not in sync catches up at so much a second. */
  private throttle(done: () => void): void {
    const nodes = this.world.nodeIds
    const node = nodes[this.draw(nodes.length)]!
    const rate = String(50_000 + this.draw(200_000))
    const set = (resourceType: number, resourceName: string, key: string, value: string) => ({
      resourceType,
      resourceName,
      configs: ['leader', 'follower'].map((side) => ({
        name: `${side}.replication.throttled.${key}`,
        configOperation: OPERATION_SET,
        value,
      })),
    })
    const resources = [
      set(RESOURCE_BROKER, String(node), 'rate', rate),
      set(RESOURCE_TOPIC, this.topic, 'replicas', '*'),
    ]
    this.call(this.anyNode(), IncrementalAlterConfigs, 1, { resources, validateOnly: false }, (response) => {
      const codes = response?.responses.map(({ errorCode }) => errorCode) ?? [NOT_ANSWERED]
      this.report(codes.find((code) => code !== ErrorCode.NONE) ?? ErrorCode.NONE, 'throttleChanges', done)
    })
  }

  private elect(done: () => void): void {
    const partitions = Array.from({ length: this.partitions }, (_, partition) => partition)
    const body = { electionType: 0, topicPartitions: [{ topic: this.topic, partitions }], timeoutMs: 2_000 }
    this.call(this.anyNode(), ElectLeaders, 2, body, (response) => {
      const results = response?.replicaElectionResults.flatMap((topic) => topic.partitionResult) ?? []
      const isDone = results.some((result) => result.errorCode === ErrorCode.NONE)
      this.report(isDone ? ErrorCode.NONE : NOT_ANSWERED, 'preferredElections', done)
    })
  }

  /**
   * To other nodes or into another order, or back: also while an earlier move goes on. The records' topic keeps three
   * replicas, the others two at least: one lost disk is never the last copy.
   */
  private reassign(own: string | undefined, done: () => void): void {
    const nodes = [...this.world.nodeIds]
    const target: number[] = []
    const size = own === undefined ? 3 : 2 + this.draw(2)
    while (target.length < size && nodes.length > 0) target.push(nodes.splice(this.draw(nodes.length), 1)[0]!)
    const replicas = this.draw(5) === 0 ? null : target
    const name = own ?? this.topic
    const partitions = [{ partitionIndex: own === undefined ? this.draw(this.partitions) : 0, replicas }]
    const body = {
      timeoutMs: 2_000,
      allowReplicationFactorChange: true,
      topics: [{ name, partitions }],
    }
    this.call(this.anyNode(), AlterPartitionReassignments, 1, body, (response) => {
      const refused = response === null ? NOT_ANSWERED : response.errorCode
      const errorCode =
        refused !== ErrorCode.NONE ? refused : response!.responses[0]!.partitions[0]!.errorCode
      this.report(errorCode, 'reassignments', done)
    })
  }

  private report(errorCode: number, what: WorkloadEvent, done: () => void): void {
    if (errorCode === ErrorCode.NONE) this.world.observer.onDone(what)
    const isLater = errorCode === NOT_ANSWERED || isRetriable(errorCode)
    this.after(isLater ? RETRY_MS : 0, done)
  }

  /** After everything is healed: does this node say what was confirmed? `done` gets what it does not. */
  verify(nodeId: number, done: (wrong: readonly string[]) => void): void {
    this.call(nodeId, Metadata, 12, { topics: null, allowAutoTopicCreation: false } as never, (response) => {
      if (response === null) return done([`node ${nodeId} does not answer`])
      const held = new Map(response.topics.map((topic) => [topic.name ?? '', topic.partitions.length]))
      const wrong: string[] = []
      for (const [name, { exists, partitions }] of this.topics) {
        if (exists !== null && exists !== held.has(name))
          wrong.push(
            `${name} ${exists ? 'was created' : 'does not exist'}, and node ${nodeId} says otherwise`,
          )
        if (exists === true && partitions !== null && held.get(name) !== partitions)
          wrong.push(`${name} has ${partitions} partitions, and on node ${nodeId} ${held.get(name)}`)
      }
      this.verifyConfiguration(nodeId, (also) => done([...wrong, ...also]))
    })
  }

  private verifyConfiguration(nodeId: number, done: (wrong: readonly string[]) => void): void {
    const expected = this.configured
    if (expected === null) return done([])
    const resource = {
      resourceType: RESOURCE_TOPIC,
      resourceName: this.topic,
      configurationKeys: [ALTERED_KEY],
    }
    this.call(nodeId, DescribeConfigs, 4, { resources: [resource] } as never, (response) => {
      const value = response?.results[0]?.configs[0]?.value
      const isRight = value === expected || this.unsettled.has(value ?? '')
      done(isRight ? [] : [`${ALTERED_KEY} was set to ${expected}, and node ${nodeId} says ${value}`])
    })
  }
}

function creation(name: string, numPartitions: number) {
  const topic = { name, numPartitions, replicationFactor: -1, assignments: [], configs: [] }
  return { topics: [topic], timeoutMs: 2_000, validateOnly: false }
}
