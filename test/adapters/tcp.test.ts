import net from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { Tcp } from '../../src/adapters/tcp.js'
import type { Address, ByteStream, DialError } from '../../src/ports/network.js'

function listen(
  tcp: Tcp,
  accepted: Parameters<Tcp['listen']>[1],
): Promise<{ bound: Address; close(): void }> {
  return new Promise((resolve, reject) => {
    const listener = tcp.listen(
      { host: '127.0.0.1', port: 0 },
      accepted,
      (bound) => resolve({ bound, ...listener }),
      reject,
    )
  })
}

describe('Tcp', () => {
  it('carries gathered chunks in order and closes in good order', async () => {
    const tcp = new Tcp()
    const received: Buffer[] = []
    let serverClosed: (error: Error | null) => void = () => {}
    const closed = new Promise<Error | null>((resolve) => {
      serverClosed = resolve
    })
    const server = await listen(tcp, () => ({
      onData: (chunk) => received.push(Buffer.from(chunk)),
      onClose: (error) => serverClosed(error),
    }))
    const clientClosed = await new Promise<Promise<Error | null>>((resolve, reject) => {
      tcp.dial(
        server.bound,
        1000,
        (stream) => {
          queueMicrotask(() => {
            stream.write([Buffer.from('one '), Buffer.from('two '), Buffer.from('three')])
            stream.end()
            stream.write([Buffer.from('too late')])
          })
          return { onData() {}, onClose: (error) => resolve(Promise.resolve(error)) }
        },
        reject,
      )
    })
    expect(clientClosed).toBeNull()
    expect(await closed).toBeNull()
    expect(Buffer.concat(received).toString()).toBe('one two three')
    server.close()
  })

  it('dials without Nagle’s algorithm, which holds back a second small request for 40 ms', async () => {
    const noDelay = vi.spyOn(net.Socket.prototype, 'setNoDelay')
    const tcp = new Tcp()
    const server = await listen(tcp, () => ({ onData() {}, onClose() {} }))
    await new Promise<void>((resolve, reject) => {
      tcp.dial(
        server.bound,
        1000,
        (stream) => {
          queueMicrotask(() => stream.end())
          return { onData() {}, onClose: () => resolve() }
        },
        reject,
      )
    })
    expect(noDelay).toHaveBeenCalledWith(true)
    noDelay.mockRestore()
    server.close()
  })

  it('says refused where nobody listens', async () => {
    const tcp = new Tcp()
    const server = await listen(tcp, () => ({ onData() {}, onClose() {} }))
    server.close()
    const error = await new Promise<DialError>((resolve, reject) => {
      tcp.dial(
        server.bound,
        1000,
        () => {
          reject(new Error('opened'))
          return { onData() {}, onClose() {} }
        },
        resolve,
      )
    })
    expect(error.reason).toBe('refused')
  })

  it('tells of a reset and holds a sender back', async () => {
    const tcp = new Tcp()
    const accepted: ByteStream[] = []
    let bytes = 0
    let total: () => void = () => {}
    const all = new Promise<void>((resolve) => {
      total = resolve
    })
    const size = 32 * 1024 * 1024
    const server = await listen(tcp, (stream) => {
      accepted.push(stream)
      stream.pause()
      return {
        onData: (chunk) => {
          bytes += chunk.length
          if (bytes === size) total()
        },
        onClose() {},
      }
    })
    let closed: (error: Error | null) => void = () => {}
    const firstClosed = new Promise<Error | null>((resolve) => {
      closed = resolve
    })
    let drained: () => void = () => {}
    const drain = new Promise<void>((resolve) => {
      drained = resolve
    })
    const first = await new Promise<ByteStream>((resolve, reject) => {
      tcp.dial(
        server.bound,
        1000,
        (stream) => {
          resolve(stream)
          return { onData() {}, onDrain: () => drained(), onClose: closed }
        },
        reject,
      )
    })
    first.write([Buffer.alloc(size)])
    expect(first.bufferedBytes).toBeGreaterThan(0)
    // Another connection comes and goes: whatever were not held back would have come by then.
    await new Promise<void>((resolve, reject) => {
      const ended = (stream: ByteStream) => {
        queueMicrotask(() => stream.destroy())
        return { onData() {}, onClose: () => resolve() }
      }
      tcp.dial(server.bound, 1000, ended, reject)
    })
    expect(bytes).toBe(0)
    accepted[0]!.resume()
    await all
    await drain
    accepted[0]!.destroy()
    await firstClosed
    server.close()
  })
})
