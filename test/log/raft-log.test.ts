import { beforeEach, describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/lib/prng.js'
import {
  RaftLog,
  type RaftLogContents,
  type RaftLogOpening,
  type RaftLogWrite,
} from '../../src/log/raft-log.js'
import { entryKey } from '../../src/log/raft-log-codec.js'
import { PIECE_BYTES } from '../../src/log/snapshot-pieces.js'
import type { Entry, Snapshot } from '../../src/raft/types.js'
import { type SimProcess, SimWorldClock } from '../sim/clock.js'
import { SimDisk } from '../sim/disk.js'
import { SimStore } from '../sim/store.js'

const CONFIGURATION = { voters: [{ nodeId: 1, directoryId: 'd1' }] }

function first(): Entry {
  return { type: 'configuration', term: 1, index: 1, configuration: CONFIGURATION, clusterId: 'cluster' }
}

function data(index: number, term = 1, text = `v${index}`): Entry {
  return { type: 'data', term, index, payload: Buffer.from(text) }
}

function snapshot(index: number, bytes = 10): Snapshot {
  return {
    index,
    term: 1,
    configuration: CONFIGURATION,
    clusterId: 'cluster',
    data: Buffer.alloc(bytes, index),
  }
}

let world: SimWorldClock
let process: SimProcess
let disk: SimDisk
let store: SimStore
let fatal: Error[]

beforeEach(() => {
  world = new SimWorldClock()
  disk = new SimDisk(world)
  store = new SimStore(world)
  fatal = []
  boot()
})

function boot(): void {
  process = world.process('node')
  disk.attach(process)
  store.attach(process)
}

function open(): RaftLogOpening {
  let opening: RaftLogOpening | undefined
  const options = { store, disk, directory: 'raft', clock: process.clock, fatal: (e: Error) => fatal.push(e) }
  RaftLog.open(options, (result) => {
    opening = result
  })
  world.runUntilTrue(() => opening !== undefined, 1000)
  return opening!
}

function openWell(): { log: RaftLog; contents: RaftLogContents } {
  const opening = open()
  if (opening.type !== 'open') throw new Error(`it did not open: ${JSON.stringify(opening)}`)
  return opening
}

function write(log: RaftLog, ...writes: RaftLogWrite[]): void {
  let left = writes.length
  for (const each of writes) log.write(each, () => left--)
  expect(left, 'never called from within').toBe(writes.length)
  expect(world.runUntilTrue(() => left === 0, 1000)).toBe(true)
}

/** The process dies, the page cache stays; then it starts anew. */
function crash(): void {
  process.kill()
  disk.crash()
  store.crash()
  boot()
}

function powerCut(seed = 1): void {
  process.kill()
  const random = new SeededRandom(seed)
  disk.powerCut(random)
  store.powerCut(random)
  boot()
}

describe('the Raft log', () => {
  it('starts empty, and reads back what was written', () => {
    const { log, contents } = openWell()
    expect(contents).toEqual({ hardState: { term: 0 }, snapshot: undefined, entries: [] })
    const vote = { nodeId: 2, directoryId: 'd2' }
    write(log, { hardState: { term: 1, vote }, entries: [first(), data(2)] })
    write(log, { entries: [{ type: 'noOp', term: 1, index: 3 }, data(4)] })
    powerCut()
    const again = openWell().contents
    expect(again.hardState).toEqual({ term: 1, vote })
    const written: Entry[] = [first(), data(2), { type: 'noOp', term: 1, index: 3 }, data(4)]
    expect(again.entries.map(plain)).toEqual(written.map(plain))
  })

  it('truncates and appends in one batch', () => {
    const { log } = openWell()
    write(log, { hardState: { term: 1 }, entries: [first(), data(2), data(3), data(4)] })
    world.runFor(10)
    const batches = store.batchCount
    write(log, { hardState: { term: 2 }, truncateFrom: 3, entries: [data(3, 2, 'new')] })
    expect(store.batchCount).toBe(batches + 1)
    powerCut()
    expect(openWell().contents.entries.map((entry) => entry.term)).toEqual([1, 1, 2])
  })

  it('gathers what comes while a batch is in flight', () => {
    const { log } = openWell()
    const before = store.batchCount
    let done = 0
    log.write({ hardState: { term: 1 }, entries: [first()] }, () => done++)
    world.runFor(0.5)
    for (let i = 2; i <= 50; i++) log.write({ entries: [data(i)] }, () => done++)
    world.runUntilTrue(() => done === 50, 1000)
    expect(done).toBe(50)
    expect(store.batchCount - before).toBe(2)
  })

  it('keeps a snapshot of several chunks and a tail, and installs one whole', () => {
    const { log } = openWell()
    write(log, { hardState: { term: 1 }, entries: [first(), data(2), data(3), data(4), data(5)] })
    const big = snapshot(4, 3_000_000)
    write(log, { save: { snapshot: big, compactTo: 2 } })
    // The superfluous entries go behind it.
    world.runFor(10)
    powerCut()
    let { contents } = openWell()
    expect(contents.snapshot?.index).toBe(4)
    expect(Buffer.compare(contents.snapshot!.data, big.data)).toBe(0)
    expect(contents.entries.map((entry) => entry.index)).toEqual([3, 4, 5])
    const again = openWell()
    write(again.log, { install: snapshot(9) }, { entries: [data(10)] })
    powerCut()
    contents = openWell().contents
    expect(contents.snapshot?.index).toBe(9)
    expect(contents.entries.map((entry) => entry.index)).toEqual([10])
  })

  it('writes a snapshot beside the appends, a bounded piece at a time', () => {
    const { log } = openWell()
    write(log, { hardState: { term: 1 }, entries: [first(), data(2)] })
    const sizes: number[] = []
    store.failBatch = (operations) => {
      sizes.push(operations.reduce((sum, each) => sum + (each.type === 'put' ? each.value.length : 0), 0))
      return null
    }
    const order: string[] = []
    log.write({ save: { snapshot: snapshot(2, 3_000_000), compactTo: 1 } }, () => order.push('snapshot'))
    let last = 2
    const append = (): void => {
      const index = ++last
      log.write({ entries: [data(index)] }, () => {
        order.push(`entry ${index}`)
        if (index < 8) append()
      })
    }
    append()
    world.runUntilTrue(() => order.includes('snapshot'), 1000)
    expect(order).toEqual(['entry 3', 'entry 4', 'entry 5', 'entry 6', 'entry 7', 'entry 8', 'snapshot'])
    expect(Math.max(...sizes)).toBeLessThan(PIECE_BYTES + 1000)
    powerCut()
    const { contents } = openWell()
    expect(contents.snapshot?.data.length).toBe(3_000_000)
    expect(contents.entries.at(-1)?.index).toBe(8)
  })

  it('deletes superfluous entries in bounded batches', () => {
    const { log } = openWell()
    const entries = Array.from({ length: 5000 }, (_, i) => (i === 0 ? first() : data(i + 1)))
    write(log, { hardState: { term: 1 }, entries })
    const sizes: number[] = []
    store.failBatch = (operations) => {
      sizes.push(operations.length)
      return null
    }
    write(log, { save: { snapshot: snapshot(5000), compactTo: 4990 } })
    world.runFor(50)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1002)
    powerCut()
    expect(openWell().contents.entries.map((entry) => entry.index)).toEqual(
      Array.from({ length: 10 }, (_, i) => 4991 + i),
    )
  })

  it('forgets the pieces of a snapshot that a crash cut off, also where another one of that index follows', () => {
    const { log } = openWell()
    write(log, { hardState: { term: 1 }, entries: [first(), data(2), data(3)] })
    write(log, { save: { snapshot: snapshot(2, 1000), compactTo: 0 } })
    log.write({ save: { snapshot: snapshot(3, 3_000_000), compactTo: 1 } }, () => {})
    world.runFor(6)
    powerCut()
    const again = openWell()
    expect(again.contents.snapshot?.index).toBe(2)
    write(again.log, { save: { snapshot: snapshot(3, 10), compactTo: 1 } })
    world.runFor(10)
    powerCut()
    expect(openWell().contents.snapshot?.data.length).toBe(10)
    expect([...store.durableEntries().keys()].filter((key) => key.startsWith('c')).length).toBe(1)
  })

  it('lets a newer snapshot, its own or a leader’s, take the place of one that is being written', () => {
    const { log } = openWell()
    write(log, { hardState: { term: 1 }, entries: [first(), data(2), data(3)] })
    const done: string[] = []
    log.write({ save: { snapshot: snapshot(2, 3_000_000), compactTo: 1 } }, () => done.push('two'))
    world.runFor(3)
    log.write({ save: { snapshot: snapshot(3, 2_000_000), compactTo: 1 } }, () => done.push('three'))
    world.runFor(3)
    expect(done).toEqual(['two'])
    log.write({ install: snapshot(9, 1_000_000) }, () => done.push('nine'))
    log.write({ hardState: { term: 2 }, entries: [data(10, 2)] }, () => done.push('entry'))
    world.runUntilTrue(() => done.length === 4, 1000)
    expect(done).toEqual(['two', 'three', 'nine', 'entry'])
    powerCut()
    const { contents } = openWell()
    expect(contents.snapshot?.index).toBe(9)
    expect(contents.entries.map((entry) => entry.index)).toEqual([10])
    expect([...store.durableEntries().keys()].filter((key) => key.startsWith('c')).length).toBe(4)
  })

  it.each([
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ])('survives a power cut at any moment of a snapshot, seed %i', (seed) => {
    const random = new SeededRandom(seed)
    let { log } = openWell()
    write(log, { hardState: { term: 1 }, entries: [first()] })
    let last = 1
    let saved = 0
    for (let round = 0; round < 40; round++) {
      const dice = random.uint32() % 10
      if (dice < 6) log.write({ entries: [data(++last)] }, () => {})
      else if (dice < 8) {
        const of = snapshot(last, 1 + (random.uint32() % 900_000))
        log.write({ save: { snapshot: of, compactTo: Math.max(0, last - 3) } }, () => {
          saved = Math.max(saved, of.index)
        })
      } else if (dice < 9) {
        last += 5
        const of = snapshot(last, 1 + (random.uint32() % 900_000))
        log.write({ install: of }, () => {
          saved = Math.max(saved, of.index)
        })
      }
      world.runFor(random.uint32() % 6)
      if (random.uint32() % 8 !== 0) continue
      powerCut(random.uint32())
      const { contents, log: next } = openWell()
      log = next
      expect(contents.snapshot?.index ?? 0).toBeGreaterThanOrEqual(saved)
      last = contents.entries.at(-1)?.index ?? contents.snapshot!.index
      const { snapshot: found } = contents
      if (found !== undefined) expect(found.data.every((byte) => byte === found.index % 256)).toBe(true)
    }
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])('survives a power cut at any moment, seed %i', (seed) => {
    const random = new SeededRandom(seed)
    let { log } = openWell()
    write(log, { hardState: { term: 1 }, entries: [first()] })
    let durable = 1
    let last = 1
    let term = 1
    // What was truncated before it was durable proves nothing any more.
    let truncations = 0
    for (let round = 0; round < 30; round++) {
      const isNewTerm = random.uint32() % 4 === 0
      if (isNewTerm) term++
      const truncateFrom = isNewTerm && last > durable ? durable + 1 : undefined
      if (truncateFrom !== undefined) {
        last = truncateFrom - 1
        truncations++
      }
      last++
      const at = last
      const epoch = truncations
      log.write(
        { ...(isNewTerm ? { hardState: { term } } : {}), truncateFrom, entries: [data(at, term)] },
        () => {
          if (truncations === epoch) durable = Math.max(durable, at)
        },
      )
      world.runFor(random.uint32() % 4)
      if (random.uint32() % 8 === 0) {
        powerCut(random.uint32())
        const opening = openWell()
        log = opening.log
        const found = opening.contents.entries
        expect(found.length).toBeGreaterThanOrEqual(durable)
        last = durable = found.length
        term = Math.max(opening.contents.hardState.term, term)
        write(log, { hardState: { term } })
      }
    }
    expect(fatal).toEqual([])
  })
})

