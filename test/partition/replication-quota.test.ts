import { describe, expect, it } from 'vitest'
import { randomBelow, SeededRandom } from '../../src/lib/prng.js'
import { ReplicationQuota } from '../../src/partition/replication-quota.js'

const RATE = 1_000_000

function quotaOf(bytesPerSecond: number, windows = 11, windowMs = 1_000): ReplicationQuota {
  const quota = new ReplicationQuota({ windows, windowMs })
  quota.setRate(bytesPerSecond)
  return quota
}

/** Sends as a fetcher does, whole batches, whenever something is left. Returns when how much was sent. */
function send(
  quota: ReplicationQuota,
  fromMs: number,
  toMs: number,
  batch: () => number,
): { atMs: number; bytes: number }[] {
  const sent: { atMs: number; bytes: number }[] = []
  for (let nowMs = fromMs; nowMs < toMs; ) {
    let bytes = 0
    const left = quota.available(nowMs)
    while (bytes < left) bytes += batch()
    if (bytes > 0) {
      quota.record(bytes, nowMs)
      sent.push({ atMs: nowMs, bytes })
      // A round trip.
      nowMs += 2
    } else {
      const delayMs = quota.delayMs(nowMs)
      expect(delayMs).toBeGreaterThan(0)
      expect(delayMs).toBeLessThanOrEqual(1_000)
      nowMs += delayMs
    }
  }
  return sent
}

function bytesIn(sent: readonly { atMs: number; bytes: number }[], fromMs: number, toMs: number): number {
  return sent.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).reduce((sum, { bytes }) => sum + bytes, 0)
}

describe('KIP-73: the rate of throttled replication', () => {
  it.each([1_000, 16_384, 100_000, 1_000_000])('is held within a tenth with batches of %i bytes', (size) => {
    const sent = send(quotaOf(RATE), 12_345, 72_345, () => size)
    const rate = bytesIn(sent, 12_345, 72_345) / 60
    expect(rate).toBeGreaterThan(RATE * 0.9)
    expect(rate).toBeLessThan(RATE * 1.1)
  })

  it('is held over any ten seconds, with batches of any size', () => {
    const random = new SeededRandom(4)
    const sent = send(quotaOf(RATE), 0, 60_000, () => 1 + randomBelow(random, 200_000))
    for (let fromMs = 0; fromMs <= 50_000; fromMs += 777) {
      const rate = bytesIn(sent, fromMs, fromMs + 10_000) / 10
      expect(rate).toBeGreaterThan(RATE * 0.85)
      expect(rate).toBeLessThan(RATE * 1.15)
    }
  })

  it('begins with one window, not with all of them, and does not save up while nothing is sent', () => {
    const quota = quotaOf(RATE)
    expect(quota.available(0)).toBe(RATE)
    quota.record(RATE, 0)
    expect(quota.available(900)).toBe(0)
    expect(quota.available(60_000)).toBe(RATE)
  })

  it('makes up for a lull with at most the double in one window', () => {
    const quota = quotaOf(RATE)
    quota.record(1_000, 0)
    expect(quota.available(9_500)).toBe(2 * RATE)
    const sent = send(quota, 9_500, 10_000, () => 10_000)
    expect(bytesIn(sent, 9_500, 10_000)).toBe(2 * RATE)
  })

  it('waits out a batch that was larger than what was left', () => {
    const quota = quotaOf(100_000)
    quota.record(1_000_000, 0)
    expect(quota.available(9_000)).toBe(0)
    // Ten seconds' worth, and the share of a window that is worth a fetch.
    expect(quota.available(10_100)).toBeGreaterThan(0)
  })

  it('gives nothing at a rate of zero, and everything without one', () => {
    const quota = quotaOf(0)
    expect(quota.available(5_000)).toBe(0)
    expect(quota.delayMs(5_000)).toBe(1_000)
    expect(new ReplicationQuota({ windows: 11, windowMs: 1_000 }).available(0)).toBe(Number.POSITIVE_INFINITY)
  })

  it('forgets what was sent under another rate', () => {
    const quota = quotaOf(100 * RATE)
    quota.record(100 * RATE, 0)
    quota.setRate(RATE)
    expect(quota.available(10)).toBe(RATE)
  })

  it('measures what was sent', () => {
    const quota = quotaOf(RATE)
    for (let nowMs = 0; nowMs <= 4_000; nowMs += 100) quota.record(50_000, nowMs)
    expect(quota.rate(4_100)).toBeCloseTo((41 * 50_000) / 4.1)
    expect(quota.rate(60_000)).toBe(0)
  })

  it('takes windows of any number and size', () => {
    const sent = send(quotaOf(RATE, 1, 5_000), 3, 40_003, () => 10_000)
    expect(bytesIn(sent, 3, 40_003) / 40 / RATE).toBeCloseTo(1, 0)
  })
})
