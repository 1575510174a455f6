import { describe, expect, it } from 'vitest'
import { GroupCoordinatorRuntime } from '../../../src/broker/coordinators/group-runtime.js'
import { partitionOf } from '../../../src/broker/coordinators/offsets-topic.js'
import type { JoinReply } from '../../../src/coordinator/group/types.js'
import { ZERO_UUID } from '../../../src/lib/ids.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { BatchView } from '../../../src/wire/records.js'
import { FakeNode } from './fake-services.js'

class World {
  readonly node = new FakeNode()
  readonly runtime = new GroupCoordinatorRuntime(this.node.services)
  readonly partition = this.node.partition

  constructor() {
    this.runtime.start()
  }

  static loaded(): World {
    const world = new World()
    world.partition.elect()
    world.run()
    return world
  }

  run(ms = 0): void {
    this.node.clock.run(ms)
  }

  /** The error of a commit to t-0; null while it waits. */
  commit(offset: number, groupId = 'g', topicId = ZERO_UUID, metadata = ''): { errorCode: number | null } {
    const outcome: { errorCode: number | null } = { errorCode: null }
    const partitions = [{ partitionIndex: 0, offset, leaderEpoch: -1, metadata }]
    this.runtime.commitOffsets(
      {
        groupId,
        memberId: '',
        groupInstanceId: null,
        generationId: -1,
        retentionTimeMs: null,
        groupIdNotFoundSupported: true,
        topics: [{ name: 't', topicId, partitions }],
      },
      (reply) => {
        outcome.errorCode = reply.topics[0]!.partitions[0]!.errorCode
      },
    )
    return outcome
  }

  /** The committed offset of t-0, or the name of the error. */
  fetch(groupId = 'g'): number | string {
    let found: number | string = 'no answer'
    this.runtime.fetchOffsets({ groupId, topics: [{ name: 't', partitionIndexes: [0] }] }, (reply) => {
      found = reply.errorCode === 0 ? reply.topics[0]!.partitions[0]!.offset : `error ${reply.errorCode}`
    })
    return found
  }

  join(memberId = ''): { reply: JoinReply | null } {
    const outcome: { reply: JoinReply | null } = { reply: null }
    this.runtime.join(
      {
        groupId: 'g',
        memberId,
        groupInstanceId: null,
        clientId: 'c',
        clientHost: '/h',
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 30_000,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: new Uint8Array([1]) }],
        requireKnownMemberId: false,
        supportsSkippingAssignment: true,
      },
      (reply) => {
        outcome.reply = reply
      },
    )
    return outcome
  }

  /** A Stable group of one. */
  member(): JoinReply {
    const joined = this.join()
    this.run()
    const { memberId, generationId } = joined.reply!
    const assignments = [{ memberId, assignment: new Uint8Array([2]) }]
    const names = { groupId: 'g', groupInstanceId: null, protocolType: null, protocolName: null }
    this.runtime.sync({ ...names, memberId, generationId, assignments }, () => {})
    this.run()
    return joined.reply!
  }

  heartbeat({ memberId, generationId }: JoinReply): number {
    let errorCode = -1
    this.runtime.heartbeat({ groupId: 'g', memberId, groupInstanceId: null, generationId }, (reply) => {
      errorCode = reply.errorCode
    })
    return errorCode
  }
}

const NOT_COORDINATOR = `error ${ErrorCode.NOT_COORDINATOR}`
const LOADING = `error ${ErrorCode.COORDINATOR_LOAD_IN_PROGRESS}`

