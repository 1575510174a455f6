import { describe, expect, it } from 'vitest'
import { type EpochEnd, FollowerState, truncationOffset } from '../../src/partition/follower-state.js'

/** Epochs with their start offsets, and the log's end. */
class EpochLog {
  readonly logStartOffset = 0
  constructor(
    private epochs: [epoch: number, start: number][],
    public logEndOffset: number,
  ) {}
  get latestEpoch(): number {
    return this.epochs.at(-1)?.[0] ?? -1
  }
  endOffsetForEpoch(asked: number): EpochEnd {
    const at = this.epochs.findLastIndex(([epoch]) => epoch <= asked)
    if (at < 0) return { epoch: -1, endOffset: -1 }
    return { epoch: this.epochs[at]![0], endOffset: this.epochs[at + 1]?.[1] ?? this.logEndOffset }
  }
  truncateTo(offset: number): void {
    this.logEndOffset = Math.min(offset, this.logEndOffset)
    this.epochs = this.epochs.filter(([, start]) => start < offset)
  }
}

/** What a follower and its leader say to each other until they agree (KIP-279). Returns the offsets that were cut to. */
function reconcile(follower: EpochLog, leader: EpochLog): number[] {
  const cuts: number[] = []
  for (let round = 0; round < 20; round++) {
    if (follower.latestEpoch < 0) return cuts
    const end = leader.endOffsetForEpoch(follower.latestEpoch)
    if (end.epoch === follower.latestEpoch && end.endOffset >= follower.logEndOffset) return cuts
    const offset = truncationOffset(follower, end)
    follower.truncateTo(offset)
    cuts.push(offset)
  }
  throw new Error('they do not come to agree')
}

describe('truncation', () => {
  it('cuts what an old leader wrote alone (KIP-101)', () => {
    const follower = new EpochLog([[1, 0]], 12)
    const leader = new EpochLog(
      [
        [1, 0],
        [2, 10],
      ],
      15,
    )
    expect(reconcile(follower, leader)).toEqual([10])
  })

  it('cuts by epoch and not by the high watermark: nothing is cut where the logs agree', () => {
    const follower = new EpochLog([[1, 0]], 10)
    expect(
      reconcile(
        follower,
        new EpochLog(
          [
            [1, 0],
            [2, 10],
          ],
          10,
        ),
      ),
    ).toEqual([])
  })

  it('iterates across fast leader changes (KIP-279)', () => {
    // Both led in turn without the other: epochs 2 and 4 here, 3 and 5 there.
    const follower = new EpochLog(
      [
        [1, 0],
        [2, 10],
        [4, 14],
      ],
      20,
    )
    const leader = new EpochLog(
      [
        [1, 0],
        [3, 12],
        [5, 16],
      ],
      18,
    )
    const cuts = reconcile(follower, leader)
    expect(cuts.at(-1)).toBe(10)
    expect(follower.latestEpoch).toBe(1)
  })

  it('cuts everything where the leader knows none of its epochs', () => {
    const follower = new EpochLog([[3, 0]], 10)
    expect(reconcile(follower, new EpochLog([[5, 0]], 0))).toEqual([0])
  })
})

describe('a follower’s high watermark', () => {
  const start = { leaderEpoch: 3, highWatermark: 5 }

  it('follows the leader’s, up to its own log end', () => {
    const state = new FollowerState(start)
    state.onFetched(10, 12, 20)
    expect(state.highWatermark).toBe(12)
  })

  it('covers no suffix that this epoch’s leader has not confirmed', () => {
    const state = new FollowerState(start)
    expect(state.isReconciled).toBe(false)
    expect(state.highWatermark).toBe(5)
    state.onTruncated(8)
    expect(state.highWatermark).toBe(5)
    state.onFetched(8, 8, 30)
    expect(state.highWatermark).toBe(8)
  })

  it('is cut together with the log, before it may move again (KAFKA-14704)', () => {
    const state = new FollowerState({ leaderEpoch: 3, highWatermark: 10 })
    state.onTruncated(7)
    expect(state.highWatermark).toBe(7)
  })

  it('does not go back when an answer carries an older one', () => {
    const state = new FollowerState(start)
    state.onFetched(10, 10, 10)
    expect(state.onFetched(10, 10, 6)).toBe(false)
    expect(state.highWatermark).toBe(10)
  })
})
