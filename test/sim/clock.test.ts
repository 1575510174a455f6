import { describe, expect, it } from 'vitest'
import { SimWorldClock } from './clock.js'
import { copyOf } from './peers.js'
import { TraceHash } from './trace.js'

describe('the clock of a simulated world', () => {
  it('runs events by their time, and those of one time in the order in which they were asked for', () => {
    const world = new SimWorldClock()
    const ran: string[] = []
    const note = (name: string) => () => {
      ran.push(name)
    }
    world.schedule(null, 1, () => {
      ran.push('first at 1')
      world.schedule(null, 0, note('due at once'))
      world.schedule(null, 0.5, note('at 1.5'))
    })
    world.schedule(null, 1, note('second at 1'))
    world.schedule(null, 0, note('at 0'))
    const cancelled = world.schedule(null, 0.1, note('cancelled'))
    cancelled.cancel()
    world.runFor(2)
    expect(ran).toEqual(['at 0', 'first at 1', 'second at 1', 'due at once', 'at 1.5'])
    expect(world.eventCount).toBe(5)
    expect(world.nowMs).toBe(2)
  })

  it('makes what an event brings to a process an event of that process', () => {
    const world = new SimWorldClock()
    const process = world.process('p')
    const owners: unknown[] = []
    world.afterEvent = (event) => owners.push(event.owner)
    let inputs = 0
    const bring = (): void => process.input(() => inputs++)
    world.schedule(null, 1, bring)
    world.runFor(1)
    expect([inputs, owners]).toEqual([1, [process]])

    process.pause()
    world.schedule(null, 1, bring)
    world.runFor(5)
    expect(inputs).toBe(1)
    process.resume()
    world.runFor(0)
    expect(inputs).toBe(2)

    process.kill()
    world.schedule(null, 1, bring)
    world.runFor(5)
    expect(inputs).toBe(2)
  })

  it('keeps a process busy for what its events cost, and what comes meanwhile waits in its order', () => {
    const world = new SimWorldClock()
    const process = world.process('p')
    process.costMs = 4
    const ran: string[] = []
    const note = (name: string) => () => {
      ran.push(`${name} at ${world.nowMs}`)
    }
    process.schedule(0, note('first'))
    process.schedule(1, note('second'))
    process.schedule(2, note('cancelled')).cancel()
    world.schedule(null, 2, () => process.input(note('input')))
    process.schedule(20, note('last'))
    world.runFor(30)
    expect(ran).toEqual(['first at 0', 'second at 4', 'input at 8', 'last at 20'])
    expect(process.busyMs).toBe(16)

    process.schedule(0, note('before the pause'))
    process.schedule(0, note('behind it'))
    world.runFor(1)
    process.pause()
    world.runFor(10)
    expect(ran.slice(4)).toEqual(['before the pause at 30'])
    process.resume()
    world.runFor(1)
    expect(ran.slice(5)).toEqual(['behind it at 41'])

    process.schedule(0, note('never'))
    process.kill()
    world.runFor(10)
    expect(ran).toHaveLength(6)
  })

  it('gives one event to one process only', () => {
    const world = new SimWorldClock()
    const [a, b] = [world.process('a'), world.process('b')]
    world.schedule(null, 1, () => {
      a.input(() => {})
      b.input(() => {})
    })
    expect(() => world.runFor(2)).toThrow('one process')
  })
})

describe('a message between nodes', () => {
  it('arrives as a copy that shares nothing with what was sent', () => {
    const sent = {
      type: 'x',
      none: undefined,
      list: [{ bytes: Buffer.from('abc') }],
      map: new Map([[1, 'one']]),
      big: 1n,
    }
    const copy = copyOf(sent)
    expect(copy).toEqual({ ...sent, list: [{ bytes: new Uint8Array([97, 98, 99]) }] })
    sent.list[0]!.bytes[0] = 0
    sent.list.push({ bytes: Buffer.alloc(0) })
    sent.map.set(2, 'two')
    expect(copy.list).toEqual([{ bytes: new Uint8Array([97, 98, 99]) }])
    expect(copy.map.size).toBe(1)
  })
})

describe('the hash of a trace', () => {
  const hashOf = (fill: (hash: TraceHash) => void): string => {
    const hash = new TraceHash()
    fill(hash)
    return hash.toString()
  }

  it('is the same for the same history, and another for any other', () => {
    const histories: ((hash: TraceHash) => void)[] = [
      () => {},
      (hash) => hash.event(1, 0),
      (hash) => hash.event(1, 1),
      (hash) => hash.event(1.0000000000000002, 1),
      (hash) => hash.add('ab'),
      (hash) => hash.add('ba'),
      (hash) => {
        hash.add('a')
        hash.add('b')
      },
      (hash) => hash.add('ab', [new Uint8Array([1, 2, 3, 4, 5])]),
      (hash) => hash.add('ab', [new Uint8Array([1, 2, 3, 4, 6])]),
      (hash) => hash.add('ab', [new Uint8Array([1, 2]), new Uint8Array([3, 4, 5])]),
    ]
    const hashes = histories.map(hashOf)
    expect(histories.map(hashOf)).toEqual(hashes)
    expect(new Set(hashes).size).toBe(histories.length)
    for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{16}$/)
  })
})
