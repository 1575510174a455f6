import { describe, expect, it } from 'vitest'
import { logConfigOf } from '../../../src/broker/partitions/log-config.js'
import { ConfigView } from '../../../src/metadata/configs.js'
import { MutableImage } from '../../../src/metadata/replay.js'

function logConfig(properties: Record<string, string>) {
  const image = new MutableImage()
  const options = { nodeId: 1, properties: new Map(Object.entries(properties)), configuredBrokers: 3 }
  return logConfigOf(new ConfigView({ ...options, image: () => image }).topic('t'))
}

describe('flush.messages and flush.ms', () => {
  const limits = { 'log.flush.interval.messages': '10', 'log.flush.interval.ms': '500' }

  it('reach the logs where acknowledgements do not wait for the disk', () => {
    expect(logConfig({ ...limits, 'flush.before.ack': 'false' })).toMatchObject({
      flushMessages: 10,
      flushMs: 500,
    })
  })

  it.each([
    ['with flush.before.ack, which syncs before they would', { ...limits, 'flush.before.ack': 'true' }],
    ['by default', { 'flush.before.ack': 'false' }],
  ])('are no limits %s', (_when, properties) => {
    expect(logConfig(properties)).toMatchObject({
      flushMessages: Number.POSITIVE_INFINITY,
      flushMs: Number.POSITIVE_INFINITY,
    })
  })
})
