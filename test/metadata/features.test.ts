import { describe, expect, it } from 'vitest'
import type { UpdateFeatures } from '../../src/metadata/commands.js'
import { supportedFeatures, unsupportedFeature } from '../../src/metadata/features.js'
import { MutableImage } from '../../src/metadata/replay.js'
import { ErrorCode } from '../../src/wire/errors.js'
import { Cluster } from './cluster.js'

type UpgradeType = UpdateFeatures['updates'][number]['upgradeType']

function update(
  cluster: Cluster,
  levels: Record<string, number>,
  upgradeType: UpgradeType = 'upgrade',
  validateOnly = false,
) {
  const updates = Object.entries(levels).map(([name, level]) => ({ name, level, upgradeType }))
  return cluster.decide({ type: 'updateFeatures', validateOnly, updates })
}

/** As of a version that knew neither Kafka's feature names nor client metrics. */
const ofVersion1 = [
  { name: 'kogge.version', minLevel: 1, maxLevel: 1 },
  { name: 'flush.before.ack', minLevel: 0, maxLevel: 1 },
]

function subscribe(cluster: Cluster, operations: { name: string; value?: string }[], resourceName = 'all') {
  return cluster.decide({
    type: 'alterConfigs',
    validateOnly: false,
    replaceAll: false,
    resources: [
      {
        resourceType: 'clientMetrics',
        resourceName,
        operations: operations.map(({ name, value }) => ({
          name,
          operation: value === undefined ? ('delete' as const) : ('set' as const),
          value,
        })),
      },
    ],
  }).resources[0]!
}

