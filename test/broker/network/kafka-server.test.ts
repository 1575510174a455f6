import { expect, it } from 'vitest'
import { KafkaServer } from '../../../src/broker/network/kafka-server.js'
import type { Logger } from '../../../src/ports/logger.js'
import type { ByteStream, StreamHandler } from '../../../src/ports/network.js'

/** A server of at most this many connections, over all or from one address. */
function serverOf(limits: { maxConnections: number; maxConnectionsPerIp: number }) {
  const lines: unknown[] = []
  let nowMs = 5_000
  let accept: (stream: ByteStream) => StreamHandler = () => {
    throw new Error('it does not listen')
  }
  const logger = {
    warn: (fields: object, message: string) => void lines.push({ ...fields, message }),
  } as unknown as Logger
  const server = new KafkaServer({
    listeners: [{ name: 'PLAINTEXT', host: '0.0.0.0', port: 9092 }] as never,
    interBrokerListenerName: 'PLAINTEXT',
    clock: { monotonicMs: () => nowMs, after: () => ({ cancel() {} }) } as never,
    logger,
    listener: {
      listen: (_address, accepted) => {
        accept = accepted
        return { close() {} }
      },
    },
    dispatcher: null as never,
    limits: { maxFrameBytes: 1, maxInflightRequests: 1, maxUnsentBytes: 1, maxIdleMs: 60_000, ...limits },
  })
  server.bind(() => {})
  return {
    server,
    lines,
    pass: (ms: number) => {
      nowMs += ms
    },
    /** Returns whether the connection was kept. */
    connect(host: string): boolean {
      let isKept = true
      const stream = {
        remote: { host, port: 1 },
        destroy: () => {
          isKept = false
        },
      }
      accept(stream as unknown as ByteStream)
      return isKept
    },
  }
}

it('takes as many connections as are configured, and says once a second how many it refused', () => {
  const { server, lines, pass, connect } = serverOf({ maxConnections: 20_000, maxConnectionsPerIp: 15_000 })
  for (let i = 0; i < 15_000; i++) expect(connect('192.0.2.1')).toBe(true)
  expect(connect('192.0.2.1')).toBe(false)
  const refused = { client: '192.0.2.1', listener: 'PLAINTEXT', refused: 1 }
  const perIp = 'connection refused: max.connections.per.ip (15000) is reached'
  expect(lines).toEqual([{ ...refused, message: perIp }])
  for (let i = 0; i < 5_000; i++) expect(connect('192.0.2.2')).toBe(true)
  pass(999)
  for (let i = 0; i < 41; i++) expect(connect('192.0.2.2')).toBe(false)
  expect(lines).toHaveLength(1)
  pass(1)
  expect(connect('192.0.2.3')).toBe(false)
  expect(lines.slice(1)).toEqual([
    {
      client: '192.0.2.3',
      listener: 'PLAINTEXT',
      refused: 42,
      message: 'connection refused: max.connections (20000) is reached',
    },
  ])
  expect(server.connectionCount).toBe(20_000)
})
