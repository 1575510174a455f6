import { expect, it } from 'vitest'
import type { RequestContext } from '../../../src/broker/handler.js'
import { Connection } from '../../../src/broker/network/connection.js'
import type { RequestDispatcher } from '../../../src/broker/network/dispatcher.js'
import type { Logger } from '../../../src/ports/logger.js'
import type { ByteStream } from '../../../src/ports/network.js'

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }
const address = { host: '192.0.2.1', port: 1 }

/** A client that never reads; each of its requests, of eight bytes, is answered at once with `answerBytes`. */
function stubborn(answerBytes: number, maxUnsentBytes: number, other?: RequestDispatcher) {
  const written: Uint8Array[] = []
  const turn: (() => void)[] = []
  const seen = { requests: 0, isPaused: false }
  const stream: ByteStream = {
    remote: address,
    local: address,
    get bufferedBytes() {
      return written.reduce((sum, chunk) => sum + chunk.byteLength, 0)
    },
    write: (chunks) => void written.push(...chunks),
    pause: () => void (seen.isPaused = true),
    resume: () => void (seen.isPaused = false),
    end() {},
    destroy() {},
  }
  const dispatcher = {
    dispatch: (_bytes: Uint8Array, port: { answer(chunks: Uint8Array[]): void }) => {
      seen.requests++
      port.answer([new Uint8Array(answerBytes)])
      return null
    },
  } as unknown as RequestDispatcher
  const connection = new Connection(1, stream, {
    listener: 'PLAINTEXT',
    isInterBrokerListener: false,
    limits: { maxFrameBytes: 100, maxInflightRequests: 64, maxUnsentBytes },
    dispatcher: other ?? dispatcher,
    logger: silent,
    isOpen: () => true,
    nowMs: () => 0,
    endOfTurn: (input) => void turn.push(input),
    onClosed() {},
  })
  const endTurn = () => {
    for (const input of turn.splice(0)) input()
  }
  return { connection, written, seen, endTurn }
}

function requests(count: number): Uint8Array {
  const bytes = Buffer.alloc(12 * count)
  for (let i = 0; i < count; i++) bytes.writeInt32BE(8, 12 * i)
  return bytes
}

it('reads no further than its answers may pile up, though one chunk brings many requests', () => {
  const { connection, written, seen, endTurn } = stubborn(1_000, 3_000)
  connection.onData(requests(100))
  expect(seen).toEqual({ requests: 3, isPaused: true })
  endTurn()
  expect(seen).toEqual({ requests: 3, isPaused: true })
  // The client takes what there is: the next ones are read.
  written.length = 0
  connection.onDrain()
  expect(seen.requests).toBe(6)
})

it('counts answers that wait for an earlier one: a fetch is told that there is no room left', () => {
  const ports: { answer(chunks: Uint8Array[] | null): void; context(...args: unknown[]): RequestContext }[] =
    []
  const dispatcher = {
    dispatch: (_bytes: Uint8Array, port: (typeof ports)[number]) => {
      ports.push(port)
      return null
    },
  } as unknown as RequestDispatcher
  const { connection, written, endTurn } = stubborn(0, 3_000, dispatcher)
  connection.onData(requests(5))
  const room = () => ports[4]!.context(1, 1, null).answerRoomBytes()
  expect(room()).toBe(3_000)
  ports[1]!.answer([new Uint8Array(1_000)])
  ports[2]!.answer([new Uint8Array(500), new Uint8Array(500)])
  expect(room()).toBe(1_000)
  ports[3]!.answer([new Uint8Array(4_000)])
  expect(room()).toBe(0)
  ports[0]!.answer(null)
  expect(room()).toBe(0)
  endTurn()
  expect(written.reduce((sum, chunk) => sum + chunk.byteLength, 0)).toBe(6_000)
  expect(room()).toBe(0)
  written.length = 0
  expect(room()).toBe(3_000)
})