describe('KIP-1022: finalised feature levels', () => {
  it('go down safely where nothing is lost, and up again with what belongs to them', () => {
    const cluster = Cluster.of(3)
    expect(update(cluster, { 'kogge.version': 1 }, 'safeDowngrade').errorCode).toBe(0)
    expect(Object.fromEntries(cluster.committed.features)).toEqual({
      'kogge.version': 1,
      'flush.before.ack': 1,
    })
    expect(MutableImage.replay(cluster.committed.toRecords()).features).toEqual(cluster.committed.features)
    expect(update(cluster, { 'kogge.version': 2 }).errorCode).toBe(0)
    expect(cluster.committed.features.get('metadata.version')).toBe(25)
    expect(unsupportedFeature(cluster.committed)).toBeUndefined()
  })

  it('a downgrade that would lose something must be asked for as an unsafe one (KIP-778)', () => {
    const cluster = Cluster.of(3)
    expect(subscribe(cluster, [{ name: 'interval.ms', value: '1000' }]).errorCode).toBe(0)
    const safe = update(cluster, { 'kogge.version': 1 }, 'safeDowngrade')
    expect(safe).toMatchObject({ errorCode: ErrorCode.INVALID_UPDATE_VERSION, feature: 'kogge.version' })
    expect(safe.errorMessage).toContain('all')
    expect(update(cluster, { 'kogge.version': 1 }, 'unsafeDowngrade').errorCode).toBe(0)
    expect(cluster.committed.clientMetrics.size).toBe(0)
    expect(subscribe(cluster, [{ name: 'interval.ms', value: '1000' }]).errorCode).toBe(
      ErrorCode.UNSUPPORTED_VERSION,
    )
  })

  it.each<[string, Record<string, number>, UpgradeType, string]>([
    ['an unknown feature', { 'no.such': 1 }, 'upgrade', 'knows no such feature'],
    ['a level beyond what is supported', { 'metadata.version': 30 }, 'upgrade', 'levels 25 to 25'],
    ['what is not there', { 'transaction.version': 2 }, 'upgrade', 'levels 0 to 0'],
    ['a downgrade that is not called one', { 'kogge.version': 1 }, 'upgrade', 'is a downgrade'],
    [
      'an upgrade that is called a downgrade',
      { 'eligible.leader.replicas.version': 2 },
      'safeDowngrade',
      '1 to 1',
    ],
    [
      'to turn off what cannot be turned off',
      { 'eligible.leader.replicas.version': 0 },
      'unsafeDowngrade',
      '1 to 1',
    ],
    ['what the founding has chosen', { 'flush.before.ack': 0 }, 'unsafeDowngrade', 'founded'],
  ])('refuses %s, and changes nothing', (_, levels, upgradeType, reason) => {
    const cluster = Cluster.of(3)
    const reply = update(cluster, { 'kogge.version': 2, ...levels }, upgradeType)
    expect(reply.errorCode).toBe(ErrorCode.INVALID_UPDATE_VERSION)
    expect(reply.errorMessage).toContain(reason)
    expect(cluster.last).toEqual([])
  })

  it('only validates where asked to, and answers success where nothing changes', () => {
    const cluster = Cluster.of(3)
    expect(update(cluster, { 'kogge.version': 1 }, 'safeDowngrade', true).errorCode).toBe(0)
    expect(update(cluster, { 'kogge.version': 2, 'metadata.version': 25 }).errorCode).toBe(0)
    expect(cluster.last).toEqual([])
  })

  it('an upgrade waits for every registered broker, fenced ones too', () => {
    const cluster = Cluster.of(3)
    update(cluster, { 'kogge.version': 1 }, 'safeDowngrade')
    cluster.start(3, { features: ofVersion1 })
    cluster.kill(3)
    const reply = update(cluster, { 'kogge.version': 2 })
    expect(reply.errorMessage).toContain(
      'broker 3 supports the levels 1 to 1: upgrade or unregister that broker',
    )
    cluster.decide({ type: 'unregisterBroker', brokerId: 3 })
    expect(update(cluster, { 'kogge.version': 2 }).errorCode).toBe(0)
  })

  it('Kafka’s names need the version that brought them', () => {
    const cluster = Cluster.of(1)
    update(cluster, { 'kogge.version': 1 }, 'safeDowngrade')
    expect(update(cluster, { 'metadata.version': 25 }).errorMessage).toContain('needs kogge.version 2')
    expect(update(cluster, { 'metadata.version': 25, 'kogge.version': 2 }).errorCode).toBe(0)
  })

  it.each([
    ['names too old a level', ofVersion1],
    ['names none, as before there were any', []],
    ['lacks a feature', supportedFeatures().filter(({ name }) => name !== 'kraft.version')],
  ])('a broker that %s is not registered', (_, features) => {
    const cluster = Cluster.of(2)
    const reply = cluster.register(3, { features })
    expect(reply.errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
    expect(reply.errorMessage).toContain('run a version that supports it')
    expect(cluster.last).toEqual([])
  })

  it('a build stops where it does not know a level', () => {
    const image = new MutableImage()
    image.apply({ type: 'featureLevelRecord', name: 'metadata.version', level: 26 })
    expect(unsupportedFeature(image)).toContain('metadata.version at level 26')
    image.apply({ type: 'featureLevelRecord', name: 'metadata.version', level: 0 })
    expect(unsupportedFeature(image)).toBeUndefined()
    image.apply({ type: 'featureLevelRecord', name: 'from.the.future', level: 1 })
    expect(unsupportedFeature(image)).toContain('from.the.future')
  })
})

describe('KIP-714: subscriptions of client metrics', () => {
  it('are kept, described and deleted by name', () => {
    const cluster = Cluster.of(1)
    expect(
      subscribe(cluster, [
        { name: 'metrics', value: 'org.apache.' },
        { name: 'interval.ms', value: '5000' },
      ]).errorCode,
    ).toBe(0)
    expect(Object.fromEntries(cluster.committed.clientMetrics.get('all')!)).toEqual({
      metrics: 'org.apache.',
      'interval.ms': '5000',
    })
    expect(MutableImage.replay(cluster.committed.toRecords()).clientMetrics).toEqual(
      cluster.committed.clientMetrics,
    )
    subscribe(cluster, [{ name: 'metrics' }, { name: 'interval.ms' }])
    expect(cluster.committed.clientMetrics.has('all')).toBe(false)
  })

  it.each([
    ['interval.ms', '99', ErrorCode.INVALID_CONFIG],
    ['interval.ms', '3600001', ErrorCode.INVALID_CONFIG],
    ['match', 'client_id=app-.*,client_source_port=90[0-9]+', 0],
    ['match', 'no_such_key=x', ErrorCode.INVALID_CONFIG],
    ['match', 'client_id=(', ErrorCode.INVALID_CONFIG],
    ['match', 'client_id', ErrorCode.INVALID_CONFIG],
    ['interval', '1000', ErrorCode.INVALID_CONFIG],
  ])('%s=%s', (name, value, errorCode) => {
    expect(subscribe(Cluster.of(1), [{ name, value }]).errorCode).toBe(errorCode)
  })

  it('have a name', () => {
    const result = subscribe(Cluster.of(1), [{ name: 'metrics', value: '*' }], '')
    expect(result.errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })
})
