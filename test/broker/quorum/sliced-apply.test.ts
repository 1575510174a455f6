import { expect, it } from 'vitest'
import { SlicedApply } from '../../../src/broker/quorum/sliced-apply.js'
import type { Entry } from '../../../src/raft/types.js'

class Turns {
  private waiting: (() => void)[] = []

  after(_delayMs: number, input: () => void) {
    this.waiting.push(input)
    return { cancel: () => void (this.waiting = this.waiting.filter((other) => other !== input)) }
  }

  /** False: nothing was due. */
  next(): boolean {
    const due = this.waiting.shift()
    due?.()
    return due !== undefined
  }
}

const data = (index: number, bytes: number): Entry => ({
  type: 'data',
  term: 1,
  index,
  payload: new Uint8Array(bytes),
})
const noOp = (index: number): Entry => ({ type: 'noOp', term: 1, index })

function sliced() {
  const turns = new Turns()
  const slices: number[][] = []
  const apply = new SlicedApply(turns, (entries) => slices.push(entries.map((entry) => entry.index)))
  return { turns, slices, apply }
}

it('applies a few entries at once', () => {
  const { turns, slices, apply } = sliced()
  apply.add([noOp(1), data(2, 100), data(3, 100)])
  apply.add([data(4, 100)])
  expect(slices).toEqual([[1, 2, 3], [4]])
  expect(turns.next()).toBe(false)
})

it('goes through many in turns, in their order, whatever comes meanwhile', () => {
  const { turns, slices, apply } = sliced()
  apply.add([data(1, 40_000), data(2, 20_000), data(3, 40_000), data(4, 200_000), data(5, 10)])
  expect(slices).toEqual([[1, 2]])
  apply.add([noOp(6)])
  expect(slices).toEqual([[1, 2]])
  while (turns.next());
  expect(slices).toEqual([[1, 2], [3], [4], [5, 6]])
  apply.add([noOp(7)])
  expect(slices.at(-1)).toEqual([7])
})

it('reads a snapshot in turns, in place of what waits, and then what came after it', () => {
  const { turns, slices, apply } = sliced()
  apply.add([data(1, 60_000), data(2, 60_000)])
  const read: string[] = []
  const restoring = (parts: readonly string[]) => ({
    parts,
    onBegin: () => read.push('begin'),
    onPart: (part: string) => read.push(part),
    onDone: (last: string | undefined) => read.push(`last ${last}`),
  })
  apply.restore(restoring(['a', 'b', 'c']))
  apply.add([data(8, 10)])
  expect(read).toEqual(['begin', 'a'])
  turns.next()
  // Another one comes: nothing of the first is read any more.
  apply.restore(restoring(['d', 'e']))
  apply.add([data(9, 10)])
  while (turns.next());
  expect(read).toEqual(['begin', 'a', 'b', 'begin', 'd', 'last e'])
  expect(slices).toEqual([[1], [9]])
  // Also one of a single part, or of none, leaves nothing of what was read by half before it.
  apply.restore(restoring(['f', 'g']))
  apply.restore(restoring(['h']))
  expect(read.slice(6)).toEqual(['begin', 'f', 'begin', 'last h'])
  expect(turns.next()).toBe(false)
  apply.restore(restoring([]))
  expect(read.slice(10)).toEqual(['begin', 'last undefined'])
})

it('keeps the order where applying brings more', () => {
  const turns = new Turns()
  const applied: number[] = []
  const apply: SlicedApply = new SlicedApply(turns, (entries) => {
    if (entries[0]!.index === 1) apply.add([noOp(3)])
    for (const { index } of entries) applied.push(index)
  })
  apply.add([noOp(1), noOp(2)])
  while (turns.next());
  expect(applied).toEqual([1, 2, 3])
})

it('forgets what waits where a snapshot takes its place', () => {
  const { turns, slices, apply } = sliced()
  apply.add([data(1, 60_000), data(2, 60_000)])
  apply.clear()
  expect(turns.next()).toBe(false)
  apply.add([noOp(9)])
  expect(slices).toEqual([[1], [9]])
})
