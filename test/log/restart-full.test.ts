import { describe, expect, it } from 'vitest'
import type { PartitionLog } from '../../src/log/partition-log.js'
import { DiskError, type DiskFile } from '../../src/ports/disk.js'
import { appendMany, Bench, batchAt, readAll, TOPIC_ID } from './support.js'

/** Of three segments, with a producer snapshot. */
function filled(): Bench {
  const bench = Bench.started()
  const log = bench.log()
  appendMany(log, 100)
  log.writeProducerSnapshot(90, new Uint8Array(100))
  bench.sync(log)
  return bench
}

/** The disk is full after so many changes of it. Returns how it gets room again. */
function fullAfter(bench: Bench, changes: number): () => void {
  const { disk } = bench
  const { open, rename, unlink } = disk
  let left = changes
  let isFull = true
  const change = (path: string): void => {
    if (isFull && left-- <= 0) throw new DiskError('ENOSPC', path, 'ENOSPC: no space left on device')
  }
  const watch = (file: DiskFile): DiskFile => {
    const { write, truncate } = file
    file.write = (position, chunks) => {
      change(file.path)
      write.call(file, position, chunks)
    }
    file.truncate = (size) => {
      change(file.path)
      truncate.call(file, size)
    }
    return file
  }
  disk.open = (path, options) => {
    if (options?.create === true && !disk.exists(path)) change(path)
    return watch(open.call(disk, path, options))
  }
  disk.rename = (from, to) => {
    change(from)
    rename.call(disk, from, to)
  }
  disk.unlink = (path) => {
    change(path)
    unlink.call(disk, path)
  }
  // It was opened before.
  const { file } = (bench.manager as unknown as { points: { file: DiskFile } }).points
  const { write } = file
  watch(file)
  return () => {
    isFull = false
    Object.assign(disk, { open, rename, unlink })
    file.write = write
  }
}

/** True: it began anew; false: it is as it was. Anything between fails. */
function restart(log: PartitionLog, offset: number): boolean {
  try {
    log.truncateFullyAndStartAt(offset)
  } catch (error) {
    expect((error as DiskError).code).toBe('ENOSPC')
    expect(log).toMatchObject({ logStartOffset: 0, logEndOffset: 100, sizeBytes: 100 * 101 })
    expect(log.durableEndOffset).toBe(100)
    expect(readAll(log).length).toBe(100 * 101)
    return false
  }
  expect(log).toMatchObject({ logStartOffset: offset, logEndOffset: offset, durableEndOffset: offset })
  expect([log.sizeBytes, log.latestEpoch]).toEqual([0, -1])
  return true
}

const STEPS = Array.from({ length: 14 }, (_, step) => step)

describe.each([40, 500])('a log that begins anew at %i on a full disk', (offset) => {
  it('does it wholly or not at all, at each step, and goes on when there is room', () => {
    const outcomes = STEPS.map((step) => {
      const bench = filled()
      const log = bench.log()
      const makeRoom = fullAfter(bench, step)
      const hasBegun = restart(log, offset)
      const ends: unknown[] = []
      if (hasBegun) log.sync((error, end) => ends.push(error ?? end))
      bench.world.runFor(5_000)
      expect(log.isClosed).toBe(false)
      makeRoom()
      bench.world.runFor(5_000)
      if (!hasBegun) expect(restart(log, offset)).toBe(true)
      else expect(ends).toEqual([offset])
      log.append([batchAt(offset, { epoch: 5 })])
      expect(bench.sync(log)).toBe(offset + 1)
      expect([bench.offline, bench.quarantined]).toEqual([null, []])
      bench.powerCut()
      expect(bench.start().quarantined).toEqual([])
      const again = bench.manager.get(TOPIC_ID, 0)!
      expect(again).toMatchObject({ logStartOffset: offset, logEndOffset: offset + 1, latestEpoch: 5 })
      expect(readAll(again).length).toBe(101)
      expect(bench.disk.list('orders-0').filter((name) => name.endsWith('.log'))).toHaveLength(1)
      return hasBegun
    })
    expect(new Set(outcomes)).toEqual(new Set([false, true]))
  })

  it.each(['kill', 'powerCut'] as const)('is found at one of both by the start after a %s', (end) => {
    for (const step of STEPS) {
      const bench = filled()
      const makeRoom = fullAfter(bench, step)
      const hasBegun = restart(bench.log(), offset)
      if (hasBegun) bench.log().sync(() => {})
      bench.world.runFor(100)
      bench[end]()
      makeRoom()
      expect(bench.start().quarantined).toEqual([])
      const again = bench.manager.get(TOPIC_ID, 0)!
      if (hasBegun) expect(again.logStartOffset).toBe(offset)
      else expect(again).toMatchObject({ logStartOffset: 0, logEndOffset: 100 })
      again.append([batchAt(again.logEndOffset)])
      bench.sync(again)
    }
  })
})

it('a log that waits for room to begin anew refuses what needs its files, and nothing else', () => {
  const bench = filled()
  const log = bench.log()
  const makeRoom = fullAfter(bench, 3)
  log.truncateFullyAndStartAt(500)
  expect(() => log.append([batchAt(500)])).toThrow(/ENOSPC/)
  expect(() => log.truncateFullyAndStartAt(600)).toThrow(/ENOSPC/)
  expect(log.read(500, 500, 1000, true).byteLength).toBe(0)
  expect(() => log.flushIndexes()).not.toThrow()
  expect(() => bench.manager.maintain()).not.toThrow()
  makeRoom()
  bench.world.runFor(2_000) // somebody looks whether there is room
  log.append([batchAt(500)])
  expect(log.logEndOffset).toBe(501)
})

it('a sync of the new start that fails takes the directory offline, and is not repeated', () => {
  const bench = filled()
  const { disk } = bench
  disk.syncNow = () => {
    throw new DiskError('ENOSPC', 'recovery-points', 'ENOSPC: fsync')
  }
  expect(() => bench.log().truncateFullyAndStartAt(500)).toThrow(/ENOSPC/)
  expect(bench.log().logEndOffset).toBe(100)
  bench.world.runFor(100)
  expect(bench.offline).not.toBeNull()
})
