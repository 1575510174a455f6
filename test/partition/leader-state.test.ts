import { describe, expect, it } from 'vitest'
import { maximalIsr } from '../../src/partition/isr.js'
import { type LeaderStart, LeaderState } from '../../src/partition/leader-state.js'

/** Node 1 leads epoch 5 of replicas 1, 2, 3; its log ends at 10. All brokers are live under epoch 100 + id. */
function lead(overrides: Partial<LeaderStart> = {}) {
  const fenced = new Set<number>()
  const state = new LeaderState({
    nodeId: 1,
    leaderEpoch: 5,
    partitionEpoch: 7,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    epochStartOffset: 10,
    highWatermark: 10,
    minIsr: () => 2,
    lagTimeMaxMs: 10_000,
    eligibility: (id) => ({ epoch: 100 + id, fenced: fenced.has(id), inControlledShutdown: false }),
    nowMs: 0,
    ...overrides,
  })
  const fetch = (id: number, offset: number, nowMs = 0, brokerEpoch = 100 + id) =>
    state.onReplicaFetch(id, { offset, logStartOffset: 0, brokerEpoch }, nowMs)
  return { state, fetch, fenced }
}

describe('the high watermark', () => {
  it('waits for the leader’s own fsync and for every member of the ISR', () => {
    const { state, fetch } = lead()
    state.onLocalProgress(20, 10, 0)
    fetch(2, 20)
    fetch(3, 20)
    expect(state.highWatermark).toBe(10)
    expect(state.onLocalProgress(20, 20, 0)).toBe(true)
    expect(state.highWatermark).toBe(20)
  })

  it('does not move with fewer than the minimum in the committed ISR (KIP-966)', () => {
    const { state, fetch } = lead({ isr: [1] })
    state.onLocalProgress(20, 20, 0)
    fetch(2, 20)
    expect(state.highWatermark).toBe(10)
    const proposal = state.propose(0)!
    expect(proposal.newIsr).toEqual([1, 2])
    expect(state.onTick(0)).toBe(false)
    state.onProposalResult(proposal, { type: 'accepted', isr: [1, 2], leaderEpoch: 5, partitionEpoch: 8 }, 0)
    expect(state.highWatermark).toBe(20)
  })

  it('never goes back, whatever a follower fetches', () => {
    const { state, fetch } = lead()
    state.onLocalProgress(20, 20, 0)
    fetch(2, 20)
    fetch(3, 15)
    expect(state.highWatermark).toBe(15)
    fetch(3, 11)
    expect(state.highWatermark).toBe(15)
  })

  it('does not count a follower that has not fetched in this epoch', () => {
    const { state, fetch } = lead({ isr: [1, 2] })
    state.onLocalProgress(20, 20, 0)
    expect(state.highWatermark).toBe(10)
    fetch(2, 20)
    expect(state.highWatermark).toBe(20)
  })

  it('waits for a replica that is about to join, and not for one that is fenced', () => {
    const { state, fetch, fenced } = lead({ isr: [1, 2] })
    fetch(3, 10, 0)
    state.onLocalProgress(20, 20, 1)
    fetch(2, 20, 1)
    expect(state.highWatermark).toBe(10)
    fenced.add(3)
    expect(state.onTick(2)).toBe(true)
    expect(state.highWatermark).toBe(20)
  })

  it('is current once it has reached the start of the epoch', () => {
    const { state, fetch } = lead({ highWatermark: 4 })
    expect(state.isHighWatermarkCurrent).toBe(false)
    state.onLocalProgress(10, 10, 0)
    fetch(2, 10)
    fetch(3, 10)
    expect(state.isHighWatermarkCurrent).toBe(true)
  })

  it('ignores a request that a former incarnation left behind (KIP-903)', () => {
    const { state, fetch } = lead({ isr: [1, 2] })
    state.onLocalProgress(20, 20, 0)
    fetch(2, 12, 0, 102)
    expect(fetch(2, 20, 0, 55)).toBe(false)
    expect(state.highWatermark).toBe(12)
  })
})

