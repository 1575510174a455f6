import { describe, expect, it } from 'vitest'
import type { PartitionLog } from '../../src/log/partition-log.js'
import { DiskError, type DiskErrorCode, type DiskFile, type SyncTarget } from '../../src/ports/disk.js'
import { appendMany, Bench, batchAt, TOPIC_ID } from './support.js'

/** From now on nothing can be removed. */
function failUnlink(bench: Bench, code: DiskErrorCode): () => void {
  const { disk } = bench
  const unlink = disk.unlink.bind(disk)
  disk.unlink = (path) => {
    throw new DiskError(code, path, `${code}: unlink ${path}`)
  }
  return () => {
    disk.unlink = unlink
  }
}

/** Of several segments, all synced. */
function filled(bench: Bench): PartitionLog {
  const log = bench.log()
  appendMany(log, 100)
  bench.sync(log)
  return log
}

const filesOf = (bench: Bench, suffix: string): string[] =>
  [...bench.disk.list('orders-0')].filter((name) => name.endsWith(suffix))

describe('files that cannot be removed', () => {
  it('a log that could not begin anew takes nothing more, and the others go on', () => {
    const bench = Bench.started()
    const log = filled(bench)
    const heal = failUnlink(bench, 'EOTHER')
    expect(() => log.truncateFullyAndStartAt(500)).toThrow(DiskError)
    heal()
    expect(log.isClosed).toBe(true)
    expect(() => log.append([batchAt(500)])).toThrow(DiskError)
    expect(() => log.read(0, 1, 1000, true)).toThrow(DiskError)
    expect(bench.offline).toBeNull()
    bench.log(1).append([batchAt(0)])
  })

  it.each([
    ['EOTHER', false],
    ['EIO', true],
  ] as const)('segments past their retention, with %s: the node hears of it only where the disk is broken', (code, isOffline) => {
    const bench = Bench.started()
    const log = filled(bench)
    log.advanceLogStartOffset(100)
    const left = filesOf(bench, '.deleted').length
    expect(left).toBeGreaterThan(2)
    const heal = failUnlink(bench, code)
    bench.world.runFor(61_000)
    heal()
    expect(bench.offline !== null).toBe(isOffline)
    expect(filesOf(bench, '.deleted')).toHaveLength(left)
    bench.kill()
    expect(bench.start().quarantined).toEqual([])
    expect(filesOf(bench, '.deleted')).toEqual([])
  })
})

it('the file of the recovery points stays open until a sync of it that is under way has ended', () => {
  const bench = Bench.started()
  const { disk } = bench
  const open = new Set<DiskFile>()
  const opening = disk.open.bind(disk)
  disk.open = (path, options) => {
    const file = opening(path, options)
    if (path !== 'recovery-points') return file
    open.add(file)
    const close = file.close.bind(file)
    file.close = () => {
      open.delete(file)
      close()
    }
    return file
  }
  bench.kill()
  bench.start()
  const sync = disk.sync.bind(disk)
  let syncs = 0
  disk.sync = (targets: readonly SyncTarget[], done) => {
    const points = targets.filter((target): target is DiskFile => open.has(target as DiskFile))
    syncs += points.length
    sync(targets, (error) => {
      for (const file of points) expect(open).toContain(file)
      done(error)
    })
  }
  filled(bench)
  // The deletion has it synced, and the stop comes before that has ended.
  bench.manager.delete(TOPIC_ID, 0)
  expect(syncs).toBeGreaterThan(0)
  bench.manager.close(() => {})
  bench.world.runFor(1000)
  expect(bench.offline).toBeNull()
  expect([...open]).toEqual([])
})

it('an append that could not be noted is taken back whole: nothing of it stands behind the next one', () => {
  const bench = Bench.started(1, { segmentBytes: 100_000 })
  const log = bench.log()
  // The next batch is due for an index entry, for which those before it must be written out first.
  const count = 195
  appendMany(log, count)
  bench.sync(log)
  const open = bench.disk.open.bind(bench.disk)
  bench.disk.open = (path, options) => {
    if (path.endsWith('.index')) throw new DiskError('EMFILE', path, 'EMFILE: too many open files')
    return open(path, options)
  }
  const batches = [0, 1, 2].map((i) => batchAt(count + i, { epoch: 4 }))
  expect(() => log.append(batches)).toThrow(/EMFILE/)
  bench.disk.open = open
  expect(log).toMatchObject({ logEndOffset: count, latestEpoch: 0, sizeBytes: count * 101 })
  expect(bench.fileBytes('orders-0/00000000000000000000.log').length).toBe(count * 101)
  log.append([batchAt(count, { payload: new Uint8Array(10) })])
  bench.sync(log)
  bench.kill()
  expect(bench.start().quarantined).toEqual([])
  expect(bench.log().logEndOffset).toBe(count + 1)
})
