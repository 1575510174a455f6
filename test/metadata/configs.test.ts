import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BROKER_CONFIGS } from '../../src/metadata/config/broker-definitions.js'
import { nearestName, validateConfig } from '../../src/metadata/config/definitions.js'
import { IGNORED_BROKER_KEYS } from '../../src/metadata/config/ignored-keys.js'
import { TOPIC_CONFIGS } from '../../src/metadata/config/topic-definitions.js'
import { ConfigView, effectiveMinIsr } from '../../src/metadata/configs.js'
import { MutableImage } from '../../src/metadata/replay.js'

function sourcesBeside(directory: string, definitions: RegExp): string {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !definitions.test(entry.name))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .join('\n')
}

function setup(properties: Record<string, string> = {}, configuredBrokers = 3) {
  const image = new MutableImage()
  const view = new ConfigView({
    nodeId: 1,
    properties: new Map(Object.entries(properties)),
    configuredBrokers,
    image: () => image,
  })
  const set = (resourceType: 'topic' | 'broker', resourceName: string, name: string, value?: string) =>
    image.apply({ type: 'configRecord', resourceType, resourceName, name, value })
  return { image, view, set }
}

describe('the table of configurations', () => {
  it('has defaults that its own limits allow', () => {
    for (const definition of [...TOPIC_CONFIGS.values(), ...BROKER_CONFIGS.values()]) {
      if (definition.defaultValue !== null && definition.name !== 'broker.id') {
        expect(validateConfig(definition, definition.defaultValue)).toBeUndefined()
      }
    }
  })

  it('names only known broker keys as fallbacks, and never both knows and ignores a key', () => {
    for (const { fallbacks } of TOPIC_CONFIGS.values()) {
      for (const { key } of fallbacks) expect(BROKER_CONFIGS.has(key), key).toBe(true)
    }
    for (const key of IGNORED_BROKER_KEYS) expect(BROKER_CONFIGS.has(key), key).toBe(false)
  })

  it('promises nothing: a broker key that nothing reads, but as a default of topics, says that it has no effect', () => {
    const fallbacks = new Set(
      [...TOPIC_CONFIGS.values()].flatMap((topic) => topic.fallbacks.map(({ key }) => key)),
    )
    const code = sourcesBeside(
      resolve(import.meta.dirname, '../../src'),
      /definitions\.ts$|ignored-keys\.ts$/,
    )
    const unread = [...BROKER_CONFIGS.values()].filter(
      ({ name, documentation }) =>
        !fallbacks.has(name) && !code.includes(`'${name}'`) && !documentation.includes('without effect'),
    )
    expect(unread.map(({ name }) => name)).toEqual([])
  })

  it.each([
    [
      'retention.ms',
      '-2',
      'retention.ms: "-2" is not allowed; it must be a whole number from -1 to 9223372036854775807',
    ],
    ['flush.messages', '9223372036854775807', undefined],
    [
      'flush.messages',
      '9223372036854775808',
      'flush.messages: "9223372036854775808" is not allowed; it must be a whole number from 1 to 9223372036854775807',
    ],
    [
      'segment.bytes',
      '1e6',
      'segment.bytes: "1e6" is not allowed; it must be a whole number from 1024 to 2147483647',
    ],
    ['preallocate', 'yes', 'preallocate: "yes" is not allowed; it must be true or false'],
    [
      'min.cleanable.dirty.ratio',
      '1.5',
      'min.cleanable.dirty.ratio: "1.5" is not allowed; it must be a number from 0 to 1',
    ],
    ['cleanup.policy', 'compact,delete', undefined],
    [
      'cleanup.policy',
      'shrink',
      'cleanup.policy: "shrink" is not allowed; it must be a comma-separated list of compact, delete',
    ],
    ['leader.replication.throttled.replicas', '0:1,12:3', undefined],
    ['leader.replication.throttled.replicas', '*', undefined],
    [
      'follower.replication.throttled.replicas',
      '0:1,x',
      'follower.replication.throttled.replicas: "0:1,x" is not allowed; it must be a comma-separated list of <partition>:<broker>, or * for all of them',
    ],
    [
      'compression.type',
      'zip',
      'compression.type: "zip" is not allowed; it must be one of uncompressed, zstd, lz4, snappy, gzip, producer',
    ],
  ])('validates %s=%s', (name, value, expected) => {
    expect(validateConfig(TOPIC_CONFIGS.get(name)!, value)).toBe(expected)
  })

  it('finds the nearest name, if there is one', () => {
    expect(nearestName('retention.sm', TOPIC_CONFIGS.keys())).toBe('retention.ms')
    expect(nearestName('broker.hearbeat.interval.ms', BROKER_CONFIGS.keys())).toBe(
      'broker.heartbeat.interval.ms',
    )
    expect(nearestName('something.else.entirely', BROKER_CONFIGS.keys())).toBeUndefined()
  })
})

