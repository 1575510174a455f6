import { describe, expect, it } from 'vitest'
import { GroupCoordinatorRuntime } from '../../../src/broker/coordinators/group-runtime.js'
import { GroupShardDriver } from '../../../src/broker/coordinators/group-shard-driver.js'
import { LoadQueue } from '../../../src/broker/coordinators/load-queue.js'
import type { Ticket } from '../../../src/coordinator/group/effects.js'
import type {
  JoinReply,
  JoinRequest,
  OffsetCommitReply,
  OffsetCommitRequest,
} from '../../../src/coordinator/group/types.js'
import { ZERO_UUID } from '../../../src/lib/ids.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { FakeNode, TOPIC_ID } from './fake-services.js'

// What a client may name and Kafka's layouts cannot keep: a string of more than 32767 bytes, a time beyond the int64s.

/** What 32767 bytes that are not UTF-8 become when they are decoded: three bytes each. */
const BAD_UTF8 = '\ufffd'.repeat(32_767)
const LONGEST = 'x'.repeat(32_767)
const BYTES = new Uint8Array([1])

class World {
  readonly node = new FakeNode()
  readonly runtime = new GroupCoordinatorRuntime(this.node.services)

  constructor() {
    this.runtime.start()
    this.node.partition.elect()
    this.node.clock.run()
  }

  get batches(): number {
    return this.node.partition.batches.length
  }

  commit(options: Partial<OffsetCommitRequest>, metadata = ''): number {
    let errorCode = -1
    const partitions = [{ partitionIndex: 0, offset: 5, leaderEpoch: -1, metadata }]
    this.runtime.commitOffsets(
      {
        groupId: 'g',
        memberId: '',
        groupInstanceId: null,
        generationId: -1,
        retentionTimeMs: null,
        groupIdNotFoundSupported: true,
        topics: [{ name: 't', topicId: ZERO_UUID, partitions }],
        ...options,
      },
      (reply) => {
        errorCode = reply.topics[0]!.partitions[0]!.errorCode
      },
    )
    this.node.clock.run()
    return errorCode
  }

  join(options: Partial<JoinRequest>): JoinReply {
    let answer: JoinReply | undefined
    this.runtime.join(
      {
        groupId: 'g',
        memberId: '',
        groupInstanceId: null,
        clientId: 'c',
        clientHost: '/h',
        sessionTimeoutMs: 10_000,
        rebalanceTimeoutMs: 30_000,
        protocolType: 'consumer',
        protocols: [{ name: 'range', metadata: BYTES }],
        requireKnownMemberId: false,
        supportsSkippingAssignment: true,
        ...options,
      },
      (reply) => {
        answer = reply
      },
    )
    this.node.clock.run()
    return answer!
  }

  sync({ memberId, generationId }: JoinReply): number {
    let errorCode = -1
    const names = { groupId: 'g', groupInstanceId: null, protocolType: null, protocolName: null }
    const assignments = [{ memberId, assignment: BYTES }]
    this.runtime.sync({ ...names, memberId, generationId, assignments }, (reply) => {
      errorCode = reply.errorCode
    })
    this.node.clock.run()
    return errorCode
  }
}

describe('what cannot be stored is refused', () => {
  it('a group id that grew when it was decoded', () => {
    const world = new World()
    expect(world.commit({ groupId: BAD_UTF8 })).toBe(ErrorCode.INVALID_GROUP_ID)
    expect(world.join({ groupId: BAD_UTF8 }).errorCode).toBe(ErrorCode.INVALID_GROUP_ID)
    expect(world.batches).toBe(0)
  })

  it('metadata of a commit, however much offset.metadata.max.bytes allows', () => {
    const world = new World()
    world.node.configs['offset.metadata.max.bytes'] = 1_000_000
    expect(world.commit({}, BAD_UTF8)).toBe(ErrorCode.OFFSET_METADATA_TOO_LARGE)
    expect(world.commit({}, LONGEST)).toBe(0)
  })

  it.each<[string, Partial<JoinRequest>]>([
    // The member id is the instance id, or the client id, with a suffix.
    ['an instance id', { groupInstanceId: LONGEST }],
    ['a client id', { clientId: LONGEST }],
    ['a member id', { memberId: BAD_UTF8 }],
    ['a protocol type', { protocolType: BAD_UTF8 }],
    ['a protocol', { protocols: [{ name: BAD_UTF8, metadata: BYTES }] }],
  ])('%s, and the group goes on without that member', (_name, options) => {
    const world = new World()
    const refused = world.join(options)
    expect(refused).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, memberId: '' })
    expect(world.runtime.listGroups().groups).toEqual([])
    const member = world.join({})
    expect([member.errorCode, world.sync(member), world.batches]).toEqual([0, 0, 1])
  })

  it('the longest names that leave room for the suffix are kept', () => {
    const world = new World()
    const member = world.join({ groupInstanceId: 'x'.repeat(32_700), clientId: 'x'.repeat(32_700) })
    expect([member.errorCode, world.sync(member), world.batches]).toEqual([0, 0, 1])
  })
})

describe('a retention of a commit’s own', () => {
  it('is cut to the largest number, however long', () => {
    const world = new World()
    expect(world.commit({ retentionTimeMs: Number.MAX_SAFE_INTEGER })).toBe(0)
    expect(world.batches).toBe(1)
  })
})

describe('a record that cannot be encoded all the same', () => {
  /** Past the checks of the runtime. */
  function loadedDriver(node: FakeNode): GroupShardDriver {
    const { services, partition } = node
    partition.elect()
    const loads = new LoadQueue(node.clock)
    const driver = new GroupShardDriver(services, loads, TOPIC_ID, 0, partition.leaderEpoch, 0, () => {})
    driver.load()
    node.clock.run()
    return driver
  }

  const commit = (driver: GroupShardDriver, groupId: string): { outcome: number | null } => {
    const asked: { outcome: number | null } = { outcome: null }
    const partitions = [{ partitionIndex: 0, offset: 5, leaderEpoch: -1, metadata: '' }]
    driver.ask(
      (ticket: Ticket<OffsetCommitReply>) => ({
        type: 'commitOffsets',
        ticket,
        request: {
          groupId,
          memberId: '',
          groupInstanceId: null,
          generationId: -1,
          retentionTimeMs: null,
          groupIdNotFoundSupported: true,
          topics: [{ name: 't', topicId: ZERO_UUID, partitions }],
        },
      }),
      (reply) => {
        asked.outcome = reply.topics[0]!.partitions[0]!.errorCode
      },
      (errorCode) => {
        asked.outcome = errorCode
      },
    )
    return asked
  }

  it('is a failed write of its own, told later; the shard serves on', () => {
    const node = new FakeNode()
    const driver = loadedDriver(node)
    const [bad, good] = [commit(driver, BAD_UTF8), commit(driver, 'g')]
    expect([bad.outcome, good.outcome]).toEqual([null, null])
    node.clock.run()
    expect([bad.outcome, good.outcome]).toEqual([ErrorCode.UNKNOWN_SERVER_ERROR, 0])
    expect(driver.groups.list().map(({ groupId }) => groupId)).toEqual(['g'])
  })

  it('is not told to a shard that was closed meanwhile: those who waited have been answered', () => {
    const node = new FakeNode()
    const driver = loadedDriver(node)
    const bad = commit(driver, BAD_UTF8)
    driver.close(ErrorCode.NOT_COORDINATOR)
    node.clock.run()
    expect(bad.outcome).toBe(ErrorCode.NOT_COORDINATOR)
  })
})
