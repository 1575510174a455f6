import { expect, it } from 'vitest'
import { SimWorldClock } from './clock.js'
import { SimStore } from './store.js'

it('flips a bit of a value that was put as a Node buffer, once and in the store alone', () => {
  const world = new SimWorldClock()
  const store = new SimStore(world)
  store.attach(world.process('node'))
  const key = Buffer.from('key')
  const value = Buffer.from([1, 2, 3])
  store.batch([{ type: 'put', key, value }], () => {})
  world.runFor(10)
  store.flipBit(key, 1, 4)
  let read: Uint8Array | undefined
  store.scan({ gte: Buffer.from('a'), lt: Buffer.from('z') }, (_error, entries) => {
    read = entries[0]!.value
  })
  world.runFor(10)
  expect([...read!]).toEqual([1, 18, 3])
  expect([...value]).toEqual([1, 2, 3])
})