describe('finding the coordinator', () => {
  it('maps groups to partitions as Java does', () => {
    expect(partitionOf('', 50)).toBe(0)
    // "hello".hashCode() = 99162322; "polygenelubricants".hashCode() = -2147483648, whose sign bit is dropped.
    expect(partitionOf('hello', 50)).toBe(99_162_322 % 50)
    expect(partitionOf('polygenelubricants', 50)).toBe(0)
  })

  it('makes the topic once, and asks to come again meanwhile', () => {
    const world = new World()
    world.node.hasTopic = false
    for (let i = 0; i < 3; i++) {
      expect(world.runtime.findCoordinator('g', 'CLIENT').errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    }
    expect(world.node.commands).toMatchObject([
      {
        type: 'createTopics',
        topics: [{ name: '__consumer_offsets', internal: true, replicationFactor: 3 }],
      },
    ])
  })

  it('names the leader’s endpoint on the listener that was asked', () => {
    const world = new World()
    const found = world.runtime.findCoordinator('g', 'CLIENT')
    expect(found).toMatchObject({ errorCode: 0, nodeId: 1, host: 'kogge', port: 9092 })
    expect(world.runtime.findCoordinator('g', 'OTHER').errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
  })
})

describe('loading', () => {
  it('answers NOT_COORDINATOR where it does not lead', () => {
    expect(new World().fetch()).toBe(NOT_COORDINATOR)
  })

  it('serves only when all that the log held at the election is committed and read', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    world.commit(9)
    world.run()
    world.partition.resign()
    // The new epoch begins with a high watermark that knows of the first commit alone.
    world.partition.elect(1)
    world.run(200)
    expect(world.fetch()).toBe(LOADING)
    expect(world.commit(10).errorCode).toBe(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    expect(world.runtime.listGroups().errorCode).toBe(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    world.partition.commit()
    world.run(200)
    expect(world.fetch()).toBe(9)
  })

  it('gives members fresh sessions, and keeps their generation', () => {
    const world = World.loaded()
    const member = world.member()
    world.run(8_000)
    world.partition.elect()
    world.run(8_000)
    expect(world.heartbeat(member)).toBe(0)
  })

  it('refuses to serve from a log that it cannot read', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    // The key's kind stays; the value's version becomes one that nobody knows.
    const batch = Buffer.from(world.partition.batches[0]!.buffer, world.partition.batches[0]!.byteOffset)
    const version = batch.indexOf(Buffer.from([0, 3, 0, 0, 0, 0, 0, 0, 0, 5]), 61)
    expect(version).toBeGreaterThan(0)
    batch[version + 1] = 99
    world.partition.elect()
    world.run()
    expect(world.fetch()).toBe(`error ${ErrorCode.COORDINATOR_NOT_AVAILABLE}`)
  })
})

describe('writing', () => {
  it('gathers what a turn brings into one append, answered when it is committed', () => {
    const world = World.loaded()
    world.partition.appends = 'hold'
    const outcomes = [world.commit(1, 'a'), world.commit(2, 'b'), world.commit(3, 'c')]
    world.run()
    expect(world.partition.batches.map((bytes) => new BatchView(bytes).recordCount)).toEqual([3])
    expect(outcomes.map((each) => each.errorCode)).toEqual([null, null, null])
    expect(world.fetch('a')).toBe(-1)
    world.partition.commit()
    expect(outcomes.map((each) => each.errorCode)).toEqual([0, 0, 0])
    expect([world.fetch('a'), world.fetch('b'), world.fetch('c')]).toEqual([1, 2, 3])
  })

  it('gathers no more than max.message.bytes allows; what alone is more fails alone', () => {
    const world = World.loaded()
    world.partition.maxMessageBytes = 300
    const small = Array.from({ length: 10 }, (_, i) => world.commit(i, `g${i}`))
    const large = world.commit(10, 'large', ZERO_UUID, 'x'.repeat(300))
    const last = world.commit(11, 'last')
    world.run()
    expect(small.map((each) => each.errorCode)).toEqual(Array(10).fill(0))
    expect(large.errorCode).toBe(ErrorCode.INVALID_COMMIT_OFFSET_SIZE)
    expect(last.errorCode).toBe(0)
    expect([world.fetch('g9'), world.fetch('large'), world.fetch('last')]).toEqual([9, -1, 11])
    expect(world.partition.batches.map((bytes) => new BatchView(bytes).recordCount)).toEqual([3, 3, 3, 1, 1])
  })

  it('a failed append leaves the last committed offset', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    world.partition.appends = 'hold'
    const failed = world.commit(6)
    world.run()
    world.partition.fail(ErrorCode.NOT_ENOUGH_REPLICAS, true)
    expect(failed.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(world.fetch()).toBe(5)
    world.partition.appends = 'commit'
    const next = world.commit(7)
    world.run()
    expect([next.errorCode, world.fetch()]).toEqual([0, 7])
  })

  it('an append that timed out and commits later is in the state before what follows it', () => {
    const world = World.loaded()
    world.partition.appends = 'hold'
    const doubtful = world.commit(6, 'a')
    world.run()
    world.partition.fail(ErrorCode.REQUEST_TIMED_OUT)
    expect(doubtful.errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(world.fetch('a')).toBe(-1)
    world.partition.appends = 'commit'
    const next = world.commit(7, 'b')
    world.run()
    expect([next.errorCode, world.fetch('a'), world.fetch('b')]).toEqual([0, 6, 7])
  })

  it('an append that timed out and commits later is found though nothing follows it', () => {
    const world = World.loaded()
    world.partition.appends = 'hold'
    world.commit(6)
    world.run()
    world.partition.fail(ErrorCode.REQUEST_TIMED_OUT)
    world.partition.commit()
    world.run(1_000)
    expect(world.fetch()).toBe(6)
  })
})

describe('losing the leadership', () => {
  it('answers NOT_COORDINATOR to all that wait', () => {
    const world = World.loaded()
    world.member()
    const join = world.join()
    world.partition.appends = 'hold'
    const commit = world.commit(5, 'other')
    world.run()
    expect([join.reply, commit.errorCode]).toEqual([null, null])
    world.partition.resign()
    expect(join.reply!.errorCode).toBe(ErrorCode.NOT_COORDINATOR)
    expect(commit.errorCode).toBe(ErrorCode.NOT_COORDINATOR)
    expect(world.fetch()).toBe(NOT_COORDINATOR)
  })

  it('completes no write of an earlier epoch (KAFKA-20634)', () => {
    const world = World.loaded()
    world.partition.appends = 'hold'
    const commit = world.commit(5)
    world.run()
    const [held] = world.partition.held
    world.partition.elect()
    expect(commit.errorCode).toBe(ErrorCode.NOT_COORDINATOR)
    held!.done({
      errorCode: 0,
      errorMessage: null,
      baseOffset: 0,
      logAppendTimeMs: -1,
      logStartOffset: 0,
      leaderId: 1,
      leaderEpoch: 2,
    })
    world.run()
    // The log decides: it is there, and was read anew.
    expect(world.fetch()).toBe(5)
  })

  it('does not read from a shard whose leadership has passed on unannounced', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    world.partition.leaderEpoch++
    expect(world.fetch()).toBe(NOT_COORDINATOR)
  })

  it('reads nothing without a quorum: another node may lead by now', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    world.node.hasQuorum = false
    expect(world.fetch()).toBe(`error ${ErrorCode.COORDINATOR_NOT_AVAILABLE}`)
    world.node.hasQuorum = true
    expect(world.fetch()).toBe(5)
  })

  it('reads nothing once its session without the controller is over: it may be fenced', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    world.node.isCutOff = true
    expect(world.fetch()).toBe(`error ${ErrorCode.COORDINATOR_NOT_AVAILABLE}`)
    world.node.isCutOff = false
    expect(world.fetch()).toBe(5)
  })

  it('reads nothing after it stood still, until a write has proved its leadership', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    world.partition.appends = 'hold'
    world.node.clock.nowMs += 1_500
    expect(world.fetch()).toBe(LOADING)
    world.run()
    expect(world.fetch()).toBe(LOADING)
    world.partition.fail(ErrorCode.REQUEST_TIMED_OUT)
    expect(world.fetch()).toBe(LOADING)
    world.partition.appends = 'commit'
    world.run(500)
    expect(world.fetch()).toBe(5)
  })

  it('a stall while it loads is made up for after it', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    world.partition.elect(0)
    world.run(100)
    world.node.clock.nowMs += 1_500
    expect(world.fetch()).toBe(LOADING)
    world.partition.highWatermark = 1
    world.partition.appends = 'hold'
    world.run(100)
    expect(world.fetch()).toBe(LOADING)
    world.partition.commit()
    expect(world.fetch()).toBe(5)
  })

  it('stops every timer when the node stops', () => {
    const world = World.loaded()
    const member = world.member()
    world.runtime.stop()
    const before = world.partition.batches.length
    world.run(700_000)
    expect(world.partition.batches.length).toBe(before)
    expect(world.heartbeat(member)).toBe(ErrorCode.NOT_COORDINATOR)
  })
})

