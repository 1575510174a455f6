import { describe, expect, it } from 'vitest'
import { ErrorCode } from '../../../src/wire/errors.js'
import { bytes, GroupWorld, text } from './group-world.js'

describe('joining', () => {
  it('a dynamic member is first given its id (KIP-394)', () => {
    const world = new GroupWorld()
    const first = world.join({ requireKnownMemberId: true }).get()
    expect(first.errorCode).toBe(ErrorCode.MEMBER_ID_REQUIRED)
    expect(first.memberId).toMatch(/^client-/)
    const second = world.join({ requireKnownMemberId: true, memberId: first.memberId })
    expect(second.isOpen).toBe(true)
    world.pass(3_000)
    expect(second.get()).toMatchObject({ errorCode: 0, memberId: first.memberId, generationId: 1 })
  })

  it('an id that is not taken up is forgotten after the session time-out, and the group with it', () => {
    const world = new GroupWorld()
    const { memberId } = world.join({ requireKnownMemberId: true }).get()
    world.pass(10_000)
    expect(world.join({ memberId }).get().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(world.shard.list()).toEqual([])
  })

  it('the first join phase lasts the initial delay, prolonged while members come', () => {
    const world = new GroupWorld()
    const a = world.join()
    world.pass(2_000)
    const b = world.join()
    world.pass(1_000)
    expect(a.isOpen).toBe(true)
    world.pass(3_000)
    expect(a.get().members.map((each) => each.memberId)).toEqual([a.get().memberId, b.get().memberId])
    expect(b.get().members).toEqual([])
    expect(b.get().leader).toBe(a.get().memberId)
  })

  it('the initial delay never passes the rebalance time-out', () => {
    const world = new GroupWorld()
    const a = world.join({ rebalanceTimeoutMs: 4_000 })
    world.pass(2_900)
    world.join({ rebalanceTimeoutMs: 4_000 })
    world.pass(1_100)
    expect(a.isOpen).toBe(false)
  })

  it('time-outs out of bounds, no group id, no protocol and a stranger are refused', () => {
    const world = new GroupWorld()
    const errorOf = (options: Parameters<GroupWorld['join']>[0]) => world.join(options).get().errorCode
    expect(errorOf({ sessionTimeoutMs: 5_999 })).toBe(ErrorCode.INVALID_SESSION_TIMEOUT)
    expect(errorOf({ sessionTimeoutMs: 300_001 })).toBe(ErrorCode.INVALID_SESSION_TIMEOUT)
    expect(errorOf({ groupId: '' })).toBe(ErrorCode.INVALID_GROUP_ID)
    expect(errorOf({ protocols: [] })).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    expect(errorOf({ memberId: 'stranger' })).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    world.stable({})
    expect(errorOf({ protocolType: 'connect' })).toBe(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    expect(errorOf({ protocols: [{ name: 'sticky', metadata: bytes('') }] })).toBe(
      ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    )
  })

  it('group.max.size bounds a group', () => {
    const world = new GroupWorld()
    world.settings = { ...world.settings, maxSize: 1 }
    world.join()
    expect(world.join().get().errorCode).toBe(ErrorCode.GROUP_MAX_SIZE_REACHED)
  })

  it('the protocol is the first choice of most members among those that all know', () => {
    const world = new GroupWorld()
    const protocols = (...names: string[]) => names.map((name) => ({ name, metadata: bytes(name) }))
    const joins = [
      world.join({ protocols: protocols('own', 'range', 'sticky') }),
      world.join({ protocols: protocols('sticky', 'range') }),
      world.join({ protocols: protocols('sticky', 'range') }),
    ]
    world.pass(9_000)
    expect(joins.map((join) => join.get().protocolName)).toEqual(['sticky', 'sticky', 'sticky'])
    expect(joins[0]!.get().members.map((each) => text(each.metadata))).toEqual(['sticky', 'sticky', 'sticky'])
  })
})

describe('syncing', () => {
  it('all get their part once the leader has spoken and the generation is in the log', () => {
    const world = new GroupWorld()
    const [a, b] = [world.join(), world.join()]
    world.pass(9_000)
    world.log = 'holds'
    const syncB = world.sync(b.get())
    const syncA = world.sync(a.get(), { [a.get().memberId]: 'one', [b.get().memberId]: 'two' })
    expect([syncA.isOpen, syncB.isOpen]).toEqual([true, true])
    expect(world.describe().groupState).toBe('CompletingRebalance')
    world.resolve(0)
    expect([text(syncA.get().assignment), text(syncB.get().assignment)]).toEqual(['one', 'two'])
    expect(world.describe()).toMatchObject({ groupState: 'Stable', protocolData: 'range' })
  })

  it('a failed write fails the sync, and the group begins anew', () => {
    const world = new GroupWorld()
    const a = world.join()
    world.pass(6_000)
    world.log = 'holds'
    const sync = world.sync(a.get(), {})
    world.resolve(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(sync.get().errorCode).toBe(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    expect(world.describe().groupState).toBe('PreparingRebalance')
    expect(world.records).toEqual([])
    world.log = 'commits'
    const again = world.join({ memberId: a.get().memberId })
    expect(again.get()).toMatchObject({ errorCode: 0, generationId: 2 })
  })

  it('the wrong generation, protocol or moment is refused', () => {
    const world = new GroupWorld()
    const [a] = world.stable({})
    expect(world.sync({ ...a!, generationId: 7 }).get().errorCode).toBe(ErrorCode.ILLEGAL_GENERATION)
    expect(world.sync({ ...a!, memberId: 'x' }).get().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    world.join()
    expect(world.sync(a!).get().errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  it('a member that joins and never syncs is dropped after the rebalance time-out', () => {
    const world = new GroupWorld()
    const options = { sessionTimeoutMs: 200_000, rebalanceTimeoutMs: 20_000 }
    const [a, b] = [world.join(options), world.join(options)]
    world.pass(9_000)
    const sync = world.sync(a.get(), {})
    expect(sync.get().errorCode).toBe(0)
    world.pass(20_000)
    expect(world.describe().members.map((each) => each.memberId)).toEqual([a.get().memberId])
    expect(world.heartbeat(b.get())).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })
})

describe('rebalancing', () => {
  it('a newcomer calls the others in by their heartbeats', () => {
    const world = new GroupWorld()
    const [a] = world.stable({})
    expect(world.heartbeat(a!)).toBe(0)
    const b = world.join()
    expect(world.heartbeat(a!)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    const again = world.join({ memberId: a!.memberId })
    expect(again.get()).toMatchObject({ generationId: 2, leader: a!.memberId })
    expect(b.get().generationId).toBe(2)
    expect(world.heartbeat(a!)).toBe(ErrorCode.ILLEGAL_GENERATION)
  })

  it('goes on without those that do not come within the rebalance time-out', () => {
    const world = new GroupWorld()
    const [a] = world.stable({ sessionTimeoutMs: 300_000, rebalanceTimeoutMs: 30_000 })
    const b = world.join()
    world.pass(60_000)
    expect(b.get()).toMatchObject({ generationId: 2, leader: b.get().memberId })
    expect(world.heartbeat(a!)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  it('members that wait for the assignment are called back by a newcomer', () => {
    const world = new GroupWorld()
    const [a, b] = [world.join(), world.join()]
    world.pass(9_000)
    const sync = world.sync(b.get())
    world.join()
    expect(sync.get().errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    expect(world.heartbeat(a.get())).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  it('a lost answer is given again, without a rebalance', () => {
    const world = new GroupWorld()
    const [, b] = world.stable({}, {})
    const again = world.join({ memberId: b!.memberId }).get()
    expect(again).toMatchObject({ errorCode: 0, generationId: 1, members: [] })
    expect(world.describe().groupState).toBe('Stable')
  })

  it('new metadata, or the leader’s coming back, is a rebalance', () => {
    const world = new GroupWorld()
    const [a] = world.stable({})
    const again = world.join({ memberId: a!.memberId })
    expect(again.get().generationId).toBe(2)
  })

  it('a join that is asked twice answers both', () => {
    const world = new GroupWorld()
    const [a] = world.stable({}, {})
    const first = world.join({ memberId: a!.memberId })
    const second = world.join({ memberId: a!.memberId })
    expect(first.get().errorCode).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
    expect(second.isOpen).toBe(true)
  })

  it('a rebalance time-out of 0 drops the member at once', () => {
    const world = new GroupWorld()
    const a = world.join({ rebalanceTimeoutMs: 0 })
    world.pass(0)
    expect(a.get().errorCode).toBe(0)
    expect(world.heartbeat(a.get())).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })
})

describe('sessions', () => {
  it('a silent member is dropped after its session time-out, and the rest begin anew', () => {
    const world = new GroupWorld()
    const [a, b] = world.stable({}, {})
    for (let i = 0; i < 3; i++) {
      world.pass(4_000)
      world.heartbeat(a!)
    }
    expect(world.heartbeat(b!)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
    expect(world.describe().groupState).toBe('PreparingRebalance')
  })

  it('a member that waits in a join is not silent', () => {
    const world = new GroupWorld()
    const [a] = world.stable({ sessionTimeoutMs: 300_000 }, { sessionTimeoutMs: 300_000 })
    const again = world.join({ memberId: a!.memberId, sessionTimeoutMs: 6_000 })
    world.pass(50_000)
    expect(again.isOpen).toBe(true)
    world.pass(10_000)
    expect(again.get()).toMatchObject({ errorCode: 0, generationId: 2 })
  })

  it('a timer that fires late first gives the sockets a moment', () => {
    const world = new GroupWorld()
    const [a] = world.stable({})
    const timer = { kind: 'session', groupId: 'orders', memberId: a!.memberId } as const
    world.nowMs += 30_000
    world.step({ type: 'timer', timer, lateMs: 20_000 })
    expect(world.heartbeat(a!)).toBe(0)
    world.pass(9_000)
    expect(world.heartbeat(a!)).toBe(0)
    world.pass(10_000)
    expect(world.heartbeat(a!)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })

  it('the last member’s death leaves an empty group in the log', () => {
    const world = new GroupWorld()
    world.stable({})
    world.pass(10_000)
    expect(world.describe()).toMatchObject({ groupState: 'Empty', members: [] })
    expect(world.records.at(-1)).toMatchObject({ type: 'group', value: { generation: 2, members: [] } })
  })

  it('after a fail-over every member has a fresh session and its assignment', () => {
    const world = new GroupWorld()
    const [a, b] = world.stable({}, {})
    world.pass(8_000)
    world.failOver()
    world.pass(8_000)
    expect(world.heartbeat(a!)).toBe(0)
    expect(text(world.sync(b!).get().assignment)).toBe('part 1')
    world.pass(9_000)
    expect(world.heartbeat(a!)).toBe(0)
  })

  it('after a fail-over a join phase is forgotten: members of the last generation are known', () => {
    const world = new GroupWorld()
    const [a] = world.stable({})
    const b = world.join()
    world.failOver()
    expect(b.isOpen).toBe(true)
    expect(world.heartbeat(a!)).toBe(0)
    expect(world.describe()).toMatchObject({ groupState: 'Stable' })
  })
})

describe('leaving', () => {
  it('a leaver calls the others to a rebalance', () => {
    const world = new GroupWorld()
    const [a, b] = world.stable({}, {})
    const left = world.leave({ memberId: b!.memberId, groupInstanceId: null })
    expect(left.members.map((each) => each.errorCode)).toEqual([0])
    expect(world.heartbeat(a!)).toBe(ErrorCode.REBALANCE_IN_PROGRESS)
  })

  it('several leave at once, each with its own answer', () => {
    const world = new GroupWorld()
    const [a] = world.stable({}, { groupInstanceId: 'i' })
    const left = world.leave(
      { memberId: a!.memberId, groupInstanceId: null },
      { memberId: '', groupInstanceId: 'i' },
      { memberId: 'x', groupInstanceId: null },
      { memberId: '', groupInstanceId: 'nobody' },
    )
    const unknown = ErrorCode.UNKNOWN_MEMBER_ID
    expect(left.members.map((each) => each.errorCode)).toEqual([0, 0, unknown, unknown])
    expect(world.describe().groupState).toBe('Empty')
  })

  it('one that waits in a join hears that it is out', () => {
    const world = new GroupWorld()
    const [a] = world.stable({}, {})
    const again = world.join({ memberId: a!.memberId })
    world.leave({ memberId: a!.memberId, groupInstanceId: null })
    expect(again.get().errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
  })
})
