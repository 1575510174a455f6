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
  expect(waiters.remove(first)).toBe('a')
  expect(waiters.remove(first)).toBeNull()
  expect(waiters.takeUpTo(5)).toEqual(['b'])
  expect(waiters.size).toBe(0)
})

it('takes those whose offset will not come', () => {
  const waiters = new OffsetWaiters<string>()
  for (const offset of [3, 5, 7]) waiters.add(offset, `${offset}`)
  expect(waiters.takeAbove(3)).toEqual(['5', '7'])
  expect(waiters.takeAll()).toEqual(['3'])
})

it('lets go at once of what those held who gave up or are done', () => {
  const waiters = new OffsetWaiters<object>()
  const [gaveUp, reached, lost, waits] = [5, 3, 9, 7].map((offset) => waiters.add(offset, {}))
  waiters.remove(gaveUp!)
  waiters.takeUpTo(3)
  waiters.takeAbove(7)
  expect([gaveUp, reached, lost].map((waiter) => waiter!.value)).toEqual([null, null, null])
  expect(waits!.value).not.toBeNull()
})

/** How many entries it holds, and how many it has looked at to be rid of those who are done. */
function watched(waiters: OffsetWaiters<string>) {
  const queue = () => Reflect.get(waiters, 'queue') as readonly unknown[]
  let known = queue()
  let looks = 0
  return {
    get held() {
      return queue().length
    },
    get looks() {
      return looks
    },
    /** After each operation. */
    note(lengthBefore: number) {
      if (queue() !== known) looks += lengthBefore
      known = queue()
    },
  }
}

it('holds few of those who gave up, however long the watermark stands still, and at a constant price', () => {
  const waiters = new OffsetWaiters<string>()
  const watch = watched(waiters)
  waiters.add(0, 'waits')
  const gaveUp = 100_000
  let most = 0
  for (let i = 1; i <= gaveUp; i++) {
    const waiter = waiters.add(i, 'gives up')
    const before = watch.held
    waiters.remove(waiter)
    watch.note(before)
    most = Math.max(most, watch.held)
  }
  expect(most).toBeLessThanOrEqual(1024)
  expect(watch.looks).toBeLessThanOrEqual(2 * gaveUp)
  expect(waiters.takeAll()).toEqual(['waits'])
})

it('keeps those who wait in their order where others give up between them', () => {
  const waiters = new OffsetWaiters<string>()
  const watch = watched(waiters)
  const all = Array.from({ length: 10_000 }, (_, i) => waiters.add(i, `${i}`))
  for (const waiter of all) {
    if (waiter.offset % 4 === 0) continue
    const before = watch.held
    waiters.remove(waiter)
    watch.note(before)
    expect(watch.held).toBeLessThanOrEqual(Math.max(1024, 2 * waiters.size))
  }
  expect(watch.looks).toBeLessThanOrEqual(2 * all.length)
  expect(waiters.size).toBe(2_500)
  expect(waiters.takeUpTo(8)).toEqual(['0', '4', '8'])
  expect(waiters.takeAbove(9_990)).toEqual(['9992', '9996'])
  expect(waiters.size).toBe(2_495)
})

it('sorts in the duplicate of an early batch without looking at all that came after it', () => {
  const waiters = new OffsetWaiters<string>()
  let looks = 0
  const counted = (offset: number) => ({
    [Symbol.toPrimitive]: () => {
      looks += 1
      return offset
    },
  })
  const count = 1 << 15
  for (let i = 0; i < count; i++) waiters.add(counted(i) as unknown as number, `${i}`)
  looks = 0
  waiters.add(1, 'again')
  expect(looks).toBeLessThanOrEqual(17)
  expect(waiters.takeUpTo(2)).toEqual(['0', '1', 'again', '2'])
})