describe('while it leads', () => {
  it('sessions run: a silent member leaves an empty group', () => {
    const world = World.loaded()
    world.member()
    world.run(10_000)
    const states: string[] = []
    world.runtime.describeGroup('g', (group) => states.push(group.groupState))
    expect(states).toEqual(['Empty'])
  })

  it('deleted topics take their offsets along', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    world.node.deleteTopic('t')
    world.run()
    expect(world.fetch()).toBe(-1)
  })

  it('a topic made anew inherits no offset from its namesake, though nobody led the shard when that was deleted', () => {
    const world = World.loaded()
    world.commit(5, 'g', 'T2xkVG9waWNPbGRUb3BpYw')
    world.run()
    expect(world.fetch()).toBe(5)
    world.partition.resign()
    world.node.deleteTopic('t')
    world.node.topics.set('t', 'TmV3VG9waWNOZXdUb3BpYw')
    world.partition.elect()
    world.run()
    expect(world.fetch()).toBe(-1)
    world.commit(1, 'g', 'TmV3VG9waWNOZXdUb3BpYw')
    world.run()
    expect(world.fetch()).toBe(1)
  })

  it('lists and deletes', () => {
    const world = World.loaded()
    world.commit(5)
    world.run()
    expect(world.runtime.listGroups().groups).toMatchObject([{ groupId: 'g', groupState: 'Empty' }])
    let errorCode = -1
    world.runtime.deleteGroup('g', (reply) => {
      errorCode = reply.errorCode
    })
    world.run()
    expect(errorCode).toBe(0)
    expect(world.runtime.listGroups().groups).toEqual([])
  })
})
