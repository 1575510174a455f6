import net from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { SystemClock } from '../../../src/adapters/system-clock.js'
import { Tcp } from '../../../src/adapters/tcp.js'
import { RequestDispatcher } from '../../../src/broker/network/dispatcher.js'
import { KafkaServer } from '../../../src/broker/network/kafka-server.js'
import { apiVersionsHandler } from '../../../src/broker/requests/api-versions.js'
import type { BrokerServices } from '../../../src/broker/services.js'
import type { Logger } from '../../../src/ports/logger.js'
import { decodeResponse, encodeRequest, frame } from '../../../src/wire/codec.js'
import { ApiVersions } from '../../../src/wire/messages/api-versions.js'
import { WireError } from '../../../src/wire/primitives.js'

// RELIABILITY.md's test of a hostile frame, over a real socket: the connection closes, nothing is allocated for what
// was only announced, one line is logged, and another client does not notice.

const MAX_FRAME_BYTES = 1_000_000
const MEBIBYTE = 1_048_576
const API_VERSIONS_KEY_AND_CORRELATION = 8

let server: KafkaServer
let port: number
let warnings: string[]

beforeEach(async () => {
  warnings = []
  const logger: Logger = {
    debug() {},
    info() {},
    warn: (_fields, message) => void warnings.push(message),
    error: (_fields, message) => void warnings.push(message),
    child: () => logger,
  }
  const metadata = { image: { features: new Map() }, appliedIndex: 0 }
  const handlers = [apiVersionsHandler({ metadata } as unknown as BrokerServices)]
  const tcp = new Tcp()
  let bound = { host: '', port: 0 }
  server = new KafkaServer({
    listeners: [
      {
        name: 'PLAINTEXT',
        host: '127.0.0.1',
        port: 0,
        advertisedHost: '127.0.0.1',
        advertisedPort: 0,
        securityProtocol: 'PLAINTEXT',
      },
    ],
    interBrokerListenerName: 'PLAINTEXT',
    clock: new SystemClock(),
    logger,
    listener: {
      listen: (address, accepted, onBound, failed) =>
        tcp.listen(
          address,
          accepted,
          (at) => {
            bound = at
            onBound(at)
          },
          failed,
        ),
    },
    dispatcher: new RequestDispatcher(handlers, logger),
    limits: {
      maxFrameBytes: MAX_FRAME_BYTES,
      maxInflightRequests: 64,
      maxUnsentBytes: 1 << 20,
      maxConnections: 100,
      maxConnectionsPerIp: 100,
      maxIdleMs: 600_000,
    },
  })
  await new Promise<void>((resolve, reject) =>
    server.bind((error) => (error === null ? resolve() : reject(error))),
  )
  server.open()
  port = bound.port
})
afterEach(() => server.close())

/** Ends when the server has closed the connection; with all that it sent. */
function sendUntilClosed(bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve) => {
    const received: Buffer[] = []
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('data', (chunk) => received.push(chunk))
    socket.on('error', () => {})
    socket.on('close', () => resolve(Buffer.concat(received)))
  })
}

/** A client that asks again and again over one connection. */
function politeClient() {
  const socket = net.connect(port, '127.0.0.1')
  return {
    ask: (): Promise<number> =>
      new Promise((resolve, reject) => {
        socket.once('close', () => reject(new Error('closed')))
        socket.once('data', (chunk) => {
          const answer = decodeResponse(ApiVersions, 0, chunk.subarray(4))
          if (answer instanceof WireError) reject(answer)
          else resolve(answer.body.apiKeys.length)
        })
        socket.write(
          Buffer.concat(frame(encodeRequest(ApiVersions, 0, { correlationId: 1, clientId: null }, {}))),
        )
      }),
    close: () => socket.destroy(),
  }
}

function announced(length: number, body = 0): Buffer {
  const bytes = Buffer.alloc(4 + body)
  bytes.writeInt32BE(length)
  return bytes
}

