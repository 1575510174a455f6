import { describe, expect, it } from 'vitest'
import { decodeProducerSnapshot, encodeProducerSnapshot } from '../../src/partition/producer-snapshot.js'
import { lastSequenceOf, nextSequence, ProducerState } from '../../src/partition/producer-state.js'
import { crc32c } from '../../src/wire/crc32c.js'
import { ErrorCode } from '../../src/wire/errors.js'

const LAST = 2 ** 31 - 1

function table(limits = { maxProducers: 100, expirationMs: 1_000 }) {
  const state = new ProducerState(limits)
  let nextOffset = 0
  const send = (baseSequence: number, count = 1, producerEpoch = 0, producerId = 7) => {
    const lastSequence = lastSequenceOf(baseSequence, count - 1)
    const check = state.check({ producerId, producerEpoch, baseSequence, lastSequence })
    if (check.type === 'ok') {
      const batch = { baseSequence, lastSequence, baseOffset: nextOffset, lastOffset: nextOffset + count - 1 }
      nextOffset += count
      state.record({ producerId, producerEpoch, timestampMs: 5, ...batch }, 0)
    }
    return check
  }
  return { state, send }
}

describe('idempotence', () => {
  it('appends sequences in order and refuses a gap', () => {
    const { send } = table()
    expect(send(0, 3).type).toBe('ok')
    expect(send(3, 2).type).toBe('ok')
    expect(send(6)).toMatchObject({ type: 'error', errorCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER })
    expect(send(5).type).toBe('ok')
  })

  it('answers a repeated batch with its first offset', () => {
    const { send } = table()
    send(0, 3)
    send(3, 2)
    expect(send(0, 3)).toMatchObject({ type: 'duplicate', batch: { baseOffset: 0, lastOffset: 2 } })
    expect(send(3, 2)).toMatchObject({ type: 'duplicate', batch: { baseOffset: 3 } })
  })

  it('remembers five batches', () => {
    const { send } = table()
    for (let sequence = 0; sequence < 6; sequence++) send(sequence)
    expect(send(1).type).toBe('duplicate')
    expect(send(0)).toMatchObject({ errorCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER })
  })

  it('wraps after 2³¹−1, also inside a batch', () => {
    const { send } = table()
    expect(nextSequence(LAST)).toBe(0)
    expect(send(LAST - 1, 4).type).toBe('ok')
    expect(send(2).type).toBe('ok')
    expect(send(LAST - 1, 4).type).toBe('duplicate')
  })

  it('fences an older epoch, and lets a newer one begin at 0 only', () => {
    const { send } = table()
    send(0, 1, 3)
    expect(send(1, 1, 2)).toMatchObject({ errorCode: ErrorCode.INVALID_PRODUCER_EPOCH })
    expect(send(1, 1, 4)).toMatchObject({ errorCode: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER })
    expect(send(0, 1, 4).type).toBe('ok')
  })

  it('lets an unknown producer begin anywhere', () => {
    expect(table().send(41).type).toBe('ok')
  })

  it('forgets a silent producer after the expiration, not before', () => {
    const { state, send } = table()
    send(0)
    state.expire(999)
    expect(state.size).toBe(1)
    state.expire(1_000)
    expect(state.size).toBe(0)
  })

  it('keeps a bounded number, the most recently used', () => {
    const { state, send } = table({ maxProducers: 2, expirationMs: 1_000 })
    send(0, 1, 0, 1)
    send(0, 1, 0, 2)
    send(1, 1, 0, 1)
    send(0, 1, 0, 3)
    expect([...state.all()].map(([id]) => id)).toEqual([1, 3])
  })
})

describe('a snapshot', () => {
  const restored = (bytes: Uint8Array) => {
    const { state } = table()
    return { state, isSound: decodeProducerSnapshot(bytes, state, 0) }
  }

  it('has the layout of Kafka’s version 1', () => {
    const { state, send } = table()
    send(0, 3)
    const bytes = Buffer.from(encodeProducerSnapshot(state, 100))
    expect(bytes.length).toBe(2 + 4 + 4 + 46)
    expect(bytes.readInt16BE(0)).toBe(1)
    expect(bytes.readInt32BE(6)).toBe(1)
    expect(bytes.readBigInt64BE(10)).toBe(7n)
    expect(bytes.readInt32BE(20)).toBe(2)
    expect(bytes.readBigInt64BE(24)).toBe(2n)
    expect(bytes.readInt32BE(32)).toBe(2)
  })

  it('recognises the last batch again', () => {
    const { state, send } = table()
    send(LAST - 1, 4)
    const copy = restored(encodeProducerSnapshot(state, 100))
    expect(copy.isSound).toBe(true)
    const again = { producerId: 7, producerEpoch: 0, baseSequence: LAST - 1, lastSequence: 1 }
    expect(copy.state.check(again)).toMatchObject({
      type: 'duplicate',
      batch: { baseOffset: 0, lastOffset: 3 },
    })
  })

  it('recognises each of the five batches in flight again, of every producer', () => {
    const { state, send } = table()
    for (let i = 0; i < 6; i++) send(2 * i, 2)
    send(0, 1, 0, 8)
    const copy = restored(encodeProducerSnapshot(state, 100))
    expect(copy.isSound).toBe(true)
    expect([...copy.state.all()]).toEqual([...state.all()])
    const again = { producerId: 7, producerEpoch: 0, baseSequence: 2, lastSequence: 3 }
    expect(copy.state.check(again)).toMatchObject({ type: 'duplicate', batch: { baseOffset: 2 } })
  })

  it('is refused where its end is missing or goes on', () => {
    const { state, send } = table()
    send(0)
    send(1)
    const bytes = encodeProducerSnapshot(state, 100)
    for (const changed of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)])]) {
      const whole = Buffer.from(changed)
      whole.writeUInt32BE(crc32c(whole.subarray(6)), 2)
      expect(restored(whole).isSound).toBe(false)
    }
  })

  it('leaves out what lies at or past its offset, which may still be cut off', () => {
    const { state, send } = table()
    send(0)
    send(1)
    const copy = restored(encodeProducerSnapshot(state, 1)).state
    expect(copy.check({ producerId: 7, producerEpoch: 0, baseSequence: 1, lastSequence: 1 }).type).toBe('ok')
  })

  it('is refused whole where a bit is wrong', () => {
    const { state, send } = table()
    send(0)
    const bytes = encodeProducerSnapshot(state, 100)
    bytes[20]! ^= 1
    const copy = restored(bytes)
    expect(copy.isSound).toBe(false)
    expect(copy.state.size).toBe(0)
  })

  it('does not count a batch twice when the log is read again from before it', () => {
    const { state, send } = table()
    send(0)
    const copy = restored(encodeProducerSnapshot(state, 100)).state
    const batch = {
      producerId: 7,
      producerEpoch: 0,
      baseSequence: 0,
      lastSequence: 0,
      baseOffset: 0,
      lastOffset: 0,
    }
    copy.record({ ...batch, timestampMs: 5 }, 0)
    expect(copy.get(7)?.batches).toHaveLength(1)
  })
})
