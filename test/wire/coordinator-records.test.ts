import { describe, expect, it } from 'vitest'
import {
  ConsumerProtocolAssignment,
  ConsumerProtocolSubscription,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../src/wire/consumer-protocol.js'
import {
  decodeCoordinatorKey,
  decodeGroupMetadataValue,
  decodeOffsetCommitValue,
  encodeGroupMetadataKey,
  encodeGroupMetadataValue,
  encodeOffsetCommitKey,
  encodeOffsetCommitValue,
  GroupMetadataKey,
  GroupMetadataValue,
  OffsetCommitKey,
  OffsetCommitValue,
} from '../../src/wire/coordinator-records.js'
import { joinChunks, WireError } from '../../src/wire/primitives.js'
import type { Message } from '../../src/wire/schema.js'
import { fromHex, loadGolden, toJson } from './golden.js'

const layouts: { [name: string]: Message<unknown, never> } = {
  OffsetCommitKey,
  OffsetCommitValue,
  GroupMetadataKey,
  GroupMetadataValue,
  ConsumerProtocolSubscription,
  ConsumerProtocolAssignment,
}
const goldens = [...loadGolden('coordinator-records.json'), ...loadGolden('consumer-protocol.json')]

describe('against the bytes of Kafka itself', () => {
  it.each(goldens.map((golden, i) => ({ ...golden, i })))('$message v$version ($i)', (golden) => {
    const layout = layouts[golden.message]!
    // Kafka counts a key's layouts from 0; the number in front of a key, which names its kind, is ours.
    const version = golden.message === 'GroupMetadataKey' ? 2 : golden.version
    const value = layout.decode(fromHex(golden.hex), version)
    expect(toJson(value, golden.json)).toEqual(golden.json)
    expect(Buffer.from(joinChunks(layout.encode(version, value as never))).toString('hex')).toBe(golden.hex)
  })

  it('covers every version of every layout', () => {
    for (const [name, layout] of Object.entries(layouts)) {
      if (name.endsWith('Key')) continue
      for (let version = layout.versions.from; version <= layout.versions.to; version++) {
        expect(
          goldens.some((g) => g.message === name && g.version === version),
          `${name} v${version}`,
        ).toBe(true)
      }
    }
  })
})

describe('keys', () => {
  const offsetKey = { group: 'g', topic: 't', partition: 3 }

  it('name their kind in the first two bytes', () => {
    expect(Buffer.from(encodeOffsetCommitKey(offsetKey)).toString('hex')).toBe(
      '0001' + '000167' + '000174' + '00000003',
    )
    expect(Buffer.from(encodeGroupMetadataKey({ group: 'g' })).toString('hex')).toBe('0002' + '000167')
    expect(decodeCoordinatorKey(encodeOffsetCommitKey(offsetKey))).toEqual({
      kind: 'offset-commit',
      ...offsetKey,
    })
    expect(decodeCoordinatorKey(encodeGroupMetadataKey({ group: 'g' }))).toEqual({
      kind: 'group-metadata',
      group: 'g',
    })
  })

  it('are read in the oldest form too, and passed over where the kind is newer', () => {
    expect(decodeCoordinatorKey(fromHex('0000' + '000167' + '000174' + '00000003'))).toMatchObject(offsetKey)
    expect(decodeCoordinatorKey(fromHex('0003' + 'ffff'))).toEqual({ kind: 'unknown', type: 3 })
  })

  it('that are damaged throw', () => {
    expect(() => decodeCoordinatorKey(fromHex('00'))).toThrow(WireError)
    expect(() => decodeCoordinatorKey(fromHex('0001' + '0005'))).toThrow(WireError)
  })
})

describe('values', () => {
  it.each([0, 1, 2, 3, 4])('of an offset come back in v%i', (version) => {
    const value = { offset: 5, metadata: 'm', commitTimestamp: 9 }
    expect(decodeOffsetCommitValue(encodeOffsetCommitValue(value, version))).toMatchObject(value)
  })

  it('of a group come back', () => {
    const member = {
      memberId: 'm',
      clientId: 'c',
      clientHost: '/127.0.0.1',
      sessionTimeout: 1,
      subscription: Buffer.from('s'),
      assignment: Buffer.alloc(0),
    }
    const value = { protocolType: 'consumer', generation: 2, protocol: null, leader: null, members: [member] }
    const bytes = encodeGroupMetadataValue(value)
    expect(bytes[1]).toBe(3)
    expect(decodeGroupMetadataValue(bytes)).toMatchObject({
      ...value,
      members: [{ memberId: 'm', groupInstanceId: null }],
    })
  })

  it('that are newer than this code are refused', () => {
    expect(() => decodeOffsetCommitValue(fromHex('0005'))).toThrow(/version 5 is not known/)
  })
})

describe('the consumer protocol', () => {
  it.each([0, 1, 2, 3])('v%i comes back', (version) => {
    const subscription = { topics: ['a', 'b'], userData: null }
    expect(decodeSubscription(encodeSubscription(subscription, version))).toMatchObject(subscription)
    const assignment = {
      assignedPartitions: [{ topic: 'a', partitions: [0, 2] }],
      userData: Buffer.from([1]),
    }
    expect(decodeAssignment(encodeAssignment(assignment, version))).toMatchObject({
      assignedPartitions: assignment.assignedPartitions,
    })
  })

  it('of a newer version is read as far as it is known', () => {
    const newer = Buffer.concat([encodeSubscription({ topics: ['a'] }), Buffer.from('new fields')])
    newer.writeInt16BE(4, 0)
    expect(decodeSubscription(newer).topics).toEqual(['a'])
  })

  it('of another protocol is an error', () => {
    expect(() => decodeSubscription(Buffer.from('not a subscription'))).toThrow(WireError)
    expect(() => decodeSubscription(Buffer.alloc(0))).toThrow(WireError)
  })
})