describe('damage is quarantined, never repaired', () => {
  function reason(): string {
    const opening = open()
    return opening.type === 'quarantined' ? opening.reason : `not quarantined but ${opening.type}`
  }

  beforeEach(() => {
    const { log } = openWell()
    write(log, {
      hardState: { term: 1, vote: { nodeId: 1, directoryId: 'd1' } },
      entries: [first(), data(2)],
    })
    write(log, { entries: [data(3)] })
    write(log, { save: { snapshot: snapshot(2), compactTo: 1 } })
    write(log, { entries: [data(4)] })
    world.runFor(100)
    crash()
  })

  it('opens where nothing is wrong', () => {
    expect(openWell().contents.entries).toHaveLength(3)
  })

  it('a flipped bit in an entry', () => {
    store.flipBit(entryKey(3), 12)
    expect(reason()).toBe('entry 3 is damaged: its CRC-32C does not match')
  })

  it('a store that lost its last batch in silence', () => {
    store.loseSuffix(1)
    expect(reason()).toBe('the log ends at 3, but entries up to 4 were written')
  })

  it('a lost vote', () => {
    const { log } = openWell()
    write(log, { hardState: { term: 2, vote: { nodeId: 1, directoryId: 'd1' } } })
    write(log, { hardState: { term: 3 } })
    world.runFor(100)
    crash()
    store.loseSuffix(1)
    expect(reason()).toBe('the store knows term 2, but term 3 was entered')
  })

  it('a vote that was lost within its term', () => {
    const { log } = openWell()
    write(log, { hardState: { term: 2 } })
    write(log, { hardState: { term: 2, vote: { nodeId: 3, directoryId: 'd3' } } })
    world.runFor(100)
    crash()
    store.loseSuffix(1)
    expect(reason()).toBe('the store lost the vote for node 3 in term 2')
  })

  it('a gap', () => {
    let done = false
    store.batch([{ type: 'del', key: entryKey(3) }], () => {
      done = true
    })
    world.runUntilTrue(() => done, 1000)
    expect(reason()).toBe('entry 3 is missing')
  })

  it('an empty store beside the slots', () => {
    store.wipe()
    expect(reason()).toMatch(/the log ends at 0/)
  })

  it('missing slots', () => {
    disk.removeTree('raft')
    expect(reason()).toBe('the vote slots are missing')
  })

  it('two damaged slots; one alone is what a torn write leaves', () => {
    disk.flipBit('raft/vote-0', 10)
    expect(open().type).toBe('open')
    crash()
    disk.flipBit('raft/vote-1', 10)
    expect(reason()).toMatch(/no vote slot can be read/)
  })

  it('a failed batch or slot sync stops everything, and nothing is tried again', () => {
    const { log } = openWell()
    store.failBatch = () => new Error('EIO')
    let done = 0
    log.write({ entries: [data(5)] }, () => done++)
    world.runFor(100)
    log.write({ entries: [data(6)] }, () => done++)
    world.runFor(100)
    expect(fatal.map((error) => error.message)).toEqual(['EIO'])
    expect(done).toBe(0)
    store.failBatch = null
    crash()
    fatal.length = 0
    const again = openWell()
    disk.faults.failSync = () => true
    const syncs = disk.syncCount
    again.log.write({ hardState: { term: 7 } }, () => done++)
    world.runFor(100)
    expect(fatal).toHaveLength(1)
    expect(done).toBe(0)
    expect(disk.syncCount - syncs).toBeLessThanOrEqual(1)
  })

  it('a slot that cannot be written when its turn comes stops everything too', () => {
    const { log } = openWell()
    disk.faults.syncLatencyMs = () => 20
    let done = 0
    log.write({ entries: [data(5)] }, () => done++)
    world.runFor(10)
    // The bound of the entry is being synced; term and vote wait behind it.
    log.write({ hardState: { term: 7 } }, () => done++)
    world.runFor(10)
    disk.faults.failAccess = (path, operation) => operation === 'write' && path.includes('vote-')
    world.runFor(100)
    expect(fatal).toHaveLength(1)
    expect(done).toBe(1)
  })
})

function plain(entry: Entry): unknown {
  return entry.type === 'data' ? { ...entry, payload: Buffer.from(entry.payload).toString() } : entry
}
