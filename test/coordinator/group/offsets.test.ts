import { describe, expect, it } from 'vitest'
import type { OffsetCommitReply } from '../../../src/coordinator/group/types.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { GroupWorld, type Pending } from './group-world.js'

const errorOf = (commit: Pending<OffsetCommitReply>): number =>
  commit.get().topics[0]!.partitions[0]!.errorCode

describe('commits', () => {
  it('are seen and answered once they are committed in the log', () => {
    const world = new GroupWorld()
    world.log = 'holds'
    const commit = world.commit(7)
    expect(commit.isOpen).toBe(true)
    expect(world.fetch()).toBe(-1)
    world.resolve(0)
    expect(errorOf(commit)).toBe(0)
    expect(world.fetch()).toBe(7)
  })

  it('that fail leave the last committed offset', () => {
    const world = new GroupWorld()
    world.commit(7)
    world.log = 'holds'
    const commit = world.commit(9)
    world.resolve(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(errorOf(commit)).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(world.fetch()).toBe(7)
  })

  it('survive a fail-over, with leader epoch and metadata', () => {
    const world = new GroupWorld()
    world.commit(7, {}, 'note')
    world.failOver()
    const { topics } = world.shard.fetchOffsets({ groupId: 'orders', topics: null })
    const partitions = [{ partitionIndex: 0, offset: 7, leaderEpoch: 3, metadata: 'note' }]
    expect(topics).toEqual([{ name: 't', partitions }])
  })

  it('of the present generation pass; of others, of strangers and from outside they do not', () => {
    const world = new GroupWorld()
    const [a] = world.stable({})
    const { memberId } = a!
    expect(errorOf(world.commit(1, { memberId, generationId: 1 }))).toBe(0)
    expect(errorOf(world.commit(2, { memberId, generationId: 0 }))).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(errorOf(world.commit(3, { memberId: 'x', generationId: 1 }))).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(errorOf(world.commit(4))).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(world.fetch()).toBe(1)
  })

  it('pass during a join phase, and not while the assignment is awaited', () => {
    const world = new GroupWorld()
    const [a] = world.stable({})
    const b = world.join()
    expect(errorOf(world.commit(5, { memberId: a!.memberId, generationId: 1 }))).toBe(0)
    const again = world.join({ memberId: a!.memberId }).get()
    expect(b.isOpen).toBe(false)
    const commit = world.commit(6, { memberId: a!.memberId, generationId: again.generationId })
    expect(errorOf(commit)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  it('with a generation need a group', () => {
    const world = new GroupWorld()
    const options = { memberId: 'x', generationId: 1 }
    expect(errorOf(world.commit(1, options))).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(errorOf(world.commit(1, { ...options, groupIdNotFoundSupported: true }))).toBe(
      ErrorCode.GROUP_ID_NOT_FOUND,
    )
  })

  it('with too much metadata are refused', () => {
    const world = new GroupWorld()
    expect(errorOf(world.commit(1, {}, 'x'.repeat(17)))).toBe(ErrorCode.OFFSET_METADATA_TOO_LARGE)
    expect(world.fetch()).toBe(-1)
  })
})

describe('expiry (KIP-211)', () => {
  it('offsets of a group without members go after the retention, and the group with them', () => {
    const world = new GroupWorld()
    world.commit(7)
    world.pass(59_999)
    world.expire()
    expect(world.fetch()).toBe(7)
    world.pass(1)
    world.expire()
    expect(world.fetch()).toBe(-1)
    expect(world.shard.list()).toEqual([])
    expect(world.records.at(-1)).toMatchObject({ type: 'offset', value: null })
  })

  it('counts from the moment the group became empty', () => {
    const world = new GroupWorld()
    const [a] = world.stable({})
    world.commit(7, { memberId: a!.memberId, generationId: 1 })
    for (let i = 0; i < 20; i++) {
      world.pass(5_000)
      world.heartbeat(a!)
      world.expire()
    }
    world.leave({ memberId: a!.memberId, groupInstanceId: null })
    world.pass(59_000)
    world.expire()
    expect(world.fetch()).toBe(7)
    world.pass(1_000)
    world.expire()
    expect(world.fetch()).toBe(-1)
    expect(world.records.at(-1)).toMatchObject({ type: 'group', value: null })
  })

  it('a retention of its own (v2-4) counts alone', () => {
    const world = new GroupWorld()
    world.commit(7, { retentionTimeMs: 1_000 })
    world.pass(1_000)
    world.expire()
    expect(world.fetch()).toBe(-1)
  })

  it('leaves a commit alone that is on its way', () => {
    const world = new GroupWorld()
    world.commit(7)
    world.pass(60_000)
    world.log = 'holds'
    const commit = world.commit(8)
    world.expire()
    world.resolve(0)
    expect(errorOf(commit)).toBe(0)
    expect(world.fetch()).toBe(8)
  })

  it('a deleted topic’s offsets go at once', () => {
    const world = new GroupWorld()
    world.commit(7)
    world.step({ type: 'topicsDeleted', topics: new Set(['t']) })
    expect(world.fetch()).toBe(-1)
  })
})

describe('deleting groups', () => {
  it('takes an empty group and all of its offsets', () => {
    const world = new GroupWorld()
    world.commit(7)
    expect(world.delete().get()).toMatchObject({ errorCode: 0, errorMessage: null })
    world.failOver()
    expect(world.fetch()).toBe(-1)
    expect(world.delete().get().errorCode).toBe(ErrorCode.GROUP_ID_NOT_FOUND)
    expect(world.describe()).toMatchObject({ errorCode: ErrorCode.GROUP_ID_NOT_FOUND, groupState: 'Dead' })
  })

  it('refuses one with members', () => {
    const world = new GroupWorld()
    world.stable({})
    expect(world.delete().get().errorCode).toBe(ErrorCode.NON_EMPTY_GROUP)
  })

  it('builds nothing on a group that is being deleted, and keeps it where that fails', () => {
    const world = new GroupWorld()
    world.commit(7)
    world.log = 'holds'
    const deletion = world.delete()
    expect(errorOf(world.commit(8))).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(world.join().get().errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    world.resolve(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(deletion.get().errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(world.fetch()).toBe(7)
    world.log = 'commits'
    expect(errorOf(world.commit(9))).toBe(0)
  })

  it('waits for a commit on its way, and takes it along', () => {
    const world = new GroupWorld()
    world.log = 'holds'
    const commit = world.commit(7)
    const deletion = world.delete()
    world.resolve(0)
    expect([errorOf(commit), world.fetch(), deletion.isOpen]).toEqual([0, 7, true])
    world.resolve(0)
    expect([deletion.get().errorCode, world.fetch()]).toEqual([0, -1])
  })

  it('of two deletions the second finds nothing', () => {
    const world = new GroupWorld()
    world.commit(7)
    world.log = 'holds'
    const [first, second] = [world.delete(), world.delete()]
    world.resolve(0)
    expect([first.get().errorCode, second.get().errorCode]).toEqual([0, ErrorCode.GROUP_ID_NOT_FOUND])
  })
})