describe('effective values', () => {
  it('go from the topic over the broker, dynamic and static, to the default', () => {
    const { view, set } = setup({ 'log.retention.hours': '1' })
    expect(view.topic('t').retentionMs).toBe(3_600_000)
    set('broker', '', 'log.retention.ms', '3000')
    expect(view.topic('t').retentionMs).toBe(3_000)
    set('broker', '1', 'log.retention.ms', '2000')
    set('broker', '2', 'log.retention.ms', '9000')
    expect(view.topic('t').retentionMs).toBe(2_000)
    set('topic', 't', 'retention.ms', '1000')
    expect(view.topic('t').retentionMs).toBe(1_000)
    expect(view.topic('u').retentionMs).toBe(2_000)
  })

  it('of one level, milliseconds go before minutes before hours', () => {
    expect(
      setup({ 'log.retention.hours': '1', 'log.retention.minutes': '2' }).view.topic('t').retentionMs,
    ).toBe(120_000)
    expect(setup({ 'log.retention.hours': '1', 'log.retention.ms': '-1' }).view.topic('t').retentionMs).toBe(
      -1,
    )
    expect(setup({ 'log.retention.hours': '-1' }).view.topic('t').retentionMs).toBe(-1)
  })

  it('are one object until something changes', () => {
    const { view, set } = setup()
    const first = view.topic('t')
    expect(view.topic('u')).toBe(first)
    set('topic', 'other', 'retention.ms', '1')
    expect(view.topic('t')).toBe(first)
    set('broker', '', 'log.segment.bytes', '2048')
    expect(view.topic('t')).not.toBe(first)
    expect(view.topic('t').segmentBytes).toBe(2_048)
  })

  it('keep LONG values that numbers cannot hold', () => {
    const { view } = setup()
    expect(view.topic('t').flushMessages).toBe(2n ** 63n - 1n)
    expect(view.bigint('log.flush.interval.messages')).toBe(2n ** 63n - 1n)
    expect(view.int('log.flush.interval.messages')).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('three brokers keep what they acknowledge', () => {
    expect(setup({}, 3).view.int('default.replication.factor')).toBe(3)
    expect(setup({}, 3).view.topic('t').minInsyncReplicas).toBe(2)
    expect(setup({}, 2).view.int('default.replication.factor')).toBe(2)
    expect(setup({}, 2).view.topic('t').minInsyncReplicas).toBe(1)
    expect(setup({}, 7).view.int('offsets.topic.replication.factor')).toBe(3)
    expect(effectiveMinIsr(2, 1)).toBe(1)
  })

  it('count brokers that register beyond the configured ones', () => {
    const { image, view } = setup({}, 1)
    const form = {
      incarnationId: 'i',
      directoryIds: ['d'],
      endpoints: [],
      features: [],
      fenced: true,
      inControlledShutdown: false,
    }
    for (const id of [1, 2, 3]) {
      image.apply({ type: 'registerBrokerRecord', brokerId: id, brokerEpoch: id, ...form })
    }
    expect(view.topic('t').minInsyncReplicas).toBe(2)
  })

  it('flush.before.ack is what the cluster has finalised', () => {
    const { image, view } = setup({ 'flush.before.ack': 'true' })
    expect(view.topic('t').flushBeforeAck).toBe(true)
    image.apply({ type: 'featureLevelRecord', name: 'flush.before.ack', level: 0 })
    expect(view.topic('t').flushBeforeAck).toBe(false)
  })

  it('a key of another type, or unknown, is a mistake of the program', () => {
    const { view } = setup()
    expect(() => view.int('auto.create.topics.enable')).toThrow(/boolean/)
    expect(() => view.string('nonsense')).toThrow(/nonsense/)
  })
})

describe('descriptions', () => {
  it('give source and synonyms in order of precedence', () => {
    const { view, set } = setup({ 'log.retention.hours': '1' })
    set('broker', '', 'log.retention.ms', '3000')
    set('topic', 't', 'retention.ms', '1000')
    const described = view.describeTopic('t').find(({ name }) => name === 'retention.ms')!
    expect(described).toMatchObject({ value: '1000', source: 'topic', type: 'long', readOnly: false })
    expect(described.synonyms).toEqual([
      { name: 'retention.ms', value: '1000', source: 'topic' },
      { name: 'log.retention.ms', value: '3000', source: 'dynamicDefaultBroker' },
      { name: 'log.retention.hours', value: '1', source: 'staticBroker' },
      { name: 'log.retention.hours', value: '168', source: 'default' },
    ])
  })

  it('of a broker: every key, start-up ones read-only', () => {
    const { view } = setup({ 'node.id': '1' })
    const described = view.describeBroker(1)
    expect(described.map(({ name }) => name)).toEqual([...BROKER_CONFIGS.keys()])
    expect(described.find(({ name }) => name === 'node.id')).toMatchObject({
      value: '1',
      source: 'staticBroker',
      readOnly: true,
    })
    expect(described.find(({ name }) => name === 'log.retention.ms')).toMatchObject({
      value: null,
      readOnly: false,
    })
  })

  it('of the default of all brokers: what is set there', () => {
    const { view, set } = setup()
    expect(view.describeBroker('')).toEqual([])
    set('broker', '', 'log.segment.bytes', '2048')
    set('broker', '1', 'log.segment.bytes', '4096')
    expect(view.describeBroker('')).toMatchObject([
      { name: 'log.segment.bytes', value: '2048', source: 'dynamicDefaultBroker' },
    ])
  })
})
