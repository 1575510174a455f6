import { expect, it } from 'vitest'
import { BrokerMetadataCache } from '../../src/broker/metadata-cache.js'
import type { MetadataRecord } from '../../src/metadata/records.js'
import { SimWorldClock } from '../sim/clock.js'

const topic = (name: string, topicId: string): MetadataRecord => ({ type: 'topicRecord', name, topicId })

it('holds nothing of a snapshot that came by half when another one takes its place', () => {
  const cache = new BrokerMetadataCache(new SimWorldClock().process('node').clock)
  cache.beginSnapshot()
  cache.applySnapshotPart([topic('deleted', 'AAAAAAAAAAAAAAAAAAAAAA')])
  cache.beginSnapshot()
  cache.applySnapshot([topic('kept', 'BBBBBBBBBBBBBBBBBBBBBB')], 9)
  expect([...cache.image.topicsByName.keys()]).toEqual(['kept'])
  cache.beginSnapshot()
  cache.applySnapshotPart([topic('first', 'CCCCCCCCCCCCCCCCCCCCCC')])
  cache.applySnapshot([topic('second', 'DDDDDDDDDDDDDDDDDDDDDD')], 12)
  expect([...cache.image.topicsByName.keys()]).toEqual(['first', 'second'])
})
