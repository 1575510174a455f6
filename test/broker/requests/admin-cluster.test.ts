import { describe, expect, it } from 'vitest'
import { alterConfigsHandler } from '../../../src/broker/requests/alter-configs.js'
import { describeConfigsHandler } from '../../../src/broker/requests/describe-configs.js'
import { listConfigResourcesHandler } from '../../../src/broker/requests/list-config-resources.js'
import { unregisterBrokerHandler } from '../../../src/broker/requests/unregister-broker.js'
import { updateFeaturesHandler } from '../../../src/broker/requests/update-features.js'
import { ErrorCode } from '../../../src/wire/errors.js'
import { Node } from './admin-services.js'

const CLIENT_METRICS = 16

function update(feature: string, maxVersionLevel: number, upgradeType: number, allowDowngrade = false) {
  const featureUpdates = [{ feature, maxVersionLevel, allowDowngrade, upgradeType }]
  return { timeoutMs: 1_000, featureUpdates, validateOnly: false }
}

describe('UpdateFeatures', () => {
  it('answers when this broker knows of it, in every version', () => {
    const n = Node.of(3)
    const handler = updateFeaturesHandler(n.services)
    const asked = n.ask(handler, update('kogge.version', 1, 2))
    n.clock.pass(5)
    expect(asked.response).toBeUndefined()
    n.clock.pass(5)
    expect(asked.response).toEqual({ errorCode: 0, errorMessage: null, results: [] })
    expect(n.cache.image.features.get('kogge.version')).toBe(1)
    expect(n.answer(handler, update('kogge.version', 2, 1), 1).results).toEqual([
      { feature: 'kogge.version', errorCode: 0, errorMessage: null },
    ])
    // Version 0 knew no types: a downgrade is allowed, and is a safe one.
    expect(n.answer(handler, update('kogge.version', 1, 1, true), 0).errorCode).toBe(0)
    expect(n.answer(handler, update('kogge.version', 2, 1, false), 0).errorCode).toBe(0)
  })

  it('says which one failed, and of an unknown type so', () => {
    const n = Node.of(3)
    const handler = updateFeaturesHandler(n.services)
    const refused = n.answer(handler, update('metadata.version', 30, 1))
    expect(refused.errorCode).toBe(ErrorCode.INVALID_UPDATE_VERSION)
    expect(refused.errorMessage).toContain('The update failed for all features')
    expect(refused.errorMessage).toContain('metadata.version cannot be set to level 30')
    expect(n.answer(handler, update('kogge.version', 1, 4)).errorCode).toBe(ErrorCode.INVALID_UPDATE_VERSION)
    n.outage = { type: 'failed', errorCode: ErrorCode.NOT_CONTROLLER, errorMessage: 'gone' }
    expect(n.answer(handler, update('kogge.version', 1, 2)).errorCode).toBe(ErrorCode.NOT_CONTROLLER)
  })
})

describe('UnregisterBroker', () => {
  it('takes a broker out, and answers when this broker knows of it', () => {
    const n = Node.of(3)
    n.cluster.kill(3)
    n.sync()
    const handler = unregisterBrokerHandler(n.services)
    expect(n.answer(handler, { brokerId: 3 })).toEqual({ errorCode: 0, errorMessage: null })
    expect([...n.cache.image.brokers.keys()]).toEqual([1, 2])
    expect(n.answer(handler, { brokerId: 3 })).toMatchObject({
      errorCode: ErrorCode.BROKER_ID_NOT_REGISTERED,
    })
  })
})

describe('ListConfigResources', () => {
  const subscribe = (n: Node): void => {
    const configs = [{ name: 'interval.ms', value: '1000' }]
    n.answer(alterConfigsHandler(n.services), {
      resources: [{ resourceType: CLIENT_METRICS, resourceName: 'some', configs }],
      validateOnly: false,
    })
  }

  it('lists what has a configuration; before version 1 client metrics alone', () => {
    const n = Node.of(3)
    n.cluster.createOn('t', [1])
    n.sync()
    subscribe(n)
    const handler = listConfigResourcesHandler(n.services)
    expect(n.answer(handler, { resourceTypes: [] }, 0).configResources).toEqual([
      { resourceName: 'some', resourceType: CLIENT_METRICS },
    ])
    const all = n.answer(handler, { resourceTypes: [] }).configResources
    expect(all.map(({ resourceType, resourceName }) => `${resourceType}:${resourceName}`)).toEqual([
      '2:t',
      '4:1',
      '4:2',
      '4:3',
      '16:some',
    ])
    expect(n.answer(handler, { resourceTypes: [2, 32] }).configResources).toHaveLength(1)
    expect(n.answer(handler, { resourceTypes: [3] }).errorCode).toBe(ErrorCode.UNSUPPORTED_VERSION)
  })

  it('and DescribeConfigs tells what is set, and the defaults', () => {
    const n = Node.of(3)
    subscribe(n)
    const ask = (resourceName: string) =>
      n.answer(describeConfigsHandler(n.services), {
        resources: [{ resourceType: CLIENT_METRICS, resourceName, configurationKeys: null }],
        includeSynonyms: true,
        includeDocumentation: false,
      }).results[0]!
    expect(ask('some').configs.map(({ name, value, configSource }) => [name, value, configSource])).toEqual([
      ['interval.ms', '1000', 7],
      ['match', '', 5],
      ['metrics', '', 5],
    ])
    expect(ask('').errorCode).toBe(ErrorCode.INVALID_REQUEST)
  })
})
