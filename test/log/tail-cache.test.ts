import { expect, it } from 'vitest'
import { LogTail, TailCache } from '../../src/log/tail-cache.js'

it('keeps a copy of a small batch, not the socket buffer that it came in', () => {
  const tail = new LogTail(new TailCache(1_000))
  const received = Buffer.alloc(64 * 1024, 7)
  const bytes = received.subarray(100, 200)
  tail.add({ bytes, baseOffset: 0, lastOffset: 0, leaderEpoch: 0, maxTimestampMs: 0 })
  const kept = tail.at(tail.find(0))!.bytes
  expect(kept.buffer.byteLength).toBe(100)
  expect(Buffer.compare(kept, bytes)).toBe(0)
})
