import { describe, expect, it } from 'vitest'
import { EpochCache } from '../../src/log/epoch-cache.js'
import {
  checkMetaProperties,
  MetaPropertiesError,
  readMetaProperties,
  writeMetaProperties,
} from '../../src/log/meta-properties.js'
import { Bench, TOPIC_ID } from './support.js'

function cacheOf(...entries: [number, number][]): EpochCache {
  const cache = new EpochCache()
  cache.load(entries.map(([epoch, startOffset]) => ({ epoch, startOffset })))
  return cache
}

const pairs = (cache: EpochCache): [number, number][] => cache.all.map((e) => [e.epoch, e.startOffset])

describe('EpochCache (KIP-279)', () => {
  it('answers with the largest epoch at or below, and where it ends', () => {
    const cache = cacheOf([2, 10], [4, 20], [7, 35])
    expect(cache.endOffsetFor(7, 50)).toEqual({ epoch: 7, endOffset: 50 })
    expect(cache.endOffsetFor(4, 50)).toEqual({ epoch: 4, endOffset: 35 })
    expect(cache.endOffsetFor(5, 50)).toEqual({ epoch: 4, endOffset: 35 })
    expect(cache.endOffsetFor(2, 50)).toEqual({ epoch: 2, endOffset: 20 })
    expect(cache.endOffsetFor(1, 50)).toEqual({ epoch: 1, endOffset: 10 })
    expect(cache.endOffsetFor(8, 50)).toEqual({ epoch: -1, endOffset: -1 })
    expect(new EpochCache().endOffsetFor(3, 0)).toEqual({ epoch: -1, endOffset: -1 })
  })

  it('lets the newest assignment win', () => {
    const cache = cacheOf([2, 10], [4, 20])
    cache.assign(4, 30)
    expect(pairs(cache)).toEqual([
      [2, 10],
      [4, 20],
    ])
    cache.assign(5, 20)
    expect(pairs(cache)).toEqual([
      [2, 10],
      [5, 20],
    ])
    cache.assign(3, 40)
    expect(pairs(cache)).toEqual([
      [2, 10],
      [3, 40],
    ])
  })

  it('is trimmed from both ends', () => {
    const cache = cacheOf([2, 10], [4, 20], [7, 35])
    cache.truncateFromEnd(36)
    expect(cache.latest).toBe(7)
    cache.truncateFromEnd(35)
    expect(cache.latest).toBe(4)
    cache.truncateFromStart(25)
    expect(pairs(cache)).toEqual([[4, 25]])
    cache.truncateFromStart(5)
    expect(pairs(cache)).toEqual([[4, 25]])
    expect(cache.epochFor(24)).toBe(-1)
    expect(cache.epochFor(25)).toBe(4)
  })
})

describe('meta.properties', () => {
  it('is written and read, and names what is wrong', () => {
    const bench = Bench.started()
    expect(readMetaProperties(bench.disk)).toBeNull()
    const fresh = { nodeId: 3, clusterId: undefined, directoryId: TOPIC_ID, raftDirectoryId: TOPIC_ID }
    writeMetaProperties(bench.disk, fresh)
    expect(readMetaProperties(bench.disk)).toEqual(fresh)
    // The vote was lost, the replicas were not.
    const meta = { ...fresh, clusterId: 'abc', raftDirectoryId: 'AAAAAAAAAAAAAAAAAAAAAQ' }
    writeMetaProperties(bench.disk, meta)
    bench.powerCut()
    expect(readMetaProperties(bench.disk)).toEqual(meta)
    expect(() => checkMetaProperties(meta, { nodeId: 4 })).toThrow(/belongs to node 3/)
    expect(() => checkMetaProperties(meta, { nodeId: 3, clusterId: 'xyz' })).toThrow(/belongs to cluster abc/)
    checkMetaProperties(meta, { nodeId: 3, clusterId: 'abc' })
  })

  it.each([
    ['with its checksum', ''],
    ['of a release that wrote none', '# crc32c'],
  ])('no flipped bit makes another identity of it: %s', (_what, cutAt) => {
    const bench = Bench.started()
    const raftDirectoryId = 'AAAAAAAAAAAAAAAAAAAAAQ'
    const meta = { nodeId: 3, clusterId: 'abc', directoryId: TOPIC_ID, raftDirectoryId }
    writeMetaProperties(bench.disk, meta)
    const file = bench.disk.open('meta.properties')
    const whole = Buffer.from(file.read(0, file.size()))
    const bytes = cutAt === '' ? whole : whole.subarray(0, whole.indexOf(cutAt))
    file.truncate(bytes.length)
    expect(readMetaProperties(bench.disk)).toEqual(meta)
    const isValue = (i: number) => i > bytes.indexOf('=', bytes.lastIndexOf('\n', i - 1))
    for (let i = 0; i < bytes.length; i++) {
      // Without a checksum nothing tells one value from another.
      if (cutAt !== '' && isValue(i)) continue
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Buffer.from(bytes)
        damaged[i]! ^= 1 << bit
        file.write(0, [damaged])
        let read: unknown = meta
        try {
          read = readMetaProperties(bench.disk)
        } catch (error) {
          expect(error).toBeInstanceOf(MetaPropertiesError)
        }
        expect(read, `bit ${bit} of byte ${i}`).toEqual(meta)
      }
    }
  })
})
