import { describe, expect, it } from 'vitest'
import { DiskError, type SyncTarget } from '../../src/ports/disk.js'
import { appendMany, Bench, TOPIC_ID } from './support.js'

const LOGS = 150

function withLogs(): Bench {
  const bench = Bench.started()
  for (let partition = 0; partition < LOGS; partition++) {
    appendMany(bench.log(partition), 20)
    bench.log(partition).flushIndexes()
    bench.sync(bench.log(partition))
  }
  return bench
}

function deleteAll(bench: Bench): void {
  for (let partition = 0; partition < LOGS; partition++) bench.manager.delete(TOPIC_ID, partition)
}

/** How many files and empty directories went in one turn at most, and in all. */
function watchRemovals(bench: Bench): { inTurn: number; total: number } {
  const { disk, world } = bench
  const seen = { inTurn: 0, total: 0 }
  let turn = -1
  let count = 0
  const note = (): void => {
    if (world.eventCount !== turn) count = 0
    turn = world.eventCount
    seen.inTurn = Math.max(seen.inTurn, ++count)
    seen.total++
  }
  const unlink = disk.unlink.bind(disk)
  disk.unlink = (path) => {
    note()
    unlink(path)
  }
  const removeTree = disk.removeTree.bind(disk)
  disk.removeTree = (path) => {
    expect(disk.list(path)).toEqual([])
    note()
    removeTree(path)
  }
  return seen
}

const aside = (bench: Bench): string[] => bench.disk.list('').filter((name) => name.endsWith('-delete/'))

describe('the deletion of many logs', () => {
  it('has one sync of their slots and directory under way', () => {
    const bench = withLogs()
    const { disk } = bench
    const sync = disk.sync.bind(disk)
    let underWay = 0
    let most = 0
    let all = 0
    disk.sync = (targets: readonly SyncTarget[], done) => {
      if (!targets.some((target) => 'directory' in target && target.directory === '')) {
        sync(targets, done)
        return
      }
      all++
      most = Math.max(most, ++underWay)
      sync(targets, (error) => {
        underWay--
        done(error)
      })
    }
    deleteAll(bench)
    bench.world.runFor(1_000)
    expect([most, all]).toEqual([1, 2])
    bench.powerCut()
    bench.start()
    expect(bench.result).toMatchObject({ logs: [], quarantined: [] })
  })

  it('removes their files a few in a turn', () => {
    const bench = withLogs()
    const removed = watchRemovals(bench)
    deleteAll(bench)
    bench.world.runFor(59_000)
    expect(removed.total).toBe(0)
    expect(aside(bench)).toHaveLength(LOGS)
    bench.world.runFor(2_000)
    expect(aside(bench)).toEqual([])
    expect(removed.total).toBeGreaterThan(5 * LOGS)
    expect(removed.inTurn).toBe(100)
  })

  it('looks at the clock after each file', () => {
    const bench = withLogs()
    const removed = watchRemovals(bench)
    let nowMs = 0
    bench.process.clock.monotonicMs = () => nowMs
    const unlink = bench.disk.unlink
    bench.disk.unlink = (path) => {
      unlink(path)
      nowMs += 2
    }
    deleteAll(bench)
    bench.world.runFor(120_000)
    expect(aside(bench)).toEqual([])
    // The lists of the directories come first, and cost nothing here.
    expect(removed.inTurn).toBeLessThanOrEqual(6)
  })

  it('leaves to the next start what a stop or a kill finds undone', () => {
    for (const end of ['stop', 'kill'] as const) {
      const bench = withLogs()
      deleteAll(bench)
      bench.world.runFor(60_005)
      expect(aside(bench).length).toBeGreaterThan(0)
      const removed = watchRemovals(bench)
      bench[end]()
      bench.world.runFor(60_000)
      expect(removed.total).toBe(0)
      delete (bench.disk as { removeTree?: unknown }).removeTree
      bench.start()
      expect(aside(bench)).toEqual([])
    }
  })

  it('goes on behind a file that cannot be removed', () => {
    const bench = withLogs()
    const unlink = bench.disk.unlink.bind(bench.disk)
    let refused = 0
    bench.disk.unlink = (path) => {
      if (refused++ === 0) throw new DiskError('EACCES', path, 'EACCES: permission denied')
      unlink(path)
    }
    deleteAll(bench)
    bench.world.runFor(120_000)
    expect(aside(bench)).toEqual([])
    expect(bench.offline).toBeNull()
  })
})

describe('segments that retention takes', () => {
  it('go a few in a turn, however many there are', () => {
    const bench = Bench.started(1, { segmentBytes: 250 })
    const log = bench.log()
    appendMany(log, 600)
    bench.sync(log)
    const removed = watchRemovals(bench)
    // Points are synced each second.
    bench.world.runFor(500)
    log.advanceLogStartOffset(log.logEndOffset)
    bench.world.runFor(59_995)
    // Another log's point is not synced yet: all segments wait for one sync.
    appendMany(bench.log(1), 1)
    bench.sync(bench.log(1))
    expect(removed.total).toBe(0)
    bench.world.runFor(2_000)
    expect(removed.total).toBeGreaterThan(290)
    expect(removed.inTurn).toBeLessThanOrEqual(100)
    expect(bench.disk.list('orders-0').filter((name) => name.endsWith('.deleted'))).toEqual([])
  })

  it('are not looked for where another topic of the name has come', () => {
    const bench = Bench.started(1, { segmentBytes: 250 })
    const { disk, world } = bench
    const log = bench.log()
    appendMany(log, 600)
    bench.sync(log)
    log.advanceLogStartOffset(log.logEndOffset)
    const gone = (): number => 598 - disk.list('orders-0').filter((name) => name.endsWith('.deleted')).length
    const before = gone()
    expect(world.runUntilTrue(() => gone() > before, 70_000)).toBe(true)
    // Some are left in the queue when the log is deleted, and its namesake has such a segment at once.
    bench.manager.delete(TOPIC_ID, 0)
    const other = bench.manager.getOrCreate({
      topic: 'orders',
      topicId: 'QUJDREVGR0hJSktMTU5PUQ',
      partition: 0,
      config: bench.config,
    })
    appendMany(other, 600)
    other.advanceLogStartOffset(600)
    const names = disk.list('orders-0')
    world.runFor(10_000)
    expect(disk.list('orders-0').filter((name) => name.endsWith('.deleted'))).toEqual(
      names.filter((name) => name.endsWith('.deleted')),
    )
  })
})
