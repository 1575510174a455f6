import { expect, it } from 'vitest'
import { Deadlines } from '../../../src/broker/partitions/deadlines.js'
import { SimWorldClock } from '../../sim/clock.js'

it('ends together what is due together, and no one who called it off', () => {
  const world = new SimWorldClock()
  const deadlines = new Deadlines(world.process('node').clock)
  const ended: string[] = []
  deadlines.add(95, () => ended.push('a'))
  const callOff = deadlines.add(96, () => ended.push('b'))
  deadlines.add(97, () => ended.push('c'))
  expect(deadlines.size).toBe(1)
  callOff()
  world.runFor(94)
  expect(ended).toEqual([])
  world.runFor(20)
  expect(ended).toEqual(['a', 'c'])
})

it('leaves no timer behind of requests that were answered long before their time-out', () => {
  const world = new SimWorldClock()
  const deadlines = new Deadlines(world.process('node').clock)
  for (let request = 0; request < 100; request++) {
    const callOff = deadlines.add(0x7fff_ffff, () => {})
    world.runFor(20)
    callOff()
    callOff()
  }
  expect(deadlines.size).toBe(0)
})
