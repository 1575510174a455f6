import { expect, it } from 'vitest'
import { OffsetWaiters } from '../../src/partition/offset-waiters.js'

it('lets go in the order of the offsets, and only those that are reached', () => {
  const waiters = new OffsetWaiters<string>()
  waiters.add(5, 'a')
  waiters.add(9, 'c')
  waiters.add(7, 'b')
  expect(waiters.takeUpTo(7)).toEqual(['a', 'b'])
  expect(waiters.size).toBe(1)
  expect(waiters.takeUpTo(8)).toEqual([])
  expect(waiters.takeAll()).toEqual(['c'])
})

it('passes over who gave up', () => {
  const waiters = new OffsetWaiters<string>()
  const first = waiters.add(5, 'a')
  waiters.add(5, 'b')
  expect(waiters.remove(first)).toBe(true)
  expect(waiters.remove(first)).toBe(false)
  expect(waiters.takeUpTo(5)).toEqual(['b'])
  expect(waiters.size).toBe(0)
})

it('takes those whose offset will not come', () => {
  const waiters = new OffsetWaiters<string>()
  for (const offset of [3, 5, 7]) waiters.add(offset, `${offset}`)
  expect(waiters.takeAbove(3)).toEqual(['5', '7'])
  expect(waiters.takeAll()).toEqual(['3'])
})