it.each([
  ['zero', 0],
  ['smaller than a header', API_VERSIONS_KEY_AND_CORRELATION - 1],
  ['negative', -1],
  ['the most negative', -(2 ** 31)],
  ['2³¹−1', 2 ** 31 - 1],
  ['one above the limit', MAX_FRAME_BYTES + 1],
])('a frame length that is %s closes its connection, costs no memory and harms nobody else', async (_name, length) => {
  const other = politeClient()
  const before = await other.ask()
  // Buffers are what an announced length could cost.
  const bytesBefore = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 20; i++) expect(await sendUntilClosed(announced(length, 100))).toEqual(Buffer.alloc(0))
  expect(process.memoryUsage().arrayBuffers - bytesBefore).toBeLessThan(MEBIBYTE)
  expect(warnings).toHaveLength(20)
  expect(new Set(warnings)).toEqual(
    new Set([`connection closed: a frame of ${length} bytes is outside [8, ${MAX_FRAME_BYTES}]`]),
  )
  expect(server.connectionCount).toBe(1)
  expect(await other.ask()).toBe(before)
  other.close()
})

it('a frame of the largest size that stays away costs what has come of it, not what it announced', async () => {
  const sockets = await Promise.all(
    Array.from(
      { length: 50 },
      () =>
        new Promise<net.Socket>((resolve) => {
          const socket = net.connect(port, '127.0.0.1', () =>
            socket.write(announced(MAX_FRAME_BYTES, 100), () => resolve(socket)),
          )
        }),
    ),
  )
  const bytesBefore = process.memoryUsage().arrayBuffers
  const other = politeClient()
  await other.ask()
  expect(server.connectionCount).toBe(51)
  expect(process.memoryUsage().arrayBuffers - bytesBefore).toBeLessThan((50 * MEBIBYTE) / 16)
  expect(warnings).toEqual([])
  for (const socket of sockets) socket.destroy()
  other.close()
})

it.each([
  ['an API key that nobody knows', 9_999, 0, 'API key 9999 is not served here'],
  ['an API that is not served', 0, 9, 'API key 0 is not served here'],
])('%s closes its connection', async (_name, apiKey, version, reason) => {
  const request = Buffer.alloc(4 + 10)
  request.writeInt32BE(10)
  request.writeInt16BE(apiKey, 4)
  request.writeInt16BE(version, 6)
  request.writeInt16BE(-1, 12)
  expect(await sendUntilClosed(request)).toEqual(Buffer.alloc(0))
  expect(warnings).toEqual([`connection closed: ${reason}`])
})

it('ApiVersions of an unknown version is answered in the form of version 0, and the connection stays', async () => {
  const request = Buffer.alloc(4 + 10)
  request.writeInt32BE(10)
  request.writeInt16BE(ApiVersions.key, 4)
  request.writeInt16BE(99, 6)
  request.writeInt32BE(7, 8)
  request.writeInt16BE(-1, 12)
  const answer = await new Promise<Buffer>((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(request))
    socket.once('data', (chunk) => {
      socket.destroy()
      resolve(chunk)
    })
  })
  const decoded = decodeResponse(ApiVersions, 0, answer.subarray(4))
  expect(decoded).toMatchObject({ correlationId: 7, body: { errorCode: 35 } })
  expect(warnings).toEqual([])
})

it.each([
  // ApiVersions v3: a compact string that claims more than there is, and two billion tagged fields.
  ['a string longer than the frame', '0012 0003 00000001 ffff 00 ffffffff0f'],
  ['a count of tagged fields beyond the frame', '0012 0003 00000001 ffff ffffffff07'],
  ['a client id longer than the frame', '0012 0000 00000001 7fff'],
])('%s closes its connection before anything is allocated', async (_name, hex) => {
  const body = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  const bytesBefore = process.memoryUsage().arrayBuffers
  expect(await sendUntilClosed(Buffer.concat([announced(body.length), body]))).toEqual(Buffer.alloc(0))
  expect(process.memoryUsage().arrayBuffers - bytesBefore).toBeLessThan(MEBIBYTE)
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toMatch(/^connection closed: malformed request: /)
})