describe('the ISR', () => {
  it('takes a replica at the high watermark and the epoch’s start, also while nothing is written (KIP-497)', () => {
    const { state, fetch } = lead({ isr: [1, 2] })
    fetch(3, 9)
    expect(state.propose(0)).toBeNull()
    fetch(3, 10)
    expect(state.propose(0)).toEqual({ leaderEpoch: 5, partitionEpoch: 7, newIsr: [1, 2, 3] })
    expect(state.isr.type).toBe('pendingExpand')
  })

  it('takes all that are there in one change', () => {
    const { state, fetch } = lead({ isr: [1] })
    expect(state.wantsProposal(0)).toBe(false)
    fetch(2, 10)
    fetch(3, 10)
    expect(state.wantsProposal(0)).toBe(true)
    expect(state.propose(0)?.newIsr).toEqual([1, 2, 3])
    expect(maximalIsr(state.isr)).toEqual([1, 2, 3])
    expect(state.wantsProposal(0)).toBe(false)
  })

  it.each([
    ['is fenced', { epoch: 103, fenced: true, inControlledShutdown: false }],
    ['is shutting down', { epoch: 103, fenced: false, inControlledShutdown: true }],
    [
      'has another epoch than the one that fetched',
      { epoch: 999, fenced: false, inControlledShutdown: false },
    ],
    ['is not registered', undefined],
  ])('does not take a broker that %s (KIP-841, KIP-903)', (_, broker) => {
    const { state, fetch } = lead({
      isr: [1, 2],
      eligibility: (id) =>
        id === 3 ? broker : { epoch: 100 + id, fenced: false, inControlledShutdown: false },
    })
    fetch(3, 10)
    expect(state.propose(0)).toBeNull()
  })

  it('goes by the minimum of the moment: a shrink that was asked for under an older one moves nothing', () => {
    let minIsr = 1
    const { state, fetch, fenced } = lead({ isr: [1, 2], replicas: [1, 2], minIsr: () => minIsr })
    state.onLocalProgress(20, 20, 0)
    fetch(2, 10)
    fenced.add(2)
    const proposal = state.propose(1)!
    expect(proposal.newIsr).toEqual([1])
    minIsr = 2
    const accepted = { type: 'accepted', isr: [1], leaderEpoch: 5, partitionEpoch: 8 } as const
    expect(state.onProposalResult(proposal, accepted, 2)).toBe(false)
    expect(state.highWatermark).toBe(10)
    expect(state.hasEnoughInSync).toBe(false)
  })

  it('leaves who joined at the high watermark the full lag time to reach the end of the log', () => {
    const { state, fetch, fenced } = lead({ isr: [1] })
    fenced.add(3)
    state.onLocalProgress(1_000_000, 1_000_000, 1)
    fetch(2, 10, 100_000)
    const joined = state.propose(100_000)!
    expect(joined.newIsr).toEqual([1, 2])
    const accepted = { type: 'accepted', isr: [1, 2], leaderEpoch: 5, partitionEpoch: 8 } as const
    state.onProposalResult(joined, accepted, 100_002)
    fetch(2, 1_010, 100_005)
    expect(state.propose(100_005)).toBeNull()
    fetch(2, 2_010, 110_002)
    expect(state.propose(110_002)).toBeNull()
    expect(state.propose(110_003)?.newIsr).toEqual([1])
  })

  it('drops a fenced follower at once', () => {
    const { state, fenced } = lead()
    fenced.add(3)
    expect(state.propose(1)?.newIsr).toEqual([1, 2])
  })

  it('drops a follower that is behind for longer than the lag time', () => {
    const { state, fetch } = lead()
    state.onLocalProgress(20, 20, 0)
    fetch(2, 20, 9_000)
    fetch(3, 12, 9_000)
    expect(state.propose(10_000)).toBeNull()
    expect(state.propose(10_001)?.newIsr).toEqual([1, 2])
  })

  it('keeps a follower that is always one step behind a busy leader', () => {
    const { state, fetch } = lead({ isr: [1, 2], replicas: [1, 2] })
    for (let second = 1; second <= 30; second++) {
      state.onLocalProgress(10 + second, 10 + second, second * 1_000)
      fetch(2, 10 + second - 1, second * 1_000)
    }
    expect(state.propose(30_000)).toBeNull()
  })

  it('asks one thing at a time', () => {
    const { state, fenced } = lead()
    fenced.add(3)
    expect(state.propose(1)).not.toBeNull()
    fenced.add(2)
    expect(state.propose(1)).toBeNull()
  })
})

