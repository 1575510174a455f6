import { describe, expect, it } from 'vitest'
import { ErrorCode } from '../../../src/wire/errors.js'
import { bytes, GroupWorld, text } from './group-world.js'

const A = { groupInstanceId: 'a' }
const B = { groupInstanceId: 'b' }

describe('static members (KIP-345)', () => {
  it('a follower’s restart gives it a new id and its old part, without a rebalance', () => {
    const world = new GroupWorld()
    const [a, b] = world.stable(A, B)
    const again = world.join(B).get()
    expect(again).toMatchObject({ errorCode: 0, generationId: 1, leader: a!.memberId, members: [] })
    expect(again.memberId).not.toBe(b!.memberId)
    expect(text(world.sync(again).get().assignment)).toBe('part 1')
    expect(world.heartbeat(a!, 'a')).toBe(0)
  })

  it('the old id is fenced', () => {
    const world = new GroupWorld()
    const [, b] = world.stable(A, B)
    world.join(B)
    expect(world.heartbeat(b!, 'b')).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(world.join({ ...B, memberId: b!.memberId }).get().errorCode).toBe(ErrorCode.FENCED_INSTANCE_ID)
    const commit = world.commit(5, { ...B, memberId: b!.memberId, generationId: 1 })
    expect(commit.get().topics[0]!.partitions[0]!.errorCode).toBe(ErrorCode.FENCED_INSTANCE_ID)
  })

  it('a leader that comes back is told to skip the assignment (v9), or that another leads (below)', () => {
    const world = new GroupWorld()
    const [a] = world.stable(A, B)
    const v9 = world.join(A).get()
    expect(v9).toMatchObject({ leader: v9.memberId, skipAssignment: true })
    expect(v9.members.length).toBe(2)
    const v8 = world.join({ ...A, supportsSkippingAssignment: false }).get()
    expect(v8).toMatchObject({ leader: v9.memberId, skipAssignment: false, members: [] })
    expect(v8.memberId).not.toBe(v9.memberId)
    expect(a!.memberId).not.toBe(v9.memberId)
  })

  it('the new id survives a fail-over', () => {
    const world = new GroupWorld()
    world.stable(A, B)
    const again = world.join(B).get()
    world.failOver()
    expect(world.heartbeat(again, 'b')).toBe(0)
  })

  it('where the record cannot be written the old id is good again', () => {
    const world = new GroupWorld()
    const [, b] = world.stable(A, B)
    world.log = 'holds'
    const again = world.join(B)
    expect(again.isOpen).toBe(true)
    world.resolve(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(again.get()).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID, memberId: '' })
    expect(world.heartbeat(b!, 'b')).toBe(0)
  })

  it('of two restarts that overlap the later one wins', () => {
    const world = new GroupWorld()
    world.stable(A, B)
    world.log = 'holds'
    const [first, second] = [world.join(B), world.join(B)]
    world.resolve(0)
    world.resolve(0)
    expect(first.get().errorCode).toBe(ErrorCode.FENCED_INSTANCE_ID)
    expect(second.get().errorCode).toBe(0)
    expect(world.heartbeat(second.get(), 'b')).toBe(0)
  })

  it('two overlapping restarts that both fail leave the committed id', () => {
    const world = new GroupWorld()
    const [, b] = world.stable(A, B)
    world.log = 'holds'
    world.join(B)
    world.join(B)
    world.resolve(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    world.resolve(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(world.heartbeat(b!, 'b')).toBe(0)
  })

  it('a restart that changes the protocol is a rebalance', () => {
    const world = new GroupWorld()
    const both = [
      { name: 'range', metadata: bytes('') },
      { name: 'sticky', metadata: bytes('') },
    ]
    world.stable({ ...A, protocols: both }, { ...B, protocols: both })
    const again = world.join({ ...B, protocols: [both[1]!] })
    expect(again.isOpen).toBe(true)
    expect(world.describe().groupState).toBe('PreparingRebalance')
  })

  it('one that is away keeps its place through a rebalance, until its session ends', () => {
    const world = new GroupWorld()
    const slow = { sessionTimeoutMs: 100_000, rebalanceTimeoutMs: 20_000 }
    const [a] = world.stable({ ...A, ...slow }, { ...B, ...slow })
    const again = world.join({ ...A, ...slow, memberId: a!.memberId })
    world.pass(20_000)
    expect(again.get().members.map((each) => each.groupInstanceId)).toEqual(['a', 'b'])
    world.sync(again.get(), {})
    for (let i = 0; i < 10; i++) {
      world.pass(10_000)
      world.heartbeat(again.get(), 'a')
    }
    expect(world.describe().members.map((each) => each.groupInstanceId)).toEqual(['a'])
  })
})
