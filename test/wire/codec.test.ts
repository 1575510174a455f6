import { describe, expect, it } from 'vitest'
import {
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  frame,
  peekRequestHeader,
} from '../../src/wire/codec.js'
import { RequestHeader, RequestHeaderTags, ResponseHeader } from '../../src/wire/headers.js'
import { ApiVersions } from '../../src/wire/messages/api-versions.js'
import { Fetch } from '../../src/wire/messages/fetch.js'
import { Heartbeat } from '../../src/wire/messages/heartbeat.js'
import { joinChunks, Reader, WireError } from '../../src/wire/primitives.js'
import { fromHex, loadGolden, toJson } from './golden.js'

const HEADER = { correlationId: 0x01020304, clientId: 'me' }
const BEAT = { groupId: 'g', generationId: 1, memberId: 'm' }
const text = (chunks: readonly Uint8Array[]) => Buffer.from(joinChunks(chunks)).toString('hex')

describe('headers against the bytes of Kafka itself', () => {
  it.each(
    loadGolden('headers.json').map((golden) => ({ ...golden })),
  )('$message v$version: $hex', (golden) => {
    const reader = new Reader(fromHex(golden.hex))
    const layout = golden.message === 'RequestHeader' ? RequestHeader : ResponseHeader
    const value = layout.read(reader, golden.version)
    if (golden.message === 'RequestHeader' && golden.version === 2) RequestHeaderTags.read(reader, 2)
    expect(reader.remaining).toBe(0)
    expect(toJson(value, golden.json)).toEqual(golden.json)
  })
})

describe('requests', () => {
  it('have header v1 before the flexible versions and v2 in them', () => {
    const body = '000167' + '00000001' + '00016d'
    expect(text(encodeRequest(Heartbeat, 0, HEADER, BEAT))).toBe(
      '000c' + '0000' + '01020304' + '00026d65' + body,
    )
    expect(text(encodeRequest(Heartbeat, 4, HEADER, BEAT))).toBe(
      '000c' + '0004' + '01020304' + '00026d65' + '00' + '0267' + '00000001' + '026d' + '00' + '00',
    )
  })

  it.each([0, 1, 2, 3, 4])('v%i comes back as it went', (version) => {
    const decoded = decodeRequest(Heartbeat, joinChunks(encodeRequest(Heartbeat, version, HEADER, BEAT)))
    expect(decoded).toEqual({
      header: { apiKey: 12, apiVersion: version, ...HEADER },
      headerTags: undefined,
      body: { ...BEAT, groupInstanceId: null },
    })
  })

  it('keep unknown tagged fields of the header', () => {
    const bytes = fromHex(
      '000c' + '0004' + '01020304' + 'ffff' + '01' + '0501ee' + '0267' + '00000001' + '026d' + '00' + '00',
    )
    const decoded = decodeRequest(Heartbeat, bytes)
    if (decoded instanceof WireError) throw decoded
    expect(decoded.header.clientId).toBeNull()
    expect([...decoded.headerTags!.keys()]).toEqual([5])
  })

  it('may be followed by bytes that nobody reads', () => {
    const bytes = Buffer.concat([...encodeRequest(Heartbeat, 0, HEADER, BEAT), Buffer.from([1, 2])])
    expect(decodeRequest(Heartbeat, bytes)).toMatchObject({ body: BEAT })
  })

  it('can be answered though their version is unknown: the front of the header never changes', () => {
    const unknown = fromHex('0012' + '0063' + '01020304' + '00026d65' + 'deadbeef')
    expect(peekRequestHeader(unknown)).toEqual({ apiKey: 18, apiVersion: 99, ...HEADER })
  })

  it('are an error as a value where they are damaged', () => {
    const whole = joinChunks(encodeRequest(Heartbeat, 4, HEADER, BEAT))
    for (let length = 0; length < whole.length; length++) {
      expect(decodeRequest(Heartbeat, whole.subarray(0, length)), `${length} bytes`).toBeInstanceOf(WireError)
    }
    expect(peekRequestHeader(whole.subarray(0, 7))).toBeInstanceOf(WireError)
    expect(decodeRequest(Fetch, whole)).toMatchObject({
      message: expect.stringContaining('the api key is 12'),
    })
    const tooNew = Buffer.from(whole)
    tooNew.writeInt16BE(5, 2)
    expect(decodeRequest(Heartbeat, tooNew)).toMatchObject({ message: expect.stringContaining('version 5') })
  })
})

describe('responses', () => {
  it('have header v0, and v1 in the flexible versions', () => {
    expect(text(encodeResponse(Heartbeat, 0, 7, { errorCode: 27 }))).toBe('00000007' + '001b')
    expect(text(encodeResponse(Heartbeat, 4, 7, { errorCode: 27 }))).toBe(
      '00000007' + '00' + '00000000' + '001b' + '00',
    )
  })

  it('of ApiVersions always have header v0', () => {
    expect(text(encodeResponse(ApiVersions, 3, 7, { errorCode: 35, apiKeys: [] }))).toBe(
      '00000007' + '0023' + '01' + '00000000' + '00',
    )
  })

  it('come back as they went, and must fill their frame', () => {
    const bytes = joinChunks(encodeResponse(Heartbeat, 4, 7, { errorCode: 27, throttleTimeMs: 3 }))
    expect(decodeResponse(Heartbeat, 4, bytes)).toEqual({
      correlationId: 7,
      body: { throttleTimeMs: 3, errorCode: 27 },
    })
    expect(decodeResponse(Heartbeat, 4, Buffer.concat([bytes, Buffer.from([0])]))).toBeInstanceOf(WireError)
  })

  it('carry record batches by reference', () => {
    const batch = Buffer.alloc(100, 1)
    const partition = {
      partitionIndex: 0,
      errorCode: 0,
      highWatermark: 5,
      abortedTransactions: null,
      records: [batch],
    }
    const chunks = encodeResponse(Fetch, 11, 7, { responses: [{ topic: 't', partitions: [partition] }] })
    expect(chunks).toContain(batch)
  })
})

it('a frame is the size, then the chunks', () => {
  const chunk = Buffer.from([1, 2, 3])
  expect(text(frame([chunk, chunk]))).toBe('00000006' + '010203010203')
  expect(frame([chunk])[1]).toBe(chunk)
})