describe('a pending change', () => {
  it('counts the maximal ISR until the controller has answered', () => {
    const { state, fetch } = lead({ isr: [1, 2] })
    fetch(3, 10)
    state.propose(0)
    expect(maximalIsr(state.isr)).toEqual([1, 2, 3])
    state.onLocalProgress(20, 20, 60_000)
    fetch(2, 20, 60_000)
    expect(state.highWatermark).toBe(10)
  })

  it('counts a removed replica until the removal is committed', () => {
    const { state, fetch, fenced } = lead()
    state.onLocalProgress(20, 20, 0)
    fetch(2, 20)
    fenced.add(3)
    const proposal = state.propose(0)!
    expect(state.onTick(0)).toBe(false)
    const accepted = { type: 'accepted', isr: [1, 2], leaderEpoch: 5, partitionEpoch: 8 } as const
    expect(state.onProposalResult(proposal, accepted, 0)).toBe(true)
    expect(state.highWatermark).toBe(20)
  })

  it('is settled by the image as well, and the late answer changes nothing', () => {
    const { state, fenced } = lead()
    fenced.add(3)
    const proposal = state.propose(0)!
    state.onImage({ isr: [1, 2], replicas: [1, 2, 3], partitionEpoch: 8 }, 0)
    expect(state.isr).toEqual({ type: 'committed', isr: [1, 2] })
    state.onProposalResult(proposal, { type: 'accepted', isr: [1, 2], leaderEpoch: 5, partitionEpoch: 8 }, 0)
    expect(state.isr).toEqual({ type: 'committed', isr: [1, 2] })
    expect(state.partitionEpoch).toBe(8)
  })

  it('goes back after a plain refusal', () => {
    const { state, fetch } = lead({ isr: [1, 2] })
    fetch(3, 10)
    state.onProposalResult(state.propose(0)!, { type: 'rejected' }, 0)
    expect(state.isr).toEqual({ type: 'committed', isr: [1, 2] })
    expect(state.propose(1)).toBeNull()
    expect(state.propose(60)).not.toBeNull()
  })

  it('stays where an earlier attempt may have happened, though the next one is refused', () => {
    const { state, fetch } = lead({ isr: [1, 2] })
    fetch(3, 10)
    state.onProposalResult(state.propose(0)!, { type: 'retry' }, 0)
    state.onProposalResult(state.propose(1_000)!, { type: 'rejected' }, 1_000)
    expect(state.isr.type).toBe('pendingExpand')
  })

  it('takes a repeated success of the same epoch for what it is (KAFKA-14144)', () => {
    const { state, fetch } = lead({ isr: [1, 2] })
    fetch(3, 10)
    const proposal = state.propose(0)!
    state.onProposalResult(
      proposal,
      { type: 'accepted', isr: [1, 2, 3], leaderEpoch: 5, partitionEpoch: 7 },
      0,
    )
    expect(state.isr).toEqual({ type: 'committed', isr: [1, 2, 3] })
  })
})

it('counts no time against a follower in which the leader itself stood still, and never more than that', () => {
  const { state, fetch } = lead()
  state.onLocalProgress(20, 20, 0)
  fetch(2, 20, 1_000)
  fetch(2, 20, 13_000)
  state.onStall(12_000, 13_000)
  expect(state.replica(2)!.lastCaughtUpMs).toBe(13_000)
  expect(state.propose(13_000)).toBeNull()
  // The other one never fetched: its time goes on.
  expect(state.propose(22_001)!.newIsr).toEqual([1, 2])
})
